//! Creates instances (001): nodes start side by side, replicas attach, then the address opens.

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{Deal, Instance, Node, Tag, Tx, Write, count_on, set_open, set_running, set_status, settle_deal, write};
use model::{ApiError, DealStatus, Epoch, InstanceId, InstanceStatus, Millis, NodeId, NodeRole, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::create_request::{Order, find_network, read};
use crate::access::{Access, Caller, Resource};
use crate::action::{Action, Call, open_task};
use crate::actions::projects::check_project;
use crate::actions::security::groups::check_groups;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::placement::{Pools, check_memory, choose_node_addr, choose_vip};
use crate::spec::{self, purpose};
use crate::{deals, fleet};

pub(crate) use super::create_request::Request;

/// The order, and what it orders.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The order's id.
    deal_id: String,
    /// The instances, readable from now on.
    instance_ids: Vec<String>,
    /// The order's name; the same as its id.
    deal_name: String,
}

pub(crate) struct CreateInstances;

impl Action for CreateInstances {
    const NAME: &'static str = "CreateInstances";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let dry_run = request.dry_run == Some(true);
        let order = Arc::new(read(call, request)?);
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let response = place(&cx, tx, &caller, &order, now)?;
            // The checks of a dry run are those of the real one: it is the real one, taken back.
            if dry_run { Err(would_succeed().into()) } else { Ok(response) }
        })
        .await
    }
}

fn place(cx: &FlowCx, tx: &mut dyn Tx, caller: &Caller, order: &Order, now: Millis) -> Answer<Response> {
    check_project(tx.reader(), caller.account, "ProjectId", order.project)?;
    check_groups(tx.reader(), caller.account, "SecurityGroupIdList", &order.groups)?;
    let nodes = 1 + order.zones_of_replicas.len() as i64;
    check_memory(cx, tx, order.memory_mb.saturating_mul(nodes).saturating_mul(order.count))?;
    let deal_name = deals::new_name(cx, now);
    let mut instances = Vec::new();
    for _ in 0..order.count {
        let instance = place_one(cx, tx, caller, order, now)?;
        let flow = CreateInstance { instance: instance.id.clone(), deal: deal_name.clone() };
        open_task(tx, caller, &instance, "001", &flow, now)?;
        instances.push(instance.id);
    }
    let deal = Deal {
        name: deal_name.clone(),
        account: caller.account,
        creator: caller.uin.clone(),
        description: "CreateInstances".into(),
        zone: order.zone,
        goods: order.count,
        instances,
        price: order.price.cents(),
        status: DealStatus::Delivering,
        created_at: now,
        ended_at: None,
    };
    ledger::insert_deal(tx, &deal, order.count)?;
    let instance_ids = deal.instances.iter().map(ToString::to_string).collect();
    Ok(Response { deal_id: deal_name.clone(), instance_ids, deal_name })
}

fn place_one(cx: &FlowCx, tx: &mut dyn Tx, caller: &Caller, order: &Order, now: Millis) -> Answer<Instance> {
    let site = find_network(tx.reader(), cx, caller.account, order.zone, &order.network)?;
    let id = InstanceId::from_random(cx.random.bits());
    let admin = model::Secret::new(hex::encode(cx.random.bytes::<32>()));
    let instance = Instance {
        name: order.name.clone().unwrap_or_else(|| id.to_string()),
        account: caller.account,
        project: order.project,
        type_id: order.type_id,
        version: order.type_id.version(),
        product_version: order.product_version.clone(),
        memory_mb: order.memory_mb,
        shards: 1,
        replicas: order.zones_of_replicas.len() as i64,
        zone: order.zone,
        vpc: site.vpc,
        subnet: site.subnet,
        vip: choose_vip(&Pools::of(cx), tx, site.within, order.port)?,
        is_open: false,
        status: InstanceStatus::Creating,
        shows_node_set: order.shows_node_set,
        no_auth: order.no_auth,
        password: order.password.clone(),
        admin: cx.sealer.seal(&cx.random, purpose::ADMIN, &admin),
        billing: order.billing,
        auto_renew: order.auto_renew,
        delete_protection: false,
        read_only: false,
        window: spec::DEFAULT_WINDOW,
        old_password: None,
        client_limit: None,
        bandwidth_mbit: None,
        replica_reads: false,
        created_at: now,
        deadline_at: order.deadline_at,
        closed_at: None,
        offline_at: None,
        id,
    };
    ledger::insert_instance(tx, &instance)?;
    let tags: Vec<Tag> = order.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
    ledger::set_tags(tx, &instance.id, &tags)?;
    ledger::set_groups(tx, &instance.id, &order.groups)?;
    for (name, value) in &order.params {
        ledger::set_param(tx, &instance.id, name, Some(value))?;
    }
    let roles = std::iter::once((NodeRole::Primary, order.zone))
        .chain(order.zones_of_replicas.iter().map(|zone| (NodeRole::Replica, *zone)));
    for (role, zone) in roles {
        let number = count_on(tx, "node_number", 1)?;
        let node = Node {
            id: NodeId::from_random(cx.random.bytes()),
            instance: instance.id.clone(),
            number,
            group: number,
            role,
            joins: false,
            type_id: order.type_id,
            version: order.type_id.version(),
            zone,
            addr: choose_node_addr(&Pools::of(cx), tx)?,
            epoch: Epoch(1),
            runs: true,
            observed_epoch: None,
            observed_up: false,
            observed_version: None,
            observed_stream: None,
            streamed_epoch: Epoch(0),
            unsaid: 0,
        };
        ledger::insert_node(tx, &node)?;
    }
    Ok(instance)
}

fn would_succeed() -> ApiError {
    ApiError::new(
        code::DryRunOperation,
        "The request would have succeeded; nothing was done, since DryRun is set.",
        "DryRun 检查通过，未实际执行。",
    )
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct CreateInstance {
    instance: InstanceId,
    deal: String,
}

impl Flow for CreateInstance {
    type Cx = FlowCx;
    const NAME: &'static str = "create-instance";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        start_nodes undo remove_nodes within 60,
        attach_replicas within 120,
        open_address undo close_address within 30,
    ];

    fn turn(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| {
            set_open(tx, &id, false)?;
            set_running(tx, &id, false)
        }))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (id, deal, end) = (self.instance.clone(), self.deal.clone(), end.clone());
        Some(write(move |tx| {
            settle_deal(tx, &deal, end == End::Done, now)?;
            match end {
                End::Done => set_status(tx, &id, InstanceStatus::Idle),
                End::Undone { .. } => ledger::delete_instance(tx, &id),
                // Something of it is left on the host. It shows as to be deleted, and the keeper of the recycle bin
                // goes on trying to.
                End::Stuck { .. } => {
                    ledger::set_closed(tx, &id, Some((now, now)))?;
                    set_status(tx, &id, InstanceStatus::ToBeDeleted)
                }
            }
        }))
    }
}

async fn start_nodes(cx: &FlowCx, flow: &mut CreateInstance) -> StepResult<FlowCx> {
    Ok(Some(fleet::start_nodes(cx, &flow.instance).await?))
}

async fn remove_nodes(cx: &FlowCx, flow: &mut CreateInstance) -> StepResult<FlowCx> {
    fleet::remove_nodes(cx, &flow.instance).await?;
    Ok(None)
}

async fn attach_replicas(cx: &FlowCx, flow: &mut CreateInstance) -> StepResult<FlowCx> {
    fleet::sync_replicas(cx, &flow.instance).await?;
    Ok(Some(opened(&flow.instance)))
}

async fn open_address(cx: &FlowCx, flow: &mut CreateInstance) -> StepResult<FlowCx> {
    fleet::open_address(cx, &flow.instance).await?;
    Ok(None)
}

async fn close_address(cx: &FlowCx, _: &mut CreateInstance) -> StepResult<FlowCx> {
    fleet::close_address(cx).await?;
    Ok(None)
}

/// The address is wanted open from now on.
pub(crate) fn opened(instance: &InstanceId) -> Write {
    let id = instance.clone();
    write(move |tx| set_open(tx, &id, true))
}
