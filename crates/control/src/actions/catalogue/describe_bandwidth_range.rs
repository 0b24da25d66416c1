//! Tells the bandwidth of an instance, and what it can be given: without a limit of its own it has what the host has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::actions::network::modify_connection_config::{BANDWIDTH, MBIT};
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
    /// What it has by its size; always 0: nothing.
    base_bandwidth: i64,
    /// What it was given (ModifyConnectionConfig); 0 is no limit.
    add_bandwidth: i64,
    /// The least that it can be given; 0 is no limit.
    min_add_bandwidth: i64,
    /// The most that it can be given.
    max_add_bandwidth: i64,
}

pub(crate) struct DescribeBandwidthRange;

impl Action for DescribeBandwidthRange {
    const NAME: &'static str = "DescribeBandwidthRange";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let instance = call.instance(&request.instance_id)?;
        let (least, most) = BANDWIDTH.into_inner();
        Ok(Response {
            base_bandwidth: 0,
            add_bandwidth: instance.bandwidth_mbit.unwrap_or(0) / MBIT,
            min_add_bandwidth: least,
            max_add_bandwidth: most,
        })
    }
}
