//! Isolates an instance that is paid in advance (003), by an order of its own.

use model::{ApiError, BillingMode, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clean_up_instance::ISOLATED;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::deals;
use crate::errors::{Answer, wrong_status};
use crate::flows::isolate_instance;

/// What to isolate.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// The order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The order's id.
    deal_id: String,
    /// The order's name; the same as its id.
    deal_name: String,
}

pub(crate) struct DestroyPrepaidInstance;

impl Action for DestroyPrepaidInstance {
    const NAME: &'static str = "DestroyPrepaidInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let statuses = [&[InstanceStatus::Idle], ISOLATED].concat();
            let instance = changeable(tx.reader(), caller.account, &request.instance_id, &statuses, code)?;
            if ISOLATED.contains(&instance.status) {
                let code = code::ResourceUnavailableInstanceIsolated;
                return Err(wrong_status(code, &instance.id, instance.status.number()));
            }
            if instance.billing != BillingMode::Prepaid {
                return Err(ApiError::new(
                    code::InvalidParameterValueUnSupportedType,
                    format!("The instance `{}` is paid by use; use DestroyPostpaidInstance.", instance.id),
                    format!("实例 `{}` 为按量计费实例，请使用 DestroyPostpaidInstance。", instance.id),
                )
                .into());
            }
            let name = deals::open(&cx, tx, &caller, &instance, Self::NAME, 0, now)?;
            isolate_instance::submit(tx, &cx.settings, &caller, &instance, Some(name.clone()), now)?;
            Ok(Response { deal_id: name.clone(), deal_name: name })
        })
        .await
    }
}
