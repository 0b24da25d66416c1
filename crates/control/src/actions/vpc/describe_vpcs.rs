//! Lists networks: the region's default one, and those that were made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Filter, VpcInfo, is_default_vpc, page, select, show_vpc};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::Answer;
use crate::network;

/// Which networks.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// These; each has to be there. Not together with Filters.
    vpc_ids: Option<Vec<String>>,
    /// Those that fit all of these: vpc-id, vpc-name, cidr-block, is-default, domain-name.
    filters: Option<Vec<Filter>>,
    /// How many to leave out at the beginning.
    #[schemars(extend("x-lenient" = true))]
    offset: Option<String>,
    /// How many to show, 1 to 100; 20 where it is left out.
    #[schemars(extend("x-lenient" = true))]
    limit: Option<String>,
}

/// A page of networks.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: u64,
    /// This page.
    vpc_set: Vec<VpcInfo>,
}

pub(crate) struct DescribeVpcs;

impl Action for DescribeVpcs {
    const NAME: &'static str = "DescribeVpcs";
    const API: Api = VPC;
    const ACCESS: Access = Access::read(Resource::Network);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let settings = &call.cx.settings;
        let all = call.read(|reader| network::vpcs(reader, settings, call.caller.account))?;
        let found = select(
            all,
            ("VpcIds", "vpc-"),
            request.vpc_ids,
            request.filters,
            |vpc| &vpc.id,
            |vpc, name| match name {
                "vpc-id" => Some(vpc.id.clone()),
                "vpc-name" => Some(vpc.name.clone()),
                "cidr-block" => Some(vpc.cidr.clone()),
                "is-default" => Some(is_default_vpc(settings, &vpc.id).to_string()),
                "domain-name" => Some(vpc.domain.clone()),
                _ => None,
            },
            &["vpc-id", "vpc-name", "cidr-block", "is-default", "domain-name"],
        )?;
        let (total_count, found) = page(found, request.offset.as_deref(), request.limit.as_deref())?;
        Ok(Response { total_count, vpc_set: found.into_iter().map(|vpc| show_vpc(settings, vpc)).collect() })
    }
}
