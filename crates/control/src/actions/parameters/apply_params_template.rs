//! Gives instances the parameters of a template (034): all that it has, those with their defaults too.

use model::{InstanceStatus, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{empty_list, templates};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable};
use crate::errors::{Answer, bad_value};
use crate::flows::set_params;

/// What to apply, and to what.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instances, 100 at the most, all of the template's type. Where one of them can't be changed now, none is.
    instance_ids: Vec<String>,
    /// The template: one of your own, or `default-param-template-` and the number of a type.
    template_id: String,
}

/// The tasks.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// A task for each instance, in the order of the request.
    task_ids: Vec<i64>,
}

pub(crate) struct ApplyParamsTemplate;

/// How many instances a request may name.
const MOST_INSTANCES: usize = 100;

impl Action for ApplyParamsTemplate {
    const NAME: &'static str = "ApplyParamsTemplate";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        let ids = request.instance_ids;
        if ids.is_empty() {
            return Err(empty_list("InstanceIds"));
        }
        if ids.len() > MOST_INSTANCES {
            return Err(bad_value("InstanceIds", "it lists 100 at the most", "最多100个"));
        }
        if let Some(index) = (1..ids.len()).find(|index| ids[..*index].contains(&ids[*index])) {
            return Err(bad_value(&format!("InstanceIds.{index}"), "it is listed twice", "实例重复"));
        }
        call.write(move |tx| {
            let template = templates::find(tx.reader(), caller.account, &request.template_id)?;
            let values = templates::values(&template);
            let mut task_ids = Vec::with_capacity(ids.len());
            for id in &ids {
                let code = code::ResourceUnavailableInstanceStateError;
                let instance = changeable(tx.reader(), caller.account, id, &[InstanceStatus::Idle], code)?;
                templates::check_type(&template, instance.type_id)?;
                let (task, _) = set_params::submit(&cx, tx, &caller, &instance, &values, &template.id, now)?;
                task_ids.push(task.0);
            }
            Ok(Response { task_ids })
        })
        .await
    }
}
