//! Tells in which zones the nodes of an instance are, and what each holds. It asks the nodes themselves, each for a
//! second at the most; one that gives no answer shows as abnormal.

use std::time::Duration;

use futures_util::future::join_all;
use ledger::{Instance, Node, members_of};
use model::NodeRole;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, missing};
use crate::spec;

/// Which instance's groups.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: Option<String>,
}

/// The groups.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many groups.
    total_count: i64,
    /// The primary's group first.
    replica_groups: Vec<ReplicaGroup>,
}

/// The nodes that stand in for one another in one zone.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplicaGroup {
    /// Stays with the group whatever its role.
    group_id: i64,
    /// Its name.
    group_name: String,
    /// Its zone, by name.
    zone_id: String,
    /// master or replica.
    role: &'static str,
    /// Its nodes.
    redis_nodes: Vec<RedisNode>,
}

/// A node.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RedisNode {
    /// How many keys it has.
    keys: i64,
    /// The slots that it has.
    slot: &'static str,
    /// Its id.
    node_id: String,
    /// Normal or Abnormal.
    status: &'static str,
    /// master or replica.
    role: &'static str,
}

pub(crate) struct DescribeInstanceZoneInfo;

/// How long a node may take to tell how many keys it has.
const ASKED_FOR: Duration = Duration::from_secs(1);

impl Action for DescribeInstanceZoneInfo {
    const NAME: &'static str = "DescribeInstanceZoneInfo";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let id = request.instance_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("InstanceId"))?;
        let instance = call.instance(&id)?;
        let nodes = call.read(|reader| members_of(reader, &instance.id))?;
        let replica_groups = join_all(nodes.iter().map(|node| show(call, &instance, node))).await;
        Ok(Response { total_count: replica_groups.len() as i64, replica_groups })
    }
}

async fn show(call: &Call, instance: &Instance, node: &Node) -> ReplicaGroup {
    let role = match node.role {
        NodeRole::Primary => "master",
        NodeRole::Replica => "replica",
    };
    let keys = count_keys(call, instance, node).await;
    ReplicaGroup {
        group_id: node.group,
        group_name: format!("ng-{}", node.group),
        zone_id: call.cx.settings.region.zone(node.zone).map(|zone| zone.name.clone()).unwrap_or_default(),
        role,
        redis_nodes: vec![RedisNode {
            keys: keys.unwrap_or(0),
            slot: "0-16383",
            node_id: node.id.to_string(),
            status: if keys.is_some() { "Normal" } else { "Abnormal" },
            role,
        }],
    }
}

async fn count_keys(call: &Call, instance: &Instance, node: &Node) -> Option<i64> {
    if !node.runs {
        return None;
    }
    let peer = spec::peer(&call.cx.sealer, instance, node).ok()?;
    tokio::select! {
        keys = call.cx.nodes.keys(&peer) => keys.ok(),
        () = call.cx.clock.sleep(ASKED_FOR) => None,
    }
}
