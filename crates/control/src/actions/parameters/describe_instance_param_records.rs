//! Lists what was changed of an instance's parameters, the newest first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};
use crate::when;

/// Which instance's.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// How many to show, 100 where it is left out. More than 200 is served as 200.
    limit: Option<u64>,
    /// How many to leave out at the beginning.
    offset: Option<u64>,
}

/// A page of changes.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: i64,
    /// This page.
    instance_param_history: Vec<InstanceParamHistory>,
}

/// A change of a parameter.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceParamHistory {
    /// The parameter.
    param_name: String,
    /// What it was.
    pre_value: String,
    /// What it was to become.
    new_value: String,
    /// 1 it is being changed, 2 it was, 3 that failed and was undone.
    status: i64,
    /// When it was asked for.
    modify_time: String,
}

pub(crate) struct DescribeInstanceParamRecords;

impl Action for DescribeInstanceParamRecords {
    const NAME: &'static str = "DescribeInstanceParamRecords";
    const ACCESS: Access = Access::read(Resource::Instance);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let instance = call.instance(&request.instance_id)?;
        let limit = match request.limit.unwrap_or(100) {
            limit @ 1.. => limit.min(200) as i64,
            0 => return Err(bad_value("Limit", "it must be 1 or more", "须大于0")),
        };
        let offset = i64::try_from(request.offset.unwrap_or(0)).unwrap_or(i64::MAX);
        let (total_count, records) = call.read(|reader| ledger::param_records(reader, &instance.id, limit, offset))?;
        let zone = call.cx.settings.utc_offset_seconds;
        let shown = records.into_iter().map(|record| InstanceParamHistory {
            param_name: record.name,
            pre_value: record.before,
            new_value: record.after,
            status: record.status.number(),
            modify_time: when::write(record.modified_at, zone),
        });
        Ok(Response { total_count, instance_param_history: shown.collect() })
    }
}
