//! A task as it is shown here: where it is, what it waits for, what can be done about it.

use std::time::Duration;

use flow::{FlowEntry, Phase};
use ledger::{PassedStep, Reader, Task, TaskFlow};
use model::{Millis, TaskId, TaskResult};
use schemars::JsonSchema;
use serde::Serialize;

use super::retry_task;
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, no_such_task};
use crate::flows::FLOWS;
use crate::when;

/// How a task stands.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Head {
    /// The task.
    pub(super) task_id: i64,
    /// What it changes; it may be gone.
    pub(super) instance_id: String,
    /// The code of its type.
    pub(super) task_type: String,
    /// The list of steps that it goes through.
    pub(super) flow: String,
    /// 0 waiting, 1 running, 2 done, 4 failed.
    pub(super) result: i64,
    /// 1, and one more with each RetryTask.
    pub(super) attempt: i64,
    /// 0 to 1; within an attempt it only grows.
    pub(super) progress: f64,
    /// run while steps are done, undo while they are taken back.
    pub(super) phase: &'static str,
    /// The step that is next; at the end, the last one.
    pub(super) step: String,
    /// What that waits for, in words; empty where it waits for nothing.
    pub(super) waits_for: String,
    /// Since when it waits; empty where it doesn't.
    pub(super) waits_since: String,
    /// When it was accepted.
    pub(super) start_time: String,
    /// When it ended; empty while it has not.
    pub(super) end_time: String,
    /// When it should end, by what such tasks took lately; empty where that is not known.
    pub(super) expected_end_time: String,
    /// Whether CancelTask would be taken.
    pub(super) can_cancel: bool,
    /// Whether RetryTask would be taken.
    pub(super) can_retry: bool,
    /// The code of a failure; else empty.
    pub(super) code: String,
    /// Why it failed, or where it is stuck; else empty.
    pub(super) message: String,
}

/// A step that was passed: done, taken back, or given up.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Passed {
    /// In which attempt.
    attempt: i64,
    /// The step.
    name: String,
    /// run where it was to be done, undo where it was to be taken back.
    phase: &'static str,
    /// When it became the next one.
    start_time: String,
    /// When it was passed.
    end_time: String,
    /// Tries that failed before.
    tries: u32,
    /// Empty where all went well, else what went wrong.
    message: String,
}

impl Passed {
    pub(super) fn of(row: PassedStep, zone: i32) -> Self {
        Passed {
            attempt: row.attempt,
            phase: phase(row.passed.phase),
            start_time: when::write(row.passed.started_at, zone),
            end_time: when::write(row.passed.ended_at, zone),
            tries: row.passed.tries,
            message: row.passed.message,
            name: row.passed.step,
        }
    }
}

/// The account's task of this id.
pub(super) fn find(reader: &mut dyn Reader, account: i64, parameter: &str, id: u64) -> Answer<(Task, TaskFlow)> {
    let found = match i64::try_from(id) {
        Ok(id) => ledger::task_and_flow(reader, TaskId(id))?,
        Err(_) => None,
    };
    found.filter(|(task, _)| task.account == account).ok_or_else(|| no_such_task(parameter, id))
}

/// The flow of this name; `None` where this binary does not have it.
pub(super) fn entry(name: &str) -> Option<&'static FlowEntry<FlowCx>> {
    FLOWS.iter().find(|entry| entry.name == name)
}

pub(super) fn is_open(task: &Task) -> bool {
    matches!(task.result, TaskResult::Waiting | TaskResult::Running)
}

/// Whether a task can be cancelled that is not being undone already.
pub(super) fn can_cancel(task: &Task, flow: &TaskFlow) -> bool {
    let is_under_way = is_open(task) && flow.cursor.phase == Phase::Run && !flow.is_cancelled;
    is_under_way && entry(&flow.flow).is_some_and(|entry| entry.can_cancel_at(&flow.cursor.step))
}

/// What the step that is next waits for, and since when.
pub(super) fn waits(task: &Task, flow: &TaskFlow) -> Option<(String, Millis)> {
    if !is_open(task) {
        return None;
    }
    let cursor = &flow.cursor;
    if let Some(since) = cursor.waits_since.filter(|_| !cursor.waits_for.is_empty()) {
        return Some((cursor.waits_for.clone(), since));
    }
    let is_run = task.result == TaskResult::Running && !flow.is_parked && cursor.phase == Phase::Run;
    let steps = entry(&flow.flow).filter(|_| is_run)?.steps();
    let step = steps.iter().find(|step| step.name == cursor.step && !step.waits_for.is_empty())?;
    Some((step.waits_for.to_owned(), cursor.since))
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Run => "run",
        Phase::Undo => "undo",
    }
}

/// How a task stands now.
pub(super) fn head(reader: &mut dyn Reader, zone: i32, task: &Task, flow: &TaskFlow) -> ledger::Result<Head> {
    let (waits_for, waits_since) = waits(task, flow).unzip();
    let write = |at: Option<Millis>| at.map_or_else(String::new, |at| when::write(at, zone));
    let can_retry = task.result == TaskResult::Failed;
    let can_retry = can_retry
        && match retry_task::check(reader, task, flow) {
            Ok(_) => true,
            Err(Fault::Api(_)) => false,
            Err(Fault::Ledger(error)) => return Err(error),
        };
    Ok(Head {
        task_id: task.id.0,
        instance_id: task.instance.to_string(),
        task_type: task.kind.clone(),
        flow: flow.flow.clone(),
        result: task.result.number(),
        attempt: flow.attempt,
        progress: task.progress,
        phase: phase(flow.cursor.phase),
        step: flow.cursor.step.clone(),
        waits_for: waits_for.unwrap_or_default(),
        waits_since: write(waits_since),
        start_time: when::write(task.started_at, zone),
        end_time: write(task.ended_at),
        expected_end_time: write(expected_end(reader, task, flow)?),
        can_cancel: can_cancel(task, flow),
        can_retry,
        code: task.code.clone(),
        message: task.message.clone(),
    })
}

/// How many of the latest tasks tell how long one takes.
const MOST_TASKS: usize = 20;

/// The beginning of this attempt, and the median of what tasks of the same type took: on instances of the same size, or of
/// any where there was none. Never before the window that it waits for; where two passwords work, when one stops. How long
/// undoing takes, they don't tell.
fn expected_end(reader: &mut dyn Reader, task: &Task, flow: &TaskFlow) -> ledger::Result<Option<Millis>> {
    if !is_open(task) || flow.cursor.phase == Phase::Undo {
        return Ok(None);
    }
    if let Some(rotation) = ledger::rotation(reader, &task.instance)?.filter(|rotation| rotation.task == task.id) {
        return Ok(Some(rotation.due_at));
    }
    let mut took = ledger::durations(reader, (&task.kind, &flow.flow), flow.size, MOST_TASKS)?;
    took.sort_unstable();
    let waiting = ledger::pending(reader, &task.instance)?.filter(|waiting| waiting.task == task.id);
    let due_at = waiting.map(|waiting| waiting.due_at);
    let Some(median) = took.get(took.len() / 2).and_then(|median| u64::try_from(*median).ok()) else {
        return Ok(due_at);
    };
    let end = began(reader, task, flow)? + Duration::from_millis(median);
    Ok(Some(due_at.map_or(end, |due_at| due_at.max(end))))
}

/// When the present attempt began.
fn began(reader: &mut dyn Reader, task: &Task, flow: &TaskFlow) -> ledger::Result<Millis> {
    if flow.attempt == 1 {
        return Ok(task.started_at);
    }
    let passed = ledger::passed_steps(reader, task.id)?;
    let first = passed.iter().find(|row| row.attempt == flow.attempt);
    Ok(first.map_or(flow.cursor.since, |row| row.passed.started_at))
}
