//! Replaces the gateway's process by another (903): a drill of what an upgrade of it does.

use model::{ApiError, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::upgrade_proxy_version::RenewGateway;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::errors::{Answer, excerpt};
use crate::sight::gateway_id;

/// Which gateway. One serves all instances, and is replaced for all.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The gateway, as DescribeInstanceNodeInfo has it; it may be left out.
    #[serde(rename = "ProxyID")]
    proxy_id: Option<String>,
    /// As ProxyID, for several.
    #[serde(rename = "ProxyIDList")]
    proxy_id_list: Option<Vec<String>>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that replaces it.
    task_id: i64,
}

pub(crate) struct SwitchProxy;

impl Action for SwitchProxy {
    const NAME: &'static str = "SwitchProxy";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now, gateway) = (call.caller.clone(), call.now, gateway_id(&call.cx));
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            let named = request.proxy_id.iter().filter(|id| !id.is_empty());
            let mut named = named.chain(request.proxy_id_list.iter().flatten());
            if let Some(unknown) = named.find(|id| **id != gateway) {
                let (id, unknown) = (&instance.id, excerpt(unknown));
                return Err(ApiError::new(
                    code::ResourceNotFound,
                    format!("The instance `{id}` has no proxy `{unknown}`. DescribeInstanceNodeInfo lists those that it has."),
                    format!("实例 `{id}` 没有代理 `{unknown}`，可通过 DescribeInstanceNodeInfo 查询。"),
                )
                .into());
            }
            let flow = RenewGateway { instance: instance.id.clone(), waits: false, always: true };
            let task = open_task(tx, &caller, &instance, "903", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
