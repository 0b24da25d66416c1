//! Makes a parameter template: out of the defaults of a type, or out of another template.

use ledger::Template;
use model::{ApiError, InstanceId, TypeId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{InstanceParam, put, read, templates};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value, bad_value_as};
use crate::text;

/// What to make.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// What it is called: 1 to 60 letters, digits, Chinese characters, `-` or `_`.
    name: String,
    /// What it is for, 255 characters at the most.
    description: Option<String>,
    /// The type of the instances that it is for, as TypeId of CreateInstances. Not needed with TemplateId.
    product_type: Option<u64>,
    /// A template to begin with.
    template_id: Option<String>,
    /// Parameters and their values; others have those of the template to begin with, or their defaults.
    param_list: Option<Vec<InstanceParam>>,
}

/// The template.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Its id.
    template_id: String,
}

pub(crate) struct CreateParamTemplate;

/// How many templates an account may have.
const MOST_TEMPLATES: usize = 200;

impl Action for CreateParamTemplate {
    const NAME: &'static str = "CreateParamTemplate";
    const ACCESS: Access = Access::write(Resource::Template);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let name = text::name("Name", &request.name)?;
        let description = templates::read_description(request.description.as_deref().unwrap_or_default())?;
        let type_id = request.product_type.map(read_type).transpose()?;
        let (cx, account, now) = (call.cx.clone(), call.caller.account, call.now);
        call.write(move |tx| {
            let source = request.template_id.as_deref().filter(|id| !id.is_empty());
            let source = match (source, type_id) {
                (Some(id), _) => templates::find(tx.reader(), account, id)?,
                (None, Some(type_id)) => templates::built_in(type_id),
                (None, None) => return Err(neither()),
            };
            if type_id.is_some_and(|type_id| type_id != source.type_id) {
                let (en, zh) = ("the template to begin with is for another type", "与源模板的类型不一致");
                return Err(bad_value("ProductType", en, zh));
            }
            if ledger::templates_of(tx.reader(), account)?.len() >= MOST_TEMPLATES {
                return Err(too_many());
            }
            let mut params = source.params;
            put(&mut params, read("ParamList", source.type_id, request.param_list.as_deref().unwrap_or_default())?);
            let template = Template {
                id: new_id(&cx),
                account,
                name: name.clone(),
                description: description.clone(),
                type_id: source.type_id,
                created_at: now,
                params,
            };
            ledger::put_template(tx, &template)?;
            Ok(Response { template_id: template.id })
        })
        .await
    }
}

fn read_type(number: u64) -> Answer<TypeId> {
    i64::try_from(number).ok().and_then(TypeId::parse).ok_or_else(|| {
        bad_value_as(
            code::InvalidParameterValueInvalidInstanceTypeId,
            "ProductType",
            "there is no such type; DescribeProductInfo lists those there are",
            "类型不存在，可通过 DescribeProductInfo 查询",
        )
    })
}

/// `crs-cfg-` and what an instance's id ends with.
fn new_id(cx: &FlowCx) -> String {
    InstanceId::from_random(cx.random.bits()).as_str().replacen("crs-", "crs-cfg-", 1)
}

fn neither() -> crate::Fault {
    ApiError::new(
        code::MissingParameter,
        "The request must have one of the parameters `ProductType` and `TemplateId`.",
        "参数 `ProductType` 与 `TemplateId` 须至少填写一个。",
    )
    .into()
}

fn too_many() -> crate::Fault {
    ApiError::new(
        code::LimitExceeded,
        format!("The account has {MOST_TEMPLATES} parameter templates, more are not possible; delete one."),
        format!("参数模板数已达上限 {MOST_TEMPLATES}，请先删除不用的模板。"),
    )
    .into()
}
