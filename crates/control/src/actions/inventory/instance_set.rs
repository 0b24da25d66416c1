//! How an instance is shown.

use ledger::{Instance, Node, Tag};
use model::{Architecture, BillingMode, InstanceStatus, Millis, Vip};
use schemars::JsonSchema;
use serde::Serialize;

use super::describe_instances::InstanceTagInfo;
use crate::action::{Call, Language};
use crate::actions::network::modify_connection_config::{MBIT, clients};
use crate::actions::shape::upgrade_small_version::newest_build;
use crate::cx::GATEWAY_RELEASE;
use crate::when;

/// An instance.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceSet {
    /// What its owner calls it.
    instance_name: String,
    /// Its id.
    instance_id: String,
    /// The owner's appid.
    appid: i64,
    /// Its project.
    project_id: i64,
    /// Its region, by number.
    region_id: i64,
    /// The zone of its primary, by number.
    zone_id: i64,
    /// Its network, by an older number; always 0.
    vpc_id: i64,
    /// Its subnet, by an older number; always 0.
    subnet_id: i64,
    /// 0 being made, 1 in a task, 2 running, -2 isolated, -3 to be deleted.
    status: i64,
    /// The IP of its address.
    wan_ip: String,
    /// The port of its address.
    port: i64,
    /// When it was ordered.
    createtime: String,
    /// Memory of all shards in MB.
    size: f64,
    /// Always 0.
    size_used: f64,
    /// Engine, version and architecture, by number.
    r#type: i64,
    /// 0 renewed by hand, 1 by itself, 2 never.
    auto_renew_flag: i64,
    /// Until when it is paid for; zeros where it is paid by use.
    deadline_time: String,
    /// Redis or Valkey.
    engine: String,
    /// standalone or cluster.
    product_type: &'static str,
    /// Its network.
    uniq_vpc_id: String,
    /// Its subnet.
    uniq_subnet_id: String,
    /// 0 paid by use, 1 in advance.
    billing_mode: i64,
    /// Its state in words.
    instance_title: &'static str,
    /// When an isolated instance is deleted; else empty.
    offline_time: String,
    /// Always 0.
    sub_status: i64,
    /// Always empty; InstanceTags has them.
    tags: Vec<String>,
    /// Always empty; DescribeInstanceNodeInfo has them.
    instance_node: Vec<InstanceNode>,
    /// Memory of a shard in MB.
    redis_shard_size: i64,
    /// How many shards.
    redis_shard_num: i64,
    /// Replicas of a shard.
    redis_replicas_num: i64,
    /// Always 0.
    price_id: i64,
    /// When it was isolated; else zeros.
    close_time: String,
    /// 0 replicas serve no reads, 100 they do.
    slave_read_weight: i64,
    /// Its tags.
    instance_tags: Vec<InstanceTagInfo>,
    /// The name of its project; empty for the default one.
    project_name: String,
    /// Whether one gets in without a password.
    no_auth: bool,
    /// Connections at the most.
    client_limit: i64,
    /// Always 0.
    dts_status: i64,
    /// Bandwidth of a shard in MB/s; 0 is unlimited.
    net_limit: i64,
    /// NoAuth as a number.
    password_free: i64,
    /// Always empty.
    vip6: String,
    /// Always empty.
    #[serde(rename = "IPv6")]
    ipv6: String,
    /// 1 writes are refused.
    read_only: i64,
    /// Always empty.
    remain_bandwidth_duration: String,
    /// Always 0.
    disk_size: i64,
    /// Always 5s.
    monitor_version: &'static str,
    /// The least that ClientLimit can be.
    client_limit_min: i64,
    /// The most that ClientLimit can be.
    client_limit_max: i64,
    /// The nodes and their zones; null where the zones were not chosen one by one.
    node_set: Option<Vec<RedisNodeInfo>>,
    /// Its region, by name.
    region: String,
    /// Its public address; empty where it has none.
    wan_address: String,
    /// Always empty.
    polaris_server: String,
    /// Always empty.
    redis_cluster_id: String,
    /// Always empty.
    dedicated_cluster_id: String,
    /// local or localv2.
    product_version: String,
    /// The version of the gateway.
    current_proxy_version: String,
    /// The version of the engine that runs it; empty before its first start.
    current_redis_version: String,
    /// The version that UpgradeProxyVersion makes the gateway, where CurrentProxyVersion is an older one.
    upgrade_proxy_version: &'static str,
    /// The newest version of its engine.
    upgrade_redis_version: String,
    /// NormalLevelBackup or SecondLevelBackup.
    backup_mode: &'static str,
    /// 1 it refuses to be destroyed.
    delete_protection_switch: i64,
}

/// A node and its zone.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RedisNodeInfo {
    /// 0 primary, 1 replica.
    node_type: i64,
    /// Its number.
    node_id: i64,
    /// Its zone, by number.
    zone_id: u64,
    /// Its zone, by name.
    zone_name: String,
}

/// Shards, as an older form of the answer has them.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceNode {
    id: i64,
    instance_cluster_node: Vec<InstanceClusterNode>,
}

/// A node of a shard, as an older form of the answer has it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceClusterNode {
    name: String,
    run_id: String,
    role: i64,
    status: i64,
    connected: i64,
    create_time: String,
    down_time: String,
    slots: String,
    keys: i64,
    qps: i64,
    qps_slope: f64,
    storage: i64,
    storage_slope: f64,
}

/// An instance as answers show it, with the name of its project and its public address.
pub(super) fn show(
    call: &Call,
    instance: Instance,
    nodes: &[Node],
    tags: Vec<Tag>,
    (project, wan): (String, Option<Vip>),
) -> InstanceSet {
    let settings = &call.cx.settings;
    let write = |at: Millis| when::write(at, settings.utc_offset_seconds);
    let or_never = |at: Option<Millis>| at.map_or_else(|| when::NEVER.to_owned(), write);
    let (type_id, clients) = (instance.type_id, clients(&instance));
    let runs = nodes.iter().find_map(|node| node.observed_version);
    let newest = runs.map(|runs| newest_build(&call.cx.runtime.engines(), type_id.engine(), runs));
    let [current_redis_version, upgrade_redis_version] =
        [runs, newest].map(|version| version.map(|version| version.to_string()).unwrap_or_default());
    InstanceSet {
        instance_id: instance.id.to_string(),
        appid: settings.owner.appid,
        project_id: instance.project,
        region_id: settings.region.id,
        zone_id: instance.zone,
        vpc_id: 0,
        subnet_id: 0,
        status: instance.status.number(),
        wan_ip: instance.vip.0.ip().to_string(),
        port: i64::from(instance.vip.0.port()),
        createtime: write(instance.created_at),
        size: (instance.memory_mb * instance.shards) as f64,
        size_used: 0.0,
        r#type: type_id.number(),
        auto_renew_flag: instance.auto_renew,
        deadline_time: or_never(instance.deadline_at),
        engine: type_id.engine().to_string(),
        product_type: match type_id.architecture() {
            Architecture::Standard => "standalone",
            Architecture::Cluster => "cluster",
        },
        uniq_vpc_id: instance.vpc,
        uniq_subnet_id: instance.subnet,
        billing_mode: match instance.billing {
            BillingMode::Postpaid => 0,
            BillingMode::Prepaid => 1,
        },
        instance_title: title(instance.status, call.language),
        offline_time: instance.offline_at.map(write).unwrap_or_default(),
        sub_status: 0,
        tags: Vec::new(),
        instance_node: Vec::new(),
        redis_shard_size: instance.memory_mb,
        redis_shard_num: instance.shards,
        redis_replicas_num: instance.replicas,
        price_id: 0,
        close_time: or_never(instance.closed_at),
        slave_read_weight: if instance.replica_reads { 100 } else { 0 },
        instance_tags: tags.into_iter().map(|tag| InstanceTagInfo { tag_key: tag.key, tag_value: tag.value }).collect(),
        project_name: project,
        no_auth: instance.no_auth,
        client_limit: instance.client_limit.unwrap_or(i64::from(crate::spec::MAX_CLIENTS)),
        dts_status: 0,
        net_limit: instance.bandwidth_mbit.unwrap_or(0) / MBIT,
        password_free: i64::from(instance.no_auth),
        vip6: String::new(),
        ipv6: String::new(),
        read_only: i64::from(instance.read_only),
        remain_bandwidth_duration: String::new(),
        disk_size: 0,
        monitor_version: "5s",
        client_limit_min: *clients.start(),
        client_limit_max: *clients.end(),
        node_set: instance.shows_node_set.then(|| nodes.iter().map(|node| show_node(call, node)).collect()),
        region: settings.region.name.clone(),
        wan_address: wan.map(|vip| vip.to_string()).unwrap_or_default(),
        polaris_server: String::new(),
        redis_cluster_id: String::new(),
        dedicated_cluster_id: String::new(),
        product_version: instance.product_version,
        current_proxy_version: call.cx.gateway.release(),
        upgrade_redis_version,
        current_redis_version,
        upgrade_proxy_version: GATEWAY_RELEASE,
        backup_mode: "NormalLevelBackup",
        delete_protection_switch: i64::from(instance.delete_protection),
        instance_name: instance.name,
    }
}

fn show_node(call: &Call, node: &Node) -> RedisNodeInfo {
    RedisNodeInfo {
        node_type: node.role.number(),
        node_id: node.number,
        zone_id: u64::try_from(node.zone).unwrap_or(0),
        zone_name: call.cx.settings.region.zone(node.zone).map(|zone| zone.name.clone()).unwrap_or_default(),
    }
}

fn title(status: InstanceStatus, language: Language) -> &'static str {
    let (en, zh) = match status {
        InstanceStatus::Creating => ("Creating", "创建中"),
        InstanceStatus::Busy => ("Processing", "流程中"),
        InstanceStatus::Idle => ("Running", "运行中"),
        InstanceStatus::Isolated => ("Isolated", "已隔离"),
        InstanceStatus::ToBeDeleted => ("To be deleted", "待删除"),
    };
    match language {
        Language::En => en,
        Language::Zh => zh,
    }
}
