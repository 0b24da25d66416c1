//! A deterministic fake: nodes in memory, with faults on demand, for tests of what is built on a runtime. It has no
//! clock, no chance and no processes; the same calls in the same order give the same world.
//!
//! [`SimWorld`] is the world as a test sees and changes it, and what a fake Redis client talks to; [`SimRuntime`] is
//! the [`Runtime`] over it.

mod world;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, ready};
use model::{Epoch, NodeId, NodeSpec};
use tokio::sync::broadcast;

pub use self::world::{SimSlow, SimWorld, Unanswered};
use crate::{Engine, NodeEvent, NodeState, Runtime, RuntimeError, Usage};

/// What goes wrong in one `ensure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The host refuses; nothing has been changed.
    Refuse,
    /// The process ends before it listens.
    DieAtStart,
    /// It succeeds, and then the node dies, and its death is told.
    DieAfterStart,
    /// It succeeds, but the one who asked is told that the host refused.
    LoseAnswer,
    /// It never answers; nothing has been changed.
    Hang,
}

/// The runtime of a [`SimWorld`].
#[derive(Clone, Debug)]
pub struct SimRuntime {
    world: SimWorld,
}

impl SimRuntime {
    /// The runtime of this world.
    pub fn new(world: SimWorld) -> Self {
        SimRuntime { world }
    }

    /// Its world.
    pub fn world(&self) -> &SimWorld {
        &self.world
    }
}

impl Runtime for SimRuntime {
    fn engines(&self) -> Vec<Engine> {
        self.world.lock().engines.clone()
    }

    fn ensure(&self, spec: NodeSpec) -> BoxFuture<'_, Result<NodeState, RuntimeError>> {
        let done = async move {
            let done = self.world.lock().ensure(spec);
            match done {
                Some(done) => done,
                None => pending().await,
            }
        };
        done.boxed()
    }

    fn stop(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>> {
        async move { self.world.lock().stop(&node, epoch) }.boxed()
    }

    fn kill(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>> {
        self.world.lock().kill(&node, epoch);
        ready(Ok(())).boxed()
    }

    fn remove(&self, node: NodeId, epoch: Epoch) -> BoxFuture<'_, Result<(), RuntimeError>> {
        async move { self.world.lock().remove(&node, epoch) }.boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<NodeState>, RuntimeError>> {
        async move { Ok(self.world.lock().list()) }.boxed()
    }

    fn watch(&self) -> broadcast::Receiver<NodeEvent> {
        self.world.lock().events.subscribe()
    }

    fn usage(&self, node: NodeId) -> BoxFuture<'_, Result<Option<Usage>, RuntimeError>> {
        ready(Ok(self.world.lock().usage(&node))).boxed()
    }
}

#[cfg(test)]
mod tests;
