//! Projects and tags, through the clients that have them.

use e2e::{Client, Instance, Service};
use serde_json::{Value, json};

/// Calls an action of the tag product that has to succeed.
fn tag(client: &mut Client, action: &str, params: Value) -> Value {
    let answer = client.call_product("tag", "2018-08-13", action, params.clone());
    answer.unwrap_or_else(|refusal| panic!("{action} {params} was refused: {refusal:?}"))
}

fn check_projects(client: &mut Client, instance: &Instance, name: &str) {
    let project = tag(client, "AddProject", json!({ "ProjectName": name }))["ProjectId"].clone();
    tag(client, "UpdateProject", json!({ "ProjectId": project, "Info": "said of it" }));
    let params = json!({ "AllList": 1, "Limit": 1000, "Offset": 0, "ProjectId": project });
    let listed = tag(client, "DescribeProjects", params);
    let row = &listed["Projects"][0];
    assert_eq!((&row["ProjectName"], &row["ProjectInfo"]), (&json!(name), &json!("said of it")));
    let move_to =
        |project: &Value| json!({ "Operation": "modifyProject", "InstanceIds": [instance.id], "ProjectId": project });
    client.done("ModifyInstance", move_to(&project));
    let reset = json!({ "InstanceId": instance.id, "Password": instance.password });
    let task = client.done("ResetPassword", reset);
    e2e::wait_for_task(client, &task);
    assert_eq!(instance.describe(client).expect("its row")["ProjectName"], name);
    client.done("ModifyInstance", move_to(&json!(0)));
    let tasks = client.done("DescribeTaskList", json!({ "ProjectIds": [project] }));
    assert_eq!((&tasks["TotalCount"], &tasks["Tasks"][0]["TaskId"]), (&json!(1), &task["TaskId"]));
    let refusal = client.refused("ModifyInstance", move_to(&json!(4_000_000)));
    assert_eq!(refusal.code, "InvalidParameterValue");
}

fn check_tags(client: &mut Client, instance: &Instance) {
    let resource = format!("qcs::redis:ap-guangzhou:uin/:instance/{}", instance.id);
    let put = json!([{ "TagKey": "team", "TagValue": "a" }, { "TagKey": "env", "TagValue": "test" }]);
    let answer = tag(client, "TagResources", json!({ "ResourceList": [resource], "Tags": put }));
    assert_eq!(answer["FailedResources"], json!([]));
    let changed = json!({
        "Resource": resource,
        "ReplaceTags": [{ "TagKey": "team", "TagValue": "b" }],
        "DeleteTags": [{ "TagKey": "env" }],
    });
    tag(client, "ModifyResourceTags", changed);
    let of = |service: &str, prefix: &str| {
        json!({
            "ServiceType": service, "ResourcePrefix": prefix, "ResourceIds": [instance.id],
            "ResourceRegion": "ap-guangzhou", "Limit": 20,
        })
    };
    let tags = tag(client, "DescribeResourceTagsByResourceIds", of("redis", "instance"));
    let row = &tags["Tags"][0];
    assert_eq!((&row["TagKey"], &row["TagValue"], &tags["TotalCount"]), (&json!("team"), &json!("b"), &json!(1)));
    let none = tag(client, "DescribeResourceTagsByResourceIds", of("vpc", "subnet"));
    assert_eq!(none["Tags"], json!([]));
    let of_row = instance.describe(client).expect("its row")["InstanceTags"].clone();
    assert_eq!((&of_row[0]["TagKey"], &of_row[0]["TagValue"]), (&json!("team"), &json!("b")));
    let filter = json!([{ "TagKey": "team", "TagValue": ["b", "c"] }]);
    let found = tag(client, "GetResources", json!({ "TagFilters": filter }));
    let name = found["ResourceTagMappingList"][0]["Resource"].as_str().expect("a name");
    assert!(name.ends_with(&format!(":instance/{}", instance.id)), "{name}");
    tag(client, "UnTagResources", json!({ "ResourceList": [resource], "TagKeys": ["team"] }));
    assert_eq!(instance.describe(client).expect("its row")["InstanceTags"], json!([]));
}

#[test]
fn every_client_sorts_instances_into_projects_and_tags_them() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    check_projects(&mut client, &instance, "python");
    check_tags(&mut client, &instance);
    client.settings.untyped = true;
    check_projects(&mut client, &instance, "common");
    check_tags(&mut client, &instance);
    assert_eq!(tag(&mut client, "CreateProject", json!({ "ProjectName": "by another name" }))["IsNew"], 1);
    let mut node = Client::node(&service);
    check_projects(&mut node, &instance, "node");
    check_tags(&mut node, &instance);
    let mut tccli = Client::tccli(&service);
    check_projects(&mut tccli, &instance, "tccli");
    check_tags(&mut tccli, &instance);
}
