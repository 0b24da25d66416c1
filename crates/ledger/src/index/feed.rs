//! What transactions did to tasks, as a store keeps it that several servers write: the index of each follows the others by it.
//! Only the latest are kept, and they may be lost; the index then looks at the tasks themselves.

use model::{Millis, TaskId, TaskResult};
use serde::{Deserialize, Serialize};

use super::{IndexedTask, TaskChange, VERSION, Version};
use crate::{Error, Reader, Result, Value, args};

/// How many versions are kept: some seconds of heavy writing.
const KEPT: i64 = 4_096;
/// After so many, older ones are thrown away.
const PRUNED_AFTER: i64 = 64;

/// Statements that a transaction is to end with.
pub(crate) type Statements = Vec<(&'static str, Vec<Value>)>;

/// What has to be written so that the store has the next version, beside the changes that make it.
pub(crate) fn statements(next: &Version, changes: &[TaskChange]) -> Result<Statements> {
    let mut all = vec![
        (
            "insert into meta (name, number, text) values ($1, $2, $3)
             on conflict (name) do update set number = excluded.number, text = excluded.text",
            args![VERSION, next.number, next.mark.as_str()].to_vec(),
        ),
        (
            "insert into task_change (version, mark, changes) values ($1, $2, $3)",
            args![next.number, next.mark.as_str(), encode(changes)?].to_vec(),
        ),
    ];
    if next.number % PRUNED_AFTER == 0 {
        all.push(("delete from task_change where version <= $1", args![next.number - KEPT].to_vec()));
    }
    Ok(all)
}

/// What has happened since a version.
pub(super) enum Since {
    /// All of it, in order.
    These(Vec<TaskChange>),
    /// It isn't known any more.
    Unknown,
    /// The store never had that version: it has lost its latest transactions, and gone another way.
    Another,
}

/// What has happened from a version to that of the reader's state of the store.
pub(super) fn since(reader: &mut dyn Reader, from: &Version, to: &Version) -> Result<Since> {
    if from.number >= to.number {
        return Ok(if from == to { Since::These(Vec::new()) } else { Since::Another });
    }
    if to.number - from.number > KEPT {
        return Ok(Since::Unknown);
    }
    let rows = reader.rows(
        "select version, mark, case when version > $1 then changes else '[]' end from task_change
         where version >= $1 order by version",
        args![from.number],
    )?;
    let is_whole = rows.len() as i64 == to.number - from.number + 1;
    let (mut all, mut number) = (Vec::new(), from.number);
    for mut row in rows {
        let is_next = row.int(0)? == number;
        if is_next && number == from.number && row.text(1)? != from.mark {
            return Ok(Since::Another);
        }
        if !is_whole || !is_next {
            return Ok(Since::Unknown);
        }
        decode(&row.text(2)?, &mut all)?;
        number += 1;
    }
    Ok(if is_whole { Since::These(all) } else { Since::Unknown })
}

/// A task as it is kept.
type KeptTask = (i64, i64, String, String, String, i64, String, i64, i64);

/// A change as it is kept; which one it is, is told by how many members it has.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept {
    Opened(KeptTask),
    Moved(i64, i64),
    Removed((KeptTask,)),
}

fn encode(changes: &[TaskChange]) -> Result<String> {
    let kept: Vec<Kept> = changes
        .iter()
        .map(|change| match change {
            TaskChange::Moved(id, result) => Kept::Moved(id.0, result.number()),
            TaskChange::Opened(task) => Kept::Opened(kept_task(task)),
            TaskChange::Removed(task) => Kept::Removed((kept_task(task),)),
        })
        .collect();
    crate::task::to_json(&kept)
}

fn kept_task(task: &IndexedTask) -> KeptTask {
    (
        task.id.0,
        task.account,
        task.caller.clone(),
        task.instance.clone(),
        task.instance_name.clone(),
        task.project,
        task.kind.clone(),
        task.result.number(),
        task.started_at.0,
    )
}

fn decode(text: &str, into: &mut Vec<TaskChange>) -> Result<()> {
    let unread = |why: String| Error::Corrupt(format!("what was done to tasks can't be read: {why}"));
    let kept: Vec<Kept> = serde_json::from_str(text).map_err(|error| unread(error.to_string()))?;
    let result = |number| TaskResult::parse(number).ok_or_else(|| unread(format!("the result {number}")));
    let task =
        |(id, account, caller, instance, instance_name, project, kind, number, started_at): KeptTask| -> Result<_> {
            let (id, result, started_at) = (TaskId(id), result(number)?, Millis(started_at));
            Ok(Box::new(IndexedTask {
                id,
                account,
                caller,
                instance,
                instance_name,
                project,
                kind,
                result,
                started_at,
            }))
        };
    for change in kept {
        into.push(match change {
            Kept::Moved(id, number) => TaskChange::Moved(TaskId(id), result(number)?),
            Kept::Opened(kept) => TaskChange::Opened(task(kept)?),
            Kept::Removed((kept,)) => TaskChange::Removed(task(kept)?),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_read_as_it_was_written() {
        let task = IndexedTask {
            id: TaskId(7),
            account: 1,
            caller: "\"\\é".into(),
            instance: "crs-1".into(),
            instance_name: String::new(),
            project: 3,
            kind: "001".into(),
            result: TaskResult::Waiting,
            started_at: Millis(5),
        };
        let done = [
            TaskChange::Moved(TaskId(1), TaskResult::Done),
            TaskChange::Opened(Box::new(task.clone())),
            TaskChange::Removed(Box::new(task)),
        ];
        let mut read = Vec::new();
        decode(&encode(&done).unwrap(), &mut read).unwrap();
        assert_eq!(read, done);
    }
}
