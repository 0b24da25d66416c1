//! Has an instance take connections by TLS besides plain ones (901), or not any more (902). Open connections stay.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, Tx, set_busy_if_idle, set_tls, write};
use model::{InstanceId, Millis, TaskId};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::action::open_task;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet::{self, FleetError};
use crate::tls;

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetTls {
    instance: InstanceId,
    previous: bool,
    wanted: bool,
}

/// Accepts it, in the action's transaction.
pub(crate) fn submit(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    wanted: bool,
    now: Millis,
) -> Answer<TaskId> {
    let previous = ledger::tls_of(tx.reader(), &instance.id)?.is_some();
    let flow = SetTls { instance: instance.id.clone(), previous, wanted };
    open_task(tx, caller, instance, if wanted { "901" } else { "902" }, &flow, now)
}

impl Flow for SetTls {
    type Cx = FlowCx;
    const NAME: &'static str = "set-tls";
    const STEPS: &'static [Step<FlowCx, Self>] =
        steps![apply_tls undo apply_tls within 60 "the gateway to take the certificate"];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, wanted) = (self.instance.clone(), self.wanted);
        Some(write(move |tx| {
            set_busy_if_idle(tx, &id)?;
            set_tls(tx, &id, wanted)
        }))
    }

    /// A certificate that was given up may be gone from the disk: what takes this back makes another.
    fn turn(&self) -> Outcome<FlowCx> {
        let (id, previous) = (self.instance.clone(), self.previous);
        Some(write(move |tx| set_tls(tx, &id, previous)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

/// The certificate is on the disk before the ledger, and so the gateway, names it.
async fn apply_tls(cx: &FlowCx, flow: &mut SetTls) -> StepResult<FlowCx> {
    tls::certify(cx, &flow.instance).await.map_err(FleetError::from)?;
    fleet::open_address(cx, &flow.instance).await?;
    cx.wake.certificates.notify_one();
    Ok(None)
}
