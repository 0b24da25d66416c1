//! Tells how one task gets on.

use model::{TaskId, TaskResult, TaskType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, Language};
use crate::errors::{Answer, no_such_task};
use crate::when;

/// Which task.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The task. Some clients send it as a string.
    #[schemars(extend("x-lenient" = true))]
    task_id: u64,
}

/// How it gets on.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// preparing, running, succeed or failed.
    status: &'static str,
    /// When it was accepted.
    start_time: String,
    /// What it does, in words.
    task_type: String,
    /// What it changes.
    instance_id: String,
    /// Why it failed; else empty.
    task_message: String,
}

pub(crate) struct DescribeTaskInfo;

impl Action for DescribeTaskInfo {
    const NAME: &'static str = "DescribeTaskInfo";
    const ACCESS: Access = Access::read(Resource::Task);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let found = match i64::try_from(request.task_id) {
            Ok(id) => call.read(|reader| ledger::task(reader, TaskId(id)))?,
            Err(_) => None,
        };
        let Some(task) = found.filter(|task| task.account == call.caller.account) else {
            return Err(no_such_task("TaskId", request.task_id));
        };
        Ok(Response {
            status: match task.result {
                TaskResult::Waiting => "preparing",
                TaskResult::Running => "running",
                TaskResult::Done => "succeed",
                TaskResult::Failed => "failed",
            },
            start_time: when::write(task.started_at, call.cx.settings.utc_offset_seconds),
            task_type: TaskType::by_code(&task.kind).map_or(task.kind, |kind| {
                let (en, zh) = kind.title;
                let title = if call.language == Language::Zh { zh } else { en };
                title.to_owned()
            }),
            instance_id: task.instance.to_string(),
            task_message: task.message,
        })
    }
}
