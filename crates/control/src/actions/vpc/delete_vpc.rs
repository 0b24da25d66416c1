//! Deletes a network that has no subnets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{find_vpc, fixed, in_use, is_default_vpc};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;

/// What to delete.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The network; not the default one.
    vpc_id: String,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct DeleteVpc;

impl Action for DeleteVpc {
    const NAME: &'static str = "DeleteVpc";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, account) = (call.cx.clone(), call.caller.account);
        call.write(move |tx| {
            let vpc = find_vpc(tx.reader(), &cx.settings, account, &request.vpc_id)?;
            if is_default_vpc(&cx.settings, &vpc.id) {
                return Err(fixed(&vpc.id));
            }
            if ledger::subnets(tx.reader(), account)?.iter().any(|subnet| subnet.vpc == vpc.id) {
                let en = "subnets; delete them first (DeleteSubnet)";
                return Err(in_use(&vpc.id, en, "下仍有子网，请先删除子网（DeleteSubnet）"));
            }
            ledger::delete_vpc(tx, &vpc.id)?;
            Ok(Response {})
        })
        .await
    }
}
