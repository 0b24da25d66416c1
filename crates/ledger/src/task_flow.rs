//! A task from its flow's side: where it is, how it came there, and how it is steered.

use flow::{Cursor, Passed, Phase};
use model::{InstanceId, Millis, TaskId, TaskResult};

use crate::task::{self, Task, to_json};
use crate::{Reader, Result, Row, TaskChange, Tx, args, count_on, counter};

/// A task as its flow sees it: where it is, and how it came there.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskFlow {
    /// Which flow it runs.
    pub flow: String,
    /// The flow's state as JSON; empty where it has ended well.
    pub state: String,
    /// The state with which it began; empty where it has ended well.
    pub first_state: String,
    /// Where it is; at the end, the last step, and where it has ended well nothing but that.
    pub cursor: Cursor,
    /// 1, and one more with each time it was tried again after its end.
    pub attempt: i64,
    /// Whether it is to be cancelled.
    pub is_cancelled: bool,
    /// Whether it is laid aside until its moment has come.
    pub is_parked: bool,
    /// Whether it failed where it could go neither forth nor back; else one that failed is undone.
    pub is_stuck: bool,
    /// Whether it holds its instance; one that doesn't only looks on.
    pub holds: bool,
    /// Another instance that it changes and holds too.
    pub partner: Option<InstanceId>,
    /// Memory of the instance with all its nodes when it was accepted, in MiB.
    pub size: i64,
}

/// A step that a task has passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedStep {
    /// Its place among all that the task has passed, from 1.
    pub seq: i64,
    /// In which attempt.
    pub attempt: i64,
    /// What of it.
    pub passed: Passed,
}

macro_rules! flow_columns {
    () => {
        "flow, state, first_state, cursor, attempt, cancel_asked, parked, stuck, holds, size, partner"
    };
}

/// Reads the columns of a flow, which begin at `from`.
fn read_flow(row: &mut Row, from: usize) -> Result<TaskFlow> {
    Ok(TaskFlow {
        flow: row.text(from)?,
        state: row.text(from + 1)?,
        first_state: row.text(from + 2)?,
        cursor: row.parsed(from + 3, read_cursor)?,
        attempt: row.int(from + 4)?,
        is_cancelled: row.int(from + 5)? != 0,
        is_parked: row.int(from + 6)? != 0,
        is_stuck: row.int(from + 7)? != 0,
        holds: row.int(from + 8)? != 0,
        size: row.int(from + 9)?,
        partner: row.text_opt(from + 10)?.as_deref().and_then(InstanceId::parse),
    })
}

/// Of a task that ended well it is its last step alone.
fn read_cursor(text: &str) -> Option<Cursor> {
    if text.starts_with('{') { serde_json::from_str(text).ok() } else { Some(Cursor::start(text, Millis(0))) }
}

/// How a task's flow stands.
pub fn task_flow(reader: &mut dyn Reader, id: TaskId) -> Result<Option<TaskFlow>> {
    let row = reader.row(concat!("select ", flow_columns!(), " from task where id = $1"), args![id])?;
    row.map(|mut row| read_flow(&mut row, 0)).transpose()
}

/// The open tasks of an account with their flows, oldest first.
pub fn open_flows(reader: &mut dyn Reader, account: i64) -> Result<Vec<(Task, TaskFlow)>> {
    let sql = concat!("select ", task::columns!(), ", ", flow_columns!(), " from task where result < 2 order by id");
    of_account(reader.rows(sql, &[])?, account)
}

/// Open and reopened tasks are few. Were the account asked for too, SQLite would find them among all that it ever had.
fn of_account(rows: Vec<Row>, account: i64) -> Result<Vec<(Task, TaskFlow)>> {
    let all = rows.into_iter().map(read_both);
    all.filter(|read| read.as_ref().map_or(true, |(task, _)| task.account == account)).collect()
}

/// How far the acceptance of tasks has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The latest task.
    pub task: TaskId,
    /// The number of the latest one that was opened again.
    pub reopened: i64,
}

impl Accepted {
    /// Before the first task.
    pub const NONE: Accepted = Accepted { task: TaskId(0), reopened: 0 };
}

/// The name under which the store counts how often a task was opened again. The tasks don't tell: that one may be removed.
const REOPENED: &str = "task-reopened";

/// How far the acceptance of tasks has come, of whatever account.
pub fn accepted(reader: &mut dyn Reader) -> Result<Accepted> {
    let row = reader.row("select coalesce(max(id), 0) from task", &[])?;
    let task = TaskId(row.map_or(Ok(0), |row| row.int(0))?);
    Ok(Accepted { task, reopened: counter(reader, REOPENED)? })
}

/// The tasks of an account that were accepted since, for the first time or again, with their flows. They may have ended.
pub fn accepted_since(reader: &mut dyn Reader, account: i64, since: Accepted) -> Result<Vec<(Task, TaskFlow)>> {
    let new = concat!("select ", task::columns!(), ", ", flow_columns!(), " from task where id > $1 order by id");
    let again = concat!(
        "select ",
        task::columns!(),
        ", ",
        flow_columns!(),
        " from task where reopened > 0 and reopened > $1 order by reopened"
    );
    let mut rows = reader.rows(new, args![since.task])?;
    rows.extend(reader.rows(again, args![since.reopened])?);
    of_account(rows, account)
}

/// A task with its flow, whoever owns it.
pub fn task_and_flow(reader: &mut dyn Reader, id: TaskId) -> Result<Option<(Task, TaskFlow)>> {
    let sql = concat!("select ", task::columns!(), ", ", flow_columns!(), " from task where id = $1");
    reader.row(sql, args![id])?.map(read_both).transpose()
}

fn read_both(mut row: Row) -> Result<(Task, TaskFlow)> {
    let flow = read_flow(&mut row, task::COLUMN_COUNT)?;
    Ok((task::read(row)?, flow))
}

/// The steps that a task has passed, in their order.
pub fn passed_steps(reader: &mut dyn Reader, id: TaskId) -> Result<Vec<PassedStep>> {
    passed_since(reader, id, 0)
}

/// The steps that a task has passed after the one of this place.
pub fn passed_since(reader: &mut dyn Reader, id: TaskId, seq: i64) -> Result<Vec<PassedStep>> {
    let sql = "select seq, attempt, name, phase, started_at, ended_at, tries, message from step
        where task = $1 and seq > $2 order by seq";
    reader.rows(sql, args![id, seq])?.into_iter().map(read_step).collect()
}

/// Reads a step from the columns of [`passed_since`].
pub(crate) fn read_step(mut row: Row) -> Result<PassedStep> {
    Ok(PassedStep {
        seq: row.int(0)?,
        attempt: row.int(1)?,
        passed: Passed {
            step: row.text(2)?,
            phase: if row.text(3)? == "run" { Phase::Run } else { Phase::Undo },
            started_at: Millis(row.int(4)?),
            ended_at: Millis(row.int(5)?),
            tries: u32::try_from(row.int(6)?).unwrap_or(u32::MAX),
            message: row.text(7)?,
        },
    })
}

/// How many of the latest tasks of a type tell how long one takes.
const TELLING: i64 = 200;

/// How long the latest tasks of a type and flow took that ended well at their first attempt; at most `most`, on instances of
/// this size, or of any where there was none.
pub fn durations(reader: &mut dyn Reader, (kind, flow): (&str, &str), size: i64, most: usize) -> Result<Vec<i64>> {
    let rows = reader.rows(
        "select ended_at - started_at, size from task where result = 2 and type = $1 and flow = $2 and attempt = 1
         order by ended_at desc limit $3",
        args![kind, flow, TELLING],
    )?;
    let all = rows.iter().map(|row| Ok((row.int(0)?, row.int(1)?))).collect::<Result<Vec<_>>>()?;
    let of_size: Vec<_> = all.iter().filter(|(_, of)| *of == size).copied().collect();
    let telling = if of_size.is_empty() { all } else { of_size };
    Ok(telling.into_iter().take(most).map(|(took, _)| took).collect())
}

/// Whether a task is to be cancelled.
pub fn is_cancelled(reader: &mut dyn Reader, id: TaskId) -> Result<bool> {
    let row = reader.row("select cancel_asked from task where id = $1", args![id])?;
    row.map_or(Ok(false), |row| Ok(row.int(0)? != 0))
}

/// Asks for a task's end, and wakes it where it is laid aside.
pub fn cancel_task(tx: &mut dyn Tx, id: TaskId) -> Result<()> {
    tx.exec("update task set cancel_asked = 1 where id = $1 and result < 2", args![id])?;
    wake_task(tx, id)
}

/// Ends the rest of a task that is laid aside; one that a worker has, and is about to lay aside by what it knew before,
/// does not rest either.
pub fn wake_task(tx: &mut dyn Tx, id: TaskId) -> Result<()> {
    let sql = "update task set lease_until = case when parked = 1 then 0 else lease_until end, woken = 1
         where id = $1 and result < 2";
    tx.exec(sql, args![id])?;
    Ok(())
}

/// Ends the rest of all tasks that are laid aside. One whose moment has not come lies down again.
pub fn wake_parked_tasks(tx: &mut dyn Tx) -> Result<()> {
    let sql =
        "update task set lease_until = case when parked = 1 then 0 else lease_until end, woken = 1 where result < 2";
    tx.exec(sql, &[])?;
    Ok(())
}

/// Moves what workers have of their leases on, where the clock is about to be set forward: else all would run out at once.
pub fn move_leases(tx: &mut dyn Tx, now: Millis, by: std::time::Duration) -> Result<()> {
    let until = now + by;
    tx.exec(
        "update task set lease_until = lease_until + $2 where result < 2 and parked = 0 and lease_until > $1",
        args![now, until.0 - now.0],
    )?;
    Ok(())
}

/// Opens a failed task again, at a step and with a state, and takes its instances where it held them:
/// [`Error::is_taken`](crate::Error::is_taken) where another task has one. Answers the number of the attempt that begins.
pub fn reopen_task(tx: &mut dyn Tx, id: TaskId, state: &str, cursor: &Cursor) -> Result<Option<i64>> {
    tx.exec(
        "insert into hold (instance, task) select instance, id from task where id = $1 and holds = 1
         union all select partner, id from task where id = $1 and holds = 1 and partner is not null",
        args![id],
    )?;
    let reopened = count_on(tx, REOPENED, 1)?;
    let row = tx.row(
        "update task set result = 0, progress = 0, code = '', message = '', ended_at = null, cancel_asked = 0, stuck = 0,
            reopened = $4, attempt = attempt + 1, state = $2, cursor = $3, lease_until = 0, parked = 0
         where id = $1 and result = 4 returning attempt",
        args![id, state, to_json(cursor)?, reopened],
    )?;
    if row.is_some() {
        tx.note(TaskChange::Moved(id, TaskResult::Waiting));
    }
    row.map(|row| row.int(0)).transpose()
}

/// Whether a later task has run on the same instance, and not only looked on.
pub fn has_later_task(reader: &mut dyn Reader, account: i64, instance: &InstanceId, id: TaskId) -> Result<bool> {
    let sql = "select 1 from task where account = $1 and instance = $2 and id > $3 and holds = 1
        union all select 1 from task where partner = $2 and id > $3 and holds = 1 limit 1";
    Ok(reader.row(sql, args![account, instance, id])?.is_some())
}
