//! Every flow through every fault at every step: repeated, failed, cancelled, killed before and after it is journalled,
//! its undo repeated and killed; tried again when it was undone, and when it was stuck. Whatever happens, the task ends,
//! the instance is free, the world is what the ledger wants, and a failed change has changed nothing.

use std::time::Duration;

use flow::harness::{Case, Moment, NoProbe, Point, Probe, Script, Verdict, every_case};
use flow::{End, Phase};
use ledger::Ledger;
use model::{InstanceId, TaskId};
use serde_json::{Value, json};

use super::site::{PASSWORD, Site};
use crate::flows::FLOWS;

/// One flow: what comes before it, what starts it, and how one sees whether it was done.
struct Subject {
    flow: &'static str,
    prepare: &'static [&'static str],
    start: &'static str,
}

/// Sorted as the table of flows is.
const SUBJECTS: &[Subject] = &[
    Subject { flow: "delete-instance", prepare: &["DestroyPostpaidInstance"], start: "CleanUpInstance" },
    Subject { flow: "clear-data", prepare: &[], start: "ClearInstance" },
    Subject { flow: "create-instance", prepare: &[], start: "CreateInstances" },
    Subject { flow: "isolate-instance", prepare: &[], start: "DestroyPostpaidInstance" },
    Subject { flow: "start-up", prepare: &["DestroyPostpaidInstance"], start: "StartupInstance" },
    Subject { flow: "set-access", prepare: &[], start: "ResetPassword" },
];

const NEW_PASSWORD: &str = "Staple-horse-2";

#[test]
fn every_flow_is_a_subject() {
    let subjects: Vec<_> = SUBJECTS.iter().map(|subject| subject.flow).collect();
    assert_eq!(subjects, FLOWS.iter().map(|flow| flow.name).collect::<Vec<_>>());
}

#[tokio::test]
async fn whatever_happens_at_any_step_of_any_flow_it_is_all_or_nothing() {
    let mut cases = 0;
    for (subject, flow) in SUBJECTS.iter().zip(FLOWS) {
        for case in every_case(flow.name, &flow.steps()) {
            check(subject, &case, &format!("{}: {}", flow.name, case.name)).await;
            cases += 1;
        }
    }
    assert!(cases > 120, "only {cases} cases: does the harness still see every step?");
}

/// The task of the subject has been accepted.
async fn started(subject: &Subject) -> (Site, InstanceId) {
    let site = Site::new();
    let id = if subject.start == "CreateInstances" {
        site.order().await
    } else {
        let id = site.create().await;
        site.world.write_key(&site.primary(&id), "kept").unwrap();
        for action in subject.prepare {
            site.run(action, &id).await;
        }
        start(&site, subject.start, &id).await;
        id
    };
    (site, id)
}

async fn check(subject: &Subject, case: &Case, context: &str) {
    let (site, id) = started(subject).await;
    let task = site.last_task();
    let ends = site.settle(&Cancelling { script: &case.script, ledger: &site.cx.ledger, task }).await;
    assert!(case.script.is_spent(), "{context}: the fault did not happen");
    assert_eq!(ends.len(), 1, "{context}");
    assert_eq!(ends[0] == End::Done, case.ends_done, "{context}: {:?}", ends[0]);
    site.assert_settled(context);
    assert_effect(&site, subject.start, &id, case.ends_done, context);
    if !case.is_retried {
        return;
    }
    let retried = site.call("RetryTask", json!({"TaskId": task.0})).await;
    if site.status(&id).is_none() {
        assert_eq!(retried.unwrap_err().code, "ResourceUnavailable.InstanceDeleted", "{context}");
        return;
    }
    assert_eq!(retried.unwrap()["Attempt"], 2, "{context}");
    assert_eq!(site.settle(&NoProbe).await, [End::Done], "{context}, tried again");
    site.assert_settled(context);
    assert_effect(&site, subject.start, &id, true, context);
}

/// A script whose cancellations reach the ledger.
struct Cancelling<'a> {
    script: &'a Script,
    ledger: &'a Ledger,
    task: TaskId,
}

impl Probe for Cancelling<'_> {
    fn at(&self, point: Point) -> Verdict {
        let verdict = self.script.at(point);
        if verdict == Verdict::Cancel {
            let task = self.task;
            let written = self.ledger.write(move |tx| ledger::cancel_task(tx, task));
            // The ledger has a thread of its own, so that one may wait for it here.
            let blocked = std::thread::scope(|scope| scope.spawn(|| block_on(written)).join());
            blocked.unwrap().unwrap();
        }
        verdict
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// Fails a step for as long as it is tried, which is not long.
struct FailsAlways<'a>(&'a Site, Vec<(&'static str, Phase)>);

impl Probe for FailsAlways<'_> {
    fn at(&self, point: Point) -> Verdict {
        let is_here = self.1.contains(&(point.step, point.phase)) && point.moment == Moment::After;
        if !is_here {
            return Verdict::Go;
        }
        self.0.clock.skip(Duration::from_secs(24 * 3600));
        Verdict::Fail
    }
}

#[tokio::test]
async fn a_task_that_is_stuck_at_any_step_goes_on_from_there_when_it_is_tried_again() {
    let mut cases = 0;
    for (subject, flow) in SUBJECTS.iter().zip(FLOWS) {
        let steps = flow.steps();
        let pivot = steps.iter().position(|step| step.pivot).unwrap_or(steps.len());
        for (index, step) in steps.iter().enumerate() {
            // Past the pivot doing it fails, and up to there taking it back, once the last one that can fail has.
            let ways =
                if index > pivot { vec![None] } else { (index..=pivot.min(steps.len() - 1)).map(Some).collect() };
            for way in ways {
                let faults = match way {
                    None => vec![(step.name, Phase::Run)],
                    Some(failed) => vec![(steps[failed].name, Phase::Run), (step.name, Phase::Undo)],
                };
                let ends_done = way.is_none();
                check_stuck(subject, faults, ends_done, &format!("{}: stuck at {}, {way:?}", flow.name, step.name))
                    .await;
                cases += 1;
            }
        }
    }
    assert!(cases > 15, "only {cases} cases");
}

async fn check_stuck(subject: &Subject, faults: Vec<(&'static str, Phase)>, ends_done: bool, context: &str) {
    let (site, id) = started(subject).await;
    let task = site.last_task();
    let ends = site.settle(&FailsAlways(&site, faults)).await;
    assert!(matches!(&ends[..], [End::Stuck { .. }]), "{context}: {ends:?}");
    assert_ne!(site.status(&id), Some(1), "{context}: busy, and no task has it");
    let before = site.call("DescribeTaskSteps", json!({"TaskId": task.0})).await.unwrap();
    let is_failed = |step: &&Value| step["Status"] == "failed";
    let failed: Vec<_> = before["Steps"].as_array().unwrap().iter().filter(is_failed).collect();
    assert_eq!(failed.len(), 1, "{context}: {before}");
    assert_eq!(failed[0]["Name"], before["Step"], "{context}");
    assert_eq!(before["CanRetry"], true, "{context}");
    site.call("RetryTask", json!({"TaskId": task.0})).await.unwrap();
    let end = site.settle(&NoProbe).await.remove(0);
    assert_eq!(end == End::Done, ends_done, "{context}: {end:?}");
    assert!(ends_done || matches!(end, End::Undone { .. }), "{context}: {end:?}");
    site.assert_settled(context);
    assert_effect(&site, subject.start, &id, ends_done, context);
}

async fn start(site: &Site, action: &str, id: &InstanceId) {
    let params = match action {
        "ClearInstance" => json!({"InstanceId": id.as_str(), "Password": PASSWORD}),
        "ResetPassword" => json!({"InstanceId": id.as_str(), "Password": NEW_PASSWORD}),
        _ => json!({"InstanceId": id.as_str()}),
    };
    site.call(action, params).await.unwrap();
}

fn assert_effect(site: &Site, action: &str, id: &InstanceId, done: bool, context: &str) {
    let status = match (action, done) {
        ("CleanUpInstance", true) | ("CreateInstances", false) => None,
        ("DestroyPostpaidInstance", true) | ("StartupInstance" | "CleanUpInstance", false) => Some(-3),
        _ => Some(2),
    };
    assert_eq!(site.status(id), status, "{context}");
    if status.is_none() || action == "CreateInstances" {
        return;
    }
    let keys = site.world.data(&site.primary(id)).unwrap();
    let is_cleared = action == "ClearInstance" && done;
    assert_eq!(keys.contains("kept"), !is_cleared, "{context}: the data");
    let wanted = if action == "ResetPassword" && done { NEW_PASSWORD } else { PASSWORD };
    assert!(site.has_password(id, wanted), "{context}: the password");
}

/// A ledger may hold tasks of an older binary: a step that such a task may be at is never renamed or taken away.
#[test]
fn the_golden_list_of_steps_is_the_table_of_flows() {
    let golden = include_str!("../../../../api/flows.txt");
    let mut lines =
        vec!["# Flows and their steps, as journals keep them. Lines are added, never changed or removed.".to_owned()];
    for flow in FLOWS {
        for step in flow.steps() {
            let undo = if step.can_undo { " undo" } else { "" };
            let pivot = if step.pivot { " pivot" } else { "" };
            lines.push(format!("{}/{}{undo}{pivot}", flow.name, step.name));
        }
    }
    let now = lines.join("\n") + "\n";
    assert!(golden == now, "api/flows.txt should be:\n{now}");
}
