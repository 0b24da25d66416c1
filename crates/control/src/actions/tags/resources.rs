//! How resources are named, `qcs::redis:REGION:uin/UIN:instance/ID`, and what may be a tag.

use ledger::{Instance, Reader, Tag as Kept, Tx};
use model::{ApiError, Code, InstanceId, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::{Call, Language};
use crate::errors::{Answer, Fault, bad_value_as, excerpt, not_built};

/// The most resources, and the most tags, of a request.
const MOST_AT_ONCE: usize = 10;
/// The most tags of a resource.
const MOST_TAGS: usize = 50;
/// The most characters of a key and of a value.
const LONGEST: (usize, usize) = (127, 255);

/// A tag.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    /// Its key, 127 characters at the most.
    pub tag_key: String,
    /// Its value, 255 characters at the most.
    pub tag_value: String,
    /// Custom: there are no others here.
    pub category: Option<String>,
}

/// A resource for which it could not be done.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FailedResource {
    /// As the request named it.
    resource: String,
    /// Why, as an action's refusal has it.
    code: String,
    /// Why, for people.
    message: String,
}

/// What a name means.
pub(super) struct Named<'a> {
    /// `redis`, for what is here.
    pub service: &'a str,
    /// `instance`, for what is here.
    prefix: &'a str,
    /// The resource's id.
    pub id: &'a str,
}

/// Reads a resource's name: six parts, of which the region and the account, where they are given, must be these.
pub(super) fn read_name<'a>(region: &str, account: i64, parameter: &str, text: &'a str) -> Answer<Named<'a>> {
    let parts: Vec<&str> = text.split(':').collect();
    let resource = |part: &'a str| part.split_once('/').filter(|(prefix, id)| !prefix.is_empty() && !id.is_empty());
    let ["qcs", _, service, of_region, of_account, last] = parts[..] else { return Err(no_name(parameter)) };
    let Some((prefix, id)) = resource(last) else { return Err(no_name(parameter)) };
    let named = Named { service, prefix, id };
    if service.is_empty() {
        return Err(no_name(parameter));
    }
    let uin = of_account.strip_prefix("uin/").unwrap_or(of_account);
    if !uin.is_empty() && uin != account.to_string() {
        let (en, zh) = ("it is a resource of another account", "资源属于其他账号");
        return Err(bad_value_as(code::InvalidParameterValueUinInvalid, parameter, en, zh));
    }
    if named.is_here() && of_region != region {
        let (en, zh) = (format!("the region here is {region}"), format!("本服务的地域为 {region}"));
        return Err(bad_value_as(code::InvalidParameterValueRegionInvalid, parameter, &en, &zh));
    }
    Ok(named)
}

fn no_name(parameter: &str) -> Fault {
    bad_value_as(
        code::InvalidParameterValueResourceDescriptionError,
        parameter,
        "a resource is named like qcs::redis:ap-guangzhou:uin/100000000001:instance/crs-12345678, and uin/ may be without \
         its number",
        "资源须按六段式描述，如 qcs::redis:ap-guangzhou:uin/100000000001:instance/crs-12345678，uin/ 后可为空",
    )
}

impl Named<'_> {
    /// Whether it could be here: an instance of this product.
    pub(super) fn is_here(&self) -> bool {
        self.service == "redis" && self.prefix == "instance"
    }
}

/// How an instance is named.
pub(super) fn name(region: &str, account: i64, id: &InstanceId) -> String {
    format!("qcs::redis:{region}:uin/{account}:instance/{id}")
}

/// The instance that a name means.
pub(super) fn find(
    reader: &mut dyn Reader,
    region: &str,
    account: i64,
    parameter: &str,
    text: &str,
) -> Answer<Instance> {
    let named = read_name(region, account, parameter, text)?;
    let refused = |code: Code, en: &str, zh: &str| Err(bad_value_as(code, parameter, en, zh));
    if named.service != "redis" {
        let (en, zh) = ("only resources of redis can have tags here", "本服务仅支持 redis 资源的标签");
        return refused(code::InvalidParameterUnsupportedService, en, zh);
    }
    if !named.is_here() {
        let (en, zh) = ("resources of redis are named instance/ID", "redis 资源的前缀须为 instance");
        return refused(code::InvalidParameterValueResourcePrefixInvalid, en, zh);
    }
    let found = match InstanceId::parse(named.id) {
        Some(id) => ledger::instance(reader, &id)?.filter(|instance| instance.account == account),
        None => None,
    };
    match found {
        Some(instance) => Ok(instance),
        None => {
            let id = excerpt(named.id);
            let (en, zh) = (format!("there is no instance `{id}`"), format!("实例 `{id}` 不存在"));
            refused(code::InvalidParameterValueResourceIdInvalid, &en, &zh)
        }
    }
}

/// Reads tags that are to be put on.
pub(super) fn read_tags(parameter: &str, tags: Vec<Tag>) -> Answer<Vec<Kept>> {
    check_count(parameter, tags.len(), code::LimitExceededTagNumPerRequest)?;
    let mut read: Vec<Kept> = Vec::new();
    for (index, tag) in tags.into_iter().enumerate() {
        if !matches!(tag.category.as_deref(), None | Some("" | "Custom" | "All")) {
            return Err(not_built(&format!("{parameter}.{index}.Category")));
        }
        let of_value = format!("{parameter}.{index}.TagValue");
        let key = read_key(&format!("{parameter}.{index}.TagKey"), tag.tag_key)?;
        if tag.tag_value.chars().count() > LONGEST.1 {
            let (en, zh) = ("a value has 255 characters at the most", "值最多255个字符");
            return Err(bad_value_as(code::InvalidParameterValueTagValueLengthExceeded, &of_value, en, zh));
        }
        if tag.tag_value.chars().any(char::is_control) {
            let (en, zh) = ("a value has no control characters", "值不能包含控制字符");
            return Err(bad_value_as(code::InvalidParameterValueTagValueCharacterIllegal, &of_value, en, zh));
        }
        if read.iter().any(|other| other.key == key) {
            return Err(listed_twice(&format!("{parameter}.{index}.TagKey")));
        }
        read.push(Kept { key, value: tag.tag_value });
    }
    Ok(read)
}

/// Reads keys of tags that are to be taken off.
pub(super) fn read_keys(parameter: &str, keys: Vec<String>) -> Answer<Vec<String>> {
    check_count(parameter, keys.len(), code::LimitExceededTagNumPerRequest)?;
    keys.into_iter().enumerate().map(|(index, key)| read_key(&format!("{parameter}.{index}"), key)).collect()
}

fn read_key(parameter: &str, key: String) -> Answer<String> {
    let refused = |code, en, zh| Err(bad_value_as(code, parameter, en, zh));
    match key.chars().count() {
        0 => refused(code::InvalidParameterValueTagKeyEmpty, "a tag has a key", "标签键不能为空"),
        count if count > LONGEST.0 => {
            let (en, zh) = ("a key has 127 characters at the most", "键最多127个字符");
            refused(code::InvalidParameterValueTagKeyLengthExceeded, en, zh)
        }
        _ if key.chars().any(char::is_control) => {
            let (en, zh) = ("a key has no control characters", "键不能包含控制字符");
            refused(code::InvalidParameterValueTagKeyCharacterIllegal, en, zh)
        }
        _ => Ok(key),
    }
}

fn listed_twice(parameter: &str) -> Fault {
    bad_value_as(code::InvalidParameterValueTagKeyDuplicate, parameter, "the key is listed twice", "标签键重复")
}

/// Refuses an empty list, and one that is longer than a request takes.
pub(super) fn check_count(parameter: &str, count: usize, too_many: Code) -> Answer<()> {
    match count {
        0 => Err(crate::errors::missing(parameter)),
        count if count > MOST_AT_ONCE => Err(bad_value_as(too_many, parameter, "10 of them at the most", "最多10个")),
        _ => Ok(()),
    }
}

/// Takes tags off an instance and puts others on. A key that it does not have is off already. A refusal has changed
/// nothing.
pub(super) fn change(tx: &mut dyn Tx, instance: &Instance, put: &[Kept], removed: &[String]) -> Answer<()> {
    let mut tags = ledger::tags_of(tx.reader(), &instance.id)?;
    let before = tags.len();
    tags.retain(|tag| !removed.contains(&tag.key) && !put.iter().any(|new| new.key == tag.key));
    tags.extend(put.iter().cloned());
    // Orders may have put on more.
    if tags.len() > MOST_TAGS.max(before) {
        return Err(ApiError::new(
            code::LimitExceededResourceAttachedTags,
            format!("A resource has 50 tags at the most; `{}` would have more.", instance.id),
            format!("每个资源最多50个标签，`{}` 超过上限。", instance.id),
        )
        .into());
    }
    Ok(ledger::set_tags(tx, &instance.id, &tags)?)
}

/// Changes the tags of several resources in one transaction; answers for which it could not be done, and why.
pub(super) async fn change_each(
    call: &Call,
    resources: Vec<String>,
    put: Vec<Kept>,
    removed: Vec<String>,
) -> Answer<Vec<FailedResource>> {
    check_count("ResourceList", resources.len(), code::LimitExceededResourceNumPerRequest)?;
    let (cx, account, language) = (call.cx.clone(), call.caller.account, call.language);
    call.write(move |tx| {
        let mut failed = Vec::new();
        for (index, resource) in resources.iter().enumerate() {
            let parameter = format!("ResourceList.{index}");
            let found = find(tx.reader(), &cx.settings.region.name, account, &parameter, resource);
            match found.and_then(|instance| change(tx, &instance, &put, &removed)) {
                Ok(()) => {}
                Err(Fault::Api(error)) => failed.push(FailedResource {
                    resource: resource.clone(),
                    code: error.code.to_owned(),
                    message: match language {
                        Language::En => error.message.en,
                        Language::Zh => error.message.zh,
                    },
                }),
                Err(fault) => return Err(fault),
            }
        }
        Ok(failed)
    })
    .await
}
