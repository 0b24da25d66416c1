//! How an index follows a store: from nothing, from a checkpoint, or after something was missed.

use std::collections::HashSet;
use std::sync::mpsc;

use model::{Millis, TaskId, TaskResult};

use super::content::Content;
use super::feed::Since;
use super::{IndexedTask, State, Version, version};
use crate::retention::REMOVED_TO;
use crate::{Reader, Result, Row, Value, args, counter};

/// How many rows are read at a time.
const ROWS: usize = 10_000;
/// How many times that may have been read and not been added yet.
const AHEAD: usize = 4;
/// How many tasks are asked for by their ids at a time.
const IDS: usize = 500;

/// The index of no tasks, for a store that may have some.
pub(super) fn empty(reader: &mut dyn Reader) -> Result<State> {
    let first = reader.row("select id from task order by id limit 1", &[])?;
    let base = first.map_or(Ok(1), |row| row.int(0))?;
    Ok(State { content: Content::new(base), version: Version::default(), reopened: 0 })
}

impl State {
    /// Brings the index to the reader's state of the store, whatever is known of what has happened since.
    pub(super) fn follow(&mut self, reader: &mut dyn Reader, since: Since) -> Result<()> {
        match since {
            Since::These(changes) => {
                if changes.into_iter().all(|change| self.content.apply(change)) {
                    self.version = version(reader)?;
                    return Ok(());
                }
                tracing::warn!("what was done to tasks does not fit the task index");
            }
            Since::Another => {
                tracing::warn!("the task index is made anew: its store has lost what it had");
                *self = empty(reader)?;
            }
            Since::Unknown => {}
        }
        self.look(reader)
    }

    /// Looks at the tasks themselves. What may have changed was open, is newer, or was opened again.
    fn look(&mut self, reader: &mut dyn Reader) -> Result<()> {
        let (was_open, reopened) = (self.content.open(), self.reopened);
        self.add_newer(reader)?;
        let mut rows = reader.rows("select id, result from task where result < 2", &[])?;
        let is_open: HashSet<i64> = rows.iter().map(|row| row.int(0)).collect::<Result<_>>()?;
        let ended: Vec<_> = was_open.into_iter().filter(|id| !is_open.contains(id)).collect();
        for ids in ended.chunks(IDS) {
            let places: Vec<_> = (1..=ids.len()).map(|place| format!("${place}")).collect();
            let sql = format!("select id, result from task where id in ({})", places.join(", "));
            rows.extend(reader.rows(&sql, &ids.iter().map(|id| Value::Int(*id)).collect::<Vec<_>>())?);
        }
        let again = "select id, result, reopened from task where reopened > 0 and reopened > $1";
        let again = reader.rows(again, args![reopened])?;
        self.reopened = again.iter().map(|row| row.int(2)).try_fold(reopened, |most, it| it.map(|it| it.max(most)))?;
        for row in rows.iter().chain(&again) {
            self.content.set_result(TaskId(row.int(0)?), row.numbered(1, TaskResult::parse)?);
        }
        self.forget_removed(reader)?;
        self.version = version(reader)?;
        Ok(())
    }

    /// Of the tasks up to the latest that was removed there are few: those that had not ended then.
    fn forget_removed(&mut self, reader: &mut dyn Reader) -> Result<()> {
        let last = counter(reader, REMOVED_TO)?;
        if last < self.content.base {
            return Ok(());
        }
        let left = reader.rows("select id from task where id <= $1 order by id", args![last])?;
        let left: Vec<i64> = left.iter().map(|row| row.int(0)).collect::<Result<_>>()?;
        self.content.forget_up_to(last, &left);
        Ok(())
    }

    /// Adds tasks that are newer. Where there are many, one thread reads rows while another one adds them.
    fn add_newer(&mut self, reader: &mut dyn Reader) -> Result<()> {
        let mut rows = rows_from(reader, self.content.next_id())?;
        if rows.len() < ROWS {
            return add(&mut self.content, rows);
        }
        let content = &mut self.content;
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<Vec<Row>>(AHEAD);
            let adding = scope.spawn(move || receiver.into_iter().try_for_each(|rows| add(content, rows)));
            while let Some(last) = rows.last() {
                let next = last.int(0)? + 1;
                // The other one has met a row that can't be read; what that is, its end says.
                if sender.send(rows).is_err() {
                    break;
                }
                rows = rows_from(reader, next)?;
            }
            drop(sender);
            adding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn rows_from(reader: &mut dyn Reader, id: i64) -> Result<Vec<Row>> {
    reader.rows(
        "select id, account, caller, instance, instance_name, project, type, result, started_at from task
         where id >= $1 order by id limit $2",
        args![id, ROWS as i64],
    )
}

fn add(content: &mut Content, rows: Vec<Row>) -> Result<()> {
    for row in rows {
        content.add(&read(row)?);
    }
    Ok(())
}

fn read(mut row: Row) -> Result<IndexedTask> {
    Ok(IndexedTask {
        id: TaskId(row.int(0)?),
        account: row.int(1)?,
        caller: row.text(2)?,
        instance: row.text(3)?,
        instance_name: row.text(4)?,
        project: row.int(5)?,
        kind: row.text(6)?,
        result: row.numbered(7, TaskResult::parse)?,
        started_at: Millis(row.int(8)?),
    })
}
