//! A change that waits for the maintenance window before its cut-over. Meanwhile the instance is free for other tasks.

use flow::{StepError, StepResult};
use ledger::{NewEvent, Write, insert_event, pending, set_status, write};
use model::{InstanceId, InstanceStatus, Millis};

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
        let latest_at = Some(end + LATEST_AFTER);
        let event = insert_event(
            tx,
            &instance,
            NewEvent { kind: &kind, grade: "Middle", effect: effect_of(&kind), time: (start, end), latest_at },
        )?;
        ledger::let_go(tx, &id, start.max(now), event)?;
        set_status(tx, &id, InstanceStatus::Idle)
    })
}

/// The event of a gateway that is renewed.
pub(crate) const GATEWAY_UPGRADE: &str = "GatewayUpgrade";

fn effect_of(kind: &str) -> &'static str {
    if kind == GATEWAY_UPGRADE {
        "The gateway is started anew: the connections of all instances are reset once."
    } else {
        "The instance moves to other nodes: its connections are reset once, and writes are held for less than a second."
    }
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
    if let Some(due_at) = miss(cx, id).await? {
        let from = when::write(due_at, cx.settings.utc_offset_seconds);
        return Err(StepError::Park { until: due_at, why: format!("the maintenance window, from {from}") });
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

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Where the time for the change is over, since the service did not run or another task had the instance: puts it off by
/// whole days, and answers to when. Nobody is disturbed outside that time.
async fn miss(cx: &FlowCx, id: &InstanceId) -> Result<Option<Millis>, StepError> {
    let (now, id) = (cx.clock.now(), id.clone());
    let missed = cx.ledger.write(move |tx| -> ledger::Result<Result<Option<Millis>, StepError>> {
        let (Some(waiting), Some(instance)) = (pending(tx.reader(), &id)?, ledger::instance(tx.reader(), &id)?) else {
            return Ok(Ok(None));
        };
        let Some(event) = ledger::event(tx.reader(), instance.account, waiting.event)? else { return Ok(Ok(None)) };
        let (mut start, mut end) = (event.start_at, event.end_at);
        while end <= now {
            (start, end) = (start + DAY, end + DAY);
        }
        if end == event.end_at {
            return Ok(Ok(None));
        }
        if start > event.latest_at + DAY {
            let message = "the change was put off for as long as it can be".into();
            return Ok(Err(StepError::Fail { code: "FailedOperation.SystemError".into(), message }));
        }
        ledger::move_event(tx, event.id, start, end)?;
        ledger::set_due(tx, &id, start)?;
        Ok(Ok((start > now).then_some(start)))
    });
    missed.await.map_err(FleetError::Ledger)?
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
