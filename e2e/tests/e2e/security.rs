//! Who may connect: security groups, through the clients that define and attach them, and on the real connections.

use e2e::{Client, Instance, Service, Writers, pause, run, wait_for};
use serde_json::{Value, json};
use std::time::Duration;

/// Calls an action of the vpc product that has to succeed.
fn vpc(client: &mut Client, action: &str, params: Value) -> Value {
    let answer = client.call_product("vpc", "2017-03-12", action, params.clone());
    answer.unwrap_or_else(|refusal| panic!("{action} {params} was refused: {refusal:?}"))
}

fn create_group(client: &mut Client, name: &str) -> String {
    let answer = vpc(client, "CreateSecurityGroup", json!({ "GroupName": name, "GroupDescription": "said of it" }));
    answer["SecurityGroup"]["SecurityGroupId"].as_str().expect("an id").to_owned()
}

fn rule(action: &str, cidr: &str) -> Value {
    json!({ "Action": action, "Protocol": "TCP", "Port": "6379", "CidrBlock": cidr })
}

fn set_rules(client: &mut Client, group: &str, rules: &[Value]) {
    let set = json!({ "Ingress": rules, "Egress": [] });
    let params = json!({ "SecurityGroupId": group, "SecurityGroupPolicySet": set });
    vpc(client, "ModifySecurityGroupPolicies", params);
}

fn is_let_in(instance: &Instance) -> bool {
    instance.run::<String>(&["PING"]).is_ok_and(|answer| answer == "PONG")
}

fn wait_until_let_in(instance: &Instance, wanted: bool) {
    wait_for(&format!("127.0.0.1 to be let in: {wanted}"), || (is_let_in(instance) == wanted).then_some(()));
}

#[test]
fn an_instance_is_reached_by_whom_a_rule_accepts_as_soon_as_it_does() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let group = create_group(&mut client, "office");
    let instance = Instance::create_with(&mut client, json!({ "SecurityGroupIdList": [group] }));
    assert!(!is_let_in(&instance), "a group without rules accepts nobody");
    set_rules(&mut client, &group, &[rule("ACCEPT", "127.0.0.1")]);
    wait_until_let_in(&instance, true);

    let mut open = instance.connect().expect("connect");
    run::<()>(&mut open, &["SET", "name", "value"]).expect("SET");
    set_rules(&mut client, &group, &[rule("DROP", "127.0.0.0/8"), rule("ACCEPT", "0.0.0.0/0")]);
    wait_until_let_in(&instance, false);
    wait_for("the open connection to be ended", || run::<String>(&mut open, &["PING"]).is_err().then_some(()));

    let members = json!({ "Product": "redis", "SecurityGroupId": group, "InstanceIds": [instance.id] });
    client.done("DisassociateSecurityGroups", members.clone());
    wait_until_let_in(&instance, true);
    assert_eq!(instance.run::<String>(&["GET", "name"]).expect("GET"), "value");
    client.done("AssociateSecurityGroups", members);
    wait_until_let_in(&instance, false);
    let none = json!({ "Product": "redis", "InstanceId": instance.id, "SecurityGroupIds": [] });
    client.done("ModifyDBInstanceSecurityGroups", none);
    wait_until_let_in(&instance, true);
}

#[test]
fn whoever_is_accepted_before_and_after_writes_on_while_rules_and_groups_change() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let (first, second) = (create_group(&mut client, "first"), create_group(&mut client, "second"));
    let instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    let groups = |groups: Value| json!({ "Product": "redis", "InstanceId": instance.id, "SecurityGroupIds": groups });
    set_rules(&mut client, &first, &[rule("ACCEPT", "127.0.0.0/8")]);
    set_rules(&mut client, &second, &[rule("DROP", "10.0.0.0/8"), rule("ACCEPT", "127.0.0.1")]);
    let writers = Writers::start(&instance);
    for round in 0..10 {
        client.done("ModifyDBInstanceSecurityGroups", groups(json!([first])));
        set_rules(&mut client, &first, &[rule("DROP", &format!("10.0.{round}.0/24")), rule("ACCEPT", "127.0.0.0/8")]);
        client.done("ModifyDBInstanceSecurityGroups", groups(json!([second, first])));
        let one = json!({ "Ingress": [rule("ACCEPT", &format!("192.168.{round}.0/24"))] });
        let params = json!({ "SecurityGroupId": second, "SecurityGroupPolicySet": one });
        vpc(&mut client, "CreateSecurityGroupPolicies", params);
        client.done("ModifyDBInstanceSecurityGroups", groups(json!([])));
        pause(Duration::from_millis(20));
    }
    let account = writers.finish().expect("read back");
    assert!(account.acknowledged > 0, "nothing was written: {account:?}");
    assert_eq!((account.missing, account.repeated), (0, 0), "{account:?}");
    assert!(account.errors.is_empty(), "who is accepted noticed: {account:?}");
}

/// Defines, attaches and deletes a group; the answers of tccli and Node are held against the interface as they come.
fn walk_through(client: &mut Client, instance: &Instance) {
    let group = create_group(client, "office");
    let set = json!({ "Ingress": [rule("ACCEPT", "10.0.0.0/8"), rule("DROP", "0.0.0.0/0")] });
    let with = |set: Value| json!({ "SecurityGroupId": group, "SecurityGroupPolicySet": set });
    vpc(client, "CreateSecurityGroupPolicies", with(set));
    let mut other = rule("ACCEPT", "10.1.0.0/16");
    other["PolicyIndex"] = json!(0);
    vpc(client, "ReplaceSecurityGroupPolicies", with(json!({ "Ingress": [other], "Version": "2" })));
    let listed = vpc(client, "DescribeSecurityGroupPolicies", json!({ "SecurityGroupId": group }));
    let set = &listed["SecurityGroupPolicySet"];
    assert_eq!((&set["Version"], &set["Ingress"][0]["CidrBlock"]), (&json!("3"), &json!("10.1.0.0/16")));
    vpc(client, "DeleteSecurityGroupPolicies", with(json!({ "Ingress": [{ "PolicyIndex": 1 }] })));
    let renamed = json!({ "SecurityGroupId": group, "GroupDescription": "the office's" });
    vpc(client, "ModifySecurityGroupAttribute", renamed);
    let groups = vpc(client, "DescribeSecurityGroups", json!({ "SecurityGroupIds": [group] }));
    assert_eq!(groups["SecurityGroupSet"][0]["SecurityGroupDesc"], "the office's");

    let members = json!({ "Product": "redis", "SecurityGroupId": group, "InstanceIds": [instance.id] });
    client.done("AssociateSecurityGroups", members.clone());
    let of_instance = client.done("DescribeDBSecurityGroups", json!({ "Product": "redis", "InstanceId": instance.id }));
    assert_eq!(of_instance["Groups"][0]["Inbound"][0]["CidrIp"], "10.1.0.0/16");
    let detail = client.done("DescribeInstanceSecurityGroup", json!({ "InstanceIds": [instance.id] }));
    let details = &detail["InstanceSecurityGroupsDetail"][0]["SecurityGroupDetails"];
    assert_eq!(details[0]["SecurityGroupId"], json!(group));
    client.done("DescribeProjectSecurityGroup", json!({ "SecurityGroupId": group }));
    let of_project = client.done("DescribeProjectSecurityGroups", json!({ "Product": "redis", "ProjectId": 0 }));
    assert_eq!(of_project["Total"], 1);
    let used = client.call_product("vpc", "2017-03-12", "DeleteSecurityGroup", json!({ "SecurityGroupId": group }));
    assert_eq!(used.expect_err("it is in use").code, "ResourceInUse");
    client.done("DisassociateSecurityGroups", members);
    vpc(client, "DeleteSecurityGroup", json!({ "SecurityGroupId": group }));
    let detail = client.done("DescribeInstanceSecurityGroup", json!({ "InstanceIds": [instance.id] }));
    assert_eq!(detail["InstanceSecurityGroupsDetail"][0]["SecurityGroupDetails"], json!([]));
}

#[test]
fn every_client_defines_groups_and_attaches_them() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    walk_through(&mut client, &instance);
    client.settings.untyped = true;
    walk_through(&mut client, &instance);
    walk_through(&mut Client::node(&service), &instance);
    walk_through(&mut Client::tccli(&service), &instance);
}
