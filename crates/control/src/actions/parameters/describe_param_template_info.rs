//! Shows a parameter template with all its parameters.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::templates;
use crate::access::{Access, Resource};
use crate::action::{Action, Call, Language};
use crate::errors::Answer;
use crate::parameters::{Kind, Parameter};
use model::TypeId;
use runtime::Engine;

/// Which one.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The template: one of your own, or `default-param-template-` and the number of a type.
    template_id: String,
}

/// The template.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many parameters it has.
    total_count: i64,
    /// Its id.
    template_id: String,
    /// What it is called.
    name: String,
    /// The type of the instances that it is for.
    product_type: u64,
    /// What it is for.
    description: String,
    /// Its parameters.
    items: Vec<ParameterDetail>,
}

/// A parameter of a template.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ParameterDetail {
    /// Its name.
    name: &'static str,
    /// enum, integer, text or multi.
    param_type: &'static str,
    /// Its default.
    default: String,
    /// What it does.
    description: &'static str,
    /// What the template sets it to.
    current_value: String,
    /// 1: nodes must be started anew to take it; 0: they take it while they run.
    need_reboot: i64,
    /// The greatest value of a number; empty for others.
    max: String,
    /// The least value of a number; empty for others.
    min: String,
    /// The values that it can have, or be made of; none for a number.
    enum_value: Vec<String>,
}

pub(crate) struct DescribeParamTemplateInfo;

impl Action for DescribeParamTemplateInfo {
    const NAME: &'static str = "DescribeParamTemplateInfo";
    const ACCESS: Access = Access::read(Resource::Template);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let template = call.read(|reader| Ok(templates::find(reader, call.caller.account, &request.template_id)))??;
        let values = templates::values(&template);
        let show = |(parameter, value): (&'static Parameter, String)| {
            let engine = Engine { kind: template.type_id.engine(), version: template.type_id.version() };
            detail(parameter, &value, template.type_id, engine, call.language)
        };
        let items: Vec<_> = values.into_iter().map(show).collect();
        Ok(Response {
            total_count: items.len() as i64,
            template_id: template.id,
            name: template.name,
            product_type: template.type_id.number().unsigned_abs(),
            description: template.description,
            items,
        })
    }
}

fn detail(
    parameter: &'static Parameter,
    value: &str,
    type_id: TypeId,
    engine: Engine,
    language: Language,
) -> ParameterDetail {
    let (min, max) = match parameter.kind {
        Kind::Integer(min, max) => (min.to_string(), max.to_string()),
        _ => Default::default(),
    };
    ParameterDetail {
        name: parameter.name_for(type_id),
        param_type: parameter.kind.name(),
        default: parameter.show(parameter.default),
        description: parameter.tip(language),
        current_value: parameter.show(value),
        need_reboot: i64::from(parameter.needs_restart(engine)),
        max,
        min,
        enum_value: parameter.values(type_id),
    }
}
