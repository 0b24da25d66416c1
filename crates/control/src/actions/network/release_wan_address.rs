//! Takes the public address of an instance back (053). Its connections are reset.

use ledger::wan_address;
use model::{ApiError, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::Answer;
use crate::flows::close_address;

/// Of which instance.
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
    /// The task that closes the address.
    flow_id: i64,
    /// closing.
    wan_status: &'static str,
}

pub(crate) struct ReleaseWanAddress;

impl Action for ReleaseWanAddress {
    const NAME: &'static str = "ReleaseWanAddress";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            let Some(vip) = wan_address(tx.reader(), &instance.id)? else {
                return Err(ApiError::new(
                    code::FailedOperationUnSupportError,
                    format!("The instance `{}` has no public address that could be released.", instance.id),
                    format!("实例 `{}` 未开通外网地址，无需关闭。", instance.id),
                )
                .into());
            };
            let task = close_address::submit(tx, &caller, &instance, vip, now)?;
            Ok(Response { flow_id: task.0, wan_status: "closing" })
        })
        .await
    }
}
