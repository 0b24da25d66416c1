//! The whole life of an instance, as each client leads it.

use e2e::{Client, Instance, Service, run, wait_for_task};
use serde_json::{Value, json};

fn finish(client: &mut Client, action: &str, params: Value) {
    let answer = client.done(action, params);
    let task = wait_for_task(client, &answer);
    assert_eq!(task["Status"], "succeed", "{action}: {task}");
}

fn live(client: &mut Client) {
    let products = client.done("DescribeProductInfo", json!({}));
    let regions = products["RegionSet"].as_array().expect("a list");
    assert!(regions.iter().any(|region| region["RegionId"] == "ap-guangzhou"), "{products}");

    let mut instance = Instance::create_with(client, json!({ "InstanceName": "whole-life" }));
    let on_it = json!({ "InstanceId": instance.id });
    let mut open = instance.connect().expect("connect");
    run::<()>(&mut open, &["SET", "greeting", "hello"]).expect("SET");

    let old_password = std::mem::replace(&mut instance.password, "Another-horse-2".to_owned());
    finish(client, "ResetPassword", json!({ "InstanceId": instance.id, "Password": instance.password }));
    assert!(instance.connect_with(&old_password).is_err(), "the old password still opens");
    assert_eq!(instance.run::<String>(&["GET", "greeting"]).expect("GET by the new password"), "hello");
    assert_eq!(run::<String>(&mut open, &["GET", "greeting"]).expect("GET on the open connection"), "hello");

    finish(client, "ClearInstance", json!({ "InstanceId": instance.id, "Password": instance.password }));
    assert_eq!(run::<i64>(&mut open, &["DBSIZE"]).expect("DBSIZE"), 0);
    run::<()>(&mut open, &["SET", "kept", "through isolation"]).expect("SET");

    finish(client, "DestroyPostpaidInstance", on_it.clone());
    instance.wait_for_status(client, -3);
    assert!(instance.connect().is_err(), "an isolated instance still answers");

    client.done("StartupInstance", on_it.clone());
    let row = instance.wait_for_status(client, 2);
    assert_eq!((&row["WanIp"], &row["Port"]), (&json!(instance.host), &json!(instance.port)));
    assert_eq!(instance.run::<String>(&["GET", "kept"]).expect("GET after start-up"), "through isolation");

    finish(client, "DestroyPostpaidInstance", on_it.clone());
    instance.wait_for_status(client, -3);
    finish(client, "CleanUpInstance", on_it.clone());
    assert_eq!(instance.describe(client), None);

    let list = client.done("DescribeTaskList", on_it);
    let tasks = list["Tasks"].as_array().expect("a list");
    let codes: Vec<_> = tasks.iter().map(|task| task["TaskType"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["006", "003", "005", "003", "004", "007", "001"]);
    assert!(tasks.iter().all(|task| task["Result"] == 2 && task["Progress"].as_f64() == Some(1.0)), "{list}");
}

#[test]
fn an_instance_lives_its_life_under_python() {
    let service = Service::start();
    live(&mut Client::python(&service));
    assert_eq!(service.engines(), [], "an engine outlived its instance");
}

#[test]
fn an_instance_lives_its_life_under_node() {
    let service = Service::start();
    live(&mut Client::node(&service));
}

#[test]
fn an_instance_lives_its_life_under_tccli() {
    let service = Service::start();
    live(&mut Client::tccli(&service));
}
