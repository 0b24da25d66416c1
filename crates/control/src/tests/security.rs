//! Security groups: what is made of them in the gateway's table, and what is refused.

use flow::harness::NoProbe;
use model::InstanceId;
use serde_json::{Value, json};

use super::site::{Site, order};
use crate::fleet::put_routes_in_force;
use crate::routes;

async fn group(site: &Site, name: &str) -> String {
    let params = json!({"GroupName": name, "GroupDescription": "said of it"});
    let answer = site.call("CreateSecurityGroup", params).await.unwrap();
    answer["SecurityGroup"]["SecurityGroupId"].as_str().unwrap().to_owned()
}

fn rule(action: &str, cidr: &str) -> Value {
    json!({"Action": action, "Protocol": "TCP", "Port": "6379", "CidrBlock": cidr})
}

/// Gives a group these inbound rules and no others.
async fn set_rules(site: &Site, group: &str, rules: &[Value]) {
    let params = json!({"SecurityGroupId": group, "SecurityGroupPolicySet": {"Ingress": rules}});
    site.call("ModifySecurityGroupPolicies", params).await.unwrap();
}

async fn policies(site: &Site, group: &str) -> Value {
    let answer = site.call("DescribeSecurityGroupPolicies", json!({"SecurityGroupId": group})).await.unwrap();
    answer["SecurityGroupPolicySet"].clone()
}

/// The inbound rules, shortly: `ACCEPT 10.0.0.0/8`.
async fn inbound(site: &Site, group: &str) -> Vec<String> {
    let set = policies(site, group).await;
    let text = |policy: &Value, name: &str| policy[name].as_str().unwrap().to_owned();
    let rules = set["Ingress"].as_array().unwrap();
    rules
        .iter()
        .map(|it| format!("{} {}{}", text(it, "Action"), text(it, "CidrBlock"), text(it, "Ipv6CidrBlock")))
        .collect()
}

/// Who may connect to an instance, as the gateway is told: `+127.0.0.1/32`. `None`: everybody.
fn sources(site: &Site, id: &InstanceId) -> Option<Vec<String>> {
    let table = routes::table(&site.cx).unwrap();
    let route = table.routes.into_iter().find(|route| route.instance == *id).unwrap();
    let show = |it: model::SourceRule| format!("{}{}", if it.accepts { '+' } else { '-' }, it.from);
    route.sources.map(|sources| sources.into_iter().map(show).collect())
}

fn version(site: &Site) -> i64 {
    site.cx.ledger.read(ledger::routes_version).unwrap()
}

async fn put_into(site: &Site, id: &InstanceId, groups: &[&String]) {
    let params = json!({"Product": "redis", "InstanceId": id.as_str(), "SecurityGroupIds": groups});
    site.call("ModifyDBInstanceSecurityGroups", params).await.unwrap();
}

#[tokio::test]
async fn an_instance_in_groups_is_reached_by_whom_a_rule_accepts_and_one_in_none_by_everybody() {
    let site = Site::new();
    let id = site.create().await;
    assert_eq!(sources(&site, &id), None);
    let (one, other) = (group(&site, "one").await, group(&site, "other").await);
    put_into(&site, &id, &[&one]).await;
    assert_eq!(sources(&site, &id), Some(vec![]));
    set_rules(&site, &one, &[rule("drop", "10.1.0.0/16"), rule("accept", "10.0.0.0/8")]).await;
    assert_eq!(sources(&site, &id).unwrap(), ["-10.1.0.0/16", "+10.0.0.0/8"]);
    set_rules(&site, &other, &[rule("ACCEPT", "127.0.0.1"), json!({"Action": "ACCEPT", "Ipv6CidrBlock": "::1"})]).await;
    let params = json!({"Product": "redis", "InstanceIds": [id.as_str()], "SecurityGroupId": other});
    site.call("AssociateSecurityGroups", params.clone()).await.unwrap();
    assert_eq!(sources(&site, &id).unwrap(), ["-10.1.0.0/16", "+10.0.0.0/8", "+127.0.0.1/32", "+::1/128"]);
    site.call("AssociateSecurityGroups", params).await.unwrap();
    assert_eq!(sources(&site, &id).unwrap().len(), 4, "a group counts once");
    put_into(&site, &id, &[&other, &one]).await;
    assert_eq!(sources(&site, &id).unwrap(), ["+127.0.0.1/32", "+::1/128", "-10.1.0.0/16", "+10.0.0.0/8"]);
    let params = json!({"Product": "redis", "InstanceIds": [id.as_str()], "SecurityGroupId": one});
    site.call("DisassociateSecurityGroups", params.clone()).await.unwrap();
    assert_eq!(sources(&site, &id).unwrap(), ["+127.0.0.1/32", "+::1/128"]);
    site.call("DisassociateSecurityGroups", params).await.unwrap();
    put_into(&site, &id, &[]).await;
    assert_eq!(sources(&site, &id), None);
}

#[tokio::test]
async fn rules_of_other_protocols_and_ports_say_nothing_of_an_address() {
    let site = Site::new();
    let mut params = order();
    params["VPort"] = json!(7000);
    params["SecurityGroupIdList"] = json!([group(&site, "one").await]);
    let answer = site.call("CreateInstances", params).await.unwrap();
    site.settle(&NoProbe).await;
    let id = InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap();
    let details = site.call("DescribeInstanceSecurityGroup", json!({"InstanceIds": [id.as_str()]})).await.unwrap();
    let group = &details["InstanceSecurityGroupsDetail"][0]["SecurityGroupDetails"][0];
    assert_eq!(group["SecurityGroupName"], "one");
    let rule = |protocol: &str, port: &str, cidr: &str| json!({"Action": "ACCEPT", "Protocol": protocol, "Port": port, "CidrBlock": cidr});
    set_rules(
        &site,
        group["SecurityGroupId"].as_str().unwrap(),
        &[
            rule("TCP", "6379", "10.0.0.1"),
            rule("TCP", "6000-7000", "10.0.0.2"),
            rule("UDP", "7000", "10.0.0.3"),
            rule("ICMP", "", "10.0.0.4"),
            rule("ALL", "ALL", "10.0.0.5"),
        ],
    )
    .await;
    assert_eq!(sources(&site, &id).unwrap(), ["+10.0.0.2/32", "+10.0.0.5/32"]);
}

#[tokio::test]
async fn every_change_of_groups_rules_and_members_counts_the_table_on_and_reaches_the_gateway() {
    let site = Site::new();
    let id = site.create().await;
    let one = group(&site, "one").await;
    let set = |set: Value| json!({"SecurityGroupId": one, "SecurityGroupPolicySet": set});
    let members = json!({"Product": "redis", "InstanceIds": [id.as_str()], "SecurityGroupId": one});
    let changes = [
        ("CreateSecurityGroupPolicies", set(json!({"Ingress": [rule("ACCEPT", "10.0.0.0/8")]}))),
        ("AssociateSecurityGroups", members.clone()),
        ("CreateSecurityGroupPolicies", set(json!({"Ingress": [rule("DROP", "10.1.0.0/16")]}))),
        ("ReplaceSecurityGroupPolicies", {
            let mut rule = rule("DROP", "10.2.0.0/16");
            rule["PolicyIndex"] = json!(0);
            set(json!({"Ingress": [rule]}))
        }),
        ("DeleteSecurityGroupPolicies", set(json!({"Ingress": [{"PolicyIndex": 1}]}))),
        ("ModifySecurityGroupPolicies", set(json!({"Version": "0"}))),
        ("DisassociateSecurityGroups", members),
    ];
    for (action, params) in changes {
        let before = version(&site);
        // The keeper's wake, which a test has no keeper for.
        let woken = site.cx.wake.routes.notified();
        site.call(action, params).await.unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(5), woken).await.expect("the keeper of routes is woken");
        assert!(version(&site) > before, "{action}");
        put_routes_in_force(&site.cx).await.unwrap();
        let in_force = site.gateway.table.lock().unwrap().clone();
        assert_eq!(in_force.version, version(&site), "{action}");
        assert_eq!(in_force.routes, routes::table(&site.cx).unwrap().routes, "{action}");
    }
    assert_eq!(sources(&site, &id), None);
    site.assert_settled("at the end");
}

#[tokio::test]
async fn rules_are_added_replaced_and_deleted_by_their_places() {
    let site = Site::new();
    let one = group(&site, "one").await;
    let change = async |action: &str, set: Value| {
        site.call(action, json!({"SecurityGroupId": one, "SecurityGroupPolicySet": set})).await.map(|_| ())
    };
    let at = |place: i64, cidr: &str| {
        let mut rule = rule("ACCEPT", cidr);
        rule["PolicyIndex"] = json!(place);
        rule
    };
    let created = json!({"Ingress": [rule("ACCEPT", "10.0.0.1"), rule("ACCEPT", "10.0.0.2")]});
    change("CreateSecurityGroupPolicies", created).await.unwrap();
    change("CreateSecurityGroupPolicies", json!({"Ingress": [rule("DROP", "10.0.0.3")]})).await.unwrap();
    change("CreateSecurityGroupPolicies", json!({"Ingress": [at(0, "10.0.0.4"), at(0, "10.0.0.5")]})).await.unwrap();
    let rules = ["ACCEPT 10.0.0.4", "ACCEPT 10.0.0.5", "ACCEPT 10.0.0.1", "ACCEPT 10.0.0.2", "DROP 10.0.0.3"];
    assert_eq!(inbound(&site, &one).await, rules);
    change("ReplaceSecurityGroupPolicies", json!({"Ingress": [at(1, "10.0.0.6"), at(4, "10.0.0.7")]})).await.unwrap();
    change("DeleteSecurityGroupPolicies", json!({"Ingress": [{"PolicyIndex": 2}, {"PolicyIndex": 0}]})).await.unwrap();
    assert_eq!(inbound(&site, &one).await, ["ACCEPT 10.0.0.6", "ACCEPT 10.0.0.2", "ACCEPT 10.0.0.7"]);
    let by_what_they_say = json!({"Ingress": [rule("accept", "10.0.0.2/32")]});
    change("DeleteSecurityGroupPolicies", by_what_they_say.clone()).await.unwrap();
    assert_eq!(inbound(&site, &one).await, ["ACCEPT 10.0.0.6", "ACCEPT 10.0.0.7"]);
    let error = change("DeleteSecurityGroupPolicies", by_what_they_say).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFound");
    change("CreateSecurityGroupPolicies", json!({"Egress": [rule("ACCEPT", "0.0.0.0/0")]})).await.unwrap();
    let set = policies(&site, &one).await;
    assert_eq!((&set["Version"], &set["Egress"][0]["PolicyIndex"]), (&json!("8"), &json!(0)));
    assert_eq!((&set["Ingress"][1]["Port"], &set["Ingress"][1]["Protocol"]), (&json!("6379"), &json!("TCP")));
    assert_eq!(set["PolicyStatistics"]["IngressIPv4TotalCount"], 2);
    // What was read can be written back as it is.
    change("ModifySecurityGroupPolicies", set.clone()).await.unwrap();
    let mut again = policies(&site, &one).await;
    assert_eq!(again["Version"], "9");
    again["Version"] = json!("8");
    assert_eq!(again, set);
    let filter =
        |name: &str, value: &str| json!({"SecurityGroupId": one, "Filters": [{"Name": name, "Values": [value]}]});
    for (name, value, inbound, outbound) in [
        ("direction", "INBOUND", 2, 0),
        ("direction", "all", 2, 1),
        ("poly", "DROP", 0, 0),
        ("ip", "10.0.0.7", 1, 0),
        ("port", "63", 2, 1),
        ("protocol-type", "tcp", 2, 1),
        ("address-module", "ipm-1", 0, 0),
    ] {
        let answer = site.call("DescribeSecurityGroupPolicies", filter(name, value)).await.unwrap();
        let count = |side: &str| answer["SecurityGroupPolicySet"][side].as_array().unwrap().len();
        assert_eq!((count("Ingress"), count("Egress")), (inbound, outbound), "{name} {value}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_code_and_changes_nothing() {
    let site = Site::new();
    let id = site.create().await;
    let one = group(&site, "one").await;
    set_rules(&site, &one, &[rule("ACCEPT", "10.0.0.0/8")]).await;
    put_into(&site, &id, &[&one]).await;
    let mut many = Vec::new();
    for number in 0..10 {
        many.push(group(&site, &format!("group-{number}")).await);
    }
    let full = site.create().await;
    put_into(&site, &full, &many.iter().collect::<Vec<_>>()).await;
    let eleven: Vec<&String> = many.iter().chain([&one]).collect();
    let set = |set: Value| json!({"SecurityGroupId": one, "SecurityGroupPolicySet": set});
    let hundred: Vec<Value> = (0..100).map(|n| rule("ACCEPT", &format!("10.9.0.{n}"))).collect();
    let absent = "sg-00000000";
    let to =
        |instances: Value, group: &str| json!({"Product": "redis", "InstanceIds": instances, "SecurityGroupId": group});
    let wants =
        |instance: &str, groups: Value| json!({"Product": "redis", "InstanceId": instance, "SecurityGroupIds": groups});
    let ordered = |groups: Value| {
        let mut params = order();
        params["SecurityGroupIdList"] = groups;
        params
    };
    let at = |place: i64| {
        let mut rule = rule("DROP", "10.3.0.0/16");
        rule["PolicyIndex"] = json!(place);
        rule
    };
    let id_text = id.as_str();
    let cases = [
        ("AssociateSecurityGroups", to(json!([id_text]), absent), "InvalidParameterValue.SecurityGroupIdsNotExists"),
        ("AssociateSecurityGroups", to(json!(["crs-00000000"]), &one), "ResourceNotFound.InstanceNotFound"),
        ("AssociateSecurityGroups", to(json!([id_text, "nonsense"]), &many[0]), "ResourceNotFound.InstanceNotFound"),
        ("AssociateSecurityGroups", to(json!([]), &one), "InvalidParameterValue"),
        ("AssociateSecurityGroups", to(json!([full.as_str()]), &one), "InvalidParameter.InstanceSGOverLimitError"),
        (
            "AssociateSecurityGroups",
            json!({"Product": "cdb", "InstanceIds": [id_text], "SecurityGroupId": one}),
            "InvalidParameter.NotSupported",
        ),
        ("DisassociateSecurityGroups", to(json!([id_text]), absent), "InvalidParameterValue.SecurityGroupIdsNotExists"),
        ("DisassociateSecurityGroups", to(json!(["crs-00000000"]), &one), "ResourceNotFound.InstanceNotFound"),
        ("ModifyDBInstanceSecurityGroups", wants(id_text, json!(eleven)), "InvalidParameter.InstanceSGOverLimitError"),
        (
            "ModifyDBInstanceSecurityGroups",
            wants(id_text, json!([one, "sg"])),
            "InvalidParameterValue.SecurityGroupIdsNotExists",
        ),
        ("ModifyDBInstanceSecurityGroups", wants("crs-00000000", json!([])), "ResourceNotFound.InstanceNotFound"),
        ("CreateInstances", ordered(json!([absent])), "InvalidParameterValue.SecurityGroupIdsNotExists"),
        ("CreateInstances", ordered(json!(eleven)), "InvalidParameter.InstanceSGOverLimitError"),
        (
            "DescribeDBSecurityGroups",
            json!({"Product": "redis", "InstanceId": "crs-00000000"}),
            "ResourceNotFound.InstanceNotFound",
        ),
        ("DescribeInstanceSecurityGroup", json!({"InstanceIds": []}), "InvalidParameterValue"),
        ("DeleteSecurityGroup", json!({"SecurityGroupId": one}), "ResourceInUse"),
        ("DeleteSecurityGroup", json!({"SecurityGroupId": absent}), "InvalidSecurityGroupID.NotFound"),
        ("DeleteSecurityGroup", json!({"SecurityGroupId": "one"}), "InvalidSecurityGroupID.Malformed"),
        ("CreateSecurityGroup", json!({"GroupName": "", "GroupDescription": ""}), "InvalidParameterValue"),
        (
            "CreateSecurityGroup",
            json!({"GroupName": "x".repeat(61), "GroupDescription": ""}),
            "InvalidParameterValue.TooLong",
        ),
        (
            "CreateSecurityGroup",
            json!({"GroupName": "x", "GroupDescription": "", "ProjectId": "7"}),
            "InvalidParameterValue",
        ),
        (
            "CreateSecurityGroup",
            json!({"GroupName": "x", "GroupDescription": "", "Tags": [{"Key": "a"}]}),
            "UnsupportedOperation",
        ),
        ("ModifySecurityGroupAttribute", json!({"SecurityGroupId": absent}), "InvalidSecurityGroupID.NotFound"),
        (
            "CreateSecurityGroupPolicies",
            set(json!({"Ingress": [rule("DROP", "10.0.0.1")], "Version": "1"})),
            "UnsupportedOperation.VersionMismatch",
        ),
        (
            "CreateSecurityGroupPolicies",
            set(json!({"Ingress": [rule("accept", "10.0.0.0/8")]})),
            "UnsupportedOperation.DuplicatePolicy",
        ),
        ("CreateSecurityGroupPolicies", set(json!({"Ingress": hundred})), "LimitExceeded.SecurityGroupPolicySet"),
        ("CreateSecurityGroupPolicies", set(json!({})), "MissingParameter"),
        ("CreateSecurityGroupPolicies", set(json!({"Ingress": [at(2)]})), "InvalidParameterValue.Range"),
        ("CreateSecurityGroupPolicies", set(json!({"Ingress": [at(0), at(1)]})), "InvalidParameterValue"),
        (
            "CreateSecurityGroupPolicies",
            set(json!({"Ingress": [at(0)], "Egress": [at(0)]})),
            "InvalidParameter.Coexist",
        ),
        (
            "CreateSecurityGroupPolicies",
            set(json!({"Ingress": [{"Action": "ACCEPT", "SecurityGroupId": one}]})),
            "UnsupportedOperation",
        ),
        ("ReplaceSecurityGroupPolicies", set(json!({"Ingress": [at(1)]})), "InvalidParameterValue.Range"),
        ("ReplaceSecurityGroupPolicies", set(json!({"Ingress": [rule("DROP", "10.0.0.1")]})), "MissingParameter"),
        ("DeleteSecurityGroupPolicies", set(json!({"Ingress": [{"PolicyIndex": -1}]})), "InvalidParameterValue.Range"),
        ("ModifySecurityGroupPolicies", set(json!({"Version": "2"})), "MissingParameter"),
        ("ModifySecurityGroupPolicies", set(json!({"Ingress": [at(3)]})), "InvalidParameterValue"),
        (
            "DescribeSecurityGroups",
            json!({"SecurityGroupIds": [one], "Filters": [{"Name": "project-id", "Values": ["0"]}]}),
            "InvalidParameter.Coexist",
        ),
        (
            "DescribeSecurityGroups",
            json!({"Filters": [{"Name": "colour", "Values": ["red"]}]}),
            "InvalidParameter.FilterInvalidKey",
        ),
        ("DescribeSecurityGroups", json!({"Limit": "none"}), "InvalidParameterValue"),
    ];
    let state = async || {
        let groups =
            site.call("DescribeProjectSecurityGroups", json!({"Product": "redis", "Limit": 100})).await.unwrap();
        let instances = json!({"InstanceIds": [id.as_str(), full.as_str()]});
        let members = site.call("DescribeInstanceSecurityGroup", instances).await.unwrap();
        (groups, members, version(&site), policies(&site, &one).await)
    };
    let before = state().await;
    for (action, params, code) in cases {
        let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
        assert_eq!(error.code, code, "{action} {params}: {error}");
        assert!(state().await == before, "{action} {params} changed something");
    }
}

#[tokio::test]
async fn groups_are_listed_by_id_by_project_and_by_name() {
    let site = Site::new();
    let project = site.call("AddProject", json!({"ProjectName": "shop"})).await.unwrap()["ProjectId"].clone();
    let (one, _) = (group(&site, "one").await, group(&site, "two").await);
    let params = json!({"GroupName": "three", "GroupDescription": "", "ProjectId": project.to_string()});
    let three = site.call("CreateSecurityGroup", params).await.unwrap()["SecurityGroup"].clone();
    assert_eq!((&three["ProjectId"], &three["IsDefault"]), (&json!(project.to_string()), &json!(false)));
    let renamed = json!({"SecurityGroupId": one, "GroupName": "first"});
    site.call("ModifySecurityGroupAttribute", renamed).await.unwrap();
    let filter = |name: &str, value: &str| json!({"Filters": [{"Name": name, "Values": [value]}]});
    let check = async |params: Value, total: u64, names: &[&str]| {
        let answer = site.call("DescribeSecurityGroups", params.clone()).await.unwrap();
        let groups = answer["SecurityGroupSet"].as_array().unwrap();
        let mut got: Vec<_> = groups.iter().map(|it| it["SecurityGroupName"].as_str().unwrap()).collect();
        got.sort_unstable();
        assert_eq!((&answer["TotalCount"], got.as_slice()), (&json!(total), names), "{params}");
    };
    check(json!({}), 3, &["first", "three", "two"]).await;
    check(json!({"SecurityGroupIds": [one, "sg-00000000"]}), 1, &["first"]).await;
    check(filter("security-group-name", "two"), 1, &["two"]).await;
    check(filter("project-id", "0"), 2, &["first", "two"]).await;
    check(filter("tag:a", "b"), 0, &[]).await;
    let page = site.call("DescribeSecurityGroups", json!({"Limit": "2", "Offset": "2"})).await.unwrap();
    assert_eq!((&page["TotalCount"], page["SecurityGroupSet"].as_array().unwrap().len()), (&json!(3), 1));
    for (params, names) in [
        (json!({"Product": "redis", "ProjectId": project}), vec!["three"]),
        (json!({"Product": "redis", "SearchKey": one}), vec!["first"]),
        (json!({"Product": "redis", "SearchKey": "none"}), vec![]),
    ] {
        let answer = site.call("DescribeProjectSecurityGroups", params).await.unwrap();
        let got = answer["Groups"].as_array().unwrap().iter().map(|it| it["SecurityGroupName"].as_str().unwrap());
        assert_eq!((got.collect::<Vec<_>>(), &answer["Total"]), (names.clone(), &json!(names.len())));
    }
    let answer = site.call("DescribeProjectSecurityGroup", json!({"ProjectId": project})).await.unwrap();
    assert_eq!(answer["SecurityGroupDetails"][0]["SecurityGroupName"], "three");
    site.call("DeleteSecurityGroup", json!({"SecurityGroupId": one})).await.unwrap();
    check(json!({}), 2, &["three", "two"]).await;
}

#[tokio::test]
async fn the_groups_of_an_instance_are_shown_and_go_with_it() {
    let site = Site::new();
    let id = site.create().await;
    let details = async || {
        let params = json!({"InstanceIds": [id.as_str(), "crs-00000000", "nonsense"]});
        site.call("DescribeInstanceSecurityGroup", params).await.unwrap()["InstanceSecurityGroupsDetail"].clone()
    };
    assert_eq!(details().await, json!([{"InstanceId": id.as_str(), "SecurityGroupDetails": []}]));
    let one = group(&site, "one").await;
    set_rules(&site, &one, &[rule("ACCEPT", "127.0.0.1")]).await;
    put_into(&site, &id, &[&one]).await;
    let rule = json!({"Action": "ACCEPT", "Ip": "127.0.0.1", "Port": "6379", "Proto": "TCP"});
    assert_eq!(details().await[0]["SecurityGroupDetails"][0]["InboundRule"], json!([rule]));
    let params = json!({"Product": "redis", "InstanceId": id.as_str()});
    let answer = site.call("DescribeDBSecurityGroups", params).await.unwrap();
    assert_eq!(answer["Groups"][0]["Inbound"][0]["CidrIp"], "127.0.0.1");
    assert_eq!(answer["VPort"], "6379");
    site.run("DestroyPostpaidInstance", &id).await;
    assert_eq!(sources(&site, &id).unwrap(), ["+127.0.0.1/32"]);
    site.run("CleanUpInstance", &id).await;
    assert_eq!(details().await, json!([]));
    site.call("DeleteSecurityGroup", json!({"SecurityGroupId": one})).await.unwrap();
}

#[tokio::test]
async fn a_gateway_that_has_kept_less_of_a_table_than_there_is_gets_it_under_another_number() {
    let site = Site::new();
    let id = site.create().await;
    // As one of a former release keeps it.
    site.gateway.table.lock().unwrap().routes[0].limits = model::Limits::default();
    crate::fleet::put_routes_in_force(&site.cx).await.unwrap();
    let table = site.gateway.table.lock().unwrap().clone();
    assert_eq!((&table.routes[0].instance, table.routes[0].limits.connections), (&id, Some(10_000)));
}
