//! Tells of the types of big keys: not any more, so that it is refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::big_keys_are_offline;
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Of which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The day. It makes no difference.
    #[expect(dead_code, reason = "no value makes a difference")]
    date: String,
}

/// Never answered.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Never answered.
    data: Vec<BigKeyTypeInfo>,
}

/// The big keys of a type.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BigKeyTypeInfo {
    r#type: String,
    count: i64,
    size: i64,
    updatetime: i64,
}

pub(crate) struct DescribeInstanceMonitorBigKeyTypeDist;

impl Action for DescribeInstanceMonitorBigKeyTypeDist {
    const NAME: &'static str = "DescribeInstanceMonitorBigKeyTypeDist";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        call.instance(&request.instance_id)?;
        Err(big_keys_are_offline())
    }
}
