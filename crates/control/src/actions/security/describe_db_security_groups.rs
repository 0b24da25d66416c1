//! Lists the security groups of an instance with their rules.

use ledger::groups_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{ShownGroup, check_product, find_instance, show};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// redis.
    product: String,
    /// The instance.
    instance_id: String,
}

/// Its groups, and its address.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The groups, in the order in which they are asked; none where everybody reaches the instance.
    groups: Vec<ShownGroup>,
    /// The IP of its address.
    #[serde(rename = "VIP")]
    vip: String,
    /// The port of its address.
    #[serde(rename = "VPort")]
    v_port: String,
}

pub(crate) struct DescribeDBSecurityGroups;

impl Action for DescribeDBSecurityGroups {
    const NAME: &'static str = "DescribeDBSecurityGroups";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        check_product(&request.product)?;
        let account = call.caller.account;
        let (instance, groups) = call.read(|reader| {
            let instance = match find_instance(reader, account, &request.instance_id) {
                Ok(instance) => instance,
                Err(fault) => return Ok(Err(fault)),
            };
            let groups = groups_of(reader, &instance.id)?;
            Ok(Ok((instance, groups)))
        })??;
        Ok(Response {
            groups: groups.into_iter().map(|group| show(call, group)).collect(),
            vip: instance.vip.0.ip().to_string(),
            v_port: instance.vip.0.port().to_string(),
        })
    }
}
