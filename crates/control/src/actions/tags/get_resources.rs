//! Lists resources that have tags, with them: all, those that are named, or those that have certain ones.

use ledger::{Select, Tag as Kept, list_instance_ids, tags_of};
use model::{InstanceId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resources::{Tag, check_count, name, read_name};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, TAG};
use crate::errors::{Answer, bad_value, bad_value_as};

/// Which resources.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// These, 10 at the most: qcs::redis:REGION:uin/UIN:instance/ID, where UIN may be left out. All of them are shown at
    /// once.
    resource_list: Option<Vec<String>>,
    /// Those that fit all of these, 6 at the most.
    tag_filters: Option<Vec<TagFilter>>,
    /// What the page before answered; empty for the first one.
    pagination_token: Option<String>,
    /// How many to show, 50 where it is left out, 200 at the most.
    max_results: Option<u64>,
}

/// Resources that have a tag.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagFilter {
    /// The tag's key.
    tag_key: String,
    /// One of these values, 10 at the most; any where it is left out.
    tag_value: Option<Vec<String>>,
}

/// A page of resources.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// For the next page; empty on the last one.
    pagination_token: String,
    /// This page.
    resource_tag_mapping_list: Vec<ResourceTagMapping>,
}

/// A resource and its tags.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ResourceTagMapping {
    /// Its name.
    resource: String,
    /// All of its tags, by key.
    tags: Vec<Tag>,
}

pub(crate) struct GetResources;

impl Action for GetResources {
    const NAME: &'static str = "GetResources";
    const API: Api = TAG;
    const ACCESS: Access = Access::read(Resource::Instance);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let most = match request.max_results.unwrap_or(50) {
            most @ 1..=200 => most as i64,
            _ => return Err(bad_value("MaxResults", "it is 1 to 200", "须为1至200")),
        };
        let mut filter = Select::new();
        filter.and("account = $", call.caller.account);
        filter.and("exists (select 1 from tag where tag.instance = instance.id and tag.key <> $)", "");
        let named = request.resource_list.filter(|list| !list.is_empty());
        let is_paged = named.is_none();
        if let Some(resources) = named {
            let ids = read_ids(call, &resources)?;
            if ids.is_empty() {
                return Ok(Response { pagination_token: String::new(), resource_tag_mapping_list: Vec::new() });
            }
            filter.and_in("id", ids);
        } else if let Some(token) = request.pagination_token.filter(|token| !token.is_empty()) {
            if InstanceId::parse(&token).is_none() {
                let (en, zh) = ("it is what the page before answered", "须为上一页返回的值");
                return Err(bad_value_as(code::InvalidParameterPaginationTokenInvalid, "PaginationToken", en, zh));
            }
            filter.and("id > $", token);
        }
        add_filters(&mut filter, request.tag_filters.unwrap_or_default())?;
        let mut found = call.read(|reader| {
            // One more than is shown tells whether there is a next page.
            let ids = list_instance_ids(reader, &filter, if is_paged { most + 1 } else { i64::MAX })?;
            let with_tags = ids.into_iter().map(|id| tags_of(reader, &id).map(|tags| (id, tags)));
            with_tags.collect::<ledger::Result<Vec<(InstanceId, Vec<Kept>)>>>()
        })?;
        let has_more = is_paged && found.len() as i64 > most;
        if has_more {
            found.truncate(most as usize);
        }
        let last = found.last().filter(|_| has_more).map(|(id, _)| id.to_string());
        Ok(Response {
            pagination_token: last.unwrap_or_default(),
            resource_tag_mapping_list: found.into_iter().map(|(id, tags)| show(call, &id, tags)).collect(),
        })
    }
}

/// The instances among the resources named. What is elsewhere is not here.
fn read_ids(call: &Call, resources: &[String]) -> Answer<Vec<String>> {
    check_count("ResourceList", resources.len(), code::LimitExceededResourceNumPerRequest)?;
    let mut ids = Vec::new();
    for (index, resource) in resources.iter().enumerate() {
        let (region, parameter) = (&call.cx.settings.region.name, format!("ResourceList.{index}"));
        let named = read_name(region, call.caller.account, &parameter, resource)?;
        if named.is_here() {
            ids.push(named.id.to_owned());
        }
    }
    Ok(ids)
}

fn add_filters(select: &mut Select, filters: Vec<TagFilter>) -> Answer<()> {
    if filters.len() > 6 {
        let (en, zh) = ("6 filters at the most", "最多6组");
        return Err(bad_value_as(code::InvalidParameterValueTagFiltersLengthExceeded, "TagFilters", en, zh));
    }
    for (index, filter) in filters.into_iter().enumerate() {
        let values = filter.tag_value.unwrap_or_default();
        if values.len() > 10 {
            let (en, zh) = ("10 values at the most", "最多10个");
            let parameter = format!("TagFilters.{index}.TagValue");
            return Err(bad_value_as(code::InvalidParameterValueTagFiltersLengthExceeded, &parameter, en, zh));
        }
        if values.is_empty() {
            select.and("exists (select 1 from tag where tag.instance = instance.id and tag.key = $)", filter.tag_key);
            continue;
        }
        // Key and value as one argument, with a mark between that neither can hold.
        let pairs = values.iter().map(|value| format!("{}\u{1}{value}", filter.tag_key));
        let has = "exists (select 1 from tag where tag.instance = instance.id and tag.key || '\u{1}' || tag.value = $)";
        select.and_any(has, pairs);
    }
    Ok(())
}

fn show(call: &Call, id: &InstanceId, tags: Vec<Kept>) -> ResourceTagMapping {
    let category = || Some("Custom".to_owned());
    ResourceTagMapping {
        resource: name(&call.cx.settings.region.name, call.caller.account, id),
        tags: tags
            .into_iter()
            .map(|tag| Tag { tag_key: tag.key, tag_value: tag.value, category: category() })
            .collect(),
    }
}
