//! Loops that take no input: each looks at what the ledger wants and at the world, and brings the one to the other.
//! They are woken when something changed, and look by themselves every so often all the same.

pub(crate) mod addresses;
pub(crate) mod certificates;
pub(crate) mod expiry;
mod leading;
mod nodes;
mod recycle;
pub(crate) mod retention;
mod roles;
mod routes;
mod settings;
pub(crate) mod sight;
mod tasks;

use std::sync::Arc;

use flow::harness::{Both, Probe};
use tokio::task::JoinSet;

use crate::cx::FlowCx;

/// What OperateUin shows for tasks that the service itself starts.
const KEEPER: &str = "0";

/// The keepers at work. Dropping this ends them where they are, as a crash would: nothing they do minds that.
pub struct Keepers(#[expect(dead_code, reason = "held for its drop")] JoinSet<()>);

/// Starts all keepers. `probe` is asked at every step of every flow, and then the faults that were set.
pub fn start(cx: Arc<FlowCx>, probe: Arc<dyn Probe>) -> Keepers {
    let probe = match &cx.dev {
        Some(dev) => Arc::new(Both(probe, dev.faults.clone())),
        None => probe,
    };
    let mut keepers = JoinSet::new();
    // Those of several servers share these, and none is in another's way.
    keepers.spawn(tasks::keep(cx.clone(), probe));
    keepers.spawn(routes::keep(cx.clone()));
    if cx.ledger.is_shared() {
        keepers.spawn(leading::keep(cx));
    } else {
        start_sole(&mut keepers, &cx);
    }
    Keepers(keepers)
}

/// Starts the keepers that one server has at a time.
fn start_sole(keepers: &mut JoinSet<()>, cx: &Arc<FlowCx>) {
    keepers.spawn(nodes::keep(cx.clone()));
    keepers.spawn(roles::keep(cx.clone()));
    keepers.spawn(settings::keep(cx.clone()));
    keepers.spawn(sight::keep(cx.clone()));
    keepers.spawn(addresses::keep(cx.clone()));
    keepers.spawn(certificates::keep(cx.clone()));
    keepers.spawn(expiry::keep(cx.clone()));
    keepers.spawn(recycle::keep(cx.clone()));
    keepers.spawn(retention::keep(cx.clone()));
}
