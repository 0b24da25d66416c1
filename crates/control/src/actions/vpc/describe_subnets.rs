//! Lists subnets: each zone's default one, and those that were made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Filter, SubnetInfo, is_default_subnet, page, select, show_subnet, used};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, bad_value};
use crate::network;

/// Which subnets.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// These; each has to be there. Not together with Filters.
    subnet_ids: Option<Vec<String>>,
    /// Those that fit all of these: subnet-id, subnet-name, vpc-id, cidr-block, is-default, is-remote-vpc-snat, zone.
    filters: Option<Vec<Filter>>,
    /// How many to leave out at the beginning.
    #[schemars(extend("x-lenient" = true))]
    offset: Option<String>,
    /// How many to show, 1 to 100; 20 where it is left out.
    #[schemars(extend("x-lenient" = true))]
    limit: Option<String>,
    /// In place of Limit, by those who go on from NextToken.
    max_results: Option<u64>,
    /// Where to go on.
    next_token: Option<String>,
}

/// A page of subnets.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: u64,
    /// This page.
    subnet_set: Vec<SubnetInfo>,
    /// Where the next page begins; empty after the last.
    next_token: String,
}

pub(crate) struct DescribeSubnets;

impl Action for DescribeSubnets {
    const NAME: &'static str = "DescribeSubnets";
    const API: Api = VPC;
    const ACCESS: Access = Access::read(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (settings, account) = (&call.cx.settings, call.caller.account);
        let (all, used) =
            call.read(|reader| Ok((network::subnets(reader, settings, account)?, used(reader, account)?)))?;
        let found = select(
            all,
            ("SubnetIds", "subnet-"),
            request.subnet_ids,
            request.filters,
            |subnet| &subnet.id,
            |subnet, name| match name {
                "subnet-id" => Some(subnet.id.clone()),
                "subnet-name" => Some(subnet.name.clone()),
                "vpc-id" => Some(subnet.vpc.clone()),
                "cidr-block" => Some(subnet.cidr.clone()),
                "is-default" => Some(is_default_subnet(settings, &subnet.id).to_string()),
                "is-remote-vpc-snat" => Some("false".into()),
                "zone" => settings.region.zone(subnet.zone).map(|zone| zone.name.clone()),
                _ => None,
            },
            &["subnet-id", "subnet-name", "vpc-id", "cidr-block", "is-default", "is-remote-vpc-snat", "zone"],
        )?;
        let token = request.next_token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| token.parse::<usize>().is_err()) {
            let (en, zh) = ("it is that of an answer before", "须为此前应答中的取值");
            return Err(bad_value("NextToken", en, zh));
        }
        let by_token = request.max_results.is_some() || token.is_some();
        let offset = token.or(request.offset);
        let limit = request.max_results.map(|most| most.to_string()).or(request.limit);
        let begin: usize = offset.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
        let (total_count, found) = page(found, offset.as_deref(), limit.as_deref())?;
        let end = begin + found.len();
        let next_token = if by_token && (end as u64) < total_count { end.to_string() } else { String::new() };
        let show = |subnet: ledger::Subnet| {
            let used = used.get(&subnet.id).copied().unwrap_or(0);
            show_subnet(settings, subnet, used)
        };
        Ok(Response { total_count, subnet_set: found.into_iter().map(show).collect(), next_token })
    }
}
