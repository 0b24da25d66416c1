use model::{InstanceId, Millis};
use serde::{Deserialize, Serialize};

use crate::{Error, Reader, Result, Row, Tx, args};

/// A user of an instance besides the default one. (The default one is the API's `root`; it is part of the instance.)
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceAccount {
    /// The name to sign in with.
    pub name: String,
    /// `#` and the SHA-256 of its password, sealed; `None`: one gets in without.
    pub password: Option<Vec<u8>>,
    /// What it may: `r` or `rw`.
    pub privilege: String,
    /// Where it reads: `master`, `replication`, or both with a comma.
    pub reads_from: String,
    /// What its owner says of it.
    pub remark: String,
    /// 1 while it changes, 2 as it is wanted, 4 while it goes.
    pub status: i64,
    /// When it was accepted.
    pub created_at: Millis,
    /// When its password was last set.
    pub password_changed_at: Millis,
}

impl InstanceAccount {
    /// Its status while it is changed.
    pub const CHANGING: i64 = 1;
    /// Its status when it is as it is wanted.
    pub const VALID: i64 = 2;
    /// Its status while it goes; no node should have it any more.
    pub const GOING: i64 = 4;
}

const COLUMNS: &str = "name, password, privilege, reads_from, remark, status, created_at, password_changed_at";

fn read(mut row: Row) -> Result<InstanceAccount> {
    Ok(InstanceAccount {
        name: row.text(0)?,
        password: row.blob_opt(1)?,
        privilege: row.text(2)?,
        reads_from: row.text(3)?,
        remark: row.text(4)?,
        status: row.int(5)?,
        created_at: Millis(row.int(6)?),
        password_changed_at: Millis(row.int(7)?),
    })
}

/// The users of an instance besides the default one, in the order of their making.
pub fn accounts_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<InstanceAccount>> {
    let sql = format!("select {COLUMNS} from instance_account where instance = $1 order by created_at, name");
    reader.rows(&sql, args![instance])?.into_iter().map(read).collect()
}

/// The user of this name.
pub fn account(reader: &mut dyn Reader, instance: &InstanceId, name: &str) -> Result<Option<InstanceAccount>> {
    let sql = format!("select {COLUMNS} from instance_account where instance = $1 and name = $2");
    reader.row(&sql, args![instance, name])?.map(read).transpose()
}

/// Adds a user, or makes it another one, and counts the routing table on, which has the names.
pub fn set_account(tx: &mut dyn Tx, instance: &InstanceId, it: &InstanceAccount) -> Result<()> {
    let sql = format!(
        "insert into instance_account (instance, {COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (instance, name) do update set password = excluded.password, privilege = excluded.privilege,
            reads_from = excluded.reads_from, remark = excluded.remark, status = excluded.status,
            created_at = excluded.created_at, password_changed_at = excluded.password_changed_at"
    );
    tx.exec(
        &sql,
        args![
            instance,
            it.name.as_str(),
            it.password.clone(),
            it.privilege.as_str(),
            it.reads_from.as_str(),
            it.remark.as_str(),
            it.status,
            it.created_at,
            it.password_changed_at,
        ],
    )?;
    crate::node::routes_changed(tx)
}

/// Deletes a user, and counts the routing table on.
pub fn delete_account(tx: &mut dyn Tx, instance: &InstanceId, name: &str) -> Result<()> {
    tx.exec("delete from instance_account where instance = $1 and name = $2", args![instance, name])?;
    crate::node::routes_changed(tx)
}

/// Says of a user that was changed, whatever it became, that it is as it is wanted.
pub fn set_account_valid(tx: &mut dyn Tx, instance: &InstanceId, name: &str) -> Result<()> {
    let sql = "update instance_account set status = 2 where instance = $1 and name = $2";
    tx.exec(sql, args![instance, name])?;
    Ok(())
}

/// What is known of an instance's default user besides how it signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// What its owner says of it.
    pub remark: String,
    /// Where it reads, as of [`InstanceAccount`].
    pub reads_from: String,
    /// When its password was last set; `None`: with the instance.
    pub password_changed_at: Option<Millis>,
}

/// What is known of an instance's default user.
pub fn root(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Option<Root>> {
    let sql = "select remark, reads_from, password_changed_at from instance where id = $1";
    let read = |mut row: Row| {
        let password_changed_at = row.int_opt(2)?.map(Millis);
        Ok(Root { remark: row.text(0)?, reads_from: row.text(1)?, password_changed_at })
    };
    reader.row(sql, args![instance])?.map(read).transpose()
}

/// Sets what is known of an instance's default user, and counts the routing table on, which has where it reads.
pub fn set_root(tx: &mut dyn Tx, instance: &InstanceId, root: &Root) -> Result<()> {
    tx.exec(
        "update instance set remark = $2, reads_from = $3, password_changed_at = $4 where id = $1",
        args![instance, root.remark.as_str(), root.reads_from.as_str(), root.password_changed_at],
    )?;
    crate::node::routes_changed(tx)
}

/// Sets when the default user's password was last set.
pub fn set_password_changed(tx: &mut dyn Tx, instance: &InstanceId, at: Option<Millis>) -> Result<()> {
    tx.exec("update instance set password_changed_at = $2 where id = $1", args![instance, at])?;
    Ok(())
}

/// What new passwords of an instance must have, besides what all must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordPolicy {
    /// Whether it counts.
    pub enabled: bool,
    /// Letters at the least.
    pub letters: i64,
    /// Digits at the least.
    pub digits: i64,
    /// Special characters at the least.
    pub special: i64,
    /// Characters at the least.
    pub length: i64,
}

/// What new passwords of an instance must have; `None` where nothing was chosen.
pub fn password_policy(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Option<PasswordPolicy>> {
    let row = reader.row("select policy from instance where id = $1", args![instance])?;
    let text = row.map_or_else(|| Ok(String::new()), |mut row| row.text(0))?;
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_str(&text).map(Some).map_err(|error| Error::Corrupt(error.to_string()))
}

/// Sets what new passwords of an instance must have.
pub fn set_password_policy(tx: &mut dyn Tx, instance: &InstanceId, policy: &PasswordPolicy) -> Result<()> {
    let text = crate::task::to_json(policy)?;
    tx.exec("update instance set policy = $2 where id = $1", args![instance, text])?;
    Ok(())
}
