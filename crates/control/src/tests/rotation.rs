//! A password that changes while clients stay: both work for a time.

use std::time::Duration;

use flow::harness::NoProbe;
use flow::{Clock, End, Stopped};
use model::{Connected, InstanceId};
use serde_json::{Value, json};

use super::site::{PASSWORD, Site};

const NEW_PASSWORD: &str = "Staple-horse-2";

const BUSY: &str = "ResourceUnavailable.InstanceLockedError";

/// An instance both of whose passwords work for ten minutes, and the task.
async fn rotating(site: &Site) -> (InstanceId, i64) {
    let id = site.create().await;
    let task = rotate(site, &id).await;
    (id, task)
}

async fn rotate(site: &Site, id: &InstanceId) -> i64 {
    let params = json!({"InstanceId": id.as_str(), "Password": NEW_PASSWORD, "OverlapSeconds": 600});
    let task = site.call("RotatePassword", params).await.unwrap()["TaskId"].as_i64().unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    task
}

/// Which of the two passwords every node takes: the old one, the new one.
fn works(site: &Site, id: &InstanceId) -> (bool, bool) {
    let (_, nodes) = crate::fleet::load(&site.cx.ledger, id).unwrap();
    let of_node = |node: &ledger::Node| {
        let users = site.world.users(&node.id).unwrap();
        let rules = users.into_iter().find(|user| user.name == "default").unwrap().rules;
        let has = |password: &str| {
            let hash = crate::spec::hash_of(&model::Secret::new(password));
            rules.expose().contains(hash.expose())
        };
        (has(PASSWORD), has(NEW_PASSWORD))
    };
    let all: Vec<_> = nodes.iter().map(of_node).collect();
    assert!(all.iter().all(|works| *works == all[0]), "nodes differ");
    all[0]
}

async fn call(site: &Site, action: &str, id: &InstanceId, mut params: Value) -> Result<Value, &'static str> {
    params["InstanceId"] = json!(id.as_str());
    let answer = site.call(action, params).await;
    answer.map_err(|error| {
        assert!(!error.message.en.is_empty() && !error.message.zh.is_empty());
        error.code
    })
}

#[tokio::test]
async fn both_passwords_work_until_the_overlap_is_over() {
    let site = Site::new();
    let (id, task) = rotating(&site).await;
    assert_eq!((works(&site, &id), site.status(&id)), ((true, true), Some(2)));
    assert!(site.has_password(&id, PASSWORD) && site.has_password(&id, NEW_PASSWORD));
    let logins = site.gateway.table.lock().unwrap().routes[0].logins.clone();
    assert!(logins.password.is_some() && logins.old_password.is_some() && logins.password != logins.old_password);

    let connected = Connected { open: 9, on_old_password: 4 };
    site.gateway.connected.lock().unwrap().insert(id.clone(), connected);
    let waiting = site.steps(task).await;
    assert_eq!((&waiting["TaskType"], &waiting["Step"]), (&json!("007"), &json!("await_overlap")));
    assert_eq!((&waiting["CanCancel"], &waiting["Result"]), (&json!(true), &json!(1)));
    let waits_for = waiting["WaitsFor"].as_str().unwrap();
    assert!(waits_for.contains("FinishRotation") && waits_for.ends_with("with the old one: 4"), "{waits_for}");
    assert_eq!(waiting["Steps"][2]["WaitsFor"], waiting["WaitsFor"]);
    site.gateway.connected.lock().unwrap().clear();
    assert!(site.steps(task).await["WaitsFor"].as_str().unwrap().ends_with(": 0"), "it is asked each time");
    let end = crate::when::read(waiting["ExpectedEndTime"].as_str().unwrap(), 8 * 3600).unwrap();
    assert!(end.since(site.clock.now()).as_secs().abs_diff(600) <= 2, "{waiting}");

    site.call("AdvanceClock", json!({"Seconds": 590})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    assert_eq!(works(&site, &id), (true, true));
    site.call("AdvanceClock", json!({"Seconds": 20})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)]);
    assert_eq!(works(&site, &id), (false, true));
    assert_eq!(site.status(&id), Some(2));
    site.assert_settled("the overlap is over");
    // Another password change takes as long as it takes.
    call(&site, "ResetPassword", &id, json!({"Password": PASSWORD})).await.unwrap();
    assert_eq!(site.steps(site.last_task().0).await["ExpectedEndTime"], "");
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("changed again");
}

#[tokio::test]
async fn finishing_ends_the_overlap_at_once_and_cancelling_makes_the_old_password_the_only_one() {
    let site = Site::new();
    let (id, task) = rotating(&site).await;
    assert_eq!(call(&site, "FinishRotation", &id, json!({})).await, Ok(json!({"TaskId": task})));
    assert_eq!(call(&site, "FinishRotation", &id, json!({})).await, Ok(json!({"TaskId": task})), "said again");
    assert_eq!(site.work_disturbed().await, [Ok(End::Done)]);
    assert_eq!(works(&site, &id), (false, true));
    site.assert_settled("finished");
    let nothing = Err("ResourceUnavailable.InstanceStatusAbnormal");
    assert_eq!(call(&site, "FinishRotation", &id, json!({})).await, nothing);

    let (id, task) = rotating(&site).await;
    site.call("CancelTask", json!({"TaskId": task})).await.unwrap();
    assert_eq!(call(&site, "FinishRotation", &id, json!({})).await, Err(BUSY), "it is being taken back");
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    assert_eq!((works(&site, &id), site.status(&id)), ((true, false), Some(2)));
    site.assert_settled("cancelled");
    site.call("RetryTask", json!({"TaskId": task})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked)]);
    assert_eq!(works(&site, &id), (true, true), "its overlap begins anew");
}

#[tokio::test]
async fn the_instance_is_free_for_all_but_another_password_while_both_work() {
    let site = Site::new();
    let (id, task) = rotating(&site).await;
    let before = ledger_of(&site, &id);
    for (action, params) in [
        ("RotatePassword", json!({"Password": "Another-horse-3", "OverlapSeconds": 60})),
        ("ResetPassword", json!({"Password": "Another-horse-3"})),
        ("ResetPassword", json!({"NoAuth": true})),
        ("ModifyInstancePassword", json!({"OldPassword": PASSWORD, "Password": "Another-horse-3"})),
        ("ModfiyInstancePassword", json!({"OldPassword": NEW_PASSWORD, "Password": "Another-horse-3"})),
        ("ModifyInstanceAccount", json!({"AccountName": "root", "AccountPassword": "Another-horse-3"})),
        ("ModifyInstanceAccount", json!({"AccountName": "root", "NoAuth": true})),
    ] {
        assert_eq!(call(&site, action, &id, params).await, Err(BUSY), "{action}");
    }
    assert_eq!(ledger_of(&site, &id), before);
    let account =
        json!({"AccountName": "ann", "AccountPassword": PASSWORD, "Privilege": "r", "ReadonlyPolicy": ["master"]});
    for (action, params) in [
        ("CreateInstanceAccount", account),
        ("ModifyInstanceAccount", json!({"AccountName": "root", "Remark": "ours"})),
        ("UpgradeInstance", json!({"MemSize": 1024, "RedisReplicasNum": 2})),
        ("ClearInstance", json!({"Password": PASSWORD})),
        ("KillMasterGroup", json!({"Password": NEW_PASSWORD})),
    ] {
        call(&site, action, &id, params).await.unwrap_or_else(|code| panic!("{action}: {code}"));
        let ends = site.settle(&NoProbe).await;
        assert_eq!(ends, [End::Done], "{action}");
        assert_eq!(works(&site, &id), (true, true), "{action}");
    }
    // It waits for a task that has the instance when its own time comes.
    call(&site, "FinishRotation", &id, json!({})).await.unwrap();
    call(&site, "ModifyInstanceReadOnly", &id, json!({"InputMode": "1"})).await.unwrap();
    site.fault("set-read-only", "apply_users", "hold").await;
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked), Err(Stopped::Parked)]);
    assert!(site.steps(task).await["WaitsFor"].as_str().unwrap().contains("another task"));
    site.fault("set-read-only", "apply_users", "release").await;
    site.clock.sleep(Duration::from_millis(1)).await;
    assert_eq!(site.settle(&NoProbe).await, [End::Done, End::Done]);
    assert_eq!(works(&site, &id), (false, true));
    site.assert_settled("after all of it");
}

fn ledger_of(site: &Site, id: &InstanceId) -> String {
    let of = site.cx.ledger.read(|reader| {
        let tasks = ledger::latest_tasks(reader, 100)?;
        Ok((ledger::instance(reader, id)?, ledger::root(reader, id)?, ledger::rotation(reader, id)?, tasks.len()))
    });
    format!("{:?}", of.unwrap())
}

#[tokio::test]
async fn an_isolated_instance_comes_back_with_the_new_password_and_a_deleted_one_takes_the_task_with_it() {
    let site = Site::new();
    let (id, _) = rotating(&site).await;
    site.run("DestroyPostpaidInstance", &id).await;
    call(&site, "FinishRotation", &id, json!({})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(site.status(&id), Some(-3), "it stays isolated");
    site.assert_settled("isolated");
    site.run("StartupInstance", &id).await;
    assert_eq!(works(&site, &id), (false, true));

    let (id, task) = rotating(&site).await;
    site.run("DestroyPostpaidInstance", &id).await;
    site.call("CleanUpInstance", json!({"InstanceId": id.as_str()})).await.unwrap();
    let ends = site.settle(&NoProbe).await;
    assert!(matches!(&ends[..], [End::Done, End::Undone { message, .. }] if message.contains("deleted")), "{ends:?}");
    assert_eq!(site.steps(task).await["Code"], "ResourceUnavailable.InstanceDeleted");
    site.assert_settled("deleted");
}

#[tokio::test]
async fn what_cannot_be_rotated_is_refused_and_stays() {
    let site = Site::new();
    let id = site.create().await;
    let before = ledger_of(&site, &id);
    for (params, code) in [
        (json!({"Password": NEW_PASSWORD, "OverlapSeconds": 0}), "InvalidParameterValue"),
        (json!({"Password": NEW_PASSWORD, "OverlapSeconds": -1}), "InvalidParameterValue"),
        (json!({"Password": NEW_PASSWORD, "OverlapSeconds": 2_592_001}), "InvalidParameterValue"),
        (json!({"Password": "short", "OverlapSeconds": 60}), "InvalidParameterValue.PasswordRuleError"),
        (json!({"Password": "", "OverlapSeconds": 60}), "InvalidParameterValue.PasswordEmpty"),
        (json!({"Password": PASSWORD, "OverlapSeconds": 60}), "InvalidParameterValue"),
    ] {
        assert_eq!(call(&site, "RotatePassword", &id, params.clone()).await, Err(code), "{params}");
    }
    let nowhere = InstanceId::parse("crs-00000000").unwrap();
    let good = json!({"Password": NEW_PASSWORD, "OverlapSeconds": 60});
    assert_eq!(call(&site, "RotatePassword", &nowhere, good.clone()).await, Err("ResourceNotFound.InstanceNotExists"));
    assert_eq!(call(&site, "FinishRotation", &nowhere, json!({})).await, Err("ResourceNotFound.InstanceNotExists"));
    assert_eq!(ledger_of(&site, &id), before);
    call(&site, "ResetPassword", &id, json!({"NoAuth": true})).await.unwrap();
    assert_eq!(call(&site, "RotatePassword", &id, good.clone()).await, Err(BUSY));
    assert_eq!(call(&site, "FinishRotation", &id, json!({})).await, Err(BUSY));
    site.settle(&NoProbe).await;
    assert_eq!(call(&site, "RotatePassword", &id, good.clone()).await, Err("FailedOperation.UnSupportError"));
    site.run("DestroyPostpaidInstance", &id).await;
    assert_eq!(call(&site, "RotatePassword", &id, good).await, Err("ResourceUnavailable.InstanceStatusAbnormal"));
}

#[tokio::test]
async fn a_change_of_root_that_fails_does_not_bring_a_password_back_that_was_given_up_meanwhile() {
    let site = Site::new();
    let (id, task) = rotating(&site).await;
    site.fault("set-access", "apply_users", "hold").await;
    call(&site, "ModifyInstanceAccount", &id, json!({"AccountName": "root", "Remark": "ours"})).await.unwrap();
    assert_eq!(site.work_disturbed().await, [Err(Stopped::Parked), Err(Stopped::Parked)]);
    site.call("CancelTask", json!({"TaskId": task})).await.unwrap();
    site.call("CancelTask", json!({"TaskId": site.last_task().0})).await.unwrap();
    site.settle(&NoProbe).await;
    assert_eq!(works(&site, &id), (true, false));
    site.assert_settled("both cancelled");
}

#[tokio::test]
async fn a_replica_that_gives_no_answer_keeps_no_password_change_waiting_and_does_not_lead_before_it_was_told() {
    let site = Site::new();
    let id = site.create_with(1).await;
    let (_, nodes) = crate::fleet::load(&site.cx.ledger, &id).unwrap();
    site.world.set_silent(&nodes[1].id, true);
    let params = json!({"InstanceId": id.as_str(), "Password": "Staple-horse-2"});
    site.call("ResetPassword", params).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.world.set_silent(&nodes[1].id, false);

    assert!(crate::fleet::hand_over(&site.cx, &id, &nodes[1].id).await.is_err());
    site.world.kill(&nodes[0].id);
    assert!(!crate::fleet::fail_over(&site.cx, &nodes[0].id, nodes[0].epoch).await.unwrap());
    crate::fleet::start_node(&site.cx, &nodes[0].id).await.unwrap();

    assert!(crate::fleet::tell_again(&site.cx, &nodes[1].id).await.unwrap());
    let (_, nodes) = crate::fleet::load(&site.cx.ledger, &id).unwrap();
    assert_eq!(nodes[1].unsaid, 0);
    crate::fleet::attach_replicas(&site.cx, &id).await.unwrap();
    crate::fleet::hand_over(&site.cx, &id, &nodes[1].id).await.unwrap();
    site.assert_settled("told");
}
