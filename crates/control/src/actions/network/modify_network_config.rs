//! Gives an instance another address (027), or another network and subnet with an address there (031). The former address
//! leads to it for as many days as were asked for, or is closed at the end.

use std::net::SocketAddr;
use std::time::Duration;

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use ledger::{
    Address, AddressKind, Instance, Place, Tx, delete_address, insert_address, set_busy_if_idle, set_closes_at,
    set_place, write,
};
use model::{InstanceId, InstanceStatus, Millis, Vip, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::actions::lifecycle::create_request::read_port;
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value, bad_value_as, missing};
use crate::fleet;
use crate::network::{self, Site};
use crate::placement::{Pools, choose_vip, take_vip};

/// What is to be changed.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// changeVip the address, changeVPort its port alone, changeVpc the network or the subnet, changeBaseToVpc as that:
    /// every instance is in a network already.
    operation: String,
    /// The IP of the address: one of the subnet's that is free. One is chosen where it is left out.
    vip: Option<String>,
    /// The network: for changeVpc and changeBaseToVpc.
    vpc_id: Option<String>,
    /// The subnet: for changeVpc and changeBaseToVpc. Left out, it is the default network's in the instance's zone.
    subnet_id: Option<String>,
    /// How many days the former address goes on leading to the instance: 1, 2, 3, 7 or 15. Left out or 0, it is closed when
    /// the task ends.
    recycle: Option<i64>,
    /// The port of the address, 1024 to 65535: for changeVPort. Left out, it stays as it is.
    #[serde(rename = "VPort")]
    v_port: Option<i64>,
}

/// The task, and where the instance will be.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// Always true.
    status: bool,
    /// The subnet.
    subnet_id: String,
    /// The network.
    vpc_id: String,
    /// The IP of the new address.
    vip: String,
    /// The task that changes it.
    task_id: i64,
}

pub(crate) struct ModifyNetworkConfig;

impl Action for ModifyNetworkConfig {
    const NAME: &'static str = "ModifyNetworkConfig";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let code = code::ResourceUnavailableInstanceStatusError;
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], code)?;
            let keep_for = read_recycle(request.recycle)?;
            let (kind, wanted) = read_place(&cx, tx, &instance, &request)?;
            let previous = Place { vip: instance.vip, vpc: instance.vpc.clone(), subnet: instance.subnet.clone() };
            let (status, subnet_id, vpc_id) = (true, wanted.subnet.clone(), wanted.vpc.clone());
            let vip = wanted.vip.0.ip().to_string();
            let flow = SetAddress { instance: instance.id.clone(), previous, wanted, keep_for };
            let task = open_task(tx, &caller, &instance, kind, &flow, now)?;
            Ok(Response { status, subnet_id, vpc_id, vip, task_id: task.0 })
        })
        .await
    }
}

fn read_recycle(days: Option<i64>) -> Answer<Duration> {
    match days.unwrap_or(0) {
        days @ (0..=3 | 7 | 15) => Ok(Duration::from_secs(24 * 3600 * days.unsigned_abs())),
        _ => Err(bad_value("Recycle", "it must be 0, 1, 2, 3, 7 or 15 days", "须为0、1、2、3、7或15天")),
    }
}

/// The type of the task, and where the instance is to be.
fn read_place(cx: &FlowCx, tx: &mut dyn Tx, instance: &Instance, request: &Request) -> Answer<(&'static str, Place)> {
    let given = |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
    let (vpc, subnet) = (given(&request.vpc_id), given(&request.subnet_id));
    let ip = match given(&request.vip) {
        Some(text) => Some(text.parse().map_err(|_| bad_value("Vip", "it is no IP address", "不是合法的IP地址"))?),
        None => None,
    };
    let port = request.v_port.map(|port| read_port(u64::try_from(port).unwrap_or(0))).transpose()?;
    let kind = match request.operation.as_str() {
        "changeVip" => "027",
        "changeVPort" if port.is_none() => return Err(missing("VPort")),
        "changeVPort" => "027",
        "changeVpc" | "changeBaseToVpc" if vpc.is_none() => return Err(missing("VpcId")),
        "changeVpc" | "changeBaseToVpc" => "031",
        _ => {
            let known = "changeVip, changeVPort, changeVpc, changeBaseToVpc";
            return Err(bad_value("Operation", &format!("it is one of {known}"), &format!("可选值：{known}")));
        }
    };
    let stays = kind == "027";
    for (parameter, asked, own) in [("VpcId", &vpc, &instance.vpc), ("SubnetId", &subnet, &instance.subnet)] {
        if stays && asked.as_ref().is_some_and(|asked| asked != own) {
            let en = "this operation leaves the instance where it is; changeVpc moves it";
            return Err(bad_value(parameter, en, "该操作不改变网络，请使用 changeVpc"));
        }
    }
    let site = if stays { own_site(cx, tx, instance)? } else { other_site(cx, tx, instance, vpc, subnet)? };
    let own = instance.vip.0;
    let chosen_port = port.unwrap_or_else(|| own.port());
    let pools = Pools::of(cx);
    let vip = match ip {
        Some(ip) => take(&pools, tx, &site, instance, SocketAddr::new(ip, chosen_port))?,
        None if request.operation == "changeVPort" => {
            take(&pools, tx, &site, instance, SocketAddr::new(own.ip(), chosen_port))?
        }
        None => choose_vip(&pools, tx, site.within, port.or_else(|| has_ip_each(cx).then(|| own.port())))?,
    };
    Ok((kind, Place { vip, vpc: site.vpc, subnet: site.subnet }))
}

/// Whether instances have an IP each, so that a port can be kept.
fn has_ip_each(cx: &FlowCx) -> bool {
    network::pool_net(&cx.settings).is_some()
}

fn take(pools: &Pools, tx: &mut dyn Tx, site: &Site, instance: &Instance, addr: SocketAddr) -> Answer<Vip> {
    let vip = Vip(addr);
    if vip == instance.vip {
        let (parameter, en, zh) = ("Vip", "the instance has this address already", "实例已使用该地址");
        return Err(bad_value_as(code::InvalidParameterValueCheckNotPass, parameter, en, zh));
    }
    take_vip(pools, tx, site.within, vip, &instance.id)
}

/// Where the instance is, with the addresses that its subnet gives.
fn own_site(cx: &FlowCx, tx: &mut dyn Tx, instance: &Instance) -> Answer<Site> {
    let subnets = network::subnets(tx.reader(), &cx.settings, instance.account)?;
    let own = subnets.into_iter().find(|subnet| subnet.id == instance.subnet);
    let within = own.and_then(|subnet| network::own_addresses(&cx.settings, &subnet.cidr));
    let (vpc, subnet) = (instance.vpc.clone(), instance.subnet.clone());
    Ok(Site { vpc, subnet, within })
}

fn other_site(
    cx: &FlowCx,
    tx: &mut dyn Tx,
    instance: &Instance,
    vpc: Option<String>,
    subnet: Option<String>,
) -> Answer<Site> {
    let (account, zone) = (instance.account, instance.zone);
    network::find_site(tx.reader(), &cx.settings, account, zone, vpc.as_deref(), subnet.as_deref())
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct SetAddress {
    instance: InstanceId,
    previous: Place,
    wanted: Place,
    /// How long the former address is kept after the end.
    keep_for: Duration,
}

impl SetAddress {
    fn former(&self) -> Address {
        let Place { vip, vpc, subnet } = self.previous.clone();
        Address { vip, instance: self.instance.clone(), kind: AddressKind::Former, vpc, subnet, closes_at: None }
    }
}

impl Flow for SetAddress {
    type Cx = FlowCx;
    const NAME: &'static str = "set-address";
    /// Both addresses are open until the new one is sure to be; nothing is undone from then on, since the former one may be
    /// another's.
    const STEPS: &'static [Step<FlowCx, Self>] =
        steps![open_address undo close_address as pivot within 30, close_former];

    fn begin(&self) -> Outcome<FlowCx> {
        let (id, wanted, former) = (self.instance.clone(), self.wanted.clone(), self.former());
        Some(write(move |tx| {
            set_busy_if_idle(tx, &id)?;
            set_place(tx, &id, &wanted)?;
            insert_address(tx, &former)
        }))
    }

    fn turn(&self) -> Outcome<FlowCx> {
        let (id, previous) = (self.instance.clone(), self.previous.clone());
        Some(write(move |tx| {
            delete_address(tx, &id, previous.vip)?;
            set_place(tx, &id, &previous)
        }))
    }

    fn settle(&self, end: &End, now: Millis) -> Outcome<FlowCx> {
        let (id, vip, until) = (self.instance.clone(), self.previous.vip, now + self.keep_for);
        (*end == End::Done).then(|| write(move |tx| set_closes_at(tx, &id, vip, until)))
    }
}

async fn open_address(cx: &FlowCx, flow: &mut SetAddress) -> StepResult<FlowCx> {
    fleet::open_address(cx, &flow.instance).await?;
    let (id, vip) = (flow.instance.clone(), flow.previous.vip);
    Ok(flow.keep_for.is_zero().then(|| write(move |tx| delete_address(tx, &id, vip))))
}

async fn close_address(cx: &FlowCx, _: &mut SetAddress) -> StepResult<FlowCx> {
    fleet::close_address(cx).await?;
    Ok(None)
}

/// Where it is kept, there is nothing to close.
async fn close_former(cx: &FlowCx, _: &mut SetAddress) -> StepResult<FlowCx> {
    fleet::close_address(cx).await?;
    Ok(None)
}
