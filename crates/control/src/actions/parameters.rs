//! How instances are set, and templates of that.

pub(crate) mod apply_params_template;
pub(crate) mod create_param_template;
pub(crate) mod delete_param_template;
pub(crate) mod describe_instance_param_records;
pub(crate) mod describe_instance_params;
pub(crate) mod describe_param_template_info;
pub(crate) mod describe_param_templates;
pub(crate) mod modify_instance_params;
pub(crate) mod modify_param_template;
pub(crate) mod templates;

use ledger::Params;
use model::{ApiError, TypeId, code};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::errors::{Answer, Fault, bad_value, excerpt};
use crate::parameters::{self, Parameter};

/// A parameter and its value.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceParam {
    /// Its name, as DescribeInstanceParams shows it.
    key: String,
    /// Its value. An empty text may be written as two double quotes.
    value: String,
}

/// Reads what a client sets, each parameter once.
fn read(list: &str, type_id: TypeId, given: &[InstanceParam]) -> Answer<Vec<(&'static Parameter, String)>> {
    let mut values: Vec<(&'static Parameter, String)> = Vec::new();
    for (index, InstanceParam { key, value }) in given.iter().enumerate() {
        let path = format!("{list}.{index}.Key");
        let Some(parameter) = parameters::find(type_id, key) else {
            let (key, number) = (excerpt(key), type_id.number());
            return Err(bad_value(
                &path,
                &format!(
                    "instances of type {number} have no parameter `{key}`; DescribeParamTemplateInfo of \
                     `default-param-template-{number}` lists those they have"
                ),
                &format!(
                    "类型为 {number} 的实例没有参数 `{key}`，可通过 DescribeParamTemplateInfo 查询 \
                     `default-param-template-{number}`"
                ),
            ));
        };
        if values.iter().any(|(other, _)| other.name == parameter.name) {
            return Err(bad_value(&path, &format!("`{key}` is listed twice"), &format!("`{key}` 重复")));
        }
        let why = |why: model::Text| bad_value(&format!("{list}.{index}.Value"), &why.en, &why.zh);
        values.push((parameter, parameter.read(type_id, value).map_err(why)?));
    }
    Ok(values)
}

/// Those values as the ledger keeps them: what has its default is not there.
fn put(params: &mut Params, values: Vec<(&'static Parameter, String)>) {
    for (parameter, value) in values {
        if value == parameter.default {
            params.remove(parameter.name);
        } else {
            params.insert(parameter.name.to_owned(), value);
        }
    }
}

/// A list that must hold something is empty.
fn empty_list(parameter: &str) -> Fault {
    ApiError::new(
        code::InvalidParameterEmptyParam,
        format!("The parameter `{parameter}` is empty; list one at the least."),
        format!("参数 `{parameter}` 为空，请至少填写一项。"),
    )
    .into()
}
