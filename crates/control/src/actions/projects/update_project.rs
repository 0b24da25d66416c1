//! Changes a project: its name, what is said of it, and whether it takes anything more. What is in it stays in it.

use ledger::{project, set_project_row};
use model::{ApiError, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{name_is_taken, read_info, read_name};
use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, TAG};
use crate::errors::{Answer, bad_value};

/// What to change of which project.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The project. The default one, 0, is as it is.
    project_id: u64,
    /// What it is called from now on; as it was where it is left out.
    project_name: Option<String>,
    /// 1: nothing comes to it any more, and it is not listed but with AllList; 0 takes that back.
    disable: Option<i64>,
    /// What is said of it from now on; as it was where it is left out.
    info: Option<String>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct UpdateProject;

impl Action for UpdateProject {
    const NAME: &'static str = "UpdateProject";
    const API: Api = TAG;
    const ACCESS: Access = Access::write(Resource::Project);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let account = call.caller.account;
        let name = request.project_name.as_deref().map(read_name).transpose()?;
        let info = request.info.as_deref().map(read_info).transpose()?;
        let is_disabled = match request.disable {
            None => None,
            Some(0) => Some(false),
            Some(1) => Some(true),
            Some(_) => return Err(bad_value("Disable", "it is 0 or 1", "须为0或1")),
        };
        call.write(move |tx| {
            let id = i64::try_from(request.project_id).unwrap_or(i64::MAX);
            let mut it = project(tx.reader(), account, id)?.ok_or_else(|| no_such_project(request.project_id))?;
            it.name = name.clone().unwrap_or(it.name);
            it.info = info.clone().unwrap_or(it.info);
            it.is_disabled = is_disabled.unwrap_or(it.is_disabled);
            match set_project_row(tx, &it) {
                Err(error) if error.is_taken() => Err(name_is_taken()),
                other => Ok(other?),
            }
        })
        .await?;
        Ok(Response {})
    }
}

fn no_such_project(id: u64) -> ApiError {
    ApiError::new(
        code::ResourceNotFoundRecordNotFound,
        format!("There is no project {id} to change. DescribeProjects lists those there are."),
        format!("没有可修改的项目 {id}，可通过 DescribeProjects 查询。"),
    )
}
