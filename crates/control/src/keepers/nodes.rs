//! Brings back nodes that died, and all of them after a reboot; ends those that nobody wants.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::{Node, all_nodes, holder};
use model::NodeId;
use runtime::{NodeEvent, NodeState};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use crate::cx::FlowCx;
use crate::fleet::{self, FleetError};

/// How often all nodes are looked at, whatever was told.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    // Watched from before the first look, so that no death falls in between.
    let mut events = cx.runtime.watch();
    let mut revivals = Revivals::default();
    loop {
        for node in missing(&cx).await {
            revivals.begin(&cx, node);
        }
        let next_look = cx.clock.sleep(LOOK_EVERY);
        tokio::pin!(next_look);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(NodeEvent::Died { node, epoch }) => {
                        tracing::warn!(%node, %epoch, "a node died");
                        revivals.begin(&cx, node);
                    }
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                },
                () = cx.wake.nodes.notified() => break,
                () = &mut next_look => break,
            }
        }
    }
}

/// Nodes that are being brought back, each once; true where one died again meanwhile.
#[derive(Default)]
struct Revivals {
    under_way: Arc<Mutex<HashMap<NodeId, bool>>>,
    tasks: JoinSet<()>,
}

impl Revivals {
    fn begin(&mut self, cx: &Arc<FlowCx>, node: NodeId) {
        while self.tasks.try_join_next().is_some() {}
        match self.under_way.lock().unwrap_or_else(PoisonError::into_inner).entry(node.clone()) {
            Entry::Occupied(mut again) => {
                again.insert(true);
                return;
            }
            Entry::Vacant(first) => first.insert(false),
        };
        let (cx, under_way) = (cx.clone(), self.under_way.clone());
        self.tasks.spawn(async move {
            loop {
                bring_back(&cx, &node).await;
                let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
                if under_way.get(&node) != Some(&true) {
                    under_way.remove(&node);
                    return;
                }
                under_way.insert(node.clone(), false);
            }
        });
    }
}

/// Starts a node until it is up, or not wanted any more.
async fn bring_back(cx: &FlowCx, node: &NodeId) {
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match fleet::start_node(cx, node).await {
            Ok(up) => match cx.ledger.write(move |tx| up.note_now(tx)).await {
                Ok(()) => return,
                Err(error) => FleetError::Ledger(error),
            },
            Err(FleetError::NotWanted(_)) => return,
            Err(error) => error,
        };
        tracing::warn!(%node, %error, "a node can't be brought back yet");
        cx.clock.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Nodes that are to run and don't. Those that run and are not to, are ended on the way.
async fn missing(cx: &FlowCx) -> Vec<NodeId> {
    // The world first: what it has and the ledger, read later, has not, was given up by the ledger.
    let running = match cx.runtime.list().await {
        Ok(running) => running,
        Err(error) => {
            tracing::warn!(%error, "the nodes can't be listed");
            return Vec::new();
        }
    };
    let wanted = match cx.ledger.read(all_nodes) {
        Ok(wanted) => wanted,
        Err(error) => {
            tracing::warn!(%error, "the wanted nodes can't be read");
            return Vec::new();
        }
    };
    for state in &running {
        if let Err(error) = end_if_unwanted(cx, &wanted, state).await {
            tracing::warn!(node = %state.node, %error, "a node that nobody wants can't be ended");
        }
    }
    let runs_now = |node: &Node| running.iter().any(|state| state.node == node.id && state.epoch == node.epoch);
    wanted.into_iter().filter(|node| node.runs && !runs_now(node)).map(|node| node.id).collect()
}

async fn end_if_unwanted(cx: &FlowCx, wanted: &[Node], state: &NodeState) -> Result<(), FleetError> {
    let epoch = match wanted.iter().find(|node| node.id == state.node) {
        // A flow has the instance: it ends the node in its own time.
        Some(node) if node.runs || cx.ledger.read(|reader| holder(reader, &node.instance))?.is_some() => return Ok(()),
        Some(node) => node.epoch,
        None => state.epoch.next(),
    };
    tracing::warn!(node = %state.node, "a node runs that nobody wants; its data is kept");
    Ok(cx.runtime.stop(state.node.clone(), epoch).await?)
}
