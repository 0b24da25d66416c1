//! Tells all tasks of a time, also those that the ledger does not have any more: a line each, the oldest first.

use std::collections::VecDeque;

use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Api, Call, Event, Events, OPENCRS, StreamAction};
use crate::archive::TaskRecord;
use crate::errors::{Answer, bad_value};
use crate::export::Export;
use crate::when;

/// Of which time.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Tasks accepted at this moment or later; from the first one on where it is left out.
    begin_time: Option<String>,
    /// Tasks accepted at this moment or earlier; up to the last one where it is left out.
    end_time: Option<String>,
}

/// The data of the last event, `end`, without which some tasks are missing.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct End {
    /// How many tasks there were.
    total_count: u64,
}

/// The data of the event `failed`: there are more tasks, and none of them comes.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    /// Why.
    message: String,
}

pub(crate) struct ExportTasks;

impl StreamAction for ExportTasks {
    const NAME: &'static str = "ExportTasks";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::read(Resource::Task);
    type Request = Request;
    type Event = TaskRecord;

    async fn open(call: &Call, request: Request) -> Answer<Events> {
        let from = read_time(call, "BeginTime", request.begin_time.as_deref())?.unwrap_or(0);
        let to = read_time(call, "EndTime", request.end_time.as_deref())?.unwrap_or(LAST_SECOND);
        if from > to {
            return Err(bad_value("BeginTime", "it is after EndTime", "晚于 EndTime"));
        }
        let cx = &call.cx;
        let export = Export::new(cx.ledger.clone(), cx.archive.clone(), call.caller.account, from, to);
        let telling = Telling { export: Some(export), count: 0, events: VecDeque::new() };
        Ok(futures_util::stream::unfold(telling, Telling::next).boxed())
    }
}

/// 9999-12-31.
const LAST_SECOND: i64 = 253_402_214_400;

fn read_time(call: &Call, parameter: &str, text: Option<&str>) -> Answer<Option<i64>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    match when::read(text, call.cx.settings.utc_offset_seconds) {
        Some(at) => Ok(Some(at.seconds())),
        None => Err(bad_value(parameter, "a time is written as 2026-11-24 08:00:00", "时间格式为 2026-11-24 08:00:00")),
    }
}

/// What is still to be told. A page is read only when the one before is sent.
struct Telling {
    /// `None` once it is over.
    export: Option<Export>,
    count: u64,
    events: VecDeque<Event>,
}

impl Telling {
    async fn next(mut self) -> Option<(Event, Self)> {
        if self.events.is_empty() {
            let mut export = self.export.take()?;
            let read = tokio::task::spawn_blocking(move || (export.next().map_err(|error| error.to_string()), export));
            let (read, export) = match read.await {
                Ok((read, export)) => (read, Some(export)),
                Err(error) => (Err(error.to_string()), None),
            };
            match read {
                Ok(Some(lines)) => {
                    self.export = export;
                    self.count += lines.len() as u64;
                    self.events.extend(lines.into_iter().map(|data| Event { name: "task", data }));
                }
                Ok(None) => self.events.push_back(event("end", &End { total_count: self.count })?),
                Err(message) => {
                    tracing::warn!(error = message, "an export of tasks can't go on");
                    self.events.push_back(event("failed", &Failed { message })?);
                }
            }
        }
        self.events.pop_front().map(|event| (event, self))
    }
}

fn event(name: &'static str, data: &impl Serialize) -> Option<Event> {
    Event::new(name, data).ok()
}
