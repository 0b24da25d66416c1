//! Gives an instance a public address besides its own (052), out of a pool of its own.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Address, AddressKind, delete_address, insert_address, set_busy_if_idle, wan_address, write};
use model::{ApiError, InstanceId, InstanceStatus, Millis, Vip, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::fleet;
use crate::placement::{Pools, choose_public_vip};

/// For which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance. One that lets everybody in without a password gets no public address.
    instance_id: String,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that opens the address; WanAddress of DescribeInstances has it at once.
    flow_id: i64,
    /// opening.
    wan_status: &'static str,
}

pub(crate) struct AllocateWanAddress;

impl Action for AllocateWanAddress {
    const NAME: &'static str = "AllocateWanAddress";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            if let Some(vip) = wan_address(tx.reader(), &instance.id)? {
                return Err(ApiError::new(
                    code::FailedOperationUnSupportError,
                    format!("The instance `{}` has a public address already: {vip}.", instance.id),
                    format!("实例 `{}` 已开通外网地址：{vip}。", instance.id),
                )
                .into());
            }
            if instance.no_auth {
                return Err(ApiError::new(
                    code::FailedOperationUnSupportError,
                    format!(
                        "The instance `{}` lets everybody in without a password: set one first (ResetPassword).",
                        instance.id
                    ),
                    format!("实例 `{}` 已开启免密访问，请先设置密码（ResetPassword）。", instance.id),
                )
                .into());
            }
            let vip = choose_public_vip(&Pools::of(&cx), tx, instance.vip.0.port())?;
            let flow = OpenWan { instance: instance.id.clone(), vip };
            let task = open_task(tx, &caller, &instance, "052", &flow, now)?;
            Ok(Response { flow_id: task.0, wan_status: "opening" })
        })
        .await
    }
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct OpenWan {
    instance: InstanceId,
    vip: Vip,
}

impl Flow for OpenWan {
    type Cx = FlowCx;
    const NAME: &'static str = "open-wan";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![open_address undo close_address within 30];

    fn begin(&self) -> Outcome<FlowCx> {
        let address = Address {
            vip: self.vip,
            instance: self.instance.clone(),
            kind: AddressKind::Wan,
            vpc: String::new(),
            subnet: String::new(),
            closes_at: None,
        };
        Some(write(move |tx| {
            set_busy_if_idle(tx, &address.instance)?;
            insert_address(tx, &address)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, vip) = (self.instance.clone(), self.vip);
        Some(write(move |tx| delete_address(tx, &id, vip)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

async fn open_address(cx: &FlowCx, flow: &mut OpenWan) -> StepResult<FlowCx> {
    fleet::open_address(cx, &flow.instance).await?;
    Ok(None)
}

async fn close_address(cx: &FlowCx, _: &mut OpenWan) -> StepResult<FlowCx> {
    fleet::close_address(cx).await?;
    Ok(None)
}
