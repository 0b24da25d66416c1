//! Shows the parameters of an instance, with the values that its primary has now: that is asked, for two seconds at the
//! most.

use std::time::Duration;

use model::{InstanceStatus, code};
use runtime::Engine;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, no_answer, wrong_status};
use crate::parameters::{self, Kind};
use crate::{fleet, spec};

/// Which instance's.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// The parameters, by kind.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// How many there are of all kinds.
    total_count: i64,
    /// Those that have one of several values.
    instance_enum_param: Vec<InstanceEnumParam>,
    /// Those that are numbers.
    instance_integer_param: Vec<InstanceIntegerParam>,
    /// Those that are texts.
    instance_text_param: Vec<InstanceTextParam>,
    /// Those that are lists.
    instance_multi_param: Vec<InstanceMultiParam>,
}

/// One that has one of several values.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceEnumParam {
    /// Its name.
    param_name: &'static str,
    /// enum
    value_type: &'static str,
    /// true: nodes must be started anew to take it; false: they take it while they run.
    need_restart: &'static str,
    /// Its default.
    default_value: String,
    /// What it is now.
    current_value: String,
    /// What it does.
    tips: &'static str,
    /// The values that it can have.
    enum_value: Vec<String>,
    /// 1 it is being changed, 2 it is not.
    status: i64,
}

/// One that is a number.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceIntegerParam {
    /// Its name.
    param_name: &'static str,
    /// integer
    value_type: &'static str,
    /// true: nodes must be started anew to take it; false: they take it while they run.
    need_restart: &'static str,
    /// Its default.
    default_value: String,
    /// What it is now.
    current_value: String,
    /// What it does.
    tips: &'static str,
    /// The least that it can be.
    min: String,
    /// The most that it can be.
    max: String,
    /// 1 it is being changed, 2 it is not.
    status: i64,
    /// What it counts; empty where that has no name.
    unit: &'static str,
}

/// One that is a text.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceTextParam {
    /// Its name.
    param_name: &'static str,
    /// text
    value_type: &'static str,
    /// true: nodes must be started anew to take it; false: they take it while they run.
    need_restart: &'static str,
    /// Its default; two double quotes where it is empty.
    default_value: String,
    /// What it is now; two double quotes where it is empty.
    current_value: String,
    /// What it does.
    tips: &'static str,
    /// The texts that it can be, or the letters that it can be made of.
    text_value: Vec<String>,
    /// 1 it is being changed, 2 it is not.
    status: i64,
}

/// One that is a list.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct InstanceMultiParam {
    /// Its name.
    param_name: &'static str,
    /// multi
    value_type: &'static str,
    /// true: nodes must be started anew to take it; false: they take it while they run.
    need_restart: &'static str,
    /// Its default; two double quotes where it is empty.
    default_value: String,
    /// What it is now, with commas between; two double quotes where it is empty.
    current_value: String,
    /// What it does.
    tips: &'static str,
    /// What it can list.
    enum_value: Vec<String>,
    /// 1 it is being changed, 2 it is not.
    status: i64,
}

pub(crate) struct DescribeInstanceParams;

/// How long the primary may take to answer.
const ASKED_FOR: Duration = Duration::from_secs(2);

impl Action for DescribeInstanceParams {
    const NAME: &'static str = "DescribeInstanceParams";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let instance = call.instance(&request.instance_id)?;
        if ![InstanceStatus::Busy, InstanceStatus::Idle].contains(&instance.status) {
            let code = code::ResourceUnavailableInstanceStatusError;
            return Err(wrong_status(code, &instance.id, instance.status.number()));
        }
        let (params, nodes, changing) = call.read(|reader| {
            Ok((
                ledger::params_of(reader, &instance.id)?,
                ledger::nodes_of(reader, &instance.id)?,
                ledger::changing_params(reader, &instance.id)?,
            ))
        })?;
        let primary = fleet::primary_of(&nodes).ok_or_else(|| no_answer(&instance.id))?;
        let version = primary.observed_version.unwrap_or(instance.version);
        let engine = Engine { kind: primary.type_id.engine(), version };
        let peer = spec::peer(&call.cx.sealer, &instance, primary)?;
        let names = parameters::setting_names(engine);
        let said = tokio::select! {
            said = call.cx.nodes.settings(&peer, &names) => {
                said.map_err(|error| {
                    tracing::info!(instance = %instance.id, %error, "a primary can't be asked how it is set");
                    no_answer(&instance.id)
                })?
            }
            () = call.cx.clock.sleep(ASKED_FOR) => return Err(no_answer(&instance.id)),
        };
        let mut response = Response::default();
        for parameter in parameters::of_type(instance.type_id) {
            let param_name = parameter.name_for(instance.type_id);
            let value_type = parameter.kind.name();
            let need_restart = if parameter.needs_restart(engine) { "true" } else { "false" };
            let default_value = parameter.show(parameter.default);
            let current_value = parameter.show(&parameter.current(&params, engine, &said));
            let tips = parameter.tip(call.language);
            let values = parameter.values(instance.type_id);
            let status = if changing.iter().any(|name| name == param_name) { 1 } else { 2 };
            response.total_count += 1;
            match parameter.kind {
                Kind::Enum(_) => response.instance_enum_param.push(InstanceEnumParam {
                    param_name,
                    value_type,
                    need_restart,
                    default_value,
                    current_value,
                    tips,
                    enum_value: values,
                    status,
                }),
                Kind::Integer(min, max) => response.instance_integer_param.push(InstanceIntegerParam {
                    param_name,
                    value_type,
                    need_restart,
                    default_value,
                    current_value,
                    tips,
                    min: min.to_string(),
                    max: max.to_string(),
                    status,
                    unit: parameter.unit,
                }),
                Kind::Text(_) | Kind::Letters(_) => response.instance_text_param.push(InstanceTextParam {
                    param_name,
                    value_type,
                    need_restart,
                    default_value,
                    current_value,
                    tips,
                    text_value: values,
                    status,
                }),
                Kind::Multi(_) => response.instance_multi_param.push(InstanceMultiParam {
                    param_name,
                    value_type,
                    need_restart,
                    default_value,
                    current_value,
                    tips,
                    enum_value: values,
                    status,
                }),
            }
        }
        Ok(response)
    }
}
