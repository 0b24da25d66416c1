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
//! must be carried over to another connection (`session`, `scripts`). `world` is what it does that to (`socket`, with `tls`), and
//! `sight` what is seen of all that. `succession` is how another process takes the place of this one, and `relay` what is left to do here then.
//! A `simulation` plays the exchange through in worlds that are made up.

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
mod relay;
mod replies;
mod scripts;
mod session;
mod sight;
/// Worlds for the exchange that are made up: for tests, and for fuzzers.
#[cfg(any(test, feature = "simulation"))]
#[doc(hidden)]
pub mod simulation;
mod socket;
mod succession;
mod table;
mod tls;
mod world;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::Millis;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Mutex;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

pub use client::{Client, ClientError};
use event_loop::Of;
use folder::Folder;
use succession::Estate;
use table::{Gateway, Loops, Sockets};

/// How often what could not be brought into force is tried again.
const HEAL_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether anybody is still relayed.
const RELAYS_LOOK: Duration = Duration::from_millis(100);
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
    /// The gateway that runs has handed nothing over, and goes on.
    #[error("the gateway that runs did not hand over")]
    NotSucceeded(#[source] io::Error),
}

/// Runs the gateway of the data folder `dir` until `stop` resolves, then closes every address, resets every
/// connection and returns. Without a control plane it goes on with the table last in force.
///
/// It raises the process's soft limit of open files to the hard one, since each connection takes one.
///
/// Clients are served by threads of its own, one a core; the runtime has what is beside that, which is little:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
/// let stop = std::future::pending;
/// let relays = runtime.block_on(gateway::run("/var/lib/opencrs".as_ref(), stop()))?;
/// // Where there are any, the gateway of this folder is another by now.
/// runtime.block_on(relays.run(stop()));
/// # Ok(()) }
/// ```
///
/// # Errors
/// Where another gateway runs in `dir`, or where its folder can't be made, locked or listened in. Once it runs,
/// nothing ends it but `stop`.
pub async fn run(dir: &Path, stop: impl Future<Output = ()>) -> Result<Relays, Error> {
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
) -> Result<Relays, Error> {
    raise_file_limit();
    begin(Folder::open(dir)?, metrics, stop).await
}

/// As [`run_with_metrics`], in the place of the gateway that runs in `dir`, if one does: that hands over all its addresses
/// and connections, and ends. No client or node can tell. Whoever else comes meanwhile waits.
///
/// # Errors
/// As [`run`]; and where the gateway that runs hands nothing over, as one that is too old does. It goes on then.
pub async fn succeed(dir: &Path, metrics: Option<SocketAddr>, stop: impl Future<Output = ()>) -> Result<Relays, Error> {
    raise_file_limit();
    match Folder::open(dir) {
        Ok(folder) => return begin(folder, metrics, stop).await,
        Err(Error::AlreadyRunning(_)) => {}
        Err(error) => return Err(error),
    }
    let fail = Error::NotSucceeded;
    let of = dir.to_owned();
    let mut estate =
        spawn_blocking(move || Estate::receive(&of)).await.map_err(io::Error::other).flatten().map_err(fail)?;
    // What can fail is done before anything is this process's own.
    let loops = Loops::start().map_err(Error::Loops)?;
    let control = UnixListener::from_std(estate.control.try_clone().map_err(fail)?.into()).map_err(fail)?;
    let listening =
        estate.metrics.take().map(|socket| TcpListener::from_std(socket.into())).transpose().map_err(fail)?;
    let folder = Arc::new(Folder::inherit(dir, estate.lock.try_clone().map_err(fail)?)?);
    let taking = spawn_blocking(move || estate.take().map(|()| estate)).await;
    let estate = taking.map_err(io::Error::other).flatten().map_err(fail)?;
    let gateway = Gateway::take_over(folder.clone(), loops, estate).await;
    let metrics = match (listening, metrics) {
        (Some(listener), Some(addr)) if listener.local_addr().is_ok_and(|of| addr == of || addr.port() == 0) => {
            Some(listener)
        }
        (former, addr) => {
            drop(former);
            listen_for_metrics(&folder, addr).await
        }
    };
    Ok(serve(folder, control, metrics, gateway, stop).await)
}

/// What is left for a gateway to do when another has [succeeded](succeed) it: how its clients by TLS encrypt is known in its
/// process alone, so it goes on encrypting for the successor until they are gone. Dropping this resets them.
///
/// The folder is the successor's alone by then; whoever tells a gateway by what its process is in must have it leave.
#[must_use]
pub struct Relays(Option<Loops>);

impl Relays {
    /// Whether nobody is left.
    pub fn are_over(&self) -> bool {
        self.0.as_ref().is_none_or(Loops::are_over)
    }

    /// Resolves once nobody is left, or when `stop` does, which resets who is.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        while !self.are_over() {
            tokio::select! {
                () = &mut stop => break,
                () = sleep(RELAYS_LOOK) => {}
            }
        }
    }
}

async fn begin(folder: Folder, metrics: Option<SocketAddr>, stop: impl Future<Output = ()>) -> Result<Relays, Error> {
    let folder = Arc::new(folder);
    // Whoever publishes while the last table is being restored waits, and is not turned away.
    let control = folder.listen()?;
    let metrics = listen_for_metrics(&folder, metrics).await;
    let loops = Loops::start().map_err(Error::Loops)?;
    let gateway = Gateway::restore(folder.clone(), loops).await;
    Ok(serve(folder, control, metrics, gateway, stop).await)
}

/// Runs a gateway whose table is in force.
async fn serve(
    folder: Arc<Folder>,
    control: UnixListener,
    metrics: Option<TcpListener>,
    mut gateway: Gateway,
    stop: impl Future<Output = ()>,
) -> Relays {
    let shared = |socket: BorrowedFd<'_>| socket.try_clone_to_owned();
    match (shared(control.as_fd()), metrics.as_ref().map(|metrics| shared(metrics.as_fd())).transpose()) {
        (Ok(control), Ok(metrics)) => gateway.has_sockets(Sockets { control, metrics }),
        (Err(error), _) | (_, Err(error)) => warn!(%error, "no successor can take over"),
    }
    let over = gateway.over();
    let gateway = Arc::new(Mutex::new(gateway));
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
            () = over.notified() => break,
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
    // A successor that takes over right now is waited for: halfway there would be two.
    let mut last = gateway.lock().await;
    callers.shutdown().await;
    if last.is_over() {
        info!("the gateway has ended, having been succeeded");
        return last.relays();
    }
    last.close().await;
    folder.stop_listening();
    info!("the gateway has ended");
    Relays(None)
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
