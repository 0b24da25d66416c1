//! What is refused, as each client's own kind of error with its code and request id.

use e2e::{Client, Refusal, Service, Settings};
use serde_json::{Value, json};

fn check(client: &mut Client, action: &str, params: Value, code: &str) -> Refusal {
    let refusal = client.refused(action, params.clone());
    assert_eq!(refusal.code, code, "{action} {params}: {refusal:?}");
    let id = refusal.request_id.as_deref().unwrap_or_default();
    assert_eq!(id.len(), 36, "{action} {params}: {refusal:?}");
    refusal
}

fn check_with(client: &mut Client, change: impl FnOnce(&mut Settings), code: &str) {
    let settings = client.settings.clone();
    change(&mut client.settings);
    check(client, "DescribeInstances", json!({}), code);
    client.settings = settings;
}

/// What every client can send, whatever it checks by itself.
fn check_common_refusals(client: &mut Client) {
    check_with(client, |settings| settings.secret_key += "x", "AuthFailure.SignatureFailure");
    check_with(client, |settings| settings.secret_id += "x", "AuthFailure.SecretIdNotFound");
    check_with(client, |settings| settings.clock_skew = -400, "AuthFailure.SignatureExpire");
    check_with(client, |settings| settings.clock_skew = 400, "AuthFailure.SignatureExpire");
    let absent = "crs-absent00";
    check(
        client,
        "ResetPassword",
        json!({ "InstanceId": absent, "Password": "Correct-horse-1" }),
        "ResourceNotFound.InstanceNotExists",
    );
    check(client, "DescribeTaskList", json!({ "Limit": 0 }), "InvalidParameterValue");
    // tccli itself asks for what is required, but not within objects.
    let nested = json!({ "InstanceTags": [{ "TagKey": "team", "TagValue": "a" }, { "TagKey": "team" }] });
    let missing = check(client, "DescribeInstances", nested, "MissingParameter");
    assert!(missing.message.contains("`InstanceTags.1.TagValue`"), "{missing:?}");
    let unbuilt = check(client, "ManualBackupInstance", json!({ "InstanceId": absent }), "UnsupportedOperation");
    assert!(unbuilt.message.contains("ManualBackupInstance"), "{unbuilt:?}");
}

/// What a client sends that leaves all checks to the service.
fn check_malformed_requests(client: &mut Client) {
    let mut check = |action, params, code, words: &[&str]| {
        let refusal = check(client, action, params, code);
        assert!(words.iter().all(|word| refusal.message.contains(word)), "{words:?} in {refusal:?}");
    };
    check("DescribeTaskInfo", json!({}), "MissingParameter", &["TaskId"]);
    check("ResetPassword", json!({ "Password": "Correct-horse-1" }), "MissingParameter", &["InstanceId"]);
    check("DescribeEverything", json!({}), "InvalidAction", &["DescribeEverything"]);
    check("DescribeInstances", json!({ "Colour": "red" }), "UnknownParameter", &["Colour"]);
    check("DescribeInstances", json!({ "Limit": "5" }), "InvalidParameter", &["Limit", "uint64"]);
    check("DescribeInstances", json!({ "Status": [2, "x"] }), "InvalidParameter", &["Status.1", "int64"]);
    let tags = json!([{ "TagKey": "a", "TagValue": "b" }, { "TagKey": 1, "TagValue": "b" }]);
    check(
        "DescribeInstances",
        json!({ "InstanceTags": tags }),
        "InvalidParameter",
        &["InstanceTags.1.TagKey", "string"],
    );
}

#[test]
fn python_raises_what_is_refused() {
    let service = Service::start();
    let mut client = Client::python(&service);
    check_common_refusals(&mut client);
    client.settings.untyped = true;
    check_malformed_requests(&mut client);
    let version = client.call_product("redis", "2017-01-01", "DescribeInstances", json!({}));
    assert_eq!(version.expect_err("no such version").code, "NoSuchVersion");
}

#[test]
fn node_throws_what_is_refused() {
    let service = Service::start();
    let mut client = Client::node(&service);
    check_common_refusals(&mut client);
    check_malformed_requests(&mut client);
}

#[test]
fn tccli_prints_what_is_refused() {
    let service = Service::start();
    check_common_refusals(&mut Client::tccli(&service));
}

#[test]
fn a_refusal_is_in_the_language_that_the_client_asks_for() {
    let service = Service::start();
    let mut client = Client::python(&service);
    for (language, is_ascii) in [("en-US", true), ("zh-CN", false)] {
        client.settings.language = language.to_owned();
        let refusal = check(&mut client, "DescribeTaskInfo", json!({}), "MissingParameter");
        assert_eq!(refusal.message.is_ascii(), is_ascii, "{language}: {refusal:?}");
        assert!(refusal.message.contains("`TaskId`"), "{refusal:?}");
    }
}
