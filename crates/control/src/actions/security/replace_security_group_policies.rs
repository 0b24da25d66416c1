//! Writes rules of a security group anew, in one direction, each at its place.

use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policies::{Direction, SecurityGroupPolicySet, change_rules, path, read_rules};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, Fault, bad_value_as, missing, not_built};

/// Which rules, of which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The group.
    security_group_id: String,
    /// Either Ingress or Egress, each rule with its PolicyIndex.
    security_group_policy_set: SecurityGroupPolicySet,
    /// The rules as they were. Needed to move rules, which is not supported; without meaning otherwise.
    #[expect(dead_code, reason = "what is replaced is named by its place")]
    original_security_group_policy_set: Option<SecurityGroupPolicySet>,
    /// Policy, as where it is left out: what the rules say. Priority and Both are not supported.
    update_type: Option<String>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ReplaceSecurityGroupPolicies;

impl Action for ReplaceSecurityGroupPolicies {
    const NAME: &'static str = "ReplaceSecurityGroupPolicies";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if !matches!(request.update_type.as_deref(), None | Some("" | "Policy")) {
            return Err(not_built("UpdateType"));
        }
        let version = request.security_group_policy_set.version.clone();
        let (direction, policies) = request.security_group_policy_set.one_direction()?;
        let mut places = Vec::with_capacity(policies.len());
        for (index, policy) in policies.iter().enumerate() {
            let parameter = format!("{}.PolicyIndex", path(direction, index));
            places.push(policy.policy_index.ok_or_else(|| missing(&parameter))?);
        }
        let new = read_rules(direction, &policies, call.now)?;
        change_rules(call, request.security_group_id, version, move |group| {
            let rules = direction.of(group);
            for (index, (place, rule)) in places.iter().zip(&new).enumerate() {
                let at = usize::try_from(*place).ok().and_then(|place| rules.get_mut(place));
                *at.ok_or_else(|| no_such_place(direction, index))? = rule.clone();
            }
            Ok(())
        })
        .await?;
        Ok(Response {})
    }
}

/// Refuses a place at which there is no rule.
pub(super) fn no_such_place(direction: Direction, index: usize) -> Fault {
    let (en, zh) = (
        "there is no rule at this place; DescribeSecurityGroupPolicies lists those there are",
        "该索引没有规则，可通过 DescribeSecurityGroupPolicies 查询",
    );
    bad_value_as(code::InvalidParameterValueRange, &format!("{}.PolicyIndex", path(direction, index)), en, zh)
}
