//! Adds rules to a security group, in one direction: at the place that they name, or at the end.

use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policies::{SecurityGroupPolicySet, change_rules, path, read_rules};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, bad_value_as};

/// Which rules, of which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The group.
    security_group_id: String,
    /// Either Ingress or Egress. With a PolicyIndex, which is then the same for all, they come before the rule that has
    /// that place, in the order given.
    security_group_policy_set: SecurityGroupPolicySet,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct CreateSecurityGroupPolicies;

impl Action for CreateSecurityGroupPolicies {
    const NAME: &'static str = "CreateSecurityGroupPolicies";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let version = request.security_group_policy_set.version.clone();
        let (direction, policies) = request.security_group_policy_set.one_direction()?;
        let place = policies.first().and_then(|policy| policy.policy_index);
        if let Some(index) = policies.iter().position(|policy| policy.policy_index != place) {
            let parameter = format!("{}.PolicyIndex", path(direction, index));
            let (en, zh) = ("all rules of a request have the same, or none", "一次请求中所有规则的索引须一致");
            return Err(bad_value_as(code::InvalidParameterValue, &parameter, en, zh));
        }
        let new = read_rules(direction, &policies, call.now)?;
        change_rules(call, request.security_group_id, version, move |group| {
            let rules = direction.of(group);
            let at = match place {
                None => rules.len(),
                Some(place) => usize::try_from(place).ok().filter(|at| *at <= rules.len()).ok_or_else(|| {
                    let most = rules.len();
                    let (en, zh) = (format!("it is 0 to {most}"), format!("须为0至{most}"));
                    let parameter = format!("{}.PolicyIndex", path(direction, 0));
                    bad_value_as(code::InvalidParameterValueRange, &parameter, &en, &zh)
                })?,
            };
            rules.splice(at..at, new.iter().cloned());
            Ok(())
        })
        .await?;
        Ok(Response {})
    }
}
