//! Changes the memory of an instance (028), or how many replicas it has (029); one of them at a time. To shrink it asks
//! the primary how much is used, for two seconds at the most.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Instance, Node, Tx};
use model::{ApiError, Millis, NodeId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{changeable_shape, newcomer, read_switch};
use crate::access::{Access, Caller, Resource};
use crate::action::{Action, Call, open_task};
use crate::actions::lifecycle::create_request::{self, MOST_REPLICAS, RedisNodeInfo, check_shards, read_zone};
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, bad_value, bad_value_as, no_answer};
use crate::flows::add_nodes::AddNodes;
use crate::flows::remove_nodes::RemoveNodes;
use crate::flows::set_memory::{SetMemory, least_mb};
use crate::placement::check_memory;
use crate::prices::Size;
use crate::{deals, fleet, spec};

/// What the instance is to be. Exactly one of memory and number of replicas may differ from what it is.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// Memory of a node in MB, a multiple of 1024; what it has, to keep it.
    mem_size: u64,
    /// Shards; 1.
    redis_shard_num: Option<u64>,
    /// Replicas, 1 to 5; what it has, or nothing, to keep it.
    redis_replicas_num: Option<u64>,
    /// To add: the new replicas with their zones, without ids. To remove: the ids of those that leave. Needed where the
    /// instance's nodes were placed one by one; else the newest replicas leave, and new ones are in the instance's zone.
    node_set: Option<Vec<RedisNodeInfo>>,
    /// 1 in the maintenance window, 2 now. Neither memory nor new replicas disturb anybody, so that is done at once; only
    /// where the primary is to leave must it be 2.
    switch_option: Option<u64>,
}

/// The order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The order's id.
    deal_id: String,
    /// The order's name; the same as its id.
    deal_name: String,
}

pub(crate) struct UpgradeInstance;

/// How long the primary may take to tell how much it uses.
const ASKED_FOR: Duration = Duration::from_secs(2);

impl Action for UpgradeInstance {
    const NAME: &'static str = "UpgradeInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        let before = call.instance(&request.instance_id)?;
        let waits = read_switch("SwitchOption", request.switch_option.unwrap_or(2) as i64, 1, 2)?;
        let shrinks = i64::try_from(request.mem_size).is_ok_and(|wanted| (1..before.memory_mb).contains(&wanted));
        let used = if shrinks { used_memory(&cx, &before).await } else { Some(0) };
        let request = Arc::new(request);
        call.write(move |tx| {
            let instance = changeable_shape(tx, caller.account, &request.instance_id)?;
            let deal = change(&cx, tx, &caller, &instance, &request, used, waits, now)?;
            Ok(Response { deal_id: deal.clone(), deal_name: deal })
        })
        .await
    }
}

/// How much the primary uses, in bytes; `None` where it can't be asked.
async fn used_memory(cx: &FlowCx, instance: &Instance) -> Option<u64> {
    let (instance, nodes) = fleet::load(&cx.ledger, &instance.id).ok()?;
    let peer = spec::peer(&cx.sealer, &instance, fleet::primary_of(&nodes)?).ok()?;
    tokio::select! {
        used = cx.nodes.used_memory(&peer) => {
            used.inspect_err(|error| tracing::info!(%error, "a primary can't be asked what it uses")).ok()
        }
        () = cx.clock.sleep(ASKED_FOR) => None,
    }
}

#[expect(clippy::too_many_arguments, reason = "what a call is, taken apart for a closure that may run again")]
fn change(
    cx: &FlowCx,
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    request: &Request,
    used: Option<u64>,
    waits: bool,
    now: Millis,
) -> Answer<String> {
    let nodes = ledger::members_of(tx.reader(), &instance.id)?;
    let memory_mb = read_memory(instance, request.mem_size, used)?;
    check_shards("RedisShardNum", request.redis_shard_num.map(|shards| i64::try_from(shards).unwrap_or(i64::MAX)))?;
    let replicas =
        request.redis_replicas_num.map_or(instance.replicas, |count| i64::try_from(count).unwrap_or(i64::MAX));
    let busy_until = now + cx.settings.busy_for;
    let price = deals::upgrade_price(cx, instance, &Size { memory_mb, replicas, ..Size::from(instance) }, now);
    let id = instance.id.clone();
    let differences = (memory_mb - instance.memory_mb, replicas.saturating_sub(instance.replicas));
    check_one_dimension(differences)?;
    match differences {
        (grows, 0) => {
            if !listed(request).is_empty() {
                let (en, zh) = ("nodes are listed only where replicas come or go", "仅增删副本时可指定");
                return Err(bad_value("NodeSet", en, zh));
            }
            if grows > 0 {
                check_memory(cx, tx, grows.saturating_mul(nodes.len() as i64))?;
            }
            let deal = deals::open(cx, tx, caller, instance, "UpgradeInstance", price, now)?;
            let (previous_mb, wanted_mb) = (instance.memory_mb, memory_mb);
            let flow = SetMemory { instance: id, previous_mb, wanted_mb, deal: deal.clone(), busy_until };
            open_task(tx, caller, instance, "028", &flow, now)?;
            Ok(deal)
        }
        (0, more) if more > 0 => {
            if replicas > MOST_REPLICAS {
                return Err(not_a_spec("RedisReplicasNum", "it must be 1 to 5", "须为1至5"));
            }
            let zones = read_new_zones(cx, instance, request, more)?;
            check_memory(cx, tx, instance.memory_mb.saturating_mul(more))?;
            let deal = deals::open(cx, tx, caller, instance, "UpgradeInstance", price, now)?;
            let newcomers = zones.iter().map(|zone| newcomer(cx, instance, &nodes, *zone, None)).collect();
            let shows_node_set = instance.shows_node_set || !listed(request).is_empty();
            let showed_node_set = instance.shows_node_set;
            let deal_name = deal.clone();
            let flow =
                AddNodes { instance: id, newcomers, showed_node_set, shows_node_set, deal: deal_name, busy_until };
            open_task(tx, caller, instance, "029", &flow, now)?;
            Ok(deal)
        }
        (_, fewer) => {
            if replicas < 1 {
                let (en, zh) =
                    ("the last replica can't be removed; it must be 1 to 5", "不能删除最后一个副本，须为1至5");
                return Err(not_a_spec("RedisReplicasNum", en, zh));
            }
            let leaving = read_leaving(instance, request, &nodes, -fewer)?;
            let Some(primary) = fleet::primary_of(&nodes) else {
                return Err(ledger::Error::Corrupt(format!("instance {id} has no primary")).into());
            };
            if waits && leaving.contains(&primary.id) {
                let (en, zh) =
                    ("the primary is among the nodes that leave; it must be 2", "待删除节点包含主节点，须为2");
                return Err(bad_value("SwitchOption", en, zh));
            }
            let deal = deals::open(cx, tx, caller, instance, "UpgradeInstance", price, now)?;
            let previous = primary.id.clone();
            let flow = RemoveNodes { instance: id, leaving, previous, deal: deal.clone(), busy_until };
            open_task(tx, caller, instance, "029", &flow, now)?;
            Ok(deal)
        }
    }
}

/// Refuses what changes memory and replicas both, or neither. What is given is by how much each grows.
pub(crate) fn check_one_dimension(differences: (i64, i64)) -> Answer<()> {
    match differences {
        (0, 0) => Err(bad_value("MemSize", "neither memory nor replicas differ from what they are", "规格未发生变化")),
        (0, _) | (_, 0) => Ok(()),
        _ => Err(bad_value(
            "RedisReplicasNum",
            "memory and replicas can't be changed by one request; keep one of them as it is",
            "内存与副本数不能同时变更，请保持其中一项不变",
        )),
    }
}

/// The memory asked for, in MiB.
fn read_memory(instance: &Instance, wanted: u64, used: Option<u64>) -> Answer<i64> {
    let wanted = create_request::read_memory("MemSize", wanted, code::InvalidParameterValueMemSizeNotInRange)?;
    if wanted >= instance.memory_mb {
        return Ok(wanted);
    }
    let used = used.ok_or_else(|| no_answer(&instance.id))?;
    let least = least_mb(used);
    if wanted >= least {
        return Ok(wanted);
    }
    let used_mb = used >> 20;
    Err(ApiError::new(
        code::InvalidParameterValueReduceCapacityNotAllowed,
        format!(
            "The instance `{}` uses {used_mb} MB, for which it needs {least} MB at the least (30 % are kept free); {wanted} \
             MB are too few. Delete data, or ask for more.",
            instance.id
        ),
        format!(
            "实例 `{}` 已使用 {used_mb} MB，至少需要 {least} MB（预留30%），{wanted} MB 不足。请清理数据或增大规格。",
            instance.id
        ),
    )
    .into())
}

fn listed(request: &Request) -> &[RedisNodeInfo] {
    request.node_set.as_deref().unwrap_or_default()
}

fn read_new_zones(cx: &FlowCx, instance: &Instance, request: &Request, more: i64) -> Answer<Vec<i64>> {
    let listed = listed(request);
    if listed.is_empty() && !instance.shows_node_set {
        return Ok(vec![instance.zone; more as usize]);
    }
    if listed.len() as i64 != more || listed.iter().any(|node| node.node_type != 1 || node.node_id.is_some_and(is_id)) {
        return Err(bad_value(
            "NodeSet",
            &format!("it must list the {more} new replicas, each with NodeType 1 and its zone, without an id"),
            &format!("须列出 {more} 个新增副本（NodeType 为1，指定可用区，不含 NodeId）"),
        ));
    }
    let zones = listed.iter().enumerate().map(|(index, node)| {
        let (id_name, name_name) = (format!("NodeSet.{index}.ZoneId"), format!("NodeSet.{index}.ZoneName"));
        let zone = read_zone(&cx.settings.region, &id_name, node.zone_id, &name_name, node.zone_name.as_deref())?;
        Ok(zone.unwrap_or(instance.zone))
    });
    zones.collect()
}

fn is_id(id: i64) -> bool {
    id != 0
}

fn read_leaving(instance: &Instance, request: &Request, nodes: &[Node], fewer: i64) -> Answer<Vec<NodeId>> {
    let listed = listed(request);
    if listed.is_empty() && !instance.shows_node_set {
        let newest = nodes.iter().rev().take(fewer as usize).map(|node| node.id.clone());
        return Ok(newest.collect());
    }
    let wrong = || {
        bad_value(
            "NodeSet",
            &format!("it must list the ids of the {fewer} nodes that leave; DescribeInstances shows them in NodeSet"),
            &format!("须列出待删除的 {fewer} 个节点的 NodeId，可通过 DescribeInstances 的 NodeSet 查询"),
        )
    };
    let mut leaving: Vec<NodeId> = Vec::new();
    for wanted in listed {
        let node = nodes.iter().find(|node| Some(node.number) == wanted.node_id).ok_or_else(wrong)?;
        if leaving.contains(&node.id) {
            return Err(wrong());
        }
        leaving.push(node.id.clone());
    }
    if leaving.len() as i64 == fewer { Ok(leaving) } else { Err(wrong()) }
}

fn not_a_spec(parameter: &str, en: &str, zh: &str) -> Fault {
    bad_value_as(code::InvalidParameterValueSpecNotExist, parameter, en, zh)
}
