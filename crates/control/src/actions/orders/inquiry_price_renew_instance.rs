//! Tells what the renewal of an instance would cost.

use model::BillingMode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::renew_instance::{paid_by_use, renewable};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::actions::lifecycle::create_request::read_period;
use crate::errors::Answer;
use crate::prices::Size;

pub(crate) use super::quote::Response;

/// What would be renewed.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// For how many months: 1 to 12, 24 or 36.
    period: u64,
    /// The instance; it must be paid in advance.
    instance_id: String,
}

pub(crate) struct InquiryPriceRenewInstance;

impl Action for InquiryPriceRenewInstance {
    const NAME: &'static str = "InquiryPriceRenewInstance";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let months = read_period(request.period)?;
        let instance = call.read(|reader| Ok(renewable(reader, call.caller.account, &request.instance_id)))??;
        if instance.billing != BillingMode::Prepaid {
            return Err(paid_by_use(&instance.id));
        }
        Ok((call.cx.settings.prices.month(&Size::from(&instance)) * months).into())
    }
}
