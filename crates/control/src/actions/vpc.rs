//! Networks and their subnets, as far as instances are filed in them.

pub(crate) mod create_subnet;
pub(crate) mod create_vpc;
pub(crate) mod delete_subnet;
pub(crate) mod delete_vpc;
pub(crate) mod describe_route_tables;
pub(crate) mod describe_subnets;
pub(crate) mod describe_vpcs;
pub(crate) mod modify_subnet_attribute;
pub(crate) mod modify_vpc_attribute;

use std::collections::HashMap;

use ipnet::Ipv4Net;
use ledger::{Reader, Subnet, Vpc};
use model::{ApiError, Code, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, bad_value, bad_value_as, excerpt, not_built};
use crate::network::{self, ALWAYS};
use crate::settings::Settings;
use crate::when;

/// A tag.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    /// Its key.
    key: String,
    /// Its value.
    value: Option<String>,
}

/// A condition.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Filter {
    /// Of what.
    name: String,
    /// One of these.
    values: Vec<String>,
}

/// A network.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VpcInfo {
    /// What its owner calls it.
    vpc_name: String,
    /// Its id.
    vpc_id: String,
    /// Its addresses.
    cidr_block: String,
    /// Whether it is the region's default one, which is always there.
    is_default: bool,
    /// As it was set; it is only noted.
    enable_multicast: bool,
    /// When it was made; zeros for the default one.
    created_time: String,
    /// As it was set; they are only noted.
    dns_server_set: Vec<String>,
    /// As it was set; it is only noted.
    domain_name: String,
    /// Always empty.
    dhcp_options_id: String,
    /// Always true.
    enable_dhcp: bool,
    /// Always empty.
    ipv6_cidr_block: String,
    /// Always empty.
    tag_set: Vec<Tag>,
    /// Always empty.
    assistant_cidr_set: Vec<AssistantCidr>,
    /// Always false.
    enable_route_vpc_publish: bool,
    /// Always empty.
    ipv6_cidr_block_set: Vec<ISPIPv6CidrBlock>,
    /// Always false.
    enable_route_vpc_publish_ipv6: bool,
    /// Always IPv4.
    stack_type: &'static str,
}

/// More addresses of a network; there are none.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AssistantCidr {
    vpc_id: String,
    cidr_block: String,
    assistant_type: i64,
    subnet_set: Vec<SubnetInfo>,
}

/// Addresses of IPv6; there are none.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ISPIPv6CidrBlock {
    #[serde(rename = "IPv6CidrBlock")]
    ipv6_cidr_block: String,
    #[serde(rename = "ISPType")]
    isp_type: String,
    #[serde(rename = "AddressType")]
    address_type: String,
}

/// A subnet.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SubnetInfo {
    /// Its network.
    vpc_id: String,
    /// Its id.
    subnet_id: String,
    /// What its owner calls it.
    subnet_name: String,
    /// Its addresses. Instances have them where they lie within those that the service has.
    cidr_block: String,
    /// Whether it is its zone's default one, which is always there.
    is_default: bool,
    /// As it was set; it is only noted.
    enable_broadcast: bool,
    /// Its zone, by name.
    zone: String,
    /// The route table of its network.
    route_table_id: String,
    /// When it was made; zeros for a default one.
    created_time: String,
    /// How many more instances it could have.
    available_ip_address_count: u64,
    /// Always empty.
    ipv6_cidr_block: String,
    /// Always empty.
    network_acl_id: String,
    /// Always false.
    is_remote_vpc_snat: bool,
    /// How many addresses it has.
    total_ip_address_count: u64,
    /// Always empty.
    tag_set: Vec<Tag>,
    /// Always empty.
    cdc_id: String,
    /// Always 0.
    is_cdc_subnet: i64,
    /// Always IPv4.
    stack_type: &'static str,
}

/// How many networks an account may make, and how many subnets in each.
const MOST_VPCS: usize = 20;
const MOST_SUBNETS: usize = 100;

fn show_time(settings: &Settings, at: Millis) -> String {
    if at == ALWAYS { when::NEVER.to_owned() } else { when::write(at, settings.utc_offset_seconds) }
}

fn is_default_vpc(settings: &Settings, id: &str) -> bool {
    id == network::default_vpc(&settings.region)
}

fn is_default_subnet(settings: &Settings, id: &str) -> bool {
    settings.region.zones.iter().any(|zone| network::default_subnet(zone) == id)
}

fn show_vpc(settings: &Settings, vpc: Vpc) -> VpcInfo {
    VpcInfo {
        is_default: is_default_vpc(settings, &vpc.id),
        vpc_name: vpc.name,
        vpc_id: vpc.id,
        cidr_block: vpc.cidr,
        enable_multicast: vpc.multicast,
        created_time: show_time(settings, vpc.created_at),
        dns_server_set: vpc.dns,
        domain_name: vpc.domain,
        dhcp_options_id: String::new(),
        enable_dhcp: true,
        ipv6_cidr_block: String::new(),
        tag_set: Vec::new(),
        assistant_cidr_set: Vec::new(),
        enable_route_vpc_publish: false,
        ipv6_cidr_block_set: Vec::new(),
        enable_route_vpc_publish_ipv6: false,
        stack_type: "IPv4",
    }
}

fn show_subnet(settings: &Settings, subnet: Subnet, used: i64) -> SubnetInfo {
    let prefix = subnet.cidr.parse().map_or(32, |net: Ipv4Net| net.prefix_len());
    // The first two and the last are nobody's.
    let total = (1u64 << (32 - u64::from(prefix))).saturating_sub(3);
    SubnetInfo {
        is_default: is_default_subnet(settings, &subnet.id),
        route_table_id: network::route_table(&subnet.vpc),
        vpc_id: subnet.vpc,
        subnet_id: subnet.id,
        subnet_name: subnet.name,
        cidr_block: subnet.cidr,
        enable_broadcast: subnet.broadcast,
        zone: settings.region.zone(subnet.zone).map(|zone| zone.name.clone()).unwrap_or_default(),
        created_time: show_time(settings, subnet.created_at),
        available_ip_address_count: total.saturating_sub(u64::try_from(used).unwrap_or(0)),
        ipv6_cidr_block: String::new(),
        network_acl_id: String::new(),
        is_remote_vpc_snat: false,
        total_ip_address_count: total,
        tag_set: Vec::new(),
        cdc_id: String::new(),
        is_cdc_subnet: 0,
        stack_type: "IPv4",
    }
}

/// The account's network of this id.
fn find_vpc(reader: &mut dyn Reader, settings: &Settings, account: i64, id: &str) -> Answer<Vpc> {
    check_id("VpcId", "vpc-", id)?;
    let all = network::vpcs(reader, settings, account)?;
    all.into_iter().find(|vpc| vpc.id == id).ok_or_else(|| not_there("VpcId", id))
}

/// The account's subnet of this id.
fn find_subnet(reader: &mut dyn Reader, settings: &Settings, account: i64, id: &str) -> Answer<Subnet> {
    check_id("SubnetId", "subnet-", id)?;
    let all = network::subnets(reader, settings, account)?;
    all.into_iter().find(|subnet| subnet.id == id).ok_or_else(|| not_there("SubnetId", id))
}

fn check_id(parameter: &str, prefix: &str, id: &str) -> Answer<()> {
    let fits = id.strip_prefix(prefix).is_some_and(|tail| {
        tail.len() == 8 && tail.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    });
    if fits {
        return Ok(());
    }
    let (en, zh) =
        (format!("an id is `{prefix}` and eight letters or digits"), format!("ID 由 `{prefix}` 和8个字母或数字组成"));
    Err(bad_value_as(code::InvalidParameterValueMalformed, parameter, &en, &zh))
}

fn not_there(parameter: &str, id: &str) -> Fault {
    ApiError::new(
        code::ResourceNotFound,
        format!("The parameter `{parameter}` names what does not exist: {}.", excerpt(id)),
        format!("参数 `{parameter}` 对应的资源不存在：{}。", excerpt(id)),
    )
    .into()
}

/// The default networks are made of the settings, and stay as they are.
fn fixed(id: &str) -> Fault {
    ApiError::new(
        code::UnsupportedOperation,
        format!("`{id}` is there by default, and can't be changed or deleted."),
        format!("`{id}` 为默认资源，不支持修改或删除。"),
    )
    .into()
}

fn in_use(id: &str, en: &str, zh: &str) -> Fault {
    ApiError::new(code::ResourceInUse, format!("`{id}` has {en}."), format!("`{id}` {zh}。")).into()
}

fn too_many(en: String, zh: String) -> Fault {
    ApiError::new(code::LimitExceeded, en, zh).into()
}

/// Reads a name: 1 to 60 characters, none of them a control character.
fn read_name(parameter: &str, text: &str) -> Answer<String> {
    if text.chars().count() > 60 {
        let (en, zh) = ("60 characters at the most", "最多60个字符");
        return Err(bad_value_as(code::InvalidParameterValueTooLong, parameter, en, zh));
    }
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(bad_value(parameter, "a name has 1 to 60 characters that can be seen", "名称为1至60个可见字符"));
    }
    Ok(text.to_owned())
}

/// Reads `true` or `false`, which clients send as text.
fn read_switch(parameter: &str, text: Option<&str>) -> Answer<Option<bool>> {
    match text {
        None | Some("") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(bad_value(parameter, "it is true or false", "须为 true 或 false")),
    }
}

/// The most servers that a network notes.
const MOST_DNS_SERVERS: usize = 4;

fn read_dns(servers: Option<Vec<String>>) -> Answer<Option<Vec<String>>> {
    let Some(servers) = servers.filter(|servers| !servers.is_empty()) else { return Ok(None) };
    if servers.len() > MOST_DNS_SERVERS {
        return Err(bad_value("DnsServers", "4 of them at the most", "最多4个"));
    }
    match servers.iter().find(|server| server.parse::<std::net::Ipv4Addr>().is_err()) {
        Some(_) => Err(bad_value("DnsServers", "each is an IP address", "须为IP地址")),
        None => Ok(Some(servers)),
    }
}

fn read_domain(name: Option<&str>) -> Answer<Option<String>> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    match name {
        None | Some("") => Ok(None),
        Some(name) if name.len() <= 255 && name.chars().all(allowed) => Ok(Some(name.to_owned())),
        Some(_) => {
            Err(bad_value("DomainName", "it has letters, digits, dots and dashes", "仅支持字母、数字、点和连字符"))
        }
    }
}

/// Reads a network with its prefix length, of 16 addresses at the least.
fn read_cidr(text: &str, shortest: u8) -> Answer<Ipv4Net> {
    let malformed = || {
        let (en, zh) =
            ("it is written as 10.0.0.0/16, with no bits below the prefix", "格式如 10.0.0.0/16，且主机位须为0");
        bad_value_as(code::InvalidParameterValueMalformed, "CidrBlock", en, zh)
    };
    let net: Ipv4Net = text.parse().map_err(|_| malformed())?;
    if net.network() != net.addr() || net.to_string() != text {
        return Err(malformed());
    }
    if (shortest..=28).contains(&net.prefix_len()) {
        return Ok(net);
    }
    let (en, zh) = (format!("a prefix is {shortest} to 28"), format!("掩码长度须为{shortest}至28"));
    Err(bad_value_as(code::InvalidParameterValueRange, "CidrBlock", &en, &zh))
}

fn refuse_tags(tags: Option<&Vec<Tag>>) -> Answer<()> {
    if tags.is_some_and(|tags| !tags.is_empty()) { Err(not_built("Tags")) } else { Ok(()) }
}

/// Refuses the first of these parameters that is given.
fn refuse(given: &[(&str, bool)]) -> Answer<()> {
    match given.iter().find(|(_, given)| *given) {
        Some((parameter, _)) => Err(not_built(parameter)),
        None => Ok(()),
    }
}

fn is_given(text: Option<&str>) -> bool {
    text.is_some_and(|text| !text.is_empty())
}

/// Keeps what has one of the ids, or fits all conditions. `read` is what a row has to say to a condition of that name;
/// `None`: there is no such condition.
fn select<T>(
    all: Vec<T>,
    (ids_parameter, prefix): (&str, &str),
    ids: Option<Vec<String>>,
    filters: Option<Vec<Filter>>,
    id_of: impl Fn(&T) -> &str,
    read: impl Fn(&T, &str) -> Option<String>,
    known: &[&str],
) -> Answer<Vec<T>> {
    let ids = ids.unwrap_or_default();
    let filters = filters.unwrap_or_default();
    if !ids.is_empty() && !filters.is_empty() {
        return Err(refusal(
            code::InvalidParameterCoexist,
            format!("The parameters `{ids_parameter}` and `Filters` can't both be given."),
            format!("参数 `{ids_parameter}` 与 `Filters` 不能同时指定。"),
        ));
    }
    if ids.len() > MOST_IDS {
        return Err(bad_value(ids_parameter, "100 of them at the most", "最多100个"));
    }
    for id in &ids {
        check_id(ids_parameter, prefix, id)?;
        if !all.iter().any(|row| id_of(row) == id) {
            return Err(not_there(ids_parameter, id));
        }
    }
    for filter in &filters {
        let is_of_tags = filter.name == "tag-key" || filter.name.starts_with("tag:");
        if !is_of_tags && !known.contains(&filter.name.as_str()) {
            let (name, known) = (excerpt(&filter.name), known.join(", "));
            return Err(refusal(
                code::InvalidParameterFilterInvalidKey,
                format!("There is no filter `{name}`; there are {known}, tag-key, tag:KEY."),
                format!("过滤条件 `{name}` 不存在，可选：{known}、tag-key、tag:KEY。"),
            ));
        }
    }
    let fits = |row: &T| {
        let by_id = ids.is_empty() || ids.iter().any(|id| id_of(row) == id);
        // An empty list of values asks for nothing.
        let asked = filters.iter().filter(|filter| !filter.values.is_empty());
        by_id
            && asked.into_iter().all(|filter| {
                // Clients write True too.
                let is_asked = |value: &String, asked: &String| {
                    asked == value || (["true", "false"].contains(&value.as_str()) && asked.eq_ignore_ascii_case(value))
                };
                read(row, &filter.name).is_some_and(|value| filter.values.iter().any(|asked| is_asked(&value, asked)))
            })
    };
    Ok(all.into_iter().filter(fits).collect())
}

const MOST_IDS: usize = 100;

fn refusal(code: Code, en: String, zh: String) -> Fault {
    ApiError::new(code, en, zh).into()
}

/// A page, and how many there are over all pages. Both numbers are text, as clients send them.
fn page<T>(all: Vec<T>, offset: Option<&str>, limit: Option<&str>) -> Answer<(u64, Vec<T>)> {
    let number = |parameter: &str, text: Option<&str>, otherwise: usize| match text {
        None | Some("") => Ok(otherwise),
        Some(text) => {
            text.parse().map_err(|_| bad_value(parameter, "it is a whole number, 0 or more", "须为不小于0的整数"))
        }
    };
    let (offset, limit) = (number("Offset", offset, 0)?, number("Limit", limit, 20)?);
    if !(1..=100).contains(&limit) {
        return Err(bad_value_as(code::InvalidParameterValueRange, "Limit", "it must be 1 to 100", "须为1至100"));
    }
    let count = all.len() as u64;
    Ok((count, all.into_iter().skip(offset).take(limit).collect()))
}

/// How many addresses instances have in each subnet.
fn used(reader: &mut dyn Reader, account: i64) -> ledger::Result<HashMap<String, i64>> {
    Ok(ledger::addresses_by_subnet(reader, account)?.into_iter().collect())
}

/// Where networks may lie: in what is private, and in what the service has.
fn private_nets(cx: &FlowCx) -> Vec<Ipv4Net> {
    let private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    let private = private.iter().filter_map(|net| net.parse().ok());
    private.chain(network::pool_net(&cx.settings)).collect()
}
