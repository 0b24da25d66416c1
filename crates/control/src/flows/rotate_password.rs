//! Changes the default user's password with a time in which the old one works too (007). The new one is added on all
//! nodes; the instance is free for other tasks until the time is over, or somebody ends it; then the old one goes. No
//! connection ends by it. Given up before that, the old one alone works.

use std::time::Duration;

use flow::{End, Flow, Outcome, Step, StepError, StepResult, steps};
use ledger::{
    Instance, Reader, Tx, begin_overlap, end_overlap, rotation, set_busy_if_idle, set_password_changed, set_passwords,
    set_status, write,
};
use model::{ApiError, InstanceId, InstanceStatus, Millis, TaskId, code};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::action::open_task;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet::{self, FleetError};
use crate::when;

/// How long a task that may go on is laid aside while another one has its instance.
const WHILE_ANOTHER: Duration = Duration::from_secs(1);

/// The step that waits while both passwords work.
pub(crate) const OVERLAP: &str = "await_overlap";

/// What the flow remembers. Passwords are as in the ledger: sealed.
#[derive(Serialize, Deserialize)]
pub(crate) struct RotatePassword {
    instance: InstanceId,
    previous: Vec<u8>,
    wanted: Vec<u8>,
    overlap: Duration,
    previous_changed_at: Option<Millis>,
    changed_at: Millis,
}

/// Accepts the change from one password to another, in the action's transaction.
pub(crate) fn submit(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    (previous, wanted, overlap): (&[u8], &[u8], Duration),
    now: Millis,
) -> Answer<TaskId> {
    check_not_rotating(tx.reader(), &instance.id)?;
    let flow = RotatePassword {
        instance: instance.id.clone(),
        previous: previous.to_vec(),
        wanted: wanted.to_vec(),
        overlap,
        previous_changed_at: ledger::root(tx.reader(), &instance.id)?.and_then(|root| root.password_changed_at),
        changed_at: now,
    };
    open_task(tx, caller, instance, "007", &flow, now)
}

/// Refuses a second change of the password while two are valid.
pub(crate) fn check_not_rotating(reader: &mut dyn Reader, id: &InstanceId) -> Answer<()> {
    let Some(rotation) = rotation(reader, id)? else { return Ok(()) };
    let task = rotation.task;
    Err(ApiError::new(
        code::ResourceUnavailableInstanceLockedError,
        format!(
            "Two passwords of the instance `{id}` are valid, since the task {task} changes from one to the other. End that \
             first (FinishRotation), or take it back (CancelTask)."
        ),
        format!("实例 `{id}` 正在通过任务 {task} 轮换密码，新旧密码均有效。请先结束（FinishRotation）或取消（CancelTask）该任务。"),
    )
    .into())
}

impl Flow for RotatePassword {
    type Cx = FlowCx;
    const NAME: &'static str = "rotate-password";
    /// Once the old password is not wanted any more, clients may have no other than the new one: from there it only goes on.
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        add_new undo remove_new within 60 "its nodes to take the new password",
        let_go undo take_back within 86400 "another task to let the instance go",
        await_overlap as pivot within 60,
        remove_old within 600 "its nodes to forget the old password",
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, previous, wanted) = (self.instance.clone(), self.previous.clone(), self.wanted.clone());
        let changed_at = self.changed_at;
        Some(write(move |tx| {
            set_busy_if_idle(tx, &id)?;
            set_password_changed(tx, &id, Some(changed_at))?;
            set_passwords(tx, &id, &wanted, Some(&previous))
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, previous, changed_at) = (self.instance.clone(), self.previous.clone(), self.previous_changed_at);
        Some(write(move |tx| {
            set_password_changed(tx, &id, changed_at)?;
            set_passwords(tx, &id, &previous, None)
        }))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

async fn add_new(cx: &FlowCx, flow: &mut RotatePassword) -> StepResult<FlowCx> {
    fleet::apply_logins(cx, &flow.instance).await?;
    Ok(None)
}

async fn remove_new(cx: &FlowCx, flow: &mut RotatePassword) -> StepResult<FlowCx> {
    match fleet::apply_logins(cx, &flow.instance).await {
        // It was deleted while both passwords worked: neither does.
        Err(FleetError::Gone(_)) => Ok(None),
        other => other.map(|()| None).map_err(StepError::from),
    }
}

async fn let_go(cx: &FlowCx, flow: &mut RotatePassword) -> StepResult<FlowCx> {
    let (id, due_at) = (flow.instance.clone(), cx.clock.now() + flow.overlap);
    Ok(Some(write(move |tx| {
        if rotation(tx.reader(), &id)?.is_some() {
            return Ok(());
        }
        begin_overlap(tx, &id, due_at)?;
        set_status(tx, &id, InstanceStatus::Idle)
    })))
}

/// Takes the instance again where the change is given up while both passwords work.
async fn take_back(cx: &FlowCx, flow: &mut RotatePassword) -> StepResult<FlowCx> {
    take_again(cx, flow).await?;
    Ok(None)
}

async fn await_overlap(cx: &FlowCx, flow: &mut RotatePassword) -> StepResult<FlowCx> {
    let (now, id) = (cx.clock.now(), &flow.instance);
    let read = cx.ledger.read(|reader| Ok((ledger::instance(reader, id)?.is_some(), rotation(reader, id)?)));
    let (is_there, waiting) = read.map_err(FleetError::Ledger)?;
    if !is_there {
        let message = "the instance was deleted while both passwords worked".into();
        return Err(StepError::Fail { code: code::ResourceUnavailableInstanceDeleted.into(), message });
    }
    if let Some(due_at) = waiting.map(|waiting| waiting.due_at).filter(|due_at| now < *due_at) {
        let until = when::write(due_at, cx.settings.utc_offset_seconds);
        let why = format!("clients to change to the new password, until {until} or FinishRotation");
        return Err(StepError::Park { until: due_at, why });
    }
    take_again(cx, flow).await?;
    let (id, wanted) = (flow.instance.clone(), flow.wanted.clone());
    Ok(Some(write(move |tx| set_passwords(tx, &id, &wanted, None))))
}

async fn take_again(cx: &FlowCx, flow: &RotatePassword) -> Result<(), StepError> {
    let id = flow.instance.clone();
    let taken = cx.ledger.write(move |tx| -> ledger::Result<bool> {
        let taken = end_overlap(tx, &id)?;
        if taken {
            // An isolated one stays so.
            set_busy_if_idle(tx, &id)?;
        }
        Ok(taken)
    });
    if taken.await.map_err(FleetError::Ledger)? {
        return Ok(());
    }
    let until = cx.clock.now() + WHILE_ANOTHER;
    Err(StepError::Park { until, why: "another task to let the instance go".into() })
}

async fn remove_old(cx: &FlowCx, flow: &mut RotatePassword) -> StepResult<FlowCx> {
    fleet::apply_logins(cx, &flow.instance).await?;
    Ok(None)
}
