//! Changes the default user's password without a connection being refused: for a time both the old one and the new one
//! work, so that clients change over one by one (007).

use std::time::Duration;

use model::{ApiError, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_policy;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, OPENCRS, changeable};
use crate::errors::{Answer, bad_value};
use crate::flows::rotate_password::{check_not_rotating, submit};
use crate::flows::set_access::{is_password, seal_password};
use crate::text;

/// What to change.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The password that works from now on.
    password: String,
    /// For how many seconds the one that worked until now works too, from 1 to 2592000 (30 days). FinishRotation ends that
    /// earlier; CancelTask before the end makes the old one the only one again.
    overlap_seconds: i64,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that changes it. DescribeTaskSteps shows how many connections are still on the old password.
    task_id: i64,
}

pub(crate) struct RotatePassword;

const LONGEST_OVERLAP: i64 = 30 * 24 * 3600;

impl Action for RotatePassword {
    const NAME: &'static str = "RotatePassword";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let password = text::new_password("Password", &request.password)?;
        let sealed = seal_password(&call.cx, &password);
        let overlap = match u64::try_from(request.overlap_seconds) {
            Ok(seconds @ 1..) if request.overlap_seconds <= LONGEST_OVERLAP => Duration::from_secs(seconds),
            _ => {
                let (en, zh) = ("it must be 1 to 2592000, which is 30 days", "须为1至2592000（30天）");
                return Err(bad_value("OverlapSeconds", en, zh));
            }
        };
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusAbnormal;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            check_not_rotating(tx.reader(), &instance.id)?;
            let Some(previous) = instance.password.as_ref().filter(|_| !instance.no_auth) else {
                return Err(ApiError::new(
                    code::FailedOperationUnSupportError,
                    format!(
                        "One gets into the instance `{}` without a password: there is none to change from. Set one \
                         (ResetPassword).",
                        instance.id
                    ),
                    format!("实例 `{}` 为免密访问，没有可轮换的密码，请先设置密码（ResetPassword）。", instance.id),
                )
                .into());
            };
            check_policy(tx.reader(), &instance.id, "Password", &password)?;
            if is_password(&cx, &instance, &password)? {
                return Err(bad_value("Password", "it is the instance's password already", "与当前密码相同"));
            }
            let task = submit(tx, &caller, &instance, (previous, &sealed, overlap), now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
