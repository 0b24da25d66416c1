//! Has the primary of an instance answer all reads (040). Root reads from it again.

use model::{ApiError, InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::Answer;
use crate::flows::set_replica_reads;

/// Which instance's.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance. No account but root may have its reads go to replicas.
    instance_id: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that sets it.
    task_id: i64,
}

pub(crate) struct DisableReplicaReadonly;

impl Action for DisableReplicaReadonly {
    const NAME: &'static str = "DisableReplicaReadonly";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            let accounts = ledger::accounts_of(tx.reader(), &instance.id)?;
            let readers: Vec<&str> = accounts
                .iter()
                .filter(|account| ledger::reads_replicas(&account.reads_from))
                .map(|account| account.name.as_str())
                .collect();
            if !readers.is_empty() {
                let (id, names) = (&instance.id, readers.join(", "));
                return Err(ApiError::new(
                    code::FailedOperationUnSupportError,
                    format!(
                        "The reads of these accounts of the instance `{id}` go to replicas: {names}. Have them go to the \
                         master first (ModifyInstanceAccount with ReadonlyPolicy)."
                    ),
                    format!(
                        "实例 `{id}` 的以下账号的只读请求路由至副本：{names}。请先将其改为主节点（ModifyInstanceAccount，参数 \
                         ReadonlyPolicy）。"
                    ),
                )
                .into());
            }
            let task = set_replica_reads::submit(tx, &caller, &instance, (false, "master"), now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}
