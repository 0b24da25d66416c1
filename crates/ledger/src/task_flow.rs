//! A task from its flow's side: where it is, how it came there, and how it is steered.

use flow::{Cursor, Passed, Phase};
use model::{InstanceId, Millis, TaskId};

use crate::task::to_json;
use crate::{Reader, Result, Row, Tx, args};

/// A task as its flow sees it: where it is, and how it came there.
#[derive(Clone, Debug)]
pub struct TaskFlow {
    /// Which flow it runs.
    pub flow: String,
    /// The flow's state as JSON.
    pub state: String,
    /// The state with which it began.
    pub first_state: String,
    /// Where it is; at the end, the last step.
    pub cursor: Cursor,
    /// 1, and one more with each time it was tried again after its end.
    pub attempt: i64,
    /// Whether it is to be cancelled.
    pub is_cancelled: bool,
    /// Memory of the instance with all its nodes when it was accepted, in MiB.
    pub size: i64,
}

/// A step that a task has passed.
#[derive(Clone, Debug)]
pub struct PassedStep {
    /// In which attempt.
    pub attempt: i64,
    /// What of it.
    pub passed: Passed,
}

/// How a task's flow stands.
pub fn task_flow(reader: &mut dyn Reader, id: TaskId) -> Result<Option<TaskFlow>> {
    let sql = "select flow, state, first_state, cursor, attempt, cancel_asked, size from task where id = $1";
    let row = reader.row(sql, args![id])?;
    row.map(|mut row| {
        Ok(TaskFlow {
            flow: row.text(0)?,
            state: row.text(1)?,
            first_state: row.text(2)?,
            cursor: row.parsed(3, |text| serde_json::from_str(text).ok())?,
            attempt: row.int(4)?,
            is_cancelled: row.int(5)? != 0,
            size: row.int(6)?,
        })
    })
    .transpose()
}

/// The steps that a task has passed, in their order.
pub fn passed_steps(reader: &mut dyn Reader, id: TaskId) -> Result<Vec<PassedStep>> {
    let sql =
        "select attempt, name, phase, started_at, ended_at, tries, message from step where task = $1 order by seq";
    let rows = reader.rows(sql, args![id])?;
    let read = |mut row: Row| {
        Ok(PassedStep {
            attempt: row.int(0)?,
            passed: Passed {
                step: row.text(1)?,
                phase: if row.text(2)? == "run" { Phase::Run } else { Phase::Undo },
                started_at: Millis(row.int(3)?),
                ended_at: Millis(row.int(4)?),
                tries: u32::try_from(row.int(5)?).unwrap_or(u32::MAX),
                message: row.text(6)?,
            },
        })
    };
    rows.into_iter().map(read).collect()
}

/// How long the latest tasks of a type took that ended well, on instances of this size; at most `most`.
pub fn durations(reader: &mut dyn Reader, kind: &str, size: i64, most: i64) -> Result<Vec<i64>> {
    let sql = "select ended_at - started_at from task where result = 2 and type = $1 and size = $2
        order by ended_at desc limit $3";
    reader.rows(sql, args![kind, size, most])?.into_iter().map(|row| row.int(0)).collect()
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

/// Ends the rest of a task that is laid aside.
pub fn wake_task(tx: &mut dyn Tx, id: TaskId) -> Result<()> {
    tx.exec("update task set lease_until = 0 where id = $1 and result < 2 and parked = 1", args![id])?;
    Ok(())
}

/// Opens a failed task again, at a step and with a state, and takes its instance: [`Error::is_taken`] where another task
/// has that.
pub fn reopen_task(tx: &mut dyn Tx, id: TaskId, instance: &InstanceId, state: &str, cursor: &Cursor) -> Result<()> {
    tx.exec("insert into hold (instance, task) values ($1, $2)", args![instance, id])?;
    tx.exec(
        "update task set result = 0, progress = 0, code = '', message = '', ended_at = null, cancel_asked = 0,
            attempt = attempt + 1, state = $2, cursor = $3, lease_until = 0, parked = 0 where id = $1 and result = 4",
        args![id, state, to_json(cursor)?],
    )?;
    Ok(())
}

/// Whether a later task has run on the same instance.
pub fn has_later_task(reader: &mut dyn Reader, account: i64, instance: &InstanceId, id: TaskId) -> Result<bool> {
    let sql = "select 1 from task where account = $1 and instance = $2 and id > $3 limit 1";
    Ok(reader.row(sql, args![account, instance, id])?.is_some())
}
