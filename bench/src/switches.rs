//! What changes of a running instance do to clients that write all the while: what is lost, what they see go wrong, how
//! long they wait. Takes some minutes, so it runs when it is named.

mod report;

use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use self::report::Report;
use crate::http::VPC;
use crate::service::Service;
use crate::target::{PASSWORD, Target};

/// How often each of the two switches runs whose gaps have a bound.
const RUNS: usize = 50;
/// How long a planned switch may keep a client from writing.
const CHANGE_BOUND: Duration = Duration::from_millis(100);
/// How long after its primary was killed an address may take no write.
const KILL_BOUND: Duration = Duration::from_millis(150);

/// Runs all of it, prints it, and writes it into the document where that is asked for.
pub(crate) async fn run(write: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let mut report = Report::new();
    shapes(&service, &mut report).await.context("changes of shape")?;
    versions(&service, &mut report).await.context("changes of version")?;
    settings(&service, &mut report).await.context("changes of settings")?;
    switches(&service, &mut report).await.context("repeated switches")?;
    report.print();
    if write { report.write() } else { Ok(()) }
}

async fn shapes(service: &Service, report: &mut Report) -> anyhow::Result<()> {
    let mut target = Target::create(service, 17).await?;
    report.outcome("nothing, for 3 s", target.rest(Duration::from_secs(3)).await?);
    let id = json!(target.instance.id);
    let resize = |memory: i64, replicas: i64, nodes: Value| {
        let mut request = json!({ "InstanceId": id, "MemSize": memory, "RedisReplicasNum": replicas });
        if !nodes.is_null() {
            request["NodeSet"] = nodes;
        }
        ("UpgradeInstance", request)
    };
    report.outcome("memory up, 1 to 2 GiB", target.change(resize(2048, 2, Value::Null)).await?);
    report.outcome("memory down, 2 to 1 GiB", target.change(resize(1024, 2, Value::Null)).await?);
    let new = json!([{ "NodeType": 1, "ZoneId": 100_003 }]);
    report.outcome("replica added, 2 to 3", target.change(resize(1024, 3, new.clone())).await?);
    let leaving = target.nodes_of_type(1).await?.pop();
    report.outcome("replica removed, 3 to 2", target.change(resize(1024, 2, json!([leaving]))).await?);
    let leaving = target.nodes_of_type(0).await?.pop();
    report.outcome("primary removed, 2 replicas to 1", target.change(resize(1024, 1, json!([leaving]))).await?);
    target.change(resize(1024, 2, new)).await.context("the replica back")?;

    let nodes = target.nodes().await?.into_iter();
    let moved: Vec<Value> = nodes
        .map(|mut node| {
            node["ZoneId"] = json!(100_004);
            node
        })
        .collect();
    let request = json!({ "InstanceId": id, "SwitchOption": 2, "NodeSet": moved });
    let outcome = target.change(("ModifyInstanceAvailabilityZones", request)).await?;
    report.outcome("zone of all 3 nodes", outcome);
    target.destroy().await
}

/// From the oldest engine that is installed through all the newer ones.
async fn versions(service: &Service, report: &mut Report) -> anyhow::Result<()> {
    let mut probe = Target::open(service).await?;
    let products = probe.products().await?;
    let oldest = products.first().context("no engine is installed")?;
    let mut target = Target::create(service, oldest.type_id).await?;
    let mut engine = oldest.engine.clone();
    let (mut newer, mut builds) = (0, small_version(&mut target, &engine, report).await?);
    for product in &products {
        let (runs, _) = target.versions().await?;
        if engine == product.engine && !product.is_newer_than(&runs) {
            continue;
        }
        let request = json!({
            "InstanceId": target.instance.id, "TargetInstanceType": product.type_id.to_string(), "SwitchOption": 2,
        });
        let outcome = target.change(("UpgradeInstanceVersion", request)).await?;
        let (now_runs, _) = target.versions().await?;
        report.outcome(&format!("version, {engine} {runs} to {} {now_runs}", product.engine), outcome);
        engine.clone_from(&product.engine);
        newer += 1;
        builds += small_version(&mut target, &engine, report).await?;
    }
    if newer == 0 {
        report.skipped("version", "no newer engine is installed");
    }
    if builds == 0 {
        report.skipped("small version", "no two builds of one engine are installed");
    }
    target.destroy().await
}

/// What is set while the instance runs: parameters, passwords, accounts, addresses, and who may reach it.
async fn settings(service: &Service, report: &mut Report) -> anyhow::Result<()> {
    let mut target = Target::create(service, 17).await?;
    let id = target.instance.id.clone();
    let of_instance = |mut fields: Value| {
        fields["InstanceId"] = json!(id);
        fields
    };
    let param = |key: &str, value: &str| {
        let params = json!([{ "Key": key, "Value": value }]);
        ("ModifyInstanceParams", of_instance(json!({ "InstanceParams": params })))
    };
    report.outcome("parameter, hz", target.change(param("hz", "50")).await?);
    report.outcome("parameter that needs a restart, io-threads", target.change(param("io-threads", "2")).await?);
    let password = ("ResetPassword", of_instance(json!({ "Password": PASSWORD })));
    report.outcome("password", target.change(password).await?);
    let account = |privilege: &str| {
        of_instance(json!({
            "AccountName": "ann", "AccountPassword": PASSWORD, "Privilege": privilege, "ReadonlyPolicy": ["master"],
        }))
    };
    report.outcome("account made", target.change(("CreateInstanceAccount", account("rw"))).await?);
    report.outcome("account changed", target.change(("ModifyInstanceAccount", account("r"))).await?);
    let gone = of_instance(json!({ "AccountName": "ann" }));
    report.outcome("account deleted", target.change(("DeleteInstanceAccount", gone)).await?);
    let limits = of_instance(json!({ "ClientLimit": 12_000 }));
    report.outcome("connection limit", target.change(("ModifyConnectionConfig", limits)).await?);

    let group = json!({ "GroupName": "bench", "GroupDescription": "bench" });
    let group = target.call_of(VPC, "CreateSecurityGroup", &group).await?["SecurityGroup"]["SecurityGroupId"].clone();
    let rule = json!({ "Protocol": "TCP", "Port": "ALL", "CidrBlock": "127.0.0.0/8", "Action": "ACCEPT" });
    let rules = json!({ "SecurityGroupId": group, "SecurityGroupPolicySet": { "Ingress": [rule] } });
    target.call_of(VPC, "CreateSecurityGroupPolicies", &rules).await?;
    let joins = json!({ "Product": "redis", "SecurityGroupId": group, "InstanceIds": [id] });
    report.outcome("security group joined", target.change_at_once(("AssociateSecurityGroups", joins)).await?);

    let moves = of_instance(json!({ "Operation": "changeVip", "Recycle": 1 }));
    report.outcome("new address, the former one kept", target.change(("ModifyNetworkConfig", moves)).await?);
    target.read_address().await?;
    let mut other = Target::create(service, 17).await?;
    report.outcome("addresses of two instances swapped", target.swap_with(&mut other).await?);
    other.destroy().await?;
    report.outcome("password, old and new for 1 s", target.rotate("Bench-Passw0rd-2").await?);
    target.destroy().await
}

/// Moves the instance to the newest build of its engine; answers how many moves that were.
async fn small_version(target: &mut Target<'_>, engine: &str, report: &mut Report) -> anyhow::Result<usize> {
    let (runs, newest) = target.versions().await?;
    if runs == newest {
        return Ok(0);
    }
    let request = json!({
        "InstanceId": target.instance.id, "CurrentRedisVersion": runs, "UpgradeRedisVersion": newest,
        "InstanceTypeUpgradeNow": 1,
    });
    let outcome = target.change(("UpgradeSmallVersion", request)).await?;
    let (now_runs, _) = target.versions().await?;
    ensure!(now_runs == newest, "it runs {now_runs}, not {newest}");
    report.outcome(&format!("small version, {engine} {runs} to {newest}"), outcome);
    Ok(1)
}

/// The two switches whose gaps have a bound, again and again.
async fn switches(service: &Service, report: &mut Report) -> anyhow::Result<()> {
    let mut target = Target::create(service, 17).await?;
    let id = json!(target.instance.id);
    let mut changes = Vec::new();
    for run in 1..=RUNS {
        let group = target.group_of_a_replica().await?;
        let request = json!({ "InstanceId": id, "GroupId": group });
        let outcome = target.change(("ChangeReplicaToMaster", request)).await;
        changes.push(outcome.with_context(|| format!("ChangeReplicaToMaster, run {run}"))?);
    }
    let mut kills = Vec::new();
    for run in 1..=RUNS {
        let request = json!({ "InstanceId": id, "Password": target.instance.password });
        let outcome = target.change(("KillMasterGroup", request)).await;
        kills.push(outcome.with_context(|| format!("KillMasterGroup, run {run}"))?);
    }
    report.runs("ChangeReplicaToMaster", "the longest gap of a client", CHANGE_BOUND, &changes, |account| {
        account.longest_gap
    });
    report.runs("KillMasterGroup", "from the kill to the first write", KILL_BOUND, &kills, |account| {
        account.longest_silence
    });
    target.destroy().await
}
