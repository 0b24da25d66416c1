//! What is told of an instance's use, through the public SDK.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use e2e::{Client, Instance, Service, pause, run, wait_for, wait_for_task};
use serde_json::{Value, json};

/// Works for some ten milliseconds.
const BUSY: &str = "local i = 0 while i < 1000000 do i = i + 1 end return i";

fn start() -> Service {
    Service::start_with(&[("OPENCRS_BUSY_MILLIS", "0")])
}

fn set(client: &mut Client, instance: &Instance, name: &str, value: &str) {
    let params = json!([{ "Key": name, "Value": value }]);
    let answer = client.done("ModifyInstanceParams", json!({ "InstanceId": instance.id, "InstanceParams": params }));
    wait_for_task(client, &answer);
}

/// From long before until long after, and with what else is asked.
fn slow_log(client: &mut Client, action: &str, instance: &Instance, extra: Value) -> Value {
    let now = jiff::Timestamp::now().as_second() + 8 * 3600;
    let time = |second: i64| {
        let at = jiff::Timestamp::from_second(second).expect("a time").to_string();
        at[..19].replace('T', " ")
    };
    let mut request = json!({ "InstanceId": instance.id, "BeginTime": time(now - 3600), "EndTime": time(now + 3600) });
    request.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    client.done(action, request)
}

fn lines(answer: &Value, list: &str) -> Vec<String> {
    let rows = answer[list].as_array().expect("a list").iter();
    rows.map(|row| row["CommandLine"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn slow_commands_are_told_of_the_node_that_they_were_slow_on() {
    let service = start();
    let mut client = Client::python(&service);
    let instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    set(&mut client, &instance, "slowlog-log-slower-than", "1");
    instance.run::<i64>(&["EVAL", BUSY, "0"]).expect("EVAL");
    let write = format!("redis.call('set', KEYS[1], 1) {BUSY}");
    instance.run::<i64>(&["EVAL", &write, "1", "key"]).expect("EVAL");
    let answer = slow_log(&mut client, "DescribeSlowLog", &instance, json!({ "Role": "master" }));
    let row = answer["InstanceSlowLogDetail"].as_array().expect("a list").last().expect("a slow command").clone();
    assert_eq!(row["CommandLine"], format!("EVAL {BUSY} 0"), "{answer}");
    assert_eq!(row["Command"], "EVAL");
    assert!(row["Duration"].as_i64().is_some_and(|millis| millis >= 1), "{row}");
    let nodes = client.done("DescribeInstanceNodeInfo", json!({ "InstanceId": instance.id }));
    let mut nodes = nodes["Redis"].as_array().expect("a list").iter();
    let primary = nodes.find(|node| node["NodeRole"] == "master").expect("a primary");
    assert_eq!(row["Node"], primary["NodeId"]);
    assert_eq!(answer["TotalCount"], 2, "{answer}");

    // All is slow now, and still nothing of the service's own is told.
    set(&mut client, &instance, "slowlog-log-slower-than", "0");
    instance.run::<String>(&["SET", "key", "value"]).expect("SET");
    set(&mut client, &instance, "hz", "20");
    let answer = slow_log(&mut client, "DescribeSlowLog", &instance, json!({ "Role": "master", "Limit": 100 }));
    let told = lines(&answer, "InstanceSlowLogDetail");
    assert!(told.contains(&"SET key value".to_owned()), "{told:?}");
    let own = |line: &&String| {
        ["CONFIG", "ACL", "SLOWLOG", "REPL", "PSYNC", "AUTH", "HELLO"].iter().any(|own| line.starts_with(own))
    };
    assert_eq!(told.iter().find(own), None, "{told:?}");
    assert!(told.iter().all(|line| !line.contains(&instance.password)), "{told:?}");
    let quick = slow_log(&mut client, "DescribeSlowLog", &instance, json!({ "MinQueryTime": 60_000 }));
    assert_eq!(quick["TotalCount"], 0);
}

#[test]
fn what_is_asked_of_an_instance_is_told() {
    let service = start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    set(&mut client, &instance, "proxy-slowlog-log-slower-than", "1");
    let mut connection = instance.connect().expect("connect");
    run::<String>(&mut connection, &["SET", "hot", "1"]).expect("SET");
    for _ in 0..200 {
        run::<String>(&mut connection, &["GET", "hot"]).expect("GET");
    }
    run::<i64>(&mut connection, &["EVAL", BUSY, "0"]).expect("EVAL");

    let now = json!({ "InstanceId": instance.id, "SpanType": 1 });
    let rows = |client: &mut Client, action: &str| client.done(action, now.clone())["Data"].take();
    let commands = rows(&mut client, "DescribeInstanceMonitorTopNCmd");
    assert_eq!(commands[0], json!({ "Cmd": "get", "Count": 200 }), "{commands}");
    let took = rows(&mut client, "DescribeInstanceMonitorTopNCmdTook");
    assert!(took.as_array().expect("a list").iter().any(|row| row["Cmd"] == "eval"), "{took}");
    let keys = rows(&mut client, "DescribeInstanceMonitorHotKey");
    assert_eq!(keys[0]["Key"], "hot", "{keys}");
    assert_eq!(keys[0]["Type"], "string", "{keys}");
    assert!(keys[0]["Count"].as_i64().is_some_and(|count| count >= 200), "{keys}");

    let today = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 8 * 3600).expect("a time");
    let request = json!({ "InstanceId": instance.id, "SpanType": 1, "Date": today.to_string()[..10] });
    let steps = client.done("DescribeInstanceMonitorTookDist", request)["Data"].take();
    let all: i64 = steps.as_array().expect("a list").iter().map(|row| row["Size"].as_i64().expect("a number")).sum();
    assert!(all >= 202, "{steps}");

    let sources = client.done("DescribeInstanceMonitorSIP", json!({ "InstanceId": instance.id }))["Data"].take();
    assert!(sources[0]["Conn"].as_i64().is_some_and(|open| open >= 1), "{sources}");

    let answer = slow_log(&mut client, "DescribeProxySlowLog", &instance, json!({}));
    // On a busy host others may have been slow too.
    assert!(lines(&answer, "InstanceProxySlowLogDetail").contains(&format!("EVAL {BUSY} 0")), "{answer}");
}

#[test]
fn the_gateway_answers_prometheus_with_and_without_the_server() {
    let mut service = Service::start_with(&[("OPENCRS_GATEWAY_METRICS", "127.0.0.1:0")]);
    let file = service.data().join("gateway/metrics.addr");
    let addr = wait_for("the gateway to say where it answers", || std::fs::read_to_string(&file).ok());
    service.kill();
    pause(Duration::from_millis(10));
    let mut stream = TcpStream::connect(addr.trim()).expect("connect");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("read");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    service.resume();
}
