//! Deletes a security group that no instance is in.

use ledger::{delete_security_group, member_of_group};
use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policies::find_group;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;

/// Which group.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The group.
    security_group_id: String,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct DeleteSecurityGroup;

impl Action for DeleteSecurityGroup {
    const NAME: &'static str = "DeleteSecurityGroup";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (account, id) = (call.caller.account, request.security_group_id);
        call.write(move |tx| {
            let group = find_group(tx.reader(), account, &id)?;
            if let Some(member) = member_of_group(tx.reader(), &group.id)? {
                return Err(ApiError::new(
                    code::ResourceInUse,
                    format!(
                        "The security group `{}` has instances, such as `{member}`. Take them out of it first \
                         (DisassociateSecurityGroups).",
                        group.id
                    ),
                    format!(
                        "安全组 `{}` 仍关联实例（如 `{member}`），请先解除关联（DisassociateSecurityGroups）。",
                        group.id
                    ),
                )
                .into());
            }
            delete_security_group(tx, &group.id)?;
            Ok(Response {})
        })
        .await
    }
}
