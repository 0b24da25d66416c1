//! AddProject by another name.

use super::add_project::{AddProject, Request, Response};
use crate::access::Access;
use crate::action::{Action, Api, Call};
use crate::errors::Answer;

pub(crate) struct CreateProject;

impl Action for CreateProject {
    const NAME: &'static str = "CreateProject";
    const API: Api = AddProject::API;
    const ACCESS: Access = AddProject::ACCESS;
    const IS_OF_ANY_REGION: bool = AddProject::IS_OF_ANY_REGION;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        AddProject::call(call, request).await
    }
}
