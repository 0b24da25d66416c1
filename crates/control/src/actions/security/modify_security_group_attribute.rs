//! Changes what a security group is called and what is said of it.

use ledger::set_group_name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create_security_group::{read_name, read_remark};
use super::policies::find_group;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;

/// What to change of which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The group.
    security_group_id: String,
    /// What it is called from now on; as it was where it is left out.
    group_name: Option<String>,
    /// What is said of it from now on; as it was where it is left out.
    group_description: Option<String>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ModifySecurityGroupAttribute;

impl Action for ModifySecurityGroupAttribute {
    const NAME: &'static str = "ModifySecurityGroupAttribute";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let id = request.security_group_id;
        let name = request.group_name.as_deref().map(read_name).transpose()?;
        let remark = request.group_description.as_deref().map(read_remark).transpose()?;
        let (account, now) = (call.caller.account, call.now);
        call.write(move |tx| {
            let group = find_group(tx.reader(), account, &id)?;
            let (name, remark) = (name.as_ref().unwrap_or(&group.name), remark.as_ref().unwrap_or(&group.remark));
            set_group_name(tx, &group.id, name, remark, now)?;
            Ok(Response {})
        })
        .await
    }
}
