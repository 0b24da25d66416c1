//! Has replicas answer reads (039), or not any more (040). Where each account reads is known to the gateway, which alone
//! sends reads to replicas; no node is touched.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, Root, Tx, set_busy_if_idle, set_replica_reads, set_root, write};
use model::{InstanceId, Millis, TaskId};
use serde::{Deserialize, Serialize};

use crate::access::Caller;
use crate::action::open_task;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet;

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetReplicaReads {
    instance: InstanceId,
    previous: bool,
    wanted: bool,
    /// What is known of the default user, where it reads for one: before, and from now on.
    root: Option<(Root, Root)>,
}

/// Accepts it, in the action's transaction. The default user reads from these from now on.
pub(crate) fn submit(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    (wanted, root_reads_from): (bool, &str),
    now: Millis,
) -> Answer<TaskId> {
    let before = ledger::root(tx.reader(), &instance.id)?;
    let root = before.map(|before| {
        let after = Root { reads_from: root_reads_from.to_owned(), ..before.clone() };
        (before, after)
    });
    let previous = instance.replica_reads;
    let flow = SetReplicaReads { instance: instance.id.clone(), previous, wanted, root };
    open_task(tx, caller, instance, if wanted { "039" } else { "040" }, &flow, now)
}

impl Flow for SetReplicaReads {
    type Cx = FlowCx;
    const NAME: &'static str = "set-replica-reads";
    const STEPS: &'static [Step<FlowCx, Self>] =
        steps![apply_reads undo apply_reads within 60 "the gateway to know the replicas"];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, wanted, root) = (self.instance.clone(), self.wanted, self.root.clone());
        Some(write(move |tx| {
            set_busy_if_idle(tx, &id)?;
            if let Some((_, after)) = &root {
                set_root(tx, &id, after)?;
            }
            set_replica_reads(tx, &id, wanted)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, previous, root) = (self.instance.clone(), self.previous, self.root.clone());
        Some(write(move |tx| {
            if let Some((before, _)) = &root {
                set_root(tx, &id, before)?;
            }
            set_replica_reads(tx, &id, previous)
        }))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

async fn apply_reads(cx: &FlowCx, flow: &mut SetReplicaReads) -> StepResult<FlowCx> {
    fleet::open_address(cx, &flow.instance).await?;
    Ok(None)
}
