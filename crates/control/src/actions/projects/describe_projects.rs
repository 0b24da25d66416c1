//! Lists projects. The default one, 0, is always there and not listed.

use ledger::{Project, Select, list_projects};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Api, Call, TAG};
use crate::errors::{Answer, bad_value};
use crate::when;

/// Which projects.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// 1: those that are disabled too; 0: without them.
    all_list: u64,
    /// How many to show. More than 1000 is served as 1000.
    limit: u64,
    /// How many to leave out at the beginning.
    offset: u64,
    /// This one.
    project_id: Option<i64>,
    /// The one of this name.
    project_name: Option<String>,
}

/// A page of projects.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are over all pages.
    total: u64,
    /// This page, oldest first.
    projects: Vec<ShownProject>,
}

/// A project.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShownProject {
    /// Its number.
    project_id: u64,
    /// What it is called.
    project_name: String,
    /// Who made it.
    creator_uin: u64,
    /// What is said of it.
    project_info: String,
    /// When it was made.
    create_time: String,
}

pub(crate) struct DescribeProjects;

impl Action for DescribeProjects {
    const NAME: &'static str = "DescribeProjects";
    const API: Api = TAG;
    const ACCESS: Access = Access::read(Resource::Project);
    const IS_OF_ANY_REGION: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let limit = match request.limit {
            0 => return Err(bad_value("Limit", "it must be 1 or more", "须大于0")),
            limit => limit.min(1000) as i64,
        };
        let offset = i64::try_from(request.offset).unwrap_or(i64::MAX);
        let mut filter = Select::new();
        filter.and("account = $", call.caller.account);
        match request.all_list {
            0 => filter.and("is_disabled = $", 0),
            1 => {}
            _ => return Err(bad_value("AllList", "it is 0 or 1", "须为0或1")),
        }
        if let Some(id) = request.project_id {
            filter.and("id = $", id);
        }
        if let Some(name) = request.project_name.filter(|name| !name.is_empty()) {
            filter.and("name = $", name);
        }
        let (count, projects) = call.read(|reader| list_projects(reader, &filter, limit, offset))?;
        let projects = projects.into_iter().map(|project| show(call, project)).collect();
        Ok(Response { total: u64::try_from(count).unwrap_or(0), projects })
    }
}

fn show(call: &Call, project: Project) -> ShownProject {
    ShownProject {
        project_id: u64::try_from(project.id).unwrap_or(0),
        project_name: project.name,
        creator_uin: project.creator.parse().unwrap_or(0),
        project_info: project.info,
        create_time: when::write(project.created_at, call.cx.settings.utc_offset_seconds),
    }
}
