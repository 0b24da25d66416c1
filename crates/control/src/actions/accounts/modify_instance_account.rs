//! Changes an account of an instance (037), or root: its password, what it may, what is known of it; of root also whether
//! it needs a password (035).

use ledger::{Instance, InstanceAccount, Tx};
use model::{ApiError, Millis, Secret, TaskId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ROOT, changeable_accounts, check_policy_fits, find_account, read_policy, read_privilege, read_remark,
    seal_password, unsupported,
};
use crate::access::{Access, Caller, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::actions::password::check_policy;
use crate::errors::{Answer, not_built};
use crate::flows::set_access::{self, About, Wanted};
use crate::flows::set_account::{KIND, SetAccount};
use crate::text;

/// What to change; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The account; root for the instance's default user.
    account_name: String,
    /// Its password from now on.
    account_password: Option<String>,
    /// What is to be known of it, up to 256 characters.
    remark: Option<String>,
    /// Where its reads go: master, replication, or both. Replicas answer reads where EnableReplicaReadonly has been
    /// called; a read may come a moment behind the last write there.
    readonly_policy: Option<Vec<String>>,
    /// What it may: r reads, rw reads and writes. Not of root, which always reads and writes.
    privilege: Option<String>,
    /// Of root alone. true: it gets in without a password. false: it needs one, AccountPassword or the one that it had.
    no_auth: Option<bool>,
    /// Whether AccountPassword is encrypted.
    encrypt_password: Option<bool>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that changes it.
    task_id: i64,
}

pub(crate) struct ModifyInstanceAccount;

/// What is to be changed, as far as it is right by itself.
struct Changes {
    password: Option<Secret>,
    /// What is kept of it: of root's, and of another's.
    sealed: Option<(Vec<u8>, Vec<u8>)>,
    about: About,
    privilege: Option<String>,
    no_auth: Option<bool>,
}

impl Action for ModifyInstanceAccount {
    const NAME: &'static str = "ModifyInstanceAccount";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.encrypt_password == Some(true) {
            return Err(not_built("EncryptPassword"));
        }
        // Without a password, one that was sent along is not looked at.
        let given = request.account_password.as_deref().filter(|_| request.no_auth != Some(true));
        let password = given.map(|text| text::new_password("AccountPassword", text)).transpose()?;
        let seal = |password| (set_access::seal_password(&call.cx, password), seal_password(&call.cx, password));
        let changes = Changes {
            sealed: password.as_ref().map(seal),
            password,
            about: About {
                remark: request.remark.as_deref().map(|text| read_remark("Remark", text)).transpose()?,
                reads_from: request.readonly_policy.map(|policy| read_policy("ReadonlyPolicy", &policy)).transpose()?,
            },
            privilege: request.privilege.map(|text| read_privilege("Privilege", &text)).transpose()?,
            no_auth: request.no_auth,
        };
        if changes.is_empty() {
            return Err(ApiError::new(
                code::InvalidParameterEmptyParam,
                "Nothing is to be changed: give a password, a remark, a policy, a privilege, or NoAuth for root.",
                "未指定任何修改内容：请提供密码、备注、路由策略、权限，或针对 root 的 NoAuth。",
            )
            .into());
        }
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let task = if request.account_name == ROOT {
                change_root(tx, &caller, &request.instance_id, &changes, now)
            } else {
                change(tx, &caller, &request.instance_id, &request.account_name, &changes, now)
            };
            Ok(Response { task_id: task?.0 })
        })
        .await
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        let about = &self.about;
        let texts = [&about.remark, &about.reads_from, &self.privilege];
        self.password.is_none() && self.no_auth.is_none() && texts.into_iter().all(Option::is_none)
    }
}

fn change(tx: &mut dyn Tx, caller: &Caller, id: &str, name: &str, changes: &Changes, now: Millis) -> Answer<TaskId> {
    let instance = changeable_accounts(tx, caller.account, id)?;
    let previous = find_account(tx.reader(), &instance, name)?;
    if changes.no_auth == Some(true) {
        return Err(unsupported(
            format!("Only root gets in without a password; the account `{name}` can't. Leave out NoAuth."),
            format!("仅 root 账号支持免密访问，账号 `{name}` 不支持，请去掉 NoAuth。"),
        ));
    }
    check_policy_fits(&instance, changes.about.reads_from.as_deref().unwrap_or_default())?;
    check_password(tx, &instance, changes)?;
    let mut wanted = InstanceAccount { status: InstanceAccount::VALID, ..previous.clone() };
    if let Some((_, sealed)) = &changes.sealed {
        wanted.password = Some(sealed.clone());
        wanted.password_changed_at = now;
    }
    let or_before = |new: &Option<String>, before: &str| new.clone().unwrap_or_else(|| before.to_owned());
    wanted.privilege = or_before(&changes.privilege, &previous.privilege);
    wanted.remark = or_before(&changes.about.remark, &previous.remark);
    wanted.reads_from = or_before(&changes.about.reads_from, &previous.reads_from);
    let (id, name) = (instance.id.clone(), previous.name.clone());
    let flow = SetAccount { instance: id, name, previous: Some(previous), wanted: Some(wanted) };
    open_task(tx, caller, &instance, KIND, &flow, now)
}

fn change_root(tx: &mut dyn Tx, caller: &Caller, id: &str, changes: &Changes, now: Millis) -> Answer<TaskId> {
    let code = code::ResourceUnavailableInstanceStatusError;
    let instance = changeable(tx.reader(), caller.account, id, &[model::InstanceStatus::Idle], code)?;
    if changes.privilege.is_some() {
        return Err(unsupported(
            "The account root always reads and writes; leave out Privilege.".into(),
            "root 账号的读写权限不支持修改，请去掉 Privilege。".into(),
        ));
    }
    check_policy_fits(&instance, changes.about.reads_from.as_deref().unwrap_or_default())?;
    check_password(tx, &instance, changes)?;
    let wanted = match (changes.no_auth, &changes.sealed) {
        (Some(true), _) if !instance.no_auth => Wanted::NoAuth,
        (Some(true), _) => Wanted::Same,
        (_, Some((sealed, _))) => Wanted::Password(sealed.clone()),
        (Some(false), None) if instance.no_auth => match &instance.password {
            Some(kept) => Wanted::Kept(kept.clone()),
            None => return Err(text::empty_password("AccountPassword")),
        },
        _ => Wanted::Same,
    };
    set_access::submit_as(tx, caller, &instance, (KIND, &wanted, &changes.about), now)
}

fn check_password(tx: &mut dyn Tx, instance: &Instance, changes: &Changes) -> Answer<()> {
    match &changes.password {
        Some(password) => check_policy(tx.reader(), &instance.id, "AccountPassword", password),
        None => Ok(()),
    }
}
