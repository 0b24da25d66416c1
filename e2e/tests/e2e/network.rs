//! Where instances are reached: their addresses come, go and change while customers write, and no write that was
//! acknowledged is lost.

use std::time::{Duration, Instant};

use e2e::{Account, Client, Instance, Service, Writers, pause, run, wait_for, wait_for_task};
use serde_json::{Value, json};

/// How long customers write before and after a change.
const MARGIN: Duration = Duration::from_millis(200);

fn start() -> Service {
    Service::start_with(&[("OPENCRS_BUSY_MILLIS", "0")])
}

/// Calls an action of a task, and waits for its end.
fn change(client: &mut Client, action: &str, params: Value) {
    let answer = client.done(action, params);
    let id = if answer["TaskId"].is_null() { &answer["FlowId"] } else { &answer["TaskId"] };
    let task = wait_for_task(client, &json!({ "TaskId": id }));
    assert_eq!(task["Status"], "succeed", "{action}: {task}");
}

/// The instance at another address.
fn at(instance: &Instance, address: &str) -> Instance {
    let (host, port) = address.split_once(':').expect("host:port");
    Instance { host: host.to_owned(), port: port.parse().expect("a port"), ..instance.clone() }
}

fn row(client: &mut Client, instance: &Instance) -> Value {
    instance.describe(client).expect("its row")
}

fn check_whole(account: &Account) {
    assert!(account.acknowledged > 0, "nothing was written");
    assert_eq!((account.missing, account.repeated), (0, 0), "{account:?}");
    assert!(!account.errors.contains_key("no answer"), "a customer was left waiting: {account:?}");
}

#[test]
fn a_new_address_takes_over_while_customers_write_at_the_former_one() {
    let service = start();
    let mut client = Client::python(&service);
    let former = Instance::create(&mut client);
    let writers = Writers::start(&former);
    pause(MARGIN);
    let params = json!({ "InstanceId": former.id, "Operation": "changeVip", "Recycle": 1 });
    change(&mut client, "ModifyNetworkConfig", params);
    pause(MARGIN);
    let account = writers.finish().expect("read back");
    check_whole(&account);
    assert!(account.errors.is_empty(), "customers noticed, though the former address is kept: {account:?}");
    let instance = Instance::of_row(&row(&mut client, &former), &former.password);
    assert_ne!(instance.host, former.host);
    instance.run::<()>(&["SET", "name", "value"]).expect("SET");
    assert_eq!(former.run::<String>(&["GET", "name"]).expect("GET"), "value");

    let writers = Writers::start(&instance);
    pause(MARGIN);
    let params = json!({ "InstanceId": former.id, "Operation": "changeVPort", "VPort": 7000, "Recycle": 1 });
    change(&mut client, "ModifyNetworkConfig", params);
    // Nobody is kept at this one, and the writers' connections are reset at its end.
    let params = json!({ "InstanceId": former.id, "Operation": "changeVip", "Vip": "127.88.3.3", "VPort": 7001 });
    change(&mut client, "ModifyNetworkConfig", params);
    let last = at(&former, "127.88.3.3:7001");
    let account = writers.finish_at(&[&last]).expect("read back");
    check_whole(&account);
    assert_eq!(last.run::<String>(&["GET", "name"]).expect("GET"), "value");
    let between = Instance { port: 7000, ..instance };
    assert!(between.connect().is_err(), "an address answers that was not to be kept");
}

#[test]
fn a_former_address_is_closed_when_its_days_are_over() {
    let service = Service::start_dev();
    let mut client = Client::python(&service);
    let former = Instance::create(&mut client);
    let params = json!({ "InstanceId": former.id, "Operation": "changeVip", "Recycle": 2 });
    change(&mut client, "ModifyNetworkConfig", params);
    assert_eq!(former.run::<String>(&["PING"]).expect("PING"), "PONG");
    client.settings.untyped = true;
    let days = json!({ "Seconds": 3 * 24 * 3600 });
    client.call_product("opencrs", "2026-11-24", "AdvanceClock", days).expect("the clock is set forward");
    wait_for("the former address to be closed", || former.connect().is_err().then_some(()));
    let closed = json!({ "InstanceId": former.id, "TaskTypes": ["045"] });
    wait_for("the task to end", || {
        let tasks = client.done("DescribeTaskList", closed.clone());
        (tasks["TotalCount"] == 1 && tasks["Tasks"][0]["Result"] == 2).then_some(())
    });
}

#[test]
fn two_instances_swap_addresses_under_writes() {
    let service = start();
    let mut client = Client::python(&service);
    let (one, other) = (Instance::create(&mut client), Instance::create(&mut client));
    one.run::<()>(&["SET", "name", "one"]).expect("SET");
    other.run::<()>(&["SET", "name", "other"]).expect("SET");
    let writers = Writers::start(&one);
    pause(MARGIN);
    let params = json!({ "SrcInstanceId": one.id, "DstInstanceId": other.id });
    change(&mut client, "SwitchInstanceVip", params);
    pause(MARGIN);
    // What was written before the swap is in the one, what was written after it in the other.
    let account = writers.finish_at(&[&one, &other]).expect("read back");
    check_whole(&account);
    assert!(account.errors.values().sum::<usize>() <= 16, "each connection is reset once: {account:?}");
    assert_eq!(one.run::<String>(&["GET", "name"]).expect("GET"), "other");
    assert_eq!(other.run::<String>(&["GET", "name"]).expect("GET"), "one");
    let shown = [&one, &other].map(|instance| row(&mut client, instance)["WanIp"].clone());
    assert_eq!(shown, [json!(other.host), json!(one.host)]);
}

#[test]
fn a_public_address_comes_and_goes_under_writes() {
    let service = start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let writers = Writers::start(&instance);
    pause(MARGIN);
    let just = json!({ "InstanceId": instance.id });
    change(&mut client, "AllocateWanAddress", just.clone());
    let public = row(&mut client, &instance)["WanAddress"].as_str().expect("an address").to_owned();
    let public = at(&instance, &public);
    let mut connection = public.connect().expect("connect");
    run::<()>(&mut connection, &["SET", "name", "value"]).expect("SET");
    assert_eq!(instance.run::<String>(&["GET", "name"]).expect("GET"), "value");
    let no_auth = json!({ "InstanceId": instance.id, "NoAuth": true });
    assert_eq!(client.refused("ResetPassword", no_auth).code, "InvalidParameterValue.PasswordFreeDenied");
    change(&mut client, "ReleaseWanAddress", just);
    assert!(run::<String>(&mut connection, &["PING"]).is_err(), "its connections are reset");
    assert!(public.connect().is_err(), "a released address answers");
    pause(MARGIN);
    let account = writers.finish().expect("read back");
    check_whole(&account);
    assert!(account.errors.is_empty(), "customers at the other address noticed: {account:?}");
    assert_eq!(row(&mut client, &instance)["WanAddress"], "");
}

#[test]
fn limits_are_set_on_nodes_that_run_and_on_those_that_start() {
    let service = start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let most = |instance: &Instance| {
        let info = instance.run::<String>(&["INFO", "clients"]).expect("INFO");
        let line = info.lines().find_map(|line| line.strip_prefix("maxclients:")).expect("maxclients");
        line.trim().parse::<i64>().expect("a number")
    };
    let mut open = instance.connect().expect("connect");
    let params = json!({ "InstanceId": instance.id, "ClientLimit": 12000, "Bandwidth": 100 });
    change(&mut client, "ModifyConnectionConfig", params);
    assert!(most(&instance) > 12_000);
    assert_eq!(run::<String>(&mut open, &["PING"]).expect("the connection holds"), "PONG");
    let range = client.done("DescribeBandwidthRange", json!({ "InstanceId": instance.id }));
    let shown = row(&mut client, &instance);
    assert_eq!(
        (&range["AddBandwidth"], &shown["NetLimit"], &shown["ClientLimit"]),
        (&json!(100), &json!(100), &json!(12000))
    );
    service.engines()[0].kill();
    wait_for("its engine to be back", || instance.run::<String>(&["PING"]).ok());
    assert!(most(&instance) > 12_000, "a node that starts takes the limit too");
}

#[test]
fn no_more_passes_than_the_bandwidth_that_was_set() {
    let service = start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    instance.run::<()>(&["SETRANGE", "large", &(4 << 20).to_string(), "x"]).expect("SETRANGE");
    let mut open = instance.connect().expect("connect");
    let mut takes = || {
        let start = Instant::now();
        let large: Vec<u8> = run(&mut open, &["GET", "large"]).expect("the connection holds");
        assert_eq!(large.len(), (4 << 20) + 1);
        start.elapsed()
    };
    let unlimited = takes();
    change(&mut client, "ModifyConnectionConfig", json!({ "InstanceId": instance.id, "Bandwidth": 2 }));
    let limited = takes();
    assert!(limited > Duration::from_secs(1) && limited > unlimited, "4 MiB at 2 MB/s took {limited:?}");
    change(&mut client, "ModifyConnectionConfig", json!({ "InstanceId": instance.id, "Bandwidth": 0 }));
    assert!(takes() < limited);
}

/// As the tests of the provider for Terraform do it.
#[test]
fn networks_are_made_used_and_deleted_by_the_public_client() {
    let service = start();
    let mut client = Client::python(&service);
    let mut vpc = |action: &str, params: Value| client.call_product("vpc", "2017-03-12", action, params);
    let made = json!({ "VpcName": "mine", "CidrBlock": "127.88.16.0/20", "EnableMulticast": "true" });
    let network = vpc("CreateVpc", made).expect("CreateVpc")["Vpc"]["VpcId"].clone();
    let part =
        json!({ "VpcId": network, "SubnetName": "part", "CidrBlock": "127.88.17.0/24", "Zone": "ap-guangzhou-3" });
    let subnet = vpc("CreateSubnet", part).expect("CreateSubnet")["Subnet"]["SubnetId"].clone();
    let filters = json!([{ "Name": "vpc-id", "Values": [network] }]);
    let page = json!({ "Filters": filters, "Offset": "0", "Limit": "100" });
    for (action, set) in
        [("DescribeVpcs", "VpcSet"), ("DescribeSubnets", "SubnetSet"), ("DescribeRouteTables", "RouteTableSet")]
    {
        let answer = vpc(action, page.clone()).expect(action);
        assert_eq!((&answer["TotalCount"], &answer[set][0]["VpcId"]), (&json!(1), &network), "{action}");
    }
    let instance = Instance::create_with(&mut client, json!({ "VpcId": network, "SubnetId": subnet }));
    assert!(instance.host.starts_with("127.88.17."), "{instance:?}");
    let deleted = client.call_product("vpc", "2017-03-12", "DeleteSubnet", json!({ "SubnetId": subnet }));
    assert_eq!(deleted.expect_err("it is in use").code, "ResourceInUse");
    let default = client.call_product(
        "vpc",
        "2017-03-12",
        "DescribeSubnets",
        json!({ "Filters": [{ "Name": "is-default", "Values": ["true"] }, { "Name": "zone", "Values": ["ap-guangzhou-3"] }] }),
    );
    let default = default.expect("DescribeSubnets")["SubnetSet"][0].clone();
    let params = json!({
        "InstanceId": instance.id, "Operation": "changeVpc", "VpcId": default["VpcId"], "SubnetId": default["SubnetId"],
    });
    change(&mut client, "ModifyNetworkConfig", params);
    let moved = Instance::of_row(&row(&mut client, &instance), &instance.password);
    assert_eq!(moved.run::<String>(&["PING"]).expect("PING"), "PONG");
    for (action, params) in
        [("DeleteSubnet", json!({ "SubnetId": subnet })), ("DeleteVpc", json!({ "VpcId": network }))]
    {
        client.call_product("vpc", "2017-03-12", action, params).expect(action);
    }
}
