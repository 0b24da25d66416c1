use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt;

/// A client that is silent for so long is asked whether it is there ...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// ... and again after each of these ...
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// ... until so many were not answered.
const KEEPALIVE_PROBES: u32 = 4;

/// Where a client comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddr(pub(crate) SocketAddr);

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Makes a client's connection quick, and has it end when the client is gone without a word, and with a reset where it is
/// closed before its time, as by the death of this process.
pub(crate) fn prepare(client: &TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    sockopt::set_socket_linger(client, Some(Duration::ZERO))?;
    sockopt::set_tcp_keepidle(client, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(client, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(client, KEEPALIVE_PROBES)?;
    sockopt::set_socket_keepalive(client, true)?;
    Ok(())
}
