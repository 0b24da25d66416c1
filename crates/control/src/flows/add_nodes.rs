//! Adds replicas to an instance (029): they start, follow the primary until they have everything, then they are members.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{count_members, deliver_again, join_node, set_busy_if_idle, set_shows_node_set, settle_deal, write};
use model::{InstanceId, Millis};
use serde::{Deserialize, Serialize};

use super::show_busy;
use crate::cx::FlowCx;
use crate::fleet::{self, Newcomer};

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct AddNodes {
    pub(crate) instance: InstanceId,
    pub(crate) newcomers: Vec<Newcomer>,
    /// Whether answers listed its nodes before, and are to from now on.
    pub(crate) showed_node_set: bool,
    pub(crate) shows_node_set: bool,
    pub(crate) deal: String,
    pub(crate) busy_until: Millis,
}

impl Flow for AddNodes {
    type Cx = FlowCx;
    const NAME: &'static str = "add-nodes";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        place_nodes undo forget_nodes within 30,
        start_nodes undo remove_nodes within 120 "the new nodes to serve",
        attach_replicas within 86400 "the new replicas to have all the data",
        join as pivot within 30,
        show within 60 "clients to have seen the instance busy",
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, shows, deal) = (self.instance.clone(), self.shows_node_set, self.deal.clone());
        Some(write(move |tx| {
            deliver_again(tx, &deal)?;
            set_busy_if_idle(tx, &id)?;
            set_shows_node_set(tx, &id, shows)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, showed) = (self.instance.clone(), self.showed_node_set);
        Some(write(move |tx| set_shows_node_set(tx, &id, showed)))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (deal, done) = (self.deal.clone(), *end == End::Done);
        Some(write(move |tx| settle_deal(tx, &deal, done, now)))
    }
}

async fn place_nodes(cx: &FlowCx, flow: &mut AddNodes) -> StepResult<FlowCx> {
    fleet::place(cx, &flow.instance, &flow.newcomers).await?;
    Ok(None)
}

async fn forget_nodes(cx: &FlowCx, flow: &mut AddNodes) -> StepResult<FlowCx> {
    show_busy(cx, flow.busy_until).await?;
    Ok(Some(fleet::forgotten(Newcomer::ids(&flow.newcomers))))
}

async fn start_nodes(cx: &FlowCx, flow: &mut AddNodes) -> StepResult<FlowCx> {
    Ok(Some(fleet::start_these(cx, &Newcomer::ids(&flow.newcomers)).await?))
}

async fn remove_nodes(cx: &FlowCx, flow: &mut AddNodes) -> StepResult<FlowCx> {
    let ids = Newcomer::ids(&flow.newcomers);
    fleet::stop_wanting(cx, &ids).await?;
    fleet::remove_these(cx, &ids).await?;
    Ok(None)
}

async fn attach_replicas(cx: &FlowCx, flow: &mut AddNodes) -> StepResult<FlowCx> {
    fleet::attach_these(cx, &flow.instance, &Newcomer::ids(&flow.newcomers)).await?;
    Ok(None)
}

async fn join(_: &FlowCx, flow: &mut AddNodes) -> StepResult<FlowCx> {
    let (id, newcomers) = (flow.instance.clone(), Newcomer::ids(&flow.newcomers));
    Ok(Some(write(move |tx| {
        newcomers.iter().try_for_each(|node| join_node(tx, node))?;
        count_members(tx, &id)
    })))
}

async fn show(cx: &FlowCx, flow: &mut AddNodes) -> StepResult<FlowCx> {
    show_busy(cx, flow.busy_until).await
}
