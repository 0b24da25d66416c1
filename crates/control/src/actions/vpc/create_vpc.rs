//! Makes a network, in which instances can be filed. It costs nothing and separates nothing.

use ledger::Vpc;
use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    MOST_VPCS, Tag, VpcInfo, is_given, private_nets, read_cidr, read_dns, read_domain, read_name, read_switch, refuse,
    refuse_tags, show_vpc, too_many,
};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, bad_value_as, missing};
use crate::network;

/// What to make.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// What to call it, 60 characters at the most.
    vpc_name: String,
    /// IPv4.
    stack_type: Option<String>,
    /// Its addresses, as 10.0.0.0/16: within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or what the service has, with a
    /// prefix of 12 to 28.
    cidr_block: Option<String>,
    /// Its addresses of IPv6.
    ipv6_cidr_block: Option<String>,
    /// The kind of its addresses of IPv6.
    address_type: Option<String>,
    /// true or false; it is only noted.
    enable_multicast: Option<String>,
    /// Four at the most; they are only noted.
    dns_servers: Option<Vec<String>>,
    /// It is only noted.
    domain_name: Option<String>,
    /// Tags to put on it.
    tags: Option<Vec<Tag>>,
    /// Whether its routes are told to others.
    enable_route_vpc_publish: Option<bool>,
    /// The same of IPv6.
    enable_route_vpc_publish_ipv6: Option<bool>,
}

/// What was made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The network.
    vpc: VpcInfo,
}

pub(crate) struct CreateVpc;

impl Action for CreateVpc {
    const NAME: &'static str = "CreateVpc";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        refuse_tags(request.tags.as_ref())?;
        refuse(&[
            ("StackType", request.stack_type.as_deref().is_some_and(|stack| !["", "IPv4"].contains(&stack))),
            ("Ipv6CidrBlock", is_given(request.ipv6_cidr_block.as_deref())),
            ("AddressType", is_given(request.address_type.as_deref())),
            ("EnableRouteVpcPublish", request.enable_route_vpc_publish == Some(true)),
            ("EnableRouteVpcPublishIpv6", request.enable_route_vpc_publish_ipv6 == Some(true)),
        ])?;
        let (cx, account) = (call.cx.clone(), call.caller.account);
        let cidr = read_cidr(request.cidr_block.as_deref().ok_or_else(|| missing("CidrBlock"))?, 12)?;
        let nets = private_nets(&cx);
        if !nets.iter().any(|net| net.contains(&cidr)) {
            let nets = nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let (en, zh) = (format!("it must lie within one of {nets}"), format!("须在以下网段内：{nets}"));
            return Err(bad_value_as(code::InvalidParameterValueRange, "CidrBlock", &en, &zh));
        }
        let vpc = Vpc {
            id: network::new_id(&cx.random, "vpc-"),
            account,
            name: read_name("VpcName", &request.vpc_name)?,
            cidr: cidr.to_string(),
            multicast: read_switch("EnableMulticast", request.enable_multicast.as_deref())?.unwrap_or(false),
            dns: read_dns(request.dns_servers)?.unwrap_or_default(),
            domain: read_domain(request.domain_name.as_deref())?.unwrap_or_default(),
            created_at: call.now,
        };
        call.write(move |tx| {
            if ledger::vpcs(tx.reader(), account)?.len() >= MOST_VPCS {
                let en = format!("An account may make {MOST_VPCS} networks; delete some (DeleteVpc).");
                return Err(too_many(en, format!("最多可创建 {MOST_VPCS} 个私有网络，请先删除（DeleteVpc）。")));
            }
            ledger::insert_vpc(tx, &vpc)?;
            Ok(Response { vpc: show_vpc(&cx.settings, vpc.clone()) })
        })
        .await
    }
}
