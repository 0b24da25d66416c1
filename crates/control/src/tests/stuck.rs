//! Every flow stuck at every step at which it can be, and tried again from there.

use std::time::Duration;

use flow::harness::{Moment, NoProbe, Point, Probe, Verdict};
use flow::{End, Phase};
use serde_json::{Value, json};

use super::crashes::{SUBJECTS, Started, Subject};
use super::site::Site;
use crate::flows::FLOWS;

/// Fails steps for as long as they are tried, which is not long.
struct FailsAlways<'a>(&'a Site, &'a [(&'static str, Phase)]);

impl Probe for FailsAlways<'_> {
    fn at(&self, point: Point) -> Verdict {
        let is_here = self.1.contains(&(point.step, point.phase)) && point.moment == Moment::After;
        if !is_here {
            return Verdict::Go;
        }
        self.0.clock.skip(Duration::from_secs(48 * 3600));
        Verdict::Fail
    }
}

#[tokio::test]
async fn a_task_that_is_stuck_at_any_step_goes_on_from_there_when_it_is_tried_again() {
    let mut cases = 0;
    for subject in SUBJECTS {
        let steps = FLOWS.iter().find(|flow| flow.name == subject.flow).unwrap().steps();
        let last_undone = steps.iter().position(|step| step.pivot).unwrap_or(steps.len() - 1);
        for (index, step) in steps.iter().enumerate() {
            let context = format!("{} by {}: stuck at {}", subject.flow, subject.start.0, step.name);
            if index > last_undone {
                check(subject, &[(step.name, Phase::Run)], true, &context).await;
                cases += 1;
                continue;
            }
            for failed in &steps[index..=last_undone] {
                let faults = [(failed.name, Phase::Run), (step.name, Phase::Undo)];
                check(subject, &faults, false, &format!("{context} after {}", failed.name)).await;
                cases += 1;
            }
        }
    }
    assert!(cases > 90, "only {cases} cases");
}

async fn check(subject: &'static Subject, faults: &[(&'static str, Phase)], ends_done: bool, context: &str) {
    let started = Started::of(subject).await;
    let (site, task) = (&started.site, started.task.0);
    let end = started.settle(&FailsAlways(site, faults), context).await;
    assert!(matches!(end, End::Stuck { .. }), "{context}: {end:?}");
    assert_ne!(site.status(&started.id), Some(1), "{context}: busy, and no task has it");
    let shown = site.call("DescribeTaskSteps", json!({"TaskId": task})).await.unwrap();
    let is_failed = |step: &&Value| step["Status"] == "failed";
    let failed: Vec<_> = shown["Steps"].as_array().unwrap().iter().filter(is_failed).collect();
    assert_eq!(failed.len(), 1, "{context}: {shown}");
    assert_eq!((&failed[0]["Name"], &shown["CanRetry"]), (&shown["Step"], &json!(true)), "{context}");

    site.call("RetryTask", json!({"TaskId": task})).await.unwrap();
    let ends = site.settle(&NoProbe).await;
    let is_right = match &ends[..] {
        [End::Done] => ends_done,
        [End::Undone { .. }] => !ends_done,
        _ => false,
    };
    assert!(is_right, "{context}, tried again: {ends:?}");
    started.check(ends_done, &format!("{context}, tried again"));
}
