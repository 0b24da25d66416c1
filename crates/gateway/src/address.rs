use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use model::Vip;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, bind, listen, shutdown, socket_with, sockopt};
use tokio::net::TcpListener;

/// How many connections may wait to be accepted; the kernel's own limit may be lower.
const BACKLOG: i32 = 4096;

/// A customer's address, bound: nobody else can have it as long as this value lives. It either listens, or is closed
/// and refuses connections.
pub(crate) struct Address {
    socket: OwnedFd,
    closed: bool,
}

impl Address {
    /// Binds an address. It refuses connections until it listens, but is not safe from others until it either
    /// listens or is closed.
    pub(crate) fn bind(vip: Vip) -> io::Result<Address> {
        let family = if vip.0.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        if vip.0.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, true)?;
        }
        // A former gateway's connections may still be in TIME_WAIT at this address.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &vip.0)?;
        Ok(Address { socket, closed: false })
    }

    /// One that another process had, as it was there.
    pub(crate) fn inherit(socket: OwnedFd, closed: bool) -> Address {
        Address { socket, closed }
    }

    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Listens; the listener shares the socket, and [`close`](Self::close) silences it.
    pub(crate) fn listen(&mut self) -> io::Result<TcpListener> {
        let shared = self.socket.try_clone()?;
        self.start_listening()?;
        // A port that listens while nobody accepts would let clients hang.
        TcpListener::from_std(shared.into()).inspect_err(|_| drop(self.close()))
    }

    /// Refuses connections from now on, those that wait to be accepted included, while the port stays taken.
    ///
    /// Shutting a listening socket down takes it out of listening and leaves it bound. It must not allow reuse then,
    /// or any other socket that allows it could listen in its place. The kernel looks at that wish again only when a
    /// socket starts to listen, hence a socket that never has listens for a moment.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        if !self.closed {
            self.start_listening()?;
            sockopt::set_socket_reuseaddr(&self.socket, false)?;
            shutdown(&self.socket, Shutdown::Read)?;
            self.closed = true;
        }
        Ok(())
    }

    fn start_listening(&mut self) -> io::Result<()> {
        sockopt::set_socket_reuseaddr(&self.socket, true)?;
        listen(&self.socket, BACKLOG)?;
        self.closed = false;
        Ok(())
    }
}

/// Why an address could not be had, for a person.
pub(crate) fn explain(vip: Vip, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("another process has port {} of {}", vip.0.port(), vip.0.ip()),
        io::ErrorKind::AddrNotAvailable => format!("this host does not have the address {}", vip.0.ip()),
        io::ErrorKind::PermissionDenied => format!("this user may not listen on port {}", vip.0.port()),
        _ => format!("could not listen on {vip}: {error}"),
    }
}
