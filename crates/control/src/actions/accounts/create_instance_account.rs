//! Gives an instance an account (037): one more user on all its nodes, also on those that come later.

use ledger::InstanceAccount;
use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    MOST_ACCOUNTS, changeable_accounts, check_policy_fits, read_name, read_policy, read_privilege, read_remark,
    seal_password, unsupported,
};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, open_task};
use crate::actions::password::check_policy;
use crate::errors::{Answer, not_built};
use crate::flows::set_account::{KIND, SetAccount};
use crate::text;

/// The account.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The name to sign in with: up to 32 letters, digits, `-` and `_`, the first a letter. An instance has up to 100
    /// accounts besides root.
    account_name: String,
    /// Its password.
    account_password: String,
    /// Where its reads go: master, replication, or both. Replicas answer reads where EnableReplicaReadonly has been
    /// called; a read may come a moment behind the last write there.
    readonly_policy: Vec<String>,
    /// What it may: r reads, rw reads and writes.
    privilege: String,
    /// What is to be known of it, up to 256 characters.
    remark: Option<String>,
    /// Whether AccountPassword is encrypted.
    encrypt_password: Option<bool>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that makes the account.
    task_id: i64,
}

pub(crate) struct CreateInstanceAccount;

impl Action for CreateInstanceAccount {
    const NAME: &'static str = "CreateInstanceAccount";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.encrypt_password == Some(true) {
            return Err(not_built("EncryptPassword"));
        }
        let (caller, now) = (call.caller.clone(), call.now);
        let password = text::new_password("AccountPassword", &request.account_password)?;
        let wanted = InstanceAccount {
            name: read_name("AccountName", &request.account_name)?,
            password: Some(seal_password(&call.cx, &password)),
            privilege: read_privilege("Privilege", &request.privilege)?,
            reads_from: read_policy("ReadonlyPolicy", &request.readonly_policy)?,
            remark: read_remark("Remark", request.remark.as_deref().unwrap_or_default())?,
            status: InstanceAccount::VALID,
            created_at: now,
            password_changed_at: now,
        };
        call.write(move |tx| {
            let instance = changeable_accounts(tx, caller.account, &request.instance_id)?;
            check_policy_fits(&instance, &wanted.reads_from)?;
            let accounts = ledger::accounts_of(tx.reader(), &instance.id)?;
            if accounts.iter().any(|account| account.name == wanted.name) {
                let (id, name) = (&instance.id, &wanted.name);
                return Err(unsupported(
                    format!(
                        "The instance `{id}` has an account `{name}` already. Change that (ModifyInstanceAccount)."
                    ),
                    format!("实例 `{id}` 已存在账号 `{name}`，可通过 ModifyInstanceAccount 修改。"),
                ));
            }
            if accounts.len() >= MOST_ACCOUNTS {
                return Err(ApiError::new(
                    code::LimitExceeded,
                    format!(
                        "An instance has up to {MOST_ACCOUNTS} accounts. Delete one first (DeleteInstanceAccount)."
                    ),
                    format!("每个实例最多{MOST_ACCOUNTS}个账号，请先删除不再使用的账号（DeleteInstanceAccount）。"),
                )
                .into());
            }
            check_policy(tx.reader(), &instance.id, "AccountPassword", &password)?;
            let (id, name) = (instance.id.clone(), wanted.name.clone());
            let flow = SetAccount { instance: id, name, previous: None, wanted: Some(wanted.clone()) };
            let task = open_task(tx, &caller, &instance, KIND, &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
