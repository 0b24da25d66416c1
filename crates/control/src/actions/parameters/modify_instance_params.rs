//! Sets parameters of an instance (034): on all its nodes, or on none.

use model::{InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InstanceParam, empty_list, read};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::Answer;
use crate::flows::set_params;

/// What to set.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The parameters and their values; others stay as they are. Those that need a restart (NeedRestart of
    /// DescribeInstanceParams) are set by new nodes, which take over when they have all the data.
    instance_params: Vec<InstanceParam>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Whether any of them had another value.
    changed: bool,
    /// The task that sets them.
    task_id: i64,
}

pub(crate) struct ModifyInstanceParams;

impl Action for ModifyInstanceParams {
    const NAME: &'static str = "ModifyInstanceParams";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStateError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            if request.instance_params.is_empty() {
                return Err(empty_list("InstanceParams"));
            }
            let values = read("InstanceParams", instance.type_id, &request.instance_params)?;
            let (task, changed) = set_params::submit(&cx, tx, &caller, &instance, &values, "", now)?;
            Ok(Response { changed, task_id: task.0 })
        })
        .await
    }
}
