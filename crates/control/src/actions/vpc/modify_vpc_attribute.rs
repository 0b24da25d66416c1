//! Changes what is noted of a network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{find_vpc, fixed, is_default_vpc, read_dns, read_domain, read_name, read_switch, refuse};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;

/// What to change; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The network; not the default one.
    vpc_id: String,
    /// What to call it, 60 characters at the most.
    vpc_name: Option<String>,
    /// true or false; it is only noted.
    enable_multicast: Option<String>,
    /// Four at the most; they are only noted.
    dns_servers: Option<Vec<String>>,
    /// It is only noted.
    domain_name: Option<String>,
    /// Whether its routes are told to others.
    enable_route_vpc_publish: Option<bool>,
    /// Whether dedicated clusters are told of it.
    enable_cdc_publish: Option<bool>,
    /// Whether its routes of IPv6 are told to others.
    enable_route_vpc_publish_ipv6: Option<bool>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ModifyVpcAttribute;

impl Action for ModifyVpcAttribute {
    const NAME: &'static str = "ModifyVpcAttribute";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        refuse(&[
            ("EnableRouteVpcPublish", request.enable_route_vpc_publish == Some(true)),
            ("EnableCdcPublish", request.enable_cdc_publish == Some(true)),
            ("EnableRouteVpcPublishIpv6", request.enable_route_vpc_publish_ipv6 == Some(true)),
        ])?;
        let name = request.vpc_name.as_deref().map(|name| read_name("VpcName", name)).transpose()?;
        let multicast = read_switch("EnableMulticast", request.enable_multicast.as_deref())?;
        let dns = read_dns(request.dns_servers)?;
        let domain = read_domain(request.domain_name.as_deref())?;
        let (cx, account) = (call.cx.clone(), call.caller.account);
        call.write(move |tx| {
            let mut vpc = find_vpc(tx.reader(), &cx.settings, account, &request.vpc_id)?;
            if is_default_vpc(&cx.settings, &vpc.id) {
                return Err(fixed(&vpc.id));
            }
            vpc.name = name.clone().unwrap_or(vpc.name);
            vpc.multicast = multicast.unwrap_or(vpc.multicast);
            vpc.dns = dns.clone().unwrap_or(vpc.dns);
            vpc.domain = domain.clone().unwrap_or(vpc.domain);
            ledger::update_vpc(tx, &vpc)?;
            Ok(Response {})
        })
        .await
    }
}
