//! A change that waits for the maintenance window before its cut-over. Meanwhile the instance is free for other tasks.

use flow::{StepError, StepResult};
use ledger::{NewEvent, Write, insert_event, pending, set_status, write};
use model::{InstanceId, InstanceStatus};

use crate::cx::FlowCx;
use crate::fleet::FleetError;
use crate::when;

/// How long a task that may go on is laid aside while another one has its instance.
const WHILE_ANOTHER: std::time::Duration = std::time::Duration::from_secs(1);

/// Lets the instance go until its window opens, and announces what comes then.
pub(crate) fn let_go(cx: &FlowCx, id: &InstanceId, kind: &str) -> Write {
    let (id, now, offset) = (id.clone(), cx.clock.now(), cx.settings.utc_offset_seconds);
    let kind = kind.to_owned();
    write(move |tx| {
        let Some(instance) = ledger::instance(tx.reader(), &id)? else { return Ok(()) };
        if pending(tx.reader(), &id)?.is_some() {
            return Ok(());
        }
        let (start, end) = when::next_window(instance.window, now, offset);
        let effect = "The instance moves to other nodes: its connections are reset once, and writes are held for less \
                      than a second.";
        let latest_at = Some(end + LATEST_AFTER);
        let event = insert_event(
            tx,
            &instance,
            NewEvent { kind: &kind, grade: "Middle", effect, time: (start, end), latest_at },
        )?;
        ledger::let_go(tx, &id, start.max(now), event)?;
        set_status(tx, &id, InstanceStatus::Idle)
    })
}

/// How long after its first window a change may be put off.
const LATEST_AFTER: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

/// Waits for the window, or for somebody who wants it now; then takes the instance again.
pub(crate) async fn await_window(cx: &FlowCx, id: &InstanceId) -> StepResult<FlowCx> {
    let (now, instance) = (cx.clock.now(), id.clone());
    let (waiting, status) = cx
        .ledger
        .read(|reader| Ok((pending(reader, id)?, ledger::instance(reader, id)?.map(|it| it.status))))
        .map_err(FleetError::Ledger)?;
    let Some(waiting) = waiting else { return Ok(None) };
    if now < waiting.due_at {
        let from = when::write(waiting.due_at, cx.settings.utc_offset_seconds);
        return Err(StepError::Park { until: waiting.due_at, why: format!("the maintenance window, from {from}") });
    }
    if !matches!(status, Some(InstanceStatus::Idle | InstanceStatus::Busy)) {
        let message = "the instance was isolated while the change waited for its window".into();
        return Err(StepError::Fail { code: "ResourceUnavailable.InstanceIsolated".into(), message });
    }
    let taken = cx.ledger.write(move |tx| -> ledger::Result<bool> {
        let taken = ledger::take_again(tx, &instance)?;
        if taken {
            set_status(tx, &instance, InstanceStatus::Busy)?;
            ledger::set_event(tx, waiting.event, "Running", None)?;
        }
        Ok(taken)
    });
    if taken.await.map_err(FleetError::Ledger)? {
        return Ok(None);
    }
    Err(StepError::Park { until: now + WHILE_ANOTHER, why: "another task to let the instance go".into() })
}

/// Takes the instance again where the change is given up while it waits.
pub(crate) async fn take_back(cx: &FlowCx, id: &InstanceId) -> StepResult<FlowCx> {
    let (now, instance) = (cx.clock.now(), id.clone());
    let taken = cx.ledger.write(move |tx| -> ledger::Result<bool> {
        let Some(waiting) = pending(tx.reader(), &instance)? else { return Ok(true) };
        let taken = ledger::take_again(tx, &instance)?;
        if taken {
            ledger::set_busy_if_idle(tx, &instance)?;
            ledger::set_event(tx, waiting.event, "Canceled", Some(now))?;
        }
        Ok(taken)
    });
    if taken.await.map_err(FleetError::Ledger)? {
        return Ok(None);
    }
    let until = cx.clock.now() + WHILE_ANOTHER;
    Err(StepError::Park { until, why: "another task to let the instance go".into() })
}
