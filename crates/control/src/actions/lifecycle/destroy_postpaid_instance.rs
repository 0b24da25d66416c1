//! Isolates an instance that is paid by use (003); it is deleted when its time in the recycle bin is over.

use model::{ApiError, BillingMode, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::Answer;
use crate::flows::isolate_instance;

/// What to isolate.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that isolates it.
    task_id: i64,
}

pub(crate) struct DestroyPostpaidInstance;

impl Action for DestroyPostpaidInstance {
    const NAME: &'static str = "DestroyPostpaidInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            if instance.billing != BillingMode::Postpaid {
                return Err(ApiError::new(
                    code::InvalidParameterValueUnSupportedType,
                    format!("The instance `{}` is paid in advance; use DestroyPrepaidInstance.", instance.id),
                    format!("实例 `{}` 为包年包月实例，请使用 DestroyPrepaidInstance。", instance.id),
                )
                .into());
            }
            let task = isolate_instance::submit(tx, &cx.settings, &caller, &instance, None, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
