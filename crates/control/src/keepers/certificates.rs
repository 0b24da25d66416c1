//! Makes certificates anew before they end or when an instance has got other addresses, and removes those that are not in
//! use any more.

use std::sync::Arc;
use std::time::Duration;

use crate::cx::FlowCx;
use crate::tls::{self, TlsError};

/// Addresses that a flow changes are covered at once; the rest is in no hurry.
const LOOK_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    let (mut is_prepared, mut last) = (false, String::new());
    loop {
        // What fails for the same reason all the time is said once.
        let trouble = look(&cx, &mut is_prepared).await.err().map(|error| error.to_string()).unwrap_or_default();
        if trouble != last && !trouble.is_empty() {
            tracing::warn!(trouble, "the certificates are not as they should be");
        }
        last = trouble;
        tokio::select! {
            () = cx.wake.certificates.notified() => {}
            () = cx.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

pub(crate) async fn look(cx: &FlowCx, is_prepared: &mut bool) -> Result<(), TlsError> {
    if !*is_prepared {
        tls::prepare(cx).await?;
        *is_prepared = true;
    }
    let before = cx.ledger.read(ledger::routes_version)?;
    let certified = tls::certify_all(cx).await;
    if cx.ledger.read(ledger::routes_version)? != before {
        cx.wake.routes.notify_one();
    }
    tls::sweep(cx).await.and(certified)
}
