//! Changes the password of an instance, for one who knows the old one (007).

use model::{InstanceStatus, Secret, TaskId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_policy;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::Answer;
use crate::flows::set_access::{self, Wanted, is_password, seal_password};
use crate::text;

/// What to change.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// Its password until now.
    old_password: String,
    /// Its password from now on.
    password: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that changes it.
    pub(super) task_id: i64,
}

pub(crate) struct ModifyInstancePassword;

impl Action for ModifyInstancePassword {
    const NAME: &'static str = "ModifyInstancePassword";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let task = change(call, request.instance_id, request.old_password, request.password).await?;
        Ok(Response { task_id: task.0 })
    }
}

/// Changes the password, if the old one is right.
pub(super) async fn change(call: &Call, id: String, old: String, new: String) -> Answer<TaskId> {
    let new = text::new_password("Password", &new)?;
    let sealed = seal_password(&call.cx, &new);
    let old = Secret::new(old);
    let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
    call.write(move |tx| {
        let code = code::ResourceUnavailableInstanceStatusAbnormal;
        let instance = changeable(tx.reader(), caller.account, &id, &[InstanceStatus::Idle], code)?;
        if !is_password(&cx, &instance, &old)? {
            return Err(text::wrong_password("OldPassword"));
        }
        check_policy(tx.reader(), &instance.id, "Password", &new)?;
        set_access::submit(tx, &caller, &instance, &Wanted::Password(sealed.clone()), now)
    })
    .await
}
