//! Has an instance take plain connections alone (902). Connections by TLS that are open stay.

use model::{InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::open_ssl::check_addresses;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::Answer;
use crate::flows::set_tls;

/// Which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// 0: all its addresses.
    address_type: Option<i64>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that closes TLS.
    task_id: i64,
}

pub(crate) struct CloseSSL;

impl Action for CloseSSL {
    const NAME: &'static str = "CloseSSL";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        check_addresses(request.address_type)?;
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            let task = set_tls::submit(tx, &caller, &instance, false, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
