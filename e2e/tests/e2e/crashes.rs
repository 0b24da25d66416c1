//! The server dies: at every step of every flow, and at moments that nobody chose. Every change still ends, and no
//! customer of another instance notices.

use std::thread;
use std::time::Duration;

use e2e::{Client, Instance, Load, Refusal, Service, pause, wait_for, wait_for_task};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const ROUNDS: u64 = 16;

/// Parameters of CreateInstances for an instance with a replica.
fn creation(name: &str) -> Value {
    json!({
        "TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0, "ZoneId": 100_003,
        "RedisReplicasNum": 1, "Password": "Correct-horse-1", "InstanceName": name,
    })
}

fn find(client: &mut Client, name: &str) -> Option<Value> {
    let found = client.done("DescribeInstances", json!({ "SearchKey": name }));
    found["InstanceSet"].get(0).cloned()
}

fn wait_until_idle(client: &mut Client) {
    wait_for("every task to end", || {
        (client.done("DescribeTaskList", json!({ "Result": [0, 1] }))["TotalCount"] == 0).then_some(())
    });
    let all = client.done("DescribeInstances", json!({ "Limit": 100 }));
    let is_busy = |row: &Value| row["Status"] == 0 || row["Status"] == 1;
    assert!(!all["InstanceSet"].as_array().expect("a list").iter().any(is_busy), "busy without a task: {all}");
}

/// As many engines run as the running instances have nodes.
fn check_engines(service: &Service, client: &mut Client) {
    let rows = client.done("DescribeInstances", json!({ "Limit": 100, "Status": [2] }));
    let nodes = |row: &Value| 1 + row["RedisReplicasNum"].as_u64().expect("a number");
    let wanted: u64 = rows["InstanceSet"].as_array().expect("a list").iter().map(nodes).sum();
    let engines = service.engines();
    assert_eq!(engines.len() as u64, wanted, "an engine is lost or left over: {engines:?}");
}

/// What starts each flow, on the instance that `standing` prepares.
fn action_of(flow: &str) -> &'static str {
    match flow {
        "clear-data" => "ClearInstance",
        "create-instance" => "CreateInstances",
        "delete-instance" => "CleanUpInstance",
        "isolate-instance" => "DestroyPostpaidInstance",
        "set-access" => "ResetPassword",
        "start-up" => "StartupInstance",
        other => panic!("which action starts {other}? This test has to know"),
    }
}

/// Prepares an instance that the action can be called on, with a key in it, and the action's parameters.
fn standing(client: &mut Client, action: &str, name: &str) -> (Option<Instance>, Value) {
    if action == "CreateInstances" {
        return (None, creation(name));
    }
    let instance = Instance::create_with(client, creation(name));
    instance.run::<()>(&["SET", "kept", name]).expect("SET");
    if matches!(action, "StartupInstance" | "CleanUpInstance") {
        let destroy = client.done("DestroyPostpaidInstance", json!({ "InstanceId": instance.id }));
        wait_for_task(client, &destroy);
        instance.wait_for_status(client, -3);
    }
    let params = match action {
        "ClearInstance" => json!({ "InstanceId": instance.id, "Password": instance.password }),
        "ResetPassword" => json!({ "InstanceId": instance.id, "Password": "Another-horse-2" }),
        _ => json!({ "InstanceId": instance.id }),
    };
    (Some(instance), params)
}

/// What the world is like once the action has had its effect.
fn check_effect(client: &mut Client, action: &str, name: &str, instance: Option<Instance>) {
    let row = find(client, name);
    let kept = |instance: &Instance| instance.run::<Option<String>>(&["GET", "kept"]).expect("GET");
    match (action, instance) {
        ("CreateInstances", _) => {
            let instance = Instance::of_row(&row.expect("the instance is listed"), "Correct-horse-1");
            assert_eq!(kept(&instance), None);
        }
        ("ClearInstance", Some(instance)) => assert_eq!(kept(&instance), None),
        ("ResetPassword", Some(instance)) => {
            assert!(instance.connect().is_err(), "the old password still opens");
            assert_eq!(kept(&Instance { password: "Another-horse-2".into(), ..instance }).as_deref(), Some(name));
        }
        ("StartupInstance", Some(instance)) => assert_eq!(kept(&instance).as_deref(), Some(name)),
        ("DestroyPostpaidInstance", Some(instance)) => {
            assert_eq!(row.expect("it is listed")["Status"], -3);
            assert!(instance.connect().is_err(), "an isolated instance answers");
        }
        ("CleanUpInstance", Some(instance)) => {
            assert_eq!(row, None);
            assert!(instance.connect().is_err(), "a deleted instance answers");
        }
        other => panic!("what is the effect of {other:?}?"),
    }
}

#[test]
fn every_flow_ends_well_though_the_server_dies_at_each_of_its_steps() {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let load = Load::start(&Instance::create(&mut client));
    for flow in control::FLOWS {
        for step in flow.steps() {
            for moment in ["before", "after"] {
                let point = format!("{}/{}/run/{moment}", flow.name, step.name);
                let name = point.replace('/', "-");
                let action = action_of(flow.name);
                let (instance, params) = standing(&mut client, action, &name);

                service.terminate();
                service.resume_until(&point);
                // It may die before it answers.
                let _ = client.call(action, params);
                service.await_crash();
                service.resume();

                wait_until_idle(&mut client);
                let last = client.done("DescribeTaskList", json!({ "Limit": 1 }))["Tasks"][0].take();
                assert_eq!((&last["InstanceName"], &last["Result"]), (&json!(name), &json!(2)), "{last}");
                check_effect(&mut client, action, &name, instance);
                check_engines(&service, &mut client);
            }
        }
    }
    load.finish();
}

/// Calls while the server is killed some time after, and then started again.
fn call_into_a_crash(
    service: &mut Service,
    client: &mut Client,
    after: Duration,
    action: &str,
    params: Value,
) -> Result<Value, Refusal> {
    let answer = thread::scope(|scope| {
        let call = scope.spawn(|| client.call(action, params));
        pause(after);
        service.kill();
        call.join().expect("the call ends")
    });
    service.resume();
    wait_until_idle(client);
    answer
}

fn results(client: &mut Client, id: &str, code: &str) -> Vec<Value> {
    let list = client.done("DescribeTaskList", json!({ "InstanceId": id, "TaskTypes": [code], "Limit": 100 }));
    list["Tasks"].as_array().expect("a list").iter().map(|task| task["Result"].clone()).collect()
}

#[test]
fn a_password_change_that_the_server_dies_in_ends_with_one_password() {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let mut instance = Instance::create_with(&mut client, creation("changing"));
    let load = Load::start(&instance);
    let mut random = StdRng::seed_from_u64(7);

    for round in 1..=ROUNDS {
        let password = format!("Correct-horse-{}", round + 1);
        let before = results(&mut client, &instance.id, "007").len();
        let after = Duration::from_millis(random.random_range(0..40));
        let params = json!({ "InstanceId": instance.id, "Password": password });
        let answer = call_into_a_crash(&mut service, &mut client, after, "ResetPassword", params);

        let results = results(&mut client, &instance.id, "007");
        let is_accepted = results.len() > before;
        assert!(answer.is_err() || is_accepted, "round {round}: an accepted task is lost");
        let is_changed = is_accepted && results[0] == 2;
        let stale = if is_changed { std::mem::replace(&mut instance.password, password) } else { password };
        assert_eq!(instance.run::<String>(&["PING"]).unwrap_or_else(|error| panic!("round {round}: {error}")), "PONG");
        assert!(instance.connect_with(&stale).is_err(), "round {round}: both passwords open");
    }
    load.finish();
}

#[test]
fn creations_and_removals_that_the_server_dies_in_end_whole() {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let load = Load::start(&Instance::create(&mut client));
    let mut random = StdRng::seed_from_u64(11);
    let mut crash = |service: &mut Service, client: &mut Client, action: &str, params: Value| {
        let after = Duration::from_millis(random.random_range(0..120));
        call_into_a_crash(service, client, after, action, params)
    };

    for round in 1..=ROUNDS {
        let name = format!("round-{round}");
        let answer = crash(&mut service, &mut client, "CreateInstances", creation(&name));
        let Some(row) = find(&mut client, &name) else {
            assert!(answer.is_err(), "round {round}: an accepted instance is lost");
            continue;
        };
        assert_eq!(row["Status"], 2, "round {round}: {row}");
        let instance = Instance::of_row(&row, "Correct-horse-1");
        assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
        // Each may have been accepted or not: what counts is that it ended whole, and that the next can follow.
        for action in ["DestroyPostpaidInstance", "StartupInstance", "DestroyPostpaidInstance", "CleanUpInstance"] {
            let _ = crash(&mut service, &mut client, action, json!({ "InstanceId": instance.id }));
            match instance.describe(&mut client).map(|row| row["Status"].as_i64().expect("a number")) {
                Some(2) => assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG"),
                Some(-3) | None => assert!(instance.connect().is_err(), "round {round}: {action} left it open"),
                other => panic!("round {round}: {action} left it at {other:?}"),
            }
        }
    }
    check_engines(&service, &mut client);
    load.finish();
}
