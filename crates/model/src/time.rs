use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in Unix milliseconds, UTC: what the ledger stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Millis(pub i64);

impl Millis {
    /// Whole Unix seconds, rounded down, as clients see times.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// A moment from whole Unix seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        Millis(seconds.saturating_mul(1000))
    }

    /// How long after `earlier` this is; zero where it isn't.
    pub fn since(self, earlier: Millis) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Millis {
    type Output = Millis;
    fn add(self, by: Duration) -> Millis {
        Millis(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Millis {
    type Output = Millis;
    fn sub(self, by: Duration) -> Millis {
        Millis(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}
