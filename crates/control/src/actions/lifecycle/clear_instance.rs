//! Deletes all data of an instance (004). There is no way back: once it has begun, it is tried until it is done.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{set_status, write};
use model::{InstanceId, InstanceStatus, Millis, NodeRole, Secret, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::{Answer, not_built};
use crate::fleet::{self, FleetError};
use crate::flows::set_access::is_password;
use crate::{spec, text};

/// What to clear.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// Its password; not needed where one gets in without.
    password: Option<String>,
    /// Whether Password is encrypted.
    encrypt_password: Option<bool>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that clears it.
    task_id: i64,
}

pub(crate) struct ClearInstance;

impl Action for ClearInstance {
    const NAME: &'static str = "ClearInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.encrypt_password == Some(true) {
            return Err(not_built("EncryptPassword"));
        }
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        let password = request.password.filter(|text| !text.is_empty()).map(Secret::new);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusAbnormal;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            if !instance.no_auth {
                let given = password.as_ref().ok_or_else(|| text::empty_password("Password"))?;
                if !is_password(&cx, &instance, given)? {
                    return Err(text::wrong_password("Password"));
                }
            }
            let flow = ClearData { instance: instance.id.clone() };
            let task = open_task(tx, &caller, &instance, "004", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct ClearData {
    instance: InstanceId,
}

impl Flow for ClearData {
    type Cx = FlowCx;
    const NAME: &'static str = "clear-data";
    /// The first step does nothing but be passed: from then on the data may be gone, and the only way is on.
    const STEPS: &'static [Step<FlowCx, Self>] = steps![give_up_data as pivot, flush];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_status(tx, &id, InstanceStatus::Busy)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_status(tx, &id, InstanceStatus::Idle)))
    }
}

async fn give_up_data(_: &FlowCx, _: &mut ClearData) -> StepResult<FlowCx> {
    Ok(None)
}

async fn flush(cx: &FlowCx, flow: &mut ClearData) -> StepResult<FlowCx> {
    flush_primary(cx, &flow.instance).await?;
    Ok(None)
}

async fn flush_primary(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    let (instance, nodes) = fleet::load(&cx.ledger, id)?;
    for primary in nodes.iter().filter(|node| node.role == NodeRole::Primary) {
        cx.nodes.flush(&spec::peer(&cx.sealer, &instance, primary)?).await?;
    }
    Ok(())
}
