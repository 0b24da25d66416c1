//! Who signs in at an instance: its default user, which the API calls root, and the accounts besides.

pub(crate) mod create_instance_account;
pub(crate) mod delete_instance_account;
pub(crate) mod describe_instance_account;
pub(crate) mod modify_instance_account;

use ledger::{Instance, InstanceAccount, Reader, Tx};
use model::{ApiError, InstanceStatus, Secret, code};

use crate::action::changeable;
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, bad_value, excerpt};
use crate::spec::{ADMIN, hash_of, purpose};

/// The default user, as the API calls it.
const ROOT: &str = "root";
/// Names that are somebody's already: the default user's two, and the service's own.
const TAKEN: [&str; 3] = [ROOT, "default", ADMIN];
/// So many accounts an instance has besides root.
const MOST_ACCOUNTS: usize = 100;
/// Characters of a remark.
const LONGEST_REMARK: usize = 256;

/// An instance whose accounts can be changed: running, free, and of a type that has accounts.
fn changeable_accounts(tx: &mut dyn Tx, account: i64, id: &str) -> Answer<Instance> {
    let code = code::ResourceUnavailableInstanceStatusError;
    let instance = changeable(tx.reader(), account, id, &[InstanceStatus::Idle], code)?;
    if instance.type_id.version().major < 4 {
        let (id, version) = (&instance.id, instance.type_id.version());
        return Err(unsupported(
            format!(
                "The instance `{id}` is of a type with Redis {}.{}, which has no accounts but root. Upgrade it to 4.0 or \
                 later (UpgradeInstanceVersion).",
                version.major, version.minor
            ),
            format!(
                "实例 `{id}` 的类型为 Redis {}.{}，仅支持 root 账号，请升级至4.0或以上版本（UpgradeInstanceVersion）。",
                version.major, version.minor
            ),
        ));
    }
    Ok(instance)
}

fn unsupported(en: String, zh: String) -> Fault {
    ApiError::new(code::FailedOperationUnSupportError, en, zh).into()
}

/// The account of this name, which is not root.
fn find_account(reader: &mut dyn Reader, instance: &Instance, name: &str) -> Answer<InstanceAccount> {
    let found = ledger::account(reader, &instance.id, name)?;
    found.ok_or_else(|| {
        let name = excerpt(name);
        ApiError::new(
            code::ResourceNotFoundAccountDoesNotExists,
            format!(
                "The instance `{}` has no account `{name}`. DescribeInstanceAccount lists those that it has.",
                instance.id
            ),
            format!("实例 `{}` 的账号 `{name}` 不存在，可通过 DescribeInstanceAccount 查询现有账号。", instance.id),
        )
        .into()
    })
}

/// Reads the name of an account to be made.
fn read_name(parameter: &str, text: &str) -> Answer<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || text.len() > 32 || !text.chars().all(allowed) {
        return Err(bad_value(
            parameter,
            "a name has 1 to 32 letters, digits, `-` or `_`, and begins with a letter",
            "账号名为1至32个字符，仅支持字母、数字、“-”和“_”，且以字母开头",
        ));
    }
    if TAKEN.iter().any(|taken| text.eq_ignore_ascii_case(taken)) {
        let list = TAKEN.join(", ");
        return Err(bad_value(
            parameter,
            &format!("{list} are the service's own; choose another name"),
            &format!("{list} 为系统保留账号，请使用其他名称"),
        ));
    }
    Ok(text.to_owned())
}

/// Reads what an account may.
fn read_privilege(parameter: &str, text: &str) -> Answer<String> {
    if ["r", "rw"].contains(&text) {
        return Ok(text.to_owned());
    }
    Err(bad_value(parameter, "it must be r (reads) or rw (reads and writes)", "须为 r（只读）或 rw（读写）"))
}

/// Reads where an account's reads go, as the ledger keeps it.
pub(crate) fn read_policy(parameter: &str, values: &[String]) -> Answer<String> {
    let is_known = |value: &String| ["master", "replication"].contains(&value.as_str());
    let is_twice = values.iter().enumerate().any(|(index, value)| values[..index].contains(value));
    if values.is_empty() || is_twice || !values.iter().all(is_known) {
        return Err(bad_value(
            parameter,
            "it must have master, replication, or both",
            "须包含 master、replication 或二者",
        ));
    }
    Ok(values.join(","))
}

/// Refuses reads from replicas where they answer none.
fn check_policy_fits(instance: &Instance, reads_from: &str) -> Answer<()> {
    if instance.replica_reads || !ledger::reads_replicas(reads_from) {
        return Ok(());
    }
    let id = &instance.id;
    Err(unsupported(
        format!(
            "The value `replication` of the parameter `ReadonlyPolicy` needs reads from replicas, which are off for the \
             instance `{id}` (EnableReplicaReadonly); use `master`."
        ),
        format!(
            "参数 `ReadonlyPolicy` 取值 `replication` 需先为实例 `{id}` 开启副本只读（EnableReplicaReadonly），请使用 `master`。"
        ),
    ))
}

/// Where an account's reads go, as the API writes it.
fn write_policy(reads_from: &str) -> Vec<String> {
    reads_from.split(',').map(str::to_owned).collect()
}

/// Reads what an account's owner says of it.
fn read_remark(parameter: &str, text: &str) -> Answer<String> {
    if text.chars().count() <= LONGEST_REMARK {
        return Ok(text.to_owned());
    }
    Err(bad_value(
        parameter,
        &format!("it may have {LONGEST_REMARK} characters"),
        &format!("不能超过{LONGEST_REMARK}个字符"),
    ))
}

/// Seals what is kept of an account's password.
fn seal_password(cx: &FlowCx, password: &Secret) -> Vec<u8> {
    cx.sealer.seal(&cx.random, purpose::ACCOUNT, &hash_of(password))
}
