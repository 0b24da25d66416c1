//! Makes a subnet of a network. Where its addresses lie within those that the service has, instances in it have them;
//! otherwise they have others.

use ipnet::Ipv4Net;
use ledger::{Subnet, Vpc};
use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    MOST_SUBNETS, SubnetInfo, Tag, find_vpc, is_given, read_cidr, read_name, refuse, refuse_tags, show_subnet, too_many,
};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, bad_value_as, missing};
use crate::network;

/// What to make.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The network that it is a part of.
    vpc_id: String,
    /// What to call it, 60 characters at the most.
    subnet_name: String,
    /// Its zone, by name.
    zone: String,
    /// IPv4.
    stack_type: Option<String>,
    /// Its addresses, as 10.0.0.0/24: within the network's and none of another subnet's, with a prefix of 16 to 28.
    cidr_block: Option<String>,
    /// Its addresses of IPv6.
    ipv6_cidr_block: Option<String>,
    /// Tags to put on it.
    tags: Option<Vec<Tag>>,
    /// A dedicated cluster.
    cdc_id: Option<String>,
}

/// What was made.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The subnet.
    subnet: SubnetInfo,
}

pub(crate) struct CreateSubnet;

impl Action for CreateSubnet {
    const NAME: &'static str = "CreateSubnet";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        refuse_tags(request.tags.as_ref())?;
        refuse(&[
            ("StackType", request.stack_type.as_deref().is_some_and(|stack| !["", "IPv4"].contains(&stack))),
            ("Ipv6CidrBlock", is_given(request.ipv6_cidr_block.as_deref())),
            ("CdcId", is_given(request.cdc_id.as_deref())),
        ])?;
        let (cx, account, now) = (call.cx.clone(), call.caller.account, call.now);
        let cidr = read_cidr(request.cidr_block.as_deref().ok_or_else(|| missing("CidrBlock"))?, 16)?;
        let name = read_name("SubnetName", &request.subnet_name)?;
        let Some(zone) = cx.settings.region.zone_named(&request.zone).map(|zone| zone.id) else {
            let (en, zh) = ("the region has no such zone", "该地域没有此可用区");
            return Err(bad_value_as(code::InvalidParameterValueUnavailableZone, "Zone", en, zh));
        };
        let id = network::new_id(&cx.random, "subnet-");
        call.write(move |tx| {
            let vpc = find_vpc(tx.reader(), &cx.settings, account, &request.vpc_id)?;
            let siblings: Vec<Subnet> = network::subnets(tx.reader(), &cx.settings, account)?
                .into_iter()
                .filter(|subnet| subnet.vpc == vpc.id)
                .collect();
            check_place(&vpc, &siblings, cidr)?;
            if siblings.len() >= MOST_SUBNETS {
                let en = format!("A network may have {MOST_SUBNETS} subnets; delete some (DeleteSubnet).");
                return Err(too_many(
                    en,
                    format!("每个私有网络最多 {MOST_SUBNETS} 个子网，请先删除（DeleteSubnet）。"),
                ));
            }
            let subnet = Subnet {
                id: id.clone(),
                vpc: vpc.id,
                account,
                name: name.clone(),
                cidr: cidr.to_string(),
                zone,
                broadcast: false,
                created_at: now,
            };
            ledger::insert_subnet(tx, &subnet)?;
            Ok(Response { subnet: show_subnet(&cx.settings, subnet, 0) })
        })
        .await
    }
}

fn check_place(vpc: &Vpc, siblings: &[Subnet], cidr: Ipv4Net) -> Answer<()> {
    if !vpc.cidr.parse().is_ok_and(|net: Ipv4Net| net.contains(&cidr)) {
        let (en, zh) =
            (format!("it must lie within {}, the network's", vpc.cidr), format!("须在私有网络网段 {} 内", vpc.cidr));
        return Err(bad_value_as(code::InvalidParameterValueSubnetRange, "CidrBlock", &en, &zh));
    }
    for other in siblings {
        let Ok(net) = other.cidr.parse::<Ipv4Net>() else { continue };
        if !net.contains(&cidr) && !cidr.contains(&net) {
            continue;
        }
        let code = if net == cidr {
            code::InvalidParameterValueSubnetConflict
        } else {
            code::InvalidParameterValueSubnetOverlap
        };
        let en = format!("the subnet `{}` has addresses of it: {net}", other.id);
        return Err(bad_value_as(code, "CidrBlock", &en, &format!("与子网 `{}` 的网段 {net} 重叠", other.id)));
    }
    Ok(())
}
