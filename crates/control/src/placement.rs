//! Where things go: customers' addresses, nodes' ports, and whether the host has memory left.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ipnet::Ipv4Net;
use ledger::{Tx, count_on, ip_is_taken, node_addr_is_taken, promised_memory_mb, vip_is_taken};
use model::{ApiError, InstanceId, NodeAddr, Vip, code};

use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value, bad_value_as};
use crate::settings::{Settings, VipPool};

/// Where addresses and ports come from.
#[derive(Clone)]
pub(crate) struct Pools {
    settings: Arc<Settings>,
    /// Where this service begins in them.
    offset: u64,
    is_bindable: fn(SocketAddr) -> bool,
}

impl Pools {
    pub(crate) fn of(cx: &FlowCx) -> Self {
        Pools { settings: cx.settings.clone(), offset: cx.pool_offset, is_bindable: cx.is_bindable }
    }
}

/// A quarter on top of an instance's memory is set aside for what the engine needs besides: the copies that a fork
/// makes, replication buffers, clients' buffers.
const HEADROOM_PERCENT: i64 = 25;

/// How many addresses are looked at before the pool counts as full.
const MOST_TRIES: u64 = 5_000;

/// Chooses an address for customers: nobody's, and free on this host; of the subnet's own, where that gives addresses.
/// A later address is preferred to one that was given back, so that a client with an old one does not meet a stranger's
/// instance.
pub(crate) fn choose_vip(pools: &Pools, tx: &mut dyn Tx, within: Option<Ipv4Net>, port: Option<u16>) -> Answer<Vip> {
    if let (VipPool::Ports { ip, .. }, Some(port)) = (&pools.settings.vips, port) {
        let vip = Vip(SocketAddr::new(*ip, port));
        return if is_free(pools, tx, vip, None)? { Ok(vip) } else { Err(port_taken()) };
    }
    let chosen = match within {
        Some(net) => {
            let pool = VipPool::Network { base: net.network(), prefix: net.prefix_len() };
            choose_of(pools, tx, &pool, &format!("vip {net}"), port)?
        }
        None => choose_of(pools, tx, &pools.settings.vips, "vip", port)?,
    };
    chosen.ok_or_else(|| {
        ApiError::new(
            code::ResourceUnavailableNoEnoughVipInVPC,
            "No address is free in the pool of the network. Clean up isolated instances, or enlarge the pool.",
            "网络中没有可用地址，请清理已隔离的实例或扩大地址池。",
        )
        .into()
    })
}

/// Chooses a public address.
pub(crate) fn choose_public_vip(pools: &Pools, tx: &mut dyn Tx, port: u16) -> Answer<Vip> {
    let chosen = choose_of(pools, tx, &pools.settings.public_vips, "public vip", Some(port))?;
    chosen.ok_or_else(|| {
        insufficient(
            "No public address is free. Release some (ReleaseWanAddress), or enlarge the pool (`public_vips`).",
            "没有可用的公网地址，请释放（ReleaseWanAddress）或扩大公网地址池（`public_vips`）。",
        )
    })
}

fn choose_of(pools: &Pools, tx: &mut dyn Tx, pool: &VipPool, counter: &str, port: Option<u16>) -> Answer<Option<Vip>> {
    for _ in 0..MOST_TRIES.min(pool.len()) {
        let nth = u64::try_from(count_on(tx, counter, 1)?).unwrap_or(0);
        let vip = Vip(pool.address(pools.offset.wrapping_add(nth), port.unwrap_or(DEFAULT_PORT)));
        if is_free(pools, tx, vip, None)? {
            return Ok(Some(vip));
        }
    }
    Ok(None)
}

/// Whether an instance can have an address: nobody has it, and where each instance has an IP of its own, that is no other
/// one's.
fn is_free(pools: &Pools, tx: &mut dyn Tx, vip: Vip, own: Option<&InstanceId>) -> Answer<bool> {
    let is_shared = match &pools.settings.vips {
        VipPool::Ports { ip, .. } => *ip == vip.0.ip(),
        VipPool::Network { .. } => false,
    };
    let is_taken = vip_is_taken(tx.reader(), vip)? || (!is_shared && ip_is_taken(tx.reader(), vip.0.ip(), own)?);
    Ok(!is_taken && (pools.is_bindable)(vip.0))
}

/// Takes an address for an instance that somebody has chosen.
pub(crate) fn take_vip(
    pools: &Pools,
    tx: &mut dyn Tx,
    within: Option<Ipv4Net>,
    vip: Vip,
    own: &InstanceId,
) -> Answer<Vip> {
    let (ip, port) = (vip.0.ip(), vip.0.port());
    let pool = match within {
        Some(net) => VipPool::Network { base: net.network(), prefix: net.prefix_len() },
        None => pools.settings.vips.clone(),
    };
    if !pool.has(vip.0) {
        let (en, zh) = match &pool {
            VipPool::Network { base, prefix } => (
                format!("{ip} is no address of the subnet, which gives those in {base}/{prefix}"),
                format!("{ip} 不在子网的地址范围 {base}/{prefix} 内"),
            ),
            VipPool::Ports { ip: only, ports } => (
                format!(
                    "{vip} is no address of this service, which has {only}, ports {} to {}",
                    ports.start(),
                    ports.end()
                ),
                format!("{vip} 不在地址池 {only} 端口 {} 至 {} 内", ports.start(), ports.end()),
            ),
        };
        return Err(bad_value("Vip", &en, &zh));
    }
    if is_free(pools, tx, vip, Some(own))? {
        return Ok(vip);
    }
    Err(bad_value_as(
        code::InvalidParameterValueCheckNotPass,
        "Vip",
        &format!("{ip} with port {port} is in use, or kept for an instance; choose another or leave it out"),
        &format!("{ip} 端口 {port} 已被使用或保留，请更换或不填"),
    ))
}

fn port_taken() -> crate::errors::Fault {
    bad_value("VPort", "the port is in use; choose another or leave it out", "端口已被占用，请更换或不填")
}

/// The port of an address when none is asked for.
pub(crate) const DEFAULT_PORT: u16 = 6379;

/// Chooses where a node will listen.
pub(crate) fn choose_node_addr(pools: &Pools, tx: &mut dyn Tx) -> Answer<NodeAddr> {
    let ports = &pools.settings.node_ports;
    let span = u64::from(ports.end() - ports.start()) + 1;
    for _ in 0..MOST_TRIES.min(span) {
        let nth = pools.offset.wrapping_add(u64::try_from(count_on(tx, "node_port", 1)?).unwrap_or(0));
        let port = ports.start() + u16::try_from(nth % span).unwrap_or(0);
        let addr = NodeAddr(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        if !node_addr_is_taken(tx.reader(), addr)? && (pools.is_bindable)(addr.0) {
            return Ok(addr);
        }
    }
    Err(insufficient("No port is free for another node.", "没有可用于新节点的端口。"))
}

/// Refuses what would promise more memory than the host has. `memory_mb` is that of all new nodes together.
pub(crate) fn check_memory(cx: &FlowCx, tx: &mut dyn Tx, memory_mb: i64) -> Answer<()> {
    let Some(limit) = cx.settings.host_memory_mb else { return Ok(()) };
    let with_headroom = |mb: i64| mb.saturating_add(mb.saturating_mul(HEADROOM_PERCENT) / 100);
    let promised = with_headroom(promised_memory_mb(tx.reader())?);
    let wanted = with_headroom(memory_mb);
    if promised.saturating_add(wanted) <= limit {
        return Ok(());
    }
    Err(insufficient(
        &format!(
            "The host may promise {limit} MiB to instances; {promised} MiB are promised and {wanted} MiB more are \
             asked for (each node with {HEADROOM_PERCENT} % headroom). OPENCRS_HOST_MEMORY sets the limit."
        ),
        &format!(
            "主机可分配内存为 {limit} MiB，已分配 {promised} MiB，本次需要 {wanted} MiB（含 {HEADROOM_PERCENT}% 余量）。"
        ),
    ))
}

fn insufficient(en: &str, zh: &str) -> crate::errors::Fault {
    ApiError::new(code::ResourceInsufficient, en, zh).into()
}
