//! Ends what is paid in advance when its time is over: it is renewed for a month where its owner wants that, else isolated.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Instance, holder, instance, instances_paid_until, last_failure};
use model::{BillingMode, InstanceStatus};

use super::KEEPER;
use crate::access::Caller;
use crate::actions::orders::renew_instance;
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault};
use crate::flows::isolate_instance;

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long an isolation that failed is left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(600);

/// As AutoRenew says it.
const RENEWS_BY_ITSELF: i64 = 1;

pub(super) async fn keep(cx: Arc<FlowCx>) {
    loop {
        if let Err(error) = end_expired(&cx).await {
            tracing::warn!(%error, "instances whose paid time is over can't be ended now");
        }
        tokio::select! {
            () = cx.wake.expiry.notified() => {}
            () = cx.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

/// Looks once.
pub(crate) async fn end_expired(cx: &Arc<FlowCx>) -> Result<(), Fault> {
    let now = cx.clock.now();
    for expired in cx.ledger.read(|reader| instances_paid_until(reader, now))? {
        let id = expired.id.clone();
        if let Err(error) = end(cx, expired).await {
            // The others' time is over too.
            tracing::warn!(instance = %id, %error, "an instance whose paid time is over can't be ended now");
        }
    }
    Ok(())
}

async fn end(cx: &Arc<FlowCx>, expired: Instance) -> Answer<()> {
    let now = cx.clock.now();
    let caller = Caller { account: expired.account, uin: KEEPER.into() };
    let owned = cx.clone();
    cx.ledger
        .write(move |tx| -> Answer<()> {
            // It may have been renewed, or be changed by a task, since it was listed.
            let Some(instance) = instance(tx.reader(), &expired.id)? else { return Ok(()) };
            let Some(deadline) = instance.deadline_at.filter(|deadline| *deadline <= now) else { return Ok(()) };
            let is_free = holder(tx.reader(), &instance.id)?.is_none() && instance.status == InstanceStatus::Idle;
            if !is_free || instance.billing != BillingMode::Prepaid {
                return Ok(());
            }
            if instance.auto_renew == RENEWS_BY_ITSELF {
                return renew_instance::renew(&owned, tx, &caller, &instance, deadline, 1, now).map(drop);
            }
            let failed_at = last_failure(tx.reader(), &instance.id, isolate_instance::KIND)?;
            let failed_lately = failed_at.is_some_and(|failed_at| now.since(failed_at) < PAUSE_AFTER_FAILURE);
            // One that is protected from deletion runs on.
            if !failed_lately && !instance.delete_protection {
                isolate_instance::submit(tx, &owned.settings, &caller, &instance, None, now)?;
            }
            Ok(())
        })
        .await?;
    cx.wake.tasks.notify_one();
    Ok(())
}
