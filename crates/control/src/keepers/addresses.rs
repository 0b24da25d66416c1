//! Closes former addresses whose time is over.

use std::sync::Arc;
use std::time::Duration;

use ledger::{Address, AddressKind, addresses_due, has_open_task, instance, last_failure};

use super::KEEPER;
use crate::access::Caller;
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault};
use crate::flows::close_address::{self, KIND};

const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long a closing that failed is left alone.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(600);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    loop {
        if let Err(error) = close_due(&cx).await {
            tracing::warn!(%error, "former addresses can't be closed now");
        }
        tokio::select! {
            () = cx.wake.addresses.notified() => {}
            () = cx.clock.sleep(LOOK_EVERY) => {}
        }
    }
}

pub(crate) async fn close_due(cx: &FlowCx) -> Result<(), Fault> {
    let now = cx.clock.now();
    for due in cx.ledger.read(|reader| addresses_due(reader, now))? {
        let vip = due.vip;
        if let Err(error) = close(cx, due).await {
            tracing::warn!(%vip, %error, "a former address can't be closed now");
        }
    }
    Ok(())
}

async fn close(cx: &FlowCx, due: Address) -> Answer<()> {
    let now = cx.clock.now();
    cx.ledger
        .write(move |tx| -> Answer<()> {
            let Some(instance) = instance(tx.reader(), &due.instance)? else { return Ok(()) };
            // One after the other. It may have been closed since it was listed.
            let is_there = addresses_due(tx.reader(), now)?.contains(&due);
            let failed_at = last_failure(tx.reader(), &instance.id, KIND)?;
            let failed_lately = failed_at.is_some_and(|failed_at| now.since(failed_at) < PAUSE_AFTER_FAILURE);
            let waits = failed_lately || has_open_task(tx.reader(), &instance.id, KIND)?;
            if due.kind == AddressKind::Former && is_there && !waits {
                let caller = Caller { account: instance.account, uin: KEEPER.into() };
                close_address::submit_former(tx, &caller, &instance, due.vip, now)?;
            }
            Ok(())
        })
        .await?;
    cx.wake.tasks.notify_one();
    Ok(())
}
