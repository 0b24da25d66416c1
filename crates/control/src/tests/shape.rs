//! What the actions that change a running instance refuse, and what becomes of roles when nodes die.

use std::time::Duration;

use flow::End;
use flow::harness::NoProbe;
use model::{EngineKind, EngineVersion, InstanceId, NodeRole};
use runtime::Engine;
use serde_json::{Value, json};

use super::site::{PASSWORD, Site};
use crate::fleet;
use crate::settings::Settings;

const BUSY: &str = "ResourceUnavailable.InstanceLockedError";
const STATUS: &str = "ResourceUnavailable.InstanceStatusError";
const GONE: &str = "ResourceNotFound.InstanceNotExists";
const VALUE: &str = "InvalidParameterValue";
const SPEC: &str = "InvalidParameterValue.SpecNotExist";

/// A request of each action that would be accepted for an instance with two replicas.
fn acceptable() -> Vec<(&'static str, Value)> {
    let set = json!([{"NodeType": 0, "ZoneId": 100_002}, {"NodeType": 1}, {"NodeType": 1}]);
    vec![
        ("UpgradeInstance", json!({"MemSize": 2048})),
        ("UpgradeInstanceVersion", json!({"TargetInstanceType": "19", "SwitchOption": 2})),
        (
            "UpgradeSmallVersion",
            json!({"CurrentRedisVersion": "7.0.15", "UpgradeRedisVersion": "7.0.15", "InstanceTypeUpgradeNow": 1}),
        ),
        (
            "UpgradeProxyVersion",
            json!({"CurrentProxyVersion": "0.0.9", "UpgradeProxyVersion": crate::cx::GATEWAY_RELEASE,
                "InstanceTypeUpgradeNow": 1}),
        ),
        ("ModifyInstanceAvailabilityZones", json!({"SwitchOption": 2, "NodeSet": set})),
        ("ModifyInstanceReadOnly", json!({"InputMode": "1"})),
        ("ChangeReplicaToMaster", json!({"GroupId": 2})),
        ("KillMasterGroup", json!({"Password": PASSWORD})),
    ]
}

/// All that a refusal may not change.
fn state(site: &Site) -> String {
    let state = site.cx.ledger.read(|reader| {
        let tasks = ledger::latest_tasks(reader, 100)?;
        Ok((ledger::all_instances(reader)?, ledger::all_nodes(reader)?, tasks))
    });
    format!("{:?}", state.unwrap())
}

async fn refused(site: &Site, action: &str, mut params: Value, id: &str, code: &str) {
    params["InstanceId"] = json!(id);
    let before = state(site);
    let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
    assert_eq!(error.code, code, "{action} {params}: {error}");
    assert!(!error.message.en.is_empty() && !error.message.zh.is_empty(), "{action} {params}");
    assert_eq!(state(site), before, "{action} {params}: something was changed");
}

#[tokio::test]
async fn what_is_not_there_is_busy_or_is_isolated_is_not_changed() {
    let site = Site::new();
    *site.gateway.former.lock().unwrap() = Some("0.0.9");
    let id = site.create_with(2).await;
    for (action, params) in acceptable() {
        refused(&site, action, params.clone(), "crs-nowhere1", GONE).await;
        refused(&site, action, params, "nonsense", GONE).await;
    }
    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await.unwrap();
    for (action, params) in acceptable() {
        refused(&site, action, params, id.as_str(), BUSY).await;
    }
    refused(&site, "SwitchAccessNewInstance", json!({}), id.as_str(), BUSY).await;
    site.settle(&NoProbe).await;
    refused(&site, "SwitchAccessNewInstance", json!({}), id.as_str(), "ResourceUnavailable.InstanceStatusAbnormal")
        .await;
    site.run("DestroyPostpaidInstance", &id).await;
    for (action, params) in acceptable() {
        // Nodes that don't run can't tell how far they are.
        let emergency =
            if action == "ChangeReplicaToMaster" { json!({"GroupId": 2, "Emergency": true}) } else { params };
        refused(&site, action, emergency, id.as_str(), STATUS).await;
    }
    refused(&site, "SwitchAccessNewInstance", json!({}), id.as_str(), STATUS).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_own_code_and_changes_nothing() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    let numbers: Vec<i64> = nodes.iter().map(|node| node.number).collect();
    let set = |entries: &[(i64, i64)]| -> Value {
        entries.iter().map(|(kind, zone)| json!({"NodeType": kind, "ZoneId": zone})).collect()
    };
    let small = |current: &str, wanted: &str| json!({"CurrentRedisVersion": current, "UpgradeRedisVersion": wanted, "InstanceTypeUpgradeNow": 1});
    let version = |target: &str, switch: i64| json!({"TargetInstanceType": target, "SwitchOption": switch});
    let cases = [
        ("UpgradeInstance", json!({"MemSize": 1000}), "LimitExceeded.InvalidMemSize"),
        ("UpgradeInstance", json!({"MemSize": 0}), "LimitExceeded.InvalidMemSize"),
        ("UpgradeInstance", json!({"MemSize": 66_560}), "InvalidParameterValue.MemSizeNotInRange"),
        ("UpgradeInstance", json!({"MemSize": 1024}), VALUE),
        ("UpgradeInstance", json!({"MemSize": 1024, "RedisShardNum": 1, "RedisReplicasNum": 2}), VALUE),
        ("UpgradeInstance", json!({"MemSize": 2048, "RedisReplicasNum": 3}), VALUE),
        ("UpgradeInstance", json!({"MemSize": 1024, "RedisShardNum": 3}), SPEC),
        ("UpgradeInstance", json!({"MemSize": 1024, "RedisReplicasNum": 6}), SPEC),
        ("UpgradeInstance", json!({"MemSize": 1024, "RedisReplicasNum": 0}), SPEC),
        ("UpgradeInstance", json!({"MemSize": 2048, "SwitchOption": 3}), VALUE),
        (
            "UpgradeInstance",
            json!({"MemSize": 1024, "RedisReplicasNum": 1, "NodeSet": [{"NodeType": 1, "NodeId": 99}]}),
            VALUE,
        ),
        (
            "UpgradeInstance",
            json!({"MemSize": 1024, "RedisReplicasNum": 1, "NodeSet": [{"NodeType": 1, "NodeId": numbers[1]}, {"NodeType": 1, "NodeId": numbers[1]}]}),
            VALUE,
        ),
        (
            "UpgradeInstance",
            json!({"MemSize": 1024, "RedisReplicasNum": 1, "SwitchOption": 1, "NodeSet": [{"NodeType": 0, "NodeId": numbers[0]}]}),
            VALUE,
        ),
        ("UpgradeInstance", json!({"MemSize": 1024, "RedisReplicasNum": 3, "NodeSet": set(&[(1, 5)])}), VALUE),
        ("UpgradeInstance", json!({"MemSize": 1024, "RedisReplicasNum": 4, "NodeSet": set(&[(1, 100_001)])}), VALUE),
        ("UpgradeInstanceVersion", version("17", 2), VALUE),
        ("UpgradeInstanceVersion", version("15", 2), VALUE),
        ("UpgradeInstanceVersion", version("nineteen", 2), VALUE),
        ("UpgradeInstanceVersion", version("1", 2), VALUE),
        ("UpgradeInstanceVersion", version("18", 2), "UnsupportedOperation"),
        ("UpgradeInstanceVersion", version("21", 2), "ResourceUnavailable.NoTypeIdRedisService"),
        ("UpgradeInstanceVersion", version("19", 0), VALUE),
        ("UpgradeSmallVersion", small("7.0.14", "7.0.15"), VALUE),
        ("UpgradeSmallVersion", small("7.0.15", "7.0.16"), VALUE),
        ("UpgradeSmallVersion", small("7.0.15", "7.0.14"), VALUE),
        ("UpgradeSmallVersion", small("7.0.15", "8.1.1"), VALUE),
        ("UpgradeSmallVersion", small("7.0.15", ""), VALUE),
        (
            "UpgradeProxyVersion",
            json!({"CurrentProxyVersion": "9.9.9", "UpgradeProxyVersion": "9.9.9", "InstanceTypeUpgradeNow": 1}),
            "InvalidParameterValue.CheckNotPass",
        ),
        ("ModifyInstanceAvailabilityZones", json!({"SwitchOption": 2, "NodeSet": set(&[(0, 100_002)])}), VALUE),
        (
            "ModifyInstanceAvailabilityZones",
            json!({"SwitchOption": 2, "NodeSet": set(&[(0, 100_002), (0, 100_002), (1, 100_002)])}),
            VALUE,
        ),
        (
            "ModifyInstanceAvailabilityZones",
            json!({"SwitchOption": 2, "NodeSet": set(&[(0, 100_002), (1, 100_002), (1, 7)])}),
            VALUE,
        ),
        (
            "ModifyInstanceAvailabilityZones",
            json!({"SwitchOption": 3, "NodeSet": set(&[(0, 100_002), (1, 100_002), (1, 100_002)])}),
            VALUE,
        ),
        ("ModifyInstanceReadOnly", json!({"InputMode": "2"}), VALUE),
        ("ModifyInstanceReadOnly", json!({"InputMode": 1}), "InvalidParameter"),
        ("ChangeReplicaToMaster", json!({"GroupId": 99}), VALUE),
        ("ChangeReplicaToMaster", json!({}), "MissingParameter"),
        ("KillMasterGroup", json!({}), "InvalidParameterValue.PasswordEmpty"),
        ("KillMasterGroup", json!({"Password": "Wrong-horse-9"}), "InvalidParameterValue.PasswordError"),
        ("KillMasterGroup", json!({"Password": PASSWORD, "ShardIds": [7]}), VALUE),
    ];
    for (action, params, code) in cases {
        refused(&site, action, params, id.as_str(), code).await;
    }
    let lone = site.create_with(0).await;
    let kill = json!({"Password": PASSWORD});
    refused(&site, "KillMasterGroup", kill, lone.as_str(), "ResourceUnavailable.InstanceNotSupportOperation").await;
    refused(&site, "ChangeReplicaToMaster", json!({}), lone.as_str(), STATUS).await;
}

#[tokio::test]
async fn a_shrink_below_what_is_used_is_refused_with_the_figures() {
    let site = Site::new();
    let id = site.create_with(1).await;
    let up = json!({"InstanceId": id.as_str(), "MemSize": 4096});
    site.call("UpgradeInstance", up).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.world.set_used(&site.primary(&id), 3 << 30);
    let before = state(&site);
    let down = json!({"InstanceId": id.as_str(), "MemSize": 3072});
    let error = site.call("UpgradeInstance", down).await.unwrap_err();
    assert_eq!(error.code, "InvalidParameterValue.ReduceCapacityNotAllowed");
    assert!(error.message.en.contains("3072 MB") && error.message.en.contains("3994 MB"), "{error}");
    assert_eq!(state(&site), before);
}

#[tokio::test]
async fn a_replica_that_is_behind_takes_over_in_an_emergency_alone() {
    let site = Site::new();
    let id = site.create_with(1).await;
    let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    site.world.write_key(&nodes[0].id, "old").unwrap();
    site.world.set_link_cut(&nodes[1].id, true);
    site.world.write_key(&nodes[0].id, "new").unwrap();
    refused(&site, "ChangeReplicaToMaster", json!({}), id.as_str(), STATUS).await;
    let emergency = json!({"InstanceId": id.as_str(), "Emergency": true});
    site.world.set_link_cut(&nodes[1].id, false);
    site.call("ChangeReplicaToMaster", emergency).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(site.primary(&id), nodes[1].id);
    site.assert_settled("emergency");
}

/// Notes what the keeper of roles would, and has the primary die.
async fn kill_primary(site: &Site, id: &InstanceId) -> ledger::Node {
    fleet::keep_roles(&site.cx, id, true).await.unwrap();
    let (_, nodes) = fleet::load(&site.cx.ledger, id).unwrap();
    site.world.kill(&nodes[0].id);
    nodes[0].clone()
}

#[tokio::test]
async fn the_replica_that_has_most_takes_over_from_a_primary_that_died() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    fleet::keep_roles(&site.cx, &id, true).await.unwrap();
    site.world.set_link_cut(&nodes[1].id, true);
    site.world.write_key(&nodes[0].id, "kept").unwrap();
    site.world.kill(&nodes[0].id);
    assert!(fleet::fail_over(&site.cx, &nodes[0].id, nodes[0].epoch).await.unwrap());
    let (instance, now) = fleet::load(&site.cx.ledger, &id).unwrap();
    assert_eq!(now[0].id, nodes[2].id, "the other one is behind");
    assert!(site.world.data(&now[0].id).unwrap().contains("kept"));
    let old = now.iter().find(|node| node.id == nodes[0].id).unwrap();
    assert_eq!((old.role, old.epoch), (NodeRole::Replica, nodes[0].epoch.next()));
    assert_eq!(instance.zone, now[0].zone);
    // It comes back as a replica, and never the other way round.
    let up = fleet::start_node(&site.cx, &old.id).await.unwrap();
    site.cx.ledger.write(move |tx| up.note_now(tx)).await.unwrap();
    assert_eq!(site.world.upstream(&old.id).unwrap(), Some(now[0].addr));
    assert!(!fleet::fail_over(&site.cx, &nodes[0].id, nodes[0].epoch).await.unwrap(), "it is no primary any more");
    let today = crate::when::write_day(site.cx.clock.now(), site.cx.settings.utc_offset_seconds);
    let events = json!({"ExecutionStartDate": today, "ExecutionEndDate": today, "InstanceId": id.as_str()});
    let events = site.call("DescribeInstanceEvents", events).await.unwrap();
    assert_eq!(events["RedisInstanceEvents"][0]["Type"], "PrimaryFailover");
}

#[tokio::test]
async fn no_replica_takes_over_that_joins_is_empty_or_never_got_the_stream() {
    let site = Site::new();
    let check = async |what: &str, spoil: &dyn Fn(&Site, &ledger::Node)| {
        let id = site.create_with(1).await;
        fleet::keep_roles(&site.cx, &id, true).await.unwrap();
        let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
        spoil(&site, &nodes[1]);
        let dead = kill_primary(&site, &id).await;
        let took = fleet::fail_over(&site.cx, &dead.id, dead.epoch).await.unwrap();
        assert!(!took, "{what}");
        assert_eq!(site.primary(&id), dead.id, "{what}");
        let up = fleet::start_node(&site.cx, &dead.id).await.unwrap();
        site.cx.ledger.write(move |tx| up.note_now(tx)).await.unwrap();
        assert_eq!(site.world.upstream(&dead.id).unwrap(), None, "{what}: it comes back as the primary");
    };
    check("its link was cut when the stream was looked at", &|site, node| site.world.set_link_cut(&node.id, true))
        .await;
    check("it does not run", &|site, node| site.world.kill(&node.id)).await;
    check("it follows another", &|site, node| site.world.replicate(&node.id, Some(crate::nodes::NOWHERE)).unwrap())
        .await;
}

#[tokio::test]
async fn a_newer_build_of_the_same_engine_is_shown_and_taken_by_all_nodes() {
    let site = Site::new();
    let id = site.create_with(1).await;
    let newer = Engine { kind: EngineKind::Redis, version: EngineVersion::new(7, 0, 16) };
    let mut engines = vec![Engine { kind: EngineKind::Redis, version: EngineVersion::new(7, 0, 15) }, newer];
    engines.push(Engine { kind: EngineKind::Redis, version: EngineVersion::new(7, 2, 1) });
    site.world.set_engines(engines);
    let row = async || {
        let listed = site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap();
        let row = &listed["InstanceSet"][0];
        [row["CurrentRedisVersion"].clone(), row["UpgradeRedisVersion"].clone()]
    };
    assert_eq!(row().await, ["7.0.15", "7.0.16"]);
    let upgrade = json!({
        "InstanceId": id.as_str(), "CurrentRedisVersion": "7.0.15", "UpgradeRedisVersion": "7.0.16",
        "InstanceTypeUpgradeNow": 1,
    });
    site.call("UpgradeSmallVersion", upgrade).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(row().await, ["7.0.16", "7.0.16"]);
    site.assert_settled("newer build");
    let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    assert!(nodes.iter().all(|node| node.observed_version == Some(newer.version)));
}

#[tokio::test]
async fn a_primary_ends_in_the_zone_that_was_asked_for_it_whoever_led_meanwhile() {
    let site = Site::new();
    let id = site.create_with(1).await;
    let zones = json!([{"NodeType": 0, "ZoneId": 100_002}, {"NodeType": 1, "ZoneId": 100_003}]);
    let params = json!({"InstanceId": id.as_str(), "SwitchOption": 1, "NodeSet": zones});
    site.call("ModifyInstanceAvailabilityZones", params).await.unwrap();
    site.settle(&NoProbe).await;
    site.call("ChangeReplicaToMaster", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.call("SwitchAccessNewInstance", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done, End::Done]);
    let (instance, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    let zones: Vec<_> = nodes.iter().map(|node| (node.role, node.zone)).collect();
    assert_eq!(zones, [(model::NodeRole::Primary, 100_002), (model::NodeRole::Replica, 100_003)]);
    assert_eq!(instance.zone, 100_002);
    site.assert_settled("moved");
}

#[tokio::test]
async fn an_instance_is_seen_busy_for_its_time_where_its_task_waits_too() {
    let busy_for = Duration::from_millis(80);
    let site = Site::with(Settings { busy_for, ..Settings::default() });
    let id = site.create_with(1).await;
    let begun = std::time::Instant::now();
    let zones = json!([{"NodeType": 0, "ZoneId": 100_002}, {"NodeType": 1, "ZoneId": 100_003}]);
    let params = json!({"InstanceId": id.as_str(), "SwitchOption": 1, "NodeSet": zones});
    site.call("ModifyInstanceAvailabilityZones", params).await.unwrap();
    assert_eq!(site.status(&id), Some(1));
    site.settle(&NoProbe).await;
    assert_eq!(site.status(&id), Some(2), "it waits for its window");
    assert!(begun.elapsed() >= busy_for);
}
