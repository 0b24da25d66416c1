//! Deletes isolated instances whose time in the recycle bin is over, by the same door as CleanUpInstance.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Instance, holder, instance, instances_offline_by, last_failure};

use super::KEEPER;
use crate::access::Caller;
use crate::actions::lifecycle::clean_up_instance::{self, ISOLATED};
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault};

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a deletion that failed is left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(600);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    loop {
        if let Err(error) = delete_expired(&cx).await {
            tracing::warn!(%error, "the recycle bin can't be emptied now");
        }
        tokio::select! {
            () = cx.wake.recycle.notified() => {}
            () = cx.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

async fn delete_expired(cx: &FlowCx) -> Result<(), Fault> {
    let now = cx.clock.now();
    for expired in cx.ledger.read(|reader| instances_offline_by(reader, now))? {
        let id = expired.id.clone();
        if let Err(error) = delete(cx, expired).await {
            tracing::warn!(instance = %id, %error, "an instance in the recycle bin can't be deleted now");
        }
    }
    Ok(())
}

async fn delete(cx: &FlowCx, expired: Instance) -> Answer<()> {
    let now = cx.clock.now();
    let caller = Caller { account: expired.account, uin: KEEPER.into() };
    cx.ledger
        .write(move |tx| -> Answer<()> {
            // Another task may have it, or have brought it back, since it was listed.
            let Some(instance) = instance(tx.reader(), &expired.id)? else { return Ok(()) };
            let is_free = holder(tx.reader(), &instance.id)?.is_none();
            let failed_at = last_failure(tx.reader(), &instance.id, clean_up_instance::KIND)?;
            let failed_lately = failed_at.is_some_and(|failed_at| now.since(failed_at) < PAUSE_AFTER_FAILURE);
            if is_free && !failed_lately && ISOLATED.contains(&instance.status) {
                clean_up_instance::submit(tx, &caller, &instance, now)?;
            }
            Ok(())
        })
        .await?;
    cx.wake.tasks.notify_one();
    Ok(())
}
