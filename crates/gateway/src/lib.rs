//! The data plane: keeps the customers' addresses, and carries their connections to the nodes.
//!
//! The gateway is a process of its own, so that the control plane can crash or be upgraded beneath open connections.
//! It reads a whole [`RoutingTable`](model::RoutingTable), which the control plane publishes through a [`Client`],
//! and nothing else. The table last in force is kept in a file: a gateway that restarts alone brings every address
//! back at once.
//!
//! Below: `folder` is what the process has on disk, `control` how it is spoken to, `table` what it brings into
//! force. A `door` is one customer's address and an `instance` what the connections of all its addresses share. Clients
//! are served by an `event_loop` a core, each with an `exchange` that puts them through to nodes: it finds requests
//! (`framing`) and replies (`replies`) in what passes, knows what a request means (`commands`, `login`), and what of a client
//! must be carried over to another connection (`session`, `scripts`). `world` is what it does that to, and
//! `sight` what is seen of all that.

mod address;
mod client;
mod commands;
mod connection;
mod control;
mod door;
mod event_loop;
mod exchange;
mod folder;
mod framing;
mod instance;
mod login;
mod replies;
mod scripts;
mod session;
mod sight;
mod table;
mod world;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Millis;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

pub use client::{Client, ClientError};
use event_loop::Of;
use folder::Folder;
use table::{Gateway, Loops};

/// How often what could not be brought into force is tried again.
const HEAL_EVERY: Duration = Duration::from_secs(1);
/// How long to leave a listener alone that has no file descriptor for the next connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another one has this data folder.
    #[error("another gateway already runs in {}", .0.display())]
    AlreadyRunning(PathBuf),
    /// The data folder could not be used.
    #[error("could not {doing} {}", path.display())]
    Folder {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The threads that serve clients could not be started.
    #[error("could not start to serve clients")]
    Loops(#[source] io::Error),
}

/// Runs the gateway of the data folder `dir` until `stop` resolves, then closes every address, resets every
/// connection and returns. Without a control plane it goes on with the table last in force.
///
/// It raises the process's soft limit of open files to the hard one, since a connection takes two.
///
/// The work is small and never blocks, so two worker threads serve one machine well and one is enough for a laptop;
/// each connection stays on whichever is free:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
/// runtime.block_on(gateway::run("/var/lib/opencrs".as_ref(), std::future::pending()))?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// Where another gateway runs in `dir`, or where its folder can't be made, locked or listened in. Once it runs,
/// nothing ends it but `stop`.
pub async fn run(dir: &Path, stop: impl Future<Output = ()>) -> Result<(), Error> {
    run_with_metrics(dir, None, stop).await
}

/// As [`run`]; answers Prometheus besides, at `metrics`, and writes where that is into `gateway/metrics.addr`. An address
/// that can't be listened on is no reason not to start.
///
/// # Errors
/// As [`run`].
pub async fn run_with_metrics(
    dir: &Path,
    metrics: Option<SocketAddr>,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    raise_file_limit();
    let folder = Arc::new(Folder::open(dir)?);
    // Whoever publishes while the last table is being restored waits, and is not turned away.
    let control = folder.listen()?;
    let metrics = listen_for_metrics(&folder, metrics).await;
    let loops = Loops::start().map_err(Error::Loops)?;
    let gateway = Arc::new(Mutex::new(Gateway::restore(folder.clone(), loops).await));

    let mut callers = JoinSet::new();
    if let Some(metrics) = metrics {
        let seen = gateway.clone();
        callers.spawn(sight::metrics::serve(metrics, move || {
            let seen = seen.clone();
            async move {
                let sights = seen.lock().await.sights(Of::SeenAfter(Millis(i64::MIN)));
                sights.await
            }
        }));
    }
    let mut heal = interval(HEAL_EVERY);
    heal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = control.accept() => match accepted {
                Ok((stream, _)) => {
                    callers.spawn(control::answer(stream, gateway.clone()));
                }
                Err(error) => {
                    warn!(%error, "could not accept a control connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = callers.join_next() => {}
            _ = heal.tick() => gateway.lock().await.heal().await,
        }
    }
    callers.shutdown().await;
    gateway.lock().await.close().await;
    folder.stop_listening();
    info!("the gateway has ended");
    Ok(())
}

async fn listen_for_metrics(folder: &Folder, addr: Option<SocketAddr>) -> Option<TcpListener> {
    let outcome = match addr {
        Some(addr) => sight::metrics::listen(addr).await.map(Some),
        None => Ok(None),
    };
    let outcome = outcome.and_then(|listening| {
        folder.note_metrics(listening.as_ref().map(|(_, addr)| *addr))?;
        Ok(listening.map(|(listener, _)| listener))
    });
    outcome.unwrap_or_else(|error| {
        warn!(%error, ?addr, "could not answer Prometheus");
        None
    })
}

fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        warn!(%error, "could not raise the limit of open files");
    }
}
