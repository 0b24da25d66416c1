//! Moves tasks that have ended, and began longer ago than the ledger keeps them, to the archive: a few at a time, on the disk
//! there before they are removed here. Broken off anywhere, it is done again: what was kept twice is read once.

use std::sync::Arc;
use std::time::Duration;

use ledger::{WholeTask, remove_tasks, whole_tasks};
use model::{Millis, TaskId};

use crate::cx::FlowCx;

const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How many tasks are looked at, and so moved at most, at a time: others write between.
const AT_ONCE: i64 = 200;
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    loop {
        match move_old(&cx).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "tasks of long ago were moved out of the ledger"),
            Err(error) => tracing::warn!(error, "tasks of long ago can't be moved out of the ledger now"),
        }
        tokio::select! {
            () = cx.wake.retention.notified() => {}
            () = cx.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

/// Moves all that there is to be moved now; answers how many tasks.
pub(crate) async fn move_old(cx: &Arc<FlowCx>) -> Result<i64, String> {
    let before = cx.clock.now() - cx.settings.keep_tasks_for;
    let (mut after, mut moved) = (Some(TaskId(0)), 0);
    while let Some(from) = after {
        // Asked often, and nothing to be done nearly always.
        let first = cx.ledger.read(|reader| whole_tasks(reader, from, 1)).map_err(|error| error.to_string())?;
        if first.first().is_none_or(|first| first.task.started_at >= before) {
            break;
        }
        let (old, next) = old_tasks(cx, before, from).map_err(|error| error.to_string())?;
        if !old.is_empty() {
            let old = keep_tasks(cx, old).await?;
            let removed = cx.ledger.write(move |tx| remove_tasks(tx, &old)).await;
            moved += removed.map_err(|error: ledger::Error| error.to_string())?;
            cx.clock.sleep(PAUSE).await;
        }
        after = next;
    }
    Ok(moved)
}

/// Some of the tasks after one that are to be moved, and after which one there may be more. Tasks are read in the order in
/// which they were accepted, and of the old ones those alone are left that had not ended: so this is never long.
pub(crate) fn old_tasks(
    cx: &FlowCx,
    before: Millis,
    after: TaskId,
) -> ledger::Result<(Vec<WholeTask>, Option<TaskId>)> {
    let (latest, page) =
        cx.ledger.read(|reader| Ok((ledger::accepted(reader)?.task, whole_tasks(reader, after, AT_ONCE)?)))?;
    let is_old = |whole: &WholeTask| whole.task.started_at < before;
    let next = page.last().filter(|last| page.len() as i64 == AT_ONCE && is_old(last)).map(|last| last.task.id);
    let is_moved = |whole: &WholeTask| is_old(whole) && whole.has_ended() && whole.task.id != latest;
    Ok((page.into_iter().filter(is_moved).collect(), next))
}

/// Keeps tasks in the archive; gives them back when they are on the disk.
pub(crate) async fn keep_tasks(cx: &FlowCx, tasks: Vec<WholeTask>) -> Result<Vec<WholeTask>, String> {
    let archive = cx.archive.clone();
    let kept = tokio::task::spawn_blocking(move || archive.keep(&tasks).map(|()| tasks)).await;
    kept.map_err(|error| error.to_string())?.map_err(|error| format!("the archive: {error}"))
}
