//! Tells which commands an instance was asked most often.

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
    data: Vec<SourceCommand>,
}

/// A command.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SourceCommand {
    /// Its name, in lower case.
    cmd: String,
    /// How many were answered.
    count: i64,
}

pub(crate) struct DescribeInstanceMonitorTopNCmd;

impl Action for DescribeInstanceMonitorTopNCmd {
    const NAME: &'static str = "DescribeInstanceMonitorTopNCmd";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = SpanRequest;
    type Response = Response;

    async fn call(call: &Call, request: SpanRequest) -> Answer<Response> {
        let span = Span::read(request.span_type)?;
        let instance = call.instance(&request.instance_id)?;
        let seen = seen(call, &instance.id, span).await?;
        let all = top(&seen, |counts| counts.count);
        Ok(Response { data: all.map(|(cmd, count)| SourceCommand { cmd, count }).collect() })
    }
}
