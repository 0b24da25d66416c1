//! Shows what new passwords of an instance must have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DEFAULT_POLICY;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, find};
use crate::errors::Answer;

/// Of which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// The policy.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// What new passwords must have.
    password_policy: PasswordPolicy,
}

/// What new passwords must have.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PasswordPolicy {
    /// Whether the rest counts.
    enabled: bool,
    /// Letters at the least.
    min_letter_count: i64,
    /// Digits at the least.
    min_digit_count: i64,
    /// Special characters at the least.
    min_special_count: i64,
    /// Characters at the least.
    min_length: i64,
}

pub(crate) struct DescribeInstancePasswordPolicy;

impl Action for DescribeInstancePasswordPolicy {
    const NAME: &'static str = "DescribeInstancePasswordPolicy";
    const ACCESS: Access = Access::read(Resource::Instance);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let account = call.caller.account;
        let policy = call.read(|reader| match find(reader, account, &request.instance_id) {
            Ok(instance) => Ok(Ok(ledger::password_policy(reader, &instance.id)?.unwrap_or(DEFAULT_POLICY))),
            Err(fault) => Ok(Err(fault)),
        })??;
        let password_policy = PasswordPolicy {
            enabled: policy.enabled,
            min_letter_count: policy.letters,
            min_digit_count: policy.digits,
            min_special_count: policy.special,
            min_length: policy.length,
        };
        Ok(Response { password_policy })
    }
}
