//! The server dies at moments that nobody chose, and every change still ends.

use std::thread;
use std::time::Duration;

use e2e::{Client, Connection, Instance, Refusal, Service, pause, run, wait_for};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const ROUNDS: u64 = 8;

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
    answer
}

fn wait_until_idle(client: &mut Client) {
    wait_for("every task to end", || {
        (client.done("DescribeTaskList", json!({ "Result": [0, 1] }))["TotalCount"] == 0).then_some(())
    });
    let all = client.done("DescribeInstances", json!({ "Limit": 100 }));
    let busy =
        all["InstanceSet"].as_array().expect("a list").iter().any(|row| row["Status"] == 0 || row["Status"] == 1);
    assert!(!busy, "no task runs, but an instance is busy: {all}");
}

/// What became of the last change to an instance: `None` where it was never accepted.
fn last_result(client: &mut Client, id: &str, code: &str, before: usize) -> Option<i64> {
    let list = client.done("DescribeTaskList", json!({ "InstanceId": id, "TaskTypes": [code] }));
    let tasks = list["Tasks"].as_array().expect("a list");
    (tasks.len() > before).then(|| tasks[0]["Result"].as_i64().expect("a number"))
}

fn count_tasks(client: &mut Client, id: &str, code: &str) -> usize {
    let list = client.done("DescribeTaskList", json!({ "InstanceId": id, "TaskTypes": [code], "Limit": 100 }));
    list["Tasks"].as_array().expect("a list").len()
}

/// A connection that is opened once, and that no crash of the server may touch.
struct Witness(Connection);

impl Witness {
    fn check(&mut self, written: u64) {
        let before: u64 = run(&mut self.0, &["GETSET", "round", &written.to_string()])
            .unwrap_or_else(|error| panic!("round {written}: {error}"));
        assert_eq!(before + 1, written, "an acknowledged write is lost");
    }
}

#[test]
fn a_password_change_that_the_server_dies_in_ends_with_one_password() {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let mut instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    let mut witness = Witness(instance.connect().expect("connect"));
    run::<()>(&mut witness.0, &["SET", "round", "0"]).expect("SET");
    let mut random = StdRng::seed_from_u64(7);

    for round in 1..=ROUNDS {
        let password = format!("Correct-horse-{}", round + 1);
        let before = count_tasks(&mut client, &instance.id, "007");
        let after = Duration::from_millis(random.random_range(0..60));
        let params = json!({ "InstanceId": instance.id, "Password": password });
        let answer = call_into_a_crash(&mut service, &mut client, after, "ResetPassword", params);
        wait_until_idle(&mut client);

        let result = last_result(&mut client, &instance.id, "007", before);
        assert!(answer.is_err() || result.is_some(), "round {round}: an accepted task is lost");
        let changed = match result {
            None | Some(4) => false,
            Some(2) => true,
            other => panic!("round {round}: the task ended with {other:?}"),
        };
        let (valid, stale) =
            if changed { (password, instance.password.clone()) } else { (instance.password.clone(), password) };
        instance.password = valid;
        assert_eq!(instance.run::<String>(&["PING"]).unwrap_or_else(|error| panic!("round {round}: {error}")), "PONG");
        assert!(instance.connect_with(&stale).is_err(), "round {round}: both passwords open");
        witness.check(round);
    }
}

#[test]
fn creations_and_removals_that_the_server_dies_in_end_whole() {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let bystander = Instance::create(&mut client);
    let mut witness = Witness(bystander.connect().expect("connect"));
    run::<()>(&mut witness.0, &["SET", "round", "0"]).expect("SET");
    let mut random = StdRng::seed_from_u64(11);
    let mut crash = |service: &mut Service, client: &mut Client, action: &str, params: Value| {
        let after = Duration::from_millis(random.random_range(0..120));
        let answer = call_into_a_crash(service, client, after, action, params);
        wait_until_idle(client);
        answer
    };

    for round in 1..=ROUNDS {
        let name = format!("round-{round}");
        let create = json!({
            "TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0, "ZoneId": 100_003,
            "RedisReplicasNum": round % 2, "Password": "Correct-horse-1", "InstanceName": name,
        });
        let answer = crash(&mut service, &mut client, "CreateInstances", create);
        let rows = client.done("DescribeInstances", json!({ "SearchKey": name }));
        match rows["InstanceSet"].get(0) {
            None => assert!(answer.is_err(), "round {round}: an accepted instance is lost"),
            Some(row) => {
                assert_eq!(row["Status"], 2, "round {round}: {row}");
                let host = row["WanIp"].as_str().expect("an address").to_owned();
                let port = row["Port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
                let id = row["InstanceId"].as_str().expect("an id").to_owned();
                let instance = Instance { id: id.clone(), password: "Correct-horse-1".to_owned(), host, port };
                assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
                // Each may have been accepted or not: what counts is that it ended whole, and that the next can follow.
                for action in
                    ["DestroyPostpaidInstance", "StartupInstance", "DestroyPostpaidInstance", "CleanUpInstance"]
                {
                    let _ = crash(&mut service, &mut client, action, json!({ "InstanceId": id }));
                    match instance.describe(&mut client).map(|row| row["Status"].as_i64().expect("a number")) {
                        Some(2) => assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG"),
                        Some(-3) | None => assert!(instance.connect().is_err(), "round {round}: {action} left it open"),
                        other => panic!("round {round}: {action} left it at {other:?}"),
                    }
                }
            }
        }
        witness.check(round);
    }

    let rows = client.done("DescribeInstances", json!({ "Limit": 100, "Status": [2] }));
    let replicas = rows["InstanceSet"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| 1 + row["RedisReplicasNum"].as_u64().expect("a number"));
    assert_eq!(
        service.engines().len() as u64,
        replicas.sum::<u64>(),
        "an engine is lost or left over: {:?}",
        service.engines()
    );
}
