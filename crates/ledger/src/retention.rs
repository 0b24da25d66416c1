//! Tasks leave the ledger: they are read whole, for whoever keeps them elsewhere, and removed once that is done.
//!
//! What must stay true:
//! - A task is removed only as it was read: one that was opened again since stays.
//! - The latest task is never removed. By it the next one knows when it may have been accepted at the earliest.

use std::collections::HashMap;

use model::{Millis, TaskId, TaskResult};

use crate::task::{self, COLUMN_COUNT, Task, columns};
use crate::task_flow::read_step;
use crate::{IndexedTask, PassedStep, Reader, Result, TaskChange, Tx, Value, args};

/// A task with all of it that says something when it is over.
#[derive(Clone, Debug, PartialEq)]
pub struct WholeTask {
    /// As clients see it.
    pub task: Task,
    /// Which flow it ran.
    pub flow: String,
    /// How often it was tried.
    pub attempt: i64,
    /// What it has passed.
    pub steps: Vec<PassedStep>,
}

impl WholeTask {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.task.result, TaskResult::Done | TaskResult::Failed)
    }
}

/// The name under which the store keeps the greatest id of those that were removed.
pub(crate) const REMOVED_TO: &str = "task-removed-to";

/// Tasks after an id, in the order in which they were accepted; at most `most`.
pub fn whole_tasks(reader: &mut dyn Reader, after: TaskId, most: i64) -> Result<Vec<WholeTask>> {
    let sql = concat!("select ", columns!(), ", flow, attempt from task where id > $1 order by id limit $2");
    let rows = reader.rows(sql, args![after, most])?;
    read_whole(reader, rows)
}

fn read_whole(reader: &mut dyn Reader, rows: Vec<crate::Row>) -> Result<Vec<WholeTask>> {
    let read = rows.into_iter().map(|mut row| {
        let (flow, attempt) = (row.text(COLUMN_COUNT)?, row.int(COLUMN_COUNT + 1)?);
        Ok(WholeTask { task: task::read(row)?, flow, attempt, steps: Vec::new() })
    });
    let mut all = read.collect::<Result<Vec<_>>>()?;
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return Ok(all) };
    let sql = "select seq, attempt, name, phase, started_at, ended_at, tries, message, task from step
        where task >= $1 and task <= $2 order by task, seq";
    let mut steps: HashMap<i64, Vec<PassedStep>> = HashMap::new();
    for row in reader.rows(sql, args![first.task.id, last.task.id])? {
        let of = row.int(8)?;
        steps.entry(of).or_default().push(read_step(row)?);
    }
    for whole in &mut all {
        whole.steps = steps.remove(&whole.task.id.0).unwrap_or_default();
    }
    Ok(all)
}

/// Removes tasks that have ended, where they are what they were; answers how many.
pub fn remove_tasks(tx: &mut dyn Tx, tasks: &[WholeTask]) -> Result<i64> {
    let latest = tx.row("select coalesce(max(id), 0) from task", &[])?.map_or(Ok(0), |row| row.int(0))?;
    let ids: Vec<i64> = tasks.iter().map(|whole| whole.task.id.0).filter(|id| *id != latest).collect();
    let sql = concat!("select ", columns!(), ", flow, attempt from task where id in (@) order by id");
    let rows = if ids.is_empty() { Vec::new() } else { tx.rows(&listed(sql, ids.len()), &values(&ids))? };
    let now = read_whole(tx.reader(), rows)?;
    let gone: Vec<&WholeTask> = now.iter().filter(|whole| whole.has_ended() && tasks.contains(whole)).collect();
    let Some(last) = gone.iter().map(|whole| whole.task.id).max() else { return Ok(0) };
    let ids: Vec<i64> = gone.iter().map(|whole| whole.task.id.0).collect();
    for sql in ["delete from step where task in (@)", "delete from task where id in (@)"] {
        tx.later(&listed(sql, ids.len()), &values(&ids))?;
    }
    tx.later(
        "insert into meta (name, number) values ($1, $2) on conflict (name) do update
         set number = case when meta.number > excluded.number then meta.number else excluded.number end",
        args![REMOVED_TO, last],
    )?;
    gone.iter().for_each(|whole| tx.note(TaskChange::Removed(Box::new(indexed(&whole.task)))));
    Ok(ids.len() as i64)
}

fn indexed(task: &Task) -> IndexedTask {
    IndexedTask {
        id: task.id,
        account: task.account,
        caller: task.caller.clone(),
        instance: task.instance.as_str().into(),
        instance_name: task.instance_name.clone(),
        project: task.project,
        kind: task.kind.clone(),
        result: task.result,
        started_at: Millis(task.started_at.0),
    }
}

/// A statement with so many places where it has `@`.
fn listed(sql: &str, count: usize) -> String {
    let places: Vec<String> = (1..=count).map(|place| format!("${place}")).collect();
    sql.replace('@', &places.join(", "))
}

fn values(ids: &[i64]) -> Vec<Value> {
    ids.iter().map(|id| Value::Int(*id)).collect()
}
