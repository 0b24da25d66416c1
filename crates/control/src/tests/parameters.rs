//! Parameters and templates: what is refused, what is shown, and what becomes of values through an instance's life.

use flow::harness::NoProbe;
use flow::{Clock, End};
use model::InstanceId;
use serde_json::{Value, json};

use super::site::{PASSWORD, Site, order};
use crate::fleet;

const VALUE: &str = "InvalidParameterValue";
const EMPTY: &str = "InvalidParameter.EmptyParam";
const BUSY: &str = "ResourceUnavailable.InstanceLockedError";
const STATE: &str = "ResourceUnavailable.InstanceStateError";
const GONE: &str = "ResourceNotFound.InstanceNotExists";
const MISSING: &str = "MissingParameter";
const OTHER_TYPE: &str = "FailedOperation.UnSupportError";

/// All that a refusal may not change.
fn state(site: &Site) -> String {
    let state = site.cx.ledger.read(|reader| {
        let tasks = ledger::latest_tasks(reader, 100)?;
        let instances = ledger::all_instances(reader)?;
        let mut all = format!("{:?}{tasks:?}", ledger::all_nodes(reader)?);
        for instance in instances {
            let records = ledger::param_records(reader, &instance.id, 100, 0)?;
            all += &format!("{instance:?}{:?}{records:?}", ledger::params_of(reader, &instance.id)?);
        }
        for template in ledger::templates_of(reader, 100_000_000_001)? {
            all += &format!("{:?}", ledger::template(reader, template.account, &template.id)?);
        }
        Ok(all)
    });
    state.unwrap()
}

async fn refused(site: &Site, action: &str, params: Value, code: &str) -> String {
    let before = state(site);
    let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
    assert_eq!(error.code, code, "{action} {params}: {error}");
    assert!(!error.message.en.is_empty() && !error.message.zh.is_empty(), "{action} {params}");
    assert_eq!(state(site), before, "{action} {params}: something was changed");
    error.message.en
}

/// Parameters as requests list them.
fn list(values: &[(&str, &str)]) -> Value {
    values.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}

async fn set(site: &Site, id: &InstanceId, values: &[(&str, &str)]) -> Value {
    let request = json!({"InstanceId": id.as_str(), "InstanceParams": list(values)});
    site.call("ModifyInstanceParams", request).await.unwrap()
}

/// The row of a parameter in one of the four lists.
async fn row(site: &Site, id: &InstanceId, name: &str) -> Value {
    let answer = site.call("DescribeInstanceParams", json!({"InstanceId": id.as_str()})).await.unwrap();
    let lists = ["InstanceEnumParam", "InstanceIntegerParam", "InstanceTextParam", "InstanceMultiParam"];
    let mut rows = lists.iter().flat_map(|list| answer[list].as_array().unwrap());
    rows.find(|row| row["ParamName"] == name).cloned().unwrap_or(Value::Null)
}

async fn value(site: &Site, id: &InstanceId, name: &str) -> String {
    row(site, id, name).await["CurrentValue"].as_str().unwrap().to_owned()
}

async fn create_template(site: &Site, values: &[(&str, &str)]) -> String {
    let request = json!({"Name": "mine", "ProductType": 17, "ParamList": list(values)});
    site.call("CreateParamTemplate", request).await.unwrap()["TemplateId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_cannot_be_set_is_refused_with_its_own_code_and_changes_nothing() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let valkey = {
        let mut params = order();
        params["TypeId"] = json!(19);
        let answer = site.call("CreateInstances", params).await.unwrap();
        assert_eq!(site.settle(&NoProbe).await, [End::Done]);
        answer["InstanceIds"][0].as_str().unwrap().to_owned()
    };
    let template = create_template(&site, &[("hz", "20")]).await;
    let modify = |values: &[(&str, &str)]| json!({"InstanceId": id.as_str(), "InstanceParams": list(values)});
    let create = |extra: Value| {
        let mut request = json!({"Name": "mine"});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        request
    };
    let own = |extra: Value| {
        let mut request = json!({"TemplateId": template});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        request
    };
    let cases = [
        ("ModifyInstanceParams", modify(&[]), EMPTY),
        ("ModifyInstanceParams", modify(&[("sentineauth", "no")]), VALUE),
        ("ModifyInstanceParams", modify(&[("requirepass", "x")]), VALUE),
        ("ModifyInstanceParams", modify(&[("hash-max-listpack-entries", "10")]), VALUE),
        ("ModifyInstanceParams", modify(&[("slave-lazy-flush", "no")]), VALUE),
        ("ModifyInstanceParams", modify(&[("hz", "501")]), VALUE),
        ("ModifyInstanceParams", modify(&[("hz", "ten")]), VALUE),
        ("ModifyInstanceParams", modify(&[("hz", "20"), ("timeout", "-1")]), VALUE),
        ("ModifyInstanceParams", modify(&[("hz", "20"), ("hz", "30")]), VALUE),
        ("ModifyInstanceParams", modify(&[("maxmemory-policy", "lru")]), VALUE),
        ("ModifyInstanceParams", modify(&[("disable-command-list", "get")]), VALUE),
        ("ModifyInstanceParams", json!({"InstanceId": "crs-nowhere1", "InstanceParams": list(&[("hz", "20")])}), GONE),
        ("ModifyInstanceParams", json!({"InstanceId": id.as_str()}), MISSING),
        ("ModifyInstanceParams", json!({"InstanceId": id.as_str(), "InstanceParams": [{"Key": "hz"}]}), MISSING),
        (
            "ModifyInstanceParams",
            json!({"InstanceId": id.as_str(), "InstanceParams": [{"Key": "hz", "Value": 20}]}),
            "InvalidParameter",
        ),
        ("ApplyParamsTemplate", own(json!({"InstanceIds": []})), EMPTY),
        ("ApplyParamsTemplate", own(json!({"InstanceIds": [id.as_str(), id.as_str()]})), VALUE),
        ("ApplyParamsTemplate", own(json!({"InstanceIds": [id.as_str(), "crs-nowhere1"]})), GONE),
        ("ApplyParamsTemplate", own(json!({"InstanceIds": [id.as_str(), valkey]})), OTHER_TYPE),
        ("ApplyParamsTemplate", own(json!({"InstanceIds": vec!["crs-nowhere1"; 101]})), VALUE),
        ("ApplyParamsTemplate", json!({"InstanceIds": [id.as_str()], "TemplateId": "crs-cfg-nowhere1"}), VALUE),
        (
            "ApplyParamsTemplate",
            json!({"InstanceIds": [id.as_str()], "TemplateId": "default-param-template-15"}),
            OTHER_TYPE,
        ),
        ("CreateParamTemplate", create(json!({})), MISSING),
        ("CreateParamTemplate", create(json!({"ProductType": 200})), "InvalidParameterValue.InvalidInstanceTypeId"),
        ("CreateParamTemplate", create(json!({"TemplateId": "crs-cfg-nowhere1"})), VALUE),
        ("CreateParamTemplate", create(json!({"TemplateId": "default-param-template-017"})), VALUE),
        ("CreateParamTemplate", create(json!({"TemplateId": template, "ProductType": 19})), VALUE),
        ("CreateParamTemplate", create(json!({"ProductType": 17, "ParamList": list(&[("hz", "0")])})), VALUE),
        (
            "CreateParamTemplate",
            create(json!({"ProductType": 6, "ParamList": list(&[("replica-lazy-flush", "no")])})),
            VALUE,
        ),
        ("CreateParamTemplate", create(json!({"ProductType": 17, "Description": "x".repeat(256)})), VALUE),
        (
            "CreateParamTemplate",
            json!({"Name": "a b", "ProductType": 17}),
            "InvalidParameterValue.InstanceNameRuleError",
        ),
        ("ModifyParamTemplate", own(json!({})), EMPTY),
        ("ModifyParamTemplate", own(json!({"ParamList": []})), EMPTY),
        ("ModifyParamTemplate", own(json!({"Name": "new", "ParamList": list(&[("hz", "x")])})), VALUE),
        ("ModifyParamTemplate", json!({"TemplateId": "default-param-template-17", "Name": "new"}), VALUE),
        ("ModifyParamTemplate", json!({"TemplateId": "crs-cfg-nowhere1", "Name": "new"}), VALUE),
        ("DeleteParamTemplate", json!({"TemplateId": "default-param-template-17"}), VALUE),
        ("DeleteParamTemplate", json!({"TemplateId": "crs-cfg-nowhere1"}), VALUE),
        ("DescribeParamTemplateInfo", json!({"TemplateId": "default-param-template-1"}), VALUE),
        ("DescribeParamTemplates", json!({"Limit": -1}), VALUE),
        ("DescribeParamTemplates", json!({"TemplateIds": vec!["x"; 51]}), VALUE),
        ("DescribeInstanceParams", json!({"InstanceId": "crs-nowhere1"}), GONE),
        ("DescribeInstanceParamRecords", json!({"InstanceId": "crs-nowhere1"}), GONE),
        ("DescribeInstanceParamRecords", json!({"InstanceId": id.as_str(), "Limit": 0}), VALUE),
    ];
    for (action, params, code) in cases {
        refused(&site, action, params, code).await;
    }
    let message = refused(&site, "ModifyInstanceParams", modify(&[("timeout", "31536001")]), VALUE).await;
    assert!(message.contains("InstanceParams.0.Value") && message.contains("from 0 to 31536000"), "{message}");

    let mut with_template = order();
    with_template["TemplateId"] = json!("crs-cfg-nowhere1");
    refused(&site, "CreateInstances", with_template.clone(), VALUE).await;
    with_template["TemplateId"] = json!("default-param-template-19");
    refused(&site, "CreateInstances", with_template, OTHER_TYPE).await;

    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await.unwrap();
    refused(&site, "ModifyInstanceParams", modify(&[("hz", "20")]), BUSY).await;
    refused(&site, "ApplyParamsTemplate", own(json!({"InstanceIds": [id.as_str()]})), BUSY).await;
    site.settle(&NoProbe).await;
    site.run("DestroyPostpaidInstance", &id).await;
    refused(&site, "ModifyInstanceParams", modify(&[("hz", "20")]), STATE).await;
    refused(&site, "ApplyParamsTemplate", own(json!({"InstanceIds": [id.as_str()]})), STATE).await;
    let status = "ResourceUnavailable.InstanceStatusError";
    refused(&site, "DescribeInstanceParams", json!({"InstanceId": id.as_str()}), status).await;
}

#[tokio::test]
async fn a_template_of_another_account_is_not_there() {
    let site = Site::new();
    let template = create_template(&site, &[]).await;
    let request = json!({"TemplateId": template});
    for action in ["DescribeParamTemplateInfo", "DeleteParamTemplate"] {
        assert!(site.answer(action, request.clone(), 42, site.clock.now()).await.is_err(), "{action}");
    }
}

#[tokio::test]
async fn parameters_are_shown_by_kind_with_what_they_are_now() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let answer = site.call("DescribeInstanceParams", json!({"InstanceId": id.as_str()})).await.unwrap();
    let count: usize = ["InstanceEnumParam", "InstanceIntegerParam", "InstanceTextParam", "InstanceMultiParam"]
        .iter()
        .map(|list| answer[list].as_array().unwrap().len())
        .sum();
    assert_eq!(answer["TotalCount"], count);
    let hz = row(&site, &id, "hz").await;
    assert_eq!(
        (&hz["ValueType"], &hz["NeedRestart"], &hz["DefaultValue"], &hz["CurrentValue"], &hz["Status"]),
        (&json!("integer"), &json!("false"), &json!("10"), &json!("10"), &json!(2))
    );
    assert_eq!((&hz["Min"], &hz["Max"]), (&json!("1"), &json!("500")));
    assert_eq!(row(&site, &id, "io-threads").await["NeedRestart"], "true");
    assert_eq!(row(&site, &id, "maxmemory-policy").await["EnumValue"].as_array().unwrap().len(), 8);
    assert_eq!(row(&site, &id, "slowlog-log-slower-than").await["Unit"], "ms");
    for empty in ["disable-command-list", "notify-keyspace-events"] {
        assert_eq!(value(&site, &id, empty).await, "\"\"", "{empty}");
    }
    // What a node has is shown, not what is wanted of it.
    let said = [("hz".to_owned(), "77".to_owned())];
    site.world.set_settings(&site.primary(&id), &said).unwrap();
    assert_eq!(value(&site, &id, "hz").await, "77");
    site.world.set_silent(&site.primary(&id), true);
    let status = "ResourceUnavailable.InstanceStatusError";
    refused(&site, "DescribeInstanceParams", json!({"InstanceId": id.as_str()}), status).await;
}

#[tokio::test]
async fn what_is_set_is_read_back_and_recorded() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let values = [
        ("hz", "50"),
        ("slowlog-log-slower-than", "25"),
        ("maxmemory-policy", "allkeys-lru"),
        ("notify-keyspace-events", "KEA"),
        ("disable-command-list", "keys,flushall"),
        ("hash-max-ziplist-entries", "256"),
    ];
    let answer = set(&site, &id, &values).await;
    assert_eq!(answer["Changed"], true);
    assert_eq!(row(&site, &id, "hz").await["Status"], 1);
    assert_eq!(row(&site, &id, "timeout").await["Status"], 2);
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("set");
    for (name, wanted) in values {
        let row = row(&site, &id, name).await;
        assert_eq!((&row["CurrentValue"], &row["Status"]), (&json!(wanted), &json!(2)), "{name}");
    }
    let users = site.world.users(&site.primary(&id)).unwrap();
    let default = users.iter().find(|user| user.name == "default").unwrap();
    assert!(default.rules.expose().ends_with(" -keys -flushall"), "{}", default.rules.expose());

    let answer = set(&site, &id, &[("hz", "50"), ("timeout", "31536000")]).await;
    assert_eq!(answer["Changed"], false, "they were so already");
    assert_eq!(site.settle(&NoProbe).await, [End::Done], "there is a task to wait for all the same");
    set(&site, &id, &[("hz", "10"), ("disable-command-list", "\"\"")]).await;
    site.settle(&NoProbe).await;
    site.assert_settled("set back");
    assert_eq!(value(&site, &id, "disable-command-list").await, "\"\"");

    let request = json!({"InstanceId": id.as_str(), "Limit": 2});
    let records = site.call("DescribeInstanceParamRecords", request).await.unwrap();
    assert_eq!(records["TotalCount"], 8);
    let newest = &records["InstanceParamHistory"];
    assert_eq!(newest.as_array().unwrap().len(), 2);
    for (index, name, before, after) in [(0, "disable-command-list", "keys,flushall", "\"\""), (1, "hz", "50", "10")] {
        let record = &newest[index];
        assert_eq!(
            (&record["ParamName"], &record["PreValue"], &record["NewValue"], &record["Status"]),
            (&json!(name), &json!(before), &json!(after), &json!(2)),
            "{record}"
        );
    }
    assert!(site.cx.ledger.read(|reader| ledger::params_of(reader, &id)).unwrap().len() == 4, "defaults are not kept");
}

#[tokio::test]
async fn where_one_node_refuses_no_node_is_changed() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    // A refusal of what it has already could not be undone.
    site.world.set_refuses(&nodes[2].id, "hz", "50");
    set(&site, &id, &[("hz", "50"), ("timeout", "60")]).await;
    let ends = site.settle(&NoProbe).await;
    assert!(matches!(&ends[..], [End::Undone { message, .. }] if message.contains("refuse")), "{ends:?}");
    site.assert_settled("undone");
    for name in ["hz", "timeout"] {
        let wanted = if name == "hz" { "10" } else { "31536000" };
        assert_eq!(value(&site, &id, name).await, wanted);
    }
    let records = site.call("DescribeInstanceParamRecords", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(records["InstanceParamHistory"][0]["Status"], 3, "{records}");
    let done = site.call("RetryTask", json!({"TaskId": site.last_task().0})).await;
    assert!(done.is_ok());
    site.world.set_refuses(&nodes[2].id, "hz", "");
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(value(&site, &id, "hz").await, "50");
}

#[tokio::test]
async fn a_node_that_is_down_takes_the_values_when_it_starts() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    site.world.kill(&nodes[1].id);
    set(&site, &id, &[("hz", "50")]).await;
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    let up = fleet::start_node(&site.cx, &nodes[1].id).await.unwrap();
    site.cx.ledger.write(move |tx| up.note_now(tx)).await.unwrap();
    fleet::attach_replicas(&site.cx, &id).await.unwrap();
    site.assert_settled("started anew");
    assert_eq!(site.world.settings(&nodes[1].id).unwrap()["hz"], "50");
}

#[tokio::test]
async fn a_parameter_that_needs_a_restart_is_set_by_new_nodes() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let (_, before) = fleet::load(&site.cx.ledger, &id).unwrap();
    set(&site, &id, &[("io-threads", "4")]).await;
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("anew");
    let (_, after) = fleet::load(&site.cx.ledger, &id).unwrap();
    assert!(after.iter().all(|node| before.iter().all(|old| old.id != node.id)));
    assert_eq!(value(&site, &id, "io-threads").await, "4");
    // On Valkey 9 it needs none.
    site.world.set_engines(vec![runtime::Engine {
        kind: model::EngineKind::Valkey,
        version: model::EngineVersion::new(9, 1, 0),
    }]);
    let upgrade = json!({"InstanceId": id.as_str(), "TargetInstanceType": "21", "SwitchOption": 2});
    site.call("UpgradeInstanceVersion", upgrade).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("upgraded");
    let row = row(&site, &id, "io-threads").await;
    assert_eq!((&row["NeedRestart"], &row["CurrentValue"]), (&json!("false"), &json!("4")));
    let primary = site.primary(&id);
    set(&site, &id, &[("io-threads", "2")]).await;
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert_eq!(site.primary(&id), primary);
}

#[tokio::test]
async fn no_nodes_are_changed_for_a_parameter_while_others_wait_to_take_over() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let upgrade = json!({"InstanceId": id.as_str(), "TargetInstanceType": "19", "SwitchOption": 1});
    site.call("UpgradeInstanceVersion", upgrade).await.unwrap();
    site.settle(&NoProbe).await;
    let modify = |name: &str| json!({"InstanceId": id.as_str(), "InstanceParams": list(&[(name, "4")])});
    refused(&site, "ModifyInstanceParams", modify("io-threads"), BUSY).await;
    set(&site, &id, &[("hz", "50")]).await;
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    let (_, nodes) = fleet::load(&site.cx.ledger, &id).unwrap();
    assert_eq!(nodes.len(), 6);
    for node in nodes {
        assert_eq!(site.world.settings(&node.id).unwrap()["hz"], "50", "those that wait have it too");
    }
}

#[tokio::test]
async fn an_upgrade_maps_names_anew() {
    let site = Site::new();
    let redis = |major, minor| runtime::Engine {
        kind: model::EngineKind::Redis,
        version: model::EngineVersion::new(major, minor, 0),
    };
    site.world.set_engines(vec![redis(6, 2), redis(7, 0)]);
    let mut params = order();
    params["TypeId"] = json!(6);
    let answer = site.call("CreateInstances", params).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    let id = InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap();
    set(&site, &id, &[("hash-max-ziplist-entries", "100"), ("slave-lazy-flush", "no")]).await;
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("on 6.2");
    assert_eq!(site.world.settings(&site.primary(&id)).unwrap()["hash-max-ziplist-entries"], "100");
    let upgrade = json!({"InstanceId": id.as_str(), "TargetInstanceType": "17", "SwitchOption": 2});
    site.call("UpgradeInstanceVersion", upgrade).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("on 7.0");
    let settings = site.world.settings(&site.primary(&id)).unwrap();
    assert_eq!(settings["hash-max-listpack-entries"], "100");
    assert!(!settings.contains_key("hash-max-ziplist-entries"));
    assert_eq!(value(&site, &id, "hash-max-ziplist-entries").await, "100");
    assert_eq!(value(&site, &id, "replica-lazy-flush").await, "no");
    assert_eq!(row(&site, &id, "slave-lazy-flush").await, Value::Null);
}

#[tokio::test]
async fn a_template_lives_from_its_making_to_its_end() {
    let site = Site::new();
    let info = |id: &str| json!({"TemplateId": id});
    let template = create_template(&site, &[("hz", "20"), ("disable-command-list", "keys")]).await;
    assert!(template.starts_with("crs-cfg-") && template.len() == 16, "{template}");
    let change = json!({"TemplateId": template, "Name": "other", "Description": "for jobs",
        "ParamList": list(&[("timeout", "60"), ("disable-command-list", "\"\"")])});
    site.call("ModifyParamTemplate", change).await.unwrap();
    let shown = site.call("DescribeParamTemplateInfo", info(&template)).await.unwrap();
    assert_eq!(
        (&shown["Name"], &shown["Description"], &shown["ProductType"]),
        (&json!("other"), &json!("for jobs"), &json!(17))
    );
    let items = shown["Items"].as_array().unwrap();
    assert_eq!(shown["TotalCount"], items.len());
    let item = |name: &str| items.iter().find(|item| item["Name"] == name).unwrap();
    assert_eq!(item("hz")["CurrentValue"], "20");
    assert_eq!(item("hz")["Default"], "10");
    assert_eq!(item("timeout")["CurrentValue"], "60");
    assert_eq!(item("disable-command-list")["CurrentValue"], "\"\"");
    assert_eq!(item("io-threads")["NeedReboot"], 1);
    assert_eq!(item("hz")["NeedReboot"], 0);

    let copy = json!({"Name": "copy", "TemplateId": template, "ParamList": list(&[("hz", "30")])});
    let copy = site.call("CreateParamTemplate", copy).await.unwrap()["TemplateId"].as_str().unwrap().to_owned();
    let copied = site.call("DescribeParamTemplateInfo", info(&copy)).await.unwrap();
    let of_copy = |name: &str| {
        copied["Items"].as_array().unwrap().iter().find(|item| item["Name"] == name).unwrap()["CurrentValue"].clone()
    };
    assert_eq!((of_copy("hz"), of_copy("timeout")), (json!("30"), json!("60")));

    let ids = |answer: &Value| -> Vec<String> {
        let items = answer["Items"].as_array().unwrap().iter();
        items.map(|item| item["TemplateId"].as_str().unwrap().to_owned()).collect()
    };
    for (filter, wanted) in [
        (json!({"TemplateIds": [copy]}), vec![copy.clone()]),
        (json!({"TemplateNames": ["other", "copy"]}), vec![template.clone(), copy.clone()]),
        (json!({"ProductTypes": [17], "Limit": 1}), vec!["default-param-template-17".to_owned()]),
        (json!({"ProductTypes": [17], "Offset": 1}), vec![template.clone(), copy.clone()]),
        (json!({"ProductTypes": [17], "TemplateNames": ["nobody"]}), vec![]),
    ] {
        let answer = site.call("DescribeParamTemplates", filter.clone()).await.unwrap();
        assert_eq!(ids(&answer), wanted, "{filter}");
    }
    let all = site.call("DescribeParamTemplates", json!({})).await.unwrap();
    assert_eq!(all["TotalCount"], model::TypeId::all().count() + 2);
    site.call("DeleteParamTemplate", info(&copy)).await.unwrap();
    refused(&site, "DescribeParamTemplateInfo", info(&copy), VALUE).await;
}

#[tokio::test]
async fn a_template_is_applied_to_several_instances_in_their_order_and_is_in_use_meanwhile() {
    let site = Site::new();
    let (one, other) = (site.create_with(1).await, site.create_with(2).await);
    set(&site, &one, &[("timeout", "60")]).await;
    site.settle(&NoProbe).await;
    let template = create_template(&site, &[("hz", "20")]).await;
    let apply = |id: &str| json!({"TemplateId": id, "InstanceIds": [other.as_str(), one.as_str()]});
    let answer = site.call("ApplyParamsTemplate", apply(&template)).await.unwrap();
    let tasks: Vec<u64> = answer["TaskIds"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect();
    for (task, id) in tasks.iter().zip([&other, &one]) {
        let info = site.call("DescribeTaskInfo", json!({"TaskId": task})).await.unwrap();
        assert_eq!(info["InstanceId"], id.as_str());
        assert_eq!(site.status(id), Some(1), "busy at once");
    }
    let in_use = "ResourceInUse.InstanceBeenLocked";
    refused(&site, "DeleteParamTemplate", json!({"TemplateId": template}), in_use).await;
    assert_eq!(site.settle(&NoProbe).await, [End::Done, End::Done]);
    site.assert_settled("applied");
    for id in [&one, &other] {
        assert_eq!(value(&site, id, "hz").await, "20");
        assert_eq!(value(&site, id, "timeout").await, "31536000", "a template has all parameters");
    }
    site.call("DeleteParamTemplate", json!({"TemplateId": template})).await.unwrap();
    assert_eq!(value(&site, &one, "hz").await, "20", "what was applied stays");
    site.call("ApplyParamsTemplate", apply("default-param-template-17")).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done, End::Done]);
    assert_eq!(value(&site, &one, "hz").await, "10");
}

#[tokio::test]
async fn an_instance_is_created_with_a_template() {
    let site = Site::new();
    let template = create_template(&site, &[("hz", "20"), ("io-threads", "2"), ("disable-command-list", "keys")]).await;
    let mut params = order();
    params["TemplateId"] = json!(template);
    let answer = site.call("CreateInstances", params).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("created");
    let id = InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap();
    for (name, wanted) in [("hz", "20"), ("io-threads", "2"), ("disable-command-list", "keys"), ("timeout", "31536000")]
    {
        assert_eq!(value(&site, &id, name).await, wanted, "{name}");
    }
}
