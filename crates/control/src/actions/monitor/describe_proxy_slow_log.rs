//! Lists the commands that took long at the gateway: those that it tells of now, and those that were kept since.

use model::{InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, wrong_status};
use crate::sight::{ask, slow_of_gateway};
use crate::slow::{Query, show};

/// Of which instance, and when.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// Commands that came at this time or later: 2026-11-24 08:00:00. They are kept for 30 days.
    begin_time: String,
    /// Commands that came at this time or earlier, 30 days after BeginTime at the most.
    end_time: String,
    /// Commands that took so many milliseconds or longer.
    min_query_time: Option<i64>,
    /// How many to show, 20 where it is left out, 100 at the most.
    limit: Option<i64>,
    /// How many to leave out at the beginning.
    offset: Option<i64>,
}

/// The commands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: i64,
    /// This page of them, the newest first; empty where there are more than 10000.
    instance_proxy_slow_log_detail: Vec<InstanceProxySlowlogDetail>,
}

/// A command.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceProxySlowlogDetail {
    /// How long it took from the gateway to a node and back, in milliseconds.
    duration: i64,
    /// The client's address.
    client: String,
    /// The command.
    command: String,
    /// The command with its arguments, 32 of them and 128 bytes of each at the most.
    command_line: String,
    /// When it came.
    execute_time: String,
    /// Always 0: time is counted from when the command had come.
    recv_client_end: i64,
    /// After how many milliseconds its answer was on its way to the client.
    send_client_end: i64,
    /// The gateway.
    node: String,
}

pub(crate) struct DescribeProxySlowLog;

impl Action for DescribeProxySlowLog {
    const NAME: &'static str = "DescribeProxySlowLog";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (begin, end) = (&request.begin_time, &request.end_time);
        let query = Query::read(call, begin, end, request.min_query_time, request.limit, request.offset)?;
        let instance = call.instance(&request.instance_id)?;
        if ![InstanceStatus::Busy, InstanceStatus::Idle].contains(&instance.status) {
            let code = code::ResourceUnavailableInstanceStatusError;
            return Err(wrong_status(code, &instance.id, instance.status.number()));
        }
        let told = slow_of_gateway(&call.cx, &ask(&call.cx, &instance.id).await?)?;
        let (total_count, page) = call.read(|reader| {
            let kept = ledger::slow_commands(reader, &instance.id, true, query.from, query.before)?;
            query.page(kept.into_iter().chain(told), |_| true)
        })?;
        let detail = page.into_iter().map(|slow| {
            let slow = show(call, slow);
            InstanceProxySlowlogDetail {
                duration: slow.duration,
                client: slow.client,
                command: slow.command,
                command_line: slow.command_line,
                execute_time: slow.execute_time,
                recv_client_end: 0,
                send_client_end: slow.duration,
                node: slow.node,
            }
        });
        Ok(Response { total_count, instance_proxy_slow_log_detail: detail.collect() })
    }
}
