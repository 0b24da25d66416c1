//! Removes replicas from an instance (029). Where the primary is among those that leave, a replica that stays takes its
//! place first.

use flow::{End, Flow, Outcome, Step, StepError, StepResult, steps};
use ledger::{count_members, deliver_again, set_busy_if_idle, set_node_joining, set_node_running, settle_deal, write};
use model::{InstanceId, Millis, NodeId};
use serde::{Deserialize, Serialize};

use super::show_busy;
use crate::cx::FlowCx;
use crate::fleet;

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct RemoveNodes {
    pub(crate) instance: InstanceId,
    pub(crate) leaving: Vec<NodeId>,
    /// The primary when it was accepted.
    pub(crate) previous: NodeId,
    pub(crate) deal: String,
    pub(crate) busy_until: Millis,
}

impl Flow for RemoveNodes {
    type Cx = FlowCx;
    const NAME: &'static str = "remove-nodes";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        hand_over undo hand_back within 60 "a replica that stays to have all the data",
        give_up_nodes as pivot,
        attach_replicas within 600 "the replicas that stay to follow the primary",
        remove_nodes within 120,
        show within 60 "clients to have seen the instance busy",
    ];

    /// Those that leave are no members any more, so that none of them is promoted meanwhile.
    fn begin(&self) -> Outcome<FlowCx> {
        let (id, leaving, deal) = (self.instance.clone(), self.leaving.clone(), self.deal.clone());
        Some(write(move |tx| {
            deliver_again(tx, &deal)?;
            set_busy_if_idle(tx, &id)?;
            leaving.iter().try_for_each(|node| set_node_joining(tx, node))
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, leaving) = (self.instance.clone(), self.leaving.clone());
        Some(write(move |tx| {
            leaving.iter().try_for_each(|node| ledger::join_node(tx, node))?;
            count_members(tx, &id)
        }))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (deal, done) = (self.deal.clone(), *end == End::Done);
        Some(write(move |tx| settle_deal(tx, &deal, done, now)))
    }
}

async fn hand_over(cx: &FlowCx, flow: &mut RemoveNodes) -> StepResult<FlowCx> {
    let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    let leaves = |id: &NodeId| flow.leaving.contains(id);
    if !fleet::primary_of(&nodes).is_some_and(|primary| leaves(&primary.id)) {
        return Ok(None);
    }
    let staying = fleet::successors(cx, &flow.instance, |node| !leaves(&node.id)).await?;
    let Some(successor) = staying.first() else {
        return Err(StepError::Retry("no replica that stays has all the data and answers".into()));
    };
    fleet::hand_over(cx, &flow.instance, successor).await?;
    Ok(None)
}

async fn hand_back(cx: &FlowCx, flow: &mut RemoveNodes) -> StepResult<FlowCx> {
    fleet::hand_over(cx, &flow.instance, &flow.previous).await?;
    fleet::attach_replicas(cx, &flow.instance).await?;
    show_busy(cx, flow.busy_until).await
}

/// From here on they are gone.
async fn give_up_nodes(cx: &FlowCx, flow: &mut RemoveNodes) -> StepResult<FlowCx> {
    let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    if fleet::primary_of(&nodes).is_none_or(|primary| flow.leaving.contains(&primary.id)) {
        return Err(StepError::Retry("the primary is among the nodes that leave".into()));
    }
    let (id, leaving) = (flow.instance.clone(), flow.leaving.clone());
    Ok(Some(write(move |tx| {
        leaving.iter().try_for_each(|node| set_node_running(tx, node, false))?;
        count_members(tx, &id)
    })))
}

async fn attach_replicas(cx: &FlowCx, flow: &mut RemoveNodes) -> StepResult<FlowCx> {
    fleet::attach_replicas(cx, &flow.instance).await?;
    Ok(None)
}

async fn remove_nodes(cx: &FlowCx, flow: &mut RemoveNodes) -> StepResult<FlowCx> {
    fleet::remove_these(cx, &flow.leaving).await?;
    Ok(Some(fleet::forgotten(flow.leaving.clone())))
}

async fn show(cx: &FlowCx, flow: &mut RemoveNodes) -> StepResult<FlowCx> {
    show_busy(cx, flow.busy_until).await
}
