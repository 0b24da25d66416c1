//! Kills the primary of an instance (048), to see what its clients make of it: a replica takes over, and the old primary
//! comes back as a replica.

use std::time::Duration;

use flow::{End, Flow, Outcome, Step, StepError, StepResult, steps};
use ledger::{set_busy_if_idle, write};
use model::{ApiError, Epoch, InstanceId, InstanceStatus, Millis, NodeId, NodeRole, Secret, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value};
use crate::fleet::{self, FleetError};
use crate::flows::set_access::is_password;
use crate::text;

/// Whose primary.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// Its password; not needed where one gets in without.
    password: Option<String>,
    /// Shards whose primaries are killed; the standard architecture has one, counted from 0 or from 1.
    shard_ids: Option<Vec<i64>>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that kills it, and ends when all is well again.
    task_id: i64,
}

pub(crate) struct KillMasterGroup;

impl Action for KillMasterGroup {
    const NAME: &'static str = "KillMasterGroup";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        let password = request.password.filter(|text| !text.is_empty()).map(Secret::new);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            if request.shard_ids.iter().flatten().any(|shard| !(0..=1).contains(shard)) {
                let (en, zh) = (
                    "the standard architecture has one shard; leave it out, or give it as 0 or 1",
                    "标准架构仅有一个分片，请不填或填0或1",
                );
                return Err(bad_value("ShardIds", en, zh));
            }
            if !instance.no_auth {
                let given = password.as_ref().ok_or_else(|| text::empty_password("Password"))?;
                if !is_password(&cx, &instance, given)? {
                    return Err(text::wrong_password("Password"));
                }
            }
            let nodes = ledger::nodes_of(tx.reader(), &instance.id)?;
            let can_succeed =
                nodes.iter().any(|node| node.role == NodeRole::Replica && !node.joins && node.observed_up);
            let Some(primary) = fleet::primary_of(&nodes).filter(|_| can_succeed) else {
                return Err(ApiError::new(
                    code::ResourceUnavailableInstanceNotSupportOperation,
                    format!("The instance `{}` has no running replica that could take over.", instance.id),
                    format!("实例 `{}` 没有可接管的运行中副本。", instance.id),
                )
                .into());
            };
            let flow = KillPrimary { instance: instance.id.clone(), node: primary.id.clone(), epoch: primary.epoch };
            let task = open_task(tx, &caller, &instance, "048", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

/// What the flow remembers: the start of the primary that is killed, chosen anew by each try.
#[derive(Serialize, Deserialize)]
pub(crate) struct KillPrimary {
    instance: InstanceId,
    node: NodeId,
    epoch: Epoch,
}

impl Flow for KillPrimary {
    type Cx = FlowCx;
    const NAME: &'static str = "kill-primary";
    /// The second step does nothing but be passed: once it has begun, the primary may be dead.
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        await_stream within 60 "the primary's stream to flow to a replica",
        give_up_primary as pivot,
        kill,
        await_successor within 20 "a replica to take over",
        start_nodes within 300 "the old primary to come back",
        attach_replicas within 3600 "the old primary to have all the data",
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_busy_if_idle(tx, &id)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

async fn await_stream(cx: &FlowCx, flow: &mut KillPrimary) -> StepResult<FlowCx> {
    fleet::await_stream(cx, &flow.instance, |node| !node.joins, false).await?;
    // The stream flows as far as the primary knows; a replica that hangs does not take over.
    if fleet::successors(cx, &flow.instance, |_| true).await?.is_empty() {
        return Err(StepError::Retry("no replica that has all the data answers".into()));
    }
    let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    if let Some(primary) = fleet::primary_of(&nodes) {
        (flow.node, flow.epoch) = (primary.id.clone(), primary.epoch);
    }
    Ok(None)
}

async fn give_up_primary(_: &FlowCx, _: &mut KillPrimary) -> StepResult<FlowCx> {
    Ok(None)
}

async fn kill(cx: &FlowCx, flow: &mut KillPrimary) -> StepResult<FlowCx> {
    cx.runtime.kill(flow.node.clone(), flow.epoch).await.map_err(FleetError::from)?;
    Ok(None)
}

/// The pause between two looks: the keeper of nodes hears of the death at once, and has a replica take over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

async fn await_successor(cx: &FlowCx, flow: &mut KillPrimary) -> StepResult<FlowCx> {
    loop {
        let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
        match fleet::primary_of(&nodes) {
            Some(primary) if primary.id != flow.node => return Ok(None),
            Some(primary) if primary.epoch == flow.epoch => {
                fleet::fail_over(cx, &flow.node, flow.epoch).await?;
            }
            _ => {
                let message = "no replica could take over; the primary came back with its data".into();
                return Err(StepError::Vain { code: code::FailedOperationSystemError.into(), message });
            }
        }
        cx.clock.sleep(LOOK_EVERY).await;
    }
}

async fn start_nodes(cx: &FlowCx, flow: &mut KillPrimary) -> StepResult<FlowCx> {
    Ok(Some(fleet::start_these(cx, std::slice::from_ref(&flow.node)).await?))
}

async fn attach_replicas(cx: &FlowCx, flow: &mut KillPrimary) -> StepResult<FlowCx> {
    fleet::attach_replicas(cx, &flow.instance).await?;
    Ok(None)
}
