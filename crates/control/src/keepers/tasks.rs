//! Takes tasks that nobody works on, and drives each to its end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flow::harness::Probe;
use flow::{Claimed, End, drive};
use ledger::{LEASE, claim_tasks, has_claimable_task};
use model::TaskId;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cx::FlowCx;
use crate::flows::FLOWS;

/// Tasks that are driven at once: most of the time they wait.
const MOST_AT_ONCE: usize = 64;
/// How long to wait for a wake before looking again: leases of others run out unheard.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub(super) async fn keep(cx: Arc<FlowCx>, probe: Arc<dyn Probe>) {
    let room = Arc::new(Semaphore::new(MOST_AT_ONCE));
    let mut driven = JoinSet::new();
    let hands = Hands::default();
    loop {
        for claimed in claim(&cx, room.available_permits()).await {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let (cx, probe, hands) = (cx.clone(), probe.clone(), hands.clone());
            driven.spawn(async move {
                hands.drive_alone(&cx, &*probe, claimed).await;
                drop(place);
                cx.wake.tasks.notify_one();
                cx.wake.routes.notify_one();
                cx.wake.certificates.notify_one();
            });
        }
        while driven.try_join_next().is_some() {}
        tokio::select! {
            () = cx.wake.tasks.notified() => {}
            () = cx.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

/// The tasks that this process drives. A lease may run out while it can't write, so that it takes a task again that it
/// still has in hand: the earlier driver stops at its next sign of life, and the later one waits for that.
#[derive(Clone, Default)]
struct Hands(Arc<Mutex<HashMap<TaskId, Arc<tokio::sync::Mutex<()>>>>>);

impl Hands {
    async fn drive_alone(&self, cx: &FlowCx, probe: &dyn Probe, claimed: Claimed) {
        let task = claimed.claim.task;
        let place = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(task).or_default().clone();
        let alone = place.lock().await;
        drive_one(cx, probe, claimed).await;
        drop(alone);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // This one's own, and the table's.
        if Arc::strong_count(&place) == 2 {
            all.remove(&task);
        }
    }
}

async fn claim(cx: &FlowCx, room: usize) -> Vec<Claimed> {
    let now = cx.clock.now();
    let claimable = room > 0 && cx.ledger.read(|reader| has_claimable_task(reader, now)).unwrap_or(true);
    if !claimable {
        return Vec::new();
    }
    let claimed = cx.ledger.write(move |tx| claim_tasks(tx, now, now + LEASE, room as i64)).await;
    claimed.unwrap_or_else(|error: ledger::Error| {
        tracing::warn!(%error, "tasks can't be claimed now");
        Vec::new()
    })
}

async fn drive_one(cx: &FlowCx, probe: &dyn Probe, claimed: Claimed) {
    let (task, name) = (claimed.claim.task, claimed.flow.clone());
    let Some(flow) = FLOWS.iter().find(|flow| flow.name == name) else {
        tracing::error!(%task, flow = name, "a task runs a flow that this binary does not have");
        return;
    };
    match drive(flow, cx, &cx.ledger, probe, claimed).await {
        Ok(End::Done) => tracing::info!(%task, flow = name, "done"),
        Ok(End::Undone { message, .. }) => tracing::info!(%task, flow = name, message, "failed, and undone"),
        Ok(End::Stuck { message, .. }) => tracing::error!(%task, flow = name, message, "stuck"),
        Err(stopped) => tracing::info!(%task, flow = name, %stopped, "left before its end"),
    }
}
