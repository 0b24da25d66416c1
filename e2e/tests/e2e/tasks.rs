//! The list of tasks, as clients ask for it.

use e2e::{Client, Instance, Service, wait_for_task};
use serde_json::{Value, json};

fn types(answer: &Value) -> Vec<&str> {
    answer["Tasks"].as_array().expect("a list").iter().map(|task| task["TaskType"].as_str().expect("a code")).collect()
}

fn all_tasks(client: &mut Client) -> Value {
    let mut tasks = client.done("DescribeTaskList", json!({}))["Tasks"].take();
    for task in tasks.as_array_mut().expect("a list") {
        // Node writes 1.0 as 1.
        task["Progress"] = task["Progress"].as_f64().into();
    }
    tasks
}

#[test]
fn every_client_sees_the_same_tasks() {
    let service = Service::start();
    let mut python = Client::python(&service);
    let instance = Instance::create_with(&mut python, json!({ "InstanceName": "seen-by-all" }));
    let reset = python.done("ResetPassword", json!({ "InstanceId": instance.id, "Password": "Another-horse-2" }));
    wait_for_task(&mut python, &reset);

    let of_python = all_tasks(&mut python);
    assert_eq!(of_python.as_array().map(Vec::len), Some(2));
    assert_eq!(all_tasks(&mut Client::node(&service)), of_python);
    assert_eq!(all_tasks(&mut Client::tccli(&service)), of_python);
}

#[test]
fn tasks_are_found_by_what_they_are() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let first = Instance::create_with(&mut client, json!({ "InstanceName": "first" }));
    let second = Instance::create_with(&mut client, json!({ "InstanceName": "second" }));
    let clear = client.done("ClearInstance", json!({ "InstanceId": second.id, "Password": second.password }));
    assert_eq!(wait_for_task(&mut client, &clear)["Status"], "succeed");

    let mut check = |filter: Value, codes: &[&str]| {
        let answer = client.done("DescribeTaskList", filter.clone());
        assert_eq!(types(&answer), codes, "{filter}");
    };
    check(json!({}), &["004", "001", "001"]);
    check(json!({ "InstanceId": first.id }), &["001"]);
    check(json!({ "InstanceName": "second" }), &["004", "001"]);
    check(json!({ "TaskTypes": ["004"] }), &["004"]);
    check(json!({ "TaskTypes": ["FLOW_CLEAN", "FLOW_FLOW_CLEAN"] }), &["004"]);
    check(json!({ "TaskTypes": ["FLOW_CREATE", "004"], "InstanceId": second.id }), &["004", "001"]);
    check(json!({ "TaskTypes": ["043"] }), &[]);
    check(json!({ "Result": [2] }), &["004", "001", "001"]);
    check(json!({ "Result": [0, 1, 4] }), &[]);
    check(json!({ "OperateUin": ["100000000001"] }), &["004", "001", "001"]);
    check(json!({ "OperateUin": ["100000000002"] }), &[]);
    check(json!({ "ProjectIds": [0] }), &["004", "001", "001"]);
    check(json!({ "BeginTime": "2200-01-01 00:00:00" }), &[]);
    check(json!({ "EndTime": "2200-01-01 00:00:00" }), &["004", "001", "001"]);
    check(json!({ "Limit": 1, "Offset": 1 }), &["001"]);
    check(json!({ "Limit": 1000, "Offset": 3 }), &[]);

    let page = client.done("DescribeTaskList", json!({ "Limit": 1 }));
    assert_eq!(page["TotalCount"], 3);
    let task = &page["Tasks"][0];
    assert_eq!((&task["Progress"], &task["Result"]), (&json!(1.0), &json!(2)));
    assert_eq!((&task["InstanceName"], &task["ProjectId"]), (&json!("second"), &json!(0)));
    assert!(task["EndTime"].as_str() >= task["StartTime"].as_str(), "{task}");
}

#[test]
fn what_cannot_be_a_value_is_refused_by_its_name() {
    let service = Service::start();
    let mut client = Client::node(&service);
    let mut check = |params: Value, name: &str| {
        let refusal = client.refused("DescribeTaskList", params);
        assert!(refusal.code.starts_with("InvalidParameter"), "{refusal:?}");
        assert!(refusal.message.contains(name), "{name} in {refusal:?}");
    };
    check(json!({ "Limit": -1 }), "Limit");
    check(json!({ "TaskTypes": ["001", "FLOW_NONSENSE"] }), "TaskTypes");
    check(json!({ "Result": [3] }), "Result");
    check(json!({ "BeginTime": "yesterday" }), "BeginTime");
    check(json!({ "BeginTime": "2026-02-02 00:00:00", "EndTime": "2026-02-01 00:00:00" }), "BeginTime");
}
