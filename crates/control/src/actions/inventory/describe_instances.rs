//! Lists instances: what clients poll to see a state change. An id that is not there is an empty list, not an error.

use ledger::{
    Instance, InstanceOrder, Node, Select, Tag, list_instances, members_of, project_names, tags_of, wan_address,
};
use model::{Architecture, BillingMode, InstanceStatus, TypeId, Vip};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance_set::{InstanceSet, show};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};

/// Which instances.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// How many to show, 20 where it is left out. More than 1000 is served as 1000.
    limit: Option<u64>,
    /// How many to leave out at the beginning.
    offset: Option<u64>,
    /// This instance.
    instance_id: Option<String>,
    /// projectId, createtime, instancename, type or curDeadline.
    order_by: Option<String>,
    /// 1 descending, as where it is left out; 0 ascending.
    order_type: Option<i64>,
    /// Instances in one of these networks.
    vpc_ids: Option<Vec<String>>,
    /// Instances in one of these subnets.
    subnet_ids: Option<Vec<String>>,
    /// Instances whose name holds this, or whose id or address is this.
    search_key: Option<String>,
    /// Instances in one of these projects.
    project_ids: Option<Vec<i64>>,
    /// Instances whose name holds this.
    instance_name: Option<String>,
    /// Instances in one of these networks.
    uniq_vpc_ids: Option<Vec<String>>,
    /// Instances in one of these subnets.
    uniq_subnet_ids: Option<Vec<String>>,
    /// Instances in one of these regions, by number.
    region_ids: Option<Vec<i64>>,
    /// Instances in one of these states: 0, 1, 2, -2, -3.
    status: Option<Vec<i64>>,
    /// 1 one node alone, 2 primary and replicas, 3 cluster.
    type_version: Option<i64>,
    /// Engine and version, as Redis-7.0.
    engine_name: Option<String>,
    /// Instances renewed in one of these ways: 0 by hand, 1 by themselves, 2 never.
    auto_renew: Option<Vec<i64>>,
    /// postpaid or prepaid.
    billing_mode: Option<String>,
    /// Instances of this type.
    r#type: Option<i64>,
    /// Instances whose name holds one of these, or whose id or address is one of these.
    search_keys: Option<Vec<String>>,
    /// Instances of one of these types.
    type_list: Option<Vec<i64>>,
    /// 5s, as all instances here, or 1m.
    monitor_version: Option<String>,
    /// Instances that have all of these tags.
    instance_tags: Option<Vec<InstanceTagInfo>>,
    /// Instances that have one of these tag keys.
    tag_keys: Option<Vec<String>>,
    /// local, localv2, cdc or cloud.
    product_versions: Option<Vec<String>>,
    /// These instances.
    instance_ids: Option<Vec<String>>,
    /// singleaz or multiaz.
    az_mode: Option<String>,
}

/// A tag.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceTagInfo {
    /// Its key.
    pub tag_key: String,
    /// Its value.
    pub tag_value: String,
}

/// A page of instances.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: i64,
    /// This page.
    instance_set: Vec<InstanceSet>,
}

/// An instance with its members, its tags and its public address.
type Parts = (Instance, Vec<Node>, Vec<Tag>, Option<Vip>);

pub(crate) struct DescribeInstances;

impl Action for DescribeInstances {
    const NAME: &'static str = "DescribeInstances";
    const ACCESS: Access = Access::read(Resource::Instance);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let limit = match request.limit.unwrap_or(20) {
            0 => return Err(bad_value("Limit", "it must be 1 or more", "须大于0")),
            limit => limit.min(1000) as i64,
        };
        let offset = i64::try_from(request.offset.unwrap_or(0)).unwrap_or(i64::MAX);
        let (order, descending) = read_order(&request)?;
        let filter = read_filter(call, request)?;
        let (total_count, projects, found) = call.read(|reader| {
            let projects = project_names(reader, call.caller.account)?;
            let (count, instances) = list_instances(reader, &filter, order, descending, limit, offset)?;
            let with_parts = instances.into_iter().map(|instance| {
                let (nodes, tags) = (members_of(reader, &instance.id)?, tags_of(reader, &instance.id)?);
                let wan = wan_address(reader, &instance.id)?;
                Ok((instance, nodes, tags, wan))
            });
            Ok((count, projects, with_parts.collect::<ledger::Result<Vec<Parts>>>()?))
        })?;
        let show = |(instance, nodes, tags, wan): Parts| {
            let project = projects.get(&instance.project).cloned().unwrap_or_default();
            show(call, instance, &nodes, tags, (project, wan))
        };
        let instance_set = found.into_iter().map(show).collect();
        Ok(Response { total_count, instance_set })
    }
}

/// A name that holds the text somewhere, letters and marks taken as they are.
macro_rules! contains_name {
    () => {
        "lower(name) like '%' || replace(replace(replace(lower($), '\\', '\\\\'), '%', '\\%'), '_', '\\_') || '%' escape '\\'"
    };
}

macro_rules! zones_of_nodes {
    () => {
        "(select count(distinct node.zone) from node where node.instance = instance.id)"
    };
}

fn read_order(request: &Request) -> Answer<(InstanceOrder, bool)> {
    let order = match request.order_by.as_deref().unwrap_or_default().to_ascii_lowercase().as_str() {
        "" | "createtime" => InstanceOrder::CreateTime,
        "projectid" => InstanceOrder::Project,
        "instancename" => InstanceOrder::Name,
        "type" => InstanceOrder::Type,
        "curdeadline" => InstanceOrder::Deadline,
        _ => {
            let known = "projectId, createtime, instancename, type, curDeadline";
            let (en, zh) = (format!("it is one of {known}"), format!("可选值：{known}"));
            return Err(bad_value("OrderBy", &en, &zh));
        }
    };
    match request.order_type.unwrap_or(1) {
        1 => Ok((order, true)),
        0 => Ok((order, false)),
        _ => Err(bad_value("OrderType", "it must be 0 or 1", "须为0或1")),
    }
}

fn read_filter(call: &Call, request: Request) -> Answer<Select> {
    let region = &call.cx.settings.region;
    let mut filter = Select::new();
    filter.and("account = $", call.caller.account);
    if let Some(id) = request.instance_id.filter(|text| !text.is_empty()) {
        filter.and("id = $", id);
    }
    if let Some(ids) = listed(request.instance_ids) {
        filter.and_in("id", ids);
    }
    for networks in [request.vpc_ids, request.uniq_vpc_ids] {
        if let Some(networks) = listed(networks) {
            filter.and_in("vpc", networks);
        }
    }
    for subnets in [request.subnet_ids, request.uniq_subnet_ids] {
        if let Some(subnets) = listed(subnets) {
            filter.and_in("subnet", subnets);
        }
    }
    let mut keys = listed(request.search_keys).unwrap_or_default();
    // Every name holds an empty text.
    keys.retain(|key| !key.is_empty());
    let tag_keys = listed(request.tag_keys).unwrap_or_default();
    let tags = request.instance_tags.unwrap_or_default();
    for (name, count) in [("SearchKeys", keys.len()), ("TagKeys", tag_keys.len()), ("InstanceTags", tags.len())] {
        if count > MOST_KEYS {
            return Err(bad_value(name, "100 of them at the most", "最多100个"));
        }
    }
    let longest = |texts: &mut dyn Iterator<Item = &String>| texts.map(String::len).max().unwrap_or(0);
    for (name, length) in [
        ("SearchKey", longest(&mut request.search_key.iter())),
        ("SearchKeys", longest(&mut keys.iter())),
        ("InstanceName", longest(&mut request.instance_name.iter())),
    ] {
        if length > LONGEST_KEY {
            return Err(bad_value(name, "it may have 1024 bytes at the most", "最多1024字节"));
        }
    }
    for keys in [request.search_key.filter(|text| !text.is_empty()).into_iter().collect(), keys] {
        if !keys.is_empty() {
            filter.and_any(concat!("(id = $ or address = $ or ", contains_name!(), ")"), keys);
        }
    }
    if let Some(name) = request.instance_name.filter(|text| !text.is_empty()) {
        filter.and(contains_name!(), name);
    }
    if let Some(projects) = listed(request.project_ids) {
        filter.and_in("project", projects);
    }
    if let Some(regions) = listed(request.region_ids)
        && !regions.contains(&region.id)
    {
        filter.and("1 = $", 0);
    }
    if let Some(statuses) = listed(request.status) {
        if let Some(index) = statuses.iter().position(|status| InstanceStatus::parse(*status).is_none()) {
            let parameter = format!("Status.{index}");
            return Err(bad_value(&parameter, "a status is 0, 1, 2, -2 or -3", "须为0、1、2、-2或-3"));
        }
        filter.and_in("status", statuses);
    }
    add_type_filters(&mut filter, request.type_version, request.engine_name, request.r#type, request.type_list)?;
    if let Some(ways) = listed(request.auto_renew) {
        filter.and_in("auto_renew", ways);
    }
    match request.billing_mode.as_deref() {
        None | Some("") => {}
        Some("postpaid") => filter.and("billing = $", BillingMode::Postpaid.number()),
        Some("prepaid") => filter.and("billing = $", BillingMode::Prepaid.number()),
        Some(_) => return Err(bad_value("BillingMode", "it is postpaid or prepaid", "须为 postpaid 或 prepaid")),
    }
    match request.monitor_version.as_deref() {
        None | Some("" | "5s") => {}
        Some("1m") => filter.and("1 = $", 0),
        Some(_) => return Err(bad_value("MonitorVersion", "it is 1m or 5s", "须为 1m 或 5s")),
    }
    for tag in tags {
        // One argument for both, with a mark between that neither can hold: NUL is refused, this is all but that.
        let pair = format!("{}\u{1}{}", tag.tag_key, tag.tag_value);
        let has = "exists (select 1 from tag where tag.instance = instance.id and tag.key || '\u{1}' || tag.value = $)";
        filter.and(has, pair);
    }
    if !tag_keys.is_empty() {
        filter.and_any("exists (select 1 from tag where tag.instance = instance.id and tag.key = $)", tag_keys);
    }
    if let Some(versions) = listed(request.product_versions) {
        filter.and_in("product_version", versions);
    }
    match request.az_mode.as_deref() {
        None | Some("") => {}
        Some("singleaz") => filter.and(concat!(zones_of_nodes!(), " <= $"), 1),
        Some("multiaz") => filter.and(concat!(zones_of_nodes!(), " > $"), 1),
        Some(_) => return Err(bad_value("AzMode", "it is singleaz or multiaz", "须为 singleaz 或 multiaz")),
    }
    Ok(filter)
}

/// The condition is written out for each key.
const MOST_KEYS: usize = 100;

/// No name, id or address is longer, and a store's patterns have a limit.
const LONGEST_KEY: usize = 1024;

fn add_type_filters(
    filter: &mut Select,
    type_version: Option<i64>,
    engine_name: Option<String>,
    one: Option<i64>,
    several: Option<Vec<i64>>,
) -> Answer<()> {
    let numbers_where = |fits: &dyn Fn(TypeId) -> bool| -> Vec<i64> {
        TypeId::all().filter(|type_id| fits(*type_id)).map(TypeId::number).collect()
    };
    let standard = |type_id: TypeId| type_id.architecture() == Architecture::Standard;
    match type_version {
        None => {}
        Some(version @ (1 | 2)) => {
            filter.and_in("type", numbers_where(&standard));
            filter.and(if version == 1 { "replicas <= $" } else { "replicas > $" }, 0);
        }
        Some(3) => filter.and_in("type", numbers_where(&|type_id| !standard(type_id))),
        Some(_) => return Err(bad_value("TypeVersion", "it must be 1, 2 or 3", "须为1、2或3")),
    }
    if let Some(name) = engine_name.filter(|text| !text.is_empty()) {
        let named = |type_id: TypeId| {
            let version = type_id.version();
            name.eq_ignore_ascii_case(&format!("{}-{}.{}", type_id.engine(), version.major, version.minor))
        };
        filter.and_in("type", numbers_where(&named));
    }
    if let Some(number) = one {
        filter.and("type = $", number);
    }
    if let Some(numbers) = listed(several) {
        filter.and_in("type", numbers);
    }
    Ok(())
}

/// An empty list filters nothing, as if it were left out.
fn listed<T>(list: Option<Vec<T>>) -> Option<Vec<T>> {
    list.filter(|list| !list.is_empty())
}
