//! Sets parameters of an instance (034) of which an engine takes some at its start alone. New nodes start with the new
//! values, follow the primary until they have everything, and take over; the old ones go. So nothing is out of service but
//! for the switch, the data is never in fewer places than before, and what does not start with the new values has changed
//! nothing.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, Tx};
use model::Millis;
use serde::{Deserialize, Serialize};

use super::replace_nodes::{self, ReplaceNodes};
use super::set_params::Changes;
use crate::actions::shape;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet;
use crate::placement::check_memory;

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct RestartParams {
    pub(super) changes: Changes,
    pub(super) nodes: ReplaceNodes,
}

/// A new node in the place of each, for which there has to be room.
pub(super) fn newcomers(cx: &FlowCx, tx: &mut dyn Tx, instance: &Instance, now: Millis) -> Answer<ReplaceNodes> {
    shape::refuse_while_pending(tx, instance)?;
    let nodes = ledger::members_of(tx.reader(), &instance.id)?;
    check_memory(cx, tx, instance.memory_mb.saturating_mul(nodes.len() as i64))?;
    let like = |node: &ledger::Node| shape::newcomer(cx, instance, &nodes, node.zone, Some(node.id.clone()));
    Ok(ReplaceNodes {
        instance: instance.id.clone(),
        newcomers: nodes.iter().map(like).collect(),
        previous: fleet::primary_of(&nodes).map(|node| node.id.clone()),
        type_id: instance.type_id,
        version: instance.version,
        shows_node_set: instance.shows_node_set,
        waits: None,
        leads: None,
        deal: None,
        busy_until: now,
    })
}

impl Flow for RestartParams {
    type Cx = FlowCx;
    const NAME: &'static str = "restart-params";
    /// The first step is for a node that is started while this runs, and has the new values when it is all undone.
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        apply_params undo apply_params within 60 "its nodes to take the new values",
        place_nodes undo forget_nodes within 30,
        start_nodes undo remove_nodes within 300 "the new nodes to serve",
        sync_nodes within 86400 "the new nodes to have all the data",
        hand_over undo hand_back as pivot within 600 "the new nodes to have all the data",
        attach_replicas within 86400 "the replicas to follow the new primary",
        remove_old within 120,
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        Some(self.changes.begin())
    }

    fn turn(&self) -> Outcome<FlowCx> {
        Some(self.changes.turn())
    }

    fn settle(&self, end: &End, _: Millis) -> Outcome<FlowCx> {
        Some(self.changes.settle(end))
    }
}

async fn apply_params(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    flow.changes.apply(cx).await?;
    Ok(None)
}

async fn place_nodes(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::place_nodes(cx, &mut flow.nodes).await
}

async fn forget_nodes(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::forget_nodes(cx, &mut flow.nodes).await
}

async fn start_nodes(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::start_nodes(cx, &mut flow.nodes).await
}

async fn remove_nodes(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::remove_nodes(cx, &mut flow.nodes).await
}

async fn sync_nodes(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::sync_nodes(cx, &mut flow.nodes).await
}

async fn hand_over(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::hand_over(cx, &mut flow.nodes).await
}

async fn hand_back(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::hand_back(cx, &mut flow.nodes).await
}

async fn attach_replicas(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::attach_replicas(cx, &mut flow.nodes).await
}

async fn remove_old(cx: &FlowCx, flow: &mut RestartParams) -> StepResult<FlowCx> {
    replace_nodes::remove_old(cx, &mut flow.nodes).await
}
