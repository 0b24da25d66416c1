//! Moves nodes of an instance to other zones (066): a new node there takes over from each that moves.

use ledger::{Instance, Node};
use model::{NodeId, NodeRole};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{changeable_shape, newcomer, newest_of, read_switch};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, open_task};
use crate::actions::lifecycle::create_request::{RedisNodeInfo, read_zone};
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, bad_value};
use crate::fleet;
use crate::flows::replace_nodes::ReplaceNodes;
use crate::placement::check_memory;

/// Where the nodes are to be.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// 1: the new nodes take over in the maintenance window; 2: as soon as they have all the data.
    switch_option: i64,
    /// Every node of the instance with the zone in which it is to be. A node is known by its id, or without one by its
    /// type: the primary, and the replicas in the order in which they are listed.
    node_set: Vec<RedisNodeInfo>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that moves them.
    task_id: i64,
}

pub(crate) struct ModifyInstanceAvailabilityZones;

impl Action for ModifyInstanceAvailabilityZones {
    const NAME: &'static str = "ModifyInstanceAvailabilityZones";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let instance = changeable_shape(tx, caller.account, &request.instance_id)?;
            let waits = read_switch("SwitchOption", request.switch_option, 1, 2)?;
            let nodes = ledger::members_of(tx.reader(), &instance.id)?;
            let moves = read_moves(&cx, &instance, &nodes, &request.node_set)?;
            check_memory(&cx, tx, instance.memory_mb.saturating_mul(moves.len() as i64))?;
            let newcomers = moves.into_iter().map(|(node, zone)| newcomer(&cx, &instance, &nodes, zone, Some(node)));
            let newcomers: Vec<_> = newcomers.collect();
            let primary = fleet::primary_of(&nodes).map(|node| node.id.clone());
            let in_its_place = newcomers.iter().find(|newcomer| newcomer.replaces == primary);
            let leads = in_its_place.map(|newcomer| newcomer.node.clone()).or(primary);
            let flow = ReplaceNodes {
                instance: instance.id.clone(),
                waits: (waits && !newcomers.is_empty()).then(|| "ZoneMigration".into()),
                newcomers,
                previous: fleet::primary_of(&nodes).map(|node| node.id.clone()),
                type_id: instance.type_id,
                version: newest_of(&instance, &[]),
                shows_node_set: true,
                leads,
                deal: None,
                busy_until: now + cx.settings.busy_for,
            };
            let task = open_task(tx, &caller, &instance, "066", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

/// The nodes that move, and where to.
fn read_moves(cx: &FlowCx, instance: &Instance, nodes: &[Node], set: &[RedisNodeInfo]) -> Answer<Vec<(NodeId, i64)>> {
    if set.len() != nodes.len() {
        return Err(bad_value(
            "NodeSet",
            &format!(
                "the instance has {} nodes, and all of them must be listed; UpgradeInstance adds and removes replicas",
                nodes.len()
            ),
            &format!("实例有 {} 个节点，须全部列出；增删副本请使用 UpgradeInstance", nodes.len()),
        ));
    }
    let mut left: Vec<&Node> = nodes.iter().collect();
    let mut moves = Vec::new();
    // Those with an id first, so that none of them is taken for one without.
    let mut listed: Vec<(usize, &RedisNodeInfo)> = set.iter().enumerate().collect();
    listed.sort_by_key(|(_, wanted)| wanted.node_id.unwrap_or(0) == 0);
    for (index, wanted) in listed {
        let role = NodeRole::parse(wanted.node_type).ok_or_else(|| no_such_node(index))?;
        let is_it = |node: &&Node| match wanted.node_id {
            Some(id) if id != 0 => node.number == id && node.role == role,
            _ => node.role == role,
        };
        let place = left.iter().position(is_it).ok_or_else(|| no_such_node(index))?;
        let node = left.remove(place);
        let (id_name, name_name) = (format!("NodeSet.{index}.ZoneId"), format!("NodeSet.{index}.ZoneName"));
        let zone = read_zone(&cx.settings.region, &id_name, wanted.zone_id, &name_name, wanted.zone_name.as_deref())?;
        let zone = zone.unwrap_or(if role == NodeRole::Primary { instance.zone } else { node.zone });
        if zone != node.zone {
            moves.push((node.id.clone(), zone));
        }
    }
    Ok(moves)
}

fn no_such_node(index: usize) -> Fault {
    bad_value(
        &format!("NodeSet.{index}"),
        "the instance has no such node; it has one primary (NodeType 0), and DescribeInstances shows the ids in NodeSet",
        "实例没有该节点；主节点（NodeType 0）仅一个，节点ID可通过 DescribeInstances 的 NodeSet 查询",
    )
}
