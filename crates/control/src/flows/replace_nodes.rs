//! Moves an instance to other nodes: of another engine (043), of a newer build of its engine (060), or in other zones
//! (066). The new nodes start, follow the primary until they have everything, take over, and the old ones go. The
//! cut-over may wait for the maintenance window; the instance is free for other tasks meanwhile.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{
    Tx, count_members, end_events, join_node, set_busy_if_idle, set_engine, set_node_joining, set_node_running,
    set_shows_node_set, settle_deal, swap_numbers, write,
};
use model::{EngineVersion, InstanceId, Millis, NodeId, TypeId};
use serde::{Deserialize, Serialize};

use super::{show_busy, window};
use crate::cx::FlowCx;
use crate::fleet::{self, Newcomer};

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReplaceNodes {
    pub(crate) instance: InstanceId,
    /// Each takes the place of a member.
    pub(crate) newcomers: Vec<Newcomer>,
    /// The primary when the flow was accepted.
    pub(crate) previous: Option<NodeId>,
    /// What the instance runs from the cut-over on.
    pub(crate) type_id: TypeId,
    pub(crate) version: EngineVersion,
    /// Whether answers list its nodes from the cut-over on.
    pub(crate) shows_node_set: bool,
    /// Set where the cut-over waits for the window: the kind of event that announces it.
    pub(crate) waits: Option<String>,
    #[serde(default)]
    pub(crate) deal: Option<String>,
    pub(crate) busy_until: Millis,
}

impl ReplaceNodes {
    fn replaced(&self) -> Vec<NodeId> {
        self.newcomers.iter().filter_map(|newcomer| newcomer.replaces.clone()).collect()
    }
}

impl Flow for ReplaceNodes {
    type Cx = FlowCx;
    const NAME: &'static str = "replace-nodes";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        place_nodes undo forget_nodes within 30,
        start_nodes undo remove_nodes within 300 "the new nodes to serve",
        sync_nodes within 86400 "the new nodes to have all the data",
        let_go undo take_back within 86400 "another task to let the instance go",
        await_window within 60 "the maintenance window",
        hand_over undo hand_back as pivot within 600 "the new nodes to have all the data",
        attach_replicas within 86400 "the replicas to follow the new primary",
        remove_old within 120,
        show within 60 "clients to have seen the instance busy",
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_busy_if_idle(tx, &id)))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (id, deal, done) = (self.instance.clone(), self.deal.clone(), *end == End::Done);
        Some(write(move |tx| {
            end_events(tx, &id, if done { "Finished" } else { "Canceled" }, now)?;
            match &deal {
                Some(deal) => settle_deal(tx, deal, done, now),
                None => Ok(()),
            }
        }))
    }
}

pub(super) async fn place_nodes(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    fleet::place(cx, &flow.instance, &flow.newcomers).await?;
    Ok(None)
}

pub(super) async fn forget_nodes(_: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    Ok(Some(fleet::forgotten(Newcomer::ids(&flow.newcomers))))
}

pub(super) async fn start_nodes(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    Ok(Some(fleet::start_these(cx, &Newcomer::ids(&flow.newcomers)).await?))
}

pub(super) async fn remove_nodes(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    let ids = Newcomer::ids(&flow.newcomers);
    fleet::stop_wanting(cx, &ids).await?;
    fleet::remove_these(cx, &ids).await?;
    Ok(None)
}

pub(super) async fn sync_nodes(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    fleet::attach_these(cx, &flow.instance, &Newcomer::ids(&flow.newcomers)).await?;
    Ok(None)
}

async fn let_go(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    Ok(flow.waits.as_deref().map(|kind| window::let_go(cx, &flow.instance, kind)))
}

async fn take_back(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    window::take_back(cx, &flow.instance).await
}

async fn await_window(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    window::await_window(cx, &flow.instance).await
}

/// Who takes the writes, and who is a member, changes in one step: from here on the old nodes are gone.
pub(super) async fn hand_over(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    let newcomers = Newcomer::ids(&flow.newcomers);
    let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    let primary = fleet::primary_of(&nodes).map(|node| node.id.clone());
    // While it waited others may have become what they were not, and the new nodes may have lost their upstream.
    let successor = flow.newcomers.iter().find(|newcomer| newcomer.replaces == primary);
    if let Some(successor) = successor {
        fleet::attach_these(cx, &flow.instance, &newcomers).await?;
        fleet::hand_over(cx, &flow.instance, &successor.node).await?;
    } else if let Some(primary) = primary.filter(|primary| newcomers.contains(primary)) {
        fleet::hand_over(cx, &flow.instance, &primary).await?;
    } else {
        fleet::attach_these(cx, &flow.instance, &newcomers).await?;
    }
    let (id, pairs, type_id, version) = (flow.instance.clone(), flow.newcomers.clone(), flow.type_id, flow.version);
    let shows = flow.shows_node_set;
    Ok(Some(write(move |tx| {
        pairs.iter().try_for_each(|newcomer| take_place(tx, newcomer))?;
        set_engine(tx, &id, type_id, version)?;
        set_shows_node_set(tx, &id, shows)?;
        count_members(tx, &id)
    })))
}

fn take_place(tx: &mut dyn Tx, newcomer: &Newcomer) -> ledger::Result<()> {
    join_node(tx, &newcomer.node)?;
    let Some(old) = &newcomer.replaces else { return Ok(()) };
    swap_numbers(tx, &newcomer.node, old)?;
    set_node_joining(tx, old)?;
    set_node_running(tx, old, false)
}

pub(super) async fn hand_back(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    let newcomers = Newcomer::ids(&flow.newcomers);
    let primary = fleet::primary_of(&nodes).map(|node| node.id.clone());
    // Where a member of old has it, it stays with that one; where a new node got it, it goes back to whom it replaces.
    let to = match flow.newcomers.iter().find(|newcomer| Some(&newcomer.node) == primary.as_ref()) {
        Some(newcomer) => newcomer.replaces.clone(),
        None => primary.filter(|primary| !newcomers.contains(primary)),
    };
    if let Some(to) = to.or_else(|| flow.previous.clone()) {
        fleet::hand_over(cx, &flow.instance, &to).await?;
    }
    fleet::attach_replicas(cx, &flow.instance).await?;
    Ok(Some(write(move |tx| newcomers.iter().try_for_each(|node| set_node_joining(tx, node)))))
}

pub(super) async fn attach_replicas(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    fleet::attach_replicas(cx, &flow.instance).await?;
    Ok(None)
}

pub(super) async fn remove_old(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    let replaced = flow.replaced();
    fleet::remove_these(cx, &replaced).await?;
    Ok(Some(fleet::forgotten(replaced)))
}

async fn show(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    show_busy(cx, flow.busy_until).await
}
