//! [`ModifyInstancePassword`](super::modify_instance_password) under the name that older clients know.

use schemars::JsonSchema;
use serde::Deserialize;

use super::modify_instance_password::{Response, change};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, not_built};

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
    /// Whether the passwords are encrypted.
    encrypt_password: Option<bool>,
}

pub(crate) struct ModfiyInstancePassword;

impl Action for ModfiyInstancePassword {
    const NAME: &'static str = "ModfiyInstancePassword";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.encrypt_password == Some(true) {
            return Err(not_built("EncryptPassword"));
        }
        let task = change(call, request.instance_id, request.old_password, request.password).await?;
        Ok(Response { task_id: task.0 })
    }
}
