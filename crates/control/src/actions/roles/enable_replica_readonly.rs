//! Has the replicas of an instance answer reads (039).

use model::{ApiError, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::actions::accounts::read_policy;
use crate::errors::Answer;
use crate::flows::set_replica_reads;

/// Which instance's.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance. It has a replica at the least, and is of a type with Redis 4.0 or later.
    instance_id: String,
    /// Where root's reads go: master, replication, or both; replication where it is left out. Other accounts stay as they
    /// are (ModifyInstanceAccount).
    readonly_policy: Option<Vec<String>>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Always OK.
    status: &'static str,
    /// The task that sets it.
    task_id: i64,
}

pub(crate) struct EnableReplicaReadonly;

impl Action for EnableReplicaReadonly {
    const NAME: &'static str = "EnableReplicaReadonly";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        let policy = match &request.readonly_policy {
            Some(policy) if !policy.is_empty() => read_policy("ReadonlyPolicy", policy)?,
            _ => "replication".to_owned(),
        };
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            check_can_read(&instance)?;
            let task = set_replica_reads::submit(tx, &caller, &instance, (true, &policy), now)?;
            Ok(Response { status: "OK", task_id: task.0 })
        })
        .await
    }
}

fn check_can_read(instance: &ledger::Instance) -> Answer<()> {
    let (id, version) = (&instance.id, instance.type_id.version());
    let (en, zh) = if version.major < 4 {
        (
            format!(
                "The instance `{id}` is of a type with Redis {}.{}, whose replicas answer no reads. Upgrade it to 4.0 or \
                 later (UpgradeInstanceVersion).",
                version.major, version.minor
            ),
            format!(
                "实例 `{id}` 的类型为 Redis {}.{}，不支持副本只读，请升级至4.0或以上版本（UpgradeInstanceVersion）。",
                version.major, version.minor
            ),
        )
    } else if instance.replicas == 0 {
        (
            format!("The instance `{id}` has no replica. Add one first (UpgradeInstance with RedisReplicasNum)."),
            format!("实例 `{id}` 没有副本，请先增加副本（UpgradeInstance，参数 RedisReplicasNum）。"),
        )
    } else {
        return Ok(());
    };
    Err(ApiError::new(code::FailedOperationUnSupportError, en, zh).into())
}
