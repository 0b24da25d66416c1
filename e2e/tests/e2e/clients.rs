//! Every way in which the public clients sign and send what they ask.

use std::os::unix::fs::PermissionsExt;

use e2e::{Client, Instance, Method, Service, Sign, paste};
use serde_json::json;

const WAYS: [(Sign, Method); 6] = [
    (Sign::Tc3, Method::Post),
    (Sign::Tc3, Method::Get),
    (Sign::HmacSHA1, Method::Post),
    (Sign::HmacSHA1, Method::Get),
    (Sign::HmacSHA256, Method::Post),
    (Sign::HmacSHA256, Method::Get),
];

/// Asks for things that a query and a form spell in a way of their own: lists, numbers, an empty answer, odd text.
fn ask_by_every_way(client: &mut Client) {
    for (sign, method) in WAYS {
        client.settings.sign = sign;
        client.settings.method = method;
        let none = client
            .done("DescribeInstances", json!({ "Limit": 5, "Status": [2, 1], "SearchKey": "a b+c&d=%20é*~实例" }));
        assert_eq!(none["TotalCount"], 0, "{sign:?} {method:?}");
        client.done("DescribeInstances", json!({}));
        client.done(
            "DescribeTaskList",
            json!({ "TaskTypes": ["001", "FLOW_CLOSE"], "Result": [0, 1, 2, 4], "OperateUin": [] }),
        );
    }
}

fn zones(client: &mut Client) -> Vec<String> {
    let answer =
        client.call_product("region", "2022-06-27", "DescribeZones", json!({ "Product": "redis" })).expect("zones");
    let zones: Vec<_> =
        answer["ZoneSet"].as_array().expect("a list").iter().map(|zone| zone["Zone"].to_string()).collect();
    assert_eq!(answer["TotalCount"], zones.len());
    zones
}

#[test]
fn python_is_understood_by_every_way_it_signs() {
    let service = Service::start();
    let mut client = Client::python(&service);
    ask_by_every_way(&mut client);
    client.settings.untyped = true;
    ask_by_every_way(&mut client);
}

#[test]
fn python_may_leave_the_body_out_of_the_signature() {
    let service = Service::start();
    let mut client = Client::python(&service);
    client.settings.unsigned_payload = true;
    for method in [Method::Post, Method::Get] {
        client.settings.method = method;
        client.done("DescribeInstances", json!({ "Limit": 5, "Status": [2] }));
    }
}

#[test]
fn node_is_understood_by_every_way_it_signs() {
    let service = Service::start();
    ask_by_every_way(&mut Client::node(&service));
}

#[test]
fn every_client_is_told_the_same_zones() {
    let service = Service::start();
    let of_python = zones(&mut Client::python(&service));
    assert!(of_python.contains(&"\"ap-guangzhou-3\"".to_owned()), "{of_python:?}");
    assert_eq!(zones(&mut Client::node(&service)), of_python);
    assert_eq!(zones(&mut Client::tccli(&service)), of_python);
}

#[test]
fn redis_py_talks_to_an_instance() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let connect = json!({ "host": instance.host, "port": instance.port, "password": instance.password });
    let mut run = |command| client.redis_py("main", connect.clone(), command);
    assert_eq!(run(json!(["SET", "greeting", "hello"])).expect("SET"), true);
    assert_eq!(run(json!(["GET", "greeting"])).expect("GET"), "hello");
    let refusal = run(json!(["CONFIG", "GET", "requirepass"])).expect_err("CONFIG is the service's own");
    assert_eq!(refusal.code, "NoPermissionError");
}

#[test]
fn a_port_that_is_asked_for_is_the_port() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create_with(&mut client, json!({ "VPort": 7001, "InstanceName": "on-7001" }));
    assert_eq!(instance.port, 7001);
    assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
    let row = instance.describe(&mut client).expect("its row");
    assert_eq!((&row["InstanceName"], &row["Port"]), (&json!("on-7001"), &json!(7001)));
}

#[test]
fn the_lines_that_a_first_start_prints_can_be_pasted() {
    let service = Service::start_with(&[("OPENCRS_SECRET_ID", ""), ("OPENCRS_SECRET_KEY", "")]);
    let log = service.log();
    let lines: String = log.lines().filter(|line| line.starts_with("  ")).map(|line| format!("{line}\n")).collect();
    assert!(lines.contains("tccli redis CreateInstances "), "{log}");
    let said = paste(&lines);
    assert!(said.contains("\"InstanceIds\"") && said.contains("\"TaskType\": \"001\""), "{said}");

    let key = service.data().join("root-key.toml");
    assert_eq!(key.metadata().expect("the key pair's file").permissions().mode() & 0o777, 0o600);
}
