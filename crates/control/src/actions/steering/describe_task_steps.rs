//! Looks into a task: its steps, where it is among them, what it waits for, and what earlier attempts came to.

use flow::{Flow, Phase, StepInfo};
use ledger::{PassedStep, Task, TaskFlow, passed_steps};
use model::{Millis, TaskResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::{self, Head, Passed};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, OPENCRS};
use crate::errors::Answer;
use crate::flows::rotate_password::{OVERLAP, RotatePassword};
use crate::when;

/// Which task.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The task.
    #[schemars(extend("x-lenient" = true))]
    task_id: u64,
}

/// How it stands, and its steps.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    #[serde(flatten)]
    head: Head,
    /// The steps of the present attempt, in order; none where a newer version of the service accepted the task.
    steps: Vec<Step>,
    /// The steps that earlier attempts passed, in order.
    history: Vec<Passed>,
}

/// A step of the present attempt.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Step {
    /// Its name; it never changes.
    name: String,
    /// waiting, running, done, failed, undoing or undone. What was undone is as it was before.
    status: &'static str,
    /// When it became the next one; empty where it never was.
    start_time: String,
    /// When it came to where it is: done, failed or undone; else empty.
    end_time: String,
    /// Tries that failed.
    tries: u32,
    /// What went wrong; else empty.
    message: String,
    /// What it waits for now, in words; empty where it waits for nothing.
    waits_for: String,
    /// Since when it waits; empty where it doesn't.
    waits_since: String,
    /// Whether nothing is undone any more once it is done.
    is_pivot: bool,
    /// Whether it does anything that would have to be undone.
    can_undo: bool,
}

pub(crate) struct DescribeTaskSteps;

impl Action for DescribeTaskSteps {
    const NAME: &'static str = "DescribeTaskSteps";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::read(Resource::Task);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (account, zone) = (call.caller.account, call.cx.settings.utc_offset_seconds);
        let (mut response, task, flow) = call.read(|reader| {
            let (task, flow) = match view::find(reader, account, "TaskId", request.task_id) {
                Ok(found) => found,
                Err(fault) => return Ok(Err(fault)),
            };
            let head = view::head(reader, zone, &task, &flow)?;
            let (present, earlier): (Vec<_>, Vec<_>) =
                passed_steps(reader, task.id)?.into_iter().partition(|row| row.attempt == flow.attempt);
            let infos = view::entry(&flow.flow).map(|entry| entry.steps()).unwrap_or_default();
            let attempt = Attempt { task: &task, flow: &flow, infos: &infos, passed: &present, zone };
            let steps = (0..infos.len()).map(|index| attempt.step(index)).collect();
            let history = earlier.into_iter().map(|row| Passed::of(row, zone)).collect();
            Ok(Ok((Response { head, steps, history }, task, flow)))
        })??;
        if let Some(left) = left_on_old_password(call, &task, &flow).await {
            let steps = response.steps.iter_mut().filter(|step| step.name == flow.cursor.step);
            let texts = steps.map(|step| &mut step.waits_for).chain([&mut response.head.waits_for]);
            for text in texts.filter(|text| !text.is_empty()) {
                *text = format!("{text}; {left}");
            }
        }
        Ok(response)
    }
}

/// How many connections are signed in with a password that is about to go, in words; `None` where the task waits for
/// something else, or the gateway does not tell.
async fn left_on_old_password(call: &Call, task: &Task, flow: &TaskFlow) -> Option<String> {
    let is_next = flow.flow == RotatePassword::NAME && flow.cursor.step == OVERLAP;
    if !is_next || flow.cursor.phase != Phase::Run || !view::is_open(task) {
        return None;
    }
    let report = call.cx.gateway.report().await.ok()?;
    let left = report.instances.get(&task.instance).map_or(0, |connected| connected.on_old_password);
    Some(format!("connections that are signed in with the old one: {left}"))
}

/// The attempt that is shown step by step.
struct Attempt<'a> {
    task: &'a Task,
    flow: &'a TaskFlow,
    infos: &'a [StepInfo],
    passed: &'a [PassedStep],
    zone: i32,
}

impl Attempt<'_> {
    fn step(&self, index: usize) -> Step {
        let info = &self.infos[index];
        let rows = || self.passed.iter().map(|row| &row.passed).filter(|passed| passed.step == info.name);
        let is_next = view::is_open(self.task) && self.flow.cursor.step == info.name;
        let status = self.status(index);
        let (waits_for, waits_since) = view::waits(self.task, self.flow).filter(|_| is_next).unzip();
        let write = |at: Option<Millis>| at.map_or_else(String::new, |at| when::write(at, self.zone));
        let cursor = &self.flow.cursor;
        let began = rows().next().map(|passed| passed.started_at).or(is_next.then_some(cursor.since));
        let ended = rows().next_back().map(|passed| passed.ended_at).filter(|_| !is_next);
        Step {
            name: info.name.to_owned(),
            status,
            start_time: write(began),
            end_time: write(ended),
            tries: if is_next { cursor.tries } else { rows().next_back().map_or(0, |passed| passed.tries) },
            message: rows()
                .rfind(|passed| !passed.message.is_empty())
                .map_or_else(String::new, |row| row.message.clone()),
            waits_for: waits_for.unwrap_or_default(),
            waits_since: write(waits_since),
            is_pivot: info.pivot,
            can_undo: info.can_undo,
        }
    }

    fn status(&self, index: usize) -> &'static str {
        let Some(next) = self.infos.iter().position(|info| info.name == self.flow.cursor.step) else {
            return "waiting";
        };
        match (self.task.result, self.flow.cursor.phase) {
            (TaskResult::Done, _) => "done",
            (_, Phase::Run) if index != next => {
                if index < next {
                    "done"
                } else {
                    "waiting"
                }
            }
            (TaskResult::Failed, Phase::Run) => "failed",
            (TaskResult::Running, Phase::Run) if !self.flow.is_parked => "running",
            (_, Phase::Run) => "waiting",
            (_, Phase::Undo) if index > self.turned_at() => "waiting",
            (_, Phase::Undo) if index > next => "undone",
            (_, Phase::Undo) if index < next => "done",
            (TaskResult::Failed, Phase::Undo) => {
                if self.flow.is_stuck {
                    "failed"
                } else {
                    "undone"
                }
            }
            (_, Phase::Undo) => "undoing",
        }
    }

    /// The step at which the attempt turned round: the last that it tried to do.
    fn turned_at(&self) -> usize {
        let ran = self.passed.iter().rfind(|row| row.passed.phase == Phase::Run);
        ran.and_then(|row| self.infos.iter().position(|info| info.name == row.passed.step)).unwrap_or(0)
    }
}
