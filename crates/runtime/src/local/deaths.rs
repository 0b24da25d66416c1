//! Learns of the deaths of nodes, and tells them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::NodeId;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::fence::Fence;
use super::folder::{NodeFolder, Record};
use crate::NodeEvent;
use crate::process::ProcessRef;

/// Deaths that a receiver may lag behind.
const CAPACITY: usize = 1024;

pub(super) struct Deaths {
    fences: PathBuf,
    nodes: PathBuf,
    events: broadcast::Sender<NodeEvent>,
    followed: Mutex<Followed>,
}

#[derive(Default)]
struct Followed {
    processes: HashMap<NodeId, ProcessRef>,
    /// They end with the runtime, and the processes don't.
    tasks: JoinSet<()>,
}

impl Deaths {
    pub(super) fn new(fences: PathBuf, nodes: PathBuf) -> Self {
        Deaths { fences, nodes, events: broadcast::Sender::new(CAPACITY), followed: Mutex::default() }
    }

    pub(super) fn watch(&self) -> broadcast::Receiver<NodeEvent> {
        self.events.subscribe()
    }

    /// Waits for the end of this process from now on. Followed already: nothing changes.
    pub(super) fn follow(&self, node: &NodeId, record: &Record) {
        let mut followed = self.followed();
        if followed.processes.insert(node.clone(), record.process.clone()).as_ref() == Some(&record.process) {
            return;
        }
        while followed.tasks.try_join_next().is_some() {}
        let life = Life {
            fences: self.fences.clone(),
            folder: NodeFolder::of(&self.nodes, node),
            events: self.events.clone(),
            node: node.clone(),
            record: record.clone(),
        };
        followed.tasks.spawn(life.follow());
    }

    pub(super) fn forget(&self, node: &NodeId) {
        self.followed().processes.remove(node);
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One process of a node.
struct Life {
    fences: PathBuf,
    folder: NodeFolder,
    events: broadcast::Sender<NodeEvent>,
    node: NodeId,
    record: Record,
}

impl Life {
    async fn follow(self) {
        if let Err(error) = self.record.process.ended().await {
            tracing::error!(node = %self.node, %error, "wait for the end of a node's process");
            return;
        }
        let node = self.node.clone();
        match tokio::task::spawn_blocking(move || self.tell_if_unasked()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%node, %error, "tell of a node's death"),
            Err(error) => tracing::error!(%node, %error, "tell of a node's death"),
        }
    }

    fn tell_if_unasked(self) -> std::io::Result<()> {
        // Whoever acts on the node may be about to withdraw the record, and answers for this death.
        let _fence = Fence::take(&self.fences, &self.node)?;
        if self.folder.record()?.as_ref() == Some(&self.record) {
            tracing::warn!(node = %self.node, epoch = %self.record.epoch, "a node died");
            // Nobody may be watching.
            let _ = self.events.send(NodeEvent::Died { node: self.node, epoch: self.record.epoch });
        }
        Ok(())
    }
}
