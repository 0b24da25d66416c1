//! Runs nodes. A [`Runtime`] starts, stops, finds and watches Redis processes; what is said *to* Redis is said
//! elsewhere, in Redis's own protocol, so that every flow works on every runtime.

pub mod local;
pub mod process;
pub mod sim;

pub use local::{EngineSearch, LocalRuntime};
pub use sim::{SimRuntime, SimWorld};

use futures_util::future::BoxFuture;
use model::{EngineKind, EngineVersion, Epoch, NodeAddr, NodeId, NodeSpec};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// An engine that is installed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Engine {
    /// Redis or Valkey.
    pub kind: EngineKind,
    /// As the program itself says.
    pub version: EngineVersion,
}

impl Engine {
    /// Whether this engine does for one who asks for that version of that kind: it is not older.
    pub fn serves(&self, kind: EngineKind, version: EngineVersion) -> bool {
        self.kind == kind && self.version >= version
    }
}

/// A node that runs, as its runtime sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// Which node.
    pub node: NodeId,
    /// Which start of it.
    pub epoch: Epoch,
    /// Where it listens.
    pub addr: NodeAddr,
    /// The engine that runs it.
    pub engine: Engine,
}

/// What a runtime tells its watchers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEvent {
    /// A node's process ended without having been asked to.
    Died {
        /// Which node.
        node: NodeId,
        /// Which start of it.
        epoch: Epoch,
    },
}

/// What a node uses of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Bytes on disk.
    pub disk: u64,
}

/// Why a runtime could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A later start, or the removal, of this node is known: whoever asks is behind and must not be obeyed.
    #[error("node {node} is past epoch {asked}: {known} is known")]
    Stale {
        /// Which node.
        node: NodeId,
        /// What was asked for.
        asked: Epoch,
        /// What is known.
        known: Epoch,
    },
    /// No engine that would do is installed.
    #[error("no {kind} {version} or newer is installed")]
    NoEngine {
        /// Redis or Valkey.
        kind: EngineKind,
        /// The oldest that would do.
        version: EngineVersion,
    },
    /// The node has data by what was asked, and there is none: nothing was started.
    #[error("node {node} has lost its data; it is not started empty")]
    DataMissing {
        /// Which node.
        node: NodeId,
    },
    /// Somebody else has the address: nothing was started.
    #[error("the address {addr} of node {node} is in use by another process")]
    PortTaken {
        /// Which node.
        node: NodeId,
        /// Where it was to listen.
        addr: NodeAddr,
    },
    /// The process ended before it listened.
    #[error("node {node} ended before it listened: {reason}")]
    Died {
        /// Which node.
        node: NodeId,
        /// The last lines of its log.
        reason: String,
    },
    /// The host refused: no such folder, disk full, too many processes.
    #[error("{doing}: {source}")]
    Host {
        /// What was being done, as in "create the folder of node …".
        doing: String,
        /// What the host said.
        source: std::io::Error,
    },
}

/// Starts and stops nodes. All that changes something is idempotent, and safe to repeat after a crash at any point.
pub trait Runtime: Send + Sync {
    /// The engines that nodes can run on, by kind and version.
    fn engines(&self) -> Vec<Engine>;

    /// Sees to it that the node runs under exactly this epoch, and listens. A process of an older epoch is ended
    /// first; one of this epoch is left alone, whatever else the spec says. Answers once it accepts connections
    /// (it may still be loading its data).
    fn ensure(&self, spec: NodeSpec) -> BoxFuture<'_, Result<NodeState, RuntimeError>>;

    /// Ends the node's process, letting it write down what it holds first, and keeps its data. Nothing older than
    /// `epoch` can start it from then on. Done already: success.
    fn stop(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>>;

    /// Kills the process of one start of the node, as a crash would, and leaves all else to those who watch. A later
    /// start, or none: success.
    fn kill(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>>;

    /// As `stop`, without letting it write, and deletes its data and its folder.
    fn remove(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>>;

    /// The nodes that run now.
    fn list(&self) -> BoxFuture<'_, Result<Vec<NodeState>, RuntimeError>>;

    /// Deaths from now on, told at once. A receiver that lags must `list`.
    fn watch(&self) -> broadcast::Receiver<NodeEvent>;

    /// What a node uses; `None` where it doesn't run.
    fn usage(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Usage>, RuntimeError>>;
}
