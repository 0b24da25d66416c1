//! Lists tasks: what was done, by whom, when, and how it ended. Filters are ANDed, the values of one are ORed.

use std::time::Duration;

use ledger::TaskFilter;
use model::{Millis, TaskResult, TaskType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};
use crate::when;

/// Which tasks.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Tasks of this instance.
    instance_id: Option<String>,
    /// Tasks of instances that had exactly this name when the task was accepted.
    instance_name: Option<String>,
    /// How many to show, 20 where it is left out. More than 100 is served as 100.
    limit: Option<i64>,
    /// How many to leave out at the beginning.
    offset: Option<i64>,
    /// Tasks of instances that were in one of these projects.
    project_ids: Option<Vec<i64>>,
    /// Tasks of these types, each as a code (037) or a name (FLOW_MODIFYINSTANCEACCOUNT).
    task_types: Option<Vec<String>>,
    /// Tasks accepted at this moment or later. Nothing older than 30 days is shown.
    begin_time: Option<String>,
    /// Tasks accepted at this moment or earlier.
    end_time: Option<String>,
    /// Accepted and without effect, as documented.
    #[expect(dead_code, reason = "declared as the API has it")]
    task_status: Option<Vec<i64>>,
    /// Tasks with one of these results: 0 waiting, 1 running, 2 done, 4 failed.
    result: Option<Vec<i64>>,
    /// Accepted and without effect, as documented; OperateUin filters by caller.
    #[expect(dead_code, reason = "declared as the API has it")]
    operator_uin: Option<Vec<i64>>,
    /// Tasks started by one of these callers.
    operate_uin: Option<Vec<String>>,
}

/// A page of tasks, newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: i64,
    /// This page.
    tasks: Vec<TaskInfoDetail>,
}

/// A task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskInfoDetail {
    /// Its id.
    task_id: i64,
    /// When it was accepted.
    start_time: String,
    /// The code of its type.
    task_type: String,
    /// What the instance was called then.
    instance_name: String,
    /// The instance; it may be gone.
    instance_id: String,
    /// The project of the instance then.
    project_id: i64,
    /// 0 to 1.
    progress: f64,
    /// When it ended; zeros while it has not.
    end_time: String,
    /// 0 waiting, 1 running, 2 done, 4 failed.
    result: i64,
}

pub(crate) struct DescribeTaskList;

/// How far back the API shows.
const SHOWN_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

impl Action for DescribeTaskList {
    const NAME: &'static str = "DescribeTaskList";
    const ACCESS: Access = Access::read(Resource::Task);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let limit = match request.limit.unwrap_or(20) {
            limit @ 1.. => limit.min(100),
            _ => return Err(bad_value("Limit", "it must be 1 or more", "须大于0")),
        };
        let offset = match request.offset.unwrap_or(0) {
            offset @ 0.. => offset,
            _ => return Err(bad_value("Offset", "it must be 0 or more", "不能小于0")),
        };
        let filter = read_filter(call, &request)?;
        let (total_count, tasks) = call.cx.ledger.list_tasks(&filter, limit, offset)?;
        let zone = call.cx.settings.utc_offset_seconds;
        let shown = tasks.into_iter().map(|task| TaskInfoDetail {
            task_id: task.id.0,
            start_time: when::write(task.started_at, zone),
            task_type: task.kind,
            instance_name: task.instance_name,
            instance_id: task.instance.into(),
            project_id: task.project,
            progress: task.progress,
            end_time: task.ended_at.map_or_else(|| when::NEVER.to_owned(), |at| when::write(at, zone)),
            result: task.result.number(),
        });
        Ok(Response { total_count, tasks: shown.collect() })
    }
}

fn read_filter(call: &Call, request: &Request) -> Answer<TaskFilter> {
    let begin = read_time(call, "BeginTime", request.begin_time.as_deref())?;
    let end = read_time(call, "EndTime", request.end_time.as_deref())?;
    if let (Some(begin), Some(end)) = (begin, end)
        && begin > end
    {
        return Err(bad_value("BeginTime", "it is after EndTime", "晚于 EndTime"));
    }
    let oldest = Millis::from_seconds(call.now.seconds()) - SHOWN_FOR;
    let mut kinds = Vec::new();
    for (index, text) in request.task_types.iter().flatten().enumerate() {
        let Some(kind) = TaskType::by_filter(text) else {
            let parameter = format!("TaskTypes.{index}");
            return Err(bad_value(&parameter, "there is no such type of task", "任务类型不存在"));
        };
        kinds.push(kind.code.to_owned());
        kinds.extend(kind.also.iter().map(|code| (*code).to_owned()));
    }
    let mut results = Vec::new();
    for (index, number) in request.result.iter().flatten().enumerate() {
        let Some(result) = TaskResult::parse(*number) else {
            let parameter = format!("Result.{index}");
            return Err(bad_value(&parameter, "a result is 0, 1, 2 or 4", "须为0、1、2或4"));
        };
        results.push(result);
    }
    // An empty text or list filters nothing, as if it were left out.
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(TaskFilter {
        account: call.caller.account,
        instance: text(&request.instance_id),
        instance_name: text(&request.instance_name),
        projects: request.project_ids.clone().unwrap_or_default(),
        kinds,
        results,
        callers: request.operate_uin.clone().unwrap_or_default(),
        from_second: Some(begin.map_or(oldest, |begin| begin.max(oldest)).seconds()),
        // The second of EndTime belongs to it whole.
        to_second: end.map(Millis::seconds),
    })
}

fn read_time(call: &Call, parameter: &str, text: Option<&str>) -> Answer<Option<Millis>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    match when::read(text, call.cx.settings.utc_offset_seconds) {
        Some(at) => Ok(Some(at)),
        None => Err(bad_value(parameter, "a time is written as 2026-11-24 08:00:00", "时间格式为 2026-11-24 08:00:00")),
    }
}
