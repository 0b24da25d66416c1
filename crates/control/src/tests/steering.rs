//! Tasks that are looked into, cancelled and tried again.

use std::time::Duration;

use flow::harness::{NoProbe, Probe};
use flow::{Clock, End, Stopped, drive};
use serde_json::{Value, json};

use super::site::{PASSWORD, Site, order};
use crate::flows::FLOWS;
use crate::settings::Settings;

const NEW_PASSWORD: &str = "Staple-horse-2";

impl Site {
    /// Lets a worker take up what can be taken up, once each.
    pub(super) async fn work(&self, probe: &dyn Probe) -> Vec<Result<End, Stopped>> {
        let now = self.clock.now();
        let claimed = self.cx.ledger.write(move |tx| ledger::claim_tasks(tx, now, now + ledger::LEASE, 100)).await;
        let mut ends = Vec::new();
        for task in claimed.unwrap() {
            let flow = FLOWS.iter().find(|flow| flow.name == task.flow).unwrap();
            ends.push(drive(flow, &*self.cx, &self.cx.ledger, probe, task).await);
        }
        ends
    }

    /// As [`Site::work`], with the faults that were set.
    pub(super) async fn work_disturbed(&self) -> Vec<Result<End, Stopped>> {
        let faults = self.cx.dev.as_ref().unwrap().faults.clone();
        self.work(&*faults).await
    }

    pub(super) async fn fault(&self, flow: &str, step: &str, fault: &str) {
        self.call("SetFault", json!({"Flow": flow, "Step": step, "Fault": fault})).await.unwrap();
    }

    pub(super) async fn steps(&self, task: i64) -> Value {
        self.call("DescribeTaskSteps", json!({"TaskId": task})).await.unwrap()
    }

    async fn code(&self, action: &str, task: i64) -> String {
        let error = self.call(action, json!({"TaskId": task})).await.unwrap_err();
        assert!(!error.message.en.is_empty() && !error.message.zh.is_empty());
        error.code.to_owned()
    }
}

/// The steps' names and statuses: `start_nodes done, attach_replicas running`.
fn statuses(steps: &Value) -> String {
    let steps = steps["Steps"].as_array().unwrap();
    let shown =
        steps.iter().map(|step| format!("{} {}", step["Name"].as_str().unwrap(), step["Status"].as_str().unwrap()));
    shown.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn the_steps_of_a_task_are_shown_from_its_acceptance_to_its_end() {
    let site = Site::new();
    site.order().await;
    let accepted = site.steps(1).await;
    assert_eq!(statuses(&accepted), "start_nodes waiting, attach_replicas waiting, open_address waiting");
    assert_eq!((&accepted["Result"], &accepted["Attempt"], &accepted["Progress"]), (&json!(0), &json!(1), &json!(0.0)));
    assert_eq!((&accepted["Flow"], &accepted["TaskType"]), (&json!("create-instance"), &json!("001")));
    assert_eq!((&accepted["EndTime"], &accepted["ExpectedEndTime"]), (&json!(""), &json!("")));
    assert_eq!((&accepted["CanCancel"], &accepted["CanRetry"]), (&json!(true), &json!(false)));

    site.fault("create-instance", "attach_replicas", "hold").await;
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    let held = site.steps(1).await;
    assert_eq!(statuses(&held), "start_nodes done, attach_replicas waiting, open_address waiting");
    assert_eq!((&held["Step"], &held["Result"]), (&json!("attach_replicas"), &json!(1)));
    assert!(held["WaitsFor"].as_str().unwrap().contains("held by a fault"), "{held}");
    let (first, second) = (&held["Steps"][0], &held["Steps"][1]);
    assert!(first["StartTime"] != "" && first["EndTime"] != "" && first["WaitsFor"] == "", "{first}");
    assert_eq!(
        (&first["CanUndo"], &second["CanUndo"], &first["IsPivot"]),
        (&json!(true), &json!(false), &json!(false))
    );
    assert_eq!((&second["WaitsFor"], &second["WaitsSince"]), (&held["WaitsFor"], &held["WaitsSince"]));
    assert!(second["StartTime"] != "" && second["EndTime"] == "" && second["WaitsSince"] != "", "{second}");

    site.fault("create-instance", "attach_replicas", "release").await;
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)], "it is taken up at once");
    let done = site.steps(1).await;
    assert_eq!(statuses(&done), "start_nodes done, attach_replicas done, open_address done");
    assert_eq!((&done["Result"], &done["Progress"], &done["WaitsFor"]), (&json!(2), &json!(1.0), &json!("")));
    assert_eq!((&done["CanCancel"], &done["CanRetry"], &done["History"]), (&json!(false), &json!(false), &json!([])));
    assert_ne!(done["EndTime"], "");
}

#[tokio::test]
async fn a_held_task_that_is_cancelled_is_undone_at_once_wherever_it_is() {
    for (step, after) in [
        ("start_nodes", "start_nodes undone, attach_replicas waiting, open_address waiting"),
        ("attach_replicas", "start_nodes undone, attach_replicas undone, open_address waiting"),
        ("open_address", "start_nodes undone, attach_replicas undone, open_address undone"),
    ] {
        let site = Site::new();
        let id = site.order().await;
        site.fault("create-instance", step, "hold").await;
        assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
        site.call("CancelTask", json!({"TaskId": 1})).await.unwrap();
        site.call("CancelTask", json!({"TaskId": "1"})).await.expect("said again, it changes nothing");
        let asked = site.steps(1).await;
        assert_eq!((&asked["CanCancel"], &asked["Phase"]), (&json!(false), &json!("run")));
        let ends = site.work_disturbed().await;
        assert!(matches!(&ends[..], [Ok(End::Undone { message, .. })] if message.contains("cancelled")), "{ends:?}");
        assert_eq!(site.status(&id), None);
        site.assert_settled(step);
        let undone = site.steps(1).await;
        assert_eq!(
            (&undone["Result"], &undone["Phase"], &undone["CanRetry"]),
            (&json!(4), &json!("undo"), &json!(false))
        );
        assert!(undone["Message"].as_str().unwrap().contains("cancelled"), "{undone}");
        assert_eq!(statuses(&undone), after);
    }
}

#[tokio::test]
async fn a_step_says_what_it_waits_for_before_anything_has_failed() {
    let site = Site::new();
    let id = site.create().await;
    site.call("UpgradeInstance", json!({"InstanceId": id.as_str(), "MemSize": 2048})).await.unwrap();
    assert_eq!(site.steps(2).await["WaitsFor"], "", "nobody works on it yet");
    let now = site.clock.now();
    site.cx.ledger.write(move |tx| ledger::claim_tasks(tx, now, now + ledger::LEASE, 9)).await.unwrap();
    let shown = site.steps(2).await;
    assert_eq!(shown["WaitsFor"], "the primary to tell how much it uses");
    assert_eq!(statuses(&shown), "check_used running, apply_memory waiting, show waiting");
    assert_eq!((&shown["Steps"][0]["WaitsFor"], &shown["Steps"][1]["WaitsFor"]), (&shown["WaitsFor"], &json!("")));
}

/// A new engine for an instance, whose cut-over waits for a window that opens in two hours.
async fn waiting_for_its_window(site: &Site) -> model::InstanceId {
    let id = site.create().await;
    let minute = (site.clock.now().seconds() / 60 + 8 * 60) % 1440;
    let (instance, window) = (id.clone(), ((minute + 120) % 1440, (minute + 180) % 1440));
    site.cx.ledger.write(move |tx| ledger::set_window(tx, &instance, window)).await.unwrap();
    let upgrade = json!({"InstanceId": id.as_str(), "TargetInstanceType": "19", "SwitchOption": 1});
    site.call("UpgradeInstanceVersion", upgrade).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    id
}

#[tokio::test]
async fn a_change_that_waits_for_its_window_says_so_and_is_cancelled_without_waiting() {
    let site = Site::new();
    let id = waiting_for_its_window(&site).await;
    let waiting = site.steps(2).await;
    assert_eq!((&waiting["Step"], &waiting["CanCancel"]), (&json!("await_window"), &json!(true)));
    assert!(waiting["WaitsFor"].as_str().unwrap().contains("maintenance window"), "{waiting}");
    site.call("CancelTask", json!({"TaskId": 2})).await.unwrap();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    assert_eq!(site.status(&id), Some(2));
    site.assert_settled("cancelled in front of its window");

    site.call("RetryTask", json!({"TaskId": 2})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)], "it waits for its window again");
    assert_eq!(site.steps(2).await["Step"], "await_window");
}

#[tokio::test]
async fn a_window_opens_when_the_clock_is_set_forward() {
    let site = Site::new();
    waiting_for_its_window(&site).await;
    site.call("AdvanceClock", json!({"Seconds": 600})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)], "not yet");
    site.call("AdvanceClock", json!({"Seconds": 2 * 3600})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)]);
    site.assert_settled("its window has come");
}

#[tokio::test]
async fn a_window_that_was_missed_is_not_made_up_for_outside_of_it() {
    let site = Site::new();
    let id = waiting_for_its_window(&site).await;
    let due_at = || site.cx.ledger.read(|reader| ledger::pending(reader, &id)).unwrap().unwrap().due_at;
    let first = due_at();
    site.call("AdvanceClock", json!({"Seconds": 12 * 3600})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)], "its window is over");
    assert_eq!(due_at(), first + Duration::from_secs(24 * 3600));
    let event = site.cx.ledger.read(|reader| ledger::event(reader, 100_000_000_001, 1)).unwrap().unwrap();
    assert_eq!((event.start_at, event.initial_at, event.status.as_str()), (due_at(), first, "Waiting"));
    assert_eq!(site.status(&id), Some(2));
    site.call("AdvanceClock", json!({"Seconds": 14 * 3600})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)]);
    site.assert_settled("its next window has come");
}

#[tokio::test]
async fn what_is_cancelled_is_not_switched_to() {
    let site = Site::new();
    let id = waiting_for_its_window(&site).await;
    site.call("CancelTask", json!({"TaskId": 2})).await.unwrap();
    let params = json!({"InstanceId": id.as_str()});
    let refused = site.call("SwitchAccessNewInstance", params).await.unwrap_err();
    assert_eq!(refused.code, "ResourceUnavailable.InstanceStatusAbnormal");
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    site.assert_settled("cancelled");
}

#[tokio::test]
async fn what_a_retry_wants_again_is_promised_only_where_the_host_has_it() {
    let settings = Settings { host_memory_mb: Some(6000), busy_for: Duration::ZERO, ..Settings::default() };
    let site = Site::with(settings);
    let id = site.create().await;
    site.fault("set-memory", "apply_memory", "fail").await;
    site.call("UpgradeInstance", json!({"InstanceId": id.as_str(), "MemSize": 2048})).await.unwrap();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    let other = site.create().await;
    assert_eq!(site.code("RetryTask", 2).await, "ResourceInsufficient");
    assert_eq!(site.steps(2).await["Result"], 4, "the refusal changed nothing");
    site.run("DestroyPostpaidInstance", &other).await;
    site.run("CleanUpInstance", &other).await;
    site.call("RetryTask", json!({"TaskId": 2})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("tried again");
}

#[tokio::test]
async fn while_a_task_is_undone_each_step_says_how_far_that_is_and_another_cancellation_is_taken() {
    let site = Site::new();
    site.order().await;
    site.fault("create-instance", "open_address", "fail").await;
    let hold = json!({"Flow": "create-instance", "Step": "attach_replicas", "Fault": "hold", "Phase": "undo"});
    site.call("SetFault", hold).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    let undoing = site.steps(1).await;
    assert_eq!(statuses(&undoing), "start_nodes done, attach_replicas undoing, open_address undone");
    assert!(undoing["Steps"][2]["Message"].as_str().unwrap().contains("fault"), "{undoing}");
    assert_eq!((&undoing["Phase"], &undoing["ExpectedEndTime"]), (&json!("undo"), &json!("")));
    site.call("CancelTask", json!({"TaskId": 1})).await.expect("it is on its way back already");
}

#[tokio::test]
async fn an_undone_task_is_tried_again_from_its_first_step_as_the_same_task() {
    let site = Site::new();
    let id = site.create().await;
    let reset = json!({"InstanceId": id.as_str(), "Password": NEW_PASSWORD});
    site.fault("set-access", "apply_users", "fail").await;
    let task = site.call("ResetPassword", reset).await.unwrap()["TaskId"].as_i64().unwrap();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    assert!(site.has_password(&id, PASSWORD));
    let failed = site.steps(task).await;
    assert_eq!((&failed["CanRetry"], &failed["Code"]), (&json!(true), &json!("InternalError")));

    let accepted = site.call("RetryTask", json!({"TaskId": task})).await.unwrap();
    assert_eq!(accepted, json!({"TaskId": task, "Attempt": 2}));
    assert_eq!(site.status(&id), Some(1));
    let again = site.steps(task).await;
    assert_eq!((&again["Result"], &again["Progress"], &again["Message"]), (&json!(0), &json!(0.0), &json!("")));
    assert_eq!((&again["StartTime"], &again["EndTime"]), (&failed["StartTime"], &json!("")));
    let history = again["History"].as_array().unwrap();
    let shown: Vec<_> = history.iter().map(|row| (&row["Attempt"], &row["Name"], &row["Phase"])).collect();
    let name = json!("apply_users");
    assert_eq!(shown, [(&json!(1), &name, &json!("run")), (&json!(1), &name, &json!("undo"))]);
    assert!(history[0]["Message"].as_str().unwrap().contains("fault"));

    assert_eq!(site.work_disturbed().await, [Ok(End::Done)], "a fault that was to happen once has happened");
    assert!(site.has_password(&id, NEW_PASSWORD));
    let listed = site.call("DescribeTaskList", json!({"TaskTypes": ["007"]})).await.unwrap();
    assert_eq!((&listed["TotalCount"], &listed["Tasks"][0]["Result"]), (&json!(1), &json!(2)));
    site.assert_settled("tried again");
}

#[tokio::test]
async fn a_cancelled_isolation_of_a_prepaid_instance_that_is_tried_again_delivers_its_order() {
    let site = Site::new();
    let mut prepaid = order();
    prepaid["BillingMode"] = json!(1);
    let id = site.call("CreateInstances", prepaid).await.unwrap()["InstanceIds"][0].as_str().unwrap().to_owned();
    site.settle(&NoProbe).await;
    let deal = site.call("DestroyPrepaidInstance", json!({"InstanceId": id})).await.unwrap()["DealId"].clone();
    let status = async || {
        let deals = site.call("DescribeInstanceDealDetail", json!({"DealIds": [deal]})).await.unwrap();
        deals["DealDetails"][0]["Status"].as_i64().unwrap()
    };
    site.call("CancelTask", json!({"TaskId": 2})).await.unwrap();
    site.settle(&NoProbe).await;
    assert_eq!(status().await, 5);
    site.call("RetryTask", json!({"TaskId": 2})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(status().await, 4);
}

#[tokio::test]
async fn what_cannot_be_steered_is_refused_and_stays_as_it_is() {
    let site = Site::new();
    let id = site.create().await;
    for action in ["DescribeTaskSteps", "CancelTask", "RetryTask"] {
        assert_eq!(site.code(action, 99).await, "InvalidParameter.InvalidParameter");
        let of_another = site.answer(action, json!({"TaskId": 1}), 5, site.clock.now()).await;
        assert_eq!(of_another.err().unwrap().code, "InvalidParameter.InvalidParameter");
        let huge = site.call(action, json!({"TaskId": u64::MAX})).await.unwrap_err();
        assert_eq!(huge.code, "InvalidParameter.InvalidParameter");
    }
    assert_eq!(site.code("CancelTask", 1).await, "UnsupportedOperation", "it is done");
    assert_eq!(site.code("RetryTask", 1).await, "UnsupportedOperation", "it is done");

    // Past its pivot.
    site.fault("clear-data", "flush", "hold").await;
    site.call("ClearInstance", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    assert_eq!(site.steps(2).await["CanCancel"], false);
    let late = site.call("CancelTask", json!({"TaskId": 2})).await.unwrap_err();
    assert!(late.code == "UnsupportedOperation" && late.message.en.contains("flush"), "{late}");
    assert_eq!(site.code("RetryTask", 2).await, "UnsupportedOperation", "it has not ended");
    site.fault("clear-data", "flush", "none").await;
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)], "the refused cancellation changed nothing");

    // Overtaken by another task, which holds the instance first and is done then.
    let reset = json!({"InstanceId": id.as_str(), "Password": NEW_PASSWORD});
    site.fault("set-access", "apply_users", "fail").await;
    site.call("ResetPassword", reset.clone()).await.unwrap();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    site.call("ResetPassword", reset).await.unwrap();
    assert_eq!(site.code("RetryTask", 3).await, "ResourceUnavailable.InstanceLockedError");
    assert_eq!(site.steps(3).await["CanRetry"], false);
    site.settle(&NoProbe).await;
    assert_eq!(site.code("RetryTask", 3).await, "UnsupportedOperation", "another task has run since");

    // The instance is gone; the ledger is older than retries.
    site.order().await;
    site.fault("create-instance", "start_nodes", "fail").await;
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    assert_eq!(site.code("RetryTask", 5).await, "ResourceUnavailable.InstanceDeleted");
    site.fault("isolate-instance", "stop_nodes", "fail").await;
    site.call("DestroyPostpaidInstance", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    let forget = |tx: &mut dyn ledger::Tx| tx.exec("update task set first_state = '' where id = 6", &[]);
    site.cx.ledger.write(forget).await.unwrap();
    assert_eq!(site.code("RetryTask", 6).await, "UnsupportedOperation");
    assert_eq!(site.status(&id), Some(2));
    site.assert_settled("after all refusals");
}

#[tokio::test]
async fn a_task_of_a_newer_binary_is_shown_without_steps_and_not_steered() {
    let site = Site::new();
    site.order().await;
    let newer = |tx: &mut dyn ledger::Tx| tx.exec("update task set flow = 'levitate' where id = 1", &[]);
    site.cx.ledger.write(newer).await.unwrap();
    let shown = site.steps(1).await;
    assert_eq!((&shown["Flow"], &shown["Steps"]), (&json!("levitate"), &json!([])));
    assert_eq!(site.code("CancelTask", 1).await, "UnsupportedOperation");
    let failed = |tx: &mut dyn ledger::Tx| tx.exec("update task set result = 4 where id = 1", &[]);
    site.cx.ledger.write(failed).await.unwrap();
    assert_eq!(site.code("RetryTask", 1).await, "UnsupportedOperation");
}

/// Durations of tasks: type, size, seconds.
async fn took(site: &Site, tasks: &'static [(&'static str, i64, i64)]) {
    let write = move |tx: &mut dyn ledger::Tx| {
        for (index, (kind, size, seconds)) in tasks.iter().enumerate() {
            let end = 1_000_000 + index as i64;
            tx.exec(
                "insert into task (account, caller, instance, instance_name, project, type, flow, state, cursor, result,
                    progress, started_at, ended_at, size) values (1, '', '', '', 0, $1, 'create-instance', '', '{}', 2, 1, $2, $3, $4)",
                ledger::args![*kind, end - seconds * 1000, end, *size],
            )?;
        }
        Ok::<_, ledger::Error>(())
    };
    site.cx.ledger.write(write).await.unwrap();
}

#[tokio::test]
async fn a_task_should_end_when_those_of_its_type_and_size_lately_did() {
    let expected = async |tasks: &'static [(&'static str, i64, i64)]| {
        let site = Site::new();
        let now = site.clock.now();
        took(&site, tasks).await;
        site.order().await;
        let shown = site.steps(site.last_task().0).await;
        let end = crate::when::read(shown["ExpectedEndTime"].as_str().unwrap(), 8 * 3600)?;
        Some((end.since(now) + Duration::from_millis(500)).as_secs().abs_diff(0))
    };
    let close = |seconds: Option<u64>, wanted: u64| seconds.is_some_and(|seconds| seconds.abs_diff(wanted) <= 2);
    assert_eq!(expected(&[]).await, None);
    assert_eq!(expected(&[("004", 2048, 100)]).await, None, "another type");
    assert!(close(expected(&[("001", 2048, 100), ("001", 2048, 900), ("001", 2048, 200)]).await, 200));
    assert!(close(expected(&[("001", 4096, 100), ("001", 2048, 300)]).await, 300), "its own size counts");
    assert!(close(expected(&[("001", 4096, 100)]).await, 100), "where it has none, any does");
    const MANY: [(&str, i64, i64); 40] = {
        let mut many = [("001", 2048, 1000); 40];
        let mut index = 20;
        while index < 40 {
            many[index] = ("001", 2048, 50);
            index += 1;
        }
        many
    };
    assert!(close(expected(&MANY).await, 50), "the latest twenty count");
}

#[tokio::test]
async fn an_instance_is_seen_busy_for_its_time_where_its_task_fails_too_and_its_order_is_delivered_by_the_next_try() {
    let busy_for = Duration::from_millis(80);
    let site = Site::with(Settings { busy_for, ..Settings::default() });
    let id = site.create().await;
    site.fault("set-memory", "apply_memory", "fail").await;
    let begun = std::time::Instant::now();
    let params = json!({"InstanceId": id.as_str(), "MemSize": 2048});
    let deal = site.call("UpgradeInstance", params).await.unwrap()["DealId"].clone();
    let shown = async || {
        let deals = site.call("DescribeInstanceDealDetail", json!({"DealIds": [deal]})).await.unwrap();
        deals["DealDetails"][0]["Status"].clone()
    };
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    assert!(begun.elapsed() >= busy_for);
    assert_eq!(shown().await, 5);
    site.call("RetryTask", json!({"TaskId": 2})).await.unwrap();
    assert_eq!(shown().await, 3);
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(shown().await, 4);
}
