//! Changes when an instance may be disturbed. What waits for the window that it has must be over before.

use model::{ApiError, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, find};
use crate::errors::{Answer, bad_value};
use crate::when;

/// The window.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// When it begins, as 03:00.
    start_time: String,
    /// When it ends, as 04:00: 30 minutes to 3 hours later. It may pass midnight.
    end_time: String,
}

/// That it was changed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Always success: a failure is answered by an error.
    status: &'static str,
}

pub(crate) struct ModifyMaintenanceWindow;

const DAY: i64 = 24 * 60;

impl Action for ModifyMaintenanceWindow {
    const NAME: &'static str = "ModifyMaintenanceWindow";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let window = (read("StartTime", &request.start_time)?, read("EndTime", &request.end_time)?);
        if !(30..=180).contains(&(window.1 - window.0).rem_euclid(DAY)) {
            let (en, zh) = ("it must be 30 minutes to 3 hours after StartTime", "须晚于 StartTime 30分钟至3小时");
            return Err(bad_value("EndTime", en, zh));
        }
        let account = call.caller.account;
        call.write(move |tx| {
            let instance = find(tx.reader(), account, &request.instance_id)?;
            if let Some(waiting) = ledger::pending(tx.reader(), &instance.id)? {
                let (id, event) = (&instance.id, waiting.event);
                return Err(ApiError::new(
                    code::ResourceUnavailableInstanceLockedError,
                    format!(
                        "A change of the instance `{id}` waits for its window. Wait until that is over, or move or \
                         cancel it (ModifyInstanceEvent, event {event})."
                    ),
                    format!(
                        "实例 `{id}` 有变更正在等待维护时间窗，请等待其完成，或改期、取消该变更（ModifyInstanceEvent，事件 {event}）。"
                    ),
                )
                .into());
            }
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance = changeable(tx.reader(), account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            ledger::set_window(tx, &instance.id, window)?;
            Ok(Response { status: "success" })
        })
        .await
    }
}

fn read(parameter: &str, text: &str) -> Answer<i64> {
    when::read_minute(text).ok_or_else(|| bad_value(parameter, "a time is written as 03:00", "时间格式为 03:00"))
}
