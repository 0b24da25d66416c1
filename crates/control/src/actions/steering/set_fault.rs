//! Disturbs flows on purpose, in `opencrs dev` alone: makes a step fail, or holds it until it is let go.

use flow::Phase;
use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, OPENCRS};
use crate::dev::{Dev, FaultKind, StepFault};
use crate::errors::{Answer, bad_value, missing};
use crate::flows::FLOWS;

/// What is to go wrong, and where.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The flow, as DescribeTaskSteps names it. Left out where all faults are cleared.
    flow: Option<String>,
    /// The step. Left out where all faults of the flow are cleared.
    step: Option<String>,
    /// fail: the step runs and is taken for failed. hold: it does not begin. none, or release: what was set is cleared,
    /// and what was held goes on.
    fault: String,
    /// run (where it is left out) for doing the step, undo for taking it back. Faults are cleared of both where it is left
    /// out.
    phase: Option<String>,
    /// How many times it fails, 1 where it is left out. Past a step that can't be undone, and while undoing, a failed step
    /// is tried again until its time is over. A step is held until it is let go.
    count: Option<u64>,
}

/// What is set from now on.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// All faults.
    faults: Vec<Shown>,
}

/// A fault at a step.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Shown {
    /// The flow.
    flow: &'static str,
    /// The step.
    step: &'static str,
    /// run or undo.
    phase: &'static str,
    /// fail or hold.
    fault: &'static str,
    /// How many times more it fails; 0 for one that is held.
    count: u64,
}

pub(crate) struct SetFault;

impl Action for SetFault {
    const NAME: &'static str = "SetFault";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::write(Resource::Service);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let dev = dev(call, Self::NAME)?;
        let place = Place::read(&request)?;
        let kind = match (request.fault.as_str(), request.count) {
            ("fail", count) => Some(FaultKind::Fail(at_least_once(count.unwrap_or(1))?)),
            ("hold", None) => Some(FaultKind::Hold),
            ("none" | "release", None) => None,
            ("hold" | "none" | "release", Some(_)) => {
                return Err(bad_value("Count", "it goes with `fail` alone", "仅可与 `fail` 一起使用"));
            }
            _ => {
                return Err(bad_value(
                    "Fault",
                    "it is fail, hold, none or release",
                    "须为 fail、hold、none 或 release",
                ));
            }
        };
        match kind {
            Some(kind) => {
                let flow = place.flow.ok_or_else(|| missing("Flow"))?;
                let step = place.step.ok_or_else(|| missing("Step"))?;
                dev.faults.set(StepFault { flow, step, phase: place.phase.unwrap_or(Phase::Run), kind });
            }
            None => dev.faults.clear(|fault| place.fits(fault)),
        }
        // What was held, and is no longer, goes on at once.
        call.write(|tx| Ok(ledger::wake_parked_tasks(tx)?)).await?;
        let show = |fault: StepFault| {
            let (name, count) = match fault.kind {
                FaultKind::Fail(left) => ("fail", left),
                FaultKind::Hold => ("hold", 0),
            };
            Shown { flow: fault.flow, step: fault.step, phase: view::phase(fault.phase), fault: name, count }
        };
        Ok(Response { faults: dev.faults.all().into_iter().map(show).collect() })
    }
}

/// What `opencrs dev` alone has.
pub(super) fn dev<'a>(call: &'a Call, action: &str) -> Answer<&'a Dev> {
    call.cx.dev.as_ref().ok_or_else(|| {
        ApiError::new(
            code::UnsupportedOperation,
            format!("The action `{action}` is for tests: only `opencrs dev` has it."),
            format!("接口 `{action}` 仅供测试，只有 `opencrs dev` 支持。"),
        )
        .into()
    })
}

fn at_least_once(count: u64) -> Answer<u64> {
    if count > 0 { Ok(count) } else { Err(bad_value("Count", "it must be 1 or more", "须大于0")) }
}

/// Where a fault is, as far as it was said.
struct Place {
    flow: Option<&'static str>,
    step: Option<&'static str>,
    phase: Option<Phase>,
}

impl Place {
    fn read(request: &Request) -> Answer<Place> {
        let phase = match request.phase.as_deref() {
            None | Some("") => None,
            Some("run") => Some(Phase::Run),
            Some("undo") => Some(Phase::Undo),
            Some(_) => return Err(bad_value("Phase", "it is run or undo", "须为 run 或 undo")),
        };
        let Some(name) = request.flow.as_deref().filter(|name| !name.is_empty()) else {
            return match request.step.as_deref() {
                None | Some("") => Ok(Place { flow: None, step: None, phase }),
                Some(_) => Err(missing("Flow")),
            };
        };
        let Some(flow) = view::entry(name) else {
            let names: Vec<_> = FLOWS.iter().map(|flow| flow.name).collect();
            return Err(one_of("Flow", &names));
        };
        let Some(name) = request.step.as_deref().filter(|name| !name.is_empty()) else {
            return Ok(Place { flow: Some(flow.name), step: None, phase });
        };
        let names: Vec<_> = flow.steps().iter().map(|step| step.name).collect();
        let step = names.iter().copied().find(|step| *step == name).ok_or_else(|| one_of("Step", &names))?;
        Ok(Place { flow: Some(flow.name), step: Some(step), phase })
    }

    fn fits(&self, fault: &StepFault) -> bool {
        self.flow.is_none_or(|flow| flow == fault.flow)
            && self.step.is_none_or(|step| step == fault.step)
            && self.phase.is_none_or(|phase| phase == fault.phase)
    }
}

fn one_of(parameter: &str, names: &[&str]) -> crate::errors::Fault {
    let names = names.join(", ");
    bad_value(parameter, &format!("it is one of {names}"), &format!("须为以下之一：{names}"))
}
