//! Lists the tags of resources. Those of other services, and of what is not there, are none.

use ledger::{Tag, instance, tags_of};
use model::{InstanceId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, TAG};
use crate::errors::{Answer, bad_value, bad_value_as};

/// Of which resources.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// redis; other services have no resources here.
    service_type: String,
    /// instance.
    resource_prefix: String,
    /// Their ids, 50 at the most.
    resource_ids: Vec<String>,
    /// Their region.
    resource_region: String,
    /// How many to leave out at the beginning; a multiple of Limit.
    offset: Option<u64>,
    /// How many to show, 15 where it is left out. More than 200 is served as 200.
    limit: Option<u64>,
    /// Custom or All, as where it is left out. There are no System ones here.
    category: Option<String>,
}

/// A page of tags.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: u64,
    /// As asked for.
    offset: u64,
    /// As asked for.
    limit: u64,
    /// This page, by resource and key.
    tags: Vec<TagResource>,
}

/// A tag of a resource.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagResource {
    /// Its key.
    tag_key: String,
    /// Its value.
    tag_value: String,
    /// Whose it is.
    resource_id: String,
    /// Always empty.
    tag_key_md5: &'static str,
    /// Always empty.
    tag_value_md5: &'static str,
    /// redis.
    service_type: &'static str,
    /// Custom.
    category: &'static str,
}

pub(crate) struct DescribeResourceTagsByResourceIds;

/// The most resources of a request.
const MOST_RESOURCES: usize = 50;

impl Action for DescribeResourceTagsByResourceIds {
    const NAME: &'static str = "DescribeResourceTagsByResourceIds";
    const API: Api = TAG;
    const ACCESS: Access = Access::read(Resource::Instance);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if !(1..=MOST_RESOURCES).contains(&request.resource_ids.len()) {
            return Err(bad_value("ResourceIds", "1 to 50 ids", "须为1至50个"));
        }
        let (offset, limit) = (request.offset.unwrap_or(0), request.limit.unwrap_or(15));
        if limit == 0 {
            return Err(bad_value("Limit", "it must be 1 or more", "须大于0"));
        }
        if !offset.is_multiple_of(limit) {
            let (en, zh) = ("it must be a multiple of Limit", "须为 Limit 的整数倍");
            return Err(bad_value_as(code::InvalidParameterValueOffsetInvalid, "Offset", en, zh));
        }
        let are_here = request.service_type == "redis"
            && request.resource_prefix == "instance"
            && request.resource_region == call.cx.settings.region.name
            && request.category.as_deref() != Some("System");
        let ids = if are_here { request.resource_ids } else { Vec::new() };
        let found = read_tags(call, &ids)?;
        let total_count = found.len() as u64;
        let page = usize::try_from(offset).unwrap_or(usize::MAX);
        let tags = found.into_iter().skip(page).take(limit.min(200) as usize).map(show).collect();
        Ok(Response { total_count, offset, limit, tags })
    }
}

fn read_tags(call: &Call, ids: &[String]) -> Answer<Vec<(InstanceId, Tag)>> {
    call.read(|reader| {
        let mut parsed: Vec<InstanceId> = ids.iter().filter_map(|id| InstanceId::parse(id)).collect();
        parsed.sort();
        parsed.dedup();
        let mut found = Vec::new();
        for id in parsed {
            if instance(reader, &id)?.is_some_and(|instance| instance.account == call.caller.account) {
                found.extend(tags_of(reader, &id)?.into_iter().map(|tag| (id.clone(), tag)));
            }
        }
        Ok(found)
    })
}

fn show((id, tag): (InstanceId, Tag)) -> TagResource {
    TagResource {
        tag_key: tag.key,
        tag_value: tag.value,
        resource_id: id.to_string(),
        tag_key_md5: "",
        tag_value_md5: "",
        service_type: "redis",
        category: "Custom",
    }
}
