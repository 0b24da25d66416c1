//! Tasks that are watched while they run.

use flow::harness::NoProbe;
use flow::{End, Stopped};
use futures_util::{FutureExt, StreamExt};
use serde_json::{Value, json};

use super::site::{PASSWORD, Site};
use crate::action::Events;

/// The next event that is told.
async fn next(events: &mut Events) -> (&'static str, Value) {
    let event = events.next().await.expect("it goes on");
    assert!(!event.data.contains('\n'), "{event:?}");
    (event.name, serde_json::from_str(&event.data).unwrap())
}

/// What is told until a task's end: the events' names, and the steps that were passed.
async fn until_the_end(events: &mut Events) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let (name, event) = next(events).await;
        match name {
            "step" => told.push(format!("{} {}", event["Passed"]["Phase"], event["Passed"]["Name"]).replace('"', "")),
            // How often it is seen between its steps is a matter of chance.
            "progress" => {}
            _ => told.push(name.to_owned()),
        }
        if name == "end" {
            assert!(event["EndTime"] != "" && (event["Result"] == 2 || event["Result"] == 4), "{event}");
            return told;
        }
    }
}

#[tokio::test]
async fn a_task_is_told_from_its_acceptance_to_its_end_step_by_step_however_quick_it_is() {
    let site = Site::new();
    let mut events = site.watch("WatchTasks", json!({})).await.unwrap();
    site.create().await;
    let told = until_the_end(&mut events).await;
    assert_eq!(told, ["accepted", "run start_nodes", "run attach_replicas", "run open_address", "end"]);
}

#[tokio::test]
async fn what_is_open_is_told_first_and_then_what_changes() {
    let site = Site::new();
    site.create().await;
    let id = site.order().await;
    let mut events = site.watch("WatchTasks", json!({})).await.unwrap();
    let (name, event) = next(&mut events).await;
    assert_eq!((name, &event["TaskId"], &event["Result"]), ("snapshot", &json!(2), &json!(0)));
    assert_eq!((&event["InstanceId"], &event["TaskType"]), (&json!(id.as_str()), &json!("001")));
    assert!(event.get("Passed").is_none() && event["Step"] == "start_nodes", "{event}");

    site.fault("create-instance", "attach_replicas", "hold").await;
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    let (name, event) = next(&mut events).await;
    assert_eq!(
        (name, &event["Passed"]["Name"], &event["Step"]),
        ("step", &json!("start_nodes"), &json!("attach_replicas"))
    );
    assert!(event["WaitsFor"].as_str().unwrap().contains("held"), "{event}");
    site.call("CancelTask", json!({"TaskId": 2})).await.unwrap();
    let (name, event) = next(&mut events).await;
    assert_eq!((name, &event["CanCancel"]), ("progress", &json!(false)));
    site.work_disturbed().await;
    assert_eq!(
        until_the_end(&mut events).await,
        ["run attach_replicas", "undo attach_replicas", "undo start_nodes", "end"]
    );
}

#[tokio::test]
async fn a_task_that_is_tried_again_is_told_as_accepted_again() {
    let site = Site::new();
    let id = site.create().await;
    site.fault("set-access", "apply_users", "fail").await;
    let reset = json!({"InstanceId": id.as_str(), "Password": "Staple-horse-2"});
    let task = site.call("ResetPassword", reset).await.unwrap()["TaskId"].clone();
    let mut all = site.watch("WatchTasks", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(next(&mut all).await.0, "snapshot");
    site.work_disturbed().await;
    assert_eq!(until_the_end(&mut all).await, ["run apply_users", "undo apply_users", "end"]);

    let mut named = site.watch("WatchTasks", json!({"TaskIds": [task]})).await.unwrap();
    let (name, event) = next(&mut named).await;
    assert_eq!((name, &event["Result"], &event["CanRetry"]), ("snapshot", &json!(4), &json!(true)));
    site.call("RetryTask", json!({"TaskId": task})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    for events in [&mut all, &mut named] {
        assert_eq!(until_the_end(events).await, ["accepted", "run apply_users", "end"]);
    }
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let site = Site::new();
    let (one, other) = (site.create().await, site.create().await);
    let mut of_one = site.watch("WatchTasks", json!({"InstanceId": one.as_str(), "TaskIds": []})).await.unwrap();
    let mut of_four = site.watch("WatchTasks", json!({"InstanceId": "", "TaskIds": [1]})).await.unwrap();
    assert_eq!(next(&mut of_four).await.0, "snapshot");
    for id in [&other, &one] {
        site.call("ClearInstance", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await.unwrap();
        site.settle(&NoProbe).await;
    }
    let (name, event) = next(&mut of_one).await;
    assert_eq!((name, &event["InstanceId"]), ("accepted", &json!(one.as_str())));
    assert!(of_four.next().now_or_never().is_none());
}

#[tokio::test]
async fn what_does_not_exist_is_not_watched() {
    let site = Site::new();
    for (params, code) in [
        (json!({"TaskIds": [7]}), "InvalidParameter.InvalidParameter"),
        (json!({"InstanceId": "crs-00000000"}), "ResourceNotFound.InstanceNotExists"),
        (json!({"Colour": "red"}), "UnknownParameter"),
    ] {
        let refused = site.watch("WatchTasks", params).await.err().expect("a refusal");
        assert_eq!(refused.code, code);
    }
}
