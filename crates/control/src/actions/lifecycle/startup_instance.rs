//! Takes an instance out of isolation (005): its nodes start with their data, then its address opens again.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{set_closed, set_open, set_running, set_status, write};
use model::{InstanceId, InstanceStatus, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clean_up_instance::ISOLATED;
use super::create_instances::opened;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::{Answer, wrong_status};
use crate::fleet;

/// What to start up.
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
    /// The task that starts it up.
    task_id: i64,
}

pub(crate) struct StartupInstance;

impl Action for StartupInstance {
    const NAME: &'static str = "StartupInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusAbnormal;
            let instance = changeable(tx.reader(), caller.account, &request.instance_id, ISOLATED, code)?;
            if instance.offline_at.is_some_and(|offline_at| offline_at <= now) {
                return Err(wrong_status(code, &instance.id, instance.status.number()));
            }
            let flow = StartUp { instance: instance.id.clone(), previous: instance.status };
            let task = open_task(tx, &caller, &instance, "005", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct StartUp {
    instance: InstanceId,
    previous: InstanceStatus,
}

impl Flow for StartUp {
    type Cx = FlowCx;
    const NAME: &'static str = "start-up";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        start_nodes undo stop_nodes within 300,
        attach_replicas within 600,
        open_address undo close_address within 30,
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| {
            set_status(tx, &id, InstanceStatus::Busy)?;
            set_running(tx, &id, true)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| {
            set_open(tx, &id, false)?;
            set_running(tx, &id, false)
        }))
    }

    fn settle(&self, end: &End, _: Millis) -> Outcome<FlowCx> {
        let (id, done, previous) = (self.instance.clone(), *end == End::Done, self.previous);
        Some(write(move |tx| {
            if !done {
                return set_status(tx, &id, previous);
            }
            set_closed(tx, &id, None)?;
            set_status(tx, &id, InstanceStatus::Idle)
        }))
    }
}

async fn start_nodes(cx: &FlowCx, flow: &mut StartUp) -> StepResult<FlowCx> {
    Ok(Some(fleet::start_nodes(cx, &flow.instance).await?))
}

async fn stop_nodes(cx: &FlowCx, flow: &mut StartUp) -> StepResult<FlowCx> {
    fleet::stop_nodes(cx, &flow.instance).await?;
    Ok(None)
}

async fn attach_replicas(cx: &FlowCx, flow: &mut StartUp) -> StepResult<FlowCx> {
    fleet::sync_replicas(cx, &flow.instance).await?;
    Ok(Some(opened(&flow.instance)))
}

async fn open_address(cx: &FlowCx, flow: &mut StartUp) -> StepResult<FlowCx> {
    fleet::open_address(cx, &flow.instance).await?;
    Ok(None)
}

async fn close_address(cx: &FlowCx, _: &mut StartUp) -> StepResult<FlowCx> {
    fleet::close_address(cx).await?;
    Ok(None)
}
