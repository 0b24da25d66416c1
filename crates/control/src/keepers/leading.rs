//! Of several servers on one ledger, one leads: it has the keepers that must not be had twice. It leads by a lease, so that
//! another does when it dies, hangs or is cut off. One that wakes up late and leads on for a moment does no harm: whatever
//! keepers do is fenced by epochs, or conditional; but it could tell of things twice.

use std::sync::Arc;
use std::time::Duration;

use ledger::take_lease;
use tokio::task::JoinSet;

use crate::cx::FlowCx;

const LEASE: Duration = Duration::from_secs(6);
const RENEW_EVERY: Duration = Duration::from_secs(2);
/// How often keepers are woken at the most because of what other servers wrote.
const WAKE_EVERY: Duration = Duration::from_secs(1);
const NAME: &str = "the leader";

pub(super) async fn keep(cx: Arc<FlowCx>) {
    let server = hex::encode(cx.random.bytes::<16>());
    let mut leads_until = None;
    let mut keepers = JoinSet::new();
    loop {
        let (began, now) = (cx.clock.passed(), cx.clock.now());
        let of = server.clone();
        match cx.ledger.write(move |tx| take_lease(tx, NAME, &of, now, now + LEASE)).await {
            Ok(true) => {
                if keepers.is_empty() {
                    tracing::info!("this server leads");
                    super::start_sole(&mut keepers, &cx);
                    keepers.spawn(wake(cx.clone()));
                }
                leads_until = Some(began + LEASE);
            }
            Ok(false) => leads_until = None,
            Err(error) => {
                let error: ledger::Error = error;
                tracing::warn!(%error, "the lease of the leader can't be renewed now");
            }
        }
        if leads_until.is_none_or(|until| cx.clock.passed() + RENEW_EVERY > until) && !keepers.is_empty() {
            tracing::warn!("this server does not lead any more");
            keepers = JoinSet::new();
            leads_until = None;
        }
        cx.clock.sleep(RENEW_EVERY).await;
    }
}

/// What other servers write, they wake nobody here for.
async fn wake(cx: Arc<FlowCx>) {
    loop {
        cx.ledger.changed().await;
        cx.wake.all();
        cx.clock.sleep(WAKE_EVERY).await;
    }
}
