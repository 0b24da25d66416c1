//! Tasks in the terminal, and those that have left the ledger.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::{Client, Instance, Service, wait_for, wait_for_task};
use serde_json::{Value, json};

/// What `opencrs tasks` prints, which has to succeed.
fn print(mut command: Command) -> String {
    let output = command.output().expect("run opencrs tasks");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("what it prints is text")
}

/// The ids of what is printed as lines of JSON.
fn ids(printed: &str) -> Vec<i64> {
    let read = |line: &str| serde_json::from_str::<Value>(line).expect("a line is JSON");
    printed.lines().map(|line| read(line)["TaskId"].as_i64().expect("an id")).collect()
}

/// The files of what has left the ledger of a service for tests, whose data folder is a temporary one.
fn kept(service: &Service) -> Vec<PathBuf> {
    let in_folder =
        |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = in_folder(service.data()).map(|folder| folder.join("vault/tasks"));
    folders.flat_map(in_folder).filter(|file| file.extension().is_some_and(|ending| ending == "ndjson")).collect()
}

#[test]
fn tasks_of_long_ago_leave_the_ledger_and_are_exported_with_the_others() {
    let service = Service::start_dev();
    let mut client = Client::python(&service);
    client.settings.untyped = true;
    let first = Instance::create_with(&mut client, json!({ "InstanceName": "long-ago" }));
    let old = client.done("DescribeTaskList", json!({ "InstanceId": first.id }))["Tasks"][0]["TaskId"].clone();
    let days = |client: &mut Client, days: i64| {
        let advanced =
            client.call_product("opencrs", "2026-11-24", "AdvanceClock", json!({ "Seconds": days * 86_400 }));
        advanced.expect("the clock is set forward");
    };
    days(&mut client, 200);
    let second = Instance::create_with(&mut client, json!({ "InstanceName": "today" }));
    assert_eq!(kept(&service).len(), 0, "nothing is old enough");
    days(&mut client, 201);
    let third = Instance::create_with(&mut client, json!({ "InstanceName": "today" }));

    wait_for("the first task to leave the ledger", || client.call("DescribeTaskInfo", json!({ "TaskId": old })).err());
    let files = kept(&service);
    assert_eq!(files.len(), 1, "{files:?}");
    let line = std::fs::read_to_string(&files[0]).expect("read what has left");
    assert_eq!((ids(&line), line.lines().count()), (vec![old.as_i64().expect("an id")], 1));

    let exported = print(service.tasks(&["export"]));
    assert!(exported.starts_with(&line), "{exported}");
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |instance: &Instance| lines.iter().filter(|task| task["InstanceId"] == json!(instance.id)).count();
    assert_eq!((of(&first), of(&second), of(&third)), (1, 1, 1), "{exported}");
    assert!(ids(&exported).is_sorted_by(|one, next| one < next));
    assert_eq!(print(service.tasks(&["export", "--to", "2020-01-01"])), "");

    let listed = client.done("DescribeTaskList", json!({}));
    assert_eq!((&listed["TotalCount"], &listed["Tasks"][0]["InstanceId"]), (&json!(1), &json!(third.id)));
}

#[test]
fn tasks_are_listed_followed_and_exported_in_the_terminal() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create_with(&mut client, json!({ "InstanceName": "shop" }));
    let reset = client.done("ResetPassword", json!({ "InstanceId": instance.id, "Password": "Another-horse-2" }));
    wait_for_task(&mut client, &reset);

    let data = service.data();
    let printed = print(service.tasks(&["--data", data.to_str().expect("a path"), "--type", "001"]));
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 3, "{printed}");
    assert!(lines[0].contains("TaskId") && lines[2].starts_with("1 of 1 tasks"), "{printed}");
    for word in ["001 ", &instance.id, "shop", " done "] {
        assert!(lines[1].contains(word), "{word} in {printed}");
    }
    assert_eq!(ids(&print(service.tasks(&["--json", "--limit", "1", "--offset", "1"]))), [1]);
    assert_eq!(ids(&print(service.tasks(&["--json", "--result", "failed,waiting"]))), [0; 0]);
    assert_eq!(
        ids(&print(service.tasks(&["--json", "--instance-name", "shop", "--operator", "100000000001"]))),
        [2, 1]
    );
    assert_eq!(ids(&print(service.tasks(&["export"]))), [1, 2]);

    let mut watch = service.tasks(&["--watch", "--instance-id", &instance.id]);
    let mut watching = watch.stdout(Stdio::piped()).spawn().expect("run opencrs tasks");
    let mut lines =
        BufReader::new(watching.stdout.take().expect("it was piped")).lines().map(|line| line.expect("a line"));
    assert!(lines.next().is_some_and(|header| header.contains("TaskId")));
    client.done("ResetPassword", json!({ "InstanceId": instance.id, "Password": "Third-horse-3" }));
    let end = lines.find(|line| line.contains(" done ")).expect("the end of the task");
    assert!(end.trim_start().starts_with("3 ") && end.contains(&instance.id), "{end}");
    watching.kill().expect("end opencrs tasks");
    watching.wait().expect("the end of opencrs tasks");

    let refused = |arguments: &[&str], word: &str| {
        let output = service.tasks(arguments).output().expect("run opencrs tasks");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(word), "{arguments:?}: {said}");
    };
    refused(&["--endpoint", "http://127.0.0.1:1"], "opencrs serve");
    refused(&["--type", "nonsense"], "TaskTypes");
    refused(&["--watch", "--from", "2026-11-24"], "--instance-id");
    refused(&["--from", "yesterday"], "2026-11-24");
}
