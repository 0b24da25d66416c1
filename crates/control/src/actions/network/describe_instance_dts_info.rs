//! Tells of the synchronization of an instance with another: there is none, so everything is empty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Of which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// Its synchronization.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Always empty.
    job_id: String,
    /// Always empty.
    job_name: String,
    /// Always 0: there is none.
    status: i64,
    /// Always empty.
    status_desc: String,
    /// Always 0.
    offset: i64,
    /// Always empty.
    cut_down_time: String,
    /// Always empty.
    src_info: DescribeInstanceDTSInstanceInfo,
    /// Always empty.
    dst_info: DescribeInstanceDTSInstanceInfo,
}

/// An end of a synchronization.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeInstanceDTSInstanceInfo {
    region_id: i64,
    instance_id: String,
    set_id: i64,
    zone_id: i64,
    r#type: i64,
    instance_name: String,
    vip: String,
    status: i64,
}

pub(crate) struct DescribeInstanceDTSInfo;

impl Action for DescribeInstanceDTSInfo {
    const NAME: &'static str = "DescribeInstanceDTSInfo";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        call.instance(&request.instance_id)?;
        Ok(Response {
            job_id: String::new(),
            job_name: String::new(),
            status: 0,
            status_desc: String::new(),
            offset: 0,
            cut_down_time: String::new(),
            src_info: DescribeInstanceDTSInstanceInfo::default(),
            dst_info: DescribeInstanceDTSInstanceInfo::default(),
        })
    }
}
