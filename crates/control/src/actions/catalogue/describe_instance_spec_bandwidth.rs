//! Tells what bandwidth and how many connections a size of an instance has.

use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::actions::lifecycle::create_request::{check_shards, read_memory, read_replicas, read_type};
use crate::errors::{Answer, bad_value, missing, not_built};
use crate::spec::MAX_CLIENTS;

/// An instance or a size.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance. Without it, Type and ShardSize are needed; with it, they are what it would be turned into.
    instance_id: Option<String>,
    /// Memory of a shard in MB, a multiple of 1024. 0 is as if it were left out.
    shard_size: Option<i64>,
    /// Shards: 1 for the standard architecture. 0 is as if it were left out.
    shard_num: Option<i64>,
    /// Replicas, 0 to 5.
    replicate_num: Option<i64>,
    /// 0 replicas serve no reads.
    read_only_weight: Option<i64>,
    /// Engine, version and architecture, as in TypeId of CreateInstances. 0 is as if it were left out.
    r#type: Option<i64>,
}

/// What it has. The same for every size, for now.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Bandwidth of a shard; always 0, unlimited, as NetLimit in DescribeInstances.
    bandwidth: i64,
    /// Connections at the most.
    client_limit: i64,
}

pub(crate) struct DescribeInstanceSpecBandwidth;

impl Action for DescribeInstanceSpecBandwidth {
    const NAME: &'static str = "DescribeInstanceSpecBandwidth";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let given = |number: Option<i64>| number.filter(|number| *number != 0);
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(u64::MAX);
        let (type_id, memory) = (given(request.r#type), given(request.shard_size));
        match request.instance_id.as_deref() {
            None | Some("") if type_id.is_none() && memory.is_none() => return Err(missing("InstanceId")),
            None | Some("") if type_id.is_none() => return Err(missing("Type")),
            None | Some("") if memory.is_none() => return Err(missing("ShardSize")),
            None | Some("") => {}
            Some(id) => drop(call.instance(id)?),
        }
        if let Some(number) = type_id {
            read_type(&call.cx, "Type", unsigned(number))?;
        }
        if let Some(mb) = memory {
            read_memory("ShardSize", unsigned(mb), code::InvalidParameterValueSpecNotExist)?;
        }
        check_shards("ShardNum", given(request.shard_num))?;
        read_replicas("ReplicateNum", request.replicate_num.unwrap_or(0))?;
        match request.read_only_weight.unwrap_or(0) {
            0 => Ok(Response { bandwidth: 0, client_limit: i64::from(MAX_CLIENTS) }),
            100 => Err(not_built("ReadOnlyWeight")),
            _ => Err(bad_value("ReadOnlyWeight", "it must be 0 or 100", "须为0或100")),
        }
    }
}
