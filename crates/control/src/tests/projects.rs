//! Projects and tags: what is made of them, and what is refused.

use flow::harness::NoProbe;
use model::InstanceId;
use serde_json::{Value, json};

use super::site::{PASSWORD, Site, order};

async fn project(site: &Site, name: &str) -> i64 {
    let answer = site.call("AddProject", json!({"ProjectName": name, "Info": "said of it"})).await.unwrap();
    assert_eq!(answer["IsNew"], 1);
    answer["ProjectId"].as_i64().unwrap()
}

async fn row(site: &Site, id: &InstanceId) -> Value {
    site.call("DescribeInstances", json!({"InstanceId": id.as_str()})).await.unwrap()["InstanceSet"][0].clone()
}

async fn move_to(site: &Site, id: &InstanceId, project: i64) {
    let params = json!({"Operation": "modifyProject", "InstanceIds": [id.as_str()], "ProjectId": project});
    site.call("ModifyInstance", params).await.unwrap();
}

/// The names of the projects listed.
async fn listed(site: &Site, changes: Value) -> Vec<String> {
    let mut params = json!({"AllList": 0, "Limit": 1000, "Offset": 0});
    params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let answer = site.call("DescribeProjects", params).await.unwrap();
    let names = answer["Projects"].as_array().unwrap().iter().map(|it| it["ProjectName"].as_str().unwrap().to_owned());
    names.collect()
}

fn named(id: &InstanceId) -> String {
    format!("qcs::redis:ap-guangzhou:uin/:instance/{id}")
}

/// The tags of an instance, as DescribeInstances and the tag product agree on: `key=value`.
async fn tags(site: &Site, id: &InstanceId) -> Vec<String> {
    let show = |tag: &Value| format!("{}={}", tag["TagKey"].as_str().unwrap(), tag["TagValue"].as_str().unwrap());
    let row = row(site, id).await;
    let of_row: Vec<_> = row["InstanceTags"].as_array().unwrap().iter().map(show).collect();
    let params = json!({
        "ServiceType": "redis", "ResourcePrefix": "instance", "ResourceIds": [id.as_str()],
        "ResourceRegion": "ap-guangzhou", "Limit": 20,
    });
    let answer = site.call("DescribeResourceTagsByResourceIds", params).await.unwrap();
    let of_product: Vec<_> = answer["Tags"].as_array().unwrap().iter().map(show).collect();
    assert_eq!(of_row, of_product);
    assert_eq!(answer["TotalCount"], of_product.len());
    of_row
}

#[tokio::test]
async fn projects_are_added_changed_and_listed() {
    let site = Site::new();
    let (one, two) = (project(&site, "one").await, project(&site, "two").await);
    assert_eq!(site.call("CreateProject", json!({"ProjectName": "three"})).await.unwrap()["ProjectId"], two + 1);
    assert_eq!(listed(&site, json!({})).await, ["one", "two", "three"]);
    assert_eq!(listed(&site, json!({"Limit": 1, "Offset": 1})).await, ["two"]);
    assert_eq!(listed(&site, json!({"ProjectId": one})).await, ["one"]);
    assert_eq!(listed(&site, json!({"ProjectName": "two"})).await, ["two"]);
    site.call("UpdateProject", json!({"ProjectId": one, "ProjectName": "first", "Disable": 1})).await.unwrap();
    assert_eq!(listed(&site, json!({})).await, ["two", "three"]);
    assert_eq!(listed(&site, json!({"AllList": 1})).await, ["first", "two", "three"]);
    let params = json!({"AllList": 1, "Limit": 1, "Offset": 0});
    let answer = site.call("DescribeProjects", params).await.unwrap();
    let first = &answer["Projects"][0];
    assert_eq!((&answer["Total"], &first["ProjectInfo"]), (&json!(3), &json!("said of it")));
    assert_eq!(first["CreatorUin"], 100_000_000_001_i64);
    site.call("UpdateProject", json!({"ProjectId": one, "Disable": 0, "Info": ""})).await.unwrap();
    assert_eq!(listed(&site, json!({})).await, ["first", "two", "three"]);
}

#[tokio::test]
async fn an_instance_comes_to_a_project_that_there_is_and_its_tasks_keep_theirs() {
    let site = Site::new();
    let (one, two) = (project(&site, "one").await, project(&site, "two").await);
    let mut params = order();
    params["ProjectId"] = json!(one);
    let answer = site.call("CreateInstances", params).await.unwrap();
    site.settle(&NoProbe).await;
    let id = InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap();
    assert_eq!(
        (&row(&site, &id).await["ProjectId"], &row(&site, &id).await["ProjectName"]),
        (&json!(one), &json!("one"))
    );
    move_to(&site, &id, two).await;
    assert_eq!(row(&site, &id).await["ProjectName"], "two");
    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await.unwrap();
    move_to(&site, &id, 0).await;
    assert_eq!((&row(&site, &id).await["ProjectId"], &row(&site, &id).await["ProjectName"]), (&json!(0), &json!("")));
    site.settle(&NoProbe).await;
    site.run("DestroyPostpaidInstance", &id).await;
    for (project, kinds) in [(one, vec!["001"]), (two, vec!["007"]), (0, vec!["003"]), (99, vec![])] {
        let answer = site.call("DescribeTaskList", json!({"ProjectIds": [project]})).await.unwrap();
        let tasks = answer["Tasks"].as_array().unwrap();
        let got: Vec<_> = tasks.iter().map(|task| task["TaskType"].as_str().unwrap()).collect();
        assert_eq!(got, kinds, "project {project}");
        assert!(tasks.iter().all(|task| task["ProjectId"] == project), "project {project}");
    }
    let both = site.call("DescribeTaskList", json!({"ProjectIds": [one, two]})).await.unwrap();
    assert_eq!(both["TotalCount"], 2);
}

#[tokio::test]
async fn an_instance_of_a_project_that_is_in_no_table_is_shown_all_the_same() {
    let site = Site::new();
    let id = site.create().await;
    let older = id.clone();
    site.cx.ledger.write(move |tx| ledger::set_project(tx, &older, 77)).await.unwrap();
    let row = row(&site, &id).await;
    assert_eq!((&row["ProjectId"], &row["ProjectName"]), (&json!(77), &json!("")));
    let found = site.call("DescribeInstances", json!({"ProjectIds": [77]})).await.unwrap();
    assert_eq!(found["TotalCount"], 1);
    site.run("DestroyPostpaidInstance", &id).await;
    let tasks = site.call("DescribeTaskList", json!({"ProjectIds": [77]})).await.unwrap();
    assert_eq!(tasks["TotalCount"], 1);
}

#[tokio::test]
async fn tags_are_put_on_changed_and_taken_off_as_instances_show_them() {
    let site = Site::new();
    let mut params = order();
    params["ResourceTags"] = json!([{"TagKey": "team", "TagValue": "a"}]);
    let answer = site.call("CreateInstances", params).await.unwrap();
    site.settle(&NoProbe).await;
    let one = InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap();
    let two = site.create().await;
    let changed = json!({
        "Resource": named(&one),
        "ReplaceTags": [{"TagKey": "team", "TagValue": "b"}, {"TagKey": "env", "TagValue": ""}],
        "DeleteTags": [{"TagKey": "absent"}],
    });
    site.call("ModifyResourceTags", changed).await.unwrap();
    assert_eq!(tags(&site, &one).await, ["env=", "team=b"]);
    let uin = format!("qcs::redis:ap-guangzhou:uin/100000000001:instance/{one}");
    let removed = json!({"Resource": uin, "DeleteTags": [{"TagKey": "env"}]});
    site.call("ModifyResourceTags", removed).await.unwrap();
    assert_eq!(tags(&site, &one).await, ["team=b"]);

    let absent = "qcs::redis:ap-guangzhou:uin/:instance/crs-00000000";
    let resources = json!([named(&one), absent, "qcs::cvm:ap-guangzhou:uin/:instance/ins-1", named(&two), "nonsense"]);
    let put = json!({"ResourceList": resources, "Tags": [{"TagKey": "zone", "TagValue": "3"}]});
    let answer = site.call("TagResources", put).await.unwrap();
    let failed: Vec<_> = answer["FailedResources"].as_array().unwrap().iter().map(|it| &it["Code"]).collect();
    let codes = [
        "InvalidParameterValue.ResourceIdInvalid",
        "InvalidParameter.UnsupportedService",
        "InvalidParameterValue.ResourceDescriptionError",
    ];
    assert_eq!(failed, codes);
    assert_eq!(answer["FailedResources"][0]["Resource"], absent);
    assert_eq!(
        (tags(&site, &one).await, tags(&site, &two).await),
        (vec!["team=b".into(), "zone=3".into()], vec!["zone=3".into()])
    );
    for (filter, found) in [
        (json!({"InstanceTags": [{"TagKey": "zone", "TagValue": "3"}]}), 2),
        (json!({"InstanceTags": [{"TagKey": "zone", "TagValue": "3"}, {"TagKey": "team", "TagValue": "b"}]}), 1),
        (json!({"TagKeys": ["team"]}), 1),
        (json!({"TagKeys": ["env"]}), 0),
    ] {
        let answer = site.call("DescribeInstances", filter.clone()).await.unwrap();
        assert_eq!(answer["TotalCount"], found, "{filter}");
    }
    let off = json!({"ResourceList": [named(&one), named(&two)], "TagKeys": ["zone", "absent"]});
    assert_eq!(site.call("UnTagResources", off).await.unwrap()["FailedResources"], json!([]));
    assert_eq!((tags(&site, &one).await, tags(&site, &two).await), (vec!["team=b".to_owned()], vec![]));
}

#[tokio::test]
async fn resources_are_found_by_their_tags_page_by_page() {
    let site = Site::new();
    let mut ids = [site.create().await, site.create().await, site.create().await];
    let without = site.create().await;
    ids.sort();
    for (index, id) in ids.iter().enumerate() {
        let all = json!([{"TagKey": "team", "TagValue": "a"}, {"TagKey": "nr", "TagValue": index.to_string()}]);
        site.call("TagResources", json!({"ResourceList": [named(id)], "Tags": all})).await.unwrap();
    }
    let full = |id: &InstanceId| format!("qcs::redis:ap-guangzhou:uin/100000000001:instance/{id}");
    let find = async |params: Value| {
        let answer = site.call("GetResources", params).await.unwrap();
        let found = answer["ResourceTagMappingList"].as_array().unwrap().clone();
        let names: Vec<_> = found.iter().map(|it| it["Resource"].as_str().unwrap().to_owned()).collect();
        (names, answer["PaginationToken"].as_str().unwrap().to_owned())
    };
    let all: Vec<_> = ids.iter().map(full).collect();
    assert_eq!(find(json!({})).await, (all.clone(), String::new()));
    let (page, token) = find(json!({"MaxResults": 2})).await;
    assert_eq!(page, all[..2]);
    assert_eq!(find(json!({"MaxResults": 2, "PaginationToken": token})).await, (all[2..].to_vec(), String::new()));
    let filters = |filters: Value| json!({"TagFilters": filters});
    let by_value = filters(json!([{"TagKey": "team"}, {"TagKey": "nr", "TagValue": ["1", "2", "7"]}]));
    assert_eq!(find(by_value).await.0, all[1..]);
    assert_eq!(find(filters(json!([{"TagKey": "colour"}]))).await.0, [""; 0]);
    let listed = json!({"ResourceList": [full(&ids[2]), named(&without), "qcs::vpc:ap-guangzhou:uin/:vpc/vpc-1"]});
    assert_eq!(find(listed).await.0, all[2..]);
    let elsewhere = json!({"ResourceList": ["qcs::vpc:ap-beijing:uin/:subnet/subnet-1"]});
    assert_eq!(find(elsewhere).await.0, [""; 0]);
    for (service, prefix, region) in
        [("vpc", "vpc", "ap-guangzhou"), ("redis", "group", "ap-guangzhou"), ("redis", "instance", "ap-beijing")]
    {
        let params = json!({
            "ServiceType": service, "ResourcePrefix": prefix, "ResourceIds": [ids[0].as_str()], "ResourceRegion": region,
        });
        let answer = site.call("DescribeResourceTagsByResourceIds", params).await.unwrap();
        assert_eq!((&answer["TotalCount"], &answer["Tags"]), (&json!(0), &json!([])), "{service} {prefix} {region}");
    }
    let params = json!({
        "ServiceType": "redis", "ResourcePrefix": "instance", "ResourceIds": ids.iter().map(InstanceId::as_str).collect::<Vec<_>>(),
        "ResourceRegion": "ap-guangzhou", "Offset": 4, "Limit": 4,
    });
    let answer = site.call("DescribeResourceTagsByResourceIds", params).await.unwrap();
    assert_eq!((&answer["TotalCount"], answer["Tags"].as_array().unwrap().len()), (&json!(6), 2));
    assert_eq!(answer["Tags"][1]["ResourceId"], ids[2].as_str());
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_code_and_changes_nothing() {
    let site = Site::new();
    let id = site.create().await;
    let (one, off) = (project(&site, "one").await, project(&site, "off").await);
    site.call("UpdateProject", json!({"ProjectId": off, "Disable": 1})).await.unwrap();
    let fifty = |from: usize| -> Vec<Value> {
        (from..from + 10).map(|n| json!({"TagKey": format!("key-{n:02}"), "TagValue": "x"})).collect()
    };
    for from in [0, 10, 20, 30, 40] {
        site.call("TagResources", json!({"ResourceList": [named(&id)], "Tags": fifty(from)})).await.unwrap();
    }
    let ordered = |project: i64| {
        let mut params = order();
        params["ProjectId"] = json!(project);
        params
    };
    let moved =
        |project: i64| json!({"Operation": "modifyProject", "InstanceIds": [id.as_str()], "ProjectId": project});
    let tag = |key: &str, value: &str| json!({"TagKey": key, "TagValue": value});
    let put = |tags: Value| json!({"Resource": named(&id), "ReplaceTags": tags});
    let on = |resource: &str| json!({"Resource": resource, "ReplaceTags": [tag("a", "b")]});
    let list = json!({"AllList": 0, "Limit": 1000, "Offset": 0});
    let with = |name: &str, value: Value| {
        let mut params = list.clone();
        params[name] = value;
        params
    };
    let ids = |changes: Value| {
        let mut params = json!({
            "ServiceType": "redis", "ResourcePrefix": "instance", "ResourceIds": ["crs-1"], "ResourceRegion": "",
        });
        params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        params
    };
    let cases = [
        ("CreateInstances", ordered(off + 1), "InvalidParameterValue"),
        ("CreateInstances", ordered(off), "InvalidParameterValue"),
        ("CreateInstances", ordered(-1), "InvalidParameterValue"),
        ("ModifyInstance", moved(off + 1), "InvalidParameterValue"),
        ("ModifyInstance", moved(off), "InvalidParameterValue"),
        ("AddProject", json!({"ProjectName": "one"}), "InvalidParameter.ProjectNameExisted"),
        ("AddProject", json!({"ProjectName": ""}), "InvalidParameterValue"),
        ("AddProject", json!({"ProjectName": "x", "Info": "x".repeat(256)}), "InvalidParameterValue"),
        ("UpdateProject", json!({"ProjectId": one, "ProjectName": "off"}), "InvalidParameter.ProjectNameExisted"),
        ("UpdateProject", json!({"ProjectId": 0, "ProjectName": "zero"}), "ResourceNotFound.RecordNotFound"),
        ("UpdateProject", json!({"ProjectId": u64::MAX}), "ResourceNotFound.RecordNotFound"),
        ("UpdateProject", json!({"ProjectId": one, "Disable": 2}), "InvalidParameterValue"),
        ("DescribeProjects", with("AllList", json!(2)), "InvalidParameterValue"),
        ("DescribeProjects", with("Limit", json!(0)), "InvalidParameterValue"),
        ("ModifyResourceTags", json!({"Resource": named(&id)}), "MissingParameter"),
        ("ModifyResourceTags", put(json!([])), "MissingParameter"),
        ("ModifyResourceTags", put(json!([tag("new", "")])), "LimitExceeded.ResourceAttachedTags"),
        ("ModifyResourceTags", put(json!([tag("", "")])), "InvalidParameterValue.TagKeyEmpty"),
        ("ModifyResourceTags", put(json!([tag(&"k".repeat(128), "")])), "InvalidParameterValue.TagKeyLengthExceeded"),
        (
            "ModifyResourceTags",
            put(json!([tag("k", &"v".repeat(256))])),
            "InvalidParameterValue.TagValueLengthExceeded",
        ),
        ("ModifyResourceTags", put(json!([tag("k\n", "")])), "InvalidParameterValue.TagKeyCharacterIllegal"),
        ("ModifyResourceTags", put(json!([tag("k", "\t")])), "InvalidParameterValue.TagValueCharacterIllegal"),
        ("ModifyResourceTags", put(json!([tag("k", ""), tag("k", "x")])), "InvalidParameterValue.TagKeyDuplicate"),
        ("ModifyResourceTags", put(json!(vec![tag("k", ""); 11])), "LimitExceeded.TagNumPerRequest"),
        (
            "ModifyResourceTags",
            json!({"Resource": named(&id), "ReplaceTags": [tag("key-01", "y")], "DeleteTags": [{"TagKey": "key-01"}]}),
            "InvalidParameterValue.DeleteTagsParamError",
        ),
        ("ModifyResourceTags", on("instance"), "InvalidParameterValue.ResourceDescriptionError"),
        (
            "ModifyResourceTags",
            on("qcs::redis:ap-guangzhou:uin/1:instance/crs-12345678"),
            "InvalidParameterValue.UinInvalid",
        ),
        (
            "ModifyResourceTags",
            on("qcs::redis:ap-beijing:uin/:instance/crs-12345678"),
            "InvalidParameterValue.RegionInvalid",
        ),
        (
            "ModifyResourceTags",
            on("qcs::redis:ap-guangzhou:uin/:group/crs-12345678"),
            "InvalidParameterValue.ResourcePrefixInvalid",
        ),
        (
            "ModifyResourceTags",
            on("qcs::redis:ap-guangzhou:uin/:instance/crs-12345678"),
            "InvalidParameterValue.ResourceIdInvalid",
        ),
        ("ModifyResourceTags", on("qcs::vpc:ap-guangzhou:uin/:vpc/vpc-1"), "InvalidParameter.UnsupportedService"),
        (
            "TagResources",
            json!({"ResourceList": vec![named(&id); 11], "Tags": [tag("a", "b")]}),
            "LimitExceeded.ResourceNumPerRequest",
        ),
        ("UnTagResources", json!({"ResourceList": [], "TagKeys": ["a"]}), "MissingParameter"),
        ("GetResources", json!({"ResourceList": ["nonsense"]}), "InvalidParameterValue.ResourceDescriptionError"),
        ("GetResources", json!({"MaxResults": 201}), "InvalidParameterValue"),
        ("GetResources", json!({"PaginationToken": "x"}), "InvalidParameter.PaginationTokenInvalid"),
        (
            "GetResources",
            json!({"TagFilters": vec![json!({"TagKey": "a"}); 7]}),
            "InvalidParameterValue.TagFiltersLengthExceeded",
        ),
        ("DescribeResourceTagsByResourceIds", ids(json!({"ResourceIds": []})), "InvalidParameterValue"),
        ("DescribeResourceTagsByResourceIds", ids(json!({"Offset": 1})), "InvalidParameterValue.OffsetInvalid"),
        ("DescribeResourceTagsByResourceIds", ids(json!({"Limit": 0})), "InvalidParameterValue"),
    ];
    let state = async || {
        let instances = site.call("DescribeInstances", json!({})).await.unwrap();
        let projects = site.call("DescribeProjects", with("AllList", json!(1))).await.unwrap();
        (instances, projects)
    };
    let before = state().await;
    for (action, params, code) in cases {
        let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
        assert_eq!(error.code, code, "{action} {params}: {error}");
        assert!(state().await == before, "{action} {params} changed something");
    }
    let answer = site.call("TagResources", json!({"ResourceList": [named(&id)], "Tags": fifty(45)})).await.unwrap();
    assert_eq!(answer["FailedResources"][0]["Code"], "LimitExceeded.ResourceAttachedTags");
    assert!(state().await == before, "what failed changed something");
}
