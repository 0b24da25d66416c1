use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use model::Millis;

/// Time, passed in: so that a simulated run is reproducible and tests need not wait.
pub trait Clock: Send + Sync {
    /// The wall clock, which may be set.
    fn now(&self) -> Millis;

    /// Time that only ever passes, from an unknown beginning: for what may not take too long.
    fn passed(&self) -> Duration;

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

    fn passed(&self) -> Duration {
        static BEGAN: LazyLock<tokio::time::Instant> = LazyLock::new(tokio::time::Instant::now);
        BEGAN.elapsed()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}

/// Another clock, that has been set forward: in `dev`, so that one need not wait for a window or an expiry.
#[derive(Debug, Default)]
pub struct AdvancedClock {
    by: AtomicI64,
}

impl AdvancedClock {
    /// Sets it forward.
    pub fn advance(&self, span: Duration) {
        self.by.fetch_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// By how much it was set forward.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.by.load(Ordering::SeqCst)).unwrap_or(0))
    }
}

impl Clock for AdvancedClock {
    fn now(&self) -> Millis {
        Millis(SystemClock.now().0.saturating_add(self.by.load(Ordering::SeqCst)))
    }

    fn passed(&self) -> Duration {
        SystemClock.passed()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        SystemClock.sleep(span)
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

    fn passed(&self) -> Duration {
        self.began.elapsed()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(span))
    }
}
