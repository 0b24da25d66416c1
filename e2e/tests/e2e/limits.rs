//! What the service grants: requests a second, and memory.

use e2e::{Client, Instance, Service};
use serde_json::{Value, json};

fn refused_of_thirty(client: &mut Client, action: &str) -> Vec<e2e::Refusal> {
    (0..30).filter_map(|_| client.call(action, json!({})).err()).collect()
}

#[test]
fn thirty_requests_in_a_second_are_too_many_but_not_of_the_task_list() {
    let service = Service::start_with(&[("OPENCRS_RATE_LIMITS", "")]);
    let mut client = Client::node(&service);
    let refusals = refused_of_thirty(&mut client, "DescribeInstances");
    assert!(!refusals.is_empty());
    for refusal in &refusals {
        assert_eq!(refusal.code, "RequestLimitExceeded");
        assert!(refusal.message.contains("`20`"), "{refusal:?}");
    }
    assert!(refused_of_thirty(&mut client, "DescribeTaskList").is_empty());
}

#[test]
fn no_more_memory_is_promised_than_the_host_has() {
    let service = Service::start_with(&[("OPENCRS_HOST_MEMORY", "3GiB")]);
    let mut client = Client::python(&service);
    let first = Instance::create(&mut client);
    let more: Value = json!({
        "TypeId": 17, "MemSize": 4096, "GoodsNum": 1, "Period": 1, "BillingMode": 0, "ZoneId": 100_003, "Password": "Correct-horse-1",
    });
    assert_eq!(client.refused("CreateInstances", more).code, "ResourceInsufficient");
    assert_eq!(first.run::<String>(&["PING"]).expect("PING"), "PONG");
}
