//! Swaps the addresses of two instances (036), with the networks that they are of: whoever connects to the one finds the
//! other from then on. Connections to both are reset once.
//!
//! The API means it for two instances of which one is synchronized with the other, and holds the swap back while that
//! synchronization is cut or behind. There is no such synchronization here, so nothing is: ForceSwitch and SwitchTime make no
//! difference.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Instance, Place, set_busy_if_idle, set_places, write};
use model::{InstanceId, InstanceStatus, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task_of_two};
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value};
use crate::fleet;

/// Which two.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The one, whose task it is.
    src_instance_id: String,
    /// The other.
    dst_instance_id: String,
    /// For how many seconds a synchronization of the two may be cut; there is none.
    time_delay: Option<i64>,
    /// 1 although their synchronization is cut, 0 not then; there is none.
    force_switch: Option<i64>,
    /// now, or syncComplete, which is as soon as they are the same; there is nothing to wait for.
    switch_time: Option<String>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that swaps them.
    task_id: i64,
}

pub(crate) struct SwitchInstanceVip;

impl Action for SwitchInstanceVip {
    const NAME: &'static str = "SwitchInstanceVip";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        check(&request)?;
        let (caller, now) = (call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusAbnormal;
            let mut find = |id: &str| changeable(tx.reader(), caller.account, id, &[InstanceStatus::Idle], code);
            let (one, other) = (find(&request.src_instance_id)?, find(&request.dst_instance_id)?);
            if one.id == other.id {
                let (en, zh) = ("it must be another instance than SrcInstanceId", "须与 SrcInstanceId 不同");
                return Err(bad_value("DstInstanceId", en, zh));
            }
            let flow =
                SwapAddresses { instances: [one.id.clone(), other.id.clone()], previous: [place(&one), place(&other)] };
            let task = open_task_of_two(tx, &caller, [&one, &other], "036", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

fn check(request: &Request) -> Answer<()> {
    if request.time_delay.is_some_and(|seconds| seconds < 0) {
        return Err(bad_value("TimeDelay", "it must be 0 or more", "不能小于0"));
    }
    if request.force_switch.is_some_and(|force| !(0..=1).contains(&force)) {
        return Err(bad_value("ForceSwitch", "it must be 0 or 1", "须为0或1"));
    }
    match request.switch_time.as_deref() {
        None | Some("" | "now" | "syncComplete") => Ok(()),
        Some(_) => Err(bad_value("SwitchTime", "it is now or syncComplete", "须为 now 或 syncComplete")),
    }
}

fn place(instance: &Instance) -> Place {
    Place { vip: instance.vip, vpc: instance.vpc.clone(), subnet: instance.subnet.clone() }
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SwapAddresses {
    instances: [InstanceId; 2],
    /// Where each was.
    previous: [Place; 2],
}

impl Flow for SwapAddresses {
    type Cx = FlowCx;
    const NAME: &'static str = "swap-addresses";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![open_addresses undo open_addresses within 30];

    fn begin(&self) -> Outcome<FlowCx> {
        let ([one, other], [former, latter]) = (self.instances.clone(), self.previous.clone());
        Some(write(move |tx| {
            set_busy_if_idle(tx, &one)?;
            set_busy_if_idle(tx, &other)?;
            set_places(tx, [(&one, &latter), (&other, &former)])
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let ([one, other], [former, latter]) = (self.instances.clone(), self.previous.clone());
        Some(write(move |tx| set_places(tx, [(&one, &former), (&other, &latter)])))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

/// One table has both, so at no moment both addresses lead to one instance.
async fn open_addresses(cx: &FlowCx, flow: &mut SwapAddresses) -> StepResult<FlowCx> {
    // What clients have asked for at one address is answered before that leads to the other instance.
    for instance in &flow.instances {
        fleet::keeps_clients(cx, instance).await;
    }
    let opened = fleet::open_address(cx, &flow.instances[0]).await;
    for instance in &flow.instances {
        fleet::go_on(cx, instance).await;
    }
    opened?;
    fleet::open_address(cx, &flow.instances[1]).await?;
    Ok(None)
}
