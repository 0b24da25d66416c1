//! Lists the rules of a security group.

use ledger::SecurityRule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::describe_security_groups::{Filter, check_values, unknown_filter};
use super::groups::action;
use super::policies::{Direction, SecurityGroupPolicySet, find_group, show};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;

/// Of which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The group.
    security_group_id: String,
    /// Those that fit all of these: direction (INBOUND, OUTBOUND, ALL), poly (ACCEPT, DROP, ALL), protocol-type, port, ip
    /// and description, the last three by a part of them; security-group-id, address-module and service-module, which no
    /// rule has here.
    filters: Option<Vec<Filter>>,
}

/// The rules.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// In the order in which they are asked.
    security_group_policy_set: SecurityGroupPolicySet,
}

pub(crate) struct DescribeSecurityGroupPolicies;

impl Action for DescribeSecurityGroupPolicies {
    const NAME: &'static str = "DescribeSecurityGroupPolicies";
    const API: Api = VPC;
    const ACCESS: Access = Access::read(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        const KNOWN: &[&str] = &[
            "direction",
            "poly",
            "protocol-type",
            "port",
            "ip",
            "description",
            "security-group-id",
            "address-module",
            "service-module",
        ];
        let filters = request.filters.unwrap_or_default();
        for (index, filter) in filters.iter().enumerate() {
            check_values(index, filter)?;
            if !KNOWN.contains(&filter.name.as_str()) {
                return Err(unknown_filter(index, &filter.name));
            }
        }
        let account = call.caller.account;
        let group = call.read(|reader| Ok(find_group(reader, account, &request.security_group_id)))??;
        let keeps = |direction: Direction, rule: &SecurityRule| filters.iter().all(|it| fits(it, direction, rule));
        Ok(Response { security_group_policy_set: show(call, &group, keeps) })
    }
}

/// Whether a rule has one of a filter's values.
fn fits(filter: &Filter, direction: Direction, rule: &SecurityRule) -> bool {
    let side = if direction == Direction::Ingress { "INBOUND" } else { "OUTBOUND" };
    filter.values.iter().any(|value| {
        let is = |text: &str| value.eq_ignore_ascii_case(text);
        match filter.name.as_str() {
            "direction" => is("ALL") || is(side),
            "poly" => is("ALL") || is(action(rule)),
            "protocol-type" => is(&rule.protocol),
            "port" => is("ALL") || rule.ports.contains(value.as_str()),
            "ip" => rule.cidr.contains(value.as_str()),
            "description" => rule.description.contains(value.as_str()),
            _ => false,
        }
    })
}
