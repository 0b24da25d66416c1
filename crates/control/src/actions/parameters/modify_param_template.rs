//! Changes a parameter template. Instances to which it was applied stay as they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InstanceParam, put, read, templates};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, Fault};
use crate::text;
use model::{ApiError, code};

/// What to change.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The template, one of your own.
    template_id: String,
    /// What it is called from now on.
    name: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// Parameters and their values; others stay as they are.
    param_list: Option<Vec<InstanceParam>>,
}

/// Nothing.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {}

pub(crate) struct ModifyParamTemplate;

impl Action for ModifyParamTemplate {
    const NAME: &'static str = "ModifyParamTemplate";
    const ACCESS: Access = Access::write(Resource::Template);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let name = request.name.as_deref().filter(|name| !name.is_empty());
        let name = name.map(|name| text::name("Name", name)).transpose()?;
        let description = request.description.as_deref().map(templates::read_description).transpose()?;
        let account = call.caller.account;
        call.write(move |tx| {
            let mut template = templates::changeable(tx.reader(), account, &request.template_id)?;
            let given = request.param_list.as_deref().unwrap_or_default();
            if name.is_none() && description.is_none() && given.is_empty() {
                return Err(nothing_given());
            }
            put(&mut template.params, read("ParamList", template.type_id, given)?);
            if let Some(name) = &name {
                template.name.clone_from(name);
            }
            if let Some(description) = &description {
                template.description.clone_from(description);
            }
            ledger::put_template(tx, &template)?;
            Ok(Response {})
        })
        .await
    }
}

fn nothing_given() -> Fault {
    ApiError::new(
        code::InvalidParameterEmptyParam,
        "There is nothing to change; give `Name`, `Description` or `ParamList`.",
        "没有需要修改的内容，请填写 `Name`、`Description` 或 `ParamList`。",
    )
    .into()
}
