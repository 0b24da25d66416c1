use flow::{Claim, Claimed, Cursor};
use model::{InstanceId, Millis, TaskId, TaskResult};

use crate::{Error, IndexedTask, Instance, Reader, Result, Row, TaskChange, Tx, args};

/// A task as clients see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// Who owns it.
    pub account: i64,
    /// Who started it: a uin, or the name of the keeper.
    pub caller: String,
    /// The instance that it changes; it may be gone.
    pub instance: InstanceId,
    /// What that was called when the task was accepted.
    pub instance_name: String,
    /// The project it belonged to then.
    pub project: i64,
    /// The type's code.
    pub kind: String,
    /// Where it is.
    pub result: TaskResult,
    /// 0 to 1; only grows.
    pub progress: f64,
    /// The API's code of a failure; else empty.
    pub code: String,
    /// Why it failed; else empty.
    pub message: String,
    /// When it was accepted.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
}

/// A task to be accepted.
#[derive(Clone, Debug)]
pub struct NewTask<'a> {
    /// What it changes; it keeps this one's name and project.
    pub instance: &'a Instance,
    /// Who starts it.
    pub caller: &'a str,
    /// The type's code.
    pub kind: &'static str,
    /// The flow that does it.
    pub flow: &'static str,
    /// The flow's first step.
    pub first_step: &'static str,
    /// The flow's state as JSON.
    pub state: String,
    /// Whether it takes the instance: one that only looks on does not.
    pub holds: bool,
    /// Another instance that it changes too, and takes where it takes the first.
    pub partner: Option<&'a InstanceId>,
}

/// Accepts a task, and takes its instances: [`Error::is_taken`] where another task has one.
pub fn open_task(tx: &mut dyn Tx, new: NewTask<'_>, now: Millis) -> Result<TaskId> {
    let cursor = to_json(&Cursor::start(new.first_step, now))?;
    let instance = new.instance;
    // Ids and start times have the same order, even where the clock was set back.
    let row = tx.row(
        "insert into task (account, caller, instance, instance_name, project, type, flow, state, cursor, result,
            progress, started_at, first_state, size, holds, partner)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0,
            case when (select started_at from task order by id desc limit 1) > $11
                then (select started_at from task order by id desc limit 1) else $11 end,
            $8, $12, $13, $14) returning id, started_at",
        args![
            new.instance.account,
            new.caller,
            &new.instance.id,
            new.instance.name.as_str(),
            new.instance.project,
            new.kind,
            new.flow,
            new.state,
            cursor,
            TaskResult::Waiting.number(),
            now,
            instance.memory_mb * instance.shards * (instance.replicas + 1),
            new.holds,
            new.partner,
        ],
    )?;
    let row = row.ok_or_else(|| Error::Corrupt("an insert returned nothing".into()))?;
    let (id, started_at) = (TaskId(row.int(0)?), Millis(row.int(1)?));
    tx.note(TaskChange::Opened(Box::new(IndexedTask {
        id,
        account: instance.account,
        caller: new.caller.into(),
        instance: instance.id.as_str().into(),
        instance_name: instance.name.clone(),
        project: instance.project,
        kind: new.kind.into(),
        result: TaskResult::Waiting,
        started_at,
    })));
    if new.holds {
        for instance in [Some(&new.instance.id), new.partner].into_iter().flatten() {
            tx.exec("insert into hold (instance, task) values ($1, $2)", args![instance, id])?;
        }
    }
    Ok(id)
}

/// The task that has an instance now.
pub fn holder(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Option<TaskId>> {
    let row = reader.row("select task from hold where instance = $1", args![instance])?;
    row.map(|row| row.int(0).map(TaskId)).transpose()
}

/// Takes tasks that nobody works on, oldest first, until `until`.
pub fn claim_tasks(tx: &mut dyn Tx, now: Millis, until: Millis, most: i64) -> Result<Vec<Claimed>> {
    let mut rows = tx.rows(
        "update task set fence = fence + 1, lease_until = $2, result = 1, parked = 0, woken = 0
         where id in (select id from task where result < 2 and lease_until <= $1 order by id limit $3)
         returning id, fence, flow, state, cursor",
        args![now, until, most],
    )?;
    rows.sort_by_key(|row| row.int(0).unwrap_or(0));
    for row in &rows {
        tx.note(TaskChange::Moved(TaskId(row.int(0)?), TaskResult::Running));
    }
    // One that can't be read waits for a binary that can; the others don't wait with it.
    let read = rows.into_iter().map(|mut row| -> Result<Claimed> {
        let cursor: String = row.text(4)?;
        Ok(Claimed {
            claim: Claim { task: TaskId(row.int(0)?), fence: row.int(1)? },
            flow: row.text(2)?,
            state: row.text(3)?,
            cursor: serde_json::from_str(&cursor).map_err(|e| Error::Corrupt(format!("a task's cursor: {e}")))?,
        })
    });
    let readable = read.filter_map(|task| task.inspect_err(|error| tracing::error!(%error, "a task waits")).ok());
    Ok(readable.collect())
}

/// Whether there is a task that nobody works on.
pub fn has_claimable_task(reader: &mut dyn Reader, now: Millis) -> Result<bool> {
    let sql = "select 1 from task where result < 2 and lease_until <= $1 limit 1";
    Ok(reader.row(sql, args![now])?.is_some())
}

/// Ends every lease, of tasks and of servers. For a server that has just started and is alone: whoever had them is gone.
pub fn end_leases(tx: &mut dyn Tx) -> Result<()> {
    tx.exec("update task set lease_until = 0 where result < 2", &[])?;
    crate::lease::end_all(tx)?;
    Ok(())
}

/// Keeps a claim until `until`: [`Error::Fenced`] where it isn't the newest any more.
pub fn renew_claim(tx: &mut dyn Tx, claim: Claim, until: Millis) -> Result<()> {
    let sql = "update task set lease_until = $3 where id = $1 and fence = $2 and result < 2 and parked = 0";
    if tx.exec(sql, args![claim.task, claim.fence, until])? == 1 { Ok(()) } else { Err(Error::Fenced) }
}

macro_rules! columns {
    () => {
        "id, account, caller, instance, instance_name, project, type, result, progress, code, message, started_at, \
         ended_at"
    };
}
pub(crate) use columns;

/// How many those are.
pub(crate) const COLUMN_COUNT: usize = 13;

pub(crate) fn read(mut row: Row) -> Result<Task> {
    Ok(Task {
        id: TaskId(row.int(0)?),
        account: row.int(1)?,
        caller: row.text(2)?,
        instance: row.parsed(3, InstanceId::parse)?,
        instance_name: row.text(4)?,
        project: row.int(5)?,
        kind: row.text(6)?,
        result: row.numbered(7, TaskResult::parse)?,
        progress: row.real(8)?,
        code: row.text(9)?,
        message: row.text(10)?,
        started_at: Millis(row.int(11)?),
        ended_at: row.int_opt(12)?.map(Millis),
    })
}

/// The task of this id, whoever owns it.
pub fn task(reader: &mut dyn Reader, id: TaskId) -> Result<Option<Task>> {
    reader.row(concat!("select ", columns!(), " from task where id = $1"), args![id])?.map(read).transpose()
}

/// The open tasks of an account, oldest first.
pub fn open_tasks(reader: &mut dyn Reader, account: i64) -> Result<Vec<Task>> {
    // Were the account asked for too, SQLite would look for them among all that it ever had.
    let all = reader.rows(concat!("select ", columns!(), " from task where result < 2 order by id"), &[])?;
    let all = all.into_iter().map(read);
    all.filter(|read| read.as_ref().map_or(true, |task| task.account == account)).collect()
}

/// The latest tasks, newest first: read without the task index, by which [`Ledger::list_tasks`](crate::Ledger::list_tasks)
/// answers, for whoever holds that against it.
pub fn latest_tasks(reader: &mut dyn Reader, most: i64) -> Result<Vec<Task>> {
    let rows = reader.rows(concat!("select ", columns!(), " from task order by id desc limit $1"), args![most])?;
    rows.into_iter().map(read).collect()
}

/// When a task of this type failed last on an instance.
pub fn last_failure(reader: &mut dyn Reader, instance: &InstanceId, kind: &str) -> Result<Option<Millis>> {
    let sql = "select max(ended_at) from task where instance = $1 and type = $2 and result = 4";
    reader.row(sql, args![instance, kind])?.map_or(Ok(None), |row| Ok(row.int_opt(0)?.map(Millis)))
}

/// Whether a task of this type goes on on an instance.
pub fn has_open_task(reader: &mut dyn Reader, instance: &InstanceId, kind: &str) -> Result<bool> {
    let sql = "select 1 from task where result < 2 and instance = $1 and type = $2 limit 1";
    Ok(reader.row(sql, args![instance, kind])?.is_some())
}

/// How many tasks are not at their end.
pub fn count_open_tasks(reader: &mut dyn Reader) -> Result<i64> {
    reader.row("select count(*) from task where result < 2", &[])?.map_or(Ok(0), |row| row.int(0))
}

pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt(format!("can't be written as JSON: {error}")))
}
