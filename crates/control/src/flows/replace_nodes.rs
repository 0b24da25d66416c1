//! Moves an instance to other nodes: of another engine (043), of a newer build of its engine (060), or in other zones
//! (066). The new nodes start, follow the primary until they have everything, take over, and the old ones go. The
//! cut-over may wait for the maintenance window; the instance is free for other tasks meanwhile.

use flow::{End, Flow, Outcome, Step, StepError, StepResult, steps};
use ledger::{
    Tx, count_members, deliver_again, end_events, join_node, set_busy_if_idle, set_engine, set_node_joining,
    set_node_running, set_shows_node_set, settle_deal, swap_numbers, write,
};
use model::{EngineVersion, InstanceId, Millis, NodeId, NodeRole, TypeId};
use serde::{Deserialize, Serialize};

use super::{show_busy, window};
use crate::cx::FlowCx;
use crate::fleet::{self, FleetError, Newcomer};

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
    /// Who is to be the primary in the end; `None` where that is all the same.
    #[serde(default)]
    pub(crate) leads: Option<NodeId>,
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
        let (id, deal) = (self.instance.clone(), self.deal.clone());
        Some(write(move |tx| {
            deal.iter().try_for_each(|deal| deliver_again(tx, deal))?;
            set_busy_if_idle(tx, &id)
        }))
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

pub(super) async fn forget_nodes(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    show_busy(cx, flow.busy_until).await?;
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
    if flow.waits.is_some() {
        show_busy(cx, flow.busy_until).await?;
    }
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
    lead_by_newcomer(cx, flow).await?;
    if let Some(leads) = &flow.leads {
        // Roles may have changed since the zones were asked for.
        fleet::hand_over(cx, &flow.instance, leads).await?;
    }
    let places = flow.places();
    Ok(Some(write(move |tx| places.take(tx).map(drop))))
}

/// Where the primary is one that is replaced, its newcomer takes its part; all newcomers have all the data then.
async fn lead_by_newcomer(cx: &FlowCx, flow: &ReplaceNodes) -> Result<(), FleetError> {
    let newcomers = Newcomer::ids(&flow.newcomers);
    let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    let primary = fleet::primary_of(&nodes).map(|node| node.id.clone());
    // While it waited others may have become what they were not, and the new nodes may have lost their upstream.
    let successor = flow.newcomers.iter().find(|newcomer| newcomer.replaces == primary);
    if let Some(successor) = successor {
        fleet::attach_these(cx, &flow.instance, &newcomers).await?;
        fleet::hand_over(cx, &flow.instance, &successor.node).await
    } else if let Some(primary) = primary.filter(|primary| newcomers.contains(primary)) {
        fleet::hand_over(cx, &flow.instance, &primary).await
    } else {
        fleet::attach_these(cx, &flow.instance, &newcomers).await
    }
}

/// The newcomers' places among the members.
#[derive(Clone)]
struct Places {
    instance: InstanceId,
    newcomers: Vec<Newcomer>,
    type_id: TypeId,
    version: EngineVersion,
    shows_node_set: bool,
}

impl ReplaceNodes {
    fn places(&self) -> Places {
        Places {
            instance: self.instance.clone(),
            newcomers: self.newcomers.clone(),
            type_id: self.type_id,
            version: self.version,
            shows_node_set: self.shows_node_set,
        }
    }
}

impl Places {
    /// Has every newcomer take its place, unless one that is replaced has become the primary meanwhile; answers whether
    /// they have them.
    fn take(&self, tx: &mut dyn Tx) -> ledger::Result<bool> {
        let nodes = ledger::nodes_of(tx.reader(), &self.instance)?;
        let leads = |id: &NodeId| nodes.iter().any(|node| node.id == *id && node.role == NodeRole::Primary);
        let joins = |id: &NodeId| nodes.iter().any(|node| node.id == *id && node.joins);
        let stays = |id: &NodeId| nodes.iter().any(|node| node.id == *id && !node.joins);
        if self.newcomers.iter().filter_map(|newcomer| newcomer.replaces.as_ref()).any(leads) {
            return Ok(false);
        }
        for newcomer in &self.newcomers {
            // The primary's newcomer is a member since it leads.
            if joins(&newcomer.node) || newcomer.replaces.as_ref().is_some_and(stays) {
                take_place(tx, newcomer)?;
            }
        }
        set_engine(tx, &self.instance, self.type_id, self.version)?;
        set_shows_node_set(tx, &self.instance, self.shows_node_set)?;
        count_members(tx, &self.instance)?;
        Ok(true)
    }
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

/// One that is replaced may have become the primary in the moment in which its newcomer was to take its place.
pub(super) async fn attach_replicas(cx: &FlowCx, flow: &mut ReplaceNodes) -> StepResult<FlowCx> {
    let places = flow.places();
    if !cx.ledger.write(move |tx| places.take(tx)).await.map_err(FleetError::from)? {
        lead_by_newcomer(cx, flow).await?;
        return Err(StepError::Retry("a node that is to go had become the primary".into()));
    }
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
