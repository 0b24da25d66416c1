//! Templates: those that are there from the beginning, one for each type, and those of the account.

use ledger::{Params, Reader, Template};
use model::{ApiError, Architecture, Millis, TypeId, code};

use crate::errors::{Answer, Fault, bad_value};
use crate::parameters::{self, Parameter};

/// What the ids of those begin with that are there from the beginning; the number of the type follows.
const BUILT_IN: &str = "default-param-template-";

/// The template of a type in which every parameter has its default.
pub(super) fn built_in(type_id: TypeId) -> Template {
    let (engine, version) = (type_id.engine(), type_id.version());
    let architecture = match type_id.architecture() {
        Architecture::Standard => "standard",
        Architecture::Cluster => "cluster",
    };
    let name = format!("{engine} {}.{} {architecture}", version.major, version.minor);
    Template {
        id: format!("{BUILT_IN}{}", type_id.number()),
        account: 0,
        description: format!("The defaults of {name}"),
        name,
        type_id,
        created_at: Millis(0),
        params: Params::new(),
    }
}

/// The template of this id that the account may use.
pub(crate) fn find(reader: &mut dyn Reader, account: i64, id: &str) -> Answer<Template> {
    if let Some(number) = id.strip_prefix(BUILT_IN) {
        let number = number.parse().ok().filter(|n: &i64| n.to_string() == number);
        return number.and_then(TypeId::parse).map(built_in).ok_or_else(none_such);
    }
    ledger::template(reader, account, id)?.ok_or_else(none_such)
}

/// The account's own template of this id, for a change.
pub(super) fn changeable(reader: &mut dyn Reader, account: i64, id: &str) -> Answer<Template> {
    let template = find(reader, account, id)?;
    if template.account == account {
        return Ok(template);
    }
    Err(bad_value(
        "TemplateId",
        "this template is there from the beginning and can't be changed; make one of your own out of it \
         (CreateParamTemplate)",
        "系统默认模板不可变更，可通过 CreateParamTemplate 基于该模板创建自定义模板",
    ))
}

/// Refuses a template that is for instances of another type.
pub(crate) fn check_type(template: &Template, type_id: TypeId) -> Answer<()> {
    if template.type_id == type_id {
        return Ok(());
    }
    let (id, is_for, given) = (&template.id, template.type_id.number(), type_id.number());
    Err(ApiError::new(
        code::FailedOperationUnSupportError,
        format!("The template `{id}` is for instances of type {is_for}, and this one has type {given}."),
        format!("模板 `{id}` 适用于类型 {is_for} 的实例，该实例类型为 {given}。"),
    )
    .into())
}

/// Every parameter of a template with its value.
pub(super) fn values(template: &Template) -> Vec<(&'static Parameter, String)> {
    parameters::of_type(template.type_id)
        .map(|parameter| (parameter, parameter.value(&template.params).to_owned()))
        .collect()
}

fn none_such() -> Fault {
    let (en, zh) = (
        "there is no such template; DescribeParamTemplates lists those there are",
        "模板不存在，可通过 DescribeParamTemplates 查询",
    );
    bad_value("TemplateId", en, zh)
}

/// How long a description may be, in characters.
const LONGEST_DESCRIPTION: usize = 255;

/// Reads what the owner says of a template.
pub(super) fn read_description(text: &str) -> Answer<String> {
    if text.chars().count() <= LONGEST_DESCRIPTION && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(bad_value(
        "Description",
        "it has 255 characters at the most, and no control characters",
        "最多255个字符，且不能包含控制字符",
    ))
}
