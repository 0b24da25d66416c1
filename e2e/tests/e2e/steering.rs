//! Tasks that are looked into, steered, watched and disturbed, by the common clients of the public SDKs.

use e2e::{Client, Instance, Refusal, Service, Stream, wait_for, wait_for_task};
use serde_json::{Value, json};

const VERSION: &str = "2026-11-24";

fn python(service: &Service) -> Client {
    let mut client = Client::python(service);
    client.settings.untyped = true;
    client
}

fn ask(client: &mut Client, action: &str, params: Value) -> Result<Value, Refusal> {
    client.call_product("opencrs", VERSION, action, params)
}

fn done(client: &mut Client, action: &str, params: Value) -> Value {
    ask(client, action, params).unwrap_or_else(|refusal| panic!("{action} was refused: {refusal:?}"))
}

fn set_fault(client: &mut Client, flow: &str, step: &str, fault: &str) {
    done(client, "SetFault", json!({ "Flow": flow, "Step": step, "Fault": fault }));
}

fn order(client: &mut Client) -> String {
    let order = json!({
        "TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0, "RedisReplicasNum": 1,
        "Password": "Correct-horse-1",
    });
    client.done("CreateInstances", order)["InstanceIds"][0].as_str().expect("an id").to_owned()
}

fn task_of(client: &mut Client, instance: &str) -> Value {
    client.done("DescribeTaskList", json!({ "InstanceId": instance, "Limit": 1 }))["Tasks"][0]["TaskId"].clone()
}

fn wait_for_steps(client: &mut Client, task: &Value, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    wait_for(what, || Some(done(client, "DescribeTaskSteps", json!({ "TaskId": task }))).filter(|steps| fits(steps)))
}

fn is_held(steps: &Value) -> bool {
    steps["WaitsFor"].as_str().is_some_and(|text| text.contains("held"))
}

fn statuses(steps: &Value) -> Vec<&str> {
    steps["Steps"].as_array().expect("a list").iter().map(|step| step["Status"].as_str().expect("a word")).collect()
}

#[test]
fn a_creation_is_held_at_a_step_looked_into_and_cancelled_without_a_trace() {
    let service = Service::start_dev();
    let mut client = python(&service);
    set_fault(&mut client, "create-instance", "open_address", "hold");
    let id = order(&mut client);
    let task = task_of(&mut client, &id);
    let held = wait_for_steps(&mut client, &task, "the task to be held", is_held);
    assert_eq!(statuses(&held), ["done", "done", "waiting"]);
    assert_eq!((&held["Step"], &held["CanCancel"], &held["Result"]), (&json!("open_address"), &json!(true), &json!(1)));
    assert_eq!(service.engines().len(), 2);

    done(&mut client, "CancelTask", json!({ "TaskId": task }));
    let undone = wait_for_steps(&mut client, &task, "the task to be undone", |steps| steps["Result"] == 4);
    assert_eq!(statuses(&undone), ["undone", "undone", "undone"]);
    assert!(undone["Message"].as_str().is_some_and(|text| text.contains("cancelled")), "{undone}");
    assert_eq!(client.done("DescribeInstances", json!({}))["TotalCount"], 0);
    assert_eq!(service.engines(), []);
    let again = ask(&mut client, "CancelTask", json!({ "TaskId": task })).expect_err("it has ended");
    assert_eq!(again.code, "UnsupportedOperation");
    let gone = ask(&mut client, "RetryTask", json!({ "TaskId": task })).expect_err("its instance is gone");
    assert_eq!(gone.code, "ResourceUnavailable.InstanceDeleted");
}

#[test]
fn a_held_step_goes_on_at_once_when_it_is_let_go() {
    let service = Service::start_dev();
    let mut client = python(&service);
    set_fault(&mut client, "create-instance", "attach_replicas", "hold");
    let id = order(&mut client);
    let task = task_of(&mut client, &id);
    wait_for_steps(&mut client, &task, "the task to be held", is_held);
    set_fault(&mut client, "create-instance", "attach_replicas", "none");
    let ended = wait_for_steps(&mut client, &task, "the task to end", |steps| steps["EndTime"] != "");
    assert_eq!(statuses(&ended), ["done", "done", "done"]);
}

#[test]
fn a_change_that_failed_is_tried_again_and_done() {
    let service = Service::start_dev();
    let mut client = python(&service);
    let mut instance = Instance::create(&mut client);
    set_fault(&mut client, "set-access", "apply_users", "fail");
    let reset = client.done("ResetPassword", json!({ "InstanceId": instance.id, "Password": "Another-horse-2" }));
    assert_eq!(wait_for_task(&mut client, &reset)["Status"], "failed");
    assert_eq!(instance.run::<String>(&["PING"]).expect("the old password still opens"), "PONG");

    let task = reset["TaskId"].clone();
    assert_eq!(done(&mut client, "RetryTask", json!({ "TaskId": task }))["Attempt"], 2);
    let ended = wait_for_steps(&mut client, &task, "the task to end", |steps| steps["EndTime"] != "");
    assert_eq!((&ended["Result"], &ended["Attempt"], &ended["Message"]), (&json!(2), &json!(2), &json!("")));
    let history = ended["History"].as_array().expect("a list");
    assert!(history.iter().all(|row| row["Attempt"] == 1 && row["Name"] == "apply_users"), "{ended}");
    instance.password = "Another-horse-2".to_owned();
    assert_eq!(instance.run::<String>(&["PING"]).expect("the new password opens"), "PONG");
}

/// The steps that a task passes, as a watch tells them.
fn watch_a_life(client: &mut Client, stream: &Stream, id: &str) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let (name, event) = client.next_event(stream).expect("the watch goes on");
        assert_eq!((&event["InstanceId"], &event["TaskType"]), (&json!(id), &json!("001")), "{event}");
        match name.as_str() {
            "step" => told.push(event["Passed"]["Name"].as_str().expect("a step").to_owned()),
            "progress" => {}
            _ => told.push(name.clone()),
        }
        if name == "end" {
            assert_eq!((&event["Result"], &event["Progress"].as_f64()), (&json!(2), &Some(1.0)), "{event}");
            return told;
        }
    }
}

#[test]
fn the_whole_life_of_a_task_is_watched_by_python_and_node() {
    let service = Service::start_dev();
    let mut client = python(&service);
    for mut watcher in [python(&service), Client::node(&service)] {
        let stream = watcher.watch("opencrs", VERSION, "WatchTasks", json!({})).expect("a stream");
        let id = order(&mut client);
        let told = watch_a_life(&mut watcher, &stream, &id);
        assert_eq!(told, ["accepted", "start_nodes", "attach_replicas", "open_address", "end"]);
        let refused = watcher.watch("opencrs", VERSION, "WatchTasks", json!({ "TaskIds": [99] }));
        assert_eq!(refused.expect_err("there is no such task").code, "InvalidParameter.InvalidParameter");
    }
}

#[test]
fn a_server_that_is_told_to_end_ends_its_watches_and_does_not_wait_for_them() {
    let mut service = Service::start();
    let mut watcher = python(&service);
    let stream = watcher.watch("opencrs", VERSION, "WatchTasks", json!({})).expect("a stream");
    let begun = std::time::Instant::now();
    service.terminate();
    // Those that are still answering have ten seconds.
    assert!(begun.elapsed().as_secs() < 8, "it took {:?}", begun.elapsed());
    assert!(watcher.next_event(&stream).is_none());
    service.resume();
}

#[test]
fn the_clock_of_a_service_for_tests_is_set_forward_and_signatures_go_on() {
    let service = Service::start_dev();
    let mut client = python(&service);
    let instance = Instance::create(&mut client);
    let destroy = client.done("DestroyPostpaidInstance", json!({ "InstanceId": instance.id }));
    assert_eq!(wait_for_task(&mut client, &destroy)["Status"], "succeed");
    done(&mut client, "AdvanceClock", json!({ "Seconds": 3 * 3600 }));
    wait_for("the recycle bin to be emptied", || instance.describe(&mut client).is_none().then_some(()));
    let listed = client.done("DescribeTaskList", json!({ "InstanceId": instance.id }));
    assert_eq!((&listed["TotalCount"], &listed["Tasks"][0]["TaskType"]), (&json!(3), &json!("006")));
}

#[test]
fn a_service_that_is_not_for_tests_is_not_disturbed() {
    let service = Service::start();
    let mut client = python(&service);
    for (action, params) in [("SetFault", json!({ "Fault": "none" })), ("AdvanceClock", json!({ "Seconds": 5 }))] {
        let refusal = ask(&mut client, action, params).expect_err("it is refused");
        assert_eq!(refusal.code, "UnsupportedOperation");
        assert!(refusal.message.contains("opencrs dev"), "{refusal:?}");
    }
}
