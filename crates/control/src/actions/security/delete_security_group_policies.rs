//! Takes rules out of a security group, in one direction: by their places, or by what they say.

use std::collections::BTreeSet;

use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policies::{SecurityGroupPolicySet, change_rules, is_same, path, read_rules};
use super::replace_security_group_policies::no_such_place;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, missing};

/// Which rules, of which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The group.
    security_group_id: String,
    /// Either Ingress or Egress. Rules are named by PolicyIndex, or else by Action, Protocol, Port and CidrBlock; in one
    /// way for all.
    security_group_policy_set: SecurityGroupPolicySet,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct DeleteSecurityGroupPolicies;

impl Action for DeleteSecurityGroupPolicies {
    const NAME: &'static str = "DeleteSecurityGroupPolicies";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let id = request.security_group_id;
        let version = request.security_group_policy_set.version.clone();
        let (direction, policies) = request.security_group_policy_set.one_direction()?;
        let places: Vec<i64> = policies.iter().filter_map(|policy| policy.policy_index).collect();
        if places.is_empty() {
            let named = read_rules(direction, &policies, call.now)?;
            change_rules(call, id, version, move |group| {
                let rules = direction.of(group);
                for (index, rule) in named.iter().enumerate() {
                    let at = rules.iter().position(|it| is_same(it, rule));
                    rules.remove(at.ok_or_else(|| no_such_rule(&path(direction, index)))?);
                }
                Ok(())
            })
            .await?;
            return Ok(Response {});
        }
        if let Some(index) = policies.iter().position(|policy| policy.policy_index.is_none()) {
            return Err(missing(&format!("{}.PolicyIndex", path(direction, index))));
        }
        change_rules(call, id, version, move |group| {
            let rules = direction.of(group);
            let mut leaving = BTreeSet::new();
            for (index, place) in places.iter().enumerate() {
                let at = usize::try_from(*place).ok().filter(|at| *at < rules.len());
                leaving.insert(at.ok_or_else(|| no_such_place(direction, index))?);
            }
            // From the end, so that the others keep their places meanwhile.
            for at in leaving.into_iter().rev() {
                rules.remove(at);
            }
            Ok(())
        })
        .await?;
        Ok(Response {})
    }
}

fn no_such_rule(path: &str) -> ApiError {
    ApiError::new(
        code::ResourceNotFound,
        format!(
            "The group has no rule that says what `{path}` does; DescribeSecurityGroupPolicies lists those there are."
        ),
        format!("安全组中没有与 `{path}` 一致的规则，可通过 DescribeSecurityGroupPolicies 查询。"),
    )
}
