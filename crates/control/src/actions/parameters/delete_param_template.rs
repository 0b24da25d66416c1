//! Deletes a parameter template. Instances to which it was applied stay as they are.

use model::{ApiError, InstanceId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::templates;
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, Fault};

/// Which one.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The template, one of your own.
    template_id: String,
}

/// Nothing.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {}

pub(crate) struct DeleteParamTemplate;

impl Action for DeleteParamTemplate {
    const NAME: &'static str = "DeleteParamTemplate";
    const ACCESS: Access = Access::write(Resource::Template);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let account = call.caller.account;
        call.write(move |tx| {
            let template = templates::changeable(tx.reader(), account, &request.template_id)?;
            if let Some(instance) = ledger::applied_to(tx.reader(), &template.id)? {
                return Err(in_use(&template.id, &instance));
            }
            ledger::delete_template(tx, &template.id)?;
            Ok(Response {})
        })
        .await
    }
}

fn in_use(id: &str, instance: &InstanceId) -> Fault {
    ApiError::new(
        code::ResourceInUseInstanceBeenLocked,
        format!(
            "The template `{id}` is being applied to the instance `{instance}`. Wait until that has ended \
             (DescribeTaskList)."
        ),
        format!("模板 `{id}` 正在应用到实例 `{instance}`，请等待任务结束（DescribeTaskList）后重试。"),
    )
    .into()
}
