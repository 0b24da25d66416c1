//! Tells how long the commands took that an instance was asked.

use model::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DelayDistribution;
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};
use crate::sight::{HOUR, Span, seen, seen_before};
use crate::when;

/// Of which instance, and when.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The day at whose end the span ends, or that is not over: 2026-11-24 or 20261124. Days are known for 30 days; of those
    /// before the last 24 hours only whole hours.
    date: String,
    /// 1: now, which is the last minute or two; 2: the last 30 minutes; 3: the last 6 hours; 4: the last 24 hours.
    span_type: i64,
}

/// How long they took.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// All steps, also those without commands.
    data: Vec<DelayDistribution>,
}

pub(crate) struct DescribeInstanceMonitorTookDist;

/// In milliseconds.
const STEPS: [u32; 5] = [1, 5, 10, 50, 200];

impl Action for DescribeInstanceMonitorTookDist {
    const NAME: &'static str = "DescribeInstanceMonitorTookDist";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let span = Span::read(request.span_type)?;
        let day = read_day(call, &request.date)?;
        let instance = call.instance(&request.instance_id)?;
        let day_ends = day + 24 * HOUR;
        let (seen, end) = if day_ends > call.now {
            (seen(call, &instance.id, span).await?, call.now)
        } else {
            (seen_before(call, &instance.id, span, day_ends)?, day_ends)
        };
        let ends = STEPS.iter().map(|step| i64::from(*step)).chain([-1]);
        let show = |(ladder, count)| DelayDistribution {
            ladder,
            size: i64::try_from(count).unwrap_or(i64::MAX),
            updatetime: end.seconds(),
        };
        Ok(Response { data: ends.zip(seen.ladder(&STEPS)).map(show).collect() })
    }
}

fn read_day(call: &Call, text: &str) -> Answer<Millis> {
    let is_short = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    let long = if is_short { format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]) } else { text.to_owned() };
    let day = when::read_day(&long, call.cx.settings.utc_offset_seconds).filter(|day| *day <= call.now);
    day.ok_or_else(|| {
        bad_value(
            "Date",
            "it is a day up to today, as 2026-11-24 or 20261124",
            "须为不晚于今天的日期，如 2026-11-24 或 20261124",
        )
    })
}
