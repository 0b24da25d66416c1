//! Has an instance take connections by TLS, at all its addresses, besides plain ones (901).

use model::{ApiError, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::{Answer, not_built};
use crate::flows::set_tls;

/// Which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance. One that lets everybody in without a password takes no TLS.
    instance_id: String,
    /// 0: all its addresses.
    address_type: Option<i64>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that makes the certificate and opens TLS. DescribeSSLStatus has the certificate of who vouches for it.
    task_id: i64,
}

pub(crate) struct OpenSSL;

impl Action for OpenSSL {
    const NAME: &'static str = "OpenSSL";
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
            if instance.no_auth {
                return Err(ApiError::new(
                    code::FailedOperationUnSupportError,
                    format!(
                        "The instance `{}` lets everybody in without a password: set one first (ResetPassword).",
                        instance.id
                    ),
                    format!("实例 `{}` 已开启免密访问，请先设置密码（ResetPassword）。", instance.id),
                )
                .into());
            }
            let task = set_tls::submit(tx, &caller, &instance, true, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

/// All addresses of an instance take TLS, or none.
pub(super) fn check_addresses(address_type: Option<i64>) -> Answer<()> {
    if address_type.unwrap_or(0) == 0 { Ok(()) } else { Err(not_built("AddressType")) }
}
