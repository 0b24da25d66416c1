//! Sets how one gets in: a password (007), or none (035). Open connections stay, and stay signed in; links between
//! nodes are signed in as another user and are not touched.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, set_access, set_status, wan_address, write};
use model::{ApiError, InstanceId, InstanceStatus, Millis, Secret, TaskId, code};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::action::open_task;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::spec::{hash_of, purpose};
use crate::{fleet, seal};

/// What the flow remembers: how one got in before.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetAccess {
    instance: InstanceId,
    previous_no_auth: bool,
    /// As in the ledger: sealed.
    previous_password: Option<Vec<u8>>,
    /// How one is to get in: whether without a password, and with which, sealed.
    #[serde(default)]
    wanted: Option<(bool, Option<Vec<u8>>)>,
}

/// How one is to get in.
pub(crate) enum Wanted {
    /// With this password, sealed by [`seal_password`].
    Password(Vec<u8>),
    /// Without one. The password that was is kept.
    NoAuth,
}

/// Seals what is kept of a password.
pub(crate) fn seal_password(cx: &FlowCx, password: &Secret) -> Vec<u8> {
    cx.sealer.seal(&cx.random, purpose::PASSWORD, &hash_of(password))
}

/// Whether it is the instance's password.
pub(crate) fn is_password(cx: &FlowCx, instance: &Instance, password: &Secret) -> Result<bool, seal::NotOurs> {
    let Some(sealed) = &instance.password else { return Ok(false) };
    // Equal hashes are no help to one who times the comparison: what is compared is not what was sent.
    Ok(cx.sealer.open(purpose::PASSWORD, sealed)? == hash_of(password))
}

/// Accepts the change, in the action's transaction. The task's type is 035 where a password is needed from now on and
/// was not before, or the other way round.
pub(crate) fn submit(
    tx: &mut dyn ledger::Tx,
    caller: &Caller,
    instance: &Instance,
    wanted: &Wanted,
    now: Millis,
) -> Answer<TaskId> {
    if matches!(wanted, Wanted::NoAuth)
        && let Some(vip) = wan_address(tx.reader(), &instance.id)?
    {
        return Err(ApiError::new(
            code::InvalidParameterValuePasswordFreeDenied,
            format!(
                "The instance `{}` has the public address {vip}, so nobody gets in without a password. Release it first \
                 (ReleaseWanAddress).",
                instance.id
            ),
            format!("实例 `{}` 已开通外网地址 {vip}，不支持免密访问，请先关闭外网（ReleaseWanAddress）。", instance.id),
        )
        .into());
    }
    let (no_auth, password) = match wanted {
        Wanted::Password(sealed) => (false, Some(sealed.clone())),
        Wanted::NoAuth => (true, instance.password.clone()),
    };
    let flow = SetAccess {
        instance: instance.id.clone(),
        previous_no_auth: instance.no_auth,
        previous_password: instance.password.clone(),
        wanted: Some((no_auth, password)),
    };
    let kind = if no_auth == instance.no_auth { "007" } else { "035" };
    open_task(tx, caller, instance, kind, &flow, now)
}

impl Flow for SetAccess {
    type Cx = FlowCx;
    const NAME: &'static str = "set-access";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![apply_users undo apply_users];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, wanted) = (self.instance.clone(), self.wanted.clone());
        Some(write(move |tx| {
            set_status(tx, &id, InstanceStatus::Busy)?;
            match &wanted {
                Some((no_auth, password)) => set_access(tx, &id, *no_auth, password.as_deref()),
                None => Ok(()),
            }
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, no_auth, password) = (self.instance.clone(), self.previous_no_auth, self.previous_password.clone());
        Some(write(move |tx| set_access(tx, &id, no_auth, password.as_deref())))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_status(tx, &id, InstanceStatus::Idle)))
    }
}

/// The ledger is always changed first, and a node that starts takes its users from there; so a node that is started
/// anew while this runs has them too.
async fn apply_users(cx: &FlowCx, flow: &mut SetAccess) -> StepResult<FlowCx> {
    fleet::apply_users(cx, &flow.instance).await?;
    Ok(None)
}
