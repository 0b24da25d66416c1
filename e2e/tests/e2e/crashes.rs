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
    let all = client.done("DescribeInstances", json!({ "Limit": 1000 }));
    let is_busy = |row: &Value| row["Status"] == 0 || row["Status"] == 1;
    assert!(!all["InstanceSet"].as_array().expect("a list").iter().any(is_busy), "busy without a task: {all}");
}

/// As many engines run as the running instances have nodes.
fn check_engines(service: &Service, client: &mut Client) {
    let rows = client.done("DescribeInstances", json!({ "Limit": 1000, "Status": [2] }));
    let nodes = |row: &Value| 1 + row["RedisReplicasNum"].as_u64().expect("a number");
    let wanted: u64 = rows["InstanceSet"].as_array().expect("a list").iter().map(nodes).sum();
    let engines = service.engines();
    assert_eq!(engines.len() as u64, wanted, "an engine is lost or left over: {engines:?}");
}

/// A flow as a client starts it: the action, and what one sees once it had its effect.
struct Trial {
    flow: &'static str,
    action: &'static str,
    /// Replicas of the instance that it is tried on.
    replicas: usize,
    /// The action's parameters besides the instance, by what DescribeInstances says of that.
    params: fn(&Value) -> Value,
    check: fn(&mut Client, &Value, Option<Instance>),
}

const PASSWORD: &str = "Correct-horse-1";

fn nothing(_: &Value) -> Value {
    json!({})
}

/// The data is there, and a write too.
fn check_kept(instance: &Instance) {
    let kept = instance.run::<Option<String>>(&["GET", "kept"]).expect("GET");
    assert_eq!(kept.as_deref(), Some("yes"));
    instance.run::<()>(&["SET", "new", "1"]).expect("SET");
}

fn check_closed(instance: &Instance) {
    assert!(instance.connect().is_err(), "an address answers that is to be closed");
}

fn check_param(client: &mut Client, row: &Value, list: &str, name: &str, wanted: &str) {
    let answer = client.done("DescribeInstanceParams", json!({ "InstanceId": row["InstanceId"] }));
    let param = answer[list].as_array().expect("a list").iter().find(|param| param["ParamName"] == name);
    let param = param.unwrap_or_else(|| panic!("no {name}: {answer}"));
    assert_eq!((&param["CurrentValue"], &param["Status"]), (&json!(wanted), &json!(2)), "{param}");
}

/// The zones of the nodes, the primary's first.
fn zones(row: &Value) -> Vec<i64> {
    row["NodeSet"].as_array().expect("a list").iter().map(|node| node["ZoneId"].as_i64().expect("a number")).collect()
}

const TRIALS: &[Trial] = &[
    Trial {
        flow: "add-nodes",
        action: "UpgradeInstance",
        replicas: 1,
        params: |_| json!({"MemSize": 1024, "RedisReplicasNum": 2, "NodeSet": [{"NodeType": 1, "ZoneId": 100_004}]}),
        check: |_, row, instance| {
            assert_eq!((&row["RedisReplicasNum"], zones(row).len()), (&json!(2), 3));
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "promote-replica",
        action: "ChangeReplicaToMaster",
        replicas: 1,
        params: nothing,
        check: |_, row, instance| {
            assert_eq!(row["NodeSet"][0]["ZoneId"], 100_002, "{row}");
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "clear-data",
        action: "ClearInstance",
        replicas: 1,
        params: |_| json!({"Password": PASSWORD}),
        check: |_, _, instance| {
            let instance = instance.expect("one that was there");
            assert_eq!(instance.run::<Option<String>>(&["GET", "kept"]).expect("GET"), None);
        },
    },
    Trial {
        flow: "close-address",
        action: "ReleaseWanAddress",
        replicas: 0,
        params: nothing,
        check: |_, row, instance| {
            assert_eq!(row["WanAddress"], "", "{row}");
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "create-instance",
        action: "CreateInstances",
        replicas: 1,
        params: nothing,
        check: |_, row, _| {
            let instance = Instance::of_row(row, PASSWORD);
            assert_eq!(instance.run::<Option<String>>(&["GET", "kept"]).expect("GET"), None);
        },
    },
    Trial {
        flow: "cut-over",
        action: "SwitchAccessNewInstance",
        replicas: 1,
        params: nothing,
        check: |_, row, instance| {
            assert_eq!(zones(row), [100_004, 100_005]);
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "delete-instance",
        action: "CleanUpInstance",
        replicas: 1,
        params: nothing,
        check: |_, row, instance| {
            assert_eq!(row, &Value::Null);
            check_closed(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "isolate-instance",
        action: "DestroyPostpaidInstance",
        replicas: 1,
        params: nothing,
        check: |_, row, instance| {
            assert_eq!(row["Status"], -3);
            check_closed(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "kill-primary",
        action: "KillMasterGroup",
        replicas: 1,
        params: |_| json!({"Password": PASSWORD}),
        check: |_, row, instance| {
            assert_eq!(row["NodeSet"][0]["ZoneId"], 100_002, "{row}");
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "open-wan",
        action: "AllocateWanAddress",
        replicas: 0,
        params: nothing,
        check: |_, row, instance| {
            let public = row["WanAddress"].as_str().and_then(|text| text.split_once(':')).expect("host:port");
            let instance = instance.expect("one that was there");
            check_kept(&Instance {
                host: public.0.into(),
                port: public.1.parse().expect("a port"),
                ..instance.clone()
            });
            check_kept(&instance);
        },
    },
    Trial {
        flow: "remove-nodes",
        action: "UpgradeInstance",
        replicas: 2,
        params: |row| {
            let primary = &row["NodeSet"][0]["NodeId"];
            json!({"MemSize": 1024, "RedisReplicasNum": 1, "NodeSet": [{"NodeType": 0, "NodeId": primary}]})
        },
        check: |_, row, instance| {
            assert!(zones(row).len() == 2 && !zones(row).contains(&100_001), "{row}");
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "renew-gateway",
        // UpgradeProxyVersion starts it too, where the gateway is of a former release.
        action: "SwitchProxy",
        replicas: 0,
        params: nothing,
        check: |_, _, instance| check_kept(&instance.expect("one that was there")),
    },
    Trial {
        flow: "replace-nodes",
        action: "ModifyInstanceAvailabilityZones",
        replicas: 1,
        params: |_| to_other_zones(2),
        check: |_, row, instance| {
            assert_eq!(zones(row), [100_004, 100_005]);
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "rotate-password",
        action: "RotatePassword",
        replicas: 1,
        params: |_| json!({"Password": "Another-horse-2", "OverlapSeconds": 1}),
        check: |_, _, instance| {
            let instance = instance.expect("one that was there");
            check_closed(&instance);
            check_kept(&Instance { password: "Another-horse-2".into(), ..instance });
        },
    },
    Trial {
        flow: "restart-params",
        action: "ModifyInstanceParams",
        replicas: 1,
        params: |_| json!({"InstanceParams": [{"Key": "io-threads", "Value": "2"}, {"Key": "hz", "Value": "50"}]}),
        check: |client, row, instance| {
            assert_eq!(zones(row).len(), 2);
            check_kept(&instance.expect("one that was there"));
            check_param(client, row, "InstanceIntegerParam", "io-threads", "2");
            check_param(client, row, "InstanceIntegerParam", "hz", "50");
        },
    },
    Trial {
        flow: "set-access",
        action: "ResetPassword",
        replicas: 1,
        params: |_| json!({"Password": "Another-horse-2"}),
        check: |_, _, instance| {
            let instance = instance.expect("one that was there");
            check_closed(&instance);
            check_kept(&Instance { password: "Another-horse-2".into(), ..instance });
        },
    },
    Trial {
        flow: "set-account",
        action: "CreateInstanceAccount",
        replicas: 1,
        params: |_| {
            json!({
                "AccountName": "ann", "AccountPassword": PASSWORD, "Privilege": "rw", "ReadonlyPolicy": ["master"],
            })
        },
        check: |_, _, instance| {
            let mut connection = instance.expect("one that was there").connect().expect("root");
            e2e::run::<()>(&mut connection, &["AUTH", "ann", PASSWORD]).expect("ann");
            assert_eq!(e2e::run::<String>(&mut connection, &["GET", "kept"]).expect("GET"), "yes");
        },
    },
    Trial {
        flow: "set-address",
        action: "ModifyNetworkConfig",
        replicas: 0,
        params: |_| json!({"Operation": "changeVip"}),
        check: |_, row, instance| {
            check_closed(&instance.expect("one that was there"));
            check_kept(&Instance::of_row(row, PASSWORD));
        },
    },
    Trial {
        flow: "set-limits",
        action: "ModifyConnectionConfig",
        replicas: 1,
        params: |_| json!({"ClientLimit": 12000, "Bandwidth": 500}),
        check: |_, row, instance| {
            assert_eq!((&row["ClientLimit"], &row["NetLimit"]), (&json!(12000), &json!(500)));
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "set-memory",
        action: "UpgradeInstance",
        replicas: 1,
        params: |_| json!({"MemSize": 2048}),
        check: |_, row, instance| {
            assert_eq!(row["RedisShardSize"], 2048);
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "set-params",
        action: "ModifyInstanceParams",
        replicas: 1,
        params: |_| json!({"InstanceParams": [{"Key": "hz", "Value": "50"}, {"Key": "disable-command-list", "Value": "keys"}]}),
        check: |client, row, instance| {
            let instance = instance.expect("one that was there");
            check_kept(&instance);
            check_param(client, row, "InstanceIntegerParam", "hz", "50");
            assert!(instance.run::<Vec<String>>(&["KEYS", "*"]).is_err(), "KEYS is taken");
        },
    },
    Trial {
        flow: "set-read-only",
        action: "ModifyInstanceReadOnly",
        replicas: 1,
        params: |_| json!({"InputMode": "1"}),
        check: |_, row, instance| {
            assert_eq!(row["ReadOnly"], 1);
            let instance = instance.expect("one that was there");
            assert!(instance.run::<()>(&["SET", "new", "1"]).is_err(), "a write is taken");
            assert_eq!(instance.run::<String>(&["GET", "kept"]).expect("GET"), "yes");
        },
    },
    Trial {
        flow: "set-replica-reads",
        action: "EnableReplicaReadonly",
        replicas: 1,
        params: nothing,
        check: |_, row, instance| {
            assert_eq!(row["SlaveReadWeight"], 100);
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "set-tls",
        action: "OpenSSL",
        replicas: 0,
        params: nothing,
        check: |client, row, instance| {
            let status = client.done("DescribeSSLStatus", json!({ "InstanceId": row["InstanceId"] }));
            assert_eq!((&status["SSLConfig"], &status["Status"]), (&json!(true), &json!(2)), "{status}");
            check_kept(&instance.expect("one that was there"));
        },
    },
    Trial {
        flow: "start-up",
        action: "StartupInstance",
        replicas: 1,
        params: nothing,
        check: |_, _, instance| check_kept(&instance.expect("one that was there")),
    },
    Trial {
        flow: "swap-addresses",
        action: "SwitchInstanceVip",
        replicas: 0,
        params: nothing,
        check: |_, row, instance| {
            let old = instance.expect("one that was there");
            let kept = old.run::<Option<String>>(&["GET", "kept"]).expect("GET");
            assert_eq!(kept, None, "the other instance has its address");
            check_kept(&Instance::of_row(row, PASSWORD));
        },
    },
];

fn to_other_zones(switch: i64) -> Value {
    let set = json!([{"NodeType": 0, "ZoneId": 100_004}, {"NodeType": 1, "ZoneId": 100_005}]);
    json!({"SwitchOption": switch, "NodeSet": set})
}

/// Parameters of CreateInstances for an instance with so many replicas, each node in a zone of its own.
fn creation_with(name: &str, replicas: usize) -> Value {
    let node = |index: usize| json!({"NodeType": i64::from(index > 0), "ZoneId": 100_001 + index});
    let mut order = creation(name);
    order["ZoneId"] = json!(100_001);
    order["RedisReplicasNum"] = json!(replicas);
    order["NodeSet"] = (0..=replicas).map(node).collect();
    order
}

/// A maintenance window that does not open while the test runs: twelve hours after the instance was made.
fn window_hours_away(row: &Value) -> Value {
    let hour: u32 = row["Createtime"].as_str().and_then(|at| at[11..13].parse().ok()).expect("a time");
    let hour = (hour + 12) % 24;
    json!({"StartTime": format!("{hour:02}:00"), "EndTime": format!("{hour:02}:30")})
}

/// Prepares an instance that the action can be called on, with a key in it, and the action's parameters.
fn standing(client: &mut Client, trial: &Trial, name: &str) -> (Option<Instance>, Value) {
    if trial.action == "CreateInstances" {
        return (None, creation(name));
    }
    let instance = Instance::create_with(client, creation_with(name, trial.replicas));
    instance.run::<()>(&["SET", "kept", "yes"]).expect("SET");
    if matches!(trial.action, "StartupInstance" | "CleanUpInstance") {
        let destroy = client.done("DestroyPostpaidInstance", json!({ "InstanceId": instance.id }));
        wait_for_task(client, &destroy);
        instance.wait_for_status(client, -3);
    }
    let row = instance.describe(client).expect("it is listed");
    let mut params = (trial.params)(&row);
    match trial.action {
        "SwitchInstanceVip" => {
            let other = Instance::create(client);
            params = json!({ "SrcInstanceId": instance.id, "DstInstanceId": other.id });
        }
        _ => params["InstanceId"] = json!(instance.id),
    }
    if trial.action == "ReleaseWanAddress" {
        client.done("AllocateWanAddress", params.clone());
        instance.wait_for_status(client, 2);
    }
    if trial.flow == "cut-over" {
        let mut window = window_hours_away(&row);
        window["InstanceId"] = json!(instance.id);
        client.done("ModifyMaintenanceWindow", window);
        let mut move_later = to_other_zones(1);
        move_later["InstanceId"] = json!(instance.id);
        client.done("ModifyInstanceAvailabilityZones", move_later);
        instance.wait_for_status(client, 2);
    }
    (Some(instance), params)
}

/// A third of the boundaries of all flows, chosen by a seed. `OPENCRS_E2E_CRASHES=all` runs all, and another value those
/// that begin with it: a flow, a step.
fn boundaries() -> Vec<(&'static Trial, String)> {
    let mut all = Vec::new();
    for flow in control::FLOWS {
        let trial = TRIALS.iter().find(|trial| trial.flow == flow.name);
        let trial = trial.unwrap_or_else(|| panic!("which action starts {}? This test has to know", flow.name));
        for step in flow.steps() {
            for moment in ["before", "after"] {
                all.push((trial, format!("{}/{}/run/{moment}", flow.name, step.name)));
            }
        }
    }
    if let Ok(which) = std::env::var("OPENCRS_E2E_CRASHES") {
        all.retain(|(_, point)| which == "all" || point.starts_with(&which));
        return all;
    }
    let seed = std::env::var("OPENCRS_E2E_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(3);
    let mut random = StdRng::seed_from_u64(seed);
    // At least one of each flow.
    let mut seen = std::collections::HashSet::new();
    all.retain(|(trial, _)| random.random_range(0..3) == 0 || seen.insert(trial.flow));
    all
}

#[test]
fn every_flow_ends_well_though_the_server_dies_at_each_of_its_steps() {
    let mut service = Service::start_with(&[("OPENCRS_BUSY_MILLIS", "0")]);
    let mut client = Client::python(&service);
    let load = Load::start(&Instance::create(&mut client));
    for (trial, point) in boundaries() {
        let name = point.replace('/', "-");
        let (instance, params) = standing(&mut client, trial, &name);

        service.terminate();
        service.resume_until(&point);
        // It may die before it answers.
        let ours = trial.action == "RotatePassword";
        let (product, version) = if ours { ("opencrs", "2026-11-24") } else { ("redis", "2018-04-12") };
        // The SDK has no model of what is ours.
        client.settings.untyped = ours;
        let answer = client.call_product(product, version, trial.action, params);
        client.settings.untyped = false;
        service.await_crash(&format!("{point}; {} was answered {answer:?}", trial.action));
        service.resume();

        wait_until_idle(&mut client);
        let last = client.done("DescribeTaskList", json!({ "Limit": 1 }))["Tasks"][0].take();
        assert_eq!((&last["InstanceName"], &last["Result"]), (&json!(name), &json!(2)), "{point}: {last}");
        let row = find(&mut client, &name).unwrap_or(Value::Null);
        (trial.check)(&mut client, &row, instance);
        check_engines(&service, &mut client);
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
