//! Isolates an instance (003): its address is closed and stays reserved, its nodes end with their data kept.
//! Until the end it can be taken back whole.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, cancel_task, deliver_again, pending, set_closed, set_open, set_running, set_status, write};
use model::{ApiError, BillingMode, InstanceId, InstanceStatus, Millis, TaskId, code};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::access::Caller;
use crate::action::open_task;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet;
use crate::settings::Settings;

/// The type of task that shows for it.
pub(crate) const KIND: &str = "003";

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct IsolateInstance {
    instance: InstanceId,
    prepaid: bool,
    keep_for: Duration,
    /// The deal that orders it; prepaid alone.
    #[serde(default)]
    deal: Option<String>,
}

/// Accepts the isolation of a running instance, in the action's transaction.
pub(crate) fn submit(
    tx: &mut dyn ledger::Tx,
    settings: &Settings,
    caller: &Caller,
    instance: &Instance,
    deal: Option<String>,
    now: Millis,
) -> Answer<TaskId> {
    if instance.delete_protection {
        return Err(ApiError::new(
            code::UnsupportedOperation,
            format!(
                "The instance `{}` is protected from deletion; switch that off first (ModifyInstance).",
                instance.id
            ),
            format!("实例 `{}` 已开启删除保护，请先通过 ModifyInstance 关闭。", instance.id),
        )
        .into());
    }
    let prepaid = instance.billing == BillingMode::Prepaid;
    let keep_for = if prepaid { settings.recycle_prepaid_for } else { settings.recycle_postpaid_for };
    let flow = IsolateInstance { instance: instance.id.clone(), prepaid, keep_for, deal };
    open_task(tx, caller, instance, KIND, &flow, now)
}

impl Flow for IsolateInstance {
    type Cx = FlowCx;
    const NAME: &'static str = "isolate-instance";
    const STEPS: &'static [Step<FlowCx, Self>] =
        steps![close_address undo open_address, stop_nodes undo start_nodes within 120];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, deal) = (self.instance.clone(), self.deal.clone());
        Some(write(move |tx| {
            deal.iter().try_for_each(|deal| deliver_again(tx, deal))?;
            // A change that waits for its window would have nothing to change any more.
            if let Some(waiting) = pending(tx.reader(), &id)? {
                cancel_task(tx, waiting.task)?;
            }
            set_status(tx, &id, InstanceStatus::Busy)?;
            set_open(tx, &id, false)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| {
            set_running(tx, &id, true)?;
            set_open(tx, &id, true)
        }))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (id, deal) = (self.instance.clone(), self.deal.clone());
        let (done, isolated) = (*end == End::Done, self.isolated());
        let until = now + self.keep_for;
        Some(write(move |tx| {
            if let Some(deal) = &deal {
                ledger::settle_deal(tx, deal, done, now)?;
            }
            set_closed(tx, &id, done.then_some((now, until)))?;
            set_status(tx, &id, if done { isolated } else { InstanceStatus::Idle })
        }))
    }
}

impl IsolateInstance {
    fn isolated(&self) -> InstanceStatus {
        if self.prepaid { InstanceStatus::Isolated } else { InstanceStatus::ToBeDeleted }
    }
}

async fn close_address(cx: &FlowCx, flow: &mut IsolateInstance) -> StepResult<FlowCx> {
    fleet::close_address(cx).await?;
    let id = flow.instance.clone();
    Ok(Some(write(move |tx| set_running(tx, &id, false))))
}

async fn open_address(cx: &FlowCx, flow: &mut IsolateInstance) -> StepResult<FlowCx> {
    fleet::open_address(cx, &flow.instance).await?;
    Ok(None)
}

async fn stop_nodes(cx: &FlowCx, flow: &mut IsolateInstance) -> StepResult<FlowCx> {
    fleet::stop_nodes(cx, &flow.instance).await?;
    Ok(None)
}

async fn start_nodes(cx: &FlowCx, flow: &mut IsolateInstance) -> StepResult<FlowCx> {
    Ok(Some(fleet::start_nodes(cx, &flow.instance).await?))
}
