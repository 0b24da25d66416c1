//! Lists what happened to instances and what is planned for them. Filters are ANDed, the values of one are ORed.

use std::time::Duration;

use ledger::{Event, Select, list_events};
use model::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};
use crate::when;

/// Which events.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Events that happen on this day or later, as 2026-11-24.
    execution_start_date: String,
    /// Events that happen on this day or earlier.
    execution_end_date: String,
    /// Events of this instance; it may be gone.
    instance_id: Option<String>,
    /// How many on a page, 1 to 100; 10 where it is left out.
    page_size: Option<i64>,
    /// Which page; the first is 1.
    page_no: Option<i64>,
    /// Events that are Waiting, Running, Finished or Canceled.
    status: Option<Vec<String>>,
    /// Events of these types.
    event_types: Option<Vec<String>>,
    /// Events that are Critical, High, Middle or Low.
    grades: Option<Vec<String>>,
}

/// A page of events, newest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: i64,
    /// This page.
    redis_instance_events: Vec<RedisInstanceEvent>,
}

/// An event.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RedisInstanceEvent {
    /// Its id.
    #[serde(rename = "ID")]
    id: i64,
    /// The instance; it may be gone.
    instance_id: String,
    /// What the instance was called then.
    instance_name: String,
    /// What it is.
    r#type: String,
    /// How bad: Critical, High, Middle or Low.
    grade: String,
    /// The day on which it happens.
    execution_date: String,
    /// The time of that day from which on it may begin, as 03:00.
    start_time: String,
    /// The end of that time, as 04:00; on the next day where it is earlier than StartTime.
    end_time: String,
    /// The last day to which it can be put off.
    latest_execution_date: String,
    /// Waiting, Running, Finished or Canceled.
    status: String,
    /// When it was over; zeros before.
    task_end_time: String,
    /// What users notice.
    effect_info: String,
    /// The day on which it was first to happen.
    initial_execution_date: String,
}

pub(crate) struct DescribeInstanceEvents;

const STATUSES: [&str; 4] = ["Waiting", "Running", "Finished", "Canceled"];
const GRADES: [&str; 4] = ["Critical", "High", "Middle", "Low"];

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Action for DescribeInstanceEvents {
    const NAME: &'static str = "DescribeInstanceEvents";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let limit = match request.page_size.unwrap_or(10) {
            size @ 1..=100 => size,
            _ => return Err(bad_value("PageSize", "it must be 1 to 100", "须为1至100")),
        };
        let offset = match request.page_no.unwrap_or(1) {
            page @ 1.. => (page - 1).saturating_mul(limit),
            _ => return Err(bad_value("PageNo", "it must be 1 or more", "须大于0")),
        };
        let filter = read_filter(call, &request)?;
        let (total_count, events) = call.read(|reader| list_events(reader, &filter, limit, offset))?;
        Ok(Response { total_count, redis_instance_events: events.into_iter().map(|event| show(call, event)).collect() })
    }
}

fn show(call: &Call, event: Event) -> RedisInstanceEvent {
    let zone = call.cx.settings.utc_offset_seconds;
    let day = |at: Millis| when::write_day(at, zone);
    RedisInstanceEvent {
        id: event.id,
        instance_id: event.instance.into(),
        instance_name: event.instance_name,
        r#type: event.kind,
        grade: event.grade,
        execution_date: day(event.start_at),
        start_time: when::write_clock(event.start_at, zone),
        end_time: when::write_clock(event.end_at, zone),
        latest_execution_date: day(event.latest_at),
        status: event.status,
        task_end_time: event.ended_at.map_or_else(|| when::NEVER.to_owned(), |at| when::write(at, zone)),
        effect_info: event.effect,
        initial_execution_date: day(event.initial_at),
    }
}

fn read_filter(call: &Call, request: &Request) -> Answer<Select> {
    let zone = call.cx.settings.utc_offset_seconds;
    let from = read_day("ExecutionStartDate", &request.execution_start_date, zone)?;
    let until = read_day("ExecutionEndDate", &request.execution_end_date, zone)?;
    if from > until {
        return Err(bad_value("ExecutionStartDate", "it is after ExecutionEndDate", "晚于 ExecutionEndDate"));
    }
    let mut filter = Select::new();
    filter.and("account = $", call.caller.account);
    filter.and("start_at >= $", from);
    // The last day belongs to it whole.
    filter.and("start_at < $", until + DAY);
    if let Some(id) = request.instance_id.as_deref().filter(|id| !id.is_empty()) {
        filter.and("instance = $", id);
    }
    if let Some(statuses) = one_of("Status", request.status.as_deref(), &STATUSES)? {
        filter.and_in("status", statuses.iter().map(String::as_str));
    }
    if let Some(grades) = one_of("Grades", request.grades.as_deref(), &GRADES)? {
        filter.and_in("grade", grades.iter().map(String::as_str));
    }
    if let Some(types) = request.event_types.as_deref().filter(|types| !types.is_empty()) {
        filter.and_in("type", types.iter().map(String::as_str));
    }
    Ok(filter)
}

/// The values of a filter, each a known one. An empty list filters nothing, as if it were left out.
fn one_of<'a>(parameter: &str, values: Option<&'a [String]>, known: &[&str]) -> Answer<Option<&'a [String]>> {
    let values = values.filter(|values| !values.is_empty());
    let unknown = values.and_then(|values| values.iter().position(|value| !known.contains(&value.as_str())));
    match unknown {
        None => Ok(values),
        Some(index) => {
            let list = known.join(", ");
            let parameter = format!("{parameter}.{index}");
            Err(bad_value(&parameter, &format!("it is one of {list}"), &format!("可选值：{list}")))
        }
    }
}

pub(super) fn read_day(parameter: &str, text: &str, zone: i32) -> Answer<Millis> {
    let day = when::read_day(text, zone);
    day.ok_or_else(|| bad_value(parameter, "a day is written as 2026-11-24", "日期格式为 2026-11-24"))
}
