use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// How much is read at once, and the most that is held of a direction whose reader is slow.
const CHUNK: usize = 32 * 1024;

/// A client's connection and the node's, and what is between them. Ends are passed on to the node, but not to the
/// client: whether the node's end is an orderly one is for the caller to say.
pub(crate) struct Exchange {
    pub(crate) client: TcpStream,
    pub(crate) node: TcpStream,
    up: Pipe,
    down: Pipe,
    /// Whether the client has spoken since the node last did.
    pub(crate) is_unanswered: bool,
    /// Whether the client has ended its side since the node last spoke.
    pub(crate) is_parted: bool,
}

/// How an exchange ended, or the first half of it.
#[derive(Debug)]
pub(crate) enum End {
    /// The client's connection broke.
    ClientLost,
    /// The node's connection broke.
    NodeLost,
    /// The node ended its side. The client's may go on.
    NodeEnded,
    /// Both have ended their sides.
    BothEnded,
}

impl Exchange {
    pub(crate) fn new(client: TcpStream, node: TcpStream) -> Exchange {
        let (up, down) = (Pipe::open(), Pipe::open());
        Exchange { client, node, up, down, is_unanswered: false, is_parted: false }
    }

    /// Carries bytes both ways until a side ends that nothing can be said of here. After [`End::NodeEnded`] it may
    /// be called once more for the rest.
    pub(crate) async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Tells the client that the node has ended its side.
    pub(crate) fn end_client(&self) {
        // Where this fails the client is gone already.
        let _ = shutdown(&self.client, Shutdown::Write);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let (mut client_in, mut client_out) = self.client.split();
        let (mut node_in, mut node_out) = self.node.split();
        // In turn, a chunk each, so that a direction which never rests does not starve the other.
        loop {
            let mut rests = true;
            match self.down.poll_chunk(cx, &mut node_in, &mut client_out) {
                Poll::Pending => {}
                Poll::Ready(Ok(Progress::Wrote)) => rests = false,
                Poll::Ready(Ok(Progress::Read)) => {
                    rests = false;
                    self.is_unanswered = false;
                    self.is_parted = false;
                }
                Poll::Ready(Ok(Progress::Ended)) => return Poll::Ready(End::NodeEnded),
                Poll::Ready(Err(Fault::Read)) => return Poll::Ready(End::NodeLost),
                Poll::Ready(Err(Fault::Write)) => return Poll::Ready(End::ClientLost),
            }
            match self.up.poll_chunk(cx, &mut client_in, &mut node_out) {
                Poll::Pending => {}
                Poll::Ready(Ok(Progress::Wrote)) => rests = false,
                Poll::Ready(Ok(Progress::Read)) => {
                    rests = false;
                    self.is_unanswered = true;
                }
                Poll::Ready(Ok(Progress::Ended)) => {
                    self.is_parted = true;
                    // It does not wait; where it fails the node is gone, and its side will tell.
                    let _ = Pin::new(&mut node_out).poll_shutdown(cx);
                }
                Poll::Ready(Err(Fault::Read)) => return Poll::Ready(End::ClientLost),
                // The node takes no more, yet what it said before that is still to be read.
                Poll::Ready(Err(Fault::Write)) => self.is_unanswered = true,
            }
            if !self.up.is_open && !self.down.is_open {
                return Poll::Ready(End::BothEnded);
            }
            if rests {
                return Poll::Pending;
            }
        }
    }
}

/// One direction. It has memory only while the writing side is slower than the reading one.
struct Pipe {
    is_open: bool,
    rest: Vec<u8>,
    written: usize,
}

enum Progress {
    Read,
    Wrote,
    Ended,
}

/// Which of the two connections broke.
enum Fault {
    Read,
    Write,
}

impl Pipe {
    fn open() -> Pipe {
        Pipe { is_open: true, rest: Vec::new(), written: 0 }
    }

    /// Moves one chunk a step further. Once it has ended or failed it stays pending.
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Poll<Result<Progress, Fault>> {
        if !self.is_open {
            return Poll::Pending;
        }
        let progress = ready!(self.poll_open_chunk(cx, from, to));
        self.is_open = matches!(progress, Ok(Progress::Read | Progress::Wrote));
        Poll::Ready(progress)
    }

    fn poll_open_chunk(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
    ) -> Poll<Result<Progress, Fault>> {
        if self.rest.is_empty() {
            let mut space = [MaybeUninit::uninit(); CHUNK];
            let mut chunk = ReadBuf::uninit(&mut space);
            ready!(Pin::new(from).poll_read(cx, &mut chunk)).map_err(|_| Fault::Read)?;
            let chunk = chunk.filled();
            if chunk.is_empty() {
                return Poll::Ready(Ok(Progress::Ended));
            }
            let written = match Pin::new(to).poll_write(cx, chunk) {
                Poll::Ready(written) => written.map_err(|_| Fault::Write)?,
                Poll::Pending => 0,
            };
            self.rest = chunk[written..].to_vec();
            return Poll::Ready(Ok(Progress::Read));
        }
        let rest = &self.rest[self.written..];
        self.written += ready!(Pin::new(to).poll_write(cx, rest)).map_err(|_| Fault::Write)?;
        if self.written == self.rest.len() {
            (self.rest, self.written) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(Progress::Wrote))
    }
}
