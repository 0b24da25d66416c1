//! When instances may be disturbed, and what is planned for them.

use std::time::Duration;

use ledger::NewEvent;
use model::{InstanceId, Millis, TaskId};
use serde_json::{Value, json};

use super::site::{PASSWORD, Site};
use crate::when;

const BEIJING: i32 = 8 * 3600;

fn at(text: &str) -> Millis {
    when::read(text, BEIJING).unwrap()
}

/// Writes down an event of an hour; one that can be put off is planned, another one is over.
async fn event(
    site: &Site,
    id: &InstanceId,
    kind: &'static str,
    grade: &'static str,
    start: &str,
    is_over: bool,
) -> i64 {
    let start_at = at(start);
    let end_at = start_at + Duration::from_secs(3600);
    let latest_at = (!is_over).then(|| end_at + Duration::from_secs(10 * 24 * 3600));
    let id = id.clone();
    let written = site.cx.ledger.write(move |tx| -> ledger::Result<i64> {
        let instance = ledger::instance(tx.reader(), &id)?.unwrap();
        let effect = "Connections are reset once.";
        ledger::insert_event(tx, &instance, NewEvent { kind, grade, effect, time: (start_at, end_at), latest_at })
    });
    written.await.unwrap()
}

/// A change that has let its instance go until its window, at 03:00 on 2026-11-25, with the event that announces it.
async fn waiting(site: &Site, grade: &'static str) -> (InstanceId, i64, TaskId) {
    let id = site.create().await;
    let params = json!({"InstanceId": id.as_str(), "Password": PASSWORD});
    let answer = site.call("ResetPassword", params).await.unwrap();
    let event = event(site, &id, "InstanceMigration", grade, "2026-11-25 03:00:00", false).await;
    let instance = id.clone();
    let let_go = site.cx.ledger.write(move |tx| ledger::let_go(tx, &instance, at("2026-11-25 03:00:00"), event));
    let_go.await.unwrap();
    (id, event, TaskId(answer["TaskId"].as_i64().unwrap()))
}

async fn events(site: &Site, changes: Value) -> Result<Value, &'static str> {
    let mut params = json!({"ExecutionStartDate": "2026-11-01", "ExecutionEndDate": "2026-12-31"});
    params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    site.call("DescribeInstanceEvents", params).await.map_err(|error| error.code)
}

#[tokio::test]
async fn a_window_is_shown_as_it_was_set_and_may_pass_midnight() {
    let site = Site::new();
    let id = site.create().await;
    let shown = async || site.call("DescribeMaintenanceWindow", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(shown().await, json!({"StartTime": "03:00", "EndTime": "04:00"}));
    let set = async |start: &str, end: &str| {
        let params = json!({"InstanceId": id.as_str(), "StartTime": start, "EndTime": end});
        site.call("ModifyMaintenanceWindow", params).await.map_err(|error| error.code)
    };
    for (start, end) in [("02:00", "02:30"), ("22:00", "01:00"), ("23:30", "00:00"), ("00:00", "03:00")] {
        assert_eq!(set(start, end).await, Ok(json!({"Status": "success"})));
        assert_eq!(shown().await, json!({"StartTime": start, "EndTime": end}));
    }
    for (start, end) in [
        ("03:00", "03:29"),
        ("03:00", "06:01"),
        ("03:00", "03:00"),
        ("03:00", "02:00"),
        ("24:00", "01:00"),
        ("3:00", "4:00"),
        ("03:00:00", "04:00:00"),
        ("", ""),
    ] {
        assert_eq!(set(start, end).await, Err("InvalidParameterValue"), "{start} to {end}");
    }
    assert_eq!(shown().await, json!({"StartTime": "00:00", "EndTime": "03:00"}));
    let unknown = json!({"InstanceId": "crs-00000000", "StartTime": "03:00", "EndTime": "04:00"});
    let refused = site.call("ModifyMaintenanceWindow", unknown).await.unwrap_err();
    assert_eq!(refused.code, "ResourceNotFound.InstanceNotExists");
}

#[tokio::test]
async fn a_window_for_which_a_change_waits_stays_as_it_is() {
    let site = Site::new();
    let (id, event, _) = waiting(&site, "Middle").await;
    let params = json!({"InstanceId": id.as_str(), "StartTime": "01:00", "EndTime": "02:00"});
    let refused = site.call("ModifyMaintenanceWindow", params).await.unwrap_err();
    assert_eq!(refused.code, "ResourceUnavailable.InstanceLockedError");
    assert!(refused.message.en.contains(&format!("event {event}")), "{refused}");
    let shown = site.call("DescribeMaintenanceWindow", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(shown["StartTime"], "03:00");
}

#[tokio::test]
async fn events_are_listed_newest_first_by_the_days_and_kinds_asked_for() {
    let site = Site::new();
    let (one, other) = (site.create().await, site.create().await);
    let old = event(&site, &one, "NodeRestart", "Middle", "2026-11-01 00:00:00", true).await;
    let planned = event(&site, &one, "InstanceMigration", "Low", "2026-11-24 23:30:00", false).await;
    let last = event(&site, &other, "PrimaryFailover", "High", "2026-11-25 23:59:59", true).await;
    let all = events(&site, json!({})).await.unwrap();
    assert_eq!(
        all["RedisInstanceEvents"][1],
        json!({
            "ID": planned, "InstanceId": one.as_str(), "InstanceName": one.as_str(), "Type": "InstanceMigration",
            "Grade": "Low", "ExecutionDate": "2026-11-24", "StartTime": "23:30", "EndTime": "00:30",
            "LatestExecutionDate": "2026-12-05", "Status": "Waiting", "TaskEndTime": when::NEVER,
            "EffectInfo": "Connections are reset once.", "InitialExecutionDate": "2026-11-24",
        })
    );
    assert_eq!(all["RedisInstanceEvents"][2]["TaskEndTime"], "2026-11-01 01:00:00");
    for (changes, total, ids) in [
        (json!({}), 3, vec![last, planned, old]),
        (json!({"ExecutionEndDate": "2026-11-25"}), 3, vec![last, planned, old]),
        (json!({"ExecutionEndDate": "2026-11-24"}), 2, vec![planned, old]),
        (json!({"ExecutionStartDate": "2026-11-02"}), 2, vec![last, planned]),
        (json!({"ExecutionStartDate": "2026-11-24", "ExecutionEndDate": "2026-11-24"}), 1, vec![planned]),
        (json!({"InstanceId": one.as_str()}), 2, vec![planned, old]),
        (json!({"InstanceId": "crs-00000000"}), 0, vec![]),
        (json!({"Status": ["Finished", "Running"]}), 2, vec![last, old]),
        (json!({"Grades": ["Low", "Middle"]}), 2, vec![planned, old]),
        (json!({"EventTypes": ["NodeRestart"], "Grades": [], "Status": []}), 1, vec![old]),
        (json!({"EventTypes": ["Earthquake"]}), 0, vec![]),
        (json!({"PageSize": 2, "PageNo": 2}), 3, vec![old]),
        (json!({"PageNo": 9}), 3, vec![]),
        (json!({"PageNo": i64::MAX, "PageSize": 100}), 3, vec![]),
    ] {
        let answer = events(&site, changes.clone()).await.unwrap();
        let found: Vec<_> =
            answer["RedisInstanceEvents"].as_array().unwrap().iter().map(|it| it["ID"].as_i64()).collect();
        assert_eq!(answer["TotalCount"], total, "{changes}");
        assert_eq!(found, ids.into_iter().map(Some).collect::<Vec<_>>(), "{changes}");
    }
    for changes in [
        json!({"ExecutionStartDate": "2026-02-30"}),
        json!({"ExecutionEndDate": "2026-11-24 00:00:00"}),
        json!({"ExecutionStartDate": "2027-01-01"}),
        json!({"PageSize": 0}),
        json!({"PageSize": 101}),
        json!({"PageNo": 0}),
        json!({"Status": ["Waiting", "Done"]}),
        json!({"Grades": ["low"]}),
    ] {
        assert_eq!(events(&site, changes.clone()).await, Err("InvalidParameterValue"), "{changes}");
    }
}

async fn modify(site: &Site, id: &InstanceId, event: i64, changes: Value, now: &str) -> Result<(), &'static str> {
    let mut params = json!({"InstanceId": id.as_str(), "EventId": event});
    params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let answer = site.call_at("ModifyInstanceEvent", params, at(now)).await.map_err(|error| error.code)?;
    assert_eq!(answer, json!({"EventId": event}));
    Ok(())
}

const NOW: &str = "2026-11-24 10:00:00";

#[tokio::test]
async fn an_event_is_put_off_and_its_change_waits_for_the_new_time() {
    let site = Site::new();
    let (id, event, task) = waiting(&site, "High").await;
    let due = || site.cx.ledger.read(|reader| ledger::pending(reader, &id)).unwrap().unwrap().due_at;
    for (changes, date, start, end) in [
        (json!({"ExecutionDate": "2026-11-27"}), "2026-11-27", "03:00", "04:00"),
        (json!({"StartTime": "23:30"}), "2026-11-27", "23:30", "00:30"),
        (json!({"EndTime": "02:30"}), "2026-11-27", "23:30", "02:30"),
        (
            json!({"ExecutionDate": "2026-11-24", "StartTime": "10:00", "EndTime": "10:30"}),
            "2026-11-24",
            "10:00",
            "10:30",
        ),
        (json!({"ExecutionDate": "2026-12-05", "StartTime": "04:00"}), "2026-12-05", "04:00", "04:30"),
    ] {
        modify(&site, &id, event, changes.clone(), NOW).await.unwrap();
        let shown = events(&site, json!({})).await.unwrap()["RedisInstanceEvents"][0].clone();
        assert_eq!([&shown["ExecutionDate"], &shown["StartTime"], &shown["EndTime"]], [date, start, end], "{changes}");
        assert_eq!((&shown["InitialExecutionDate"], &shown["Status"]), (&json!("2026-11-25"), &json!("Waiting")));
        assert_eq!(due(), at(&format!("{date} {start}:00")), "{changes}");
    }
    assert!(!site.cx.ledger.read(|reader| ledger::is_cancelled(reader, task)).unwrap());
}

#[tokio::test]
async fn an_event_is_moved_neither_into_the_past_nor_beyond_its_latest_day() {
    let site = Site::new();
    let (id, event, _) = waiting(&site, "Low").await;
    let before = events(&site, json!({})).await.unwrap();
    for (changes, code) in [
        (json!({"ExecutionDate": "2026-11-24", "StartTime": "09:59:59"}), "InvalidParameterValue"),
        (json!({"ExecutionDate": "2020-01-01"}), "InvalidParameterValue"),
        (json!({"ExecutionDate": "2026-12-06"}), "InvalidParameterValue"),
        (json!({"ExecutionDate": "9999-12-31"}), "InvalidParameterValue"),
        (json!({"EndTime": "03:29"}), "InvalidParameterValue"),
        (json!({"EndTime": "06:01"}), "InvalidParameterValue"),
        (json!({"EndTime": "03:00"}), "InvalidParameterValue"),
        (json!({"StartTime": "25:00"}), "InvalidParameterValue"),
        (json!({"ExecutionDate": "tomorrow"}), "InvalidParameterValue"),
        (json!({"Status": "Finished"}), "InvalidParameterValue"),
        (json!({"Status": "Canceled", "StartTime": "04:00"}), "InvalidParameterValue"),
        (json!({}), "MissingParameter"),
        (json!({"Status": ""}), "MissingParameter"),
    ] {
        assert_eq!(modify(&site, &id, event, changes.clone(), NOW).await, Err(code), "{changes}");
    }
    assert_eq!(events(&site, json!({})).await.unwrap(), before);
    let waits = site.cx.ledger.read(|reader| ledger::pending(reader, &id)).unwrap().unwrap();
    assert_eq!(waits.due_at, at("2026-11-25 03:00:00"));
}

#[tokio::test]
async fn a_cancelled_event_gives_its_change_up_and_can_be_changed_no_more() {
    let site = Site::new();
    let (id, event, task) = waiting(&site, "Middle").await;
    modify(&site, &id, event, json!({"Status": "Canceled"}), NOW).await.unwrap();
    let shown = events(&site, json!({})).await.unwrap()["RedisInstanceEvents"][0].clone();
    assert_eq!((&shown["Status"], &shown["TaskEndTime"]), (&json!("Canceled"), &json!(NOW)));
    assert!(site.cx.ledger.read(|reader| ledger::is_cancelled(reader, task)).unwrap());
    for changes in [json!({"Status": "Canceled"}), json!({"ExecutionDate": "2026-11-26"})] {
        let refused = modify(&site, &id, event, changes, NOW).await;
        assert_eq!(refused, Err("UnsupportedOperation.InstanceNotOperation"));
    }
}

#[tokio::test]
async fn what_must_happen_or_does_not_wait_is_not_cancelled() {
    for grade in ["Critical", "High"] {
        let site = Site::new();
        let (id, event, task) = waiting(&site, grade).await;
        let refused = modify(&site, &id, event, json!({"Status": "Canceled"}), NOW).await;
        assert_eq!(refused, Err("UnsupportedOperation.InstanceNotOperation"), "{grade}");
        assert!(!site.cx.ledger.read(|reader| ledger::is_cancelled(reader, task)).unwrap(), "{grade}");
    }
    let site = Site::new();
    let other = site.create().await;
    let (id, waits, _) = waiting(&site, "Low").await;
    let over = event(&site, &id, "NodeRestart", "Low", "2026-11-20 00:00:00", true).await;
    let without_change = event(&site, &id, "InstanceMigration", "Low", "2026-11-30 00:00:00", false).await;
    for event in [over, without_change] {
        for changes in [json!({"Status": "Canceled"}), json!({"ExecutionDate": "2026-11-26"})] {
            let refused = modify(&site, &id, event, changes, NOW).await;
            assert_eq!(refused, Err("UnsupportedOperation.InstanceNotOperation"));
        }
    }
    let cancel = json!({"Status": "Canceled"});
    assert_eq!(modify(&site, &other, waits, cancel.clone(), NOW).await, Err("InvalidParameterValue"));
    assert_eq!(modify(&site, &id, 999, cancel, NOW).await, Err("InvalidParameterValue"));
}
