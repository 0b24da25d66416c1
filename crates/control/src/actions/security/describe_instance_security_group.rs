//! Lists the security groups of instances. An id that is not there is left out.

use ledger::{SecurityGroup, groups_of, instance};
use model::InstanceId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{GroupDetail, check_instances, show_detail};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Which instances.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instances, 100 at the most.
    instance_ids: Vec<String>,
}

/// Their groups.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// One for each instance.
    instance_security_groups_detail: Vec<InstanceSecurityGroupDetail>,
}

/// The groups of an instance.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceSecurityGroupDetail {
    /// The instance.
    instance_id: String,
    /// Its groups, in the order in which they are asked; none where everybody reaches it.
    security_group_details: Vec<GroupDetail>,
}

pub(crate) struct DescribeInstanceSecurityGroup;

impl Action for DescribeInstanceSecurityGroup {
    const NAME: &'static str = "DescribeInstanceSecurityGroup";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        check_instances(&request.instance_ids)?;
        let found = call.read(|reader| {
            let mut found: Vec<(InstanceId, Vec<SecurityGroup>)> = Vec::new();
            for id in request.instance_ids.iter().filter_map(|id| InstanceId::parse(id)) {
                let is_ours = instance(reader, &id)?.is_some_and(|instance| instance.account == call.caller.account);
                if is_ours {
                    let groups = groups_of(reader, &id)?;
                    found.push((id, groups));
                }
            }
            Ok(found)
        })?;
        let show = |(id, groups): (InstanceId, Vec<SecurityGroup>)| InstanceSecurityGroupDetail {
            instance_id: id.to_string(),
            security_group_details: groups.into_iter().map(|group| show_detail(call, group)).collect(),
        };
        Ok(Response { instance_security_groups_detail: found.into_iter().map(show).collect() })
    }
}
