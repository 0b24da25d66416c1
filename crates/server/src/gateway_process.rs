//! The gateway's process: adopted where one runs, started where none does, started again at once when it dies, and
//! succeeded by another, without anybody's connection, when it is to be a new one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use control::Gateway;
use futures_util::future::BoxFuture;
use gateway::Client;
use model::{GatewayReport, InstanceId, Millis, RoutingTable, Sight};
use runtime::process::{ProcessRef, processes_below, spawn_detached};
use tokio::sync::{Mutex, Notify};

/// How long a new gateway may take until it answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long a gateway has for having everything handed over to it.
const SUCCEEDS_WITHIN: Duration = Duration::from_secs(20);
/// How often it is looked whether another server has replaced the gateway.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long an older gateway gets to end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked whether it has.
const LEAVES_LOOK: Duration = Duration::from_millis(10);
/// A gateway that dies at once is not started more often than this.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// The gateway of a data folder.
pub(crate) struct GatewayProcess {
    program: PathBuf,
    data: PathBuf,
    /// Where one that is started answers Prometheus.
    metrics: Option<SocketAddr>,
    client: Client,
    current: Mutex<Option<ProcessRef>>,
    /// Tells that the current one has succeeded another.
    is_replaced: Notify,
    /// As its last report said.
    release: std::sync::Mutex<String>,
}

impl GatewayProcess {
    /// For the gateway of this folder, to be started by this program.
    pub(crate) fn new(program: PathBuf, data: &Path, metrics: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(GatewayProcess {
            program,
            data: data.to_owned(),
            metrics,
            client: Client::new(data),
            current: Mutex::new(None),
            is_replaced: Notify::new(),
            release: std::sync::Mutex::new(env!("CARGO_PKG_VERSION").into()),
        })
    }

    /// Keeps a gateway running for as long as this is polled.
    pub(crate) async fn keep(self: Arc<Self>) {
        loop {
            if let Err(error) = self.ensure().await {
                tracing::warn!(error, "no gateway");
                tokio::time::sleep(RESTART_PAUSE).await;
                continue;
            }
            let Some(process) = self.current.lock().await.clone() else { continue };
            let ended = tokio::select! {
                ended = process.ended() => ended,
                () = self.is_another(&process) => continue,
                // The former one may go on, for clients of its own.
                () = self.is_replaced.notified() => continue,
            };
            if self.current.lock().await.as_ref() != Some(&process) {
                // Another one has succeeded it.
                continue;
            }
            match ended {
                Ok(()) => tracing::warn!("the gateway ended; it is started again"),
                Err(error) => tracing::warn!(%error, "the gateway can't be watched"),
            }
            tokio::time::sleep(RESTART_PAUSE / 10).await;
        }
    }

    /// Resolves when the gateway is another process than this, by the work of another server.
    async fn is_another(&self, process: &ProcessRef) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // One that was succeeded leaves the folder, and may go on for clients of its own.
            let works_in = std::fs::read_link(format!("/proc/{}/cwd", process.pid));
            if works_in.is_ok_and(|works_in| self.folder().canonicalize().is_ok_and(|folder| works_in != folder)) {
                let mut current = self.current.lock().await;
                if current.as_ref() == Some(process) {
                    *current = None;
                }
                return;
            }
        }
    }

    /// Servers that share the folder start gateways one at a time, so that each finds what the one before it has started.
    async fn start_alone(&self) -> std::io::Result<File> {
        std::fs::create_dir_all(self.folder())?;
        let lock = File::options().create(true).truncate(false).write(true).open(self.folder().join("start.lock"))?;
        let locked = async {
            while lock.try_lock().is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let locked = tokio::time::timeout(SUCCEEDS_WITHIN + ENDS_WITHIN, locked).await;
        locked.map_err(|_| std::io::Error::other("another server is starting one, and does not end"))?;
        Ok(lock)
    }

    fn folder(&self) -> PathBuf {
        self.data.join("gateway")
    }

    /// Whether a process runs the very file that this server would start.
    fn is_of_this_build(&self, process: &ProcessRef) -> bool {
        let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
        let runs = file(Path::new(&format!("/proc/{}/exe", process.pid)));
        runs.is_some() && runs == file(&self.program)
    }

    /// Notes of which release the gateway is, as far as it tells.
    fn note(&self, report: &GatewayReport) {
        if !report.release.is_empty() {
            self.release.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&report.release);
        }
    }

    async fn find_or_start(&self) -> std::io::Result<ProcessRef> {
        std::fs::create_dir_all(self.folder())?;
        // While one succeeds another there are two; the one that answers is the one that serves.
        if let Ok(report) = self.client.report().await
            && let Some(running) = process_of(&report)?
        {
            return Ok(running);
        }
        if let Some(running) = processes_below(&self.folder())?.into_iter().next() {
            return Ok(running);
        }
        self.start(false)
    }

    /// Starts one that takes the place of the one that runs, and waits until it has.
    async fn succeed(&self) -> Result<ProcessRef, String> {
        let successor = self.start(true).map_err(|error| format!("a gateway can't be started: {error}"))?;
        let takes_over = async {
            loop {
                // While everything is handed over, nobody answers.
                if let Ok(report) = self.client.report().await
                    && i64::from(report.pid) == i64::from(successor.pid)
                {
                    self.note(&report);
                    return true;
                }
                if !successor.is_alive().unwrap_or(true) {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        match tokio::time::timeout(SUCCEEDS_WITHIN, takes_over).await {
            Ok(true) => Ok(successor),
            Ok(false) => Err("the new gateway did not take over, and the former one goes on; its log says why".into()),
            Err(_) => Err("the new gateway does not take over".into()),
        }
    }

    /// Waits for a gateway that was succeeded to be gone from the folder; whether it is.
    async fn is_left_by(&self, former: &ProcessRef) -> bool {
        let leaves = async {
            while processes_below(&self.folder()).map_or(true, |those| those.contains(former)) {
                tokio::time::sleep(LEAVES_LOOK).await;
            }
        };
        tokio::time::timeout(ENDS_WITHIN, leaves).await.is_ok()
    }

    fn start(&self, succeeds: bool) -> std::io::Result<ProcessRef> {
        let mut args: Vec<OsString> = vec!["gateway".into(), "--data".into(), self.data.clone().into()];
        if let Some(metrics) = self.metrics {
            args.extend(["--metrics".into(), metrics.to_string().into()]);
        }
        if succeeds {
            args.push("--succeed".into());
        }
        let args: Vec<_> = args.iter().map(OsString::as_os_str).collect();
        spawn_detached(&self.program, &args, &self.folder(), b"", &self.folder().join("gateway.log"))
    }
}

fn process_of(report: &GatewayReport) -> std::io::Result<Option<ProcessRef>> {
    match i32::try_from(report.pid) {
        Ok(pid @ 1..) => ProcessRef::of(pid),
        _ => Ok(None),
    }
}

impl Gateway for GatewayProcess {
    fn ensure(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            // Held until it answers, so that whoever comes next finds one that does.
            let mut current = self.current.lock().await;
            if let Some(process) = &*current
                && process.is_alive().unwrap_or(false)
            {
                return Ok(());
            }
            let alone = self.start_alone().await.map_err(|error| format!("a gateway can't be started: {error}"))?;
            let process = self.find_or_start().await.map_err(|error| format!("a gateway can't be started: {error}"))?;
            *current = Some(process);
            let answers = async {
                loop {
                    match self.client.report().await {
                        Ok(report) => return self.note(&report),
                        Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
                    }
                }
            };
            let answered = tokio::time::timeout(ANSWERS_WITHIN, answers).await;
            drop(alone);
            answered.map_err(|_| "the gateway was started and does not answer; its log says why".to_owned())
        })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.ensure().await?;
            let running = self.current.lock().await.clone();
            match running {
                Some(process) if self.is_of_this_build(&process) => Ok(()),
                _ => self.replace().await,
            }
        })
    }

    fn replace(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.ensure().await?;
            // Held until there is another, so that nobody takes the end of this one for its death.
            let mut current = self.current.lock().await;
            let alone = self.start_alone().await.map_err(|error| format!("the gateway can't be replaced: {error}"))?;
            let Some(process) = current.clone() else { return Err("the gateway has just ended".into()) };
            let report = self.client.report().await.map_err(|error| error.to_string())?;
            if report.pid != 0 {
                *current = Some(self.succeed().await?);
                self.is_replaced.notify_one();
                // By itself, or it leaves: what it still does is not of this folder.
                if self.is_left_by(&process).await {
                    return Ok(());
                }
            }
            // One that is too old to be succeeded takes its connections with it.
            let ended = tokio::task::spawn_blocking(move || process.terminate(ENDS_WITHIN)).await;
            let ended = ended.map_err(std::io::Error::other).flatten();
            ended.map_err(|error| format!("the former gateway can't be ended: {error}"))?;
            drop((current, alone));
            self.ensure().await
        })
    }

    fn release(&self) -> String {
        self.release.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold<'a>(&'a self, instance: &'a InstanceId, at_most: Duration) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move { self.client.hold(instance, at_most).await.map_err(|error| error.to_string()) })
    }

    fn resume<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move { self.client.release(instance).await.map_err(|error| error.to_string()) })
    }

    fn report(&self) -> BoxFuture<'_, Result<GatewayReport, String>> {
        Box::pin(async move { self.client.report().await.map_err(|error| error.to_string()) })
    }

    fn sight<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<Sight, String>> {
        Box::pin(async move { self.client.sight(instance).await.map_err(|error| error.to_string()) })
    }

    fn sights(&self, after: Millis) -> BoxFuture<'_, Result<BTreeMap<InstanceId, Sight>, String>> {
        Box::pin(async move { self.client.sights(after).await.map_err(|error| error.to_string()) })
    }

    fn publish(&self, table: RoutingTable) -> BoxFuture<'_, Result<GatewayReport, String>> {
        Box::pin(async move {
            let report = self.client.publish(&table).await.map_err(|error| error.to_string())?;
            self.note(&report);
            Ok(report)
        })
    }
}
