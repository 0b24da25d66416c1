//! Lists the security groups of a project with their rules, page by page.

use ledger::{GroupOrder, Select, list_security_groups};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{ShownGroup, check_product, show};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};

/// Which groups.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// redis.
    product: String,
    /// Those of this project; those of all where it is left out.
    project_id: Option<u64>,
    /// How many to leave out at the beginning.
    offset: Option<u64>,
    /// How many to show, 20 where it is left out. More than 100 is served as 100.
    limit: Option<u64>,
    /// Those with this id, or this name.
    search_key: Option<String>,
}

/// A page of groups.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// This page, oldest first.
    groups: Vec<ShownGroup>,
    /// How many there are over all pages.
    total: u64,
}

pub(crate) struct DescribeProjectSecurityGroups;

impl Action for DescribeProjectSecurityGroups {
    const NAME: &'static str = "DescribeProjectSecurityGroups";
    const ACCESS: Access = Access::read(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        check_product(&request.product)?;
        let limit = match request.limit.unwrap_or(20) {
            0 => return Err(bad_value("Limit", "it must be 1 or more", "须大于0")),
            limit => limit.min(100) as i64,
        };
        let offset = i64::try_from(request.offset.unwrap_or(0)).unwrap_or(i64::MAX);
        let mut filter = Select::new();
        filter.and("account = $", call.caller.account);
        if let Some(project) = request.project_id {
            filter.and("project = $", i64::try_from(project).unwrap_or(i64::MAX));
        }
        if let Some(key) = request.search_key.filter(|key| !key.is_empty()) {
            filter.and("(id = $ or name = $)", key);
        }
        let order = GroupOrder::CreateTime;
        let (count, groups) = call.read(|reader| list_security_groups(reader, &filter, order, false, limit, offset))?;
        let groups = groups.into_iter().map(|group| show(call, group)).collect();
        Ok(Response { groups, total: u64::try_from(count).unwrap_or(0) })
    }
}
