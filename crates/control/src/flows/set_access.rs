//! Sets how the default user gets in: by a password (007), or without one (035); and what else is known of it (037). Open
//! connections stay, and stay signed in; links between nodes are signed in as another user and are not touched.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, Root, Tx, set_access, set_root, set_status, wan_address, write};
use model::{ApiError, InstanceId, InstanceStatus, Millis, Secret, TaskId, code};
use serde::{Deserialize, Serialize};

use super::rotate_password::check_not_rotating;
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
    /// How one is to get in: whether without a password, and with which, sealed. Where only `root` changes there is nothing
    /// of it, since a password may be given up meanwhile that works besides.
    #[serde(default)]
    wanted: Option<(bool, Option<Vec<u8>>)>,
    /// What else is known of the user: before, and from now on.
    #[serde(default)]
    root: Option<(Root, Root)>,
}

/// How one is to get in.
#[derive(Clone)]
pub(crate) enum Wanted {
    /// With this password, sealed by [`seal_password`].
    Password(Vec<u8>),
    /// Without one. The password that was is kept.
    NoAuth,
    /// With the password that was kept while none was needed.
    Kept(Vec<u8>),
    /// As one does.
    Same,
}

/// What else is to be known of the user; `None` where that stays.
#[derive(Clone, Default)]
pub(crate) struct About {
    pub(crate) remark: Option<String>,
    pub(crate) reads_from: Option<String>,
}

/// Seals what is kept of a password.
pub(crate) fn seal_password(cx: &FlowCx, password: &Secret) -> Vec<u8> {
    cx.sealer.seal(&cx.random, purpose::PASSWORD, &hash_of(password))
}

/// Whether it is the instance's password, or the one that works besides.
pub(crate) fn is_password(cx: &FlowCx, instance: &Instance, password: &Secret) -> Result<bool, seal::NotOurs> {
    for sealed in [&instance.password, &instance.old_password].into_iter().flatten() {
        // Equal hashes are no help to one who times the comparison: what is compared is not what was sent.
        if cx.sealer.open(purpose::PASSWORD, sealed)? == hash_of(password) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Accepts the change of how one gets in, in the action's transaction.
pub(crate) fn submit(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    wanted: &Wanted,
    now: Millis,
) -> Answer<TaskId> {
    submit_as(tx, caller, instance, ("007", wanted, &About::default()), now)
}

/// Accepts a change of the default user. The task's type is the one given, or 035 where a password is needed from now on
/// and was not before, or the other way round.
pub(crate) fn submit_as(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    (kind, wanted, about): (&'static str, &Wanted, &About),
    now: Millis,
) -> Answer<TaskId> {
    if !matches!(wanted, Wanted::Same) {
        check_not_rotating(tx.reader(), &instance.id)?;
    }
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
    if matches!(wanted, Wanted::NoAuth) && ledger::tls_of(tx.reader(), &instance.id)?.is_some() {
        return Err(ApiError::new(
            code::InvalidParameterValuePasswordFreeDenied,
            format!(
                "The instance `{}` takes connections by TLS, so nobody gets in without a password. Close TLS first \
                 (CloseSSL).",
                instance.id
            ),
            format!("实例 `{}` 已开启 SSL 加密，不支持免密访问，请先关闭 SSL（CloseSSL）。", instance.id),
        )
        .into());
    }
    let access = match wanted {
        Wanted::Password(sealed) => Some((false, Some(sealed.clone()))),
        Wanted::Kept(sealed) => Some((false, Some(sealed.clone()))),
        Wanted::NoAuth => Some((true, instance.password.clone())),
        Wanted::Same => None,
    };
    let before = ledger::root(tx.reader(), &instance.id)?;
    let root = before.map(|before| {
        let after = Root {
            remark: about.remark.clone().unwrap_or_else(|| before.remark.clone()),
            reads_from: about.reads_from.clone().unwrap_or_else(|| before.reads_from.clone()),
            password_changed_at: match wanted {
                Wanted::Password(_) => Some(now),
                Wanted::NoAuth | Wanted::Kept(_) | Wanted::Same => before.password_changed_at,
            },
        };
        (before, after)
    });
    let is_toggled = access.as_ref().is_some_and(|(no_auth, _)| *no_auth != instance.no_auth);
    let flow = SetAccess {
        instance: instance.id.clone(),
        previous_no_auth: instance.no_auth,
        previous_password: instance.password.clone(),
        wanted: access,
        root,
    };
    let kind = if is_toggled { "035" } else { kind };
    open_task(tx, caller, instance, kind, &flow, now)
}

impl Flow for SetAccess {
    type Cx = FlowCx;
    const NAME: &'static str = "set-access";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![apply_users undo apply_users];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, wanted, root) = (self.instance.clone(), self.wanted.clone(), self.root.clone());
        Some(write(move |tx| {
            set_status(tx, &id, InstanceStatus::Busy)?;
            if let Some((_, after)) = &root {
                set_root(tx, &id, after)?;
            }
            match &wanted {
                Some((no_auth, password)) => set_access(tx, &id, *no_auth, password.as_deref()),
                None => Ok(()),
            }
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, no_auth, password) = (self.instance.clone(), self.previous_no_auth, self.previous_password.clone());
        let root = self.root.clone();
        // An older binary's flow has neither, and changed how one gets in.
        let is_access_changed = self.wanted.is_some() || root.is_none();
        Some(write(move |tx| {
            if let Some((before, _)) = &root {
                set_root(tx, &id, before)?;
            }
            if is_access_changed { set_access(tx, &id, no_auth, password.as_deref()) } else { Ok(()) }
        }))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_status(tx, &id, InstanceStatus::Idle)))
    }
}

/// The ledger is always changed first, and a node that starts takes its users from there; so a node that is started
/// anew while this runs has them too.
async fn apply_users(cx: &FlowCx, flow: &mut SetAccess) -> StepResult<FlowCx> {
    fleet::apply_logins(cx, &flow.instance).await?;
    Ok(None)
}
