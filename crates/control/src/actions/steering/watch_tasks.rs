//! Tells how tasks get on, as it happens: first those that are open, then every change of them and of those that come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use ledger::{Accepted, PassedStep, Reader, Task, TaskFlow};
use model::{InstanceId, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::{self, Head, Passed};
use crate::access::{Access, Resource};
use crate::action::{Api, Call, Event, Events, OPENCRS, StreamAction};
use crate::cx::FlowCx;
use crate::errors::Answer;

/// Which tasks.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Tasks of this instance.
    instance_id: Option<String>,
    /// These tasks. They are shown at the beginning even where they have ended.
    #[schemars(extend("x-lenient" = true))]
    task_ids: Option<Vec<u64>>,
}

/// What an event tells. Events are `snapshot` (at the beginning, how a task stands), `accepted` (a task begins, or begins
/// again), `step` (it has passed a step), `progress` (it stands otherwise), and `end`.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskEvent {
    /// How the task stands now; it may be further than what the event tells.
    #[serde(flatten)]
    head: Head,
    /// With `step`: the step that was passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<Passed>,
}

pub(crate) struct WatchTasks;

impl StreamAction for WatchTasks {
    const NAME: &'static str = "WatchTasks";
    const API: Api = OPENCRS;
    const ACCESS: Access = Access::read(Resource::Task);
    type Request = Request;
    type Event = TaskEvent;

    async fn open(call: &Call, request: Request) -> Answer<Events> {
        let watch = Watch::begin(call, request)?;
        Ok(futures_util::stream::unfold(watch, Watch::next).boxed())
    }
}

/// The pause between two looks while a lot is written.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A watch that is under way.
struct Watch {
    cx: Arc<FlowCx>,
    account: i64,
    instance: Option<InstanceId>,
    tasks: Vec<TaskId>,
    /// The ledger's version of the last look.
    version: u64,
    /// When that was, by the clock that only passes.
    looked: Duration,
    /// How far the acceptance of tasks had come at the last look.
    accepted: Accepted,
    /// Those that were open at the last look.
    known: BTreeMap<TaskId, Known>,
    /// What is to be told.
    events: VecDeque<Event>,
}

/// A task as it was at the last look.
struct Known {
    task: Task,
    flow: TaskFlow,
    head: Head,
    /// The place of the last step that it had passed.
    seq: i64,
}

/// What a look finds: tasks that are another than they were, with the steps that they passed since.
struct Found {
    now: Known,
    passed: Vec<PassedStep>,
}

impl Watch {
    fn begin(call: &Call, request: Request) -> Answer<Self> {
        let account = call.caller.account;
        let ids = request.task_ids.unwrap_or_default();
        let mut watch = Watch {
            cx: call.cx.clone(),
            account,
            instance: None,
            tasks: ids.iter().filter_map(|id| i64::try_from(*id).ok()).map(TaskId).collect(),
            version: call.cx.ledger.version(),
            looked: call.cx.clock.passed(),
            accepted: Accepted::NONE,
            known: BTreeMap::new(),
            events: VecDeque::new(),
        };
        let zone = call.cx.settings.utc_offset_seconds;
        if let Some(id) = request.instance_id.as_deref().filter(|id| !id.is_empty()) {
            watch.instance = Some(call.instance(id)?.id);
        }
        let found = call.read(|reader| {
            let named = ids.iter().enumerate();
            let named = named.map(|(index, id)| view::find(reader, account, &format!("TaskIds.{index}"), *id));
            let mut all = match named.collect::<Answer<Vec<_>>>() {
                Ok(named) => named,
                Err(fault) => return Ok(Err(fault)),
            };
            watch.accepted = ledger::accepted(reader)?;
            all.extend(ledger::open_flows(reader, account)?);
            all.retain(|(task, _)| watch.fits(task));
            all.sort_by_key(|(task, _)| task.id);
            all.dedup_by_key(|(task, _)| task.id);
            let all =
                all.into_iter().map(|(task, flow)| Known::read(reader, zone, task, flow, 0).map(|found| found.now));
            Ok(Ok(all.collect::<ledger::Result<Vec<_>>>()?))
        })??;
        for known in found {
            watch.tell("snapshot", &known.head, None)?;
            if view::is_open(&known.task) {
                watch.known.insert(known.task.id, known);
            }
        }
        Ok(watch)
    }

    fn fits(&self, task: &Task) -> bool {
        let is_of_instance = self.instance.as_ref().is_none_or(|instance| *instance == task.instance);
        is_of_instance && (self.tasks.is_empty() || self.tasks.contains(&task.id))
    }

    /// The next event, when there is one.
    async fn next(mut self) -> Option<(Event, Self)> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some((event, self));
            }
            let cx = self.cx.clone();
            let changed = cx.ledger.changed();
            let version = cx.ledger.version();
            if version == self.version {
                changed.await;
                continue;
            }
            let rest = LOOK_EVERY.saturating_sub(cx.clock.passed().saturating_sub(self.looked));
            if !rest.is_zero() {
                cx.clock.sleep(rest).await;
                continue;
            }
            self.looked = cx.clock.passed();
            match self.look() {
                Ok(()) => self.version = version,
                Err(error) => tracing::warn!(%error, "tasks can't be watched now"),
            }
        }
    }

    /// Looks at the tasks that are open, those that were, and those that have come.
    fn look(&mut self) -> Answer<()> {
        let (cx, zone) = (self.cx.clone(), self.cx.settings.utc_offset_seconds);
        let (accepted, found) = cx.ledger.read(|reader| {
            let accepted = ledger::accepted(reader)?;
            let mut all = ledger::open_flows(reader, self.account)?;
            if accepted != self.accepted {
                all.extend(ledger::accepted_since(reader, self.account, self.accepted)?);
            }
            let gone: Vec<_> = self.known.keys().filter(|id| !all.iter().any(|(task, _)| task.id == **id)).collect();
            for id in gone {
                all.extend(ledger::task_and_flow(reader, *id)?);
            }
            all.retain(|(task, flow)| {
                let known = self.known.get(&task.id);
                self.fits(task) && known.is_none_or(|known| (&known.task, &known.flow) != (task, flow))
            });
            all.sort_by_key(|(task, _)| task.id);
            all.dedup_by_key(|(task, _)| task.id);
            let read = all.into_iter().map(|(task, flow)| {
                let seq = self.known.get(&task.id).map_or(0, |known| known.seq);
                Known::read(reader, zone, task, flow, seq)
            });
            Ok((accepted, read.collect::<ledger::Result<Vec<_>>>()?))
        })?;
        self.accepted = accepted;
        found.into_iter().try_for_each(|found| self.tell_all(found, zone))
    }

    /// Tells all that has become of one task since the last look.
    fn tell_all(&mut self, Found { now, passed }: Found, zone: i32) -> Answer<()> {
        let before = self.known.remove(&now.task.id);
        // A task that was not open then begins with its present attempt.
        let mut attempt = before.as_ref().map_or(now.flow.attempt - 1, |before| before.flow.attempt);
        let told = self.events.len();
        for row in passed.into_iter().filter(|row| before.is_some() || row.attempt == now.flow.attempt) {
            if row.attempt > attempt {
                attempt = row.attempt;
                self.tell("accepted", &now.head, None)?;
            }
            self.tell("step", &now.head, Some(Passed::of(row, zone)))?;
        }
        if now.flow.attempt > attempt {
            self.tell("accepted", &now.head, None)?;
        }
        if !view::is_open(&now.task) {
            return self.tell("end", &now.head, None);
        }
        if self.events.len() == told && before.is_none_or(|before| before.head != now.head) {
            self.tell("progress", &now.head, None)?;
        }
        self.known.insert(now.task.id, now);
        Ok(())
    }

    fn tell(&mut self, name: &'static str, head: &Head, passed: Option<Passed>) -> Answer<()> {
        self.events.push_back(Event::new(name, &TaskEvent { head: head.clone(), passed })?);
        Ok(())
    }
}

impl Known {
    fn read(reader: &mut dyn Reader, zone: i32, task: Task, flow: TaskFlow, seq: i64) -> ledger::Result<Found> {
        let passed = ledger::passed_since(reader, task.id, seq)?;
        let seq = passed.last().map_or(seq, |row| row.seq);
        let head = view::head(reader, zone, &task, &flow)?;
        Ok(Found { now: Known { task, flow, head, seq }, passed })
    }
}
