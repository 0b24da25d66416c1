//! Who signs in at an instance: accounts, root, and what passwords must have.

use flow::End;
use flow::harness::NoProbe;
use model::InstanceId;
use serde_json::{Value, json};

use super::site::{PASSWORD, Site};
use crate::spec::hash_of;

const NEW_PASSWORD: &str = "Staple-horse-2";

const BUSY: &str = "ResourceUnavailable.InstanceLockedError";
const GONE: &str = "ResourceNotFound.InstanceNotExists";
const UNKNOWN: &str = "ResourceNotFound.AccountDoesNotExists";
const VALUE: &str = "InvalidParameterValue";
const UNSUPPORTED: &str = "FailedOperation.UnSupportError";
const NOT_BUILT: &str = "UnsupportedOperation";
const RULE: &str = "InvalidParameterValue.PasswordRuleError";

fn with(mut params: Value, changes: &Value) -> Value {
    params.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    params
}

/// The parameters of CreateInstanceAccount besides the instance.
fn ann(changes: Value) -> Value {
    let params = json!({
        "AccountName": "ann", "AccountPassword": PASSWORD, "Privilege": "rw", "ReadonlyPolicy": ["master"],
    });
    with(params, &changes)
}

/// Calls an action on an instance, and drives its task to its end; answers the task's type.
async fn done(site: &Site, id: &InstanceId, action: &str, params: Value) -> String {
    let answer = site.call(action, with(params, &json!({"InstanceId": id.as_str()}))).await;
    let task = answer.unwrap_or_else(|error| panic!("{action}: {error}"))["TaskId"].as_i64().unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done], "{action}");
    site.assert_settled(action);
    site.steps(task).await["TaskType"].as_str().unwrap().to_owned()
}

async fn listed(site: &Site, id: &InstanceId, limit: i64, offset: i64) -> (Vec<String>, i64) {
    let params = json!({"InstanceId": id.as_str(), "Limit": limit, "Offset": offset});
    let answer = site.call("DescribeInstanceAccount", params).await.unwrap();
    let accounts = answer["Accounts"].as_array().unwrap();
    let names = accounts.iter().map(|account| account["AccountName"].as_str().unwrap().to_owned());
    (names.collect(), answer["TotalCount"].as_i64().unwrap())
}

async fn shown(site: &Site, id: &InstanceId, name: &str) -> Option<Value> {
    let params = json!({"InstanceId": id.as_str(), "Limit": 100, "Offset": 0});
    let answer = site.call("DescribeInstanceAccount", params).await.unwrap();
    answer["Accounts"].as_array().unwrap().iter().find(|account| account["AccountName"] == name).cloned()
}

/// What every node lets the user do; all have the same.
fn rules(site: &Site, id: &InstanceId, name: &str) -> Option<String> {
    let (_, nodes) = crate::fleet::load(&site.cx.ledger, id).unwrap();
    let of_node = |node: &ledger::Node| {
        let users = site.world.users(&node.id).unwrap();
        users.into_iter().find(|user| user.name == name).map(|user| user.rules.expose().to_owned())
    };
    let all: Vec<_> = nodes.iter().map(of_node).collect();
    assert!(all.iter().all(|rules| *rules == all[0]), "{name} differs between nodes");
    all[0].clone()
}

fn hash(password: &str) -> String {
    hash_of(&model::Secret::new(password)).expose().to_owned()
}

/// All that a refusal may not change.
fn state(site: &Site) -> String {
    let state = site.cx.ledger.read(|reader| {
        let instances = ledger::all_instances(reader)?;
        let mut of_instances = Vec::new();
        for instance in &instances {
            let accounts = ledger::accounts_of(reader, &instance.id)?;
            let (root, policy) = (ledger::root(reader, &instance.id)?, ledger::password_policy(reader, &instance.id)?);
            of_instances.push((accounts, root, policy, ledger::rotation(reader, &instance.id)?));
        }
        let tasks = ledger::latest_tasks(reader, 100)?;
        Ok((instances, of_instances, tasks, ledger::routes_version(reader)?))
    });
    format!("{:?}", state.unwrap())
}

async fn refused(site: &Site, action: &str, params: Value, id: &str, code: &str) {
    let params = with(params, &json!({"InstanceId": id}));
    let before = state(site);
    let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
    assert_eq!(error.code, code, "{action} {params}: {error}");
    assert!(!error.message.en.is_empty() && !error.message.zh.is_empty(), "{action} {params}");
    assert_eq!(state(site), before, "{action} {params}: something was changed");
}

#[tokio::test]
async fn an_account_is_a_user_on_every_node_from_its_making_to_its_end() {
    let site = Site::new();
    let id = site.create_with(2).await;
    let first = site.call("CreateInstanceAccount", ann(json!({"InstanceId": id.as_str(), "Remark": "a guest"}))).await;
    let first = first.unwrap()["TaskId"].as_i64().unwrap();
    let making = shown(&site, &id, "ann").await.unwrap();
    assert_eq!((&making["Status"], site.status(&id)), (&json!(1), Some(1)));
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("made");
    assert_eq!(site.steps(first).await["TaskType"], "037");
    let made = shown(&site, &id, "ann").await.unwrap();
    assert_eq!(
        made,
        json!({
            "InstanceId": id.as_str(), "AccountName": "ann", "Remark": "a guest", "Privilege": "rw",
            "ReadonlyPolicy": ["master"], "Status": 2, "CreateTime": made["CreateTime"],
            "PasswordLastModifiedTime": made["CreateTime"],
        })
    );
    let may = rules(&site, &id, "ann").unwrap();
    assert_eq!(
        may,
        format!(
            "on {} ~* &* +@all -@admin -migrate -restore-asking -script +script|load +script|exists +script|flush +script|kill",
            hash(PASSWORD)
        )
    );

    let changes = json!({"AccountName": "ann", "Privilege": "r", "Remark": ""});
    assert_eq!(done(&site, &id, "ModifyInstanceAccount", changes).await, "037");
    let may = rules(&site, &id, "ann").unwrap();
    assert_eq!(
        may,
        format!("on {} ~* &* +@read +@connection +@transaction +info -@admin", hash(PASSWORD)),
        "its password stays"
    );
    let changed = shown(&site, &id, "ann").await.unwrap();
    assert_eq!((&changed["Privilege"], &changed["Remark"], &changed["Status"]), (&json!("r"), &json!(""), &json!(2)));

    done(&site, &id, "ModifyInstanceAccount", json!({"AccountName": "ann", "AccountPassword": NEW_PASSWORD})).await;
    assert!(rules(&site, &id, "ann").unwrap().contains(&hash(NEW_PASSWORD)));

    // Nodes that come have it, and those of an instance that was isolated.
    let grow = json!({"MemSize": 1024, "RedisReplicasNum": 3, "InstanceId": id.as_str()});
    site.call("UpgradeInstance", grow).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    assert!(rules(&site, &id, "ann").is_some());
    site.run("DestroyPostpaidInstance", &id).await;
    site.run("StartupInstance", &id).await;
    assert!(rules(&site, &id, "ann").is_some());
    let route = site.gateway.table.lock().unwrap().routes[0].clone();
    assert_eq!((route.logins.accounts, route.logins.separator), (vec!["ann".to_owned()], "@".to_owned()));

    site.call("DeleteInstanceAccount", json!({"InstanceId": id.as_str(), "AccountName": "ann"})).await.unwrap();
    assert_eq!(shown(&site, &id, "ann").await.unwrap()["Status"], 4);
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("deleted");
    assert_eq!((shown(&site, &id, "ann").await, rules(&site, &id, "ann")), (None, None));
    let route = site.gateway.table.lock().unwrap().routes[0].clone();
    assert_eq!(route.logins.accounts, [""; 0]);

    done(&site, &id, "CreateInstanceAccount", ann(json!({}))).await;
    site.run("DestroyPostpaidInstance", &id).await;
    site.run("CleanUpInstance", &id).await;
    site.assert_settled("gone with its instance");
}

#[tokio::test]
async fn accounts_are_listed_in_pages_with_root_first() {
    let site = Site::new();
    let (id, other) = (site.create().await, site.create().await);
    for name in ["zoe", "ann", "bob"] {
        done(&site, &id, "CreateInstanceAccount", ann(json!({"AccountName": name}))).await;
    }
    let all = ["root", "zoe", "ann", "bob"].map(str::to_owned);
    for (limit, offset, from, until) in [(100, 0, 0, 4), (2, 0, 0, 2), (2, 2, 2, 4), (2, 3, 3, 4), (50, 4, 4, 4)] {
        let (mut names, total) = listed(&site, &id, limit, offset).await;
        let mut wanted = all[from..until].to_vec();
        if names.len() > 1 && from == 0 {
            assert_eq!(names[0], "root");
        }
        // Those of one millisecond are in the order of their names.
        names.sort();
        wanted.sort();
        if limit == 100 {
            assert_eq!(names, wanted);
        }
        assert_eq!((names.len(), total), (until - from, 4), "{limit} from {offset}");
    }
    assert_eq!(listed(&site, &other, 10, 0).await, (vec!["root".to_owned()], 1));
    for (limit, offset) in [(0, 0), (-1, 0), (101, 0), (10, -1)] {
        refused(&site, "DescribeInstanceAccount", json!({"Limit": limit, "Offset": offset}), id.as_str(), VALUE).await;
    }
    refused(&site, "DescribeInstanceAccount", json!({"Limit": 1, "Offset": 0}), "crs-nowhere1", GONE).await;
}

#[tokio::test]
async fn root_is_the_default_user() {
    let site = Site::new();
    let id = site.create().await;
    let root = shown(&site, &id, "root").await.unwrap();
    assert_eq!(
        root,
        json!({
            "InstanceId": id.as_str(), "AccountName": "root", "Remark": "", "Privilege": "rw",
            "ReadonlyPolicy": ["master"], "Status": 2, "CreateTime": root["CreateTime"],
            "PasswordLastModifiedTime": root["CreateTime"],
        })
    );
    let modify = async |changes: Value| {
        done(&site, &id, "ModifyInstanceAccount", with(json!({"AccountName": "root"}), &changes)).await
    };
    assert_eq!(modify(json!({"Remark": "ours", "ReadonlyPolicy": ["master"]})).await, "037");
    assert_eq!(shown(&site, &id, "root").await.unwrap()["Remark"], "ours");
    assert!(site.has_password(&id, PASSWORD));
    site.call("AdvanceClock", json!({"Seconds": 60})).await.unwrap();
    assert_eq!(modify(json!({"AccountPassword": NEW_PASSWORD})).await, "037");
    assert!(site.has_password(&id, NEW_PASSWORD) && !site.has_password(&id, PASSWORD));
    let changed = shown(&site, &id, "root").await.unwrap();
    assert!(changed["PasswordLastModifiedTime"].as_str() > root["CreateTime"].as_str(), "{changed}");
    assert_eq!((&changed["Remark"], &changed["CreateTime"]), (&json!("ours"), &root["CreateTime"]));

    // A password that is sent along is not looked at, as by ResetPassword.
    assert_eq!(modify(json!({"NoAuth": true, "AccountPassword": "x"})).await, "035");
    assert!(rules(&site, &id, "default").unwrap().starts_with("on nopass "));
    assert_eq!(modify(json!({"NoAuth": true})).await, "037", "it does not need one already");
    assert_eq!(modify(json!({"NoAuth": false})).await, "035");
    assert!(rules(&site, &id, "default").unwrap().contains(&hash(NEW_PASSWORD)), "the one that it had");
    assert_eq!(modify(json!({"NoAuth": false, "AccountPassword": PASSWORD})).await, "037");
    assert!(site.has_password(&id, PASSWORD));

    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": NEW_PASSWORD})).await.unwrap();
    assert_eq!(shown(&site, &id, "root").await.unwrap()["Status"], 1);
    site.settle(&NoProbe).await;
    site.call("ModifyInstanceReadOnly", json!({"InstanceId": id.as_str(), "InputMode": "1"})).await.unwrap();
    assert_eq!(shown(&site, &id, "root").await.unwrap()["Status"], 2, "nobody changes it");
    site.settle(&NoProbe).await;
}

#[tokio::test]
async fn what_fails_leaves_accounts_and_root_as_they_were() {
    let site = Site::new();
    let id = site.create().await;
    let of_instance = |params: Value| with(params, &json!({"InstanceId": id.as_str()}));
    site.fault("set-account", "apply_users", "fail").await;
    site.call("CreateInstanceAccount", of_instance(ann(json!({})))).await.unwrap();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    assert_eq!(shown(&site, &id, "ann").await, None);
    site.assert_settled("not made");

    done(&site, &id, "CreateInstanceAccount", ann(json!({}))).await;
    let before = shown(&site, &id, "ann").await;
    for (action, params) in [
        ("ModifyInstanceAccount", json!({"AccountName": "ann", "Privilege": "r", "AccountPassword": NEW_PASSWORD})),
        ("DeleteInstanceAccount", json!({"AccountName": "ann"})),
    ] {
        site.fault("set-account", "apply_users", "fail").await;
        site.call(action, of_instance(params)).await.unwrap();
        assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
        assert_eq!(shown(&site, &id, "ann").await, before, "{action}");
        site.assert_settled(action);
    }
    let before = shown(&site, &id, "root").await;
    site.call("AdvanceClock", json!({"Seconds": 60})).await.unwrap();
    site.fault("set-access", "apply_users", "fail").await;
    let changes = json!({"AccountName": "root", "Remark": "ours", "AccountPassword": NEW_PASSWORD});
    site.call("ModifyInstanceAccount", of_instance(changes)).await.unwrap();
    assert!(matches!(site.work_disturbed().await[..], [Ok(End::Undone { .. })]));
    assert_eq!(shown(&site, &id, "root").await, before);
    assert!(site.has_password(&id, PASSWORD));
    site.assert_settled("root");
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_own_code_and_changes_nothing() {
    let site = Site::new();
    let id = site.create().await;
    done(&site, &id, "CreateInstanceAccount", ann(json!({}))).await;
    let create = |changes: Value| with(ann(json!({"AccountName": "bob"})), &changes);
    let modify = |name: &str, changes: Value| with(json!({"AccountName": name}), &changes);
    let cases = [
        ("CreateInstanceAccount", create(json!({"AccountName": "ann"})), UNSUPPORTED),
        ("CreateInstanceAccount", create(json!({"AccountName": ""})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "root"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "Default"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "opencrs"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "1ann"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "_ann"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "an n"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "ann@x"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "änn"})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountName": "a".repeat(33)})), VALUE),
        ("CreateInstanceAccount", create(json!({"AccountPassword": ""})), "InvalidParameterValue.PasswordEmpty"),
        ("CreateInstanceAccount", create(json!({"AccountPassword": "short"})), RULE),
        ("CreateInstanceAccount", create(json!({"Privilege": "w"})), VALUE),
        ("CreateInstanceAccount", create(json!({"Privilege": ""})), VALUE),
        ("CreateInstanceAccount", create(json!({"ReadonlyPolicy": []})), VALUE),
        ("CreateInstanceAccount", create(json!({"ReadonlyPolicy": ["slave"]})), VALUE),
        ("CreateInstanceAccount", create(json!({"ReadonlyPolicy": ["master", "master"]})), VALUE),
        ("CreateInstanceAccount", create(json!({"ReadonlyPolicy": ["replication"]})), UNSUPPORTED),
        ("CreateInstanceAccount", create(json!({"ReadonlyPolicy": ["master", "replication"]})), UNSUPPORTED),
        ("CreateInstanceAccount", create(json!({"Remark": "é".repeat(257)})), VALUE),
        ("CreateInstanceAccount", create(json!({"EncryptPassword": true})), NOT_BUILT),
        ("ModifyInstanceAccount", modify("bob", json!({"Privilege": "r"})), UNKNOWN),
        ("ModifyInstanceAccount", modify("default", json!({"AccountPassword": NEW_PASSWORD})), UNKNOWN),
        ("ModifyInstanceAccount", modify("opencrs", json!({"AccountPassword": NEW_PASSWORD})), UNKNOWN),
        ("ModifyInstanceAccount", modify("ann", json!({})), "InvalidParameter.EmptyParam"),
        ("ModifyInstanceAccount", modify("root", json!({})), "InvalidParameter.EmptyParam"),
        ("ModifyInstanceAccount", modify("ann", json!({"NoAuth": true})), UNSUPPORTED),
        ("ModifyInstanceAccount", modify("ann", json!({"Privilege": "w"})), VALUE),
        ("ModifyInstanceAccount", modify("ann", json!({"AccountPassword": "onlylower"})), RULE),
        ("ModifyInstanceAccount", modify("ann", json!({"ReadonlyPolicy": ["replication"]})), UNSUPPORTED),
        ("ModifyInstanceAccount", modify("ann", json!({"Privilege": "r", "EncryptPassword": true})), NOT_BUILT),
        ("ModifyInstanceAccount", modify("root", json!({"Privilege": "r"})), UNSUPPORTED),
        ("ModifyInstanceAccount", modify("root", json!({"Privilege": "rw"})), UNSUPPORTED),
        ("ModifyInstanceAccount", modify("root", json!({"ReadonlyPolicy": ["replication"]})), UNSUPPORTED),
        ("DeleteInstanceAccount", modify("root", json!({})), UNSUPPORTED),
        ("DeleteInstanceAccount", modify("default", json!({})), UNKNOWN),
        ("DeleteInstanceAccount", modify("opencrs", json!({})), UNKNOWN),
        ("DeleteInstanceAccount", modify("", json!({})), UNKNOWN),
    ];
    for (action, params, code) in cases {
        refused(&site, action, params, id.as_str(), code).await;
    }
    let acceptable = [
        ("CreateInstanceAccount", create(json!({}))),
        ("ModifyInstanceAccount", modify("ann", json!({"Privilege": "r"}))),
        ("ModifyInstanceAccount", modify("root", json!({"AccountPassword": NEW_PASSWORD}))),
        ("DeleteInstanceAccount", modify("ann", json!({}))),
    ];
    for (action, params) in &acceptable {
        refused(&site, action, params.clone(), "crs-nowhere1", GONE).await;
        refused(&site, action, params.clone(), "nonsense", GONE).await;
    }
    site.call("ResetPassword", json!({"InstanceId": id.as_str(), "Password": PASSWORD})).await.unwrap();
    for (action, params) in &acceptable {
        refused(&site, action, params.clone(), id.as_str(), BUSY).await;
    }
    site.settle(&NoProbe).await;
    site.run("DestroyPostpaidInstance", &id).await;
    for (action, params) in acceptable {
        refused(&site, action, params, id.as_str(), "ResourceUnavailable.InstanceStatusError").await;
    }
}

#[tokio::test]
async fn an_instance_has_a_hundred_accounts_at_the_most_and_one_of_redis_2_8_none() {
    let site = Site::new();
    let id = site.create().await;
    let instance = id.clone();
    let many = site.cx.ledger.write(move |tx| -> ledger::Result<()> {
        for number in 0..99 {
            let account = ledger::InstanceAccount {
                name: format!("ann-{number}"),
                password: None,
                privilege: "r".into(),
                reads_from: "master".into(),
                remark: String::new(),
                status: ledger::InstanceAccount::VALID,
                created_at: model::Millis(number),
                password_changed_at: model::Millis(number),
            };
            ledger::set_account(tx, &instance, &account)?;
        }
        Ok(())
    });
    many.await.unwrap();
    done(&site, &id, "CreateInstanceAccount", ann(json!({}))).await;
    refused(&site, "CreateInstanceAccount", ann(json!({"AccountName": "bob"})), id.as_str(), "LimitExceeded").await;
    done(&site, &id, "ModifyInstanceAccount", json!({"AccountName": "ann", "Privilege": "r"})).await;

    let mut old = super::site::order();
    old["TypeId"] = json!(2);
    let old = site.call("CreateInstances", old).await.unwrap()["InstanceIds"][0].as_str().unwrap().to_owned();
    site.settle(&NoProbe).await;
    refused(&site, "CreateInstanceAccount", ann(json!({})), &old, UNSUPPORTED).await;
    let root = json!({"InstanceId": old, "AccountName": "root", "AccountPassword": NEW_PASSWORD});
    site.call("ModifyInstanceAccount", root).await.unwrap();
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
}

async fn policy(site: &Site, id: &InstanceId, policy: Value) {
    let params = json!({"InstanceId": id.as_str(), "PasswordPolicy": policy});
    assert_eq!(site.call("ModifyInstancePasswordPolicy", params).await.unwrap(), json!({}));
}

#[tokio::test]
async fn a_policy_is_shown_as_it_was_set_and_what_is_left_out_stays() {
    let site = Site::new();
    let id = site.create().await;
    let shown = async || {
        let answer = site.call("DescribeInstancePasswordPolicy", json!({"InstanceId": id.as_str()})).await.unwrap();
        let policy = &answer["PasswordPolicy"];
        let numbers = ["MinLetterCount", "MinDigitCount", "MinSpecialCount", "MinLength"];
        (policy["Enabled"].as_bool().unwrap(), numbers.map(|name| policy[name].as_i64().unwrap()))
    };
    assert_eq!(shown().await, (false, [1, 1, 1, 8]));
    for (changes, enabled, numbers) in [
        (json!({"Enabled": true}), true, [1, 1, 1, 8]),
        (json!({"Enabled": true, "MinLetterCount": 4, "MinLength": 12}), true, [4, 1, 1, 12]),
        (json!({"Enabled": false, "MinDigitCount": 3, "MinSpecialCount": 5}), false, [4, 3, 5, 12]),
        (
            json!({"Enabled": true, "MinLetterCount": 0, "MinDigitCount": 0, "MinSpecialCount": 0, "MinLength": 64}),
            true,
            [0, 0, 0, 64],
        ),
    ] {
        policy(&site, &id, changes).await;
        assert_eq!(shown().await, (enabled, numbers));
    }
    for wrong in [
        json!({"Enabled": true, "MinLetterCount": -1}),
        json!({"Enabled": true, "MinDigitCount": 65}),
        json!({"Enabled": true, "MinSpecialCount": i64::MAX}),
        json!({"Enabled": true, "MinLength": 7}),
        json!({"Enabled": false, "MinLength": 65}),
        json!({"Enabled": true, "MinLetterCount": 30, "MinDigitCount": 30, "MinSpecialCount": 5}),
        json!({"Enabled": false, "MinLetterCount": 5, "MinDigitCount": 5, "MinLength": 9}),
    ] {
        refused(&site, "ModifyInstancePasswordPolicy", json!({"PasswordPolicy": wrong}), id.as_str(), VALUE).await;
    }
    let any = json!({"PasswordPolicy": {"Enabled": true}});
    refused(&site, "ModifyInstancePasswordPolicy", any, "crs-nowhere1", GONE).await;
    refused(&site, "DescribeInstancePasswordPolicy", json!({}), "crs-nowhere1", GONE).await;
}

#[tokio::test]
async fn every_new_password_of_an_instance_has_what_its_policy_asks_for() {
    let site = Site::new();
    let id = site.create().await;
    done(&site, &id, "CreateInstanceAccount", ann(json!({}))).await;
    let strict =
        json!({"Enabled": true, "MinLetterCount": 3, "MinDigitCount": 4, "MinSpecialCount": 2, "MinLength": 12});
    policy(&site, &id, strict).await;
    let takes = |password: &str| {
        [
            ("ResetPassword", json!({"Password": password})),
            ("ModifyInstancePassword", json!({"OldPassword": PASSWORD, "Password": password})),
            ("ModfiyInstancePassword", json!({"OldPassword": PASSWORD, "Password": password})),
            ("CreateInstanceAccount", ann(json!({"AccountName": "bob", "AccountPassword": password}))),
            ("ModifyInstanceAccount", json!({"AccountName": "ann", "AccountPassword": password})),
            ("ModifyInstanceAccount", json!({"AccountName": "root", "AccountPassword": password})),
            ("RotatePassword", json!({"Password": password, "OverlapSeconds": 60})),
        ]
    };
    for weak in ["ab1234!!!!!!!", "abcdefgh123!!", "abcdefgh1234!", "abc1234!!", NEW_PASSWORD] {
        for (action, params) in takes(weak) {
            refused(&site, action, params, id.as_str(), RULE).await;
        }
    }
    for (action, params) in takes("abc1234!!...") {
        let site = Site::new();
        let id = site.create().await;
        done(&site, &id, "CreateInstanceAccount", ann(json!({}))).await;
        policy(&site, &id, json!({"Enabled": true, "MinDigitCount": 4, "MinLength": 12})).await;
        site.call(action, with(params, &json!({"InstanceId": id.as_str()}))).await.unwrap();
    }
    policy(&site, &id, json!({"Enabled": false})).await;
    done(&site, &id, "ResetPassword", json!({"Password": NEW_PASSWORD})).await;
    // What is sent along with NoAuth is no new password.
    policy(&site, &id, json!({"Enabled": true})).await;
    done(&site, &id, "ResetPassword", json!({"Password": PASSWORD, "NoAuth": true})).await;
}
