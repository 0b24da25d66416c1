//! Has an instance refuse writes, or take them again (033), at once and on open connections too.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{set_busy_if_idle, set_read_only, write};
use model::{InstanceId, InstanceStatus, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value};
use crate::fleet;

/// What it is to do.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// `0` it takes reads and writes, `1` it refuses writes.
    input_mode: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that sets it.
    task_id: i64,
}

pub(crate) struct ModifyInstanceReadOnly;

impl Action for ModifyInstanceReadOnly {
    const NAME: &'static str = "ModifyInstanceReadOnly";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            let wanted = match request.input_mode.as_str() {
                "0" => false,
                "1" => true,
                _ => return Err(bad_value("InputMode", "it must be 0 or 1", "须为0或1")),
            };
            let flow = SetReadOnly { instance: instance.id.clone(), previous: instance.read_only, wanted };
            let task = open_task(tx, &caller, &instance, "033", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetReadOnly {
    instance: InstanceId,
    previous: bool,
    wanted: bool,
}

impl Flow for SetReadOnly {
    type Cx = FlowCx;
    const NAME: &'static str = "set-read-only";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![apply_users undo apply_users];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, wanted) = (self.instance.clone(), self.wanted);
        Some(write(move |tx| {
            set_busy_if_idle(tx, &id)?;
            set_read_only(tx, &id, wanted)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, previous) = (self.instance.clone(), self.previous);
        Some(write(move |tx| set_read_only(tx, &id, previous)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

/// The ledger is always changed first, and a node that starts takes its users from there.
async fn apply_users(cx: &FlowCx, flow: &mut SetReadOnly) -> StepResult<FlowCx> {
    fleet::apply_users(cx, &flow.instance).await?;
    Ok(None)
}
