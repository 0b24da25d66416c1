//! Deletes an isolated instance for good (006): its nodes, its data, its address. Its tasks and deals stay readable.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, Tx, delete_instance, set_closed, set_status, write};
use model::{InstanceId, InstanceStatus, Millis, TaskId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Caller, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet;

/// What to delete.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance; it must be isolated.
    instance_id: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that deletes it.
    task_id: i64,
}

/// The type of task that shows for it.
pub(crate) const KIND: &str = "006";

/// The statuses of an isolated instance.
pub(crate) const ISOLATED: &[InstanceStatus] = &[InstanceStatus::Isolated, InstanceStatus::ToBeDeleted];

pub(crate) struct CleanUpInstance;

impl Action for CleanUpInstance {
    const NAME: &'static str = "CleanUpInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusAbnormal;
            let instance = changeable(tx.reader(), caller.account, &request.instance_id, ISOLATED, code)?;
            Ok(Response { task_id: submit(tx, &caller, &instance, now)?.0 })
        })
        .await
    }
}

/// Accepts the deletion of an isolated instance. The keeper of the recycle bin comes by here too.
pub(crate) fn submit(tx: &mut dyn Tx, caller: &Caller, instance: &Instance, now: Millis) -> Answer<TaskId> {
    let flow = DeleteInstance { instance: instance.id.clone(), previous: instance.status };
    open_task(tx, caller, instance, KIND, &flow, now)
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct DeleteInstance {
    instance: InstanceId,
    previous: InstanceStatus,
}

impl Flow for DeleteInstance {
    type Cx = FlowCx;
    const NAME: &'static str = "delete-instance";
    /// The first step does nothing but be passed: from then on the data may be half gone, and the only way is on.
    const STEPS: &'static [Step<FlowCx, Self>] = steps![give_up_data as pivot, remove_nodes within 120];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_status(tx, &id, InstanceStatus::ToBeDeleted)))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (id, end, previous) = (self.instance.clone(), end.clone(), self.previous);
        Some(write(move |tx| match end {
            End::Done => delete_instance(tx, &id),
            End::Undone { .. } => set_status(tx, &id, previous),
            // Its data may be half gone: its time is over, so that it can't be started up again.
            End::Stuck { .. } => {
                set_closed(tx, &id, Some((now, now)))?;
                set_status(tx, &id, InstanceStatus::ToBeDeleted)
            }
        }))
    }
}

async fn give_up_data(_: &FlowCx, _: &mut DeleteInstance) -> StepResult<FlowCx> {
    Ok(None)
}

async fn remove_nodes(cx: &FlowCx, flow: &mut DeleteInstance) -> StepResult<FlowCx> {
    fleet::remove_nodes(cx, &flow.instance).await?;
    Ok(None)
}
