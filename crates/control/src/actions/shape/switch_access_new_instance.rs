//! Runs a cut-over now that waits for its maintenance window (016).

use std::time::Duration;

use flow::{End, Flow, Outcome, Step, StepError, StepResult, steps};
use ledger::{NewTask, pending, set_event, set_status, take_again, wake_task};
use model::{ApiError, InstanceStatus, Millis, TaskId, TaskResult, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, find};
use crate::cx::FlowCx;
use crate::errors::{Answer, instance_locked, wrong_status};
use crate::fleet::FleetError;

/// What to cut over.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance; a change of its nodes must wait for its window.
    instance_id: String,
}

/// Nothing: DescribeTaskList shows the tasks.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {}

pub(crate) struct SwitchAccessNewInstance;

impl Action for SwitchAccessNewInstance {
    const NAME: &'static str = "SwitchAccessNewInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let instance = find(tx.reader(), caller.account, &request.instance_id)?;
            if ledger::holder(tx.reader(), &instance.id)?.is_some() {
                return Err(instance_locked(&instance.id));
            }
            if instance.status != InstanceStatus::Idle {
                let code = code::ResourceUnavailableInstanceStatusError;
                return Err(wrong_status(code, &instance.id, instance.status.number()));
            }
            let waiting = match pending(tx.reader(), &instance.id)? {
                Some(waiting) if ledger::is_cancelled(tx.reader(), waiting.task)? => None,
                waiting => waiting,
            };
            let Some(waiting) = waiting else {
                return Err(ApiError::new(
                    code::ResourceUnavailableInstanceStatusAbnormal,
                    format!("No change of the instance `{}` waits for its maintenance window.", instance.id),
                    format!("实例 `{}` 没有等待维护时间窗切换的变更。", instance.id),
                )
                .into());
            };
            // The waiting task has the instance again, and goes on at once.
            take_again(tx, &instance.id)?;
            set_status(tx, &instance.id, InstanceStatus::Busy)?;
            set_event(tx, waiting.event, "Running", None)?;
            wake_task(tx, waiting.task)?;
            let state = serde_json::to_string(&CutOver { task: waiting.task });
            let new = NewTask {
                instance: &instance,
                caller: &caller.uin,
                kind: "016",
                flow: CutOver::NAME,
                first_step: CutOver::STEPS[0].name,
                state: state.map_err(|error| ledger::Error::Corrupt(error.to_string()))?,
                holds: false,
                partner: None,
            };
            ledger::open_task(tx, new, now)?;
            Ok(Response {})
        })
        .await
    }
}

/// What the flow remembers: it looks on while another task does the work.
#[derive(Serialize, Deserialize)]
pub(crate) struct CutOver {
    task: TaskId,
}

impl Flow for CutOver {
    type Cx = FlowCx;
    const NAME: &'static str = "cut-over";
    const STEPS: &'static [Step<FlowCx, Self>] =
        steps![await_cut_over within 90000 "the task that had waited for the window to end"];

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

/// How often the other task is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

async fn await_cut_over(cx: &FlowCx, flow: &mut CutOver) -> StepResult<FlowCx> {
    loop {
        let task = cx.ledger.read(|reader| ledger::task(reader, flow.task)).map_err(FleetError::Ledger)?;
        match task.map(|task| (task.result, task.code, task.message)) {
            Some((TaskResult::Done, ..)) => return Ok(None),
            Some((TaskResult::Failed, code, message)) => {
                let message = format!("the task {} that had waited failed: {message}", flow.task);
                return Err(StepError::Fail { code, message });
            }
            Some(_) => cx.clock.sleep(LOOK_EVERY).await,
            None => {
                let message = format!("the task {} is gone", flow.task);
                return Err(StepError::Fail { code: code::InternalError.into(), message });
            }
        }
    }
}
