//! Puts a planned event off or forward, or cancels it, and with it the change that waits for it.

use std::time::Duration;

use ledger::{Event, Pending, Tx};
use model::{ApiError, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::describe_instance_events::read_day;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, find};
use crate::errors::{Answer, Fault, bad_value, missing};
use crate::when;

/// What to change of which event.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The event; it must be Waiting. DescribeInstanceEvents lists them.
    event_id: i64,
    /// When it may begin, as 03:00 or 03:00:00; the same time of day as before where it is left out.
    start_time: Option<String>,
    /// The end of that time, 30 minutes to 3 hours later; as much later as before where it is left out. It may be on the
    /// next day.
    end_time: Option<String>,
    /// The day, as 2026-11-24; the same as before where it is left out.
    execution_date: Option<String>,
    /// Canceled: the event and its change are given up. Not for Critical and High ones.
    status: Option<String>,
}

/// What was changed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The event.
    event_id: i64,
}

pub(crate) struct ModifyInstanceEvent;

/// A new time, as far as it was given.
struct Time {
    /// The moment at which its day begins.
    day: Option<Millis>,
    /// Seconds of the day.
    start: Option<i64>,
    /// Seconds of the day.
    end: Option<i64>,
}

enum Change {
    Cancel,
    Move(Time),
}

const DAY: i64 = 24 * 3600;
const CANCELED: &str = "Canceled";

impl Action for ModifyInstanceEvent {
    const NAME: &'static str = "ModifyInstanceEvent";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let zone = call.cx.settings.utc_offset_seconds;
        let change = read(&request, zone)?;
        let (account, now) = (call.caller.account, call.now);
        call.write(move |tx| {
            let (event, waiting) = changeable_event(tx, account, &request)?;
            match &change {
                Change::Cancel => cancel(tx, &event, &waiting, now)?,
                Change::Move(time) => {
                    let (start_at, end_at) = place(time, &event, zone, now)?;
                    ledger::move_event(tx, event.id, start_at, end_at)?;
                    ledger::set_due(tx, &event.instance, start_at)?;
                    ledger::wake_task(tx, waiting.task)?;
                }
            }
            Ok(Response { event_id: event.id })
        })
        .await
    }
}

fn read(request: &Request, zone: i32) -> Answer<Change> {
    let given = |text: &'_ Option<String>| text.clone().filter(|text| !text.is_empty());
    let clock = |parameter: &str, text: Option<String>| {
        let read = |text: String| {
            let (en, zh) = ("a time is written as 03:00 or 03:00:00", "时间格式为 03:00 或 03:00:00");
            when::read_clock(&text).ok_or_else(|| bad_value(parameter, en, zh))
        };
        text.map(read).transpose()
    };
    let time = Time {
        day: given(&request.execution_date).map(|text| read_day("ExecutionDate", &text, zone)).transpose()?,
        start: clock("StartTime", given(&request.start_time))?,
        end: clock("EndTime", given(&request.end_time))?,
    };
    let has_time = time.day.is_some() || time.start.is_some() || time.end.is_some();
    match given(&request.status).as_deref() {
        None if has_time => Ok(Change::Move(time)),
        None => Err(missing("ExecutionDate")),
        Some(CANCELED) if !has_time => Ok(Change::Cancel),
        Some(CANCELED) => {
            let (en, zh) = ("an event is either canceled or given another time", "取消与改期不能同时进行");
            Err(bad_value("Status", en, zh))
        }
        Some(_) => Err(bad_value("Status", "it is Canceled, or left out", "只能为 Canceled 或不填")),
    }
}

/// The event, which waits, and the change that waits for it.
fn changeable_event(tx: &mut dyn Tx, account: i64, request: &Request) -> Answer<(Event, Pending)> {
    let instance = find(tx.reader(), account, &request.instance_id)?;
    let event = ledger::event(tx.reader(), account, request.event_id)?.filter(|event| event.instance == instance.id);
    let Some(event) = event else {
        let (en, zh) = (
            "the instance has no such event; DescribeInstanceEvents lists those it has",
            "该实例没有此事件，可通过 DescribeInstanceEvents 查询",
        );
        return Err(bad_value("EventId", en, zh));
    };
    let waiting = ledger::pending(tx.reader(), &instance.id)?.filter(|waiting| waiting.event == event.id);
    match waiting {
        Some(waiting) if event.status == "Waiting" => Ok((event, waiting)),
        _ => {
            let (en, zh) = ("only what waits for its time can be changed", "仅可修改等待执行的事件");
            Err(not_for(&event, en, zh))
        }
    }
}

fn cancel(tx: &mut dyn Tx, event: &Event, waiting: &Pending, now: Millis) -> Answer<()> {
    if matches!(event.grade.as_str(), "Critical" | "High") {
        let (en, zh) = ("it can be given another time, but not canceled", "该级别的事件不支持取消，可修改执行时间");
        return Err(not_for(event, en, zh));
    }
    ledger::set_event(tx, event.id, CANCELED, Some(now))?;
    Ok(ledger::cancel_task(tx, waiting.task)?)
}

/// From when until when an event is to happen: what was not given stays as it is.
fn place(time: &Time, event: &Event, zone: i32, now: Millis) -> Answer<(Millis, Millis)> {
    let midnight = when::midnight(event.start_at, zone);
    let start = time.start.unwrap_or(event.start_at.seconds() - midnight.seconds());
    let lasts = match time.end.map(|end| (end - start).rem_euclid(DAY)) {
        Some(lasts @ 1800..=10_800) => lasts,
        Some(_) => {
            let (en, zh) = ("it must be 30 minutes to 3 hours after StartTime", "须晚于 StartTime 30分钟至3小时");
            return Err(bad_value("EndTime", en, zh));
        }
        None => event.end_at.seconds() - event.start_at.seconds(),
    };
    let seconds = |count: i64| Duration::from_secs(u64::try_from(count).unwrap_or(0));
    let start_at = time.day.unwrap_or(midnight) + seconds(start);
    if start_at < now {
        return Err(bad_value("StartTime", "it is in the past", "早于当前时间"));
    }
    if when::midnight(start_at, zone) > when::midnight(event.latest_at, zone) {
        let latest = when::write_date(event.latest_at, zone);
        let (en, zh) = (format!("the event can be put off to {latest} at the most"), format!("最晚可推迟至 {latest}"));
        return Err(bad_value("ExecutionDate", &en, &zh));
    }
    Ok((start_at, start_at + seconds(lasts)))
}

/// This can't be done to the event.
fn not_for(event: &Event, en: &str, zh: &str) -> Fault {
    let Event { id, status, grade, .. } = event;
    ApiError::new(
        code::UnsupportedOperationInstanceNotOperation,
        format!("The event {id} can't be changed so, as it is {status} and {grade}: {en}."),
        format!("事件 {id}（状态 {status}，级别 {grade}）不支持该操作：{zh}。"),
    )
    .into()
}
