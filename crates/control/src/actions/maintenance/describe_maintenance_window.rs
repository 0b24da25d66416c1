//! Tells when an instance may be disturbed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;
use crate::when;

/// Which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// Its maintenance window: what waits for it begins in that time of a day.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// When it begins, as 03:00.
    start_time: String,
    /// When it ends, as 04:00; on the next day where that is earlier than StartTime.
    end_time: String,
}

pub(crate) struct DescribeMaintenanceWindow;

impl Action for DescribeMaintenanceWindow {
    const NAME: &'static str = "DescribeMaintenanceWindow";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (start, end) = call.instance(&request.instance_id)?.window;
        Ok(Response { start_time: when::write_minute(start), end_time: when::write_minute(end) })
    }
}
