//! Ends the time in which two passwords of an instance work: the old one stops now.

use ledger::{is_cancelled, rotation, set_overlap_end, wake_task};
use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, OPENCRS, find};
use crate::errors::{Answer, instance_locked};

/// Of which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance: one whose password RotatePassword changes.
    instance_id: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that RotatePassword has started. Once it is done, the old password does not work any more; connections
    /// that are signed in stay so.
    task_id: i64,
}

pub(crate) struct FinishRotation;

impl Action for FinishRotation {
    const NAME: &'static str = "FinishRotation";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (account, now) = (call.caller.account, call.now);
        call.write(move |tx| {
            let instance = find(tx.reader(), account, &request.instance_id)?;
            let Some(waiting) = rotation(tx.reader(), &instance.id)? else {
                // Its task may be about to let it go.
                if ledger::holder(tx.reader(), &instance.id)?.is_some() {
                    return Err(instance_locked(&instance.id));
                }
                return Err(ApiError::new(
                    code::ResourceUnavailableInstanceStatusAbnormal,
                    format!("The instance `{}` has one password; RotatePassword gives it a second one.", instance.id),
                    format!("实例 `{}` 当前没有进行中的密码轮换，可通过 RotatePassword 发起。", instance.id),
                )
                .into());
            };
            if is_cancelled(tx.reader(), waiting.task)? {
                return Err(instance_locked(&instance.id));
            }
            set_overlap_end(tx, &instance.id, now.min(waiting.due_at))?;
            wake_task(tx, waiting.task)?;
            Ok(Response { task_id: waiting.task.0 })
        })
        .await
    }
}
