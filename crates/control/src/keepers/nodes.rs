//! Brings back nodes that died, and all of them after a reboot, unless they keep dying; has replicas take over from
//! primaries that died; ends those that nobody wants.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::{NewEvent, Node, all_nodes, holder, insert_event};
use model::{Epoch, NodeId};
use runtime::{NodeEvent, NodeState, RuntimeError};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use crate::cx::FlowCx;
use crate::fleet::{self, FleetError};

/// How often all nodes are looked at, whatever was told.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A node that has been up for so long did not die of its start.
const OLD_ENOUGH: Duration = Duration::from_secs(5);
/// What a death weighs that came soon after the node served, and one that came before: the latter comes again.
const DIED_YOUNG: u32 = 1;
const DIED_LOADING: u32 = 3;
/// Up to this weight deaths in a row are taken for accidents: the node is started again at once.
const PATIENT_FOR: u32 = 6;
/// From this weight on a node is left alone.
const GIVEN_UP_AT: u32 = 20;

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
    lives: Lives,
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
        let (cx, under_way, lives) = (cx.clone(), self.under_way.clone(), self.lives.clone());
        self.tasks.spawn(async move {
            loop {
                bring_back(&cx, &lives, &node).await;
                let mut under_way = under_way.lock().unwrap_or_else(PoisonError::into_inner);
                if under_way.get(&node) != Some(&true) {
                    under_way.remove(&node);
                    break;
                }
                under_way.insert(node.clone(), false);
            }
            if let Err(error) = fleet::stream_again(&cx, &node).await {
                tracing::debug!(%node, %error, "the streams of an instance can't be started now");
            }
        });
    }
}

/// How long nodes live once they are started: one that dies young again and again is left alone in the end.
#[derive(Clone, Default)]
struct Lives(Arc<Mutex<HashMap<NodeId, Life>>>);

#[derive(Clone, Copy, Default)]
struct Life {
    /// When it was up, by the clock that only passes; `None` before its first time.
    up_at: Option<Duration>,
    /// What its deaths in a row weigh, each soon after a start.
    weight: u32,
    /// The epoch with which it was given up.
    given_up: Option<Epoch>,
}

impl Lives {
    fn change<T>(&self, node: &NodeId, change: impl FnOnce(&mut Life) -> T) -> T {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(node.clone()).or_default())
    }

    fn came_up(&self, node: &NodeId, now: Duration) {
        self.change(node, |life| life.up_at = Some(now));
    }

    /// Counts a death; answers what those in a row weigh.
    fn died(&self, node: &NodeId, now: Duration) -> u32 {
        self.change(node, |life| {
            let is_young = life.up_at.is_none_or(|up_at| now.saturating_sub(up_at) < OLD_ENOUGH);
            life.weight = if is_young { life.weight + DIED_YOUNG } else { DIED_YOUNG };
            life.weight
        })
    }
}

/// Has a replica take over where the node was a primary, then starts it until it is up, not wanted any more, or given up.
async fn bring_back(cx: &FlowCx, lives: &Lives, node: &NodeId) {
    let Ok(Some(wanted)) = cx.ledger.read(|reader| ledger::node(reader, node)) else { return };
    if !wanted.runs || lives.change(node, |life| life.given_up == Some(wanted.epoch)) {
        return;
    }
    // One that is new, or whose host was started anew, did not die now.
    let was_up = wanted.observed_epoch == Some(wanted.epoch) && wanted.observed_up;
    let died = was_up && !runs_now(cx, &wanted).await;
    let mut was_followed = false;
    if died {
        match fleet::fail_over(cx, node, wanted.epoch).await {
            Ok(done) => was_followed = done,
            Err(error) => tracing::warn!(%node, %error, "no replica could take over; the node comes back itself"),
        }
        if !is_drill(cx, &wanted) {
            lives.died(node, cx.clock.passed());
        }
    }
    let mut pause = FIRST_PAUSE;
    loop {
        let weight = lives.change(node, |life| life.weight);
        if weight >= GIVEN_UP_AT {
            return give_up(cx, lives, node).await;
        }
        if weight > PATIENT_FOR {
            cx.clock.sleep(FIRST_PAUSE * (1 << ((weight - PATIENT_FOR) / 2)).min(32)).await;
        }
        let error = match fleet::start_node(cx, node).await {
            Ok(up) => match cx.ledger.write(move |tx| up.note_now(tx)).await {
                Ok(()) => {
                    lives.came_up(node, cx.clock.passed());
                    if died && !was_followed {
                        tell(cx, node, RESTARTED).await;
                    }
                    return;
                }
                Err(error) => FleetError::Ledger(error),
            },
            Err(FleetError::NotWanted(_)) => return,
            Err(error) => error,
        };
        tracing::warn!(%node, %error, "a node can't be brought back yet");
        if matches!(error, FleetError::DiedLoading(_) | FleetError::Runtime(RuntimeError::Died { .. })) {
            lives.change(node, |life| life.weight += DIED_LOADING);
            continue;
        }
        cx.clock.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn runs_now(cx: &FlowCx, node: &Node) -> bool {
    let running = cx.runtime.list().await;
    running.is_ok_and(|all| all.iter().any(|state| state.node == node.id && state.epoch == node.epoch))
}

/// Whether a task kills the instance's nodes on purpose.
fn is_drill(cx: &FlowCx, node: &Node) -> bool {
    let kind = cx.ledger.read(|reader| {
        let Some(task) = holder(reader, &node.instance)? else { return Ok(None) };
        Ok(ledger::task(reader, task)?.map(|task| task.kind))
    });
    matches!(kind, Ok(Some(kind)) if kind == "048")
}

/// Leaves a node alone until a task or the next start of the service starts it, and says so.
async fn give_up(cx: &FlowCx, lives: &Lives, node: &NodeId) {
    let Ok(Some(wanted)) = cx.ledger.read(|reader| ledger::node(reader, node)) else { return };
    tracing::error!(%node, instance = %wanted.instance, "a node keeps dying; it is not started any more");
    lives.change(node, |life| *life = Life { given_up: Some(wanted.epoch), ..Life::default() });
    tell(cx, node, STOPPED).await;
}

/// What is told of a node, as kind, grade and effect.
type Told = (&'static str, &'static str, &'static str);

const RESTARTED: Told = (
    "NodeRestart",
    "Middle",
    "A node's process ended and was started again with its data. Connections to it were reset.",
);

const STOPPED: Told = (
    "NodeStopped",
    "Critical",
    "A node ended again and again soon after it was started. It is stopped, and is started again by a change of the \
     instance or the next start of the service; the node's log says why it ended.",
);

async fn tell(cx: &FlowCx, node: &NodeId, (kind, grade, effect): Told) {
    let (node, now) = (node.clone(), cx.clock.now());
    let told = cx.ledger.write(move |tx| -> ledger::Result<()> {
        let Some(node) = ledger::node(tx.reader(), &node)? else { return Ok(()) };
        let Some(instance) = ledger::instance(tx.reader(), &node.instance)? else { return Ok(()) };
        insert_event(tx, &instance, NewEvent { kind, grade, effect, time: (now, now), latest_at: None }).map(drop)
    });
    if let Err(error) = told.await {
        tracing::warn!(%error, "an event can't be written down");
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
