//! Sets how many connections an instance takes and how much may pass (044), at once and with open connections kept.

use std::ops::RangeInclusive;

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, set_busy_if_idle, set_limits, write};
use model::{InstanceId, InstanceStatus, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value, missing};
use crate::fleet;

/// What to set; one of the two at the least.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// What may pass in each direction, in MB/s, a shard: 1 to 10000. 0 is as much as the host can.
    bandwidth: Option<i64>,
    /// Connections at the most, a shard: 10000 to 40000. Where replicas answer reads (EnableReplicaReadonly), 10000 for each
    /// of them and 30000 more.
    client_limit: Option<i64>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that sets it.
    task_id: i64,
}

/// The connections that an instance can be set to take: more where replicas answer reads.
pub(crate) fn clients(instance: &Instance) -> RangeInclusive<i64> {
    const LEAST: i64 = 10_000;
    let most = if instance.replica_reads { (instance.replicas + 3).max(4) } else { 4 };
    LEAST..=LEAST * most
}

/// The bandwidth that an instance can be given, in MB/s; 0 is no limit.
pub(crate) const BANDWIDTH: RangeInclusive<i64> = 0..=10_000;

/// How many Mbit/s are a MB/s.
pub(crate) const MBIT: i64 = 8;

pub(crate) struct ModifyConnectionConfig;

impl Action for ModifyConnectionConfig {
    const NAME: &'static str = "ModifyConnectionConfig";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (bandwidth, client_limit) = (request.bandwidth, request.client_limit);
        if bandwidth.is_none() && client_limit.is_none() {
            return Err(missing("ClientLimit"));
        }
        check("Bandwidth", bandwidth, &BANDWIDTH)?;
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            check("ClientLimit", client_limit, &clients(&instance))?;
            let previous = (instance.client_limit, instance.bandwidth_mbit);
            let wanted = (
                client_limit.or(previous.0),
                bandwidth.map_or(previous.1, |bandwidth| (bandwidth > 0).then_some(bandwidth * MBIT)),
            );
            let flow = SetLimits { instance: instance.id.clone(), previous, wanted };
            let task = open_task(tx, &caller, &instance, "044", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

fn check(parameter: &str, value: Option<i64>, range: &RangeInclusive<i64>) -> Answer<()> {
    if value.is_none_or(|value| range.contains(&value)) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    let (en, zh) = (format!("it must be {least} to {most}"), format!("须为{least}至{most}"));
    Err(bad_value(parameter, &en, &zh))
}

/// What the flow remembers: connections, and bandwidth in Mbit/s.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetLimits {
    instance: InstanceId,
    previous: (Option<i64>, Option<i64>),
    wanted: (Option<i64>, Option<i64>),
}

impl Flow for SetLimits {
    type Cx = FlowCx;
    const NAME: &'static str = "set-limits";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![apply_limits undo apply_limits];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, (clients, bandwidth)) = (self.instance.clone(), self.wanted);
        Some(write(move |tx| {
            set_busy_if_idle(tx, &id)?;
            set_limits(tx, &id, clients, bandwidth)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, (clients, bandwidth)) = (self.instance.clone(), self.previous);
        Some(write(move |tx| set_limits(tx, &id, clients, bandwidth)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

/// The gateway holds customers to both; nodes only have to take as many. The ledger is always changed first, and a node that
/// starts takes it from there.
async fn apply_limits(cx: &FlowCx, flow: &mut SetLimits) -> StepResult<FlowCx> {
    fleet::apply_max_clients(cx, &flow.instance).await?;
    fleet::put_routes_in_force(cx).await?;
    Ok(None)
}
