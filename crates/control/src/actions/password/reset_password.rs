//! Sets the password of an instance without asking for the old one (007), or lets everybody in without one (035).

use model::{InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_policy;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::{Answer, not_built};
use crate::flows::set_access::{self, Wanted, seal_password};
use crate::text;

/// What to set.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The password from now on. Not needed with NoAuth.
    password: Option<String>,
    /// true: one gets in without a password. false or left out: the password is needed.
    no_auth: Option<bool>,
    /// Whether Password is encrypted.
    encrypt_password: Option<bool>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that sets it.
    task_id: i64,
}

pub(crate) struct ResetPassword;

impl Action for ResetPassword {
    const NAME: &'static str = "ResetPassword";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.encrypt_password == Some(true) {
            return Err(not_built("EncryptPassword"));
        }
        // With NoAuth a password is not looked at: clients send the old one along.
        let password = match (request.no_auth, request.password.as_deref()) {
            (Some(true), _) => None,
            (_, given) => Some(text::new_password("Password", given.unwrap_or_default())?),
        };
        let wanted = match &password {
            Some(password) => Wanted::Password(seal_password(&call.cx, password)),
            None => Wanted::NoAuth,
        };
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusAbnormal;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            if let Some(password) = &password {
                check_policy(tx.reader(), &instance.id, "Password", password)?;
            }
            let task = set_access::submit(tx, &caller, &instance, &wanted, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
