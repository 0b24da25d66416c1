use std::collections::BTreeMap;

use model::{InstanceId, Millis};

use crate::node::routes_changed;
use crate::routes::{SEPARATOR, SLOW_AFTER};
use crate::{Reader, Result, Row, Tx, args};

/// The parameters of an instance that were set, by the API's names; one that is not here has its default.
pub type Params = BTreeMap<String, String>;

/// A parameter that gets another value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ParamChange {
    /// Its name in the ledger.
    pub name: String,
    /// What it was set to; `None`: it had its default.
    pub before: Option<String>,
    /// What it is to be set to; `None`: it is to have its default.
    pub after: Option<String>,
}

/// What a parameter was, and was to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamRecord {
    /// The parameter, as clients knew it then.
    pub name: String,
    /// What it was.
    pub before: String,
    /// What it was to become.
    pub after: String,
    /// How far that is.
    pub status: ParamStatus,
    /// The template that it came from; empty where it was set by itself.
    pub template: String,
    /// When it was accepted.
    pub modified_at: Millis,
}

/// How far a change of a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamStatus {
    /// It goes on.
    Changing,
    /// It is done.
    Done,
    /// It failed, and was undone.
    Failed,
}

impl ParamStatus {
    const ALL: [ParamStatus; 3] = [ParamStatus::Changing, ParamStatus::Done, ParamStatus::Failed];

    /// As the API shows it.
    pub fn number(self) -> i64 {
        self as i64 + 1
    }

    fn parse(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.number() == number)
    }
}

/// The parameters of an instance.
pub fn params_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Params> {
    let rows = reader.rows("select name, value from param where instance = $1", args![instance])?;
    rows.into_iter().map(|mut row| Ok((row.text(0)?, row.text(1)?))).collect()
}

/// Sets a parameter of an instance; `None` gives it its default.
pub fn set_param(tx: &mut dyn Tx, instance: &InstanceId, name: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => tx.exec(
            "insert into param (instance, name, value) values ($1, $2, $3)
             on conflict (instance, name) do update set value = excluded.value",
            args![instance, name, value],
        )?,
        None => tx.exec("delete from param where instance = $1 and name = $2", args![instance, name])?,
    };
    // What the gateway reads names and passwords by, and what is slow to it.
    if [SEPARATOR, SLOW_AFTER].contains(&name) { routes_changed(tx) } else { Ok(()) }
}

/// Writes down that parameters are being changed.
pub fn insert_param_record(tx: &mut dyn Tx, instance: &InstanceId, record: &ParamRecord) -> Result<()> {
    tx.exec(
        "insert into param_record (instance, name, before, after, status, template, modified_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        args![
            instance,
            record.name.as_str(),
            record.before.as_str(),
            record.after.as_str(),
            record.status.number(),
            record.template.as_str(),
            record.modified_at,
        ],
    )?;
    Ok(())
}

/// Writes down how the change of parameters that an instance is in has ended.
pub fn end_param_records(tx: &mut dyn Tx, instance: &InstanceId, status: ParamStatus) -> Result<()> {
    let sql = "update param_record set status = $2 where instance = $1 and status = $3";
    tx.exec(sql, args![instance, status.number(), ParamStatus::Changing.number()])?;
    Ok(())
}

/// The parameters of an instance that are being changed, as clients know them.
pub fn changing_params(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<String>> {
    let sql = "select name from param_record where instance = $1 and status = $2";
    let rows = reader.rows(sql, args![instance, ParamStatus::Changing.number()])?;
    rows.into_iter().map(|mut row| row.text(0)).collect()
}

fn read_record(mut row: Row) -> Result<ParamRecord> {
    Ok(ParamRecord {
        name: row.text(0)?,
        before: row.text(1)?,
        after: row.text(2)?,
        status: row.numbered(3, ParamStatus::parse)?,
        template: row.text(4)?,
        modified_at: Millis(row.int(5)?),
    })
}

/// A page of what was changed, the newest first, and how much there is.
pub fn param_records(
    reader: &mut dyn Reader,
    instance: &InstanceId,
    limit: i64,
    offset: i64,
) -> Result<(i64, Vec<ParamRecord>)> {
    let count = reader.row("select count(*) from param_record where instance = $1", args![instance])?;
    let rows = reader.rows(
        "select name, before, after, status, template, modified_at from param_record where instance = $1
         order by id desc limit $2 offset $3",
        args![instance, limit, offset],
    )?;
    let count = count.map_or(Ok(0), |row| row.int(0))?;
    Ok((count, rows.into_iter().map(read_record).collect::<Result<_>>()?))
}
