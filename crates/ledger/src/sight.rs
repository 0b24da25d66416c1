use model::{InstanceId, Millis};

use crate::{Reader, Result, Tx, args};

/// What a row of what was seen is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SightKind {
    /// The sum of a minute.
    Minute,
    /// The sum of an hour.
    Hour,
    /// What had been counted when the gateway was last asked; there is one, of moment 0.
    Last,
}

impl SightKind {
    fn text(self) -> &'static str {
        match self {
            SightKind::Minute => "minute",
            SightKind::Hour => "hour",
            SightKind::Last => "last",
        }
    }
}

/// A slow command, of the gateway or of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowRow {
    /// The gateway or the node.
    pub source: String,
    /// Which of its starts.
    pub run: i64,
    /// Which of that start's entries.
    pub number: i64,
    /// When it came, or was done.
    pub at: Millis,
    /// How long it took.
    pub micros: i64,
    /// What it was, as JSON.
    pub body: String,
}

/// Keeps what was seen in place of what was kept for the same moment.
pub fn put_sight(tx: &mut dyn Tx, instance: &InstanceId, kind: SightKind, at: Millis, body: &str) -> Result<()> {
    tx.exec(
        "insert into sight (instance, kind, at, body) values ($1, $2, $3, $4)
         on conflict (instance, kind, at) do update set body = excluded.body",
        args![instance, kind.text(), at, body],
    )?;
    Ok(())
}

/// What was seen of an instance from a moment on and before another, oldest first.
pub fn sights(
    reader: &mut dyn Reader,
    instance: &InstanceId,
    kind: SightKind,
    from: Millis,
    before: Millis,
) -> Result<Vec<(Millis, String)>> {
    let rows = reader.rows(
        "select at, body from sight where instance = $1 and kind = $2 and at >= $3 and at < $4 order by at",
        args![instance, kind.text(), from, before],
    )?;
    rows.into_iter().map(|mut row| Ok((Millis(row.int(0)?), row.text(1)?))).collect()
}

/// What was kept for one moment.
pub fn sight_at(reader: &mut dyn Reader, instance: &InstanceId, kind: SightKind, at: Millis) -> Result<Option<String>> {
    let sql = "select body from sight where instance = $1 and kind = $2 and at = $3";
    reader.row(sql, args![instance, kind.text(), at])?.map(|mut row| row.text(0)).transpose()
}

/// Keeps slow commands, but for those that are kept already.
pub fn put_slow(tx: &mut dyn Tx, instance: &InstanceId, of_gateway: bool, rows: &[SlowRow]) -> Result<()> {
    for row in rows {
        tx.exec(
            "insert into slow_command (instance, source, run, number, of_gateway, at, micros, body)
             values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (instance, source, run, number) do nothing",
            args![
                instance,
                row.source.as_str(),
                row.run,
                row.number,
                of_gateway,
                row.at,
                row.micros,
                row.body.as_str()
            ],
        )?;
    }
    Ok(())
}

/// The slow commands of an instance from a moment on and before another.
pub fn slow_commands(
    reader: &mut dyn Reader,
    instance: &InstanceId,
    of_gateway: bool,
    from: Millis,
    before: Millis,
) -> Result<Vec<SlowRow>> {
    let rows = reader.rows(
        "select source, run, number, at, micros, body from slow_command
         where instance = $1 and of_gateway = $2 and at >= $3 and at < $4",
        args![instance, of_gateway, from, before],
    )?;
    let read = rows.into_iter().map(|mut row| {
        Ok(SlowRow {
            source: row.text(0)?,
            run: row.int(1)?,
            number: row.int(2)?,
            at: Millis(row.int(3)?),
            micros: row.int(4)?,
            body: row.text(5)?,
        })
    });
    read.collect()
}

/// Deletes the oldest slow commands of an instance beyond so many.
pub fn cap_slow(tx: &mut dyn Tx, instance: &InstanceId, of_gateway: bool, most: i64) -> Result<()> {
    tx.exec(
        "delete from slow_command where instance = $1 and of_gateway = $2 and at < (
             select at from slow_command where instance = $1 and of_gateway = $2
             order by at desc limit 1 offset $3)",
        args![instance, of_gateway, most - 1],
    )?;
    Ok(())
}

/// Deletes what was seen before these moments, by minutes and by hours, and slow commands, and all of instances that are
/// gone.
pub fn forget_sights(tx: &mut dyn Tx, minutes: Millis, hours: Millis, slow: Millis) -> Result<()> {
    for (kind, before) in [(SightKind::Minute, minutes), (SightKind::Hour, hours)] {
        tx.exec("delete from sight where kind = $1 and at < $2", args![kind.text(), before])?;
    }
    tx.exec("delete from slow_command where at < $1", args![slow])?;
    // Whatever was ever seen has a row of this kind.
    let gone = tx.rows(
        "select instance from sight where kind = $1 and instance not in (select id from instance)",
        args![SightKind::Last.text()],
    )?;
    for mut row in gone {
        let instance = row.text(0)?;
        for table in ["sight", "slow_command"] {
            tx.exec(&format!("delete from {table} where instance = $1"), args![instance.as_str()])?;
        }
    }
    Ok(())
}
