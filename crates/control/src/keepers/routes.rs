//! Sees to it that a gateway runs, and that it has the ledger's routes in force.

use std::sync::Arc;
use std::time::Duration;

use crate::cx::{FlowCx, GATEWAY_RELEASE};
use crate::fleet;

/// How long to wait for a wake before looking again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    let mut last = String::new();
    loop {
        // A gateway that fails for the same reason all the time says so once.
        let outcome = publish(&cx).await;
        let trouble = outcome.err().unwrap_or_default();
        if trouble != last && !trouble.is_empty() {
            tracing::warn!(trouble, "the gateway does not have all routes in force");
        }
        last = trouble;
        tokio::select! {
            () = cx.wake.routes.notified() => {}
            () = cx.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

async fn publish(cx: &FlowCx) -> Result<(), String> {
    cx.gateway.ensure().await?;
    let report = fleet::put_routes_in_force(cx).await.map_err(|error| error.to_string())?;
    let mut failures: Vec<String> =
        report.failures.iter().map(|failure| format!("{}: {}", failure.vip, failure.reason)).collect();
    if report.version > 0 && report.release != GATEWAY_RELEASE {
        // It was adopted with its connections, and does what it was built for.
        failures.push(format!(
            "it is of release {:?}, older than this program, and may not keep to limits, accounts and security groups; \
             UpgradeProxyVersion renews it",
            report.release
        ));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("; ")) }
}
