//! Changes what is noted of a subnet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{find_subnet, fixed, is_default_subnet, read_name, read_switch};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;

/// What to change; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The subnet; not a default one.
    subnet_id: String,
    /// What to call it, 60 characters at the most.
    subnet_name: Option<String>,
    /// true or false; it is only noted.
    enable_broadcast: Option<String>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ModifySubnetAttribute;

impl Action for ModifySubnetAttribute {
    const NAME: &'static str = "ModifySubnetAttribute";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let name = request.subnet_name.as_deref().map(|name| read_name("SubnetName", name)).transpose()?;
        let broadcast = read_switch("EnableBroadcast", request.enable_broadcast.as_deref())?;
        let (cx, account) = (call.cx.clone(), call.caller.account);
        call.write(move |tx| {
            let mut subnet = find_subnet(tx.reader(), &cx.settings, account, &request.subnet_id)?;
            if is_default_subnet(&cx.settings, &subnet.id) {
                return Err(fixed(&subnet.id));
            }
            subnet.name = name.clone().unwrap_or(subnet.name);
            subnet.broadcast = broadcast.unwrap_or(subnet.broadcast);
            ledger::update_subnet(tx, &subnet)?;
            Ok(Response {})
        })
        .await
    }
}
