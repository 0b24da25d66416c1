//! Sets parameters of an instance (034), on all its nodes or on none, while they run. Those that an engine takes at its
//! start alone are the business of [`super::restart_params`].

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, ParamChange, ParamRecord, ParamStatus, Params, Tx, Write, set_busy_if_idle, write};
use model::{InstanceId, Millis, TaskId};
use runtime::Engine;
use serde::{Deserialize, Serialize};

use super::restart_params::{self, RestartParams};
use crate::access::Caller;
use crate::action::open_task;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet::{self, FleetError};
use crate::parameters::{Effect, Parameter};

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetParams {
    changes: Changes,
}

/// What is changed, and how that is told.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Changes {
    pub(super) instance: InstanceId,
    /// Those that get another value.
    params: Vec<ParamChange>,
    /// The same as clients read it: name, value before, value after.
    shown: Vec<(String, String, String)>,
    /// The template that is applied; empty where none is.
    template: String,
    accepted_at: Millis,
    /// Whether customers' users change.
    users: bool,
    /// Whether the gateway's table changes.
    routes: bool,
}

impl Changes {
    /// What is wanted from now on.
    pub(super) fn begin(&self) -> Write {
        let changes = self.clone();
        write(move |tx| {
            set_busy_if_idle(tx, &changes.instance)?;
            for (name, before, after) in &changes.shown {
                let record = ParamRecord {
                    name: name.clone(),
                    before: before.clone(),
                    after: after.clone(),
                    status: ParamStatus::Changing,
                    template: changes.template.clone(),
                    modified_at: changes.accepted_at,
                };
                ledger::insert_param_record(tx, &changes.instance, &record)?;
            }
            let set =
                |change: &ParamChange| ledger::set_param(tx, &changes.instance, &change.name, change.after.as_deref());
            changes.params.iter().try_for_each(set)
        })
    }

    /// What is wanted again.
    pub(super) fn turn(&self) -> Write {
        let changes = self.clone();
        write(move |tx| {
            let set =
                |change: &ParamChange| ledger::set_param(tx, &changes.instance, &change.name, change.before.as_deref());
            changes.params.iter().try_for_each(set)
        })
    }

    pub(super) fn settle(&self, end: &End) -> Write {
        let id = self.instance.clone();
        let status = if *end == End::Done { ParamStatus::Done } else { ParamStatus::Failed };
        write(move |tx| ledger::end_param_records(tx, &id, status))
    }

    /// Brings nodes and gateway to what the ledger wants. It is always changed first, and a node that starts takes all
    /// from there.
    pub(super) async fn apply(&self, cx: &FlowCx) -> Result<(), FleetError> {
        fleet::apply_params(cx, &self.instance).await?;
        if self.users {
            fleet::apply_users(cx, &self.instance).await?;
        }
        if self.routes {
            fleet::put_routes_in_force(cx).await?;
        }
        Ok(())
    }
}

/// Accepts the change, in the action's transaction: of all these to those values, of which some may be so already.
/// Answers whether any is not.
pub(crate) fn submit(
    cx: &FlowCx,
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    values: &[(&'static Parameter, String)],
    template: &str,
    now: Millis,
) -> Answer<(TaskId, bool)> {
    let params = ledger::params_of(tx.reader(), &instance.id)?;
    let changed = || values.iter().filter(|(parameter, value)| parameter.value(&params) != value);
    let has = |effect: fn(&Effect) -> bool| changed().any(|(parameter, _)| effect(&parameter.effect));
    let changes = Changes {
        instance: instance.id.clone(),
        params: changed().map(|(parameter, value)| change(parameter, &params, value)).collect(),
        shown: changed()
            .map(|(parameter, value)| {
                let before = parameter.show(parameter.value(&params));
                (parameter.name_for(instance.type_id).to_owned(), before, parameter.show(value))
            })
            .collect(),
        template: template.to_owned(),
        accepted_at: now,
        users: has(|effect| matches!(effect, Effect::Commands)),
        routes: has(|effect| matches!(effect, Effect::Separator | Effect::SlowAfter)),
    };
    let engine = engine_of(tx, instance)?;
    let is_changed = !changes.params.is_empty();
    let task = if changed().any(|(parameter, _)| parameter.needs_restart(engine)) {
        let nodes = restart_params::newcomers(cx, tx, instance, now)?;
        open_task(tx, caller, instance, "034", &RestartParams { changes, nodes }, now)?
    } else {
        open_task(tx, caller, instance, "034", &SetParams { changes }, now)?
    };
    Ok((task, is_changed))
}

fn change(parameter: &Parameter, params: &Params, value: &str) -> ParamChange {
    ParamChange {
        name: parameter.name.to_owned(),
        before: params.get(parameter.name).cloned(),
        // So a later default becomes its too.
        after: (value != parameter.default).then(|| value.to_owned()),
    }
}

/// What runs the instance's primary.
fn engine_of(tx: &mut dyn Tx, instance: &Instance) -> ledger::Result<Engine> {
    let nodes = ledger::nodes_of(tx.reader(), &instance.id)?;
    let version = fleet::primary_of(&nodes).and_then(|node| node.observed_version).unwrap_or(instance.version);
    Ok(Engine { kind: instance.type_id.engine(), version })
}

impl Flow for SetParams {
    type Cx = FlowCx;
    const NAME: &'static str = "set-params";
    const STEPS: &'static [Step<FlowCx, Self>] =
        steps![apply_params undo apply_params within 60 "its nodes to take the new values"];

    fn begin(&self) -> Outcome<FlowCx> {
        Some(self.changes.begin())
    }

    fn turn(&self) -> Outcome<FlowCx> {
        Some(self.changes.turn())
    }

    fn settle(&self, end: &End, _: Millis) -> Outcome<FlowCx> {
        Some(self.changes.settle(end))
    }
}

async fn apply_params(cx: &FlowCx, flow: &mut SetParams) -> StepResult<FlowCx> {
    flow.changes.apply(cx).await?;
    Ok(None)
}
