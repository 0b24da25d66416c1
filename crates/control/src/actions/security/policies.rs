//! Rules as the vpc product writes them: how they are read, checked and shown, and the one way in which they change.

use ledger::{Reader, SecurityGroup, SecurityRule, Tx, set_group_rules};
use model::{ApiError, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::action;
use crate::action::Call;
use crate::errors::{Answer, Fault, bad_value, bad_value_as, excerpt, missing, not_built};
use crate::routes::network;
use crate::when;

/// The most rules of a direction.
const MOST_RULES: usize = 100;
/// The most characters of a description.
pub(super) const LONGEST_REMARK: usize = 100;
/// The most characters of a list of ports.
const LONGEST_PORTS: usize = 255;
/// What a rule may be about.
const PROTOCOLS: &[&str] = &["TCP", "UDP", "ICMP", "ICMPV6", "GRE", "ALL"];

/// Rules of a group.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecurityGroupPolicySet {
    /// Counts the changes of the group's rules. Given in a request that changes them, it must be the current one.
    pub version: Option<String>,
    /// Where members may connect to. It is kept and shown; Redis connects to nobody.
    pub egress: Option<Vec<SecurityGroupPolicy>>,
    /// Who may connect, in the order in which the rules are asked: the first that names a source decides, and a source
    /// that none names is refused.
    pub ingress: Option<Vec<SecurityGroupPolicy>>,
    /// How many rules there are. Without meaning in a request.
    pub policy_statistics: Option<PolicyStatistics>,
}

/// How many rules there are.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct PolicyStatistics {
    /// Inbound ones with an IPv4 source.
    #[serde(rename = "IngressIPv4TotalCount")]
    ingress_ipv4: u64,
    /// Inbound ones with an IPv6 source.
    #[serde(rename = "IngressIPv6TotalCount")]
    ingress_ipv6: u64,
    /// Outbound ones with an IPv4 target.
    #[serde(rename = "EgressIPv4TotalCount")]
    egress_ipv4: u64,
    /// Outbound ones with an IPv6 target.
    #[serde(rename = "EgressIPv6TotalCount")]
    egress_ipv6: u64,
}

/// A rule.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SecurityGroupPolicy {
    /// Its place among the rules of its direction, from 0.
    pub policy_index: Option<i64>,
    /// TCP, UDP, ICMP, ICMPV6, GRE, or ALL, as where it is left out. Connections to Redis are TCP.
    protocol: Option<String>,
    /// A port, a range such as 6379-6380, several with commas, or ALL, as where it is left out. For TCP and UDP alone.
    port: Option<String>,
    /// A template of protocols and ports. Not supported.
    service_template: Option<ServiceTemplate>,
    /// An IPv4 network or address. Either this or Ipv6CidrBlock.
    cidr_block: Option<String>,
    /// An IPv6 network or address.
    ipv6_cidr_block: Option<String>,
    /// The members of another group. Not supported: instances have no addresses that they connect from.
    security_group_id: Option<String>,
    /// A template of addresses. Not supported.
    address_template: Option<AddressTemplate>,
    /// ACCEPT or DROP.
    action: Option<String>,
    /// What its owner says of it, 100 characters at the most.
    policy_description: Option<String>,
    /// When it was written. Without meaning in a request.
    modify_time: Option<String>,
    /// Not supported; PolicyIndex says the order.
    priority: Option<i64>,
}

/// A template of protocols and ports.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ServiceTemplate {
    /// The template.
    service_id: Option<String>,
    /// A group of templates.
    service_group_id: Option<String>,
}

/// A template of addresses.
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AddressTemplate {
    /// The template.
    address_id: Option<String>,
    /// A group of templates.
    address_group_id: Option<String>,
}

/// Which of a group's two lists of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub(super) fn name(self) -> &'static str {
        match self {
            Direction::Ingress => "Ingress",
            Direction::Egress => "Egress",
        }
    }

    /// The rules of this direction.
    pub(super) fn of(self, group: &mut SecurityGroup) -> &mut Vec<SecurityRule> {
        match self {
            Direction::Ingress => &mut group.inbound,
            Direction::Egress => &mut group.outbound,
        }
    }
}

impl SecurityGroupPolicySet {
    /// The rules of a request that may name one direction alone.
    pub(super) fn one_direction(self) -> Answer<(Direction, Vec<SecurityGroupPolicy>)> {
        match (self.ingress.unwrap_or_default(), self.egress.unwrap_or_default()) {
            (ingress, egress) if egress.is_empty() && !ingress.is_empty() => Ok((Direction::Ingress, ingress)),
            (ingress, egress) if ingress.is_empty() && !egress.is_empty() => Ok((Direction::Egress, egress)),
            (ingress, _) if ingress.is_empty() => Err(missing("SecurityGroupPolicySet.Ingress")),
            _ => Err(bad_value_as(
                code::InvalidParameterCoexist,
                "SecurityGroupPolicySet",
                "a request changes either Ingress or Egress",
                "一次请求只能操作一个方向的规则",
            )),
        }
    }
}

/// Reads the rules of a direction.
pub(super) fn read_rules(
    direction: Direction,
    policies: &[SecurityGroupPolicy],
    now: Millis,
) -> Answer<Vec<SecurityRule>> {
    policies.iter().enumerate().map(|(index, policy)| read_rule(&path(direction, index), policy, now)).collect()
}

/// How messages name a rule of a request.
pub(super) fn path(direction: Direction, index: usize) -> String {
    format!("SecurityGroupPolicySet.{}.{index}", direction.name())
}

fn read_rule(path: &str, policy: &SecurityGroupPolicy, now: Millis) -> Answer<SecurityRule> {
    let at = |name: &str| format!("{path}.{name}");
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let services = policy.service_template.as_ref();
    let addresses = policy.address_template.as_ref();
    let refused = [
        ("ServiceTemplate", services.is_some_and(|it| given(&it.service_id) || given(&it.service_group_id))),
        ("AddressTemplate", addresses.is_some_and(|it| given(&it.address_id) || given(&it.address_group_id))),
        ("SecurityGroupId", given(&policy.security_group_id)),
        ("Priority", policy.priority.is_some()),
    ];
    if let Some((name, _)) = refused.iter().find(|(_, refused)| *refused) {
        return Err(not_built(&at(name)));
    }
    let accepts = match policy.action.as_deref().unwrap_or_default() {
        "" => return Err(missing(&at("Action"))),
        action if action.eq_ignore_ascii_case("ACCEPT") => true,
        action if action.eq_ignore_ascii_case("DROP") => false,
        _ => return Err(bad_value(&at("Action"), "it is ACCEPT or DROP", "须为 ACCEPT 或 DROP")),
    };
    let description = policy.policy_description.clone().unwrap_or_default();
    if description.chars().count() > LONGEST_REMARK {
        let (en, zh) = ("it has 100 characters at the most", "最多100个字符");
        return Err(bad_value_as(code::InvalidParameterValueTooLong, &at("PolicyDescription"), en, zh));
    }
    let protocol = read_protocol(&at("Protocol"), policy.protocol.as_deref())?;
    Ok(SecurityRule {
        accepts,
        ports: read_ports(&at("Port"), &protocol, policy.port.as_deref().unwrap_or_default())?,
        protocol,
        cidr: read_cidr(path, policy)?,
        description,
        modified_at: now,
    })
}

fn read_protocol(parameter: &str, text: Option<&str>) -> Answer<String> {
    let protocol = text.filter(|text| !text.is_empty()).unwrap_or("ALL").to_ascii_uppercase();
    if PROTOCOLS.contains(&protocol.as_str()) {
        return Ok(protocol);
    }
    let known = PROTOCOLS.join(", ");
    Err(bad_value(parameter, &format!("it is one of {known}"), &format!("可选值：{known}")))
}

fn read_ports(parameter: &str, protocol: &str, text: &str) -> Answer<String> {
    if text.is_empty() || text.eq_ignore_ascii_case("ALL") {
        return Ok("ALL".to_owned());
    }
    if !["TCP", "UDP"].contains(&protocol) {
        let (en, zh) = ("TCP and UDP alone have ports; leave it out", "仅 TCP 和 UDP 支持端口，请去掉该参数");
        return Err(bad_value(parameter, en, zh));
    }
    if text.len() > LONGEST_PORTS {
        let (en, zh) = ("it has 255 characters at the most", "最多255个字符");
        return Err(bad_value_as(code::InvalidParameterValueTooLong, parameter, en, zh));
    }
    let number = |text: &str| text.trim().parse::<u16>().ok();
    let is_part = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
        None => number(part).is_some(),
    };
    if text.split(',').all(is_part) {
        return Ok(text.chars().filter(|c| !c.is_whitespace()).collect());
    }
    Err(malformed(
        parameter,
        "it is a port, a range such as 6379-6380, several with commas, or ALL",
        "须为端口、端口范围（如6379-6380）、以逗号分隔的多个端口或 ALL",
    ))
}

fn read_cidr(path: &str, policy: &SecurityGroupPolicy) -> Answer<String> {
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (name, text, is_v4) = match (given(&policy.cidr_block), given(&policy.ipv6_cidr_block)) {
        (Some(text), None) => ("CidrBlock", text, true),
        (None, Some(text)) => ("Ipv6CidrBlock", text, false),
        (None, None) => return Err(missing(&format!("{path}.CidrBlock"))),
        (Some(_), Some(_)) => {
            let (en, zh) = ("a rule has either CidrBlock or Ipv6CidrBlock", "CidrBlock 与 Ipv6CidrBlock 互斥");
            return Err(bad_value_as(code::InvalidParameterCoexist, &format!("{path}.CidrBlock"), en, zh));
        }
    };
    let parameter = format!("{path}.{name}");
    if text == "MY_PUBLIC_IP" {
        return Err(not_built(&parameter));
    }
    if network(&text).is_some_and(|network| network.addr().is_ipv4() == is_v4) {
        return Ok(text);
    }
    let (en, zh) = match is_v4 {
        true => ("it is an IPv4 network or address, such as 10.0.0.0/8", "须为IPv4网段或地址，如10.0.0.0/8"),
        false => ("it is an IPv6 network or address, such as fd00::/8", "须为IPv6网段或地址，如fd00::/8"),
    };
    Err(malformed(&parameter, en, zh))
}

fn malformed(parameter: &str, en: &str, zh: &str) -> Fault {
    bad_value_as(code::InvalidParameterValueMalformed, parameter, en, zh)
}

/// Whether two rules say the same.
pub(super) fn is_same(one: &SecurityRule, other: &SecurityRule) -> bool {
    let said = |rule: &SecurityRule| (rule.accepts, rule.protocol.clone(), rule.ports.clone(), network(&rule.cidr));
    said(one) == said(other)
}

fn check_rules(direction: Direction, rules: &[SecurityRule]) -> Answer<()> {
    if rules.len() > MOST_RULES {
        return Err(ApiError::new(
            code::LimitExceededSecurityGroupPolicySet,
            format!("A security group has 100 rules in a direction at the most; {} would be more.", direction.name()),
            format!("安全组单个方向最多100条规则，{} 超过上限。", direction.name()),
        )
        .into());
    }
    let twice = (1..rules.len()).find(|at| rules[..*at].iter().any(|rule| is_same(rule, &rules[*at])));
    if let Some(at) = twice {
        let (name, cidr) = (direction.name(), &rules[at].cidr);
        return Err(ApiError::new(
            code::UnsupportedOperationDuplicatePolicy,
            format!("Two rules in {name} would say the same of `{cidr}`; leave one out."),
            format!("{name} 中关于 `{cidr}` 的规则重复，请去掉其中一条。"),
        )
        .into());
    }
    Ok(())
}

/// The account's group of this id, with the vpc product's codes for one that is not there.
pub(super) fn find_group(reader: &mut dyn Reader, account: i64, id: &str) -> Answer<SecurityGroup> {
    let found = ledger::security_group(reader, account, id)?;
    found.ok_or_else(|| {
        let tail = id.strip_prefix("sg-").unwrap_or_default();
        let could_be = tail.len() == 8 && tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let id = excerpt(id);
        let code = if could_be { code::InvalidSecurityGroupIDNotFound } else { code::InvalidSecurityGroupIDMalformed };
        ApiError::new(
            code,
            format!("There is no security group `{id}`. DescribeSecurityGroups lists those there are."),
            format!("安全组 `{id}` 不存在，可通过 DescribeSecurityGroups 查询。"),
        )
        .into()
    })
}

fn check_version(group: &SecurityGroup, version: Option<&str>) -> Answer<()> {
    let Some(version) = version.filter(|version| !version.is_empty()) else { return Ok(()) };
    match version.parse::<i64>() {
        Ok(version) if version == group.version => Ok(()),
        Ok(_) => Err(ApiError::new(
            code::UnsupportedOperationVersionMismatch,
            format!(
                "The rules of the security group `{}` have version {} now: somebody has changed them. Read them again \
                 (DescribeSecurityGroupPolicies).",
                group.id, group.version
            ),
            format!(
                "安全组 `{}` 的规则当前版本为 {}，已被修改，请重新查询（DescribeSecurityGroupPolicies）。",
                group.id, group.version
            ),
        )
        .into()),
        Err(_) => Err(bad_value("SecurityGroupPolicySet.Version", "it is a number", "须为数字")),
    }
}

/// Changes the rules of a group. Whoever is connected or connects is judged by the new ones as soon as the gateway has
/// them.
pub(super) async fn change_rules(
    call: &Call,
    id: String,
    version: Option<String>,
    change: impl Fn(&mut SecurityGroup) -> Answer<()> + Send + 'static,
) -> Answer<()> {
    let (account, now) = (call.caller.account, call.now);
    call.write(move |tx: &mut dyn Tx| {
        let mut group = find_group(tx.reader(), account, &id)?;
        check_version(&group, version.as_deref())?;
        change(&mut group)?;
        check_rules(Direction::Ingress, &group.inbound)?;
        check_rules(Direction::Egress, &group.outbound)?;
        set_group_rules(tx, &group.id, &group.inbound, &group.outbound, now)?;
        Ok(())
    })
    .await?;
    call.cx.wake.routes.notify_one();
    Ok(())
}

/// The rules of a group that `keeps` takes, each with its place among all.
pub(super) fn show(
    call: &Call,
    group: &SecurityGroup,
    keeps: impl Fn(Direction, &SecurityRule) -> bool,
) -> SecurityGroupPolicySet {
    let shown = |direction: Direction, rules: &[SecurityRule]| -> Vec<SecurityGroupPolicy> {
        let kept = (0_i64..).zip(rules).filter(|(_, rule)| keeps(direction, rule));
        kept.map(|(index, rule)| show_rule(call, index, rule)).collect()
    };
    let count = |rules: &[SecurityRule], is_v6: bool| rules.iter().filter(|it| it.cidr.contains(':') == is_v6).count();
    SecurityGroupPolicySet {
        version: Some(group.version.to_string()),
        egress: Some(shown(Direction::Egress, &group.outbound)),
        ingress: Some(shown(Direction::Ingress, &group.inbound)),
        policy_statistics: Some(PolicyStatistics {
            ingress_ipv4: count(&group.inbound, false) as u64,
            ingress_ipv6: count(&group.inbound, true) as u64,
            egress_ipv4: count(&group.outbound, false) as u64,
            egress_ipv6: count(&group.outbound, true) as u64,
        }),
    }
}

/// What a rule does not have is an empty text: clients read the fields without asking whether they are there.
fn show_rule(call: &Call, index: i64, rule: &SecurityRule) -> SecurityGroupPolicy {
    let is_v6 = rule.cidr.contains(':');
    let one_of = |is: bool| Some(if is { rule.cidr.clone() } else { String::new() });
    let none = || Some(String::new());
    SecurityGroupPolicy {
        policy_index: Some(index),
        protocol: Some(rule.protocol.clone()),
        port: Some(rule.ports.clone()),
        service_template: Some(ServiceTemplate { service_id: none(), service_group_id: none() }),
        cidr_block: one_of(!is_v6),
        ipv6_cidr_block: one_of(is_v6),
        security_group_id: none(),
        address_template: Some(AddressTemplate { address_id: none(), address_group_id: none() }),
        action: Some(action(rule).to_owned()),
        policy_description: Some(rule.description.clone()),
        modify_time: Some(when::write(rule.modified_at, call.cx.settings.utc_offset_seconds)),
        priority: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(changes: impl FnOnce(&mut SecurityGroupPolicy)) -> SecurityGroupPolicy {
        let mut policy = SecurityGroupPolicy {
            action: Some("accept".into()),
            cidr_block: Some("10.0.0.0/8".into()),
            ..SecurityGroupPolicy::default()
        };
        changes(&mut policy);
        policy
    }

    fn read(policy: &SecurityGroupPolicy) -> Result<SecurityRule, String> {
        read_rule("P", policy, Millis(1)).map_err(|fault| match fault {
            Fault::Api(error) => error.code.to_owned(),
            Fault::Ledger(error) => error.to_string(),
        })
    }

    #[test]
    fn a_rule_is_read_in_capitals_and_names_all_that_it_leaves_out() {
        let rule = read(&policy(|_| ())).unwrap();
        assert_eq!((rule.accepts, rule.protocol.as_str(), rule.ports.as_str()), (true, "ALL", "ALL"));
        let tcp = policy(|it| (it.protocol, it.port) = (Some("tcp".into()), Some("80, 6379-6380".into())));
        let rule = read(&tcp).unwrap();
        assert_eq!((rule.protocol.as_str(), rule.ports.as_str()), ("TCP", "80,6379-6380"));
        let v6 = policy(|it| (it.cidr_block, it.ipv6_cidr_block) = (Some(String::new()), Some("::/0".into())));
        assert_eq!(read(&v6).unwrap().cidr, "::/0");
    }

    #[test]
    fn what_can_be_no_rule_is_refused() {
        let text = |text: &str| Some(text.to_owned());
        let cases = [
            (policy(|it| it.action = None), "MissingParameter"),
            (policy(|it| it.action = text("ALLOW")), "InvalidParameterValue"),
            (policy(|it| it.protocol = text("SCTP")), "InvalidParameterValue"),
            (policy(|it| it.port = text("6379")), "InvalidParameterValue"),
            (policy(|it| (it.protocol, it.port) = (text("TCP"), text("70000"))), "InvalidParameterValue.Malformed"),
            (policy(|it| (it.protocol, it.port) = (text("TCP"), text("9-8"))), "InvalidParameterValue.Malformed"),
            (policy(|it| (it.protocol, it.port) = (text("UDP"), text("1,,2"))), "InvalidParameterValue.Malformed"),
            (
                policy(|it| (it.protocol, it.port) = (text("TCP"), text(&"1,".repeat(200)))),
                "InvalidParameterValue.TooLong",
            ),
            (policy(|it| it.cidr_block = None), "MissingParameter"),
            (policy(|it| it.cidr_block = text("10.0.0.0/33")), "InvalidParameterValue.Malformed"),
            (policy(|it| it.cidr_block = text("::/0")), "InvalidParameterValue.Malformed"),
            (policy(|it| it.ipv6_cidr_block = text("::/0")), "InvalidParameter.Coexist"),
            (policy(|it| it.cidr_block = text("MY_PUBLIC_IP")), "UnsupportedOperation"),
            (policy(|it| it.security_group_id = text("sg-12345678")), "UnsupportedOperation"),
            (
                policy(|it| {
                    it.address_template = Some(AddressTemplate { address_id: text("ipm-1"), address_group_id: None })
                }),
                "UnsupportedOperation",
            ),
            (
                policy(|it| {
                    it.service_template = Some(ServiceTemplate { service_id: None, service_group_id: text("ppmg-1") })
                }),
                "UnsupportedOperation",
            ),
            (policy(|it| it.priority = Some(1)), "UnsupportedOperation"),
            (policy(|it| it.policy_description = text(&"x".repeat(101))), "InvalidParameterValue.TooLong"),
        ];
        for (index, (policy, code)) in cases.iter().enumerate() {
            assert_eq!(read(policy).unwrap_err(), *code, "case {index}");
        }
    }
}
