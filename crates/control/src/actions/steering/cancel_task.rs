//! Cancels a task: what it did is taken back, and it ends as failed, with a message that says it was cancelled.

use flow::Phase;
use model::{ApiError, TaskResult, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, OPENCRS};
use crate::errors::{Answer, Fault};

/// Which task.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The task. One that is being undone already stays so.
    #[schemars(extend("x-lenient" = true))]
    task_id: u64,
}

/// It will be undone.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task.
    task_id: i64,
}

pub(crate) struct CancelTask;

impl Action for CancelTask {
    const NAME: &'static str = "CancelTask";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::write(Resource::Task);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let account = call.caller.account;
        call.write(move |tx| {
            let (task, flow) = view::find(tx.reader(), account, "TaskId", request.task_id)?;
            let response = Response { task_id: task.id.0 };
            if !view::is_open(&task) {
                return Err(ended(&response, task.result));
            }
            if flow.is_cancelled || flow.cursor.phase == Phase::Undo {
                return Ok(response);
            }
            // The worker's next record is refused from this transaction on, so nothing passes the pivot meanwhile.
            if !view::can_cancel(&task, &flow) {
                return Err(too_late(&response, &flow.cursor.step));
            }
            ledger::cancel_task(tx, task.id)?;
            Ok(response)
        })
        .await
    }
}

fn ended(Response { task_id }: &Response, result: TaskResult) -> Fault {
    let (en, zh) = if result == TaskResult::Done { ("is done", "已完成") } else { ("has failed", "已失败") };
    ApiError::new(
        code::UnsupportedOperation,
        format!("The task {task_id} {en} already: there is nothing left to cancel."),
        format!("任务 {task_id} {zh}，无法取消。"),
    )
    .into()
}

fn too_late(Response { task_id }: &Response, step: &str) -> Fault {
    ApiError::new(
        code::UnsupportedOperation,
        format!(
            "The task {task_id} is at its step `{step}`, past the point from which it could be taken back: it goes on to \
             its end. DescribeTaskSteps shows which steps can be undone."
        ),
        format!("任务 {task_id} 已进行到步骤 `{step}`，已过可回退点，将继续执行至结束。可通过 DescribeTaskSteps 查看各步骤。"),
    )
    .into()
}
