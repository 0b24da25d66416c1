use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use crate::destination::{Destination, Start, Visit};
use crate::dial::{dial, outlived};
use crate::exchange::{End, Exchange};
use crate::instance::Guest;

/// A client that is silent for so long is asked whether it is there ...
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// ... and again after each of these ...
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// ... until so many were not answered.
const KEEPALIVE_PROBES: u32 = 4;
/// How long a client may keep its side open after the node has ended, as long as a kernel waits in FIN_WAIT_2.
const PARTED_FOR: Duration = Duration::from_secs(60);

/// Where a client comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddr(pub(crate) SocketAddr);

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Serves one client from its arrival to its end. It is counted until its connection is closed.
pub(crate) async fn serve(mut visit: Visit, guest: Guest, client: TcpStream, from: ClientAddr) {
    if let Err(error) = prepare_client(&client) {
        return debug!(%from, %error, "the client was gone before it was served");
    }
    let Some((node, start)) = dial(&visit.destination).await else {
        return debug!(%from, "reset a client: there is no node to reach");
    };
    visit.reaches(&start);
    if let Err(error) = prepare(&node) {
        return debug!(%from, %error, "the node was gone before it was used");
    }
    let mut exchange = Exchange::new(guest, client, node);
    tokio::select! {
        // First, so that nothing is carried to a node which the table no longer names.
        biased;
        () = visit.destination.abandons(&start) => debug!(%from, node = %start.addr, "reset: the target changed"),
        () = carry(&mut exchange, &visit.destination, &start) => {}
    }
}

/// Carries an exchange to its end, and says how each connection is to be closed when it is dropped: with a reset,
/// unless [`end_in_order`] was called for it.
///
/// A node's end needs judgement, since the kernel closes the connections of a process that was killed as if it had
/// closed them itself. Passed on as it is, that would tell a client that its last requests were never made. So a
/// client sees an orderly end only where the node has clearly chosen it:
///
/// - The node must have spoken last. A request in flight that gets no reply ends in a reset.
/// - Then, if the client ended its side and the node said nothing after that, the node's end is the answer to it.
/// - Else the node must outlive it: asked by a connection of its own, it still accepts. Requests may have been
///   pipelined behind the last reply, or a subscriber be waiting for what will not come.
///
/// So QUIT, an idle time-out and CLIENT KILL of a client that waits for nothing are orderly ends, and any death is a
/// reset.
async fn carry(exchange: &mut Exchange, destination: &Destination, start: &Start) {
    match exchange.run().await {
        // What the client has sent should still arrive.
        End::ClientLost => return end_in_order(&exchange.node),
        End::NodeLost => return,
        End::NodeEnded | End::BothEnded => {}
    }
    let closed_at = Instant::now();
    if exchange.is_unanswered || !(exchange.is_parted || outlived(destination, start, closed_at).await) {
        return;
    }
    exchange.end_client();
    // Whether the client ends its side too or lets its time pass, nothing is left to be said.
    let _ = timeout(PARTED_FOR, exchange.run()).await;
    end_in_order(&exchange.node);
    if !exchange.is_unanswered {
        end_in_order(&exchange.client);
    }
}

fn prepare_client(client: &TcpStream) -> io::Result<()> {
    prepare(client)?;
    sockopt::set_tcp_keepidle(client, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(client, KEEPALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(client, KEEPALIVE_PROBES)?;
    sockopt::set_socket_keepalive(client, true)?;
    Ok(())
}

/// Makes a connection quick, and has it end with a reset if it is closed before its time: by a changed table, a lost
/// peer or the death of this process.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_linger(stream, Some(Duration::ZERO))?;
    Ok(())
}

/// Has a connection end in order, with all that was written to it delivered.
fn end_in_order(stream: &TcpStream) {
    // It fails only for what is no socket.
    let _ = sockopt::set_socket_linger(stream, None);
}
