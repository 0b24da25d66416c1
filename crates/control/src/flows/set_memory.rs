//! Changes how much memory an instance has (028): the limit of every node, at once, with no connection touched.

use flow::{Flow, Outcome, Step, StepError, StepResult, steps};
use ledger::{deliver_again, set_busy_if_idle, set_memory, settle_deal, write};
use model::{InstanceId, Millis};
use serde::{Deserialize, Serialize};

use super::show_busy;
use crate::cx::FlowCx;
use crate::fleet::{self, FleetError};
use crate::spec;

/// What is used must fit into so much less than what is left: 30 % are kept free, as the API documents it.
const KEPT_FREE_PERCENT: u64 = 30;

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetMemory {
    pub(crate) instance: InstanceId,
    /// In MiB, a shard.
    pub(crate) previous_mb: i64,
    pub(crate) wanted_mb: i64,
    pub(crate) deal: String,
    pub(crate) busy_until: Millis,
}

/// The least memory in MiB that holds so many used bytes with the head-room that a shrink leaves.
pub(crate) fn least_mb(used: u64) -> i64 {
    let with_room = used.saturating_mul(100 + KEPT_FREE_PERCENT) / 100;
    i64::try_from(with_room.div_ceil(1 << 20)).unwrap_or(i64::MAX)
}

impl Flow for SetMemory {
    type Cx = FlowCx;
    const NAME: &'static str = "set-memory";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        check_used undo show within 30 "the primary to tell how much it uses",
        apply_memory undo apply_memory within 60 "its nodes to take the new limit",
        show within 60 "clients to have seen the instance busy",
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, wanted, deal) = (self.instance.clone(), self.wanted_mb, self.deal.clone());
        Some(write(move |tx| {
            deliver_again(tx, &deal)?;
            set_busy_if_idle(tx, &id)?;
            set_memory(tx, &id, wanted)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, previous) = (self.instance.clone(), self.previous_mb);
        Some(write(move |tx| set_memory(tx, &id, previous)))
    }

    fn settle(&self, end: &flow::End, now: Millis) -> Outcome<FlowCx> {
        let (deal, done) = (self.deal.clone(), *end == flow::End::Done);
        Some(write(move |tx| settle_deal(tx, &deal, done, now)))
    }
}

/// It may hold more than it did when the change was accepted.
async fn check_used(cx: &FlowCx, flow: &mut SetMemory) -> StepResult<FlowCx> {
    if flow.wanted_mb >= flow.previous_mb {
        return Ok(None);
    }
    let (instance, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    let Some(primary) = fleet::primary_of(&nodes) else { return Ok(None) };
    let peer = spec::peer(&cx.sealer, &instance, primary).map_err(FleetError::from)?;
    let used = cx.nodes.used_memory(&peer).await.map_err(FleetError::from)?;
    let least = least_mb(used);
    if flow.wanted_mb >= least {
        return Ok(None);
    }
    let message = format!(
        "{} MiB are used, for which {least} MiB are needed at the least; {} MiB were asked for",
        used >> 20,
        flow.wanted_mb
    );
    Err(StepError::Fail { code: model::code::InvalidParameterValueReduceCapacityNotAllowed.into(), message })
}

/// The ledger is always changed first, and a node that starts takes its memory from there.
async fn apply_memory(cx: &FlowCx, flow: &mut SetMemory) -> StepResult<FlowCx> {
    fleet::apply_memory(cx, &flow.instance).await?;
    Ok(None)
}

async fn show(cx: &FlowCx, flow: &mut SetMemory) -> StepResult<FlowCx> {
    show_busy(cx, flow.busy_until).await
}
