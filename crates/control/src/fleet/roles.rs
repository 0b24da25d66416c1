//! Who takes the writes: hands a primary's part over to a replica, by plan or after its death.
//!
//! What must stay true:
//! - Never do two nodes take writes that clients can reach. A primary is fenced before its successor is promoted, or its
//!   process is over; the address leads to the node that the ledger names, and the ledger names the successor last.
//! - Never is a planned successor promoted before it has all that its forerunner acknowledged: a fenced primary takes no
//!   more, however long the one who fenced it sleeps.
//! - Never is a replica promoted that joins, that has not had all the data, or that is too far behind. A first sync that
//!   is over does not mean yet that the stream flows: for up to a second after it the primary sends nothing.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use ledger::{Instance, NewEvent, Node, insert_event};
use model::{Epoch, InstanceId, NodeAddr, NodeId, NodeRole};

use super::{FleetError, go_on, keeps_clients, load, load_node, put_routes_in_force};
use crate::cx::FlowCx;
use crate::nodes::{NodeError, Peer, Replication};
use crate::spec::{self, Wanted};

/// How far behind its primary, in bytes of the stream, a replica may be when a planned switch begins.
pub(crate) const NEAR: i64 = 1 << 20;
/// How long a fenced primary's clients wait for its successor to have the rest.
const CATCH_UP_WITHIN: Duration = Duration::from_millis(500);
/// How long one that is told what to do may take, once clients wait for it.
const OBEYS_WITHIN: Duration = Duration::from_secs(1);
/// How soon clients who write all the time send their next write.
const HELD_WITHIN: Duration = Duration::from_millis(3);
/// How far behind a dead primary its successor may be.
pub(crate) const LAG_LIMIT: Duration = Duration::from_secs(10);
/// How long a first candidate may take to tell how it stands: one that writes its data down on a busy disk is slow.
const CANDIDATE_WITHIN: Duration = Duration::from_secs(3);
/// How long others are waited for, once there is one.
const OTHERS_WITHIN: Duration = Duration::from_millis(30);
/// How long a stream that is started gets to flow before others look after it.
const STREAM_WITHIN: Duration = Duration::from_millis(50);
/// How long the replicas of a node that has come back are waited for.
const SYNCED_WITHIN: Duration = Duration::from_secs(10);
/// The pause between two looks at a replica that catches up.
const SHORTEST_LOOK: Duration = Duration::from_micros(500);
const LONGEST_LOOK: Duration = Duration::from_millis(50);

/// The primary among an instance's nodes.
pub(crate) fn primary_of(nodes: &[Node]) -> Option<&Node> {
    nodes.iter().find(|node| node.role == NodeRole::Primary)
}

/// Makes a replica the primary, and has the address lead to it. No write that was acknowledged is lost: the primary is
/// fenced, then the replica gets the rest, then it is promoted. May be called again after it was broken off anywhere.
pub(crate) async fn hand_over(cx: &FlowCx, id: &InstanceId, to: &NodeId) -> Result<(), FleetError> {
    let alone = cx.roles.alone(id).await;
    let (instance, nodes) = load(&cx.ledger, id)?;
    let (Some(from), Some(to)) = (primary_of(&nodes), nodes.iter().find(|node| node.id == *to)) else {
        return Err(FleetError::NotWanted(to.clone()));
    };
    if from.id == to.id {
        arrange(cx, &instance, &nodes).await?;
    } else {
        check_told(to)?;
        let (old, new) = (spec::peer(&cx.sealer, &instance, from)?, spec::peer(&cx.sealer, &instance, to)?);
        if cx.nodes.replication(&old).await?.upstream.is_none() {
            // Whatever an earlier try has left of the successor, it follows the primary as that is now.
            come_near(cx, &old, &new).await?;
            if !keeps_clients(cx, id).await {
                // A write that is held by the node is made again at the successor; one that comes to a fenced node is refused,
                // which its client sees. So those who write all the time are first given the time to be held.
                cx.nodes.hold(&old).await?;
                cx.clock.sleep(HELD_WITHIN).await;
            }
            if let Err(error) = cx.nodes.fence(&old).await {
                go_on(cx, id).await;
                return Err(error.into());
            }
        }
        let succeeds = async {
            catch_up(cx, &old, &new).await?;
            within(cx, OBEYS_WITHIN, &new, cx.nodes.promote(&new)).await
        };
        if let Err(error) = succeeds.await {
            // Should the successor still be promoted, no address leads to it, and it is put right.
            let promoted = cx.nodes.promote(&old).await;
            go_on(cx, id).await;
            promoted?;
            return Err(error);
        }
        let (from, to) = ((from.id.clone(), from.epoch), (to.id.clone(), to.epoch));
        let handed = cx.ledger.write(move |tx| ledger::hand_over(tx, (&from.0, from.1), (&to.0, to.1), false));
        if !handed.await? {
            go_on(cx, id).await;
            return Err(FleetError::RolesChanged);
        }
    }
    let routed = put_routes_in_force(cx).await;
    // No client reaches the old primary any more. Until it follows it holds what its clients wanted to write.
    let (instance, nodes) = load(&cx.ledger, id)?;
    arrange(cx, &instance, &nodes).await?;
    drop(alone);
    routed.map(drop)
}

/// A node that was not told all that clients rely on, such as that a password is no more, never leads.
fn check_told(node: &Node) -> Result<(), FleetError> {
    if node.unsaid == 0 {
        return Ok(());
    }
    Err(FleetError::Behind { node: node.number, why: "it gave no answer when settings were changed".into() })
}

/// As [`hand_over`], whatever it costs: a primary that gives no answer is killed, and what the replica has not got by
/// then is lost.
pub(crate) async fn take_over(cx: &FlowCx, id: &InstanceId, to: &NodeId) -> Result<(), FleetError> {
    let Err(error) = hand_over(cx, id, to).await else { return Ok(()) };
    tracing::warn!(instance = %id, node = %to, %error, "a switch by plan failed; it is forced");
    let alone = cx.roles.alone(id).await;
    let (instance, nodes) = load(&cx.ledger, id)?;
    let (Some(from), Some(to)) = (primary_of(&nodes), nodes.iter().find(|node| node.id == *to)) else {
        return Err(FleetError::NotWanted(to.clone()));
    };
    if from.id != to.id {
        check_told(to)?;
        let new = spec::peer(&cx.sealer, &instance, to)?;
        // Not one that is empty, or holds a part of a copy.
        let seen = cx.nodes.replication(&new).await?;
        if !seen.is_synced && seen.lost_for.is_none() && seen.upstream.is_some() {
            return Err(FleetError::Behind { node: to.number, why: "it has never had all the data".into() });
        }
        cx.runtime.kill(from.id.clone(), from.epoch).await?;
        cx.nodes.promote(&new).await?;
        let (from, to) = ((from.id.clone(), from.epoch), (to.id.clone(), to.epoch));
        let handed = cx.ledger.write(move |tx| ledger::hand_over(tx, (&from.0, from.1), (&to.0, to.1), true));
        if !handed.await? {
            return Err(FleetError::RolesChanged);
        }
        cx.wake.nodes.notify_one();
    }
    drop(alone);
    put_routes_in_force(cx).await?;
    Ok(())
}

/// Waits until a replica follows the primary and has nearly all that it has.
async fn come_near(cx: &FlowCx, old: &Peer, new: &Peer) -> Result<(), FleetError> {
    let mut look = SHORTEST_LOOK;
    loop {
        let (primary, replica) = (cx.nodes.replication(old).await?, cx.nodes.replication(new).await?);
        if replica.upstream != Some(old.addr) {
            cx.nodes.follow(new, old.addr).await?;
        } else if replica.is_synced
            && primary.followers.contains(&new.addr.0.port())
            && primary.offset - replica.applied <= NEAR
        {
            return Ok(());
        }
        cx.clock.sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
    }
}

/// Waits, a short time, until the successor of a primary that takes no writes has all that it has.
async fn catch_up(cx: &FlowCx, old: &Peer, new: &Peer) -> Result<(), FleetError> {
    let until = cx.clock.passed() + CATCH_UP_WITHIN;
    let mut look = SHORTEST_LOOK;
    let all = within(cx, CATCH_UP_WITHIN, old, cx.nodes.replication(old)).await?.offset;
    loop {
        let left = until.saturating_sub(cx.clock.passed());
        let replica = within(cx, left, new, cx.nodes.replication(new)).await?;
        match replica.upstream {
            // An earlier try has promoted it, behind the same fence.
            None => return Ok(()),
            Some(upstream) if upstream == old.addr && replica.applied >= all => return Ok(()),
            Some(_) if left.is_zero() => {
                let why = format!("{} bytes are missing", all.saturating_sub(replica.applied));
                return Err(NodeError { addr: new.addr, reason: why, is_refusal: false }.into());
            }
            Some(_) => {}
        }
        cx.clock.sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
    }
}

/// What a node answers, unless it takes longer.
async fn within<T>(
    cx: &FlowCx,
    span: Duration,
    peer: &Peer,
    asked: impl Future<Output = Result<T, NodeError>>,
) -> Result<T, FleetError> {
    tokio::select! {
        biased;
        answer = asked => Ok(answer?),
        () = cx.clock.sleep(span) => {
            let reason = format!("no answer within {} ms", span.as_millis());
            Err(NodeError { addr: peer.addr, reason, is_refusal: false }.into())
        }
    }
}

/// Has nodes that were seen to be astray follow the primary, or take writes where it is that itself; unless another has
/// become the primary meanwhile.
pub(super) async fn put_right(
    cx: &FlowCx,
    instance: &Instance,
    primary: &Node,
    astray: &[&Node],
) -> Result<(), FleetError> {
    let alone = cx.roles.alone(&instance.id).await;
    let (instance, nodes) = load(&cx.ledger, &instance.id)?;
    let same = |now: &Node| now.id == primary.id && now.epoch == primary.epoch && now.addr == primary.addr;
    if !primary_of(&nodes).is_some_and(same) {
        return Ok(());
    }
    for node in astray {
        let peer = spec::peer(&cx.sealer, &instance, node)?;
        if node.id == primary.id {
            // What a switch that was broken off has left.
            within(cx, OBEYS_WITHIN, &peer, cx.nodes.promote(&peer)).await?;
        } else {
            within(cx, OBEYS_WITHIN, &peer, cx.nodes.follow(&peer, primary.addr)).await?;
        }
    }
    drop(alone);
    Ok(())
}

/// The members among these that could take the primary's part now, without loss and at once: each answers, and has all the
/// data. The one that has most is the first.
pub(crate) async fn successors(
    cx: &FlowCx,
    id: &InstanceId,
    which: impl Fn(&Node) -> bool,
) -> Result<Vec<NodeId>, FleetError> {
    let (instance, nodes) = load(&cx.ledger, id)?;
    let Some(primary) = primary_of(&nodes) else { return Ok(Vec::new()) };
    let start = (primary.id.clone(), primary.epoch);
    let can = |node: &&Node| {
        let is_member = node.role == NodeRole::Replica && node.runs && !node.joins && node.unsaid == 0;
        is_member && node.observed_stream.as_ref() == Some(&start) && which(node)
    };
    let asked = join_all(nodes.iter().filter(can).map(|node| async {
        let peer = spec::peer(&cx.sealer, &instance, node).ok()?;
        let seen = within(cx, OBEYS_WITHIN, &peer, cx.nodes.replication(&peer)).await.ok()?;
        (seen.upstream == Some(primary.addr) && seen.is_synced).then(|| (seen.applied, node.id.clone()))
    }));
    let mut found: Vec<_> = asked.await.into_iter().flatten().collect();
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(found.into_iter().map(|(_, node)| node).collect())
}

/// Brings the roles of an instance's running nodes to what the ledger names: the primary takes writes, all others follow
/// it. To be called by one who is alone with the roles.
async fn arrange(cx: &FlowCx, instance: &Instance, nodes: &[Node]) -> Result<(), FleetError> {
    let Some(primary) = primary_of(nodes) else { return Ok(()) };
    let peer = spec::peer(&cx.sealer, instance, primary)?;
    if cx.nodes.replication(&peer).await?.upstream.is_some() {
        cx.nodes.promote(&peer).await?;
    }
    // Those that are just being started too: they were told of whoever was the primary then.
    let replicas = nodes.iter().filter(|node| node.role == NodeRole::Replica && node.runs);
    let followed = join_all(replicas.map(|replica| async {
        let peer = spec::peer(&cx.sealer, instance, replica)?;
        let follows = async {
            if cx.nodes.replication(&peer).await?.upstream != Some(primary.addr) {
                cx.nodes.follow(&peer, primary.addr).await?;
            }
            Ok(())
        };
        within(cx, OBEYS_WITHIN, &peer, follows).await
    }));
    // One that gives no answer follows when it is started anew, and is looked at again before.
    for error in followed.await.into_iter().filter_map(Result::err) {
        tracing::debug!(instance = %instance.id, %error, "a replica can't be told whom to follow now");
    }
    Ok(())
}

/// Notes how far a primary is, and to whom its stream flows.
async fn note(cx: &FlowCx, nodes: &[Node], primary: &Node, seen: &Replication) -> Result<(), FleetError> {
    let (id, start) = (primary.instance.clone(), (primary.id.clone(), primary.epoch));
    cx.roles.saw(&id, &start, seen.offset, cx.clock.passed());
    let flows_to = |node: &Node| seen.followers.contains(&node.addr.0.port());
    let is_noted = |node: &Node| node.observed_stream.as_ref() == Some(&start) && node.streamed_epoch == node.epoch;
    if nodes.iter().all(|node| flows_to(node) == is_noted(node)) {
        return Ok(());
    }
    // Each in the start that it was in before the primary was asked.
    let followers: Vec<_> =
        nodes.iter().filter(|node| flows_to(node)).map(|node| (node.id.clone(), node.epoch)).collect();
    cx.ledger.write(move |tx| ledger::observe_streams(tx, &id, (&start.0, start.1), &followers)).await?;
    cx.wake.routes.notify_one();
    Ok(())
}

/// Has the primary's stream flow to its synced replicas, and notes to whom it does. What fails here is looked at again by
/// the keeper of roles.
pub(crate) async fn start_streams(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    let (instance, nodes) = load(&cx.ledger, id)?;
    let Some(primary) = primary_of(&nodes).filter(|_| nodes.len() > 1) else { return Ok(()) };
    let peer = spec::peer(&cx.sealer, &instance, primary)?;
    let seen = cx.nodes.replication(&peer).await?;
    let lack =
        |node: &&Node| node.role == NodeRole::Replica && node.runs && !seen.followers.contains(&node.addr.0.port());
    let lacking: Vec<&Node> = nodes.iter().filter(lack).collect();
    if lacking.is_empty() {
        return note(cx, &nodes, primary, &seen).await;
    }
    for node in &lacking {
        cx.nodes.reconnect(&spec::peer(&cx.sealer, &instance, node)?).await?;
    }
    let mut look = SHORTEST_LOOK;
    let until = cx.clock.passed() + STREAM_WITHIN;
    loop {
        cx.nodes.ask_followers(&peer).await?;
        let seen = cx.nodes.replication(&peer).await?;
        let flows = |node: &&Node| seen.followers.contains(&node.addr.0.port());
        if lacking.iter().all(flows) || cx.clock.passed() >= until {
            return note(cx, &nodes, primary, &seen).await;
        }
        cx.clock.sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
    }
}

/// As [`start_streams`] for a node's instance, once its replicas are synced. A node that has come back can be succeeded, or
/// succeed another, from then on. Given up after a while: the keeper of roles looks too.
pub(crate) async fn stream_again(cx: &FlowCx, node: &NodeId) -> Result<(), FleetError> {
    let until = cx.clock.passed() + SYNCED_WITHIN;
    while cx.clock.passed() < until {
        let (Wanted { instance, nodes, .. }, _) = load_node(cx, node)?;
        let replicas = nodes.iter().filter(|node| node.role == NodeRole::Replica && node.runs);
        let asked = join_all(replicas.map(|node| async {
            let seen = cx.nodes.replication(&spec::peer(&cx.sealer, &instance, node)?).await?;
            Ok::<bool, FleetError>(seen.is_synced)
        }));
        if asked.await.into_iter().all(|synced| synced.unwrap_or(false)) {
            return start_streams(cx, &instance.id).await;
        }
        cx.clock.sleep(LONGEST_LOOK).await;
    }
    Ok(())
}

/// Waits until the primary's stream flows to these of its members, or to one of them at the least.
pub(crate) async fn await_stream(
    cx: &FlowCx,
    id: &InstanceId,
    which: impl Fn(&Node) -> bool,
    to_all: bool,
) -> Result<(), FleetError> {
    let mut look = SHORTEST_LOOK;
    loop {
        let (instance, nodes) = load(&cx.ledger, id)?;
        let Some(primary) = primary_of(&nodes) else { return Ok(()) };
        let seen = cx.nodes.replication(&spec::peer(&cx.sealer, &instance, primary)?).await?;
        note(cx, &nodes, primary, &seen).await?;
        let mut awaited = nodes.iter().filter(|node| node.role == NodeRole::Replica && node.runs && which(node));
        let flows_to = |node: &Node| seen.followers.contains(&node.addr.0.port());
        if if to_all { awaited.all(flows_to) } else { awaited.any(flows_to) } {
            return Ok(());
        }
        if look == LONGEST_LOOK {
            // Roles may have changed under it, and nobody else looks after an instance that a task has.
            let alone = cx.roles.alone(id).await;
            let (instance, nodes) = load(&cx.ledger, id)?;
            arrange(cx, &instance, &nodes).await?;
            drop(alone);
        }
        cx.clock.sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
    }
}

/// As [`arrange`], where no task has the instance; and notes how far the primary is.
pub(crate) async fn keep_roles(cx: &FlowCx, id: &InstanceId, with_replicas: bool) -> Result<(), FleetError> {
    let (instance, nodes) = load(&cx.ledger, id)?;
    let Some(primary) = primary_of(&nodes).filter(|node| node.runs && node.observed_up) else { return Ok(()) };
    let peer = spec::peer(&cx.sealer, &instance, primary)?;
    let seen = cx.nodes.replication(&peer).await?;
    if seen.upstream.is_none() {
        note(cx, &nodes, primary, &seen).await?;
        if !with_replicas {
            return Ok(());
        }
    }
    let _alone = cx.roles.alone(id).await;
    // Only now: a task that has the instance may be in the middle of a switch.
    if cx.ledger.read(|reader| ledger::holder(reader, id))?.is_some() {
        return Ok(());
    }
    let (instance, nodes) = load(&cx.ledger, id)?;
    arrange(cx, &instance, &nodes).await
}

/// Puts the best replica in the place of a primary whose process has ended; answers whether there was one. Where there
/// is none, the primary is to come back with its data.
pub(crate) async fn fail_over(cx: &FlowCx, node: &NodeId, ended: Epoch) -> Result<bool, FleetError> {
    let (Wanted { instance, .. }, _) = load_node(cx, node)?;
    let alone = cx.roles.alone(&instance.id).await;
    let (Wanted { instance, nodes, .. }, node) = load_node(cx, node)?;
    if node.role != NodeRole::Primary || node.epoch != ended || !instance.is_open {
        return Ok(false);
    }
    let Some((successor, peer)) = choose_successor(cx, &instance, &nodes, &node).await? else { return Ok(false) };
    cx.nodes.promote(&peer).await?;
    let (from, to) = ((node.id.clone(), ended), (successor.id.clone(), successor.epoch));
    let (owner, now) = (instance.clone(), cx.clock.now());
    let handed = cx.ledger.write(move |tx| -> ledger::Result<bool> {
        if !ledger::hand_over(tx, (&from.0, from.1), (&to.0, to.1), true)? {
            return Ok(false);
        }
        let effect = "The primary's process ended and a replica took its place. Connections were reset; writes that the \
                      replica had not got yet are lost.";
        let event = NewEvent { kind: "PrimaryFailover", grade: "High", effect, time: (now, now), latest_at: None };
        insert_event(tx, &owner, event).map(|_| true)
    });
    if !handed.await? {
        // It is being started anew, with its data: the one promoted in vain follows it again.
        cx.nodes.follow(&peer, node.addr).await?;
        return Ok(false);
    }
    tracing::warn!(instance = %instance.id, old = %node.id, new = %successor.id, "a replica has taken over");
    // It is done whatever comes next: who keeps the routes, and the roles, goes on with it.
    if let Err(error) = put_routes_in_force(cx).await {
        tracing::warn!(instance = %instance.id, %error, "the address does not lead to the new primary yet");
        cx.wake.routes.notify_one();
    }
    let (instance, nodes) = load(&cx.ledger, &instance.id)?;
    if let Err(error) = arrange(cx, &instance, &nodes).await {
        tracing::warn!(instance = %instance.id, %error, "the replicas do not follow the new primary yet");
    }
    drop(alone);
    Ok(true)
}

/// The member that has most of what the dead primary had, if it is near enough.
async fn choose_successor<'a>(
    cx: &FlowCx,
    instance: &Instance,
    nodes: &'a [Node],
    dead: &Node,
) -> Result<Option<(&'a Node, Peer)>, FleetError> {
    let start = (dead.id.clone(), dead.epoch);
    let least = cx.roles.least(&instance.id, &start, cx.clock.passed());
    let can = |node: &&Node| node.role == NodeRole::Replica && node.runs && !node.joins && node.unsaid == 0;
    let members = nodes.iter().filter(can);
    let mut asked: FuturesUnordered<_> = members
        .map(|node| async move {
            let peer = spec::peer(&cx.sealer, instance, node)?;
            let seen = cx.nodes.replication(&peer).await.ok();
            Ok::<_, FleetError>((node, peer, seen))
        })
        .collect();
    let mut best: Option<(&Node, Peer, i64)> = None;
    let mut patience = cx.clock.sleep(CANDIDATE_WITHIN);
    loop {
        tokio::select! {
            answer = asked.next() => {
                let Some(answer) = answer else { break };
                let (node, peer, seen) = answer?;
                let received = node.observed_stream.as_ref() == Some(&start);
                let Some(seen) = seen.filter(|seen| can_succeed(seen, dead.addr, received, least)) else { continue };
                if best.as_ref().is_none_or(|(_, _, applied)| seen.applied > *applied) {
                    best = Some((node, peer, seen.applied));
                }
                patience = cx.clock.sleep(OTHERS_WITHIN);
            }
            () = &mut patience => break,
        }
    }
    Ok(best.map(|(node, peer, _)| (node, peer)))
}

/// Whether a replica may take the place of the primary that was at `dead`, which is known to have been at `least`.
/// `received`: it got that one's stream when that was seen last.
fn can_succeed(seen: &Replication, dead: NodeAddr, received: bool, least: i64) -> bool {
    let had_all = match seen.upstream {
        // Promoted by a switch that was broken off.
        None => received,
        Some(upstream) if upstream == dead && received => {
            seen.is_synced || seen.lost_for.is_some_and(|lost| lost <= LAG_LIMIT)
        }
        Some(_) => false,
    };
    had_all && seen.applied >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: &str = "127.0.0.1:7001";

    #[test]
    fn only_a_replica_that_had_all_of_the_dead_one_and_lost_it_just_now_can_succeed_it() {
        let dead = NodeAddr(DEAD.parse().unwrap());
        let check = |change: &dyn Fn(&mut Replication), can: bool, what: &str| {
            let lost_for = Some(Duration::from_secs(1));
            let mut seen =
                Replication { upstream: Some(dead), applied: 100, offset: 100, lost_for, ..Default::default() };
            change(&mut seen);
            assert_eq!(can_succeed(&seen, dead, true, 90), can, "{what}");
            assert!(!can_succeed(&seen, dead, false, 90), "the stream never flowed");
        };
        check(&|_| {}, true, "lost a second ago");
        check(&|seen| (seen.is_synced, seen.lost_for) = (true, None), true, "has not noticed yet");
        check(&|seen| seen.upstream = None, true, "promoted already");
        check(&|seen| seen.lost_for = Some(LAG_LIMIT + Duration::from_secs(1)), false, "lost long ago");
        check(&|seen| seen.lost_for = None, false, "never had it");
        check(&|seen| seen.applied = 80, false, "behind what the dead one was seen at");
        check(&|seen| seen.upstream = Some(crate::nodes::NOWHERE), false, "followed somebody else");
    }
}
