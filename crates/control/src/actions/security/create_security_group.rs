//! Creates a security group. It has no rules yet, so that it accepts nobody.

use ledger::{SecurityGroup, insert_security_group};
use model::code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policies::LONGEST_REMARK;
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, VPC};
use crate::actions::projects::check_project;
use crate::actions::vpc::Tag;
use crate::errors::{Answer, bad_value, bad_value_as, not_built};
use crate::when;

/// What to create.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// What it is called, 60 characters at the most.
    group_name: String,
    /// What is said of it, 100 characters at the most.
    group_description: String,
    /// Its project, by number; 0 where it is left out.
    project_id: Option<String>,
    /// Tags. Not supported.
    tags: Option<Vec<Tag>>,
}

/// The group.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// As DescribeSecurityGroups shows it.
    security_group: ShownSecurityGroup,
}

/// A group.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShownSecurityGroup {
    /// Its id.
    security_group_id: String,
    /// What it is called.
    security_group_name: String,
    /// What is said of it.
    security_group_desc: String,
    /// Its project, by number.
    project_id: String,
    /// Whether it is the one that new instances are put into; there is none such here.
    is_default: bool,
    /// When it was made.
    created_time: String,
    /// Always empty.
    tag_set: Vec<Tag>,
    /// When it or its rules were changed last.
    update_time: String,
}

pub(crate) struct CreateSecurityGroup;

/// The most characters of a name.
const LONGEST_NAME: usize = 60;

impl Action for CreateSecurityGroup {
    const NAME: &'static str = "CreateSecurityGroup";
    const API: Api = VPC;
    const ACCESS: Access = Access::write(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.tags.is_some_and(|tags| !tags.is_empty()) {
            return Err(not_built("Tags"));
        }
        let project = match request.project_id.as_deref().filter(|text| !text.is_empty()) {
            None => 0,
            Some(text) => {
                text.parse().map_err(|_| bad_value("ProjectId", "it is a project's number", "须为项目编号"))?
            }
        };
        let group = SecurityGroup {
            id: new_id(call.cx.random.bits()),
            account: call.caller.account,
            project,
            name: read_name(&request.group_name)?,
            remark: read_remark(&request.group_description)?,
            inbound: Vec::new(),
            outbound: Vec::new(),
            version: 1,
            created_at: call.now,
            updated_at: call.now,
        };
        let (account, made) = (call.caller.account, group.clone());
        call.write(move |tx| {
            check_project(tx.reader(), account, "ProjectId", project)?;
            insert_security_group(tx, &made)?;
            Ok(())
        })
        .await?;
        Ok(Response { security_group: show(call, group) })
    }
}

/// `sg-` and eight characters, out of random bits.
fn new_id(bits: u64) -> String {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let digits = (0..8).scan(bits, |rest, _| {
        let digit = ALPHABET[(*rest % 36) as usize];
        *rest /= 36;
        Some(char::from(digit))
    });
    format!("sg-{}", digits.collect::<String>())
}

/// Reads what a group is to be called.
pub(super) fn read_name(text: &str) -> Answer<String> {
    if text.is_empty() {
        return Err(bad_value("GroupName", "a group has a name", "不能为空"));
    }
    read_text("GroupName", text, LONGEST_NAME)
}

/// Reads what is to be said of a group.
pub(super) fn read_remark(text: &str) -> Answer<String> {
    read_text("GroupDescription", text, LONGEST_REMARK)
}

fn read_text(parameter: &str, text: &str, most: usize) -> Answer<String> {
    if text.chars().any(char::is_control) {
        return Err(bad_value(parameter, "it has no control characters", "不能包含控制字符"));
    }
    if text.chars().count() > most {
        let (en, zh) = (format!("it has {most} characters at the most"), format!("最多{most}个字符"));
        return Err(bad_value_as(code::InvalidParameterValueTooLong, parameter, &en, &zh));
    }
    Ok(text.to_owned())
}

/// A group as it is shown without its rules.
pub(super) fn show(call: &Call, group: SecurityGroup) -> ShownSecurityGroup {
    let write = |at| when::write(at, call.cx.settings.utc_offset_seconds);
    ShownSecurityGroup {
        security_group_id: group.id,
        security_group_name: group.name,
        security_group_desc: group.remark,
        project_id: group.project.to_string(),
        is_default: false,
        created_time: write(group.created_at),
        tag_set: Vec::new(),
        update_time: write(group.updated_at),
    }
}
