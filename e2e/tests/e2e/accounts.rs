//! Accounts and passwords as a customer has them: each change is held against what Redis itself does, on every node, and
//! made while others write.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{Client, Connection, Instance, Service, Writers, pause, wait_for, wait_for_task};
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisResult};
use serde_json::{Value, json};
use std::time::Duration;

const PASSWORD: &str = "Correct-horse-1";
const NEW_PASSWORD: &str = "Staple-horse-2";

fn start() -> Service {
    let more_engines = std::env::var("OPENCRS_E2E_ENGINES").unwrap_or_default();
    Service::start_with(&[("OPENCRS_BUSY_MILLIS", "0"), ("OPENCRS_ENGINES", &more_engines)])
}

/// Signs in as a user, by `AUTH name password`.
fn sign_in(host: &str, port: u16, user: &str, password: &str) -> RedisResult<Connection> {
    let sign_in = RedisConnectionInfo::default().set_username(user).set_password(password);
    let info = ConnectionAddr::Tcp(host.to_owned(), port).into_connection_info()?.set_redis_settings(sign_in);
    let connection = redis::Client::open(info)?.get_connection_with_timeout(Duration::from_secs(5))?;
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(connection)
}

fn as_user(instance: &Instance, user: &str, password: &str) -> RedisResult<Connection> {
    sign_in(&instance.host, instance.port, user, password)
}

fn say(connection: &mut Connection, command: &[&str]) -> RedisResult<redis::Value> {
    e2e::run(connection, command)
}

/// Runs an action on an instance to the end of its task, which has to succeed.
fn done(client: &mut Client, instance: &Instance, action: &str, mut params: Value) -> Value {
    params["InstanceId"] = json!(instance.id);
    let answer = client.done(action, params);
    let task = wait_for_task(client, &answer);
    assert_eq!(task["Status"], "succeed", "{action}: {task}");
    answer["TaskId"].clone()
}

fn account(name: &str, privilege: &str) -> Value {
    json!({
        "AccountName": name, "AccountPassword": PASSWORD, "Privilege": privilege, "ReadonlyPolicy": ["master"],
    })
}

/// The status of each account.
fn accounts(client: &mut Client, instance: &Instance) -> BTreeMap<String, i64> {
    let params = json!({ "InstanceId": instance.id, "Limit": 50, "Offset": 0 });
    let answer = client.done("DescribeInstanceAccount", params);
    let accounts = answer["Accounts"].as_array().expect("a list");
    let read =
        |it: &Value| (it["AccountName"].as_str().expect("a name").to_owned(), it["Status"].as_i64().expect("one"));
    accounts.iter().map(read).collect()
}

/// Where the replicas listen, as their primary says.
fn replicas(instance: &Instance) -> Vec<(String, u16)> {
    let info = instance.run::<String>(&["INFO", "replication"]).expect("INFO");
    let read = |line: &str| {
        let (name, fields) = line.split_once(':')?;
        name.strip_prefix("slave")?.parse::<u32>().ok()?;
        let field = |name: &str| fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        Some((field("ip")?.to_owned(), field("port")?.parse().ok()?))
    };
    info.lines().filter_map(read).collect()
}

/// How many nodes take the user with the password: all or none.
fn check_every_node(instance: &Instance, user: &str, password: &str, nodes: usize, wanted: bool) {
    assert_eq!(as_user(instance, user, password).is_ok(), wanted, "{user} at the primary");
    let replicas = replicas(instance);
    assert_eq!(replicas.len(), nodes - 1);
    for (host, port) in replicas {
        assert_eq!(sign_in(&host, port, user, password).is_ok(), wanted, "{user} at {port}");
    }
}

#[test]
fn an_account_signs_in_on_every_node_and_may_what_it_was_given() {
    let service = start();
    let mut client = Client::python(&service);
    let mut seen = BTreeSet::new();
    for type_id in [15, 17, 19, 21] {
        // Not every engine is there; each of those that are has its own idea of what belongs to which kind of command.
        let products = client.done("DescribeProductInfo", json!({}))["RegionSet"][0]["ZoneSet"][0]["ProductSet"].take();
        if !products.as_array().expect("a list").iter().any(|product| product["Type"] == type_id) {
            continue;
        }
        let instance = Instance::create_with(&mut client, json!({ "TypeId": type_id, "RedisReplicasNum": 2 }));
        let row = instance.describe(&mut client).expect("its row");
        if seen.insert(row["CurrentRedisVersion"].to_string()) {
            check_accounts(&mut client, &instance);
        }
    }
}

fn check_accounts(client: &mut Client, instance: &Instance) {
    done(client, instance, "CreateInstanceAccount", account("ann", "rw"));
    done(client, instance, "CreateInstanceAccount", account("bob", "r"));
    let all = accounts(client, instance);
    assert_eq!(all, BTreeMap::from([("ann".into(), 2), ("bob".into(), 2), ("root".into(), 2)]));
    for user in ["ann", "bob"] {
        check_every_node(instance, user, PASSWORD, 3, true);
        check_every_node(instance, user, NEW_PASSWORD, 3, false);
    }
    instance.connect_with(&format!("ann@{PASSWORD}")).expect("her name and her password in one");
    let mut ann = as_user(instance, "ann", PASSWORD).expect("ann");
    let mut bob = as_user(instance, "bob", PASSWORD).expect("bob");
    say(&mut ann, &["SET", "key", "1"]).expect("ann writes");
    say(&mut bob, &["GET", "key"]).expect("bob reads");
    say(&mut bob, &["INFO"]).expect("bob looks around");
    say(&mut bob, &["PING"]).expect("bob is there");
    for command in [&["SET", "key", "2"][..], &["DEL", "key"], &["FLUSHALL"], &["CLIENT", "PAUSE", "1000"]] {
        say(&mut bob, command).expect_err("bob only reads");
    }
    for command in [&["CONFIG", "GET", "*"][..], &["ACL", "LIST"], &["SHUTDOWN"], &["REPLICAOF", "NO", "ONE"]] {
        say(&mut ann, command).expect_err("ann is no administrator");
        say(&mut bob, command).expect_err("bob is no administrator");
    }

    // What is taken away is taken from connections that are open.
    done(client, instance, "ModifyInstanceAccount", json!({ "AccountName": "ann", "Privilege": "r" }));
    say(&mut ann, &["SET", "key", "3"]).expect_err("ann only reads now");
    say(&mut ann, &["GET", "key"]).expect("she is still connected");
    let password = json!({ "AccountName": "ann", "AccountPassword": NEW_PASSWORD, "Privilege": "rw" });
    done(client, instance, "ModifyInstanceAccount", password);
    say(&mut ann, &["SET", "key", "4"]).expect("and writes again, signed in as before");
    check_every_node(instance, "ann", NEW_PASSWORD, 3, true);
    check_every_node(instance, "ann", PASSWORD, 3, false);

    done(client, instance, "ModifyInstanceReadOnly", json!({ "InputMode": "1" }));
    say(&mut ann, &["SET", "key", "5"]).expect_err("nobody writes to a read-only instance");
    done(client, instance, "ModifyInstanceReadOnly", json!({ "InputMode": "0" }));

    done(client, instance, "DeleteInstanceAccount", json!({ "AccountName": "ann" }));
    say(&mut ann, &["PING"]).expect_err("her connection has ended");
    assert!(instance.connect_with(&format!("ann@{NEW_PASSWORD}")).is_err());
    check_every_node(instance, "ann", NEW_PASSWORD, 3, false);
    say(&mut bob, &["GET", "key"]).expect("bob stays");
    let all = accounts(client, instance);
    assert_eq!(all, BTreeMap::from([("bob".into(), 2), ("root".into(), 2)]));
}

#[test]
fn nodes_that_come_later_have_the_accounts_and_so_have_those_that_come_back() {
    let mut service = start();
    let mut client = Client::python(&service);
    let instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    done(&mut client, &instance, "CreateInstanceAccount", account("ann", "rw"));
    client.done("UpgradeInstance", json!({ "InstanceId": instance.id, "MemSize": 1024, "RedisReplicasNum": 2 }));
    wait_for("the third node", || {
        let row = instance.describe(&mut client)?;
        (row["Status"] == 2 && row["RedisReplicasNum"] == 2).then_some(())
    });
    check_every_node(&instance, "ann", PASSWORD, 3, true);
    let mut ann = as_user(&instance, "ann", PASSWORD).expect("ann");
    let groups = client.done("DescribeInstanceZoneInfo", json!({ "InstanceId": instance.id }));
    let groups = groups["ReplicaGroups"].as_array().expect("a list");
    let replica = groups.iter().rfind(|group| group["Role"] == "replica").expect("a replica");
    done(&mut client, &instance, "ChangeReplicaToMaster", json!({ "GroupId": replica["GroupId"] }));
    say(&mut ann, &["PING"]).err();
    let mut ann = as_user(&instance, "ann", PASSWORD).expect("ann, at the new primary");
    say(&mut ann, &["SET", "key", "1"]).expect("SET");

    // Everything dies, and is there again.
    service.cut_power();
    service.resume();
    wait_for("the instance to be there again", || as_user(&instance, "ann", PASSWORD).ok());
    wait_for("its replicas", || (replicas(&instance).len() == 2).then_some(()));
    check_every_node(&instance, "ann", PASSWORD, 3, true);
}

fn steps(client: &mut Client, task: &Value) -> Value {
    let answer = client.call_product("opencrs", "2026-11-24", "DescribeTaskSteps", json!({ "TaskId": task }));
    answer.expect("a task")
}

fn rotate(client: &mut Client, instance: &Instance, password: &str) -> Value {
    let params = json!({ "InstanceId": instance.id, "Password": password, "OverlapSeconds": 600 });
    let answer = client.call_product("opencrs", "2026-11-24", "RotatePassword", params).expect("accepted");
    let task = answer["TaskId"].clone();
    wait_for("both passwords to work", || {
        let shown = steps(client, &task);
        assert_ne!(shown["Result"], 4, "{shown}");
        (shown["Step"] == "await_overlap" && shown["WaitsFor"] != "").then_some(())
    });
    task
}

/// How many connections DescribeTaskSteps shows on the old password.
fn on_old_password(client: &mut Client, task: &Value) -> u64 {
    let shown = steps(client, task);
    let text = shown["WaitsFor"].as_str().expect("text").to_owned();
    let count = text.rsplit_once("old one: ").and_then(|(_, count)| count.parse().ok());
    count.unwrap_or_else(|| panic!("no count in {text:?}"))
}

fn finish(client: &mut Client, instance: &Instance, task: &Value) {
    let answer = client.call_product("opencrs", "2026-11-24", "FinishRotation", json!({ "InstanceId": instance.id }));
    let answer = answer.expect("accepted");
    assert_eq!(&answer["TaskId"], task);
    let ended = wait_for_task(client, &answer);
    assert_eq!(ended["Status"], "succeed", "{ended}");
}

#[test]
fn a_password_rotates_while_its_old_connections_stay_and_are_counted() {
    let service = start();
    let mut client = Client::python(&service);
    client.settings.untyped = true;
    let mut instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    let mut old: Vec<Connection> = (0..3).map(|_| instance.connect().expect("the old password")).collect();
    let task = rotate(&mut client, &instance, NEW_PASSWORD);
    assert_eq!(instance.describe(&mut client).expect("its row")["Status"], 2);
    for password in [PASSWORD, NEW_PASSWORD] {
        check_every_node(&instance, "default", password, 2, true);
    }
    wait_for("the old connections to be counted", || (on_old_password(&mut client, &task) == 3).then_some(()));
    let mut later = instance.connect_with(PASSWORD).expect("the old one works");
    let mut new = instance.connect_with(NEW_PASSWORD).expect("the new one works");
    assert_eq!(on_old_password(&mut client, &task), 4);
    say(&mut old[0], &["AUTH", NEW_PASSWORD]).expect("one changes over");
    assert_eq!(on_old_password(&mut client, &task), 3);
    drop(old.pop());
    wait_for("one to be gone", || (on_old_password(&mut client, &task) == 2).then_some(()));

    // It waits, whatever becomes of the server.
    let refused = client.refused("ResetPassword", json!({ "InstanceId": instance.id, "Password": "Another-horse-3" }));
    assert_eq!(refused.code, "ResourceUnavailable.InstanceLockedError");
    finish(&mut client, &instance, &task);
    instance.password = NEW_PASSWORD.into();
    check_every_node(&instance, "default", PASSWORD, 2, false);
    check_every_node(&instance, "default", NEW_PASSWORD, 2, true);
    for connection in old.iter_mut().chain([&mut later, &mut new]) {
        say(connection, &["SET", "key", "1"]).expect("it is still signed in");
    }

    let task = rotate(&mut client, &instance, PASSWORD);
    let mut early = instance.connect_with(PASSWORD).expect("both work");
    client.call_product("opencrs", "2026-11-24", "CancelTask", json!({ "TaskId": task })).expect("it waits");
    let undone = wait_for_task(&mut client, &json!({ "TaskId": task }));
    assert!(undone["TaskMessage"].as_str().is_some_and(|text| text.contains("cancelled")), "{undone}");
    check_every_node(&instance, "default", PASSWORD, 2, false);
    check_every_node(&instance, "default", NEW_PASSWORD, 2, true);
    say(&mut early, &["PING"]).expect("who has changed over stays");
}

#[test]
fn an_overlap_ends_by_itself_though_the_server_was_killed_meanwhile() {
    let mut service = start();
    let mut client = Client::python(&service);
    client.settings.untyped = true;
    let instance = Instance::create(&mut client);
    let params = json!({ "InstanceId": instance.id, "Password": NEW_PASSWORD, "OverlapSeconds": 2 });
    let answer = client.call_product("opencrs", "2026-11-24", "RotatePassword", params).expect("accepted");
    let mut old = wait_for("the new password", || {
        instance.connect_with(NEW_PASSWORD).ok()?;
        instance.connect_with(PASSWORD).ok()
    });
    service.kill();
    service.resume();
    let ended = wait_for_task(&mut client, &answer);
    assert_eq!(ended["Status"], "succeed", "{ended}");
    assert!(instance.connect_with(PASSWORD).is_err());
    instance.connect_with(NEW_PASSWORD).expect("the new password");
    say(&mut old, &["PING"]).expect("it is still signed in");
}

#[test]
fn accounts_and_passwords_change_without_a_writer_noticing() {
    let service = start();
    let mut client = Client::python(&service);
    client.settings.untyped = true;
    let instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 2 }));
    let writers = Writers::start(&instance);
    pause(Duration::from_millis(200));
    done(&mut client, &instance, "CreateInstanceAccount", account("ann", "rw"));
    let mut ann = as_user(&instance, "ann", PASSWORD).expect("ann");
    for (action, params) in [
        ("CreateInstanceAccount", account("bob", "r")),
        ("ModifyInstanceAccount", json!({ "AccountName": "bob", "Privilege": "rw", "AccountPassword": NEW_PASSWORD })),
        ("ModifyInstanceAccount", json!({ "AccountName": "root", "Remark": "ours", "AccountPassword": NEW_PASSWORD })),
        ("ModifyInstanceAccount", json!({ "AccountName": "root", "NoAuth": true })),
        ("ModifyInstanceAccount", json!({ "AccountName": "root", "NoAuth": false })),
        ("DeleteInstanceAccount", json!({ "AccountName": "bob" })),
    ] {
        done(&mut client, &instance, action, params);
        say(&mut ann, &["INCR", "ann"]).unwrap_or_else(|error| panic!("after {action}: {error}"));
    }
    // To the password that the writers have, and back and forth once more.
    let mut now = Instance { password: NEW_PASSWORD.into(), ..instance.clone() };
    for password in [PASSWORD, NEW_PASSWORD, PASSWORD] {
        let task = rotate(&mut client, &now, password);
        now.connect_with(password).expect("the new one works");
        finish(&mut client, &now, &task);
        now.password = password.into();
        say(&mut ann, &["INCR", "ann"]).expect("ann stays");
    }
    pause(Duration::from_millis(200));
    let account = writers.finish().expect("read back");
    assert!(account.acknowledged > 0 && account.errors.is_empty(), "writers noticed: {account:?}");
    assert_eq!((account.missing, account.repeated), (0, 0), "{account:?}");
}
