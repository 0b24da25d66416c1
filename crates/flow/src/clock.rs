use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use model::Millis;

/// Time, passed in: so that a simulated run is reproducible and tests need not wait.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Millis;

    /// Waits.
    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()>;
}

/// The host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in elsewhere")]
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// Starts at a given moment and follows tokio's own clock: with that paused, a test waits for nothing.
#[derive(Clone, Copy, Debug)]
pub struct VirtualClock {
    start: Millis,
    began: tokio::time::Instant,
}

impl VirtualClock {
    /// A clock that shows `start` now.
    pub fn starting_at(start: Millis) -> Self {
        VirtualClock { start, began: tokio::time::Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Millis {
        self.start + self.began.elapsed()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}
