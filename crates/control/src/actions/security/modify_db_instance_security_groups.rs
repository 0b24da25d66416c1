//! Puts an instance into these security groups and no others, in the order in which they are asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{change_members, check_product, read_ids};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Which instance, and which groups.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// redis.
    product: String,
    /// The groups, 10 at the most. None: everybody reaches the instance.
    security_group_ids: Vec<String>,
    /// The instance.
    instance_id: String,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ModifyDBInstanceSecurityGroups;

impl Action for ModifyDBInstanceSecurityGroups {
    const NAME: &'static str = "ModifyDBInstanceSecurityGroups";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        check_product(&request.product)?;
        let groups = read_ids("SecurityGroupIds", request.security_group_ids)?;
        change_members(call, vec![request.instance_id], "SecurityGroupIds", groups, |_, wanted| wanted.to_vec())
            .await?;
        Ok(Response {})
    }
}
