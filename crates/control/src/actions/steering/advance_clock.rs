//! Sets the service's clock forward, in `opencrs dev` alone: windows, expiry and retention come sooner. Signatures and
//! rate limits go by the host's clock.

use std::time::Duration;

use model::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::set_fault::dev;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, OPENCRS};
use crate::errors::{Answer, bad_value};
use crate::when;

/// By how much.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Seconds, at most ten years' worth. There is no way back.
    #[schemars(extend("x-lenient" = true))]
    seconds: i64,
}

/// What the clock shows.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The time from now on.
    now: String,
}

pub(crate) struct AdvanceClock;

/// Ten years.
const MOST_SECONDS: i64 = 10 * 366 * 24 * 3600;
/// 9999-01-01: later times can't be written.
const LAST_MOMENT: Millis = Millis(253_370_764_800_000);

impl Action for AdvanceClock {
    const NAME: &'static str = "AdvanceClock";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::write(Resource::Service);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let dev = dev(call, Self::NAME)?;
        let cx = &call.cx;
        let span = match u64::try_from(request.seconds) {
            Ok(seconds @ 1..) if request.seconds <= MOST_SECONDS => Duration::from_secs(seconds),
            _ => return Err(bad_value("Seconds", "it must be 1 to 316224000", "须为1至316224000")),
        };
        let now = cx.clock.now();
        if now + span > LAST_MOMENT {
            return Err(bad_value("Seconds", "the clock can't be set so far forward", "时钟无法继续前进这么多"));
        }
        // Workers keep what they have of their leases. What is laid aside looks again whether its moment has come.
        call.write(move |tx| {
            ledger::move_leases(tx, now, span)?;
            Ok(ledger::wake_parked_tasks(tx)?)
        })
        .await?;
        dev.clock.advance(span);
        cx.wake.all();
        Ok(Response { now: when::write(cx.clock.now(), cx.settings.utc_offset_seconds) })
    }
}
