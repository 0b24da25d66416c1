use std::io;
use std::time::{Duration, Instant};

use model::NodeAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::destination::{Destination, Start};

/// How long a client waits for a node that does not answer, such as one that is restarting.
const DIAL_FOR: Duration = Duration::from_secs(10);
/// Between two attempts. It is what a client may lose against the moment in which the node is back.
const DIAL_PAUSE: Duration = Duration::from_millis(20);
/// How long a node may take to accept or to refuse when it is asked whether it lives.
const KNOCK_FOR: Duration = Duration::from_secs(1);

/// Connects to the node that an address leads to. While nothing answers there it tries again, following the target
/// where it changes; `None` once the address is closed, or when time is up.
pub(crate) async fn dial(destination: &Destination) -> Option<(TcpStream, Start)> {
    let dialing = async {
        let mut changes = destination.changes();
        // Only one of those who wait dials on and on; once it has got through the others follow. Thousands of them
        // would otherwise take the host's time from the very node that they wait for.
        let mut turn = None;
        loop {
            let start = destination.start()?;
            let answer = tokio::select! {
                answer = TcpStream::connect(start.addr.0) => answer,
                () = changes.next() => continue,
            };
            match answer {
                Ok(node) if destination.meet(&start) => return Some((node, start)),
                Ok(_) => continue,
                Err(error) => {
                    debug!(node = %start.addr, %error, "the node does not answer");
                    if is_refusal(&error) {
                        destination.refused_by(&start);
                    }
                }
            }
            if turn.is_none() {
                turn = Some(destination.turn.lock().await);
                continue;
            }
            tokio::select! {
                () = sleep(DIAL_PAUSE) => {}
                () = changes.next() => {}
            }
        }
    };
    timeout(DIAL_FOR, dialing).await.ok().flatten()
}

/// Whether the node lived on after it had closed a connection at `closed_at`. Where that can't be found out it is
/// taken for dead.
pub(crate) async fn outlived(destination: &Destination, start: &Start, closed_at: Instant) -> bool {
    // One at a time, and each answer serves all whose connection was closed before the question.
    let mut lived_at = destination.lived_at.lock().await;
    if !destination.leads_to(start) {
        return false;
    }
    if lived_at.is_some_and(|at| at > closed_at) {
        return true;
    }
    let asked_at = Instant::now();
    match knock(start.addr).await {
        Ok(()) => {
            *lived_at = Some(asked_at);
            true
        }
        Err(error) => {
            if is_refusal(&error) {
                destination.refused_by(start);
            }
            false
        }
    }
}

/// Asks a node whether it lives: by a connection that is ended at once, which a living one accepts and ends too.
///
/// That it could be made proves nothing: while a process dies the kernel closes its connections before the socket
/// that listens, and takes new ones in meanwhile. Those it resets when the listening socket is closed.
async fn knock(addr: NodeAddr) -> io::Result<()> {
    let mut stream = timeout(KNOCK_FOR, TcpStream::connect(addr.0)).await??;
    stream.shutdown().await?;
    match timeout(KNOCK_FOR, stream.read(&mut [0])).await {
        Ok(answer) => answer.map(drop),
        // Neither accepted nor reset: it is busy, with a slow script perhaps.
        Err(_) => Ok(()),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Epoch, NodeId, Target};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_start_that_refuses_is_over_and_the_one_that_answers_in_its_place_is_kept_by_the_next_table() {
        let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = NodeAddr(node.local_addr().unwrap());
        let target = |epoch| Some(Target { node: NodeId::from_random([1; 20]), addr, epoch: Epoch(epoch) });
        let destination = Arc::new(Destination::closed());
        destination.lead_to(target(1));
        let (_, first) = dial(&destination).await.unwrap();

        drop(node);
        let waiting = destination.clone();
        let waiting = tokio::spawn(async move { dial(&waiting).await.unwrap().1 });
        while destination.leads_to(&first) {
            tokio::task::yield_now().await;
        }
        let _node = TcpListener::bind(addr.0).await.unwrap();
        let second = waiting.await.unwrap();
        destination.lead_to(target(2));
        assert!(destination.leads_to(&second));
    }
}
