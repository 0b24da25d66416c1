//! What actions answer, and what they refuse.

use flow::harness::NoProbe;
use serde_json::json;

use super::site::{PASSWORD, Site, order};

#[tokio::test]
async fn a_new_instance_is_listed_before_its_nodes_start_and_ready_after() {
    let site = Site::new();
    let id = site.order().await;
    let listed = site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!((&listed["TotalCount"], &listed["InstanceSet"][0]["Status"]), (&json!(1), &json!(0)));
    let tasks = site.call("DescribeTaskList", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!((&tasks["TotalCount"], &tasks["Tasks"][0]["TaskType"]), (&json!(1), &json!("001")));
    site.settle(&NoProbe).await;
    let listed = site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(listed["InstanceSet"][0]["Status"], 2);
    assert_eq!(listed["InstanceSet"][0]["CurrentRedisVersion"], "7.0.15");
    assert_eq!(listed["InstanceSet"][0]["NodeSet"], json!(null));
}

#[tokio::test]
async fn a_second_change_is_refused_while_the_first_goes_on() {
    let site = Site::new();
    let id = site.create().await;
    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": "Staple-horse-2"})).await.unwrap();
    let refused = site.call("ClearInstance", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await;
    assert_eq!(refused.unwrap_err().code, "ResourceUnavailable.InstanceLockedError");
}

#[tokio::test]
async fn orders_that_cannot_be_are_refused_with_their_own_codes_and_leave_nothing() {
    let site = Site::new();
    let cases = [
        ("TypeId", json!(1), "InvalidParameterValue.InvalidInstanceTypeId"),
        ("TypeId", json!(7), "UnsupportedOperation"),
        ("TypeId", json!(21), "ResourceUnavailable.NoTypeIdRedisService"),
        ("MemSize", json!(1000), "LimitExceeded.InvalidMemSize"),
        ("MemSize", json!(0), "LimitExceeded.InvalidMemSize"),
        ("GoodsNum", json!(0), "LimitExceeded.InvalidParameterGoodsNumNotInRange"),
        ("BillingMode", json!(2), "InvalidParameterValue"),
        ("RedisReplicasNum", json!(6), "InvalidParameterValue.SpecNotExist"),
        ("RedisShardNum", json!(3), "InvalidParameterValue.SpecNotExist"),
        ("Password", json!(""), "InvalidParameterValue.PasswordEmpty"),
        ("Password", json!("short"), "InvalidParameterValue.PasswordRuleError"),
        ("ZoneId", json!(5), "InvalidParameterValue"),
        ("ZoneName", json!("ap-nowhere-1"), "InvalidParameterValue"),
        ("VpcId", json!("vpc-12345678"), "InvalidParameterValue.UnVpcIdNotExists"),
        ("VPort", json!(80), "InvalidParameterValue"),
        ("InstanceName", json!("a b"), "InvalidParameterValue.InstanceNameRuleError"),
        ("TemplateId", json!("crs-cfg-12345678"), "InvalidParameterValue"),
        ("EnableSSL", json!(true), "UnsupportedOperation"),
        ("DryRun", json!(true), "DryRunOperation"),
        ("NodeSet", json!([{"NodeType": 1}]), "InvalidParameterValue"),
        ("Colour", json!("red"), "UnknownParameter"),
        ("MemSize", json!("1024"), "InvalidParameter"),
    ];
    for (parameter, value, code) in cases {
        let mut params = order();
        params[parameter] = value.clone();
        let error = site.call("CreateInstances", params).await.unwrap_err();
        assert_eq!(error.code, code, "{parameter} = {value}: {error}");
        assert!(!error.message.en.is_empty() && !error.message.zh.is_empty());
    }
    let listed = site.call("DescribeInstances", json!({})).await.unwrap();
    assert_eq!(listed["TotalCount"], 0);
}

#[tokio::test]
async fn task_filters_are_anded_and_what_cannot_be_a_value_is_refused() {
    let site = Site::new();
    let id = site.create().await;
    site.run("DestroyPostpaidInstance", &id).await;
    let count = async |params: serde_json::Value| {
        site.call("DescribeTaskList", params.clone()).await.map(|answer| answer["TotalCount"].as_i64().unwrap())
    };
    for (params, wanted) in [
        (json!({}), 2),
        (json!({"TaskTypes": ["001"]}), 1),
        (json!({"TaskTypes": ["FLOW_CREATE", "FLOW_CLOSE"]}), 2),
        (json!({"TaskTypes": ["FLOW_FLOW_CLEAN"]}), 0),
        (json!({"InstanceName": id.as_str(), "Result": [2], "TaskTypes": ["003"]}), 1),
        (json!({"Result": [0, 1]}), 0),
        (json!({"ProjectIds": [5]}), 0),
        (json!({"ProjectIds": [0], "TaskStatus": [7], "OperatorUin": [1]}), 2),
        (json!({"OperateUin": ["100000000001"]}), 2),
        (json!({"OperateUin": ["5"]}), 0),
        (json!({"BeginTime": "2099-01-01 00:00:00"}), 0),
        (json!({"BeginTime": "2000-01-01 00:00:00"}), 2),
        (json!({"EndTime": "2000-01-01 00:00:00"}), 0),
        (json!({"Limit": 1000, "Offset": 1}), 2),
    ] {
        assert_eq!(count(params.clone()).await.unwrap(), wanted, "{params}");
    }
    for (params, name) in [
        (json!({"TaskTypes": ["37"]}), "TaskTypes"),
        (json!({"Result": [3]}), "Result"),
        (json!({"BeginTime": "yesterday"}), "BeginTime"),
        (json!({"BeginTime": "2026-01-02 00:00:00", "EndTime": "2026-01-01 00:00:00"}), "BeginTime"),
        (json!({"Limit": 0}), "Limit"),
        (json!({"Offset": -1}), "Offset"),
    ] {
        let error = count(params).await.unwrap_err();
        assert_eq!(error.code, "InvalidParameterValue");
        assert!(error.message.en.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_dead_replica_does_not_keep_a_password_from_being_changed() {
    let site = Site::new();
    let id = site.create().await;
    let nodes = site.cx.ledger.read(|reader| ledger::nodes_of(reader, &id)).unwrap();
    site.world.kill(&nodes[1].id);
    let before = site.world.users(&nodes[0].id).unwrap();
    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": "Staple-horse-2"})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [flow::End::Done]);
    let after = site.world.users(&nodes[0].id).unwrap();
    assert!(before != after, "the primary has the new password");
    crate::fleet::start_node(&site.cx, &nodes[1].id).await.unwrap();
    let default = |users: Vec<model::AclUser>| users.into_iter().find(|user| user.name == "default");
    assert!(default(site.world.users(&nodes[1].id).unwrap()) == default(after), "so has the replica, when it is back");
}

#[tokio::test]
async fn bandwidth_is_unlimited_for_any_size_that_there_is() {
    let site = Site::new();
    let id = site.create().await;
    let range = site.call("DescribeBandwidthRange", json!({"InstanceId": id.as_str()})).await.unwrap();
    let none = json!({"BaseBandwidth": 0, "AddBandwidth": 0, "MinAddBandwidth": 0, "MaxAddBandwidth": 10_000});
    assert_eq!(range, none);
    let ask = async |params: serde_json::Value| site.call("DescribeInstanceSpecBandwidth", params).await;
    for params in [
        json!({"InstanceId": id.as_str()}),
        json!({"InstanceId": id.as_str(), "ShardSize": 0, "ShardNum": 0, "ReplicateNum": 0, "ReadOnlyWeight": 0, "Type": 0}),
        json!({"Type": 17, "ShardSize": 4096, "ShardNum": 1, "ReplicateNum": 5}),
    ] {
        assert_eq!(ask(params.clone()).await.unwrap(), json!({"Bandwidth": 0, "ClientLimit": 10_000}), "{params}");
    }
    for (params, code) in [
        (json!({}), "MissingParameter"),
        (json!({"Type": 17}), "MissingParameter"),
        (json!({"ShardSize": 1024}), "MissingParameter"),
        (json!({"InstanceId": "crs-00000000"}), "ResourceNotFound.InstanceNotExists"),
        (json!({"Type": 7, "ShardSize": 1024}), "UnsupportedOperation"),
        (json!({"Type": -17, "ShardSize": 1024}), "InvalidParameterValue.InvalidInstanceTypeId"),
        (json!({"Type": 17, "ShardSize": 1000}), "LimitExceeded.InvalidMemSize"),
        (json!({"Type": 17, "ShardSize": 131_072}), "InvalidParameterValue.SpecNotExist"),
        (json!({"InstanceId": id.as_str(), "ShardNum": 3}), "InvalidParameterValue.SpecNotExist"),
        (json!({"InstanceId": id.as_str(), "ReplicateNum": 6}), "InvalidParameterValue.SpecNotExist"),
        (json!({"InstanceId": id.as_str(), "ReadOnlyWeight": 100}), "UnsupportedOperation"),
        (json!({"InstanceId": id.as_str(), "ReadOnlyWeight": 50}), "InvalidParameterValue"),
    ] {
        assert_eq!(ask(params.clone()).await.unwrap_err().code, code, "{params}");
    }
    let refused = site.call("DescribeBandwidthRange", json!({"InstanceId": "crs-00000000"})).await;
    assert_eq!(refused.unwrap_err().code, "ResourceNotFound.InstanceNotExists");
}
