//! Sets what new passwords of an instance and its accounts must have. Those that are there stay as they are.

use std::ops::RangeInclusive;

use ledger::set_password_policy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DEFAULT_POLICY;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, find};
use crate::errors::{Answer, bad_value};

/// What to set.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// What new passwords must have.
    password_policy: PasswordPolicy,
}

/// What new passwords must have. What is left out stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PasswordPolicy {
    /// Whether the rest counts.
    enabled: bool,
    /// Letters at the least, 0 to 64.
    min_letter_count: Option<i64>,
    /// Digits at the least, 0 to 64.
    min_digit_count: Option<i64>,
    /// Special characters at the least, 0 to 64.
    min_special_count: Option<i64>,
    /// Characters at the least, 8 to 64, and not less than the other three together.
    min_length: Option<i64>,
}

/// Nothing: it is so from now on.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {}

pub(crate) struct ModifyInstancePasswordPolicy;

impl Action for ModifyInstancePasswordPolicy {
    const NAME: &'static str = "ModifyInstancePasswordPolicy";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let wanted = request.password_policy;
        let letters = within("MinLetterCount", wanted.min_letter_count, 0..=64)?;
        let digits = within("MinDigitCount", wanted.min_digit_count, 0..=64)?;
        let special = within("MinSpecialCount", wanted.min_special_count, 0..=64)?;
        let length = within("MinLength", wanted.min_length, 8..=64)?;
        let account = call.caller.account;
        call.write(move |tx| {
            let instance = find(tx.reader(), account, &request.instance_id)?;
            let before = ledger::password_policy(tx.reader(), &instance.id)?.unwrap_or(DEFAULT_POLICY);
            let policy = ledger::PasswordPolicy {
                enabled: wanted.enabled,
                letters: letters.unwrap_or(before.letters),
                digits: digits.unwrap_or(before.digits),
                special: special.unwrap_or(before.special),
                length: length.unwrap_or(before.length),
            };
            let sum = policy.letters + policy.digits + policy.special;
            if policy.length < sum {
                return Err(bad_value(
                    "PasswordPolicy.MinLength",
                    &format!("letters, digits and special characters are {sum} together at the least"),
                    &format!("字母、数字和特殊字符的最少个数之和为{sum}"),
                ));
            }
            set_password_policy(tx, &instance.id, &policy)?;
            Ok(Response {})
        })
        .await
    }
}

fn within(parameter: &str, value: Option<i64>, range: RangeInclusive<i64>) -> Answer<Option<i64>> {
    if value.is_none_or(|value| range.contains(&value)) {
        return Ok(value);
    }
    let (least, most) = range.into_inner();
    Err(bad_value(
        &format!("PasswordPolicy.{parameter}"),
        &format!("it must be {least} to {most}"),
        &format!("须为{least}至{most}"),
    ))
}
