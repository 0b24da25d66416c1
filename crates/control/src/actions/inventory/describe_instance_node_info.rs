//! Lists the nodes of an instance, and the gateway before them.

use ledger::members_of;
use model::NodeRole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};
use crate::sight::gateway_id;

/// Which instance's nodes.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// How many nodes to show, 20 where it is left out, 1000 at the most.
    limit: Option<i64>,
    /// How many to leave out at the beginning.
    offset: Option<i64>,
}

/// The nodes.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many gateways.
    proxy_count: i64,
    /// The gateways.
    proxy: Vec<ProxyNodes>,
    /// How many nodes over all pages.
    redis_count: i64,
    /// This page of the nodes.
    redis: Vec<RedisNodes>,
    /// Always 0.
    tendis_count: i64,
    /// Always empty.
    tendis: Vec<TendisNodes>,
}

/// A gateway.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProxyNodes {
    /// Its id.
    node_id: String,
    /// Its zone.
    zone_id: i64,
}

/// A node.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RedisNodes {
    /// Its id.
    node_id: String,
    /// master or replica.
    node_role: &'static str,
    /// Its shard, from 0.
    cluster_id: i64,
    /// Its zone.
    zone_id: i64,
}

/// A node of an engine that is not here.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TendisNodes {
    node_id: String,
    node_role: String,
    zone_id: i64,
}

pub(crate) struct DescribeInstanceNodeInfo;

impl Action for DescribeInstanceNodeInfo {
    const NAME: &'static str = "DescribeInstanceNodeInfo";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let limit = match request.limit.unwrap_or(20) {
            limit @ 1.. => usize::try_from(limit).unwrap_or(usize::MAX).min(1000),
            _ => return Err(bad_value("Limit", "it must be 1 or more", "须大于0")),
        };
        let Ok(offset) = usize::try_from(request.offset.unwrap_or(0)) else {
            return Err(bad_value("Offset", "it must be 0 or more", "不能小于0"));
        };
        let instance = call.instance(&request.instance_id)?;
        let nodes = call.read(|reader| members_of(reader, &instance.id))?;
        let redis_count = nodes.len() as i64;
        let shown = nodes.into_iter().skip(offset).take(limit).map(|node| RedisNodes {
            node_id: node.id.into(),
            node_role: match node.role {
                NodeRole::Primary => "master",
                NodeRole::Replica => "replica",
            },
            cluster_id: 0,
            zone_id: node.zone,
        });
        Ok(Response {
            proxy_count: 1,
            proxy: vec![ProxyNodes { node_id: gateway_id(&call.cx), zone_id: instance.zone }],
            redis_count,
            redis: shown.collect(),
            tendis_count: 0,
            tendis: Vec::new(),
        })
    }
}
