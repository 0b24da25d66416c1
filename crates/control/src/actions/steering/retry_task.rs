//! Tries a failed task again: one that is stuck goes on from the step where it is, one that was undone begins anew.

use flow::Cursor;
use ledger::{Instance, Reader, Task, TaskFlow, has_later_task, promised_memory_mb, set_busy_if_idle};
use model::{ApiError, InstanceId, Millis, TaskResult, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, OPENCRS};
use crate::errors::{Answer, Fault, instance_locked};
use crate::placement::check_memory;

/// Which task.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The task: one that failed (Result 4), and after which nothing else has run on its instance.
    #[schemars(extend("x-lenient" = true))]
    task_id: u64,
}

/// It is accepted once more.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The same task.
    task_id: i64,
    /// The number of the attempt that begins.
    attempt: i64,
}

pub(crate) struct RetryTask;

impl Action for RetryTask {
    const NAME: &'static str = "RetryTask";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::write(Resource::Task);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, account, now) = (call.cx.clone(), call.caller.account, call.now);
        call.write(move |tx| {
            let (task, flow) = view::find(tx.reader(), account, "TaskId", request.task_id)?;
            let instance = check(tx.reader(), &task, &flow)?;
            let unknown = || unknown_flow(&task);
            let entry = view::entry(&flow.flow).ok_or_else(unknown)?;
            let first = entry.steps().first().ok_or_else(unknown)?.name;
            let (state, cursor, begin) = if flow.is_stuck {
                (&flow.state, stuck(&flow.cursor, now), None)
            } else {
                let begin =
                    entry.begin(&flow.first_state).map_err(|error| ledger::Error::Corrupt(error.to_string()))?;
                (&flow.first_state, Cursor::start(first, now), begin)
            };
            let attempt = ledger::reopen_task(tx, task.id, state, &cursor)?;
            let promised = promised_memory_mb(tx.reader())?;
            match begin {
                Some(begin) => match begin(tx) {
                    Err(error) if error.is_taken() => return Err(taken(&task, &error)),
                    begun => begun?,
                },
                None if flow.holds => {
                    set_busy_if_idle(tx, &instance.id)?;
                    flow.partner.iter().try_for_each(|partner| set_busy_if_idle(tx, partner))?;
                }
                None => {}
            }
            if promised_memory_mb(tx.reader())? > promised {
                // The host may have promised to others meanwhile what the task was promised then.
                check_memory(&cx, tx, 0)?;
            }
            Ok(Response { task_id: task.id.0, attempt: attempt.unwrap_or(flow.attempt + 1) })
        })
        .await
    }
}

/// Where a stuck task goes on, which way it was going.
fn stuck(cursor: &Cursor, now: Millis) -> Cursor {
    Cursor { since: now, tries: 0, waits_for: String::new(), waits_since: None, ..cursor.clone() }
}

/// Whether a task can be tried again; its instance, if so.
pub(super) fn check(reader: &mut dyn Reader, task: &Task, flow: &TaskFlow) -> Answer<Instance> {
    if task.result != TaskResult::Failed {
        return Err(not_failed(task));
    }
    let steps = view::entry(&flow.flow).map(|entry| entry.steps()).unwrap_or_default();
    if !steps.iter().any(|step| step.name == flow.cursor.step) {
        return Err(unknown_flow(task));
    }
    if !flow.is_stuck && flow.first_state.is_empty() {
        return Err(too_old(task));
    }
    let instance = check_instance(reader, task, flow, &task.instance)?;
    if let Some(partner) = &flow.partner {
        check_instance(reader, task, flow, partner)?;
    }
    Ok(instance)
}

/// Whether an instance that a task changes can be changed by it once more.
fn check_instance(reader: &mut dyn Reader, task: &Task, flow: &TaskFlow, id: &InstanceId) -> Answer<Instance> {
    let found = ledger::instance(reader, id)?.filter(|instance| instance.account == task.account);
    let instance = found.ok_or_else(|| instance_gone(task, id))?;
    if flow.holds && ledger::holder(reader, &instance.id)?.is_some() {
        return Err(instance_locked(&instance.id));
    }
    if has_later_task(reader, task.account, &instance.id, task.id)? {
        return Err(overtaken(task));
    }
    Ok(instance)
}

fn refusal(code: model::Code, task: &Task, en: &str, zh: &str) -> Fault {
    ApiError::new(code, format!("The task {} {en}.", task.id), format!("任务 {} {zh}。", task.id)).into()
}

fn not_failed(task: &Task) -> Fault {
    let (en, zh) = match task.result {
        TaskResult::Done => ("is done: there is nothing to try again", "已完成，无需重试"),
        _ => ("has not ended yet: wait, or cancel it first (CancelTask)", "尚未结束，请等待或先取消（CancelTask）"),
    };
    refusal(code::UnsupportedOperation, task, en, zh)
}

fn unknown_flow(task: &Task) -> Fault {
    let en = "runs a flow that this version of the service does not have: start the newer one";
    refusal(code::UnsupportedOperation, task, en, "的流程在当前版本中不存在，请使用更新的版本")
}

fn too_old(task: &Task) -> Fault {
    let en = "was accepted before tasks could be tried again: ask for the change anew";
    refusal(code::UnsupportedOperation, task, en, "由旧版本创建，不支持重试，请重新发起变更")
}

/// What the task was promised then was promised to others when it had been undone.
fn taken(task: &Task, error: &ledger::Error) -> Fault {
    let en = format!("can't be tried again: {error} meanwhile. Ask for the change anew");
    refusal(code::UnsupportedOperation, task, &en, "所需的资源已被占用，无法重试，请重新发起变更")
}

fn instance_gone(task: &Task, id: &InstanceId) -> Fault {
    let en = format!("can't be tried again: its instance `{id}` is gone. Order a new one");
    let zh = format!("的实例 `{id}` 已不存在，无法重试，请重新购买");
    refusal(code::ResourceUnavailableInstanceDeleted, task, &en, &zh)
}

fn overtaken(task: &Task) -> Fault {
    let en = "can't be tried again: another task has run on its instance since. Ask for the change anew";
    refusal(code::UnsupportedOperation, task, en, "之后实例已执行过其他任务，无法重试，请重新发起变更")
}
