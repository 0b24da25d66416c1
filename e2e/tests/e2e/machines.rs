//! What happens to a machine, and who else is on it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use e2e::{Client, Instance, Process, Service, is_on_postgres, run, wait_for, wait_for_task};
use serde_json::{Value, json};

/// One that runs with a key in it, and one that is isolated, with a key in it too.
fn a_running_and_an_isolated_instance(client: &mut Client) -> (Instance, Instance) {
    let running = Instance::create_with(client, json!({ "RedisReplicasNum": 1, "InstanceName": "running" }));
    let isolated = Instance::create_with(client, json!({ "InstanceName": "isolated" }));
    for instance in [&running, &isolated] {
        instance.run::<()>(&["SET", "name", &instance.id]).expect("SET");
    }
    let destroy = client.done("DestroyPostpaidInstance", json!({ "InstanceId": isolated.id }));
    wait_for_task(client, &destroy);
    isolated.wait_for_status(client, -3);
    (running, isolated)
}

fn addresses(client: &mut Client) -> Vec<(Value, Value, Value)> {
    let rows = client.done("DescribeInstances", json!({ "OrderBy": "instancename" }));
    let rows = rows["InstanceSet"].as_array().expect("a list");
    rows.iter().map(|row| (row["InstanceId"].clone(), row["WanIp"].clone(), row["Port"].clone())).collect()
}

/// Brings the machine down and up again, and looks whether all is as it was.
fn check_a_restart(bring_down_and_up: impl FnOnce(&mut Service)) {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let (running, isolated) = a_running_and_an_isolated_instance(&mut client);
    let before = addresses(&mut client);

    bring_down_and_up(&mut service);

    let name: String = wait_for("the running instance to answer", || running.run(&["GET", "name"]).ok());
    assert_eq!(name, running.id);
    assert_eq!(addresses(&mut client), before);
    assert!(isolated.connect().is_err(), "an isolated instance answers after a restart");
    client.done("StartupInstance", json!({ "InstanceId": isolated.id }));
    isolated.wait_for_status(&mut client, 2);
    assert_eq!(isolated.run::<String>(&["GET", "name"]).expect("GET"), isolated.id);
}

#[test]
fn everything_comes_back_after_opencrs_stop() {
    check_a_restart(|service| {
        service.stop();
        service.resume();
    });
}

/// The ports of the engines, as the records of their processes name them.
fn engine_ports(service: &Service) -> Vec<u16> {
    let folders = fs::read_dir(service.data().join("nodes")).expect("the nodes");
    let records = folders.map(|folder| fs::read(folder.expect("a node").path().join("node.json")).expect("a record"));
    let addr = |record: Vec<u8>| serde_json::from_slice::<Value>(&record).expect("JSON")["addr"].to_string();
    records
        .map(|record| addr(record).trim_matches('"').rsplit(':').next().expect("a port").parse().expect("a port"))
        .collect()
}

#[test]
fn engines_whose_ports_others_have_meanwhile_come_back_on_other_ports() {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    instance.run::<()>(&["SET", "name", "kept"]).expect("SET");
    let ports = engine_ports(&service);
    assert_eq!(ports.len(), 2);
    service.stop();
    let others: Vec<_> = ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port)).expect("the port")).collect();
    service.resume();
    let back = wait_for("the data to be back", || instance.run::<String>(&["GET", "name"]).ok());
    assert_eq!(back, "kept");
    wait_for("the replica to follow", || {
        let info = instance.run::<String>(&["INFO", "replication"]).ok()?;
        info.contains("slave0:").then_some(()).filter(|()| info.contains("state=online"))
    });
    drop(others);
}

#[test]
fn everything_comes_back_after_a_power_cut() {
    check_a_restart(|service| {
        service.cut_power();
        service.resume();
    });
}

#[test]
fn a_server_that_ends_leaves_every_engine_and_connection_alone() {
    let mut service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let mut open = instance.connect().expect("connect");
    let before = service.processes();

    service.terminate();
    assert_eq!(run::<String>(&mut open, &["PING"]).expect("PING without a server"), "PONG");
    assert_eq!(instance.run::<String>(&["PING"]).expect("a new connection without a server"), "PONG");
    service.resume();
    assert_eq!(run::<String>(&mut open, &["PING"]).expect("PING under the next server"), "PONG");
    assert_eq!(instance.describe(&mut client).expect("its row")["Status"], 2);
    assert_eq!(service.processes(), before);
}

#[test]
fn a_killed_engine_comes_back_with_its_data() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let mut open = instance.connect().expect("connect");
    run::<()>(&mut open, &["SET", "name", "survivor"]).expect("SET");

    service.engines().iter().for_each(Process::kill);
    // What was on its way to the dead engine is answered by a reset; what comes a moment later waits for the next.
    if let Ok(answer) = run::<String>(&mut open, &["PING"]) {
        assert_eq!(answer, "PONG");
    }
    let name: String = wait_for("the engine to be back", || instance.run(&["GET", "name"]).ok());
    assert_eq!(name, "survivor");
    assert_eq!(instance.describe(&mut client).expect("its row")["Status"], 2);
}

#[test]
fn a_killed_gateway_comes_back() {
    let service = Service::start();
    let instance = Instance::create(&mut Client::python(&service));
    let gateways: Vec<_> = service
        .processes()
        .into_iter()
        .filter(|process| process.command.get(1).is_some_and(|word| word == "gateway"))
        .collect();
    assert_eq!(gateways.len(), 1, "{:?}", service.processes());
    gateways[0].kill();
    wait_for("the gateway to be back", || instance.run::<String>(&["PING"]).ok());
}

#[test]
fn a_second_server_on_the_same_folder_refuses_and_says_why() {
    if is_on_postgres() {
        // There a second one is welcome.
        return;
    }
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let (succeeded, said) = service.start_second();
    assert!(!succeeded, "{said}");
    assert!(said.contains(&service.data().display().to_string()), "{said}");
    assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
    client.done("DescribeInstances", json!({}));
}

#[test]
fn two_services_side_by_side_do_not_meet() {
    let mut one = Service::start();
    let other = Service::start();
    let (mut one_client, mut other_client) = (Client::python(&one), Client::python(&other));
    let of_one = Instance::create(&mut one_client);
    let of_other = Instance::create(&mut other_client);
    assert_ne!(of_one.host, of_other.host);
    assert_eq!(addresses(&mut one_client).len(), 1);
    assert_eq!(addresses(&mut other_client).len(), 1);

    let mut open = of_other.connect().expect("connect");
    one.stop();
    assert!(of_one.connect().is_err(), "a stopped service answers");
    assert_eq!(run::<String>(&mut open, &["PING"]).expect("PING on the other service"), "PONG");
}

#[test]
fn a_dev_service_leaves_nothing_behind_when_it_is_killed() {
    let mut service = Service::start_dev();
    let instance = Instance::create(&mut Client::python(&service));
    assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
    assert_ne!(service.processes(), []);
    service.kill();
    wait_for("its processes to die with it", || service.processes().is_empty().then_some(()));
}

#[test]
fn a_dev_service_that_ends_takes_its_data_with_it() {
    let mut service = Service::start_dev();
    Instance::create(&mut Client::python(&service));
    assert_ne!(fs::read_dir(service.data()).expect("its folder").count(), 0);
    service.terminate();
    assert_eq!(service.processes(), []);
    assert_eq!(fs::read_dir(service.data()).expect("its folder").count(), 0);
}

/// What no HTTP library takes is refused as everything else is.
#[test]
fn a_request_that_is_too_large_to_be_read_is_answered_in_the_usual_form() {
    let service = Service::start();
    let target = format!("GET /?a={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000));
    let headers: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    for request in [target, format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")] {
        let mut connection = TcpStream::connect(service.address()).expect("connect");
        connection.write_all(request.as_bytes()).expect("ask");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("read the answer");
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("application/json\r\n"), "{answer}");
        let body = answer.split("\r\n\r\n").nth(1).expect("a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["Response"]["Error"]["Code"], "RequestSizeLimitExceeded");
        assert!(body["Response"]["RequestId"].is_string());
    }
}

#[test]
fn a_service_says_that_it_serves() {
    let service = Service::start();
    let mut connection = TcpStream::connect(service.address()).expect("connect");
    write!(connection, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("ask");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("read the answer");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn an_address_that_someone_has_taken_is_passed_over() {
    let port = |listener: &TcpListener| listener.local_addr().expect("its address").port();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let pool = format!("127.0.0.1:{}-{}", port(&taken), port(&taken) + 20);
    let service = Service::start_with(&[("OPENCRS_VIPS", &pool)]);
    let mut client = Client::python(&service);
    for _ in 0..2 {
        let instance = Instance::create(&mut client);
        assert_eq!(instance.host, "127.0.0.1");
        assert_ne!(instance.port, port(&taken));
        assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
    }
}
