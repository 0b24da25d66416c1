//! Tells which commands have taken an instance longest, all together.

use schemars::JsonSchema;
use serde::Serialize;

use super::{SpanRequest, top};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;
use crate::sight::{Span, seen};

/// The commands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The first 20, most first; none where nothing was asked.
    data: Vec<CommandTake>,
}

/// A command.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CommandTake {
    /// Its name, in lower case.
    cmd: String,
    /// How long all of them took until their answers were back at the gateway, in microseconds.
    took: i64,
}

pub(crate) struct DescribeInstanceMonitorTopNCmdTook;

impl Action for DescribeInstanceMonitorTopNCmdTook {
    const NAME: &'static str = "DescribeInstanceMonitorTopNCmdTook";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = SpanRequest;
    type Response = Response;

    async fn call(call: &Call, request: SpanRequest) -> Answer<Response> {
        let span = Span::read(request.span_type)?;
        let instance = call.instance(&request.instance_id)?;
        let seen = seen(call, &instance.id, span).await?;
        let all = top(&seen, |counts| counts.micros);
        Ok(Response { data: all.map(|(cmd, took)| CommandTake { cmd, took }).collect() })
    }
}
