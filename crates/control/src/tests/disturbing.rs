//! Faults that are set, and the clock that is set forward: for tests alone.

use std::sync::Arc;
use std::time::Duration;

use flow::{Clock, End, Stopped};
use ledger::{LEASE, claim_tasks};
use serde_json::{Value, json};

use super::site::Site;

#[tokio::test]
async fn a_fault_happens_as_often_as_it_was_set_and_is_listed_meanwhile() {
    let site = Site::new();
    let fail = json!({"Flow": "create-instance", "Step": "open_address", "Fault": "fail", "Count": 2});
    let set = site.call("SetFault", fail).await.unwrap();
    let shown = |count: i64| {
        let fault =
            json!({"Flow": "create-instance", "Step": "open_address", "Phase": "run", "Fault": "fail", "Count": count});
        json!({"Faults": [fault]})
    };
    assert_eq!(set, shown(2));
    for left in [1, 0] {
        site.order().await;
        assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
        let nothing = json!({"Flow": "clear-data", "Fault": "none"});
        let now = site.call("SetFault", nothing).await.unwrap();
        assert_eq!(now, if left == 0 { json!({"Faults": []}) } else { shown(left) });
    }
    site.order().await;
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)]);
}

#[tokio::test]
async fn faults_are_cleared_one_by_one_or_all_at_once() {
    let site = Site::new();
    for (step, phase) in [("start_nodes", "run"), ("start_nodes", "undo"), ("open_address", "run")] {
        let hold = json!({"Flow": "create-instance", "Step": step, "Fault": "hold", "Phase": phase});
        site.call("SetFault", hold).await.unwrap();
    }
    site.fault("clear-data", "flush", "fail").await;
    let left = async |params: Value| site.call("SetFault", params).await.unwrap()["Faults"].as_array().unwrap().len();
    assert_eq!(
        left(json!({"Flow": "create-instance", "Step": "start_nodes", "Phase": "undo", "Fault": "none"})).await,
        3
    );
    assert_eq!(left(json!({"Flow": "create-instance", "Step": "start_nodes", "Fault": "release"})).await, 2);
    assert_eq!(left(json!({"Flow": "create-instance", "Fault": "none"})).await, 1);
    assert_eq!(left(json!({"Fault": "none"})).await, 0);
}

#[tokio::test]
async fn faults_that_cannot_be_are_refused_and_the_right_words_are_listed() {
    let site = Site::new();
    for (params, code, word) in [
        (json!({"Flow": "levitate", "Step": "a", "Fault": "fail"}), "InvalidParameterValue", "create-instance"),
        (json!({"Flow": "clear-data", "Step": "a", "Fault": "fail"}), "InvalidParameterValue", "give_up_data, flush"),
        (json!({"Flow": "clear-data", "Step": "flush", "Fault": "x"}), "InvalidParameterValue", "hold"),
        (json!({"Flow": "clear-data", "Step": "flush", "Fault": "fail", "Count": 0}), "InvalidParameterValue", "Count"),
        (json!({"Flow": "clear-data", "Step": "flush", "Fault": "hold", "Count": 2}), "InvalidParameterValue", "Count"),
        (
            json!({"Flow": "clear-data", "Step": "flush", "Fault": "fail", "Phase": "x"}),
            "InvalidParameterValue",
            "undo",
        ),
        (json!({"Flow": "clear-data", "Fault": "fail"}), "MissingParameter", "Step"),
        (json!({"Step": "flush", "Fault": "none"}), "MissingParameter", "Flow"),
        (json!({"Fault": "hold"}), "MissingParameter", "Flow"),
        (json!({"Flow": "clear-data", "Step": "flush"}), "MissingParameter", "Fault"),
    ] {
        let error = site.call("SetFault", params.clone()).await.unwrap_err();
        assert_eq!(error.code, code, "{params}: {error}");
        assert!(error.message.en.contains(word) && !error.message.zh.is_empty(), "{params}: {error}");
    }
    let set = site.call("SetFault", json!({"Fault": "none"})).await.unwrap();
    assert_eq!(set, json!({"Faults": []}));
}

#[tokio::test]
async fn a_service_that_is_not_for_tests_has_neither() {
    let mut site = Site::new();
    Arc::get_mut(&mut site.cx).unwrap().dev = None;
    for (action, params) in [("SetFault", json!({"Fault": "none"})), ("AdvanceClock", json!({"Seconds": 1}))] {
        let error = site.call(action, params).await.unwrap_err();
        assert_eq!(error.code, "UnsupportedOperation");
        assert!(error.message.en.contains("opencrs dev"), "{error}");
    }
}

#[tokio::test]
async fn the_clock_is_set_forward_and_nobody_loses_a_lease_by_it() {
    let site = Site::new();
    site.order().await;
    let before = site.clock.now();
    let claimed = site.cx.ledger.write(move |tx| claim_tasks(tx, before, before + LEASE, 9)).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let told = site.call("AdvanceClock", json!({"Seconds": 7200})).await.unwrap()["Now"].clone();
    let now = site.clock.now();
    assert!(now.since(before) >= Duration::from_secs(7200));
    assert_eq!(told, crate::when::write(now, 8 * 3600));
    let again = site.cx.ledger.write(move |tx| claim_tasks(tx, now, now + LEASE, 9)).await.unwrap();
    assert!(again.is_empty(), "its worker still has it");
    for seconds in [json!(0), json!(-5), json!(400_000_000)] {
        let error = site.call("AdvanceClock", json!({"Seconds": seconds})).await.unwrap_err();
        assert_eq!(error.code, "InvalidParameterValue");
    }
}

#[tokio::test]
async fn what_is_laid_aside_looks_again_when_the_clock_is_set_forward() {
    let site = Site::new();
    site.fault("create-instance", "start_nodes", "hold").await;
    site.order().await;
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    site.call("AdvanceClock", json!({"Seconds": "3600"})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)], "taken up, held, laid aside once more");
    site.call("SetFault", json!({"Fault": "none"})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)]);
}
