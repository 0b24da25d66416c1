//! Moves an instance to a newer build of the engine that it runs (060): new nodes of that build take over.

use model::EngineVersion;
use runtime::Engine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{changeable_shape, newcomer, read_switch};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, open_task};
use crate::errors::{Answer, bad_value};
use crate::fleet::{self, Newcomer};
use crate::flows::replace_nodes::ReplaceNodes;
use crate::placement::check_memory;

/// What to move to.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// What it runs, as CurrentRedisVersion of DescribeInstances says.
    current_redis_version: String,
    /// What it is to run, as UpgradeRedisVersion of DescribeInstances says. Where it runs that already, nothing is done.
    upgrade_redis_version: String,
    /// 1: the new nodes take over as soon as they have all the data; 0: in the maintenance window.
    instance_type_upgrade_now: i64,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that moves it.
    flow_id: i64,
}

pub(crate) struct UpgradeSmallVersion;

impl Action for UpgradeSmallVersion {
    const NAME: &'static str = "UpgradeSmallVersion";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let instance = changeable_shape(tx, caller.account, &request.instance_id)?;
            let waits = read_switch("InstanceTypeUpgradeNow", request.instance_type_upgrade_now, 0, 1)?;
            let nodes = ledger::members_of(tx.reader(), &instance.id)?;
            let runs = fleet::primary_of(&nodes).and_then(|node| node.observed_version).unwrap_or(instance.version);
            if EngineVersion::parse(&request.current_redis_version) != Some(runs) {
                let (en, zh) = (format!("the instance runs {runs}"), format!("实例当前版本为 {runs}"));
                return Err(bad_value("CurrentRedisVersion", &en, &zh));
            }
            let newest = newest_build(&cx.runtime.engines(), instance.type_id.engine(), runs);
            let installed = |version| {
                let engine = Engine { kind: instance.type_id.engine(), version };
                version == runs || cx.runtime.engines().contains(&engine)
            };
            let is_build = |version: &EngineVersion| {
                (version.major, version.minor) == (runs.major, runs.minor) && *version >= runs && installed(*version)
            };
            let Some(version) = EngineVersion::parse(&request.upgrade_redis_version).filter(is_build) else {
                let en = format!("the newest build of this engine that is installed is {newest}");
                return Err(bad_value("UpgradeRedisVersion", &en, &format!("已安装的最新小版本为 {newest}")));
            };
            let older = nodes.iter().filter(|node| node.observed_version.is_none_or(|runs| runs < version));
            let newcomers: Vec<Newcomer> = older
                .map(|node| {
                    let like = newcomer(&cx, &instance, &nodes, node.zone, Some(node.id.clone()));
                    Newcomer { version, ..like }
                })
                .collect();
            check_memory(&cx, tx, instance.memory_mb.saturating_mul(newcomers.len() as i64))?;
            let flow = ReplaceNodes {
                instance: instance.id.clone(),
                waits: (waits && !newcomers.is_empty()).then(|| "VersionUpgrade".into()),
                newcomers,
                previous: fleet::primary_of(&nodes).map(|node| node.id.clone()),
                type_id: instance.type_id,
                version,
                shows_node_set: instance.shows_node_set,
                leads: None,
                deal: None,
                busy_until: now,
            };
            let task = open_task(tx, &caller, &instance, "060", &flow, now)?;
            Ok(Response { flow_id: task.0 })
        })
        .await
    }
}

/// The newest installed build of what runs at `runs`.
pub(crate) fn newest_build(engines: &[Engine], kind: model::EngineKind, runs: EngineVersion) -> EngineVersion {
    let builds = engines.iter().filter(|engine| {
        engine.kind == kind && (engine.version.major, engine.version.minor) == (runs.major, runs.minor)
    });
    builds.map(|engine| engine.version).fold(runs, EngineVersion::max)
}
