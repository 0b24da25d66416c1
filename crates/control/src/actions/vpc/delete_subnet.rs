//! Deletes a subnet in which no instance has an address.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{find_subnet, fixed, in_use, is_default_subnet, used};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;

/// What to delete.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The subnet; not a default one.
    subnet_id: String,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct DeleteSubnet;

impl Action for DeleteSubnet {
    const NAME: &'static str = "DeleteSubnet";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, account) = (call.cx.clone(), call.caller.account);
        call.write(move |tx| {
            let subnet = find_subnet(tx.reader(), &cx.settings, account, &request.subnet_id)?;
            if is_default_subnet(&cx.settings, &subnet.id) {
                return Err(fixed(&subnet.id));
            }
            if used(tx.reader(), account)?.contains_key(&subnet.id) {
                let en = "instances, or addresses that are kept for them; move those first (ModifyNetworkConfig)";
                return Err(in_use(&subnet.id, en, "中仍有实例或保留的地址，请先迁移（ModifyNetworkConfig）"));
            }
            ledger::delete_subnet(tx, &subnet.id)?;
            Ok(Response {})
        })
        .await
    }
}
