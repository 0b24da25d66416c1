//! What CreateInstances takes, and how it is read into an order that can be placed.

use ledger::{Params, Reader};
use model::{ApiError, Architecture, BillingMode, Code, Millis, TypeId, code};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::action::Call;
use crate::actions::parameters::templates;
use crate::actions::security::groups::read_ids;
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, bad_value, bad_value_as, not_built, not_installed};
use crate::flows::set_access::seal_password;
use crate::prices::{Amount, Size};
use crate::settings::Region;
use crate::{network, text, when};

/// What to create.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Engine, version and architecture: 2 Redis 2.8, 6 Redis 4.0, 8 Redis 5.0, 15 Redis 6.2, 17 Redis 7.0,
    /// 19 Valkey 8.0, 21 Valkey 9.0, each standard architecture.
    pub type_id: u64,
    /// Memory in MB, a multiple of 1024.
    pub mem_size: u64,
    /// How many instances to create, 1 to 100.
    pub goods_num: u64,
    /// Months to pay for in advance: 1 to 12, 24 or 36. Without meaning when paid by use.
    pub period: u64,
    /// 0 paid by use, 1 paid in advance.
    pub billing_mode: i64,
    /// The zone of the primary, by number.
    pub zone_id: Option<u64>,
    /// The password of the default user. Not needed with NoAuth.
    pub password: Option<String>,
    /// The network; the zone's default one where it is left out.
    pub vpc_id: Option<String>,
    /// The subnet; the zone's default one where it is left out.
    pub subnet_id: Option<String>,
    /// The project, 0 where it is left out.
    pub project_id: Option<i64>,
    /// 0 renewed by hand, 1 by itself, 2 never.
    pub auto_renew: Option<u64>,
    /// The security groups that decide who may connect, 10 at the most, in the order in which they are asked.
    pub security_group_id_list: Option<Vec<String>>,
    /// The port of the address, 1024 to 65535; 6379 where it is left out.
    #[serde(rename = "VPort")]
    pub v_port: Option<u64>,
    /// Shards: 1 for the standard architecture.
    pub redis_shard_num: Option<i64>,
    /// Replicas, 0 to 5; 1 where it is left out. 0 is one node alone, which nothing can replace.
    pub redis_replicas_num: Option<i64>,
    /// Whether replicas serve reads.
    pub replicas_readonly: Option<bool>,
    /// The name of each instance; its id where it is left out.
    pub instance_name: Option<String>,
    /// Whether one gets in without a password.
    pub no_auth: Option<bool>,
    /// The zones of the nodes one by one: one primary and the replicas.
    pub node_set: Option<Vec<RedisNodeInfo>>,
    /// Tags to put on the instances.
    pub resource_tags: Option<Vec<ResourceTag>>,
    /// The zone of the primary, by name.
    pub zone_name: Option<String>,
    /// The parameter template that it begins with: one of your own, or `default-param-template-` and the number of the
    /// type. Its parameters are copied.
    pub template_id: Option<String>,
    /// Check everything and do nothing: the answer is then the error DryRunOperation.
    pub dry_run: Option<bool>,
    /// local or localv2.
    pub product_version: Option<String>,
    /// A dedicated cluster.
    pub redis_cluster_id: Option<String>,
    /// Alarm policies.
    pub alarm_policy_list: Option<Vec<String>>,
    /// Whether Password is encrypted.
    pub encrypt_password: Option<bool>,
    /// A password policy.
    pub password_policy: Option<PasswordPolicy>,
    /// Whether to open TLS.
    #[serde(rename = "EnableSSL")]
    pub enable_ssl: Option<bool>,
    /// Whether the certificate names the private address.
    #[serde(rename = "SSLBindPrivateIPv4")]
    pub ssl_bind_private_ipv4: Option<bool>,
    /// 0 through the gateway, 1 directly.
    pub connection_mode: Option<i64>,
}

/// A node and its zone.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RedisNodeInfo {
    /// 0 primary, 1 replica.
    pub node_type: i64,
    /// Its number, as NodeSet of DescribeInstances shows it; none for a node that is to be created.
    pub node_id: Option<i64>,
    /// Its zone, by number.
    pub zone_id: Option<u64>,
    /// Its zone, by name.
    pub zone_name: Option<String>,
}

/// A tag.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResourceTag {
    /// Its key.
    pub tag_key: String,
    /// Its value.
    pub tag_value: String,
}

/// How passwords must be made.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "declared as the API has it; anything but a policy that is off is refused")]
pub(crate) struct PasswordPolicy {
    /// Whether it holds.
    pub enabled: bool,
    /// Letters at least.
    pub min_letter_count: Option<i64>,
    /// Digits at least.
    pub min_digit_count: Option<i64>,
    /// Special characters at least.
    pub min_special_count: Option<i64>,
    /// Characters at least.
    pub min_length: Option<i64>,
}

/// An order in which everything is possible.
pub(crate) struct Order {
    pub type_id: TypeId,
    pub product_version: String,
    pub memory_mb: i64,
    pub count: i64,
    pub billing: BillingMode,
    pub deadline_at: Option<Millis>,
    /// What is paid with the order, for all of them.
    pub price: Amount,
    pub auto_renew: i64,
    pub zone: i64,
    pub zones_of_replicas: Vec<i64>,
    pub shows_node_set: bool,
    /// The network and the subnet, as they were asked for.
    pub network: (Option<String>, Option<String>),
    pub port: Option<u16>,
    pub name: Option<String>,
    pub project: i64,
    pub no_auth: bool,
    /// Sealed.
    pub password: Option<Vec<u8>>,
    pub tags: Vec<(String, String)>,
    /// Security groups.
    pub groups: Vec<String>,
    pub params: Params,
}

/// The most replicas that an instance has.
pub(crate) const MOST_REPLICAS: i64 = 5;
/// The largest memory of a standard instance, in MB.
pub(crate) const MOST_MEMORY_MB: i64 = 65_536;

/// How many replicas an order means that doesn't say.
pub(crate) const DEFAULT_REPLICAS: i64 = 1;

/// Reads a request, refusing what can't be.
pub(crate) fn read(call: &Call, request: Request) -> Answer<Order> {
    refuse_what_is_not_built(&request)?;
    let cx = &*call.cx;
    let region = &cx.settings.region;
    let type_id = read_type(cx, "TypeId", request.type_id)?;
    let memory_mb = read_memory("MemSize", request.mem_size, code::InvalidParameterValueSpecNotExist)?;
    let count = read_count(request.goods_num)?;
    let billing = read_billing(request.billing_mode)?;
    check_shards("RedisShardNum", request.redis_shard_num)?;
    let zone = match read_zone(region, "ZoneId", request.zone_id, "ZoneName", request.zone_name.as_deref())? {
        None => call.read(|reader| zone_of_subnet(reader, call, &request))?,
        zone => zone,
    };
    let replicas = request.redis_replicas_num;
    let (zone, zones_of_replicas, shows_node_set) = read_nodes(region, zone, replicas, request.node_set.as_deref())?;
    let network = (request.vpc_id.clone(), request.subnet_id.clone());
    // Looked at again when it is placed; a refusal is the same before anything else is looked at.
    call.read(|reader| Ok(find_network(reader, cx, call.caller.account, zone, &network)))??;
    let no_auth = request.no_auth == Some(true);
    let password = match request.password.as_deref().unwrap_or_default() {
        "" if no_auth => None,
        given => Some(seal_password(cx, &text::new_password("Password", given)?)),
    };
    let size = Size { type_id, memory_mb, shards: 1, replicas: zones_of_replicas.len() as i64 };
    let months = match billing {
        BillingMode::Postpaid => None,
        BillingMode::Prepaid => Some(read_period(request.period)?),
    };
    Ok(Order {
        type_id,
        product_version: request.product_version.filter(|text| !text.is_empty()).unwrap_or_else(|| "local".into()),
        memory_mb,
        count,
        billing,
        deadline_at: months.map(|months| paid_until(cx, call.now, months)).transpose()?,
        price: cx.settings.prices.month(&size) * months.unwrap_or(0) * count,
        auto_renew: match request.auto_renew.unwrap_or(0) {
            flag @ 0..=2 => flag as i64,
            _ => return Err(bad_value("AutoRenew", "it must be 0, 1 or 2", "须为0、1或2")),
        },
        zone,
        zones_of_replicas,
        shows_node_set,
        network,
        port: request.v_port.map(read_port).transpose()?,
        name: match request.instance_name.as_deref() {
            None | Some("") => None,
            Some(given) => Some(text::name("InstanceName", given)?),
        },
        project: read_project(request.project_id)?,
        no_auth,
        password,
        tags: read_tags(request.resource_tags.unwrap_or_default())?,
        groups: read_ids("SecurityGroupIdList", request.security_group_id_list.unwrap_or_default())?,
        params: match request.template_id.as_deref() {
            None | Some("") => Params::new(),
            Some(id) => read_template(call, id, type_id)?,
        },
    })
}

/// Where no zone is asked for but a subnet is, that says it.
fn zone_of_subnet(reader: &mut dyn Reader, call: &Call, request: &Request) -> ledger::Result<Option<i64>> {
    let is_listed = request.node_set.as_ref().is_some_and(|nodes| !nodes.is_empty());
    match request.subnet_id.as_deref() {
        Some(subnet) if !is_listed => network::zone_of(reader, &call.cx.settings, call.caller.account, subnet),
        _ => Ok(None),
    }
}

/// Finds the network and the subnet of an order. The subnet is one of the zone's.
pub(crate) fn find_network(
    reader: &mut dyn Reader,
    cx: &FlowCx,
    account: i64,
    zone: i64,
    (vpc, subnet): &(Option<String>, Option<String>),
) -> Answer<network::Site> {
    let site = network::find_site(reader, &cx.settings, account, zone, vpc.as_deref(), subnet.as_deref())?;
    if network::zone_of(reader, &cx.settings, account, &site.subnet)? == Some(zone) {
        return Ok(site);
    }
    let (en, zh) = ("the subnet is in another zone than the instance", "子网与实例不在同一可用区");
    Err(bad_value_as(code::InvalidParameterValueInvalidSubnetId, "SubnetId", en, zh))
}

fn refuse_what_is_not_built(request: &Request) -> Answer<()> {
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let listed = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let refused = [
        ("ReplicasReadonly", request.replicas_readonly == Some(true)),
        ("ProductVersion", is_other_version(request.product_version.as_deref())),
        ("RedisClusterId", given(&request.redis_cluster_id)),
        ("AlarmPolicyList", listed(&request.alarm_policy_list)),
        ("EncryptPassword", request.encrypt_password == Some(true)),
        ("PasswordPolicy", request.password_policy.as_ref().is_some_and(|policy| policy.enabled)),
        ("EnableSSL", request.enable_ssl == Some(true)),
        ("SSLBindPrivateIPv4", request.ssl_bind_private_ipv4 == Some(true)),
        ("ConnectionMode", request.connection_mode.is_some_and(|mode| mode != 0)),
    ];
    match refused.iter().find(|(_, refused)| *refused) {
        Some((parameter, _)) => Err(not_built(parameter)),
        None => Ok(()),
    }
}

/// Whether a version of the product is asked for that is none of those built.
pub(crate) fn is_other_version(text: Option<&str>) -> bool {
    !matches!(text, None | Some("" | "local" | "localv2"))
}

/// Reads the memory of a shard in MB; `too_large` is what is answered beyond the largest there is.
pub(crate) fn read_memory(parameter: &str, mb: u64, too_large: Code) -> Answer<i64> {
    if mb == 0 || !mb.is_multiple_of(1024) {
        let (en, zh) = ("it must be a multiple of 1024", "须为1024的整数倍");
        return Err(bad_value_as(code::LimitExceededInvalidMemSize, parameter, en, zh));
    }
    let fits = i64::try_from(mb).ok().filter(|mb| *mb <= MOST_MEMORY_MB);
    fits.ok_or_else(|| bad_value_as(too_large, parameter, "it may be 65536 at the most", "最大为65536"))
}

/// Reads how many instances are ordered.
pub(crate) fn read_count(count: u64) -> Answer<i64> {
    let code = code::LimitExceededInvalidParameterGoodsNumNotInRange;
    let fits = i64::try_from(count).ok().filter(|count| (1..=100).contains(count));
    fits.ok_or_else(|| bad_value_as(code, "GoodsNum", "it must be 1 to 100", "须为1至100"))
}

/// Reads how it is paid.
pub(crate) fn read_billing(number: i64) -> Answer<BillingMode> {
    BillingMode::parse(number).ok_or_else(|| bad_value("BillingMode", "it must be 0 or 1", "须为0或1"))
}

/// Refuses another number of shards than the standard architecture has.
pub(crate) fn check_shards(parameter: &str, shards: Option<i64>) -> Answer<()> {
    if shards.is_none_or(|shards| shards == 1) {
        return Ok(());
    }
    let (en, zh) = ("the standard architecture has 1 shard", "标准架构的分片数为1");
    Err(bad_value_as(code::InvalidParameterValueSpecNotExist, parameter, en, zh))
}

/// Reads the number of replicas.
pub(crate) fn read_replicas(parameter: &str, count: i64) -> Answer<i64> {
    if (0..=MOST_REPLICAS).contains(&count) {
        return Ok(count);
    }
    Err(bad_value_as(code::InvalidParameterValueSpecNotExist, parameter, "it must be 0 to 5", "须为0至5"))
}

/// Reads a type that can be ordered here.
pub(crate) fn read_type(cx: &FlowCx, parameter: &str, number: u64) -> Answer<TypeId> {
    let Some(type_id) = i64::try_from(number).ok().and_then(TypeId::parse) else {
        return Err(bad_value_as(
            code::InvalidParameterValueInvalidInstanceTypeId,
            parameter,
            "there is no such type; DescribeProductInfo lists those there are",
            "类型不存在，可通过 DescribeProductInfo 查询",
        ));
    };
    if type_id.architecture() == Architecture::Cluster {
        return Err(ApiError::new(
            code::UnsupportedOperation,
            format!(
                "The value of the parameter `{parameter}` means the cluster architecture, which is not supported yet; the \
                 standard architecture has 2, 6, 8, 15, 17, 19 and 21."
            ),
            format!("参数 `{parameter}` 对应集群架构，暂不支持；标准架构的取值为2、6、8、15、17、19、21。"),
        )
        .into());
    }
    if can_run(cx, type_id) {
        return Ok(type_id);
    }
    Err(not_installed(type_id))
}

/// Whether an engine that may serve this type is installed.
pub(crate) fn can_run(cx: &FlowCx, type_id: TypeId) -> bool {
    let wanted = type_id.version();
    cx.runtime.engines().iter().any(|engine| {
        engine.serves(type_id.engine(), wanted)
            && (cx.settings.serve_newer_engine
                || (engine.version.major, engine.version.minor) == (wanted.major, wanted.minor))
    })
}

/// Reads a zone that is given by number, by name, or by both.
pub(crate) fn read_zone(
    region: &Region,
    id_parameter: &str,
    id: Option<u64>,
    name_parameter: &str,
    name: Option<&str>,
) -> Answer<Option<i64>> {
    let unknown = |parameter| bad_value(parameter, "the region has no such zone", "该地域没有此可用区");
    let name = name.filter(|name| !name.is_empty());
    let by_id = match id {
        Some(id) => Some(i64::try_from(id).ok().and_then(|id| region.zone(id)).ok_or_else(|| unknown(id_parameter))?),
        None => None,
    };
    let by_name = name.map(|name| region.zone_named(name).ok_or_else(|| unknown(name_parameter))).transpose()?;
    match (by_id, by_name) {
        (Some(one), Some(other)) if one != other => {
            Err(bad_value(name_parameter, "it names another zone than the number", "与可用区编号不一致"))
        }
        (one, other) => Ok(one.or(other).map(|zone| zone.id)),
    }
}

/// The zone of the primary, those of the replicas, and whether the client chose them one by one.
fn read_nodes(
    region: &Region,
    zone: Option<i64>,
    replicas: Option<i64>,
    node_set: Option<&[RedisNodeInfo]>,
) -> Answer<(i64, Vec<i64>, bool)> {
    let default_zone = zone.unwrap_or(region.zones[0].id);
    let Some(nodes) = node_set.filter(|nodes| !nodes.is_empty()) else {
        let count = read_replicas("RedisReplicasNum", replicas.unwrap_or(DEFAULT_REPLICAS))?;
        return Ok((default_zone, (0..count).map(|_| default_zone).collect(), false));
    };
    let mut primary = None;
    let mut zones_of_replicas = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        if node.node_id.is_some_and(|id| id != 0) {
            let parameter = format!("NodeSet.{index}.NodeId");
            return Err(bad_value(&parameter, "a node that is to be created has no id yet", "新建节点尚无ID"));
        }
        let (id_name, name_name) = (format!("NodeSet.{index}.ZoneId"), format!("NodeSet.{index}.ZoneName"));
        let zone = read_zone(region, &id_name, node.zone_id, &name_name, node.zone_name.as_deref())?;
        let zone = zone.unwrap_or(default_zone);
        match node.node_type {
            0 if primary.is_none() => primary = Some(zone),
            1 => zones_of_replicas.push(zone),
            _ => {
                return Err(bad_value(
                    "NodeSet",
                    "it must list one primary (0) and its replicas (1)",
                    "须包含一个主节点（0）及其副本（1）",
                ));
            }
        }
    }
    let Some(primary) = primary else {
        return Err(bad_value("NodeSet", "it lists no primary (NodeType 0)", "缺少主节点（NodeType 0）"));
    };
    if zone.is_some_and(|zone| zone != primary) {
        return Err(bad_value(
            "NodeSet",
            "the primary is in another zone than the instance",
            "主节点可用区与实例不一致",
        ));
    }
    let listed = read_replicas("RedisReplicasNum", zones_of_replicas.len() as i64)?;
    if replicas.is_some_and(|count| count != listed) {
        return Err(bad_value(
            "NodeSet",
            "it lists another number of replicas than RedisReplicasNum",
            "副本数与 RedisReplicasNum 不一致",
        ));
    }
    Ok((primary, zones_of_replicas, true))
}

/// The parameters of a template for instances of this type.
fn read_template(call: &Call, id: &str, type_id: TypeId) -> Answer<Params> {
    let template = call.read(|reader| Ok(templates::find(reader, call.caller.account, id)))??;
    templates::check_type(&template, type_id)?;
    Ok(template.params)
}

/// Reads the port of an address.
pub(crate) fn read_port(port: u64) -> Result<u16, Fault> {
    let fits = u16::try_from(port).ok().filter(|port| *port >= 1024);
    fits.ok_or_else(|| bad_value("VPort", "it must be 1024 to 65535", "须为1024至65535"))
}

pub(crate) fn read_project(project: Option<i64>) -> Answer<i64> {
    match project.unwrap_or(0) {
        project @ 0.. => Ok(project),
        _ => Err(bad_value("ProjectId", "it must be 0 or more", "不能小于0")),
    }
}

/// Reads for how many months is paid in advance.
pub(crate) fn read_period(months: u64) -> Answer<i64> {
    let (en, zh) = ("it must be 1 to 12, 24 or 36", "须为1至12、24或36");
    match months {
        1..=12 | 24 | 36 => Ok(months as i64),
        0 => Err(bad_value_as(code::LimitExceededPeriodLessThanMinLimit, "Period", en, zh)),
        13..=36 => Err(bad_value("Period", en, zh)),
        _ => Err(bad_value_as(code::LimitExceededPeriodExceedMaxLimit, "Period", en, zh)),
    }
}

/// Until when an instance is paid for that is paid for so many months from a moment on, by the calendar that users see.
pub(crate) fn paid_until(cx: &FlowCx, from: Millis, months: i64) -> Answer<Millis> {
    when::add_months(from, months, cx.settings.utc_offset_seconds).ok_or_else(|| {
        let (en, zh) = ("it is paid for until the end of time", "已达到可续费的最长期限");
        bad_value_as(code::LimitExceededPeriodExceedMaxLimit, "Period", en, zh)
    })
}

fn read_tags(tags: Vec<ResourceTag>) -> Answer<Vec<(String, String)>> {
    let mut read: Vec<(String, String)> = Vec::new();
    for (index, tag) in tags.into_iter().enumerate() {
        let key = format!("ResourceTags.{index}.TagKey");
        let has_control = |text: &str| text.chars().any(char::is_control);
        if has_control(&tag.tag_key) || has_control(&tag.tag_value) {
            return Err(bad_value(&key, "a tag has no control characters", "标签不能包含控制字符"));
        }
        if tag.tag_key.is_empty() || tag.tag_key.chars().count() > 127 || tag.tag_value.chars().count() > 255 {
            return Err(bad_value(
                &key,
                "a key has 1 to 127 characters, a value 255 at the most",
                "键为1至127个字符，值最多255个字符",
            ));
        }
        if read.iter().any(|(other, _)| *other == tag.tag_key) {
            return Err(bad_value(&key, "the key is listed twice", "标签键重复"));
        }
        read.push((tag.tag_key, tag.tag_value));
    }
    Ok(read)
}
