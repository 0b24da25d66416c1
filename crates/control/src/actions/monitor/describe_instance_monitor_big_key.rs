//! Tells of big keys: not any more, so that it is refused.

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
    /// Its kind. It makes no difference.
    #[expect(dead_code, reason = "no value makes a difference")]
    req_type: i64,
    /// The day. It makes no difference.
    #[expect(dead_code, reason = "no value makes a difference")]
    date: String,
}

/// Never answered.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Never answered.
    data: Vec<BigKeyInfo>,
}

/// A big key.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BigKeyInfo {
    #[serde(rename = "DB")]
    db: i64,
    key: String,
    r#type: String,
    size: i64,
    updatetime: i64,
}

pub(crate) struct DescribeInstanceMonitorBigKey;

impl Action for DescribeInstanceMonitorBigKey {
    const NAME: &'static str = "DescribeInstanceMonitorBigKey";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        call.instance(&request.instance_id)?;
        Err(big_keys_are_offline())
    }
}
