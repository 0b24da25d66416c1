//! Connections by TLS, reads from replicas, and a gateway that is replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::{Client, Instance, Service, Writers, pause, run_opencrs, wait_for, wait_for_task};
use serde_json::{Value, json};

use crate::switches::check_nothing_noticed;

/// The identities of an instance that are on the disk.
fn identities(data: &Path, id: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(data.join("tls")).expect("the folder of certificates");
    let all = files.map(|file| file.expect("a file").path());
    all.filter(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(id))).collect()
}

/// The instance's route in the table that the gateway has in force.
fn route(data: &Path, id: &str) -> Value {
    let text = fs::read_to_string(data.join("gateway/routes.json")).expect("the table in force");
    let table: Value = serde_json::from_str(&text).expect("a table");
    let routes = table["routes"].as_array().expect("routes");
    routes.iter().find(|route| route["instance"] == id).cloned().unwrap_or(Value::Null)
}

fn done(client: &mut Client, action: &str, params: Value) {
    let answer = client.done(action, params);
    let task = wait_for_task(client, &answer);
    assert_eq!(task["Status"], "succeed", "{action}: {task}");
}

#[test]
fn an_instance_gets_a_certificate_that_follows_its_addresses_and_goes_with_tls() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let (data, id) = (service.data(), json!({ "InstanceId": instance.id }));
    let authority = wait_for("the authority", || fs::read_to_string(data.join("tls/ca.pem")).ok());
    assert_eq!(run_opencrs(&["ca", "--data", data.to_str().expect("a path")]).trim(), authority.trim());

    done(&mut client, "OpenSSL", id.clone());
    let status = client.done("DescribeSSLStatus", id.clone());
    assert_eq!(
        (&status["SSLConfig"], &status["Status"], &status["EncryptAddress"]),
        (&json!(true), &json!(2), &json!(instance.host))
    );
    assert!(status["CertDownloadUrl"].as_str().is_some_and(|url| url.starts_with("data:")), "{status}");
    let first = identities(&data, &instance.id);
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(fs::metadata(&first[0]).expect("a file").permissions().mode() & 0o777, 0o600);
    let named = route(&data, &instance.id)["tls"]["identity"].clone();
    assert_eq!(named.as_str().map(|name| data.join(name)), Some(first[0].clone()));
    let refused = client.refused("ResetPassword", json!({ "InstanceId": instance.id, "NoAuth": true }));
    assert_eq!(refused.code, "InvalidParameterValue.PasswordFreeDenied");

    client.done("AllocateWanAddress", id.clone());
    instance.wait_for_status(&mut client, 2);
    let second = wait_for("the former certificate to go", || {
        let all = identities(&data, &instance.id);
        (all.len() == 1 && all != first).then_some(all)
    });
    let text = fs::read_to_string(&second[0]).expect("an identity");
    assert!(text.starts_with("-----BEGIN PRIVATE KEY") && text.trim_end().ends_with(authority.trim()));
    assert!(!service.log().contains("PRIVATE KEY"));

    let by_tls = json!({
        "host": instance.host, "port": instance.port, "password": instance.password,
        "ssl": true, "ssl_ca_certs": data.join("tls/ca.pem"),
    });
    let said = client.redis_py("tls", by_tls.clone(), json!(["SET", "k", "by TLS"]));
    assert_eq!(said.expect("a client by TLS"), true);
    assert_eq!(instance.run::<String>(&["GET", "k"]).expect("a plain client beside it"), "by TLS");

    done(&mut client, "CloseSSL", id.clone());
    client.redis_py("tls", by_tls.clone(), json!(["GET", "k"])).expect("who came by TLS stays");
    client.redis_py("another", by_tls, json!(["GET", "k"])).expect_err("nobody else comes by it");
    assert_eq!(client.done("DescribeSSLStatus", id)["SSLConfig"], false);
    wait_for("the last certificate to go", || identities(&data, &instance.id).is_empty().then_some(()));
    assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
}

#[test]
fn a_replica_answers_reads_as_long_as_it_follows() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    let (data, id) = (service.data(), json!({ "InstanceId": instance.id }));
    let lone = Instance::create(&mut client);
    let refused = client.refused("EnableReplicaReadonly", json!({ "InstanceId": lone.id }));
    assert_eq!(refused.code, "FailedOperation.UnSupportError");

    done(&mut client, "EnableReplicaReadonly", id.clone());
    assert_eq!(instance.describe(&mut client).expect("a row")["SlaveReadWeight"], 100);
    let readers = |route: &Value| route["readers"].as_array().cloned().unwrap_or_default();
    let first = wait_for("the replica to answer", || readers(&route(&data, &instance.id)).pop());
    assert_eq!(route(&data, &instance.id)["logins"]["default_reads_replicas"], true);

    for _ in 0..10 {
        assert_eq!(instance.run::<Option<String>>(&["GET", "k"]).expect("a read"), None);
    }
    let address = first["target"]["addr"].as_str().and_then(|addr| addr.rsplit_once(':')).expect("an address");
    let direct = json!({ "host": address.0, "port": address.1, "password": instance.password });
    let stats = client.redis_py("replica", direct, json!(["INFO", "commandstats"])).expect("its statistics");
    assert_eq!(stats["cmdstat_get"]["calls"], 10, "{stats}");

    // It dies, and comes back in another start.
    let replica = first["target"]["node"].as_str().expect("a node");
    let engines = service.engines();
    let process = engines.iter().find(|process| process.folder.ends_with(replica)).expect("the replica's process");
    process.kill();
    wait_for("the replica to answer again", || {
        let now = readers(&route(&data, &instance.id)).pop()?;
        (now["target"]["epoch"] != first["target"]["epoch"]).then_some(())
    });

    done(&mut client, "DisableReplicaReadonly", id);
    assert_eq!(instance.describe(&mut client).expect("a row")["SlaveReadWeight"], 0);
    assert!(readers(&route(&data, &instance.id)).is_empty());
}

#[test]
fn another_gateway_takes_the_place_of_one_that_is_switched_and_no_customer_notices() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let gateway = |service: &Service| {
        let all = service.processes();
        all.iter().find(|process| process.command.iter().any(|argument| argument == "gateway")).expect("a gateway").pid
    };
    let (before, id) = (gateway(&service), json!({ "InstanceId": instance.id }));
    let row = instance.describe(&mut client).expect("a row");
    assert_eq!(row["CurrentProxyVersion"], row["UpgradeProxyVersion"]);
    let upgrade = json!({
        "InstanceId": instance.id, "CurrentProxyVersion": row["CurrentProxyVersion"],
        "UpgradeProxyVersion": row["UpgradeProxyVersion"], "InstanceTypeUpgradeNow": 1,
    });
    assert_eq!(client.refused("UpgradeProxyVersion", upgrade).code, "InvalidParameterValue.CheckNotPass");
    let proxies = client.done("DescribeInstanceNodeInfo", id.clone())["Proxy"].take();
    let switch = json!({ "InstanceId": instance.id, "ProxyID": proxies[0]["NodeId"] });
    done(&mut client, "OpenSSL", id.clone());
    let by_tls = json!({
        "host": instance.host, "port": instance.port, "password": instance.password,
        "ssl": true, "ssl_ca_certs": service.data().join("tls/ca.pem"),
    });
    client.redis_py("tls", by_tls.clone(), json!(["CLIENT", "SETNAME", "me"])).expect("a client by TLS");
    let writers = Writers::start_many(&instance, 50, Duration::ZERO);
    let mut idle = instance.connect().expect("a connection");
    for _ in 0..3 {
        pause(Duration::from_millis(200));
        done(&mut client, "SwitchProxy", switch.clone());
    }
    pause(Duration::from_millis(200));
    let account = writers.finish().expect("read back");
    check_nothing_noticed(&account);
    assert!(account.acknowledged > 0 && account.repeated == 0, "{account:?}");
    assert_eq!(e2e::run::<String>(&mut idle, &["PING"]).expect("PING"), "PONG");
    let name = client.redis_py("tls", by_tls, json!(["CLIENT", "GETNAME"])).expect("the client by TLS is still there");
    assert_eq!(name, "me");
    let gateways = service.processes();
    let gateways = gateways.iter().filter(|process| process.command.iter().any(|argument| argument == "gateway"));
    assert_eq!(gateways.count(), 1);
    assert_ne!(gateway(&service), before);
    assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
    let unknown = json!({ "InstanceId": instance.id, "ProxyIDList": ["0123"] });
    assert_eq!(client.refused("SwitchProxy", unknown).code, "ResourceNotFound");
}
