//! Lists route tables: each network has one, which leads nowhere else.

use ledger::{Subnet, Vpc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Filter, Tag, page, select, show_time};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;
use crate::network;

/// Which route tables.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Those that fit all of these: route-table-id, route-table-name, vpc-id, association.main.
    filters: Option<Vec<Filter>>,
    /// These; each has to be there. Not together with Filters.
    route_table_ids: Option<Vec<String>>,
    /// How many to leave out at the beginning.
    #[schemars(extend("x-lenient" = true))]
    offset: Option<String>,
    /// How many to show, 1 to 100; 20 where it is left out.
    #[schemars(extend("x-lenient" = true))]
    limit: Option<String>,
    /// Whether to list their routes; there are none.
    #[expect(dead_code, reason = "either value gives the same list")]
    need_router_info: Option<bool>,
}

/// A page of route tables.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: u64,
    /// This page.
    route_table_set: Vec<RouteTable>,
}

/// A route table.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RouteTable {
    /// Its network.
    vpc_id: String,
    /// Its id.
    route_table_id: String,
    /// Always default.
    route_table_name: &'static str,
    /// The subnets of the network.
    association_set: Vec<RouteTableAssociation>,
    /// Always empty.
    route_set: Vec<Route>,
    /// Always true.
    main: bool,
    /// When its network was made; zeros for the default one.
    created_time: String,
    /// Always empty.
    tag_set: Vec<Tag>,
    /// Always empty.
    local_cidr_for_ccn: Vec<CidrForCcn>,
}

/// A subnet that a route table is for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RouteTableAssociation {
    subnet_id: String,
    route_table_id: String,
}

/// A route; there are none.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Route {
    destination_cidr_block: String,
    gateway_type: String,
    gateway_id: String,
    route_id: u64,
    route_description: String,
    enabled: bool,
    route_type: String,
    route_table_id: String,
    destination_ipv6_cidr_block: String,
    route_item_id: String,
    published_to_vbc: bool,
    created_time: String,
    cdc_id: String,
}

/// What is told to other networks; nothing is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CidrForCcn {
    cidr: String,
    published_to_vbc: bool,
}

const NAME: &str = "default";

pub(crate) struct DescribeRouteTables;

impl Action for DescribeRouteTables {
    const NAME: &'static str = "DescribeRouteTables";
    const API: Api = VPC;
    const ACCESS: Access = Access::read(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (settings, account) = (&call.cx.settings, call.caller.account);
        let (vpcs, subnets) = call.read(|reader| {
            Ok((network::vpcs(reader, settings, account)?, network::subnets(reader, settings, account)?))
        })?;
        let all: Vec<(String, Vpc)> = vpcs.into_iter().map(|vpc| (network::route_table(&vpc.id), vpc)).collect();
        let found = select(
            all,
            ("RouteTableIds", "rtb-"),
            request.route_table_ids,
            request.filters,
            |(id, _)| id,
            |(id, vpc), name| match name {
                "route-table-id" => Some(id.clone()),
                "route-table-name" => Some(NAME.into()),
                "vpc-id" => Some(vpc.id.clone()),
                "association.main" => Some("true".into()),
                _ => None,
            },
            &["route-table-id", "route-table-name", "vpc-id", "association.main"],
        )?;
        let (total_count, found) = page(found, request.offset.as_deref(), request.limit.as_deref())?;
        let show = |(id, vpc): (String, Vpc)| RouteTable {
            association_set: associations(&subnets, &vpc.id, &id),
            created_time: show_time(settings, vpc.created_at),
            vpc_id: vpc.id,
            route_table_id: id,
            route_table_name: NAME,
            route_set: Vec::new(),
            main: true,
            tag_set: Vec::new(),
            local_cidr_for_ccn: Vec::new(),
        };
        Ok(Response { total_count, route_table_set: found.into_iter().map(show).collect() })
    }
}

fn associations(subnets: &[Subnet], vpc: &str, id: &str) -> Vec<RouteTableAssociation> {
    let of_vpc = subnets.iter().filter(|subnet| subnet.vpc == vpc);
    of_vpc.map(|subnet| RouteTableAssociation { subnet_id: subnet.id.clone(), route_table_id: id.to_owned() }).collect()
}
