use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use model::{NodeAddr, Target};
use tokio::sync::{Mutex, watch};

/// Tells apart the starts of the nodes that one address has led to, in the order in which they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Generation(u64);

/// One start of a node, as far as it can be told apart from here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// Where it listens.
    pub(crate) addr: NodeAddr,
    generation: Generation,
}

/// Where the connections to one address go now.
struct Heading {
    /// As the table has it; `None` where the address is closed.
    target: Option<Target>,
    /// The start that a new connection reaches.
    generation: Generation,
    /// Connections to older starts than this are not kept.
    oldest_kept: Generation,
    /// Whether a connection to the start of `generation` ever came about.
    met: bool,
}

/// What the connections to one address share: where they go, and who they are.
///
/// A node is often up again before the table says so. Once a start that was met refuses a connection it is over, and
/// whatever answers at its place afterwards is a later start; the table that names a later epoch of this node means
/// that one, and its connections are kept. All others are reset when the target changes.
pub(crate) struct Destination {
    heading: watch::Sender<Heading>,
    /// Open connections, by the start that they lead to; `None` for those that have not reached one yet.
    open: watch::Sender<BTreeMap<Option<Generation>, u64>>,
    /// Whoever has it dials, again and again, on behalf of all who wait for the node.
    pub(crate) turn: Mutex<()>,
    /// When the node was last asked whether it lives, and did.
    pub(crate) lived_at: Mutex<Option<Instant>>,
}

impl Destination {
    /// For an address that is closed at first.
    pub(crate) fn closed() -> Destination {
        let none = Generation(0);
        let heading = Heading { target: None, generation: none, oldest_kept: none, met: false };
        Destination {
            heading: watch::Sender::new(heading),
            open: watch::Sender::default(),
            turn: Mutex::default(),
            lived_at: Mutex::default(),
        }
    }

    /// Sends new connections to `target`, and has those to any other start than the target's reset.
    pub(crate) fn lead_to(&self, target: Option<Target>) {
        self.heading.send_if_modified(|heading| {
            if heading.target == target {
                return false;
            }
            let foreseen = heading.generation > heading.oldest_kept && is_later_start(&heading.target, &target);
            if !foreseen {
                heading.advance();
            }
            heading.oldest_kept = heading.generation;
            heading.target = target;
            true
        });
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.heading.borrow().target.is_none()
    }

    /// The start that a new connection should reach; `None` where the address is closed.
    pub(crate) fn start(&self) -> Option<Start> {
        let heading = self.heading.borrow();
        heading.target.as_ref().map(|target| Start { addr: target.addr, generation: heading.generation })
    }

    /// Notes that a connection reached a start; `false` where that start has meanwhile been replaced.
    pub(crate) fn meet(&self, start: &Start) -> bool {
        let mut current = false;
        self.heading.send_if_modified(|heading| {
            current = heading.generation == start.generation;
            heading.met |= current;
            false
        });
        current
    }

    /// Notes that a start refused a connection: if it was met before, then it is over.
    pub(crate) fn refused_by(&self, start: &Start) {
        self.heading.send_if_modified(|heading| {
            if heading.generation == start.generation && heading.met {
                heading.advance();
            }
            false
        });
    }

    /// Whether a new connection would reach this start.
    pub(crate) fn leads_to(&self, start: &Start) -> bool {
        self.heading.borrow().generation == start.generation
    }

    /// Resolves when the connections to a start are to be reset.
    pub(crate) async fn abandons(&self, start: &Start) {
        // The sender is `self`, so it can't have gone.
        let _ = self.heading.subscribe().wait_for(|heading| heading.oldest_kept > start.generation).await;
    }

    /// Hears of every change of the target from now on.
    pub(crate) fn changes(&self) -> Changes {
        Changes(self.heading.subscribe())
    }

    /// Counts a connection for as long as the answer lives.
    pub(crate) fn enter(self: &Arc<Self>) -> Visit {
        self.open.send_modify(|open| *open.entry(None).or_default() += 1);
        Visit { destination: self.clone(), reached: None }
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> u64 {
        self.open.borrow().values().sum()
    }

    /// Resolves when the connections are gone that are to be reset.
    pub(crate) async fn settled(&self) {
        let oldest_kept = match &*self.heading.borrow() {
            Heading { target: None, .. } => None,
            heading => Some(heading.oldest_kept),
        };
        // The sender is `self`, so it can't have gone.
        let _ = self.open.subscribe().wait_for(|open| open.keys().all(|start| keeps(oldest_kept, *start))).await;
    }
}

/// Whether a connection stays, where starts older than `oldest_kept` do not and a closed address keeps none.
fn keeps(oldest_kept: Option<Generation>, start: Option<Generation>) -> bool {
    oldest_kept.is_some_and(|oldest_kept| start.is_none_or(|start| start >= oldest_kept))
}

fn is_later_start(old: &Option<Target>, new: &Option<Target>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return false };
    old.node == new.node && old.addr == new.addr && old.epoch < new.epoch
}

impl Heading {
    fn advance(&mut self) {
        self.generation = Generation(self.generation.0 + 1);
        self.met = false;
    }
}

/// Hears when a target changes.
pub(crate) struct Changes(watch::Receiver<Heading>);

impl Changes {
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// A connection's place in the count of its address.
pub(crate) struct Visit {
    pub(crate) destination: Arc<Destination>,
    reached: Option<Generation>,
}

impl Visit {
    /// Counts it among those that lead to `start`.
    pub(crate) fn reaches(&mut self, start: &Start) {
        self.destination.open.send_modify(|open| {
            leave(open, self.reached);
            *open.entry(Some(start.generation)).or_default() += 1;
        });
        self.reached = Some(start.generation);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.destination.open.send_modify(|open| leave(open, self.reached));
    }
}

fn leave(open: &mut BTreeMap<Option<Generation>, u64>, start: Option<Generation>) {
    if let Some(count) = open.get_mut(&start) {
        *count -= 1;
        if *count == 0 {
            open.remove(&start);
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{Epoch, NodeId};

    use super::*;

    fn target(node: u8, epoch: i64) -> Option<Target> {
        let addr = NodeAddr(([127, 0, 0, 1], 7000 + u16::from(node)).into());
        Some(Target { node: NodeId::from_random([node; 20]), addr, epoch: Epoch(epoch) })
    }

    /// A destination that leads to epoch 1 of node 1, and the start that a connection has met there.
    fn met() -> (Destination, Start) {
        let destination = Destination::closed();
        destination.lead_to(target(1, 1));
        let start = destination.start().unwrap();
        assert!(destination.meet(&start));
        (destination, start)
    }

    fn keeps(destination: &Destination, start: &Start) -> bool {
        start.generation >= destination.heading.borrow().oldest_kept
    }

    #[test]
    fn another_node_another_epoch_and_no_target_each_end_a_start() {
        for next in [target(2, 1), target(1, 2), target(1, 0), None] {
            let (destination, start) = met();
            destination.lead_to(next.clone());
            assert!(!keeps(&destination, &start), "{next:?}");
        }
    }

    #[test]
    fn the_same_target_again_ends_nothing() {
        let (destination, start) = met();
        destination.lead_to(target(1, 1));
        assert!(keeps(&destination, &start) && destination.leads_to(&start));
    }

    #[test]
    fn a_later_start_that_was_met_before_the_table_named_it_is_kept_and_its_forerunner_is_not() {
        let (destination, old) = met();
        destination.refused_by(&old);
        let new = destination.start().unwrap();
        assert!(destination.meet(&new) && keeps(&destination, &old));

        destination.lead_to(target(1, 2));
        assert!(keeps(&destination, &new) && destination.leads_to(&new));
        assert!(!keeps(&destination, &old));

        destination.lead_to(target(1, 3));
        assert!(!keeps(&destination, &new));
    }

    #[test]
    fn a_start_that_never_answered_is_not_over_when_it_refuses() {
        let destination = Destination::closed();
        destination.lead_to(target(1, 1));
        let start = destination.start().unwrap();
        destination.refused_by(&start);
        assert!(destination.leads_to(&start));
    }

    #[test]
    fn a_start_that_was_met_ahead_of_the_table_is_not_kept_for_another_node() {
        let (destination, old) = met();
        destination.refused_by(&old);
        let new = destination.start().unwrap();
        destination.lead_to(target(2, 2));
        assert!(!keeps(&destination, &new));
    }
}
