//! Addresses and limits: what is refused, and what becomes of an instance's addresses.

use std::time::Duration;

use flow::End;
use flow::harness::NoProbe;
use model::InstanceId;
use serde_json::{Value, json};

use super::site::{PASSWORD, Site, order};
use crate::keepers::addresses::close_due;
use crate::settings::{Settings, VipPool};

const VALUE: &str = "InvalidParameterValue";
const CHECK: &str = "InvalidParameterValue.CheckNotPass";
const LOCKED: &str = "ResourceUnavailable.InstanceLockedError";
const UNSUPPORTED: &str = "FailedOperation.UnSupportError";

/// All that a refusal may not change.
fn state(site: &Site) -> String {
    let state = site.cx.ledger.read(|reader| {
        let tasks = ledger::latest_tasks(reader, 100)?;
        let instances = ledger::all_instances(reader)?;
        let mut addresses = Vec::new();
        for instance in &instances {
            addresses.extend(ledger::addresses_of(reader, &instance.id)?);
        }
        Ok((instances, addresses, tasks))
    });
    format!("{:?}", state.unwrap())
}

async fn refused(site: &Site, action: &str, params: Value, code: &str) -> String {
    let before = state(site);
    let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
    assert_eq!(error.code, code, "{action} {params}: {error}");
    assert!(!error.message.zh.is_empty(), "{action} {params}");
    assert_eq!(state(site), before, "{action} {params}: something was changed");
    error.message.en
}

async fn row(site: &Site, id: &InstanceId) -> Value {
    let answer = site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap();
    answer["InstanceSet"][0].clone()
}

/// Changes the network, and is sure that the instance is busy at once and free in the end.
async fn modify(site: &Site, id: &InstanceId, mut params: Value) -> Value {
    params["InstanceId"] = json!(id.as_str());
    let answer = site.call("ModifyNetworkConfig", params).await.unwrap();
    assert_eq!(row(site, id).await["Status"], 1);
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("after it");
    assert_eq!(answer["Status"], true);
    answer
}

/// The addresses that lead to an instance in the gateway.
fn addresses(site: &Site, id: &InstanceId) -> Vec<String> {
    let table = site.gateway.table.lock().unwrap();
    let of_instance = table.routes.iter().filter(|route| route.instance == *id && route.target.is_some());
    let mut all: Vec<_> = of_instance.map(|route| route.vip.to_string()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn addresses_that_cannot_be_had_are_refused() {
    let site = Site::new();
    let (id, other) = (site.create().await, site.create().await);
    let other_ip = row(&site, &other).await["WanIp"].clone();
    let own_ip = row(&site, &id).await["WanIp"].clone();
    modify(&site, &other, json!({"Operation": "changeVip", "Vip": "127.88.7.7", "Recycle": 1})).await;
    for (changes, code, word) in [
        (json!({"Operation": "levitate"}), VALUE, "changeBaseToVpc"),
        (json!({"Operation": "changeVip", "Vip": "127.87.0.1"}), VALUE, "127.88.0.0/16"),
        (json!({"Operation": "changeVip", "Vip": "127.88.0.0"}), VALUE, "127.88.0.0/16"),
        (json!({"Operation": "changeVip", "Vip": "::1"}), VALUE, "127.88.0.0/16"),
        (json!({"Operation": "changeVip", "Vip": "nowhere"}), VALUE, "IP address"),
        (json!({"Operation": "changeVip", "Vip": "127.88.7.7"}), CHECK, "in use"),
        (json!({"Operation": "changeVip", "Vip": "127.88.7.7", "VPort": 7000}), CHECK, "in use"),
        (json!({"Operation": "changeVip", "Vip": other_ip}), CHECK, "kept"),
        (json!({"Operation": "changeVip", "Vip": own_ip}), CHECK, "already"),
        (json!({"Operation": "changeVip", "VpcId": "vpc-00000000"}), VALUE, "changeVpc"),
        (json!({"Operation": "changeVPort", "VPort": 6379}), CHECK, "already"),
        (json!({"Operation": "changeVPort", "VPort": 1023}), VALUE, "1024 to 65535"),
        (json!({"Operation": "changeVPort", "VPort": 65536}), VALUE, "1024 to 65535"),
        (json!({"Operation": "changeVPort", "VPort": -1}), VALUE, "1024 to 65535"),
        (json!({"Operation": "changeVPort"}), "MissingParameter", "VPort"),
        (json!({"Operation": "changeVip", "Recycle": 4}), VALUE, "0, 1, 2, 3, 7 or 15"),
        (json!({"Operation": "changeVip", "Recycle": -1}), VALUE, "0, 1, 2, 3, 7 or 15"),
        (json!({"Operation": "changeVpc"}), "MissingParameter", "VpcId"),
        (
            json!({"Operation": "changeVpc", "VpcId": "vpc-00000000", "SubnetId": "subnet-00000000"}),
            "InvalidParameterValue.UnVpcIdNotExists",
            "DescribeVpcs",
        ),
        (
            json!({"Operation": "changeBaseToVpc", "VpcId": row(&site, &id).await["UniqVpcId"], "SubnetId": "subnet-00000000"}),
            "InvalidParameterValue.InvalidSubnetId",
            "DescribeSubnets",
        ),
    ] {
        let mut params = changes.clone();
        params["InstanceId"] = json!(id.as_str());
        let said = refused(&site, "ModifyNetworkConfig", params, code).await;
        assert!(said.contains(word), "{changes}: {said}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_busy_or_isolated_has_its_addresses_as_they_are() {
    let site = Site::new();
    let (id, other) = (site.create().await, site.create().await);
    let requests = |id: &str| {
        vec![
            ("ModifyNetworkConfig", json!({"InstanceId": id, "Operation": "changeVip"})),
            ("AllocateWanAddress", json!({"InstanceId": id})),
            ("ReleaseWanAddress", json!({"InstanceId": id})),
            ("SwitchInstanceVip", json!({"SrcInstanceId": id, "DstInstanceId": other.as_str()})),
            ("SwitchInstanceVip", json!({"SrcInstanceId": other.as_str(), "DstInstanceId": id})),
            ("ModifyConnectionConfig", json!({"InstanceId": id, "Bandwidth": 1})),
        ]
    };
    for (action, params) in requests("crs-nowhere1") {
        refused(&site, action, params, "ResourceNotFound.InstanceNotExists").await;
    }
    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await.unwrap();
    for (action, params) in requests(id.as_str()) {
        refused(&site, action, params, LOCKED).await;
    }
    site.settle(&NoProbe).await;
    site.run("DestroyPostpaidInstance", &id).await;
    for (action, params) in requests(id.as_str()) {
        let code = if action == "SwitchInstanceVip" { "InstanceStatusAbnormal" } else { "InstanceStatusError" };
        refused(&site, action, params, &format!("ResourceUnavailable.{code}")).await;
    }
}

#[tokio::test]
async fn a_former_address_leads_on_for_its_days_and_is_closed_then() {
    let site = Site::new();
    let id = site.create().await;
    let former = addresses(&site, &id);
    let answer = modify(&site, &id, json!({"Operation": "changeVip", "Vip": "127.88.9.9", "Recycle": 2})).await;
    assert_eq!((&answer["Vip"], &row(&site, &id).await["WanIp"]), (&json!("127.88.9.9"), &json!("127.88.9.9")));
    let both = vec![former[0].clone(), "127.88.9.9:6379".into()];
    assert_eq!(addresses(&site, &id), both);
    for hours in [24, 23] {
        site.call("AdvanceClock", json!({"Seconds": 3600 * hours})).await.unwrap();
        close_due(&site.cx).await.unwrap();
        assert_eq!(site.settle(&NoProbe).await, [], "before its time");
    }
    site.call("AdvanceClock", json!({"Seconds": 7200})).await.unwrap();
    close_due(&site.cx).await.unwrap();
    close_due(&site.cx).await.unwrap();
    assert_eq!(row(&site, &id).await["Status"], 2, "its owner can use it meanwhile");
    assert_eq!(site.settle(&NoProbe).await, [End::Done], "once");
    assert_eq!(addresses(&site, &id), ["127.88.9.9:6379"]);
    let task = site.call("DescribeTaskList", json!({"Limit": 1})).await.unwrap()["Tasks"][0].clone();
    assert_eq!((&task["TaskType"], &task["Result"]), (&json!("045"), &json!(2)));
    site.assert_settled("closed");
}

#[tokio::test]
async fn a_former_address_is_closed_at_the_end_where_it_is_not_to_be_kept() {
    let site = Site::new();
    let id = site.create().await;
    modify(&site, &id, json!({"Operation": "changeVPort", "VPort": 7000, "Recycle": 0})).await;
    let ip = row(&site, &id).await["WanIp"].clone();
    assert_eq!(addresses(&site, &id), [format!("{}:7000", ip.as_str().unwrap())]);
    let answer = modify(&site, &id, json!({"Operation": "changeVip"})).await;
    assert_ne!(answer["Vip"], ip);
    assert_eq!(row(&site, &id).await["Port"], 7000, "the port stays");
    let tasks = site.call("DescribeTaskList", json!({"TaskTypes": ["FLOW_MODIFY_INSTANCE_NETWORK"]})).await.unwrap();
    assert_eq!(tasks["TotalCount"], 2);
}

#[tokio::test]
async fn one_ip_for_all_has_a_port_for_each() {
    let ports = |from, to| VipPool::Ports { ip: "10.0.0.1".parse().unwrap(), ports: from..=to };
    let settings = Settings { vips: ports(7000, 7009), public_vips: ports(8000, 8000), ..Settings::default() };
    let site = Site::with(Settings { busy_for: Duration::ZERO, ..settings });
    let (id, other) = (site.create().await, site.create().await);
    modify(&site, &id, json!({"Operation": "changeVPort", "VPort": 7009})).await;
    modify(&site, &id, json!({"Operation": "changeVip"})).await;
    assert_ne!(row(&site, &id).await["Port"], 7009);
    for (changes, code) in [
        (json!({"Operation": "changeVPort", "VPort": 7010}), VALUE),
        (json!({"Operation": "changeVPort", "VPort": row(&site, &other).await["Port"]}), CHECK),
        (json!({"Operation": "changeVip", "Vip": "10.0.0.2", "VPort": 7005}), VALUE),
    ] {
        let mut params = changes;
        params["InstanceId"] = json!(id.as_str());
        refused(&site, "ModifyNetworkConfig", params, code).await;
    }
    site.run("AllocateWanAddress", &id).await;
    assert_eq!(row(&site, &id).await["WanAddress"], "10.0.0.1:8000");
    refused(&site, "AllocateWanAddress", json!({"InstanceId": other.as_str()}), "ResourceInsufficient").await;
}

#[tokio::test]
async fn a_public_address_comes_and_goes_and_is_never_without_a_password() {
    let site = Site::new();
    let id = site.create().await;
    let just = json!({"InstanceId": id.as_str()});
    let no_auth = json!({"InstanceId": id.as_str(), "NoAuth": true});
    refused(&site, "ReleaseWanAddress", just.clone(), UNSUPPORTED).await;
    let opened = site.call("AllocateWanAddress", just.clone()).await.unwrap();
    assert!(opened["FlowId"].as_i64().is_some() && opened["WanStatus"].is_string());
    let shown = row(&site, &id).await;
    assert_eq!(shown["Status"], 1);
    let public = shown["WanAddress"].as_str().unwrap().to_owned();
    assert!(public.starts_with("127.89.") && public.ends_with(":6379"), "{public}");
    site.settle(&NoProbe).await;
    site.assert_settled("open");
    assert_eq!(addresses(&site, &id)[1], public);
    refused(&site, "AllocateWanAddress", just.clone(), UNSUPPORTED).await;
    let said = refused(&site, "ResetPassword", no_auth.clone(), "InvalidParameterValue.PasswordFreeDenied").await;
    assert!(said.contains(&public), "{said}");
    // Isolation closes all of them, and keeps them.
    site.run("DestroyPostpaidInstance", &id).await;
    assert_eq!(addresses(&site, &id), [""; 0]);
    site.run("StartupInstance", &id).await;
    assert_eq!(addresses(&site, &id)[1], public);
    site.run("ReleaseWanAddress", &id).await;
    assert_eq!((row(&site, &id).await["WanAddress"].clone(), addresses(&site, &id).len()), (json!(""), 1));
    site.call("ResetPassword", no_auth).await.unwrap();
    site.settle(&NoProbe).await;
    let said = refused(&site, "AllocateWanAddress", just, UNSUPPORTED).await;
    assert!(said.contains("ResetPassword"), "{said}");
}

#[tokio::test]
async fn a_deleted_instance_leaves_no_address_behind() {
    let site = Site::new();
    let id = site.create().await;
    modify(&site, &id, json!({"Operation": "changeVip", "Recycle": 15})).await;
    site.run("AllocateWanAddress", &id).await;
    for action in ["DestroyPostpaidInstance", "CleanUpInstance"] {
        site.run(action, &id).await;
    }
    assert_eq!(site.cx.ledger.read(|reader| ledger::addresses_of(reader, &id)).unwrap(), []);
    site.call("AdvanceClock", json!({"Seconds": 20 * 24 * 3600})).await.unwrap();
    close_due(&site.cx).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, []);
}

#[tokio::test]
async fn two_instances_swap_their_addresses_and_are_both_busy_meanwhile() {
    let site = Site::new();
    let (one, other) = (site.create().await, site.create().await);
    let (before_one, before_other) = (addresses(&site, &one), addresses(&site, &other));
    let params = json!({"SrcInstanceId": one.as_str(), "DstInstanceId": other.as_str(), "ForceSwitch": 0});
    for (changes, word) in [
        (json!({"TimeDelay": -1}), "TimeDelay"),
        (json!({"ForceSwitch": 2}), "ForceSwitch"),
        (json!({"SwitchTime": "later"}), "syncComplete"),
        (json!({"DstInstanceId": one.as_str()}), "SrcInstanceId"),
    ] {
        let mut params = params.clone();
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let said = refused(&site, "SwitchInstanceVip", params, VALUE).await;
        assert!(said.contains(word), "{said}");
    }
    site.call("SwitchInstanceVip", params).await.unwrap();
    for id in [&one, &other] {
        assert_eq!(row(&site, id).await["Status"], 1);
        let reset = json!({"InstanceId": id.as_str(), "Password": PASSWORD});
        refused(&site, "ResetPassword", reset, LOCKED).await;
    }
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("swapped");
    assert_eq!((addresses(&site, &one), addresses(&site, &other)), (before_other, before_one));
}

#[tokio::test]
async fn a_swap_is_tried_again_only_while_both_are_as_it_left_them() {
    let site = Site::new();
    let (one, other) = (site.create().await, site.create().await);
    site.fault("swap-addresses", "open_addresses", "fail").await;
    let params = json!({"SrcInstanceId": one.as_str(), "DstInstanceId": other.as_str()});
    let task = site.call("SwitchInstanceVip", params).await.unwrap()["TaskId"].clone();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    site.assert_settled("undone");
    // The other one has a task now; then it has had one.
    site.call("ResetPassword", json!({"InstanceId": other.as_str(), "Password": PASSWORD})).await.unwrap();
    refused(&site, "RetryTask", json!({"TaskId": task}), LOCKED).await;
    site.settle(&NoProbe).await;
    let said = refused(&site, "RetryTask", json!({"TaskId": task}), "UnsupportedOperation").await;
    assert!(said.contains("another task has run"), "{said}");
}

#[tokio::test]
async fn a_change_of_address_is_not_tried_again_when_another_has_it() {
    let site = Site::new();
    let (id, other) = (site.create().await, site.create().await);
    site.fault("set-address", "open_address", "fail").await;
    let wanted = json!({"InstanceId": id.as_str(), "Operation": "changeVip", "Vip": "127.88.9.9"});
    let task = site.call("ModifyNetworkConfig", wanted).await.unwrap()["TaskId"].clone();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    modify(&site, &other, json!({"Operation": "changeVip", "Vip": "127.88.9.9"})).await;
    let said = refused(&site, "RetryTask", json!({"TaskId": task}), "UnsupportedOperation").await;
    assert!(said.contains("127.88.9.9:6379 is taken"), "{said}");
}

#[tokio::test]
async fn limits_are_shown_as_they_were_set_and_nodes_take_as_many_connections() {
    let site = Site::new();
    let id = site.create().await;
    let shown = row(&site, &id).await;
    let parts =
        |row: &Value| ["ClientLimit", "NetLimit", "ClientLimitMin", "ClientLimitMax"].map(|name| row[name].clone());
    assert_eq!(parts(&shown), [10_000, 0, 10_000, 40_000]);
    let range = async || site.call("DescribeBandwidthRange", json!({"InstanceId": id.as_str()})).await.unwrap();
    let of =
        |add: i64| json!({"BaseBandwidth": 0, "AddBandwidth": add, "MinAddBandwidth": 0, "MaxAddBandwidth": 10000});
    assert_eq!(range().await, of(0));
    for (changes, clients, bandwidth) in [
        (json!({"ClientLimit": 20000}), 20_000, 0),
        (json!({"Bandwidth": 100}), 20_000, 100),
        (json!({"Bandwidth": 5, "ClientLimit": 10000}), 10_000, 5),
        (json!({"Bandwidth": 0}), 10_000, 0),
    ] {
        let mut params = changes.clone();
        params["InstanceId"] = json!(id.as_str());
        site.call("ModifyConnectionConfig", params).await.unwrap();
        assert_eq!(row(&site, &id).await["Status"], 1);
        assert_eq!(site.settle(&NoProbe).await, [End::Done], "{changes}");
        site.assert_settled("limited");
        assert_eq!(parts(&row(&site, &id).await)[..2], [clients, bandwidth], "{changes}");
        assert_eq!(range().await, of(bandwidth), "{changes}");
        let limits = site.gateway.table.lock().unwrap().routes[0].limits;
        assert_eq!(limits.connections, Some(clients as u32));
        assert_eq!(limits.inbound, (bandwidth > 0).then_some(bandwidth as u64 * 1_000_000), "{changes}");
        let most = site.world.maxclients(&site.primary(&id)).unwrap();
        assert!(i64::from(most) > clients, "{changes}: the node is the smaller one");
    }
}

#[tokio::test]
async fn limits_out_of_range_are_refused_with_their_range() {
    let site = Site::new();
    let id = site.create().await;
    for (changes, code, word) in [
        (json!({}), "MissingParameter", "ClientLimit"),
        (json!({"ClientLimit": 9999}), VALUE, "10000 to 40000"),
        (json!({"ClientLimit": 40001}), VALUE, "10000 to 40000"),
        (json!({"Bandwidth": -1}), VALUE, "0 to 10000"),
        (json!({"Bandwidth": 10001, "ClientLimit": 10000}), VALUE, "0 to 10000"),
    ] {
        let mut params = changes;
        params["InstanceId"] = json!(id.as_str());
        let said = refused(&site, "ModifyConnectionConfig", params, code).await;
        assert!(said.contains(word), "{said}");
    }
}

#[tokio::test]
async fn an_instance_without_a_synchronization_tells_of_none() {
    let site = Site::new();
    let id = site.create().await;
    let answer = site.call("DescribeInstanceDTSInfo", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(
        (&answer["JobId"], &answer["Status"], &answer["SrcInfo"]["InstanceId"]),
        (&json!(""), &json!(0), &json!(""))
    );
    let missing = json!({"InstanceId": "crs-nowhere1"});
    refused(&site, "DescribeInstanceDTSInfo", missing, "ResourceNotFound.InstanceNotExists").await;
}

#[tokio::test]
async fn an_instance_can_be_ordered_with_the_port_of_a_kept_address_but_never_with_the_address() {
    let site = Site::new();
    let id = site.create().await;
    modify(&site, &id, json!({"Operation": "changeVip", "Recycle": 15})).await;
    site.run("AllocateWanAddress", &id).await;
    let taken = addresses(&site, &id);
    assert_eq!(taken.len(), 3);
    for _ in 0..3 {
        let answer = site.call("CreateInstances", order()).await.unwrap();
        let other = InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap();
        site.settle(&NoProbe).await;
        assert!(!taken.contains(&addresses(&site, &other)[0]));
    }
}
