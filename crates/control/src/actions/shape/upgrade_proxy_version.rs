//! Has the gateway be of this server's release (061). After an upgrade of the program an older gateway goes on, so that no
//! connection is touched; this replaces it. One gateway serves all instances.

use flow::{End, Flow, Outcome, Step, StepError, StepResult, steps};
use ledger::{end_events, set_busy_if_idle, write};
use model::{ApiError, InstanceId, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{changeable_shape, read_switch};
use crate::access::{Access, Resource};
use crate::action::{Action, Call, open_task};
use crate::cx::{FlowCx, GATEWAY_RELEASE};
use crate::errors::Answer;
use crate::fleet;
use crate::flows::window;

/// What to move to.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// What the gateway is, as CurrentProxyVersion of DescribeInstances says.
    current_proxy_version: String,
    /// What it is to be, as UpgradeProxyVersion of DescribeInstances says: a newer one.
    upgrade_proxy_version: String,
    /// 1 now, 0 in the maintenance window of the instance.
    instance_type_upgrade_now: i64,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that renews the gateway.
    flow_id: i64,
}

pub(crate) struct UpgradeProxyVersion;

impl Action for UpgradeProxyVersion {
    const NAME: &'static str = "UpgradeProxyVersion";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let instance = changeable_shape(tx, caller.account, &request.instance_id)?;
            let waits = read_switch("InstanceTypeUpgradeNow", request.instance_type_upgrade_now, 0, 1)?;
            let present = cx.gateway.release();
            let given = (request.current_proxy_version.as_str(), request.upgrade_proxy_version.as_str());
            if !is_older(&present) {
                return Err(ApiError::new(
                    code::InvalidParameterValueCheckNotPass,
                    format!("The gateway is of release {present}; this service has no newer one than {GATEWAY_RELEASE}."),
                    format!("代理当前版本为 {present}，本服务没有比 {GATEWAY_RELEASE} 更新的版本。"),
                )
                .into());
            }
            if given != (present.as_str(), GATEWAY_RELEASE) {
                return Err(ApiError::new(
                    code::InvalidParameterValueCheckNotPass,
                    format!("The gateway is of release {present} and can become {GATEWAY_RELEASE}; DescribeInstances shows both."),
                    format!("代理当前版本为 {present}，可升级到 {GATEWAY_RELEASE}，可通过 DescribeInstances 查询。"),
                )
                .into());
            }
            let flow = RenewGateway { instance: instance.id.clone(), waits, always: false };
            let task = open_task(tx, &caller, &instance, "061", &flow, now)?;
            Ok(Response { flow_id: task.0 })
        })
        .await
    }
}

/// Whether a release of the gateway is older than this program's. One that does not tell, is.
fn is_older(release: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> { text.split('.').filter_map(|part| part.parse().ok()).collect() };
    numbers(release) < numbers(GATEWAY_RELEASE)
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct RenewGateway {
    pub(crate) instance: InstanceId,
    pub(crate) waits: bool,
    /// Whether a gateway of this very program is replaced too.
    #[serde(default)]
    pub(crate) always: bool,
}

impl Flow for RenewGateway {
    type Cx = FlowCx;
    const NAME: &'static str = "renew-gateway";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        let_go undo take_back within 86400 "another task to let the instance go",
        await_window within 60 "the maintenance window",
        renew as pivot within 60 "the new gateway to answer",
        open_address within 60,
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_busy_if_idle(tx, &id)))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (id, done) = (self.instance.clone(), *end == End::Done);
        Some(write(move |tx| end_events(tx, &id, if done { "Finished" } else { "Canceled" }, now)))
    }
}

async fn let_go(cx: &FlowCx, flow: &mut RenewGateway) -> StepResult<FlowCx> {
    Ok(flow.waits.then(|| window::let_go(cx, &flow.instance, window::GATEWAY_UPGRADE)))
}

async fn take_back(cx: &FlowCx, flow: &mut RenewGateway) -> StepResult<FlowCx> {
    window::take_back(cx, &flow.instance).await
}

async fn await_window(cx: &FlowCx, flow: &mut RenewGateway) -> StepResult<FlowCx> {
    window::await_window(cx, &flow.instance).await
}

async fn renew(cx: &FlowCx, flow: &mut RenewGateway) -> StepResult<FlowCx> {
    let renewed = if flow.always { cx.gateway.replace().await } else { cx.gateway.renew().await };
    renewed.map_err(StepError::Retry)?;
    Ok(None)
}

async fn open_address(cx: &FlowCx, flow: &mut RenewGateway) -> StepResult<FlowCx> {
    fleet::open_address(cx, &flow.instance).await?;
    Ok(None)
}
