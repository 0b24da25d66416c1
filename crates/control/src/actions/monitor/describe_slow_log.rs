//! Lists the commands that took nodes long: those that their logs have now, and those that were kept since. Each node is
//! asked, for two seconds at the most; one that gives no answer is left out.

use model::{InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value, wrong_status};
use crate::slow::{Query, show, slow_of_nodes};

/// Of which instance, and when.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// Commands that were done at this time or later: 2026-11-24 08:00:00. They are kept for 30 days.
    begin_time: String,
    /// Commands that were done at this time or earlier, 30 days after BeginTime at the most.
    end_time: String,
    /// Commands that took so many milliseconds or longer. What is logged at all is said by the parameter
    /// slowlog-log-slower-than.
    min_query_time: Option<i64>,
    /// How many to show, 20 where it is left out, 100 at the most.
    limit: Option<i64>,
    /// How many to leave out at the beginning.
    offset: Option<i64>,
    /// master: what was done by a primary; slave or replica: by a replica. Where it is left out, both.
    role: Option<String>,
}

/// The commands.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: i64,
    /// The same as InstanceSlowLogDetail.
    #[serde(rename = "InstanceSlowlogDetail")]
    former_detail: Vec<InstanceSlowlogDetail>,
    /// This page of them, the newest first; empty where there are more than 10000.
    instance_slow_log_detail: Vec<InstanceSlowlogDetail>,
}

/// A command.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceSlowlogDetail {
    /// How long the node worked on it, in milliseconds.
    duration: i64,
    /// Who had sent it to the node: the gateway, for a client, or a primary.
    client: String,
    /// The command.
    command: String,
    /// The command with its arguments, 32 of them and 128 bytes of each at the most.
    command_line: String,
    /// When it was done.
    execute_time: String,
    /// The node.
    node: String,
}

pub(crate) struct DescribeSlowLog;

impl Action for DescribeSlowLog {
    const NAME: &'static str = "DescribeSlowLog";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (begin, end) = (&request.begin_time, &request.end_time);
        let query = Query::read(call, begin, end, request.min_query_time, request.limit, request.offset)?;
        let of_primaries = match request.role.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
            "" => None,
            "master" => Some(true),
            "slave" | "replica" => Some(false),
            _ => return Err(bad_value("Role", "it is master or slave", "须为 master 或 slave")),
        };
        let instance = call.instance(&request.instance_id)?;
        if ![InstanceStatus::Busy, InstanceStatus::Idle].contains(&instance.status) {
            let code = code::ResourceUnavailableInstanceStatusError;
            return Err(wrong_status(code, &instance.id, instance.status.number()));
        }
        let told = slow_of_nodes(&call.cx, &instance.id).await?;
        let (total_count, page) = call.read(|reader| {
            let kept = ledger::slow_commands(reader, &instance.id, false, query.from, query.before)?;
            // What was kept says what the node was then.
            let all = told.into_iter().chain(kept);
            query.page(all, |body| of_primaries.is_none_or(|primary| primary == body.primary))
        })?;
        let detail = page.into_iter().map(|slow| {
            let slow = show(call, slow);
            InstanceSlowlogDetail {
                duration: slow.duration,
                client: slow.client,
                command: slow.command,
                command_line: slow.command_line,
                execute_time: slow.execute_time,
                node: slow.node,
            }
        });
        let detail: Vec<_> = detail.collect();
        Ok(Response { total_count, former_detail: detail.clone(), instance_slow_log_detail: detail })
    }
}
