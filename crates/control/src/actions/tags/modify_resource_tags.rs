//! Puts tags on a resource, gives others new values, and takes some off. All of it, or nothing.

use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resources::{Tag, change, find, read_keys, read_tags};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, TAG};
use crate::errors::{Answer, bad_value_as, missing};

/// What to change of which resource.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The resource: qcs::redis:REGION:uin/UIN:instance/ID, where UIN may be left out.
    resource: String,
    /// Tags to put on, 10 at the most; a key that is there already gets the new value.
    replace_tags: Option<Vec<Tag>>,
    /// Tags to take off, 10 at the most; a key that is not there is off already.
    delete_tags: Option<Vec<TagKeyObject>>,
}

/// The key of a tag.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagKeyObject {
    /// The key.
    tag_key: String,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ModifyResourceTags;

impl Action for ModifyResourceTags {
    const NAME: &'static str = "ModifyResourceTags";
    const API: Api = TAG;
    const ACCESS: Access = Access::write(Resource::Instance);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, account, resource) = (call.cx.clone(), call.caller.account, request.resource);
        if request.replace_tags.is_none() && request.delete_tags.is_none() {
            return Err(missing("ReplaceTags"));
        }
        let put = request.replace_tags.map_or(Ok(Vec::new()), |tags| read_tags("ReplaceTags", tags))?;
        let keys = request.delete_tags.map(|tags| tags.into_iter().map(|tag| tag.tag_key).collect());
        let removed = keys.map_or(Ok(Vec::new()), |keys| read_keys("DeleteTags", keys))?;
        if put.iter().any(|tag| removed.contains(&tag.key)) {
            let (en, zh) = ("a key is in ReplaceTags too", "与 ReplaceTags 的标签键重复");
            return Err(bad_value_as(code::InvalidParameterValueDeleteTagsParamError, "DeleteTags", en, zh));
        }
        call.write(move |tx| {
            let instance = find(tx.reader(), &cx.settings.region.name, account, "Resource", &resource)?;
            change(tx, &instance, &put, &removed)
        })
        .await?;
        Ok(Response {})
    }
}
