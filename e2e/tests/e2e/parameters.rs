//! Parameters through the public SDK: what is set is read back and has its effect on the real engine, on every node, and
//! no write is lost by it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use e2e::{Client, Instance, Service, wait_for, wait_for_task};
use serde_json::{Value, json};

use crate::switches::{can_order, change, check_nothing_lost, check_nothing_noticed, create, note, primary, start};

const LISTS: [&str; 4] = ["InstanceEnumParam", "InstanceIntegerParam", "InstanceTextParam", "InstanceMultiParam"];

/// Parameters as requests list them.
fn list(values: &[(&str, &str)]) -> Value {
    values.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect()
}

fn modification(instance: &Instance, values: &[(&str, &str)]) -> Value {
    json!({ "InstanceId": instance.id, "InstanceParams": list(values) })
}

/// Sets parameters and waits for the task.
fn set(client: &mut Client, instance: &Instance, values: &[(&str, &str)]) {
    let answer = client.done("ModifyInstanceParams", modification(instance, values));
    wait_for_task(client, &answer);
}

/// The row of a parameter, in whichever list it is.
fn row(client: &mut Client, instance: &Instance, name: &str) -> Value {
    let answer = client.done("DescribeInstanceParams", json!({ "InstanceId": instance.id }));
    let mut rows = LISTS.iter().flat_map(|list| answer[list].as_array().expect("a list"));
    rows.find(|row| row["ParamName"] == name).unwrap_or_else(|| panic!("no {name}: {answer}")).clone()
}

fn value(client: &mut Client, instance: &Instance, name: &str) -> String {
    row(client, instance, name)["CurrentValue"].as_str().expect("a text").to_owned()
}

/// A field of what the primary says of itself.
fn info(instance: &Instance, field: &str) -> String {
    let all: String = instance.run(&["INFO"]).expect("INFO");
    let mut lines = all.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| *name == field).unwrap_or_else(|| panic!("no {field} in {all}")).1.trim().to_owned()
}

/// How a hash of so many fields is kept.
fn encoding(instance: &Instance, fields: usize) -> String {
    let mut command = vec!["HSET".to_owned(), format!("hash-{fields}")];
    command.extend((0..fields).flat_map(|field| [format!("f{field}"), "v".to_owned()]));
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    instance.run::<()>(&["DEL", command[1]]).expect("DEL");
    instance.run::<()>(&command).expect("HSET");
    instance.run(&["OBJECT", "ENCODING", command[1]]).expect("OBJECT ENCODING")
}

/// What the primary makes of what was set.
fn check_effect(instance: &Instance) {
    assert_eq!(info(instance, "maxmemory_policy"), "allkeys-lru");
    assert_eq!(info(instance, "configured_hz"), "50");
    assert_eq!(encoding(instance, 11), "hashtable");
    assert_ne!(encoding(instance, 10), "hashtable");
    let refused = instance.run::<Vec<String>>(&["KEYS", "*"]).expect_err("KEYS");
    assert_eq!(refused.code(), Some("NOPERM"), "{refused}");
    let mut connection = instance.connect().expect("connect");
    let mut events = connection.as_pubsub();
    events.psubscribe("__keyevent@0__:*").expect("PSUBSCRIBE");
    instance.run::<()>(&["SET", "noticed", "1"]).expect("SET");
    let event = events.get_message().expect("an event");
    assert_eq!(event.get_payload::<String>().expect("a name"), "noticed");
}

fn promote_another(client: &mut Client, instance: &Instance) {
    let before = primary(client, instance);
    let groups = client.done("DescribeInstanceZoneInfo", json!({ "InstanceId": instance.id }));
    let groups = groups["ReplicaGroups"].as_array().expect("a list");
    let replica = groups.iter().find(|group| group["Role"] == "replica").expect("a replica");
    let request = json!({ "InstanceId": instance.id, "GroupId": replica["GroupId"] });
    let answer = client.done("ChangeReplicaToMaster", request);
    wait_for_task(client, &answer);
    assert_ne!(primary(client, instance), before);
}

/// Every engine that is there, with the effect looked for on each node in turn, and on one that was started anew.
#[test]
fn what_is_set_is_read_back_and_has_its_effect_on_every_node() {
    let service = start();
    let mut client = Client::python(&service);
    let set_so = [
        ("disable-command-list", "keys,script"),
        ("hash-max-ziplist-entries", "10"),
        ("hz", "50"),
        ("lazyfree-lazy-expire", "no"),
        ("maxmemory-policy", "allkeys-lru"),
        ("notify-keyspace-events", "KEA"),
        ("slowlog-log-slower-than", "20"),
    ];
    for type_id in [15, 17, 19, 21] {
        if !can_order(&mut client, type_id) {
            note(&format!("parameters of type {type_id}: no engine is there"));
            continue;
        }
        let instance = create(&mut client, type_id);
        for name in ["disable-command-list", "notify-keyspace-events"] {
            assert_eq!(value(&mut client, &instance, name), "\"\"");
        }
        assert_eq!(value(&mut client, &instance, "timeout"), "31536000");
        set(&mut client, &instance, &set_so);
        for (name, wanted) in set_so {
            let row = row(&mut client, &instance, name);
            assert_eq!((&row["CurrentValue"], &row["Status"]), (&json!(wanted), &json!(2)), "{name}: {row}");
        }
        check_effect(&instance);
        promote_another(&mut client, &instance);
        check_effect(&instance);
        let answer = client.done("DestroyPostpaidInstance", json!({ "InstanceId": instance.id }));
        wait_for_task(&mut client, &answer);
        client.done("StartupInstance", json!({ "InstanceId": instance.id }));
        instance.wait_for_status(&mut client, 2);
        check_effect(&instance);

        set(&mut client, &instance, &[("disable-command-list", "\"\""), ("hz", "10")]);
        assert_eq!(value(&mut client, &instance, "disable-command-list"), "\"\"");
        instance.run::<Vec<String>>(&["KEYS", "*"]).expect("KEYS");
        let records = client.done("DescribeInstanceParamRecords", json!({ "InstanceId": instance.id }));
        assert_eq!(records["TotalCount"], set_so.len() + 2);
        let answer = client.done("DestroyPostpaidInstance", json!({ "InstanceId": instance.id }));
        wait_for_task(&mut client, &answer);
    }
}

#[test]
fn a_connection_that_is_idle_for_longer_than_the_timeout_is_closed() {
    let service = start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    set(&mut client, &instance, &[("timeout", "1"), ("hz", "100")]);
    let mut connection = TcpStream::connect((instance.host.as_str(), instance.port)).expect("connect");
    connection.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    connection.write_all(format!("AUTH {}\r\n", instance.password).as_bytes()).expect("AUTH");
    let mut all = Vec::new();
    match connection.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    assert!(all.starts_with(b"+OK"), "{}", String::from_utf8_lossy(&all));
}

/// How many threads besides the main one an engine has for its clients.
fn io_threads(service: &Service) -> Vec<usize> {
    let mut counts: Vec<usize> = service
        .engines()
        .iter()
        .map(|engine| {
            let folder = format!("/proc/{}/task", engine.pid.as_raw_nonzero());
            let threads = fs::read_dir(folder)
                .expect("its threads")
                .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok());
            threads.filter(|name| name.starts_with("io_thd_")).count()
        })
        .collect();
    counts.sort_unstable();
    counts
}

#[test]
fn parameters_are_changed_under_writers_without_a_lost_write() {
    let service = start();
    let mut client = Client::python(&service);
    for type_id in [15, 17, 19, 21] {
        if !can_order(&mut client, type_id) {
            note(&format!("parameters of type {type_id} under writers: no engine is there"));
            continue;
        }
        let instance = create(&mut client, type_id);
        let live = [("hz", "100"), ("disable-command-list", "flushall,keys"), ("UserPasswordSeparate", ":")];
        let request = json!({ "InstanceParams": list(&live) });
        check_nothing_noticed(&change(&mut client, &instance, "ModifyInstanceParams", request));
        assert_eq!(io_threads(&service), [0; 3]);

        let (before, needs) = (primary(&mut client, &instance), row(&mut client, &instance, "io-threads"));
        let request = json!({ "InstanceParams": list(&[("io-threads", "3"), ("hz", "20")]) });
        let account = change(&mut client, &instance, "ModifyInstanceParams", request);
        check_nothing_lost(&account);
        assert_eq!(needs["NeedRestart"], if type_id == 21 { "false" } else { "true" }, "{needs}");
        assert_eq!(primary(&mut client, &instance) == before, type_id == 21);
        assert_eq!(value(&mut client, &instance, "io-threads"), "3");
        assert_eq!(info(&instance, "configured_hz"), "20");
        wait_for("every node to have its threads", || (io_threads(&service) == [2; 3]).then_some(()));
        let answer = client.done("DestroyPostpaidInstance", json!({ "InstanceId": instance.id }));
        wait_for_task(&mut client, &answer);
    }
}

#[test]
fn a_template_is_made_applied_carried_through_an_upgrade_and_deleted() {
    let service = start();
    let mut client = Client::python(&service);
    if !can_order(&mut client, 15) {
        return note("a template: no Redis 6.2 is there");
    }
    let values = [("hash-max-ziplist-entries", "10"), ("notify-keyspace-events", "Ex")];
    let request =
        json!({ "Name": "for-jobs", "Description": "few fields", "ProductType": 15, "ParamList": list(&values) });
    let template = client.done("CreateParamTemplate", request)["TemplateId"].take();
    let instance =
        Instance::create_with(&mut client, json!({ "TypeId": 15, "RedisReplicasNum": 1, "TemplateId": template }));
    for (name, wanted) in values {
        assert_eq!(value(&mut client, &instance, name), wanted);
    }
    assert_eq!(encoding(&instance, 11), "hashtable");

    let change = json!({ "TemplateId": template, "ParamList": list(&[("hash-max-ziplist-entries", "20")]) });
    client.done("ModifyParamTemplate", change);
    let other = Instance::create_with(&mut client, json!({ "TypeId": 15 }));
    let request = json!({ "TemplateId": template, "InstanceIds": [other.id, instance.id] });
    let answer = client.done("ApplyParamsTemplate", request);
    for (task, of) in answer["TaskIds"].as_array().expect("a list").iter().zip([&other, &instance]) {
        wait_for_task(&mut client, &json!({ "TaskId": task }));
        let info = client.done("DescribeTaskInfo", json!({ "TaskId": task }));
        assert_eq!(info["InstanceId"], json!(of.id));
        assert_eq!(encoding(of, 21), "hashtable");
        assert_ne!(encoding(of, 20), "hashtable");
    }

    let info = client.done("DescribeParamTemplateInfo", json!({ "TemplateId": template }));
    assert_eq!((&info["Name"], &info["ProductType"]), (&json!("for-jobs"), &json!(15)));
    let listed = client.done("DescribeParamTemplates", json!({ "TemplateNames": ["for-jobs"] }));
    assert_eq!(listed["Items"][0]["TemplateId"], template);
    client.done("DeleteParamTemplate", json!({ "TemplateId": template }));
    let gone = client.refused("DescribeParamTemplateInfo", json!({ "TemplateId": template }));
    assert_eq!(gone.code, "InvalidParameterValue");

    let upgrade = json!({ "InstanceId": instance.id, "TargetInstanceType": "17", "SwitchOption": 2 });
    client.done("UpgradeInstanceVersion", upgrade);
    instance.wait_for_status(&mut client, 2);
    assert_eq!(value(&mut client, &instance, "hash-max-ziplist-entries"), "20");
    assert_eq!(encoding(&instance, 21), "hashtable");
    assert_ne!(encoding(&instance, 20), "hashtable");
}

#[test]
fn what_cannot_be_set_is_refused_by_name_and_range() {
    let service = start();
    let mut client = Client::node(&service);
    client.settings.language = "en-US".into();
    let instance = Instance::create(&mut client);
    let refusal = client.refused("ModifyInstanceParams", modification(&instance, &[("hz", "20"), ("timeout", "-1")]));
    assert_eq!(refusal.code, "InvalidParameterValue");
    assert!(refusal.message.contains("InstanceParams.1.Value"), "{refusal:?}");
    assert!(refusal.message.contains("`timeout` is a whole number from 0 to 31536000"), "{refusal:?}");
    assert_eq!(value(&mut client, &instance, "hz"), "10");
}
