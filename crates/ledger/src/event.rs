use model::{InstanceId, Millis};

use crate::{Error, Instance, Reader, Result, Row, Select, Tx, args};

/// Something that happened to an instance, or is planned for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id: positive, and growing.
    pub id: i64,
    /// The instance.
    pub instance: InstanceId,
    /// What that was called then.
    pub instance_name: String,
    /// What it is.
    pub kind: String,
    /// How bad: `Critical`, `High`, `Middle` or `Low`.
    pub grade: String,
    /// `Waiting`, `Running`, `Finished` or `Canceled`.
    pub status: String,
    /// What users notice, for people.
    pub effect: String,
    /// When it happens.
    pub start_at: Millis,
    /// The end of the time in which it happens.
    pub end_at: Millis,
    /// The latest moment to which it can be put off.
    pub latest_at: Millis,
    /// When it was first to happen.
    pub initial_at: Millis,
    /// When it was over.
    pub ended_at: Option<Millis>,
}

/// An event to be written down.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// What it is.
    pub kind: &'a str,
    /// How bad.
    pub grade: &'a str,
    /// What users notice.
    pub effect: &'a str,
    /// When it happens, from and until.
    pub time: (Millis, Millis),
    /// The latest moment to which it can be put off; `None` where it is over already.
    pub latest_at: Option<Millis>,
}

const COLUMNS: &str = "id, instance, instance_name, type, grade, status, effect, start_at, end_at, latest_at, initial_at, \
    ended_at from event";

/// Writes an event down: one that is planned, or one that is over.
pub fn insert_event(tx: &mut dyn Tx, instance: &Instance, new: NewEvent<'_>) -> Result<i64> {
    let is_over = new.latest_at.is_none();
    let row = tx.row(
        "insert into event (account, instance, instance_name, type, grade, status, effect, start_at, end_at, latest_at,
            initial_at, ended_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8, $11) returning id",
        args![
            instance.account,
            &instance.id,
            instance.name.as_str(),
            new.kind,
            new.grade,
            if is_over { "Finished" } else { "Waiting" },
            new.effect,
            new.time.0,
            new.time.1,
            new.latest_at.unwrap_or(new.time.1),
            is_over.then_some(new.time.1),
        ],
    )?;
    row.ok_or_else(|| Error::Corrupt("an insert returned nothing".into()))?.int(0)
}

/// Moves an event on: it runs, or is over.
pub fn set_event(tx: &mut dyn Tx, id: i64, status: &str, ended_at: Option<Millis>) -> Result<()> {
    tx.exec("update event set status = $2, ended_at = $3 where id = $1", args![id, status, ended_at])?;
    Ok(())
}

/// Ends what is planned for an instance, or under way.
pub fn end_events(tx: &mut dyn Tx, instance: &InstanceId, status: &str, now: Millis) -> Result<()> {
    let sql = "update event set status = $2, ended_at = $3 where instance = $1 and status in ('Waiting', 'Running')";
    tx.exec(sql, args![instance, status, now])?;
    Ok(())
}

/// Puts an event off, or forward.
pub fn move_event(tx: &mut dyn Tx, id: i64, start_at: Millis, end_at: Millis) -> Result<()> {
    tx.exec("update event set start_at = $2, end_at = $3 where id = $1", args![id, start_at, end_at])?;
    Ok(())
}

/// The account's event of this id.
pub fn event(reader: &mut dyn Reader, account: i64, id: i64) -> Result<Option<Event>> {
    let sql = format!("select {COLUMNS} where id = $1 and account = $2");
    reader.row(&sql, args![id, account])?.map(read).transpose()
}

/// A page of the events that fit, newest first, and how many fit in all.
pub fn list_events(reader: &mut dyn Reader, filter: &Select, limit: i64, offset: i64) -> Result<(i64, Vec<Event>)> {
    let count = filter.count(reader, "event")?;
    let rows = filter.page(reader, COLUMNS, "start_at desc, id desc", limit, offset)?;
    Ok((count, rows.into_iter().map(read).collect::<Result<_>>()?))
}

fn read(mut row: Row) -> Result<Event> {
    Ok(Event {
        id: row.int(0)?,
        instance: row.parsed(1, InstanceId::parse)?,
        instance_name: row.text(2)?,
        kind: row.text(3)?,
        grade: row.text(4)?,
        status: row.text(5)?,
        effect: row.text(6)?,
        start_at: Millis(row.int(7)?),
        end_at: Millis(row.int(8)?),
        latest_at: Millis(row.int(9)?),
        initial_at: Millis(row.int(10)?),
        ended_at: row.int_opt(11)?.map(Millis),
    })
}
