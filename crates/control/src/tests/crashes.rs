//! Every flow through every fault at every step: repeated, failed, killed before and after it is journalled, its undo
//! repeated and killed. Whatever happens, the task ends, the instance is free, the world is what the ledger wants, and
//! a failed change has changed nothing.

use flow::End;
use flow::harness::{Script, every_case};
use model::InstanceId;
use serde_json::json;

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
            check(subject, &case.script, case.ends_done, &format!("{}: {}", flow.name, case.name)).await;
            cases += 1;
        }
    }
    assert!(cases > 80, "only {cases} cases: does the harness still see every step?");
}

async fn check(subject: &Subject, script: &Script, ends_done: bool, context: &str) {
    let site = Site::new();
    let is_creation = subject.start == "CreateInstances";
    let id = if is_creation {
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
    let ends = site.settle(script).await;
    assert!(script.is_spent(), "{context}: the fault did not happen");
    assert_eq!(ends.len(), 1, "{context}");
    assert_eq!(ends[0] == End::Done, ends_done, "{context}: {:?}", ends[0]);
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
    let instance = site.cx.ledger.read(|reader| ledger::instance(reader, id)).unwrap().unwrap();
    let wanted = model::Secret::new(wanted);
    let is_right = crate::flows::set_access::is_password(&site.cx, &instance, &wanted).unwrap();
    assert!(is_right, "{context}: the password");
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
