use std::collections::HashMap;

use model::Millis;

use crate::{Error, Reader, Result, Row, Select, Tx, args};

/// What instances are sorted into. The default one, 0, is in no table: it is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its number, 1 or more.
    pub id: i64,
    /// What its owner calls it; unique for an account.
    pub name: String,
    /// What its owner says of it.
    pub info: String,
    /// Who made it: a uin.
    pub creator: String,
    /// Whether nothing may come to it any more.
    pub is_disabled: bool,
    /// When it was made.
    pub created_at: Millis,
}

macro_rules! columns {
    () => {
        "id, name, info, creator, is_disabled, created_at"
    };
}

fn read(mut row: Row) -> Result<Project> {
    Ok(Project {
        id: row.int(0)?,
        name: row.text(1)?,
        info: row.text(2)?,
        creator: row.text(3)?,
        is_disabled: row.int(4)? != 0,
        created_at: Millis(row.int(5)?),
    })
}

/// Adds a project and answers its number: [`Error::is_taken`] where the account has one of that name.
pub fn insert_project(
    tx: &mut dyn Tx,
    account: i64,
    name: &str,
    info: &str,
    creator: &str,
    now: Millis,
) -> Result<i64> {
    let row = tx.row(
        "insert into project (account, name, info, creator, created_at) values ($1, $2, $3, $4, $5) returning id",
        args![account, name, info, creator, now],
    )?;
    row.ok_or_else(|| Error::Corrupt("an insert returned nothing".into()))?.int(0)
}

/// The account's project of this number.
pub fn project(reader: &mut dyn Reader, account: i64, id: i64) -> Result<Option<Project>> {
    let sql = concat!("select ", columns!(), " from project where account = $1 and id = $2");
    reader.row(sql, args![account, id])?.map(read).transpose()
}

/// How many projects an account has.
pub fn count_projects(reader: &mut dyn Reader, account: i64) -> Result<i64> {
    let row = reader.row("select count(*) from project where account = $1", args![account])?;
    row.map_or(Ok(0), |row| row.int(0))
}

/// What an account's projects are called, by number.
pub fn project_names(reader: &mut dyn Reader, account: i64) -> Result<HashMap<i64, String>> {
    let rows = reader.rows("select id, name from project where account = $1", args![account])?;
    rows.into_iter().map(|mut row| Ok((row.int(0)?, row.text(1)?))).collect()
}

/// A page of projects that fit, oldest first, and how many fit in all.
pub fn list_projects(reader: &mut dyn Reader, filter: &Select, limit: i64, offset: i64) -> Result<(i64, Vec<Project>)> {
    let count = filter.count(reader, "project")?;
    let rows = filter.page(reader, concat!(columns!(), " from project"), "id", limit, offset)?;
    Ok((count, rows.into_iter().map(read).collect::<Result<_>>()?))
}

/// Writes a project anew: [`Error::is_taken`] where the account has another of that name.
pub fn set_project_row(tx: &mut dyn Tx, it: &Project) -> Result<()> {
    let sql = "update project set name = $2, info = $3, is_disabled = $4 where id = $1";
    tx.exec(sql, args![it.id, it.name.as_str(), it.info.as_str(), it.is_disabled])?;
    Ok(())
}
