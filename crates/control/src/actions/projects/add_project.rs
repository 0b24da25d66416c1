//! Adds a project.

use ledger::{count_projects, insert_project};
use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{name_is_taken, read_info, read_name};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, TAG};
use crate::errors::Answer;

/// What to add.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// What it is called: 1 to 60 characters, as no other project of the account is.
    project_name: String,
    /// What is said of it, 255 characters at the most.
    info: Option<String>,
}

/// The project.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Its number.
    project_id: u64,
    /// Always 1: it is new.
    is_new: i64,
}

pub(crate) struct AddProject;

/// The most projects of an account.
const MOST_PROJECTS: i64 = 1000;

impl Action for AddProject {
    const NAME: &'static str = "AddProject";
    const API: Api = TAG;
    const ACCESS: Access = Access::write(Resource::Project);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (caller, now) = (call.caller.clone(), call.now);
        let name = read_name(&request.project_name)?;
        let info = read_info(request.info.as_deref().unwrap_or_default())?;
        let id = call.write(move |tx| {
            if count_projects(tx.reader(), caller.account)? >= MOST_PROJECTS {
                let (en, zh) = ("An account has 1000 projects at the most.", "每个账号最多1000个项目。");
                return Err(ApiError::new(code::FailedOperationProjectNumExceed, en, zh).into());
            }
            match insert_project(tx, caller.account, &name, &info, &caller.uin, now) {
                Err(error) if error.is_taken() => Err(name_is_taken()),
                other => Ok(other?),
            }
        });
        Ok(Response { project_id: u64::try_from(id.await?).unwrap_or(0), is_new: 1 })
    }
}
