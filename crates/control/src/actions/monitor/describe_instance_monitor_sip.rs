//! Tells where the connections to an instance come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;
use crate::sight;

/// Of which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// The sources.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Those with most connections first.
    data: Vec<SourceInfo>,
}

/// A source.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SourceInfo {
    /// Its address.
    ip: String,
    /// How many connections it has open.
    conn: i64,
    /// Always 0: commands are not counted by where they come from.
    cmd: i64,
}

pub(crate) struct DescribeInstanceMonitorSIP;

impl Action for DescribeInstanceMonitorSIP {
    const NAME: &'static str = "DescribeInstanceMonitorSIP";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let instance = call.instance(&request.instance_id)?;
        let sight = sight::ask(&call.cx, &instance.id).await?;
        let mut sources: Vec<_> = sight.sources.into_iter().collect();
        sources.sort_by_key(|(source, open)| (std::cmp::Reverse(*open), *source));
        let show = |(source, open): (std::net::IpAddr, u64)| SourceInfo {
            ip: source.to_string(),
            conn: i64::try_from(open).unwrap_or(i64::MAX),
            cmd: 0,
        };
        Ok(Response { data: sources.into_iter().map(show).collect() })
    }
}
