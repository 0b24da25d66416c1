//! Moves an instance to a newer engine (043): new nodes of that engine take over from the old ones.

use model::{Architecture, TypeId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{changeable_shape, newcomer, newest_of, read_switch};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, open_task};
use crate::actions::lifecycle::create_request::can_run;
use crate::deals;
use crate::errors::{Answer, Fault, bad_value, not_installed};
use crate::fleet::{self, Newcomer};
use crate::flows::replace_nodes::ReplaceNodes;
use crate::placement::check_memory;

/// What to move to.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The type that the instance is to have: a newer one than it has, of the same architecture.
    target_instance_type: String,
    /// 1: the new nodes take over in the maintenance window; 2: as soon as they have all the data.
    switch_option: i64,
    /// The instance.
    instance_id: String,
}

/// The order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The order's id.
    deal_id: String,
    /// The order's name; the same as its id.
    deal_name: String,
}

pub(crate) struct UpgradeInstanceVersion;

impl Action for UpgradeInstanceVersion {
    const NAME: &'static str = "UpgradeInstanceVersion";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let instance = changeable_shape(tx, caller.account, &request.instance_id)?;
            let target = read_target(&request.target_instance_type, instance.type_id)?;
            let waits = read_switch("SwitchOption", request.switch_option, 1, 2)?;
            if !can_run(&cx, target) {
                return Err(not_installed(target));
            }
            let nodes = ledger::members_of(tx.reader(), &instance.id)?;
            check_memory(&cx, tx, instance.memory_mb.saturating_mul(nodes.len() as i64))?;
            // No older build takes the data of a newer one of the same engine.
            let same_engine = target.engine() == instance.type_id.engine();
            let version =
                if same_engine { newest_of(&instance, &nodes).max(target.version()) } else { target.version() };
            let newcomers = nodes.iter().map(|node| {
                let like = newcomer(&cx, &instance, &nodes, node.zone, Some(node.id.clone()));
                Newcomer { type_id: target, version, ..like }
            });
            let deal = deals::open(&cx, tx, &caller, &instance, Self::NAME, 0, now)?;
            let flow = ReplaceNodes {
                instance: instance.id.clone(),
                newcomers: newcomers.collect(),
                previous: fleet::primary_of(&nodes).map(|node| node.id.clone()),
                type_id: target,
                version: target.version(),
                shows_node_set: instance.shows_node_set,
                waits: waits.then(|| "VersionUpgrade".into()),
                leads: None,
                deal: Some(deal.clone()),
                busy_until: now,
            };
            open_task(tx, &caller, &instance, "043", &flow, now)?;
            Ok(Response { deal_id: deal.clone(), deal_name: deal })
        })
        .await
    }
}

fn read_target(text: &str, present: TypeId) -> Result<TypeId, Fault> {
    const PARAMETER: &str = "TargetInstanceType";
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let Some(target) = text.parse().ok().filter(|_| digits).and_then(TypeId::parse) else {
        let (en, zh) = (
            "there is no such type; DescribeProductInfo lists those there are",
            "类型不存在，可通过 DescribeProductInfo 查询",
        );
        return Err(bad_value(PARAMETER, en, zh));
    };
    if target.architecture() != Architecture::Standard {
        return Err(model::ApiError::new(
            code::UnsupportedOperation,
            "The value of the parameter `TargetInstanceType` means the cluster architecture, which is not supported yet.",
            "参数 `TargetInstanceType` 对应集群架构，暂不支持。",
        )
        .into());
    }
    // The numbers of the types grow with their versions.
    if target.number() <= present.number() {
        let en = format!("the instance has type {}, and can only become a newer one", present.number());
        let zh = format!("实例当前类型为 {}，只能升级到更高版本", present.number());
        return Err(bad_value(PARAMETER, &en, &zh));
    }
    Ok(target)
}
