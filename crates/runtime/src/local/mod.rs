//! Nodes as real processes of this host.
//!
//! `DIR/nodes/<node id>/` is a node's folder: its data, its access list, its log, the record of its process; and the
//! working folder of everything that runs for it. `DIR/fences/<node id>` is the right to act on it.
//!
//! What must stay true:
//! - Never do two engines run in one folder. Who starts one holds the fence, and has ended all that ran there.
//! - Never is there a process that can't be found: before it is recorded, its working folder gives it away.
//! - Never does a node end because the one who started it does.
//! - Never is a secret in a file, in arguments or in an environment.
//!
//! Several services may share DIR: nothing is remembered in memory that another one could change.

mod config;
mod deaths;
mod engines;
mod fence;
mod folder;
mod listen;
mod logs;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use model::{Epoch, NodeId, NodeSpec};
use tokio::sync::broadcast;
use tokio::task::spawn_blocking;

use self::deaths::Deaths;
pub use self::engines::EngineSearch;
use self::engines::Engines;
use self::fence::Fence;
use self::folder::{NodeFolder, Record};
use self::listen::Listening;
use crate::process::{ProcessRef, spawn_detached};
use crate::{Engine, NodeEvent, NodeState, Runtime, RuntimeError, Usage};

/// How long a node gets to listen. It does so before it loads its data, so this is long.
const LISTEN_WITHIN: Duration = Duration::from_secs(10);

/// How long a node gets to end by itself: somewhat longer than the 10 s that Redis waits for its replicas.
const END_WITHIN: Duration = Duration::from_secs(12);

/// Logs are rotated beyond this size in bytes.
const LOG_LIMIT: u64 = 16 << 20;

/// Runs nodes as processes of this host. Dropping it ends nothing but its watch over them.
pub struct LocalRuntime {
    host: Arc<Host>,
}

impl LocalRuntime {
    /// Opens a folder of nodes, which is made where it is missing, and watches over the nodes that run.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open(dir: PathBuf, engines: EngineSearch) -> Result<Arc<LocalRuntime>, RuntimeError> {
        let host = Host::open(&dir, engines).doing(|| format!("open the folder of nodes {}", dir.display()))?;
        let host = Arc::new(host);
        for (node, record) in host.running()? {
            host.deaths.follow(&node, &record);
        }
        let later = host.clone();
        spawn_blocking(move || later.tidy());
        Ok(Arc::new(LocalRuntime { host }))
    }

    /// Moves the logs away that have grown large; a few older ones are kept. To be called now and then.
    pub fn rotate_logs(&self) -> BoxFuture<'_, Result<(), RuntimeError>> {
        self.on_host(|host| {
            for node in host.nodes()? {
                let log = host.folder(&node).file(config::LOG);
                logs::rotate(&log, LOG_LIMIT).doing(|| format!("rotate the log of node {node}"))?;
            }
            Ok(())
        })
    }

    /// All work is done on a thread that may block, and goes on to its end even where nobody waits for it any more.
    fn on_host<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Host) -> Result<T, RuntimeError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, RuntimeError>> {
        let host = self.host.clone();
        let done = async move {
            let done = spawn_blocking(move || work(&host)).await;
            done.map_err(io::Error::other).doing(|| "finish an act on a node".into())?
        };
        done.boxed()
    }
}

impl Runtime for LocalRuntime {
    fn engines(&self) -> Vec<Engine> {
        let mut engines: Vec<Engine> = self.host.engines.programs().iter().map(|program| program.engine).collect();
        engines.sort();
        engines.dedup();
        engines
    }

    fn ensure(&self, spec: NodeSpec) -> BoxFuture<'_, Result<NodeState, RuntimeError>> {
        self.on_host(move |host| host.ensure(&spec))
    }

    fn stop(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>> {
        self.on_host(move |host| host.stop(&node, epoch))
    }

    fn kill(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>> {
        self.on_host(move |host| host.kill(&node, epoch))
    }

    fn remove(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>> {
        self.on_host(move |host| host.remove(&node, epoch))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<NodeState>, RuntimeError>> {
        self.on_host(|host| {
            let running = host.running()?;
            // Another service may have started some.
            running.iter().for_each(|(node, record)| host.deaths.follow(node, record));
            Ok(running.into_iter().map(|(node, record)| record.state(node)).collect())
        })
    }

    fn watch(&self) -> broadcast::Receiver<NodeEvent> {
        self.host.deaths.watch()
    }

    fn usage(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Usage>, RuntimeError>> {
        self.on_host(move |host| host.usage(&node).doing(|| format!("measure node {node}")))
    }
}

/// The processes that the nodes of a data folder run as, or of one node's own folder, by their records.
pub(crate) fn recorded_below(dir: &Path) -> io::Result<Vec<ProcessRef>> {
    let nodes = dir.join("nodes");
    if !nodes.is_dir() {
        return Ok(Vec::new());
    }
    let nodes = nodes.canonicalize()?;
    let mut running = Vec::new();
    for node in folder::nodes_in(&nodes)? {
        running.extend(NodeFolder::of(&nodes, &node).running()?.map(|record| record.process));
    }
    Ok(running)
}

struct Host {
    nodes: PathBuf,
    fences: PathBuf,
    engines: Engines,
    deaths: Deaths,
}

impl Host {
    fn open(dir: &Path, engines: EngineSearch) -> io::Result<Host> {
        fs::create_dir_all(dir)?;
        // The kernel names working folders without symbolic links.
        let dir = dir.canonicalize()?;
        let (nodes, fences) = (dir.join("nodes"), dir.join("fences"));
        for folder in [&nodes, &fences] {
            folder::private_folder(folder).or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })?;
        }
        let nodes = nodes.canonicalize()?;
        Ok(Host { deaths: Deaths::new(fences.clone(), nodes.clone()), nodes, fences, engines: Engines::new(engines) })
    }

    /// What nobody waits for at the start.
    fn tidy(&self) {
        self.engines.programs();
        if let Err(error) = folder::delete_removed(&self.nodes) {
            tracing::warn!(%error, "go on deleting removed nodes");
        }
        if let Err(error) = fence::sweep(&self.fences, &self.nodes) {
            tracing::warn!(%error, "forget the nodes removed long ago");
        }
    }

    fn ensure(&self, spec: &NodeSpec) -> Result<NodeState, RuntimeError> {
        let node = &spec.node;
        let _fence = self.fence(node, spec.epoch)?;
        let folder = self.folder(node);
        let running = folder.running().doing(|| format!("look for the process of node {node}"))?;
        let log_from;
        let record = match running {
            Some(record) if record.epoch == spec.epoch => {
                log_from = 0;
                record
            }
            _ => {
                log_from =
                    logs::length(&folder.file(config::LOG)).doing(|| format!("look at the log of node {node}"))?;
                self.start(&folder, spec)?
            }
        };
        self.deaths.follow(node, &record);
        let listening = listen::wait(&record.process, record.addr.0, LISTEN_WITHIN);
        match listening.doing(|| format!("wait for node {node} to listen"))? {
            Listening::Yes => Ok(record.state(node.clone())),
            // It may yet, and the next one who asks waits for it again.
            Listening::NotYet => Err(io::Error::from(io::ErrorKind::TimedOut))
                .doing(|| format!("wait for node {node} to listen at {}", record.addr)),
            Listening::Died => {
                // Whoever asked for it is told here, so nobody else need be.
                folder.end(Duration::ZERO).doing(|| format!("clear up after node {node}"))?;
                Err(RuntimeError::Died { node: node.clone(), reason: logs::tail(&folder.file(config::LOG), log_from) })
            }
        }
    }

    /// Starts a process of the node in the place of whatever runs in its folder.
    fn start(&self, folder: &NodeFolder, spec: &NodeSpec) -> Result<Record, RuntimeError> {
        let node = &spec.node;
        // All that can be refused is found out before anything is ended.
        let Some(program) = self.engines.nearest(spec.engine, spec.version) else {
            return Err(RuntimeError::NoEngine { kind: spec.engine, version: spec.version });
        };
        let config =
            config::render(spec, program.engine).doing(|| format!("write the configuration of node {node}"))?;
        let users = config::render_users(&spec.users).doing(|| format!("write the access list of node {node}"))?;

        // A folder of append-only files since Redis 7, one file before.
        let data = ["appendonlydir", "appendonly.aof"];
        if spec.has_data && !data.iter().any(|name| folder.file(name).exists()) {
            return Err(RuntimeError::DataMissing { node: node.clone() });
        }
        if !folder.create().doing(|| format!("create the folder of node {node}"))? {
            folder.end(END_WITHIN).doing(|| format!("end the process of node {node}"))?;
        }
        // Seen only now: until here it may have been this node's own.
        if TcpListener::bind(spec.addr.0).is_err_and(|error| error.kind() == ErrorKind::AddrInUse) {
            return Err(RuntimeError::PortTaken { node: node.clone(), addr: spec.addr });
        }
        let written = folder.write(config::USERS, users.as_bytes());
        written.doing(|| format!("write the access list of node {node}"))?;
        let process = spawn_detached(
            &program.path,
            &arguments(node),
            folder.path(),
            config.as_bytes(),
            &folder.file(config::LOG),
        );
        let process = process.doing(|| format!("start {} for node {node}", program.path.display()))?;
        let record = Record { epoch: spec.epoch, process, addr: spec.addr, engine: program.engine };
        if let Err(error) = folder.write_record(&record) {
            // Without a record nobody may run.
            record.process.terminate(Duration::ZERO).doing(|| format!("end the process of node {node}"))?;
            return Err(error).doing(|| format!("record the process of node {node}"));
        }
        Ok(record)
    }

    fn stop(&self, node: &NodeId, epoch: Epoch) -> Result<(), RuntimeError> {
        let _fence = self.fence(node, epoch)?;
        self.folder(node).end(END_WITHIN).doing(|| format!("end the process of node {node}"))
    }

    fn kill(&self, node: &NodeId, epoch: Epoch) -> Result<(), RuntimeError> {
        // Nobody may start it anew in between.
        let _fence = Fence::take(&self.fences, node).doing(|| format!("take the fence of node {node}"))?;
        let running = self.folder(node).running().doing(|| format!("look for the process of node {node}"))?;
        match running.filter(|record| record.epoch == epoch) {
            Some(record) => {
                // Else its death would be taken for one that was asked for.
                self.deaths.follow(node, &record);
                record.process.terminate(Duration::ZERO).doing(|| format!("kill the process of node {node}"))
            }
            None => Ok(()),
        }
    }

    fn remove(&self, node: &NodeId, epoch: Epoch) -> Result<(), RuntimeError> {
        let _fence = self.fence(node, epoch)?;
        let folder = self.folder(node);
        folder.end(Duration::ZERO).doing(|| format!("end the process of node {node}"))?;
        folder.delete().doing(|| format!("delete the folder of node {node}"))?;
        self.deaths.forget(node);
        Ok(())
    }

    fn usage(&self, node: &NodeId) -> io::Result<Option<Usage>> {
        let folder = self.folder(node);
        let Some(record) = folder.running()? else { return Ok(None) };
        // A process that is just ending has no memory to tell of.
        let status = fs::read_to_string(format!("/proc/{}/status", record.process.pid)).unwrap_or_default();
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let memory = kibibytes.and_then(|text| text.parse::<u64>().ok()).unwrap_or_default() * 1024;
        Ok(Some(Usage { memory, disk: folder.size()? }))
    }

    fn nodes(&self) -> Result<Vec<NodeId>, RuntimeError> {
        folder::nodes_in(&self.nodes).doing(|| "list the folders of nodes".into())
    }

    fn running(&self) -> Result<Vec<(NodeId, Record)>, RuntimeError> {
        let mut running = Vec::new();
        for node in self.nodes()? {
            let record = self.folder(&node).running().doing(|| format!("look for the process of node {node}"))?;
            running.extend(record.map(|record| (node, record)));
        }
        Ok(running)
    }

    fn folder(&self, node: &NodeId) -> NodeFolder {
        NodeFolder::of(&self.nodes, node)
    }

    /// The right to act on a node, for one who isn't behind.
    fn fence(&self, node: &NodeId, epoch: Epoch) -> Result<Fence, RuntimeError> {
        let mut fence = Fence::take(&self.fences, node).doing(|| format!("take the fence of node {node}"))?;
        if epoch < fence.known() {
            return Err(RuntimeError::Stale { node: node.clone(), asked: epoch, known: fence.known() });
        }
        fence.raise(epoch).doing(|| format!("write down the epoch of node {node}"))?;
        Ok(fence)
    }
}

/// `-`: the configuration comes by standard input. The title is what `ps` shows of the process; Redis writes it in the
/// place of its arguments, so it must be one of them to have the room.
fn arguments(node: &NodeId) -> [OsString; 3] {
    ["-".into(), "--proc-title-template".into(), format!("{{title}} {{listen-addr}} {{server-mode}} {node}").into()]
}

/// Says what was being done when the host refused.
trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, RuntimeError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, RuntimeError> {
        self.map_err(|source| RuntimeError::Host { doing: what(), source })
    }
}
