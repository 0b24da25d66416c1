//! Makes, changes or deletes a user of an instance besides its default one (037), on all nodes at once. Open connections
//! stay and have what the user may from now on; those of a deleted user end.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{InstanceAccount, delete_account, set_account, set_account_valid, set_busy_if_idle, write};
use model::{InstanceId, Millis};
use serde::{Deserialize, Serialize};

use crate::cx::FlowCx;
use crate::fleet;

/// The type of task that shows for it.
pub(crate) const KIND: &str = "037";

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetAccount {
    pub(crate) instance: InstanceId,
    pub(crate) name: String,
    /// `None` for one that is made.
    pub(crate) previous: Option<InstanceAccount>,
    /// `None` for one that is deleted.
    pub(crate) wanted: Option<InstanceAccount>,
}

impl Flow for SetAccount {
    type Cx = FlowCx;
    const NAME: &'static str = "set-account";
    const STEPS: &'static [Step<FlowCx, Self>] =
        steps![apply_users undo apply_users within 60 "its nodes to take the account"];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, previous, wanted) = (self.instance.clone(), self.previous.clone(), self.wanted.clone());
        Some(write(move |tx| {
            set_busy_if_idle(tx, &id)?;
            match (&wanted, &previous) {
                (Some(wanted), _) => set_account(tx, &id, &with_status(wanted, InstanceAccount::CHANGING)),
                (None, Some(previous)) => set_account(tx, &id, &with_status(previous, InstanceAccount::GOING)),
                (None, None) => Ok(()),
            }
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, name, previous) = (self.instance.clone(), self.name.clone(), self.previous.clone());
        Some(write(move |tx| match &previous {
            Some(previous) => set_account(tx, &id, &with_status(previous, InstanceAccount::CHANGING)),
            None => delete_account(tx, &id, &name),
        }))
    }

    fn settle(&self, end: &End, _: Millis) -> Outcome<FlowCx> {
        let (id, name) = (self.instance.clone(), self.name.clone());
        let is_gone = *end == End::Done && self.wanted.is_none();
        Some(write(move |tx| if is_gone { delete_account(tx, &id, &name) } else { set_account_valid(tx, &id, &name) }))
    }
}

fn with_status(account: &InstanceAccount, status: i64) -> InstanceAccount {
    InstanceAccount { status, ..account.clone() }
}

/// The ledger is always changed first, and a node that starts takes its users from there.
async fn apply_users(cx: &FlowCx, flow: &mut SetAccount) -> StepResult<FlowCx> {
    fleet::apply_logins(cx, &flow.instance).await?;
    Ok(None)
}
