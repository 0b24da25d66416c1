//! Changes how instances are paid for. Those for which it can't be done are listed, the others are done.

use ledger::{Instance, Tx, set_billing};
use model::{ApiError, BillingMode, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::renew_instance::renewable;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, Language};
use crate::actions::lifecycle::create_request::paid_until;
use crate::errors::{Answer, Fault, bad_value, bad_value_as, missing};

/// What to change.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instances, 20 at the most.
    instance_ids: Vec<String>,
    /// PREPAID in advance, POSTPAID by use.
    instance_charge_type: String,
    /// PREPAID: for how many months, 1 to 36.
    period: Option<u64>,
}

/// What could not be changed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The instances that are paid for as before.
    failed_instance_ids: Vec<FailedInstance>,
}

/// An instance that could not be changed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FailedInstance {
    /// The instance.
    instance_id: String,
    /// Why not.
    message: String,
}

pub(crate) struct ModifyInstanceChargeType;

/// The most instances that are changed at once.
const MOST_INSTANCES: usize = 20;

impl Action for ModifyInstanceChargeType {
    const NAME: &'static str = "ModifyInstanceChargeType";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.instance_ids.is_empty() {
            return Err(missing("InstanceIds"));
        }
        if request.instance_ids.len() > MOST_INSTANCES {
            return Err(bad_value("InstanceIds", "20 instances at the most", "最多20个"));
        }
        let (billing, deadline) = read(call, &request)?;
        let (account, language) = (call.caller.account, call.language);
        call.write(move |tx| {
            let mut failed_instance_ids = Vec::new();
            for id in &request.instance_ids {
                match change(tx, account, id, billing, deadline) {
                    Ok(()) => {}
                    Err(Fault::Api(error)) => failed_instance_ids.push(FailedInstance {
                        instance_id: id.clone(),
                        message: match language {
                            Language::En => error.message.en,
                            Language::Zh => error.message.zh,
                        },
                    }),
                    Err(other) => return Err(other),
                }
            }
            Ok(Response { failed_instance_ids })
        })
        .await
    }
}

fn read(call: &Call, request: &Request) -> Answer<(BillingMode, Option<Millis>)> {
    if request.instance_charge_type.eq_ignore_ascii_case("POSTPAID") {
        return Ok((BillingMode::Postpaid, None));
    }
    if !request.instance_charge_type.eq_ignore_ascii_case("PREPAID") {
        return Err(bad_value("InstanceChargeType", "it is PREPAID or POSTPAID", "只能为 PREPAID 或 POSTPAID"));
    }
    let (en, zh) = ("it must be 1 to 36", "须为1至36");
    let months = match request.period {
        None => return Err(missing("Period")),
        Some(0) => return Err(bad_value_as(code::LimitExceededPeriodLessThanMinLimit, "Period", en, zh)),
        Some(months @ 1..=36) => months as i64,
        Some(_) => return Err(bad_value_as(code::LimitExceededPeriodExceedMaxLimit, "Period", en, zh)),
    };
    Ok((BillingMode::Prepaid, Some(paid_until(&call.cx, call.now, months)?)))
}

/// Checks before it writes: a refusal has changed nothing.
fn change(tx: &mut dyn Tx, account: i64, id: &str, billing: BillingMode, deadline: Option<Millis>) -> Answer<()> {
    let instance = renewable(tx.reader(), account, id)?;
    if instance.billing == billing {
        return Err(already(&instance));
    }
    Ok(set_billing(tx, &instance.id, billing, deadline)?)
}

fn already(instance: &Instance) -> Fault {
    let (en, zh) = match instance.billing {
        BillingMode::Postpaid => ("by use", "按量计费"),
        BillingMode::Prepaid => ("in advance", "包年包月"),
    };
    ApiError::new(
        code::InvalidParameterValue,
        format!("The instance `{}` is paid {en} already.", instance.id),
        format!("实例 `{}` 已为{zh}。", instance.id),
    )
    .into()
}
