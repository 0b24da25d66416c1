//! Groups as the redis product shows and names them, and who is in them.

use ledger::{Instance, Reader, SecurityGroup, SecurityRule, Tx, groups_of, security_group, set_groups};
use model::{ApiError, InstanceId, code};
use schemars::JsonSchema;
use serde::Serialize;

use crate::action::Call;
use crate::errors::{Answer, Fault, bad_value, bad_value_as, excerpt};
use crate::when;

/// The most groups that an instance is in.
const MOST_GROUPS: usize = 10;
/// The most instances that are named at once.
pub(super) const MOST_INSTANCES: usize = 100;

/// A group, with whose rules each source has a field of its own.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShownGroup {
    /// When it was made.
    create_time: String,
    /// Its project.
    project_id: u64,
    /// Its id.
    security_group_id: String,
    /// What its owner calls it.
    security_group_name: String,
    /// What its owner says of it.
    security_group_remark: String,
    /// Where its members may connect to; Redis connects to nobody.
    outbound: Vec<ShownRule>,
    /// Who may connect, in the order in which the rules are asked.
    inbound: Vec<ShownRule>,
}

/// A rule.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShownRule {
    /// ACCEPT or DROP.
    action: &'static str,
    /// Always empty.
    address_module: &'static str,
    /// The network or the address.
    cidr_ip: String,
    /// What its owner says of it.
    desc: String,
    /// TCP, UDP, ICMP, ICMPV6, GRE or ALL.
    ip_protocol: String,
    /// ALL, or ports.
    port_range: String,
    /// Always empty.
    service_module: &'static str,
    /// Always empty.
    id: &'static str,
}

/// A group, shortly.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GroupDetail {
    /// Its project.
    project_id: i64,
    /// When it was made.
    create_time: String,
    /// Its id.
    security_group_id: String,
    /// What its owner calls it.
    security_group_name: String,
    /// What its owner says of it.
    security_group_remark: String,
    /// Who may connect, in the order in which the rules are asked.
    inbound_rule: Vec<RuleDetail>,
    /// Where its members may connect to; Redis connects to nobody.
    outbound_rule: Vec<RuleDetail>,
}

/// A rule, shortly.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RuleDetail {
    /// ACCEPT or DROP.
    action: &'static str,
    /// The network or the address.
    ip: String,
    /// ALL, or ports.
    port: String,
    /// TCP, UDP, ICMP, ICMPV6, GRE or ALL.
    proto: String,
}

/// A group as it is shown with all of its rules.
pub(super) fn show(call: &Call, group: SecurityGroup) -> ShownGroup {
    let rules = |rules: Vec<SecurityRule>| rules.into_iter().map(show_rule).collect();
    ShownGroup {
        create_time: when::write(group.created_at, call.cx.settings.utc_offset_seconds),
        project_id: u64::try_from(group.project).unwrap_or(0),
        security_group_id: group.id,
        security_group_name: group.name,
        security_group_remark: group.remark,
        outbound: rules(group.outbound),
        inbound: rules(group.inbound),
    }
}

fn show_rule(rule: SecurityRule) -> ShownRule {
    ShownRule {
        action: action(&rule),
        address_module: "",
        cidr_ip: rule.cidr,
        desc: rule.description,
        ip_protocol: rule.protocol,
        port_range: rule.ports,
        service_module: "",
        id: "",
    }
}

/// A group as it is shown shortly.
pub(super) fn show_detail(call: &Call, group: SecurityGroup) -> GroupDetail {
    let short = |rule: SecurityRule| RuleDetail {
        action: action(&rule),
        ip: rule.cidr,
        port: rule.ports,
        proto: rule.protocol,
    };
    let rules = |rules: Vec<SecurityRule>| rules.into_iter().map(short).collect();
    GroupDetail {
        project_id: group.project,
        create_time: when::write(group.created_at, call.cx.settings.utc_offset_seconds),
        security_group_id: group.id,
        security_group_name: group.name,
        security_group_remark: group.remark,
        inbound_rule: rules(group.inbound),
        outbound_rule: rules(group.outbound),
    }
}

/// How the API calls what a rule does.
pub(super) fn action(rule: &SecurityRule) -> &'static str {
    if rule.accepts { "ACCEPT" } else { "DROP" }
}

/// Refuses another product than this one, which several products' actions of these names take.
pub(super) fn check_product(product: &str) -> Answer<()> {
    if product == "redis" {
        return Ok(());
    }
    Err(bad_value_as(code::InvalidParameterNotSupported, "Product", "it must be redis", "须为 redis"))
}

/// The account's instance of this id, with the code that these actions have for one that is not there.
pub(super) fn find_instance(reader: &mut dyn Reader, account: i64, id: &str) -> Answer<Instance> {
    let found = match InstanceId::parse(id) {
        Some(parsed) => ledger::instance(reader, &parsed)?.filter(|instance| instance.account == account),
        None => None,
    };
    found.ok_or_else(|| {
        let id = excerpt(id);
        ApiError::new(
            code::ResourceNotFoundInstanceNotFound,
            format!("The instance `{id}` does not exist. DescribeInstances lists those that do."),
            format!("实例 `{id}` 不存在，可通过 DescribeInstances 查询现有实例。"),
        )
        .into()
    })
}

/// Refuses a list of more instances than are named at once, and one of none.
pub(super) fn check_instances(ids: &[String]) -> Answer<()> {
    if (1..=MOST_INSTANCES).contains(&ids.len()) {
        return Ok(());
    }
    Err(bad_value("InstanceIds", "1 to 100 instances", "须为1至100个实例"))
}

/// Reads the groups that an instance is to be in: each once, in the order given.
pub(crate) fn read_ids(parameter: &str, ids: Vec<String>) -> Answer<Vec<String>> {
    let mut read: Vec<String> = Vec::new();
    for id in ids {
        if !read.contains(&id) {
            read.push(id);
        }
    }
    if read.len() > MOST_GROUPS { Err(too_many(parameter)) } else { Ok(read) }
}

/// Refuses groups that the account does not have.
pub(crate) fn check_groups(reader: &mut dyn Reader, account: i64, parameter: &str, ids: &[String]) -> Answer<()> {
    for id in ids {
        if security_group(reader, account, id)?.is_none() {
            let id = excerpt(id);
            return Err(bad_value_as(
                code::InvalidParameterValueSecurityGroupIdsNotExists,
                parameter,
                &format!(
                    "there is no security group `{id}`; DescribeSecurityGroups of the product vpc lists those there are"
                ),
                &format!("安全组 `{id}` 不存在，可通过 vpc 的 DescribeSecurityGroups 查询"),
            ));
        }
    }
    Ok(())
}

fn too_many(parameter: &str) -> Fault {
    let (en, zh) = ("an instance is in 10 security groups at the most", "每个实例最多关联10个安全组");
    bad_value_as(code::InvalidParameterInstanceSGOverLimitError, parameter, en, zh)
}

/// The ids of the groups that an instance is in.
pub(super) fn ids_of(reader: &mut dyn Reader, instance: &InstanceId) -> Answer<Vec<String>> {
    Ok(groups_of(reader, instance)?.into_iter().map(|group| group.id).collect())
}

/// Changes which groups some instances are in. All of them, or none.
pub(super) async fn change_members(
    call: &Call,
    instances: Vec<String>,
    parameter: &'static str,
    groups: Vec<String>,
    change: impl Fn(Vec<String>, &[String]) -> Vec<String> + Send + 'static,
) -> Answer<()> {
    let account = call.caller.account;
    call.write(move |tx: &mut dyn Tx| {
        check_groups(tx.reader(), account, parameter, &groups)?;
        for id in &instances {
            let instance = find_instance(tx.reader(), account, id)?;
            let before = ids_of(tx.reader(), &instance.id)?;
            let wanted = change(before.clone(), &groups);
            if wanted.len() > MOST_GROUPS {
                return Err(too_many(parameter));
            }
            if wanted != before {
                set_groups(tx, &instance.id, &wanted)?;
            }
        }
        Ok(())
    })
    .await?;
    call.cx.wake.routes.notify_one();
    Ok(())
}
