//! Lists parameter templates: those that are there from the beginning, by type, then the account's own, by age.

use ledger::Template;
use model::TypeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::templates;
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value};

/// Which ones. Filters are ANDed, the values of one are ORed.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Those for instances of these types.
    product_types: Option<Vec<i64>>,
    /// Those with one of these names.
    template_names: Option<Vec<String>>,
    /// Those with one of these ids, 50 at the most.
    template_ids: Option<Vec<String>>,
    /// How many to show, 200 where it is left out; 200 at the most.
    limit: Option<i64>,
    /// How many to leave out at the beginning.
    offset: Option<i64>,
}

/// A page of templates.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total_count: u64,
    /// This page.
    items: Vec<ParamTemplateInfo>,
}

/// A template.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ParamTemplateInfo {
    /// Its id.
    template_id: String,
    /// What it is called.
    name: String,
    /// What it is for.
    description: String,
    /// The type of the instances that it is for.
    product_type: u64,
}

pub(crate) struct DescribeParamTemplates;

impl Action for DescribeParamTemplates {
    const NAME: &'static str = "DescribeParamTemplates";
    const ACCESS: Access = Access::read(Resource::Template);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let page = |parameter, given: Option<i64>, default| match usize::try_from(given.unwrap_or(default)) {
            Ok(number) => Ok(number),
            Err(_) => Err(bad_value(parameter, "it must be 0 or more", "不能小于0")),
        };
        let (limit, offset) = (page("Limit", request.limit, 200)?.min(200), page("Offset", request.offset, 0)?);
        if request.template_ids.as_ref().is_some_and(|ids| ids.len() > 50) {
            return Err(bad_value("TemplateIds", "it lists 50 at the most", "最多50个"));
        }
        let own = call.read(|reader| ledger::templates_of(reader, call.caller.account))?;
        let mut all: Vec<Template> = TypeId::all().map(templates::built_in).chain(own).collect();
        all.retain(|template| {
            has(request.product_types.as_ref(), &template.type_id.number())
                && has(request.template_names.as_ref(), &template.name)
                && has(request.template_ids.as_ref(), &template.id)
        });
        let total_count = all.len() as u64;
        let items = all.into_iter().skip(offset).take(limit).map(|template| ParamTemplateInfo {
            template_id: template.id,
            name: template.name,
            description: template.description,
            product_type: template.type_id.number().unsigned_abs(),
        });
        Ok(Response { total_count, items: items.collect() })
    }
}

/// An empty list filters nothing, as if it were left out.
fn has<T: PartialEq>(list: Option<&Vec<T>>, value: &T) -> bool {
    list.is_none_or(|list| list.is_empty() || list.contains(value))
}
