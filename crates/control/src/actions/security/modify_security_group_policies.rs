//! Gives a security group these rules and no others, or none at all.

use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policies::{Direction, SecurityGroupPolicySet, change_rules, path, read_rules};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, bad_value_as, missing};

/// Which rules, of which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The group.
    security_group_id: String,
    /// The rules of both directions; a direction that is left out has none from now on. With the Version 0 all rules go,
    /// whatever else is given.
    security_group_policy_set: SecurityGroupPolicySet,
    /// Whether the rules are to be in the order given; here they always are.
    #[serde(rename = "SortPolicys")]
    #[expect(dead_code, reason = "the order is always the one given")]
    sort_policys: Option<bool>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ModifySecurityGroupPolicies;

impl Action for ModifySecurityGroupPolicies {
    const NAME: &'static str = "ModifySecurityGroupPolicies";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let set = request.security_group_policy_set;
        let clears = set.version.as_deref() == Some("0");
        if !clears && set.ingress.is_none() && set.egress.is_none() {
            return Err(missing("SecurityGroupPolicySet.Ingress"));
        }
        let read = |direction, policies: Option<Vec<_>>| match policies {
            Some(policies) if !clears => {
                check_places(direction, &policies)?;
                read_rules(direction, &policies, call.now)
            }
            _ => Ok(Vec::new()),
        };
        let (inbound, outbound) = (read(Direction::Ingress, set.ingress)?, read(Direction::Egress, set.egress)?);
        let version = set.version.filter(|_| !clears);
        change_rules(call, request.security_group_id, version, move |group| {
            // What stays as it is keeps the time at which it was written.
            let kept = |rules: &[ledger::SecurityRule], before: &[ledger::SecurityRule]| -> Vec<_> {
                let unchanged = |rule: &ledger::SecurityRule| {
                    before
                        .iter()
                        .find(|it| ledger::SecurityRule { modified_at: it.modified_at, ..rule.clone() } == **it)
                };
                rules.iter().map(|rule| unchanged(rule).unwrap_or(rule).clone()).collect()
            };
            group.inbound = kept(&inbound, &group.inbound);
            group.outbound = kept(&outbound, &group.outbound);
            Ok(())
        })
        .await?;
        Ok(Response {})
    }
}

/// Refuses places other than those that the rules are given at.
fn check_places(direction: Direction, policies: &[super::policies::SecurityGroupPolicy]) -> Answer<()> {
    let strange = |(index, policy): (usize, &super::policies::SecurityGroupPolicy)| {
        policy.policy_index.is_some_and(|place| usize::try_from(place) != Ok(index)).then_some(index)
    };
    let Some(index) = policies.iter().enumerate().find_map(strange) else { return Ok(()) };
    let parameter = format!("{}.PolicyIndex", path(direction, index));
    let (en, zh) =
        ("the rules have the order in which they are given; leave it out", "规则按传入顺序排列，请去掉该参数");
    Err(bad_value_as(code::InvalidParameterValue, &parameter, en, zh))
}
