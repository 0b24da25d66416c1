//! Waits until a process listens. That is asked of the kernel and not by connecting: what accepts at the address may be
//! another program, and ours about to find that out; and who connects to a free port from the range that the kernel
//! takes outgoing ports from may by chance connect to himself, and so keep the port from the one who is to have it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::process::{ProcessRef, unless_gone};

/// How often it is looked: a start takes some milliseconds, and somebody waits for it.
const EVERY: Duration = Duration::from_micros(500);

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listening {
    Yes,
    /// It ended before.
    Died,
    /// It lives, but doesn't listen yet.
    NotYet,
}

/// Waits until the process listens at the address, or ends, or `limit` has passed. Blocks.
pub(super) fn wait(process: &ProcessRef, addr: SocketAddr, limit: Duration) -> io::Result<Listening> {
    let Some(handle) = process.open()? else { return Ok(Listening::Died) };
    let deadline = Instant::now() + limit;
    loop {
        if listens(process.pid, addr)? {
            return Ok(Listening::Yes);
        }
        if handle.wait(EVERY)? {
            return Ok(Listening::Died);
        }
        if Instant::now() >= deadline {
            return Ok(Listening::NotYet);
        }
    }
}

/// Whether the process has the socket that listens at exactly this address.
fn listens(pid: i32, addr: SocketAddr) -> io::Result<bool> {
    let sockets = sockets(pid)?;
    // Its own few files are read quickly, and as long as no socket is among them the table of all need not be.
    Ok(!sockets.is_empty() && listener(pid, addr)?.is_some_and(|inode| sockets.contains(&inode)))
}

/// The inodes of the sockets that the process has open.
fn sockets(pid: i32) -> io::Result<Vec<u64>> {
    let Some(fds) = unless_gone(fs::read_dir(format!("/proc/{pid}/fd")))? else { return Ok(Vec::new()) };
    let mut sockets = Vec::new();
    for fd in fds {
        let Some(fd) = unless_gone(fd)? else { continue };
        let Some(link) = unless_gone(fs::read_link(fd.path()))? else { continue };
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
        sockets.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(sockets)
}

/// The inode of the socket that listens at exactly this address, in the network of the process.
fn listener(pid: i32, addr: SocketAddr) -> io::Result<Option<u64>> {
    let table = if addr.is_ipv4() { "tcp" } else { "tcp6" };
    let Some(table) = unless_gone(File::open(format!("/proc/{pid}/net/{table}")))? else { return Ok(None) };
    for line in BufReader::new(table).lines().skip(1) {
        let line = line?;
        let Some(socket) = Socket::parse(&line) else { continue };
        // Those that listen come first in the table; the connections after them may be many.
        if !socket.listens {
            break;
        }
        if socket.addr == table_form(addr) {
            return Ok(Some(socket.inode));
        }
    }
    Ok(None)
}

/// A line of `/proc/net/tcp`.
#[derive(Debug, PartialEq, Eq)]
struct Socket<'a> {
    addr: &'a str,
    listens: bool,
    inode: u64,
}

impl<'a> Socket<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let addr = fields.nth(1)?;
        let listens = fields.nth(1)? == "0A";
        let inode = fields.nth(5)?.parse().ok()?;
        Some(Socket { addr, listens, inode })
    }
}

/// An address as `/proc/net/tcp` writes it: words of 32 bits in the host's own order.
fn table_form(addr: SocketAddr) -> String {
    let bytes = match addr.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.as_chunks().0.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word)));
    format!("{}:{:04X}", words.collect::<String>(), addr.port())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_line_of_the_table_is_understood() {
        let line =
            "   0: 0100007F:1B59 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 38890 1 0";
        assert_eq!(Socket::parse(line), Some(Socket { addr: "0100007F:1B59", listens: true, inode: 38890 }));
    }

    #[test]
    fn the_one_who_listens_is_known_from_others() {
        let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        for any in ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(any) else { continue };
            let addr = listener.local_addr().unwrap();
            assert!(listens(std::process::id() as i32, addr).unwrap(), "{addr}");
            assert!(!listens(other.id() as i32, addr).unwrap(), "{addr}");
            drop(listener);
            assert!(!listens(std::process::id() as i32, addr).unwrap(), "{addr}");
        }
        other.kill().and_then(|()| other.wait()).unwrap();
    }
}
