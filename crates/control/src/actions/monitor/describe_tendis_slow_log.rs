//! Lists the commands that took nodes of Tendis long: there are no such nodes, so there are none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;
use crate::slow::Query;

/// Of which instance, and when.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// From when on: 2026-11-24 08:00:00.
    begin_time: String,
    /// Until when.
    end_time: String,
    /// Commands that took so many milliseconds or longer.
    min_query_time: Option<i64>,
    /// How many to show, 20 where it is left out, 100 at the most.
    limit: Option<i64>,
    /// How many to leave out at the beginning.
    offset: Option<i64>,
}

/// No commands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Always 0.
    total_count: i64,
    /// Always empty.
    tendis_slow_log_detail: Vec<TendisSlowLogDetail>,
}

/// A command.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TendisSlowLogDetail {
    execute_time: String,
    duration: i64,
    command: String,
    command_line: String,
    node: String,
}

pub(crate) struct DescribeTendisSlowLog;

impl Action for DescribeTendisSlowLog {
    const NAME: &'static str = "DescribeTendisSlowLog";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (begin, end) = (&request.begin_time, &request.end_time);
        Query::read(call, begin, end, request.min_query_time, request.limit, request.offset)?;
        call.instance(&request.instance_id)?;
        Ok(Response { total_count: 0, tendis_slow_log_detail: Vec::new() })
    }
}
