//! Reads from replicas: which answer them, whose go there, and what is refused.

use flow::End;
use flow::harness::NoProbe;
use model::{InstanceId, NodeId, Route};
use serde_json::{Value, json};

use super::site::{PASSWORD, Site};
use crate::fleet;

const UNSUPPORTED: &str = "FailedOperation.UnSupportError";

fn route(site: &Site, id: &InstanceId) -> Route {
    let table = site.gateway.table.lock().unwrap();
    table.routes.iter().find(|route| route.instance == *id).unwrap().clone()
}

/// The replicas that answer reads, as the gateway would be told now.
async fn readers(site: &Site, id: &InstanceId) -> Vec<NodeId> {
    fleet::put_routes_in_force(&site.cx).await.unwrap();
    let readers = route(site, id).readers;
    assert!(readers.iter().all(|reader| reader.weight == 100));
    readers.into_iter().map(|reader| reader.target.node).collect()
}

fn nodes(site: &Site, id: &InstanceId) -> Vec<NodeId> {
    let nodes = site.cx.ledger.read(|reader| ledger::nodes_of(reader, id)).unwrap();
    nodes.into_iter().map(|node| node.id).collect()
}

async fn weight(site: &Site, id: &InstanceId) -> Value {
    let answer = site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap();
    answer["InstanceSet"][0]["SlaveReadWeight"].clone()
}

async fn account(site: &Site, id: &InstanceId, name: &str) -> Value {
    let params = json!({"InstanceId": id.as_str(), "Limit": 20, "Offset": 0});
    let answer = site.call("DescribeInstanceAccount", params).await.unwrap();
    answer["Accounts"].as_array().unwrap().iter().find(|account| account["AccountName"] == name).unwrap().clone()
}

fn ann(policy: &[&str]) -> Value {
    json!({"AccountName": "ann", "AccountPassword": PASSWORD, "Privilege": "r", "ReadonlyPolicy": policy})
}

async fn done(site: &Site, action: &str, id: &InstanceId, mut params: Value) -> Value {
    params["InstanceId"] = json!(id.as_str());
    let answer = site.call(action, params).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    fleet::put_routes_in_force(&site.cx).await.unwrap();
    site.assert_settled(action);
    answer
}

async fn refused(site: &Site, action: &str, id: &InstanceId, mut params: Value, code: &str) {
    params["InstanceId"] = json!(id.as_str());
    let state = || {
        let state = site.cx.ledger.read(|reader| {
            let tasks = ledger::latest_tasks(reader, 100)?;
            Ok((ledger::all_instances(reader)?, ledger::root(reader, id)?, ledger::accounts_of(reader, id)?, tasks))
        });
        format!("{:?}", state.unwrap())
    };
    let before = state();
    let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
    assert_eq!(error.code, code, "{action} {params}: {error}");
    assert!(!error.message.zh.is_empty(), "{action} {params}");
    assert_eq!(state(), before, "{action} {params}: something was changed");
}

#[tokio::test]
async fn replicas_answer_the_reads_of_those_whose_policy_says_so() {
    let site = Site::new();
    let id = site.create_with(2).await;
    assert_eq!((weight(&site, &id).await, route(&site, &id).readers), (json!(0), vec![]));

    let answer = done(&site, "EnableReplicaReadonly", &id, json!({})).await;
    assert_eq!(answer["Status"], "OK");
    assert_eq!(weight(&site, &id).await, 100);
    assert_eq!(account(&site, &id, "root").await["ReadonlyPolicy"], json!(["replication"]));
    assert_eq!(readers(&site, &id).await, nodes(&site, &id)[1..]);
    assert!(route(&site, &id).logins.default_reads_replicas);

    done(&site, "CreateInstanceAccount", &id, ann(&["master", "replication"])).await;
    assert_eq!(account(&site, &id, "ann").await["ReadonlyPolicy"], json!(["master", "replication"]));
    assert_eq!(route(&site, &id).logins.replica_readers, ["ann"]);
    refused(&site, "DisableReplicaReadonly", &id, json!({}), UNSUPPORTED).await;

    let to_master = json!({"AccountName": "ann", "ReadonlyPolicy": ["master"]});
    done(&site, "ModifyInstanceAccount", &id, to_master).await;
    assert!(route(&site, &id).logins.replica_readers.is_empty());
    done(&site, "ModifyInstanceAccount", &id, json!({"AccountName": "root", "ReadonlyPolicy": ["master"]})).await;
    assert!(!route(&site, &id).logins.default_reads_replicas);
    done(&site, "EnableReplicaReadonly", &id, json!({"ReadonlyPolicy": ["replication"]})).await;

    done(&site, "DisableReplicaReadonly", &id, json!({})).await;
    assert_eq!(weight(&site, &id).await, 0);
    assert_eq!(account(&site, &id, "root").await["ReadonlyPolicy"], json!(["master"]));
    let after = route(&site, &id);
    assert!(after.readers.is_empty() && !after.logins.default_reads_replicas);
    let listed = site.call("DescribeTaskList", json!({"TaskTypes": ["039", "040"]})).await.unwrap();
    assert_eq!(listed["TotalCount"], 3);
}

#[tokio::test]
async fn only_a_replica_that_has_all_answers_reads() {
    let site = Site::new();
    let id = site.create_with(2).await;
    done(&site, "EnableReplicaReadonly", &id, json!({})).await;
    let all = nodes(&site, &id);
    assert_eq!(readers(&site, &id).await, all[1..]);

    // It gives no answer when it is told something.
    site.world.set_silent(&all[1], true);
    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": "Staple-horse-2"})).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(route(&site, &id).readers.len(), 1, "one that does not know the password");
    site.world.set_silent(&all[1], false);
    assert!(fleet::tell_again(&site.cx, &all[1]).await.unwrap());
    assert_eq!(readers(&site, &id).await, all[1..]);

    // It loses the primary.
    site.world.set_link_cut(&all[2], true);
    fleet::keep_roles(&site.cx, &id, false).await.unwrap();
    assert_eq!(readers(&site, &id).await, [all[1].clone()]);
    site.world.set_link_cut(&all[2], false);
    fleet::start_streams(&site.cx, &id).await.unwrap();
    assert_eq!(readers(&site, &id).await, all[1..]);

    // It dies. Once it is up again, it has yet to get what it missed.
    site.world.kill(&all[2]);
    let up = fleet::start_node(&site.cx, &all[2]).await.unwrap();
    assert_eq!(readers(&site, &id).await, [all[1].clone()]);
    site.cx.ledger.write(move |tx| up.note_now(tx)).await.unwrap();
    assert_eq!(readers(&site, &id).await, [all[1].clone()], "nobody has seen that the stream flows to it");
    fleet::start_streams(&site.cx, &id).await.unwrap();
    assert_eq!(readers(&site, &id).await, all[1..]);
}

#[tokio::test]
async fn the_one_that_is_promoted_answers_as_the_primary_alone() {
    let site = Site::new();
    let id = site.create_with(2).await;
    done(&site, "EnableReplicaReadonly", &id, json!({})).await;
    let before = nodes(&site, &id);
    let nodes_before = site.cx.ledger.read(|reader| ledger::nodes_of(reader, &id)).unwrap();
    done(&site, "ChangeReplicaToMaster", &id, json!({"GroupId": nodes_before[2].group})).await;
    let after = route(&site, &id);
    assert_eq!(after.target.unwrap().node, before[2]);
    let mut all = readers(&site, &id).await;
    all.sort();
    let mut wanted = before[..2].to_vec();
    wanted.sort();
    assert_eq!(all, wanted);

    // After a death there is nobody to answer but the new primary, until the stream is seen to flow again.
    let primary = site.primary(&id);
    let epoch = site.cx.ledger.read(|reader| ledger::node(reader, &primary)).unwrap().unwrap().epoch;
    site.world.kill(&primary);
    assert!(fleet::fail_over(&site.cx, &primary, epoch).await.unwrap());
    let after = route(&site, &id);
    let promoted = after.target.unwrap().node;
    assert!(promoted != primary && after.readers.iter().all(|reader| reader.target.node != promoted));
}

#[tokio::test]
async fn members_that_leave_answer_no_reads_and_those_that_come_do() {
    let site = Site::new();
    let id = site.create_with(2).await;
    done(&site, "EnableReplicaReadonly", &id, json!({})).await;
    done(&site, "UpgradeInstance", &id, json!({"MemSize": 1024, "RedisReplicasNum": 3})).await;
    assert_eq!(readers(&site, &id).await.len(), 3);
    let leaving = site.cx.ledger.read(|reader| ledger::nodes_of(reader, &id)).unwrap()[3].number;
    let fewer = json!({"MemSize": 1024, "RedisReplicasNum": 2, "NodeSet": [{"NodeType": 1, "NodeId": leaving}]});
    done(&site, "UpgradeInstance", &id, fewer).await;
    assert_eq!(readers(&site, &id).await, nodes(&site, &id)[1..]);
}

#[tokio::test]
async fn an_instance_without_replicas_or_of_an_old_type_is_refused() {
    let site = Site::new();
    let id = site.create_with(1).await;
    refused(&site, "EnableReplicaReadonly", &id, json!({"ReadonlyPolicy": ["slave"]}), "InvalidParameterValue").await;
    refused(&site, "CreateInstanceAccount", &id, ann(&["replication"]), UNSUPPORTED).await;
    let root = json!({"AccountName": "root", "ReadonlyPolicy": ["replication"]});
    refused(&site, "ModifyInstanceAccount", &id, root, UNSUPPORTED).await;
    let alone = id.clone();
    let change = site.cx.ledger.write(move |tx| -> ledger::Result<()> {
        let version = model::EngineVersion::new(2, 8, 0);
        ledger::set_engine(tx, &alone, model::TypeId::parse(2).unwrap(), version)
    });
    change.await.unwrap();
    refused(&site, "EnableReplicaReadonly", &id, json!({}), UNSUPPORTED).await;

    let lone = site.create_with(0).await;
    refused(&site, "EnableReplicaReadonly", &lone, json!({}), UNSUPPORTED).await;
}

#[tokio::test]
async fn more_clients_may_come_where_more_nodes_answer() {
    let site = Site::new();
    let id = site.create_with(3).await;
    let limit = json!({"ClientLimit": 60_000});
    refused(&site, "ModifyConnectionConfig", &id, limit.clone(), "InvalidParameterValue").await;
    done(&site, "EnableReplicaReadonly", &id, json!({})).await;
    let shown = site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(shown["InstanceSet"][0]["ClientLimitMax"], 60_000);
    refused(&site, "ModifyConnectionConfig", &id, json!({"ClientLimit": 60_001}), "InvalidParameterValue").await;
    done(&site, "ModifyConnectionConfig", &id, limit).await;
}

#[tokio::test]
async fn connections_end_after_the_timeout_that_was_set() {
    let site = Site::new();
    let id = site.create().await;
    assert_eq!(route(&site, &id).limits.idle, None);
    for (value, idle) in [("300", Some(300)), ("0", None), ("31536000", None)] {
        let params = json!({"InstanceParams": [{"Key": "timeout", "Value": value}]});
        let of_instance = json!({"InstanceId": id.as_str(), "InstanceParams": params["InstanceParams"]});
        site.call("ModifyInstanceParams", of_instance).await.unwrap();
        assert_eq!(site.settle(&NoProbe).await, [End::Done]);
        site.assert_settled("the task itself tells the gateway");
        assert_eq!(route(&site, &id).limits.idle, idle, "{value}");
    }
}
