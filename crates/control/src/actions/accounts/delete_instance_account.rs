//! Deletes an account of an instance (037). Its connections end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ROOT, changeable_accounts, find_account, unsupported};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, open_task};
use crate::errors::Answer;
use crate::flows::set_account::{KIND, SetAccount};

/// Which account.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The account; not root.
    account_name: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that deletes it.
    task_id: i64,
}

pub(crate) struct DeleteInstanceAccount;

impl Action for DeleteInstanceAccount {
    const NAME: &'static str = "DeleteInstanceAccount";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let instance = changeable_accounts(tx, caller.account, &request.instance_id)?;
            if request.account_name == ROOT {
                let id = &instance.id;
                return Err(unsupported(
                    format!("The account root of the instance `{id}` can't be deleted."),
                    format!("实例 `{id}` 的 root 账号不支持删除。"),
                ));
            }
            let account = find_account(tx.reader(), &instance, &request.account_name)?;
            let (id, name) = (instance.id.clone(), account.name.clone());
            let flow = SetAccount { instance: id, name, previous: Some(account), wanted: None };
            let task = open_task(tx, &caller, &instance, KIND, &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
