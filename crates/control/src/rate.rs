//! Requests a second: per account, action and region, as documented.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use model::{ApiError, code};

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// Counts requests. A burst may have one second's worth.
#[derive(Default)]
pub struct RateLimits {
    limiters: Mutex<HashMap<(i64, &'static str), Limiter>>,
}

/// Requests a second of one action.
fn limit_of(action: &str) -> NonZeroU32 {
    match action {
        "DescribeTaskList" => const { NonZeroU32::new(100).unwrap() },
        _ => const { NonZeroU32::new(20).unwrap() },
    }
}

impl RateLimits {
    /// Counts one request of an account for an action.
    ///
    /// # Errors
    /// `RequestLimitExceeded` where it is one too many.
    pub fn check(&self, account: i64, action: &'static str) -> Result<(), ApiError> {
        let limit = limit_of(action);
        let mut limiters = self.limiters.lock().unwrap_or_else(PoisonError::into_inner);
        let limiter =
            limiters.entry((account, action)).or_insert_with(|| RateLimiter::direct(Quota::per_second(limit)));
        if limiter.check().is_ok() {
            return Ok(());
        }
        let count = limit.get() + 1;
        Err(ApiError::new(
            code::RequestLimitExceeded,
            format!(
                "The request limit of this action is exceeded: `{count}` requests within a second, and the limit is `{limit}`. Try again in a moment."
            ),
            format!("请求频率超出限制：一秒内 `{count}` 次，上限为 `{limit}` 次，请稍后重试。"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_its_documented_number_of_requests_for_each_action_and_account() {
        let limits = RateLimits::default();
        let passed = |account, action| (0..300).filter(|_| limits.check(account, action).is_ok()).count();
        assert!((20..=22).contains(&passed(1, "DescribeInstances")));
        assert!((20..=22).contains(&passed(1, "CreateInstances")));
        assert!((20..=22).contains(&passed(2, "DescribeInstances")));
        assert!((100..=105).contains(&passed(1, "DescribeTaskList")));
    }
}
