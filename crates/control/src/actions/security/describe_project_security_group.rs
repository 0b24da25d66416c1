//! Lists the security groups of a project, shortly.

use ledger::{GroupOrder, Select, list_security_groups};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{GroupDetail, show_detail};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;

/// Which groups.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Those of this project; those of all where it is left out.
    project_id: Option<i64>,
    /// This one.
    security_group_id: Option<String>,
}

/// The groups.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Oldest first.
    security_group_details: Vec<GroupDetail>,
}

pub(crate) struct DescribeProjectSecurityGroup;

impl Action for DescribeProjectSecurityGroup {
    const NAME: &'static str = "DescribeProjectSecurityGroup";
    const ACCESS: Access = Access::read(Resource::SecurityGroup);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let mut filter = Select::new();
        filter.and("account = $", call.caller.account);
        if let Some(project) = request.project_id {
            filter.and("project = $", project);
        }
        if let Some(id) = request.security_group_id.filter(|id| !id.is_empty()) {
            filter.and("id = $", id);
        }
        let order = GroupOrder::CreateTime;
        let (_, groups) = call.read(|reader| list_security_groups(reader, &filter, order, false, i64::MAX, 0))?;
        let security_group_details = groups.into_iter().map(|group| show_detail(call, group)).collect();
        Ok(Response { security_group_details })
    }
}
