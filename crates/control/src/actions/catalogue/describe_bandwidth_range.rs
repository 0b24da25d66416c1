//! Tells the bandwidth of an instance, and how much more it can be given: there is no limit, so none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Of which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// Its bandwidth in MB/s, a shard.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// What it has; always 0, unlimited.
    base_bandwidth: i64,
    /// What it was given more; always 0, since there is no more than unlimited.
    add_bandwidth: i64,
    /// The least that it can be given more; always 0.
    min_add_bandwidth: i64,
    /// The most that it can be given more; always 0.
    max_add_bandwidth: i64,
}

pub(crate) struct DescribeBandwidthRange;

impl Action for DescribeBandwidthRange {
    const NAME: &'static str = "DescribeBandwidthRange";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        call.instance(&request.instance_id)?;
        Ok(Response { base_bandwidth: 0, add_bandwidth: 0, min_add_bandwidth: 0, max_add_bandwidth: 0 })
    }
}
