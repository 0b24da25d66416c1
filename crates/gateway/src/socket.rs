//! A client's or a node's connection, by TLS or plain.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use rustls::ServerConnection;

use crate::tls::Terms;
use crate::world::{Passage, Wire};

/// What a connection by TLS begins with; no request does.
const HANDSHAKE: u8 = 0x16;
/// What a plain client is told where there is none.
const TLS_ALONE: &[u8] = b"-ERR this instance takes connections by TLS alone\r\n";
/// How long a client may take to agree on how it speaks.
pub(crate) const GREETS_WITHIN: Duration = Duration::from_secs(10);
/// How much is encrypted at once: what the socket does not take is kept here, and must not be much.
const AT_ONCE: usize = 64 * 1024;

/// As the module says.
pub(crate) struct Socket {
    stream: TcpStream,
    way: Way,
}

/// How it is spoken.
enum Way {
    Plain,
    /// It has said nothing yet since it came, and may come by TLS.
    New(Arc<Terms>, Instant),
    Tls(Box<Tls>),
}

/// A connection by TLS.
struct Tls {
    session: ServerConnection,
    /// When it began to.
    since: Instant,
    /// Whether the client has said that it ends, and whether that was told.
    is_ended: bool,
    end_is_told: bool,
}

impl Socket {
    /// A connection that is plain.
    pub(crate) fn plain(stream: TcpStream) -> Socket {
        Socket { stream, way: Way::Plain }
    }

    /// A client's, which may be by TLS where there are terms for that.
    pub(crate) fn of_client(stream: TcpStream, terms: Option<Arc<Terms>>) -> Socket {
        let way = terms.map_or(Way::Plain, |terms| Way::New(terms, Instant::now()));
        Socket { stream, way }
    }

    /// Reads what a connection begins with, which tells how it goes on.
    fn begin(&mut self, terms: &Terms, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        match into[..count].first() {
            None => Ok(0),
            Some(&HANDSHAKE) => {
                let Some(config) = terms.config.clone() else {
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, "there is no certificate to be used"));
                };
                let session = ServerConnection::new(config).map_err(io::Error::other)?;
                let mut tls = Tls { session, since: Instant::now(), is_ended: false, end_is_told: false };
                let mut first = &into[..count];
                while !first.is_empty() {
                    tls.session.read_tls(&mut first)?;
                    tls.process(&mut self.stream)?;
                }
                self.way = Way::Tls(Box::new(tls));
                self.read(into)
            }
            Some(_) if terms.is_required => {
                // A few words always find room with somebody who has just come.
                let _ = self.stream.write(TLS_ALONE);
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "it takes connections by TLS alone"))
            }
            Some(_) => {
                self.way = Way::Plain;
                Ok(count)
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Wire for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Plain => self.stream.read(into),
            Way::Tls(tls) => tls.read(&mut self.stream, into),
            Way::New(terms, _) => {
                let terms = terms.clone();
                self.begin(&terms, into)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Plain | Way::New(..) => self.stream.write(bytes),
            Way::Tls(tls) => tls.write(&mut self.stream, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::Plain | Way::New(..) => Ok(()),
            Way::Tls(tls) => tls.send(&mut self.stream),
        }
    }

    fn has_unsent(&self) -> bool {
        matches!(&self.way, Way::Tls(tls) if tls.session.wants_write())
    }

    fn greets_since(&self) -> Option<Instant> {
        match &self.way {
            // Where a client may come plain, Redis lets it be silent.
            Way::New(terms, since) if terms.is_required => Some(*since),
            Way::Tls(tls) if tls.session.is_handshaking() => Some(tls.since),
            _ => None,
        }
    }

    fn has_more(&self) -> bool {
        matches!(&self.way, Way::Tls(tls) if tls.is_ended && !tls.end_is_told)
    }

    fn connected(&mut self) -> io::Result<()> {
        sockopt::socket_error(&self.stream)??;
        // There is no error yet either while it is under way.
        self.stream.peer_addr().map(drop).map_err(|error| match error.kind() {
            io::ErrorKind::NotConnected => io::ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }

    fn passage(&self) -> Passage {
        match &self.way {
            Way::Plain => Passage::AsItIs,
            Way::New(..) => Passage::Unspoken,
            Way::Tls(_) => Passage::Relayed,
        }
    }

    fn end_in_order(&mut self) {
        if let Way::Tls(tls) = &mut self.way {
            tls.session.send_close_notify();
            // What can't be sent at once is not waited for.
            let _ = tls.send(&mut self.stream);
        }
        // It fails only for what is no socket.
        let _ = sockopt::set_socket_linger(&self.stream, None);
    }
}

impl Tls {
    fn read(&mut self, stream: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without a word is an end too: a request that was cut off is none.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Ok(0) => {
                    self.end_is_told = true;
                    return Ok(0);
                }
                told => return told,
            }
            if self.session.read_tls(stream)? == 0 {
                return Ok(0);
            }
            self.process(stream)?;
        }
    }

    fn process(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        let processed = self.session.process_new_packets().map(|state| state.peer_has_closed());
        // A handshake's next words, or why there will be none.
        let sent = self.send(stream);
        self.is_ended |= processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        sent
    }

    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.send(stream)?;
        if self.session.wants_write() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.session.writer().write(&bytes[..bytes.len().min(AT_ONCE)])?;
        self.send(stream)?;
        Ok(count)
    }

    /// Sends what is encrypted, as far as the socket takes it.
    fn send(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(stream) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
