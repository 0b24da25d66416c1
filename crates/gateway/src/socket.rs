//! A client's or a node's connection, by TLS or plain.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::net::sockopt;
use rustls::ServerConnection;

use crate::tls::Terms;
use crate::world::Wire;

/// What a connection by TLS begins with; no request does.
const HANDSHAKE: u8 = 0x16;
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
    /// It has said nothing yet, and may come by TLS.
    New(Arc<Terms>),
    Tls(Box<ServerConnection>),
}

impl Socket {
    /// A connection that is plain.
    pub(crate) fn plain(stream: TcpStream) -> Socket {
        Socket { stream, way: Way::Plain }
    }

    /// A client's, which may be by TLS where there are terms for that.
    pub(crate) fn of_client(stream: TcpStream, terms: Option<Arc<Terms>>) -> Socket {
        Socket { stream, way: terms.map_or(Way::Plain, Way::New) }
    }

    /// Reads what a connection begins with, which tells how it goes on.
    fn begin(&mut self, terms: &Terms, into: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(into)?;
        match into[..count].first() {
            None => Ok(0),
            Some(&HANDSHAKE) => {
                let mut session = ServerConnection::new(terms.config.clone()).map_err(io::Error::other)?;
                let mut first = &into[..count];
                while !first.is_empty() {
                    session.read_tls(&mut first)?;
                    process(&mut session, &mut self.stream)?;
                }
                self.way = Way::Tls(Box::new(session));
                self.read(into)
            }
            Some(_) if terms.is_required => {
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
            Way::Tls(session) => read(session, &mut self.stream, into),
            Way::New(terms) => {
                let terms = terms.clone();
                self.begin(&terms, into)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Plain | Way::New(_) => self.stream.write(bytes),
            Way::Tls(session) => write(session, &mut self.stream, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.way {
            Way::Plain | Way::New(_) => Ok(()),
            Way::Tls(session) => send(session, &mut self.stream),
        }
    }

    fn has_unsent(&self) -> bool {
        matches!(&self.way, Way::Tls(session) if session.wants_write())
    }

    fn is_greeting(&self) -> bool {
        matches!(&self.way, Way::Tls(session) if session.is_handshaking())
    }

    fn connected(&mut self) -> io::Result<()> {
        sockopt::socket_error(&self.stream)??;
        // There is no error yet either while it is under way.
        self.stream.peer_addr().map(drop).map_err(|error| match error.kind() {
            io::ErrorKind::NotConnected => io::ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }

    fn can_move(&self) -> bool {
        // What is agreed on by TLS is known in this process alone.
        matches!(self.way, Way::Plain)
    }

    fn end_in_order(&mut self) {
        if let Way::Tls(session) = &mut self.way {
            session.send_close_notify();
            // What can't be sent at once is not waited for.
            let _ = send(session, &mut self.stream);
        }
        // It fails only for what is no socket.
        let _ = sockopt::set_socket_linger(&self.stream, None);
    }
}

fn read(session: &mut ServerConnection, stream: &mut TcpStream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match session.reader().read(into) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // An end without a word is an end too: a request that was cut off is none.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            told => return told,
        }
        if session.read_tls(stream)? == 0 {
            return Ok(0);
        }
        process(session, stream)?;
    }
}

fn process(session: &mut ServerConnection, stream: &mut TcpStream) -> io::Result<()> {
    let processed = session.process_new_packets().map(drop);
    // A handshake's next words, or why there will be none.
    let sent = send(session, stream);
    processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    sent
}

fn write(session: &mut ServerConnection, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    send(session, stream)?;
    if session.wants_write() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let count = session.writer().write(&bytes[..bytes.len().min(AT_ONCE)])?;
    send(session, stream)?;
    Ok(count)
}

/// Sends what is encrypted, as far as the socket takes it.
fn send(session: &mut ServerConnection, stream: &mut TcpStream) -> io::Result<()> {
    while session.wants_write() {
        match session.write_tls(stream) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
