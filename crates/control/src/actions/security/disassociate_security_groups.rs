//! Takes instances out of a security group. One that is not in it stays as it is; one that is in none any more is reached
//! by everybody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{change_members, check_instances, check_product};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Which instances, and which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// redis.
    product: String,
    /// The group.
    security_group_id: String,
    /// The instances, 100 at the most. All of them, or none.
    instance_ids: Vec<String>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct DisassociateSecurityGroups;

impl Action for DisassociateSecurityGroups {
    const NAME: &'static str = "DisassociateSecurityGroups";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        check_product(&request.product)?;
        check_instances(&request.instance_ids)?;
        let groups = vec![request.security_group_id];
        change_members(call, request.instance_ids, "SecurityGroupId", groups, |mut before, removed| {
            before.retain(|id| !removed.contains(id));
            before
        })
        .await?;
        Ok(Response {})
    }
}
