//! Lists security groups without their rules. An id that is not there is an empty list, not an error.

use ledger::{GroupOrder, Select, list_security_groups};
use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create_security_group::{ShownSecurityGroup, show};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::errors::{Answer, bad_value, bad_value_as, excerpt};

/// Which groups.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// These, 100 at the most. Not together with Filters.
    security_group_ids: Option<Vec<String>>,
    /// Those that fit all of these: security-group-id, project-id, security-group-name, tag-key, tag:KEY. Groups have no
    /// tags here.
    filters: Option<Vec<Filter>>,
    /// How many to leave out at the beginning, as text.
    offset: Option<String>,
    /// How many to show, as text; 20 where it is left out, 100 at the most.
    limit: Option<String>,
    /// CreatedTime, as where it is left out, or UpdateTime.
    order_field: Option<String>,
    /// ASC, as where it is left out, or DESC.
    order_direction: Option<String>,
}

/// What must hold of a row.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Filter {
    /// Of what.
    pub name: String,
    /// One of these.
    pub values: Vec<String>,
}

/// A page of groups.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// This page.
    security_group_set: Vec<ShownSecurityGroup>,
    /// How many there are over all pages.
    total_count: u64,
}

pub(crate) struct DescribeSecurityGroups;

impl Action for DescribeSecurityGroups {
    const NAME: &'static str = "DescribeSecurityGroups";
    const API: Api = VPC;
    const ACCESS: Access = Access::read(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let limit = read_number("Limit", request.limit.as_deref(), 20, 1)?.min(100);
        let offset = read_number("Offset", request.offset.as_deref(), 0, 0)?;
        let order = match request.order_field.as_deref().unwrap_or_default() {
            "" | "CreatedTime" => GroupOrder::CreateTime,
            "UpdateTime" => GroupOrder::UpdateTime,
            _ => {
                return Err(bad_value(
                    "OrderField",
                    "it is CreatedTime or UpdateTime",
                    "须为 CreatedTime 或 UpdateTime",
                ));
            }
        };
        let descending = match request.order_direction.as_deref().unwrap_or_default() {
            "" | "ASC" => false,
            "DESC" => true,
            _ => return Err(bad_value("OrderDirection", "it is ASC or DESC", "须为 ASC 或 DESC")),
        };
        let filter = read_filter(call, request.security_group_ids, request.filters)?;
        let (count, groups) =
            call.read(|reader| list_security_groups(reader, &filter, order, descending, limit, offset))?;
        let security_group_set = groups.into_iter().map(|group| show(call, group)).collect();
        Ok(Response { security_group_set, total_count: u64::try_from(count).unwrap_or(0) })
    }
}

fn read_filter(call: &Call, ids: Option<Vec<String>>, filters: Option<Vec<Filter>>) -> Answer<Select> {
    let ids = ids.unwrap_or_default();
    let filters = filters.unwrap_or_default();
    if !ids.is_empty() && !filters.is_empty() {
        let (en, zh) = ("either this or Filters may be given", "不能与 Filters 同时指定");
        return Err(bad_value_as(code::InvalidParameterCoexist, "SecurityGroupIds", en, zh));
    }
    if ids.len() > 100 {
        let (en, zh) = ("100 groups at the most", "最多100个");
        return Err(bad_value_as(code::InvalidParameterValueLimitExceeded, "SecurityGroupIds", en, zh));
    }
    let mut select = Select::new();
    select.and("account = $", call.caller.account);
    if !ids.is_empty() {
        select.and_in("id", ids);
    }
    for (index, filter) in filters.into_iter().enumerate() {
        check_values(index, &filter)?;
        match filter.name.as_str() {
            "security-group-id" => select.and_in("id", filter.values),
            "security-group-name" => select.and_in("name", filter.values),
            // A number that can't be one is no project's.
            "project-id" => {
                select.and_in("project", filter.values.iter().map(|text| text.parse::<i64>().unwrap_or(-1)))
            }
            name if name == "tag-key" || name.starts_with("tag:") => select.and("1 = $", 0),
            _ => return Err(unknown_filter(index, &filter.name)),
        }
    }
    Ok(select)
}

/// Refuses a filter without values, or with very many.
pub(super) fn check_values(index: usize, filter: &Filter) -> Answer<()> {
    if (1..=100).contains(&filter.values.len()) {
        return Ok(());
    }
    Err(bad_value(&format!("Filters.{index}.Values"), "1 to 100 values", "须为1至100个"))
}

/// Refuses a filter of another name.
pub(super) fn unknown_filter(index: usize, name: &str) -> crate::errors::Fault {
    let name = excerpt(name);
    bad_value_as(
        code::InvalidParameterFilterInvalidKey,
        &format!("Filters.{index}.Name"),
        &format!("there is no filter `{name}`"),
        &format!("过滤条件 `{name}` 不存在"),
    )
}

/// Reads a number that the API has as text.
fn read_number(parameter: &str, text: Option<&str>, default: i64, least: i64) -> Answer<i64> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(default) };
    let number = text.parse::<i64>().ok().filter(|number| *number >= least);
    number.ok_or_else(|| {
        bad_value(parameter, &format!("it is a number, {least} or more"), &format!("须为不小于{least}的数字"))
    })
}
