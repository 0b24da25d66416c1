//! Puts tags on several resources. One for which that can't be done is told, and does not keep the others from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::resources::{FailedResource, Tag, change_each, read_tags};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, TAG};
use crate::errors::Answer;

/// Which tags, on which resources.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The resources, 10 at the most: qcs::redis:REGION:uin/UIN:instance/ID, where UIN may be left out.
    resource_list: Vec<String>,
    /// The tags, 10 at the most; a key that is there already gets the new value.
    tags: Vec<Tag>,
}

/// How it went.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Those for which it could not be done.
    failed_resources: Vec<FailedResource>,
}

pub(crate) struct TagResources;

impl Action for TagResources {
    const NAME: &'static str = "TagResources";
    const API: Api = TAG;
    const ACCESS: Access = Access::write(Resource::Instance);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let tags = read_tags("Tags", request.tags)?;
        Ok(Response { failed_resources: change_each(call, request.resource_list, tags, Vec::new()).await? })
    }
}
