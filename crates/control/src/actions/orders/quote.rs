//! How a price is told.

use schemars::JsonSchema;
use serde::Serialize;

use crate::prices::Amount;

/// A price by the operator's price list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The price, in whole cents.
    price: f64,
    /// The price in cents, with all that is behind the point.
    high_precision_price: f64,
    /// The price without discounts, of which there are none: the same.
    original_price: f64,
    /// The same, with all that is behind the point.
    high_precision_original_price: f64,
    /// Always CNY.
    currency: &'static str,
    /// Always pent: cents.
    amount_unit: &'static str,
}

impl From<Amount> for Response {
    fn from(amount: Amount) -> Self {
        let (price, exact) = (amount.cents() as f64, amount.exact_cents());
        Response {
            price,
            high_precision_price: exact,
            original_price: price,
            high_precision_original_price: exact,
            currency: "CNY",
            amount_unit: "pent",
        }
    }
}
