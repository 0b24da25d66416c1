use std::borrow::Cow;
use std::future::{Future as _, poll_fn};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Sleep, sleep_until};

use crate::instance::{Guest, Instance, Meter};
use crate::login::{self, Means};
use crate::requests::Requests;

/// How much is read at once, and the most that is held of a direction whose reader is slow.
const CHUNK: usize = 32 * 1024;

/// A client's connection and the node's, and what is between them. Ends are passed on to the node, but not to the
/// client: whether the node's end is an orderly one is for the caller to say.
pub(crate) struct Exchange {
    guest: Guest,
    requests: Requests,
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
    pub(crate) fn new(guest: Guest, client: TcpStream, node: TcpStream) -> Exchange {
        let (up, down, requests) = (Pipe::open(), Pipe::open(), Requests::default());
        Exchange { guest, requests, client, node, up, down, is_unanswered: false, is_parted: false }
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
        let Exchange { guest, requests, .. } = self;
        let instance = guest.instance.clone();
        // In turn, a chunk each, so that a direction which never rests does not starve the other.
        loop {
            let mut rests = true;
            match self.down.poll_chunk(cx, &mut node_in, &mut client_out, &mut Answers(&instance)) {
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
            match self.up.poll_chunk(cx, &mut client_in, &mut node_out, &mut Asks { guest, requests }) {
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

/// What is done with the bytes of a direction.
trait Passage {
    /// What keeps it to its rate.
    fn meter(&self) -> &Meter;

    /// What is passed on for a chunk that has come.
    fn pass<'a>(&mut self, chunk: &'a [u8]) -> Cow<'a, [u8]>;

    /// What is passed on when nothing more comes.
    fn rest(&mut self) -> Vec<u8>;
}

/// From the client to the node: sign-ins are read, and changed where they must be.
struct Asks<'a> {
    guest: &'a mut Guest,
    requests: &'a mut Requests,
}

impl Passage for Asks<'_> {
    fn meter(&self) -> &Meter {
        &self.guest.instance.inbound
    }

    fn pass<'a>(&mut self, chunk: &'a [u8]) -> Cow<'a, [u8]> {
        let guest = &mut *self.guest;
        self.requests.pass(chunk, |login| {
            let instance = guest.instance.clone();
            let (means, changed) = login::read(login, &instance.id, &instance.rules().logins);
            match means {
                Means::Default(password) => guest.signs_in(Some(password)),
                Means::Another => guest.signs_in(None),
                Means::Nothing => {}
            }
            changed
        })
    }

    fn rest(&mut self) -> Vec<u8> {
        self.requests.rest()
    }
}

/// From the node to the client: as it comes.
struct Answers<'a>(&'a Instance);

impl Passage for Answers<'_> {
    fn meter(&self) -> &Meter {
        &self.0.outbound
    }

    fn pass<'a>(&mut self, chunk: &'a [u8]) -> Cow<'a, [u8]> {
        Cow::Borrowed(chunk)
    }

    fn rest(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// One direction. It has memory only while the writing side is slower than the reading one.
struct Pipe {
    is_open: bool,
    rest: Vec<u8>,
    written: usize,
    /// Until when nothing is read, where the direction is kept to a rate.
    pause: Option<Pin<Box<Sleep>>>,
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
        Pipe { is_open: true, rest: Vec::new(), written: 0, pause: None }
    }

    /// Moves one chunk a step further. Once it has ended or failed it stays pending.
    fn poll_chunk(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        passage: &mut impl Passage,
    ) -> Poll<Result<Progress, Fault>> {
        if !self.is_open {
            return Poll::Pending;
        }
        let progress = ready!(self.poll_open_chunk(cx, from, to, passage));
        self.is_open = matches!(progress, Ok(Progress::Read | Progress::Wrote));
        Poll::Ready(progress)
    }

    fn poll_open_chunk(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        passage: &mut impl Passage,
    ) -> Poll<Result<Progress, Fault>> {
        if self.rest.is_empty() {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            let mut space = [MaybeUninit::uninit(); CHUNK];
            let mut chunk = ReadBuf::uninit(&mut space);
            ready!(Pin::new(from).poll_read(cx, &mut chunk)).map_err(|_| Fault::Read)?;
            let chunk = chunk.filled();
            if chunk.is_empty() {
                self.rest = passage.rest();
                return Poll::Ready(Ok(if self.rest.is_empty() { Progress::Ended } else { Progress::Read }));
            }
            if let Some(until) = passage.meter().pass(chunk.len()) {
                self.pause = Some(Box::pin(sleep_until(until)));
            }
            let passed = passage.pass(chunk);
            if passed.is_empty() {
                return Poll::Ready(Ok(Progress::Read));
            }
            let written = match Pin::new(to).poll_write(cx, &passed) {
                Poll::Ready(written) => written.map_err(|_| Fault::Write)?,
                Poll::Pending => 0,
            };
            self.rest = passed[written..].to_vec();
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
