//! Lists the accounts of an instance: root first, then the others in the order of their making.

use ledger::{Instance, InstanceAccount, Reader, Root};
use model::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ROOT, write_policy};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, find};
use crate::errors::{Answer, bad_value};
use crate::flows::rotate_password::RotatePassword;
use crate::flows::set_access::SetAccess;
use crate::when;
use flow::Flow;

/// Which accounts.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// How many on a page, 1 to 100.
    limit: i64,
    /// How many to pass over.
    offset: i64,
}

/// A page of accounts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// This page.
    accounts: Vec<Account>,
    /// How many there are over all pages.
    total_count: i64,
}

/// An account.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Account {
    /// The instance.
    instance_id: String,
    /// The name to sign in with; root is the default user.
    account_name: String,
    /// What its owner says of it.
    remark: String,
    /// What it may: r reads, rw reads and writes.
    privilege: String,
    /// Where its reads go.
    readonly_policy: Vec<String>,
    /// 1 while it is changed, 2 as it is wanted, 4 while it is deleted.
    status: i64,
    /// When it was made.
    create_time: String,
    /// When its password was last set.
    password_last_modified_time: String,
}

pub(crate) struct DescribeInstanceAccount;

impl Action for DescribeInstanceAccount {
    const NAME: &'static str = "DescribeInstanceAccount";
    const ACCESS: Access = Access::read(Resource::Instance);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let Ok(limit @ 1..=100) = usize::try_from(request.limit) else {
            return Err(bad_value("Limit", "it must be 1 to 100", "须为1至100"));
        };
        let Ok(offset) = usize::try_from(request.offset) else {
            return Err(bad_value("Offset", "it must be 0 or more", "不能小于0"));
        };
        let (account, zone) = (call.caller.account, call.cx.settings.utc_offset_seconds);
        let (instance, root, others) = call.read(|reader| match find(reader, account, &request.instance_id) {
            Ok(instance) => {
                let root = show_root(reader, zone, &instance)?;
                let others = ledger::accounts_of(reader, &instance.id)?;
                Ok(Ok((instance, root, others)))
            }
            Err(fault) => Ok(Err(fault)),
        })??;
        let mut all = vec![root];
        all.extend(others.into_iter().map(|account| show(zone, &instance, account)));
        let total_count = i64::try_from(all.len()).unwrap_or(i64::MAX);
        Ok(Response { accounts: all.into_iter().skip(offset).take(limit).collect(), total_count })
    }
}

fn show(zone: i32, instance: &Instance, account: InstanceAccount) -> Account {
    Account {
        instance_id: instance.id.to_string(),
        account_name: account.name,
        remark: account.remark,
        privilege: account.privilege,
        readonly_policy: write_policy(&account.reads_from),
        status: account.status,
        create_time: when::write(account.created_at, zone),
        password_last_modified_time: when::write(account.password_changed_at, zone),
    }
}

fn show_root(reader: &mut dyn Reader, zone: i32, instance: &Instance) -> ledger::Result<Account> {
    let root = ledger::root(reader, &instance.id)?;
    let Root { remark, reads_from, password_changed_at } =
        root.ok_or_else(|| ledger::Error::Corrupt("an instance was there a moment ago".into()))?;
    let status = if is_changing(reader, instance)? { InstanceAccount::CHANGING } else { InstanceAccount::VALID };
    let write = |at: Millis| when::write(at, zone);
    Ok(Account {
        instance_id: instance.id.to_string(),
        account_name: ROOT.into(),
        remark,
        privilege: "rw".into(),
        readonly_policy: write_policy(&reads_from),
        status,
        create_time: write(instance.created_at),
        password_last_modified_time: write(password_changed_at.unwrap_or(instance.created_at)),
    })
}

/// Whether the task that has the instance changes its default user.
fn is_changing(reader: &mut dyn Reader, instance: &Instance) -> ledger::Result<bool> {
    let Some(task) = ledger::holder(reader, &instance.id)? else { return Ok(false) };
    let flow = ledger::task_flow(reader, task)?;
    Ok(flow.is_some_and(|flow| [SetAccess::NAME, RotatePassword::NAME].contains(&flow.flow.as_str())))
}
