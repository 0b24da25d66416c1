use model::{InstanceId, Millis};
use serde::{Deserialize, Serialize};

use crate::{Error, Reader, Result, Row, Select, Tx, args};

/// A rule of a security group. The first that names a connection decides over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// Whether it accepts; else it drops.
    pub accepts: bool,
    /// `TCP`, `UDP`, `ICMP`, `ICMPV6`, `GRE` or `ALL`.
    pub protocol: String,
    /// `ALL`, a port, a range such as `6379-6380`, or several with commas.
    pub ports: String,
    /// An address or a network, as a request named it.
    pub cidr: String,
    /// What its owner says of it.
    pub description: String,
    /// When it was written.
    #[serde(default)]
    pub modified_at: Millis,
}

/// Rules that instances can be put under. An instance that is in none is reached by everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct SecurityGroup {
    /// Its id: `sg-` and eight characters.
    pub id: String,
    /// Who owns it.
    pub account: i64,
    /// The project it belongs to; 0 is the default one.
    pub project: i64,
    /// What its owner calls it.
    pub name: String,
    /// What its owner says of it.
    pub remark: String,
    /// Who may connect, in the order in which the rules are asked.
    pub inbound: Vec<SecurityRule>,
    /// Where its members may connect to. Kept and shown: Redis connects to nobody.
    pub outbound: Vec<SecurityRule>,
    /// Counts the changes of its rules.
    pub version: i64,
    /// When it was made.
    pub created_at: Millis,
    /// When it or its rules were changed last.
    pub updated_at: Millis,
}

/// The rules of a direction, as the ledger keeps them.
pub(crate) fn read_rules(text: &str) -> Result<Vec<SecurityRule>> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt(error.to_string()))
}

fn write_rules(rules: &[SecurityRule]) -> Result<String> {
    serde_json::to_string(rules).map_err(|error| Error::Corrupt(error.to_string()))
}

macro_rules! columns {
    () => {
        "id, account, project, name, remark, inbound, outbound, version, created_at, updated_at"
    };
}

fn read(mut row: Row) -> Result<SecurityGroup> {
    Ok(SecurityGroup {
        id: row.text(0)?,
        account: row.int(1)?,
        project: row.int(2)?,
        name: row.text(3)?,
        remark: row.text(4)?,
        inbound: read_rules(&row.text(5)?)?,
        outbound: read_rules(&row.text(6)?)?,
        version: row.int(7)?,
        created_at: Millis(row.int(8)?),
        updated_at: Millis(row.int(9)?),
    })
}

/// Adds a group: [`Error::is_taken`] where another has its id.
pub fn insert_security_group(tx: &mut dyn Tx, it: &SecurityGroup) -> Result<()> {
    let sql = concat!("insert into security_group (", columns!(), ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    let (inbound, outbound) = (write_rules(&it.inbound)?, write_rules(&it.outbound)?);
    tx.exec(
        sql,
        args![
            it.id.as_str(),
            it.account,
            it.project,
            it.name.as_str(),
            it.remark.as_str(),
            inbound,
            outbound,
            it.version,
            it.created_at,
            it.updated_at,
        ],
    )?;
    Ok(())
}

/// The account's group of this id.
pub fn security_group(reader: &mut dyn Reader, account: i64, id: &str) -> Result<Option<SecurityGroup>> {
    let sql = concat!("select ", columns!(), " from security_group where account = $1 and id = $2");
    reader.row(sql, args![account, id])?.map(read).transpose()
}

/// How lists of groups are ordered. Ties go by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupOrder {
    /// By the time of making.
    #[default]
    CreateTime,
    /// By the time of the last change.
    UpdateTime,
}

/// A page of groups that fit, and how many fit in all.
pub fn list_security_groups(
    reader: &mut dyn Reader,
    filter: &Select,
    order: GroupOrder,
    descending: bool,
    limit: i64,
    offset: i64,
) -> Result<(i64, Vec<SecurityGroup>)> {
    let order = match (order, descending) {
        (GroupOrder::CreateTime, false) => "created_at, id",
        (GroupOrder::CreateTime, true) => "created_at desc, id desc",
        (GroupOrder::UpdateTime, false) => "updated_at, id",
        (GroupOrder::UpdateTime, true) => "updated_at desc, id desc",
    };
    let count = filter.count(reader, "security_group")?;
    let rows = filter.page(reader, concat!(columns!(), " from security_group"), order, limit, offset)?;
    Ok((count, rows.into_iter().map(read).collect::<Result<_>>()?))
}

/// Sets what a group is called.
pub fn set_group_name(tx: &mut dyn Tx, id: &str, name: &str, remark: &str, now: Millis) -> Result<()> {
    let sql = "update security_group set name = $2, remark = $3, updated_at = $4 where id = $1";
    tx.exec(sql, args![id, name, remark, now])?;
    Ok(())
}

/// Sets the rules of a group and counts their version on, and the routing table's.
pub fn set_group_rules(
    tx: &mut dyn Tx,
    id: &str,
    inbound: &[SecurityRule],
    outbound: &[SecurityRule],
    now: Millis,
) -> Result<()> {
    let (inbound, outbound) = (write_rules(inbound)?, write_rules(outbound)?);
    tx.exec(
        "update security_group set inbound = $2, outbound = $3, version = version + 1, updated_at = $4 where id = $1",
        args![id, inbound, outbound, now],
    )?;
    crate::node::routes_changed(tx)
}

/// Deletes a group that nobody is in.
pub fn delete_security_group(tx: &mut dyn Tx, id: &str) -> Result<()> {
    tx.exec("delete from security_group where id = $1", args![id])?;
    Ok(())
}

/// The groups that an instance is in, in the order in which they are asked.
pub fn groups_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<SecurityGroup>> {
    let sql = concat!(
        "select ",
        columns!(),
        " from security_group s join instance_group g on g.security_group = s.id where g.instance = $1 order by g.place"
    );
    reader.rows(sql, args![instance])?.into_iter().map(read).collect()
}

/// An instance that is in a group, if there is any.
pub fn member_of_group(reader: &mut dyn Reader, id: &str) -> Result<Option<InstanceId>> {
    let sql = "select instance from instance_group where security_group = $1 order by instance limit 1";
    reader.row(sql, args![id])?.map(|mut row| row.parsed(0, InstanceId::parse)).transpose()
}

/// Puts an instance into these groups and no others, and counts the routing table on.
pub fn set_groups(tx: &mut dyn Tx, instance: &InstanceId, groups: &[String]) -> Result<()> {
    tx.exec("delete from instance_group where instance = $1", args![instance])?;
    for (place, group) in (0_i64..).zip(groups) {
        let sql = "insert into instance_group (instance, place, security_group) values ($1, $2, $3)";
        tx.exec(sql, args![instance, place, group.as_str()])?;
    }
    crate::node::routes_changed(tx)
}
