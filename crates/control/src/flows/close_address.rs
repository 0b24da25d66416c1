//! Closes an address that an instance has besides its own: a public one that is released (053), or a former one whose time
//! is over (045). Once the first step is passed the address may be another one's, so nothing is undone.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, Tx, delete_address, set_busy_if_idle, write};
use model::{InstanceId, Millis, TaskId, Vip};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::action::{open_task, open_task_beside};
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet;

/// The type of task that shows for a former address.
pub(crate) const KIND: &str = "045";

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct CloseAddress {
    instance: InstanceId,
    vip: Vip,
    /// Whether the instance is shown as busy meanwhile.
    shows: bool,
}

/// Accepts that a public address is closed, in the action's transaction.
pub(crate) fn submit(tx: &mut dyn Tx, caller: &Caller, instance: &Instance, vip: Vip, now: Millis) -> Answer<TaskId> {
    let flow = CloseAddress { instance: instance.id.clone(), vip, shows: true };
    open_task(tx, caller, instance, "053", &flow, now)
}

/// Accepts that a former address is closed. The instance stays as free as it is: it is not reached there any more.
pub(crate) fn submit_former(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    vip: Vip,
    now: Millis,
) -> Answer<TaskId> {
    let flow = CloseAddress { instance: instance.id.clone(), vip, shows: false };
    open_task_beside(tx, caller, instance, KIND, &flow, now)
}

impl Flow for CloseAddress {
    type Cx = FlowCx;
    const NAME: &'static str = "close-address";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![give_up_address as pivot, close_address];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        self.shows.then(|| write(move |tx| set_busy_if_idle(tx, &id)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

async fn give_up_address(_: &FlowCx, flow: &mut CloseAddress) -> StepResult<FlowCx> {
    let (id, vip) = (flow.instance.clone(), flow.vip);
    Ok(Some(write(move |tx| delete_address(tx, &id, vip))))
}

async fn close_address(cx: &FlowCx, _: &mut CloseAddress) -> StepResult<FlowCx> {
    fleet::close_address(cx).await?;
    Ok(None)
}
