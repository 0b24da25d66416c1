//! Projects: what instances are sorted into. Project 0 is always there.

pub(crate) mod add_project;
pub(crate) mod create_project;
pub(crate) mod describe_projects;
pub(crate) mod update_project;

use ledger::{Reader, project};
use model::code;

use crate::errors::{Answer, Fault, bad_value, bad_value_as};

/// The most characters of a name.
const LONGEST_NAME: usize = 60;
/// The most characters of what is said of a project.
const LONGEST_INFO: usize = 255;

/// Refuses a project that the account does not have, or that takes nothing more.
pub(crate) fn check_project(reader: &mut dyn Reader, account: i64, parameter: &str, id: i64) -> Answer<()> {
    if id == 0 {
        return Ok(());
    }
    match project(reader, account, id)? {
        Some(project) if !project.is_disabled => Ok(()),
        Some(_) => Err(bad_value(
            parameter,
            "the project is disabled; UpdateProject of the product tag enables it",
            "项目已禁用，可通过 tag 的 UpdateProject 启用",
        )),
        None => Err(bad_value(
            parameter,
            "there is no such project; DescribeProjects of the product tag lists those there are, and 0 is the default one",
            "项目不存在，可通过 tag 的 DescribeProjects 查询，0为默认项目",
        )),
    }
}

fn read_name(text: &str) -> Answer<String> {
    let count = text.chars().count();
    if (1..=LONGEST_NAME).contains(&count) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(bad_value(
        "ProjectName",
        "a name has 1 to 60 characters, none a control character",
        "须为1至60个字符，且不含控制字符",
    ))
}

fn read_info(text: &str) -> Answer<String> {
    if text.chars().count() <= LONGEST_INFO && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(bad_value(
        "Info",
        "it has 255 characters at the most, none a control character",
        "最多255个字符，且不含控制字符",
    ))
}

/// The account has a project of this name.
fn name_is_taken() -> Fault {
    let (en, zh) = ("there is a project of this name", "已存在同名项目");
    bad_value_as(code::InvalidParameterProjectNameExisted, "ProjectName", en, zh)
}
