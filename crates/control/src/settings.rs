//! What an operator decides. The server fills it from flags, the environment and a file; nothing here reads those.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::prices::PriceList;
use crate::tls::GivenAuthority;

/// Who owns everything that the root key pair makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The account's uin: what OperateUin shows for the root key pair.
    pub uin: i64,
    /// The account's appid.
    pub appid: i64,
}

/// A zone: a label of hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// As in ZoneId: 100003.
    pub id: i64,
    /// As in ZoneName: `ap-guangzhou-3`.
    pub name: String,
}

/// The region that this service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// As in X-TC-Region: `ap-guangzhou`.
    pub name: String,
    /// As in RegionId: 1.
    pub id: i64,
    /// At least one; the first is the default.
    pub zones: Vec<Zone>,
}

impl Region {
    /// The zone of this id.
    pub fn zone(&self, id: i64) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.id == id)
    }

    /// The zone of this name.
    pub fn zone_named(&self, name: &str) -> Option<&Zone> {
        self.zones.iter().find(|zone| zone.name == name)
    }
}

/// Where customers' addresses come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VipPool {
    /// An address of its own for each instance, out of a network.
    Network {
        /// The network's first address.
        base: Ipv4Addr,
        /// Its prefix length, 8 to 30.
        prefix: u8,
    },
    /// One address for all, and a port each.
    Ports {
        /// The address.
        ip: IpAddr,
        /// The ports.
        ports: RangeInclusive<u16>,
    },
}

impl VipPool {
    /// How many addresses it has.
    pub fn len(&self) -> u64 {
        match self {
            // Neither the network's own address nor its last one.
            VipPool::Network { prefix, .. } => (1u64 << (32 - u64::from(*prefix))).saturating_sub(2),
            VipPool::Ports { ports, .. } => u64::from(ports.end().saturating_sub(*ports.start())) + 1,
        }
    }

    /// Whether it has this address, of whatever port where each instance has an address.
    pub fn has(&self, addr: SocketAddr) -> bool {
        match (self, addr.ip()) {
            (VipPool::Network { base, .. }, IpAddr::V4(ip)) => {
                let nth = u64::from(u32::from(ip).wrapping_sub(u32::from(*base)));
                (1..=self.len()).contains(&nth)
            }
            (VipPool::Network { .. }, IpAddr::V6(_)) => false,
            (VipPool::Ports { ip, ports }, given) => *ip == given && ports.contains(&addr.port()),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its address number `index`, counted round; with the port asked for where each instance has an address.
    pub fn address(&self, index: u64, port: u16) -> SocketAddr {
        match self {
            VipPool::Network { base, .. } => {
                let nth = u32::try_from(index % self.len()).unwrap_or(0) + 1;
                SocketAddr::from((Ipv4Addr::from(u32::from(*base) + nth), port))
            }
            VipPool::Ports { ip, ports } => {
                let nth = u16::try_from(index % self.len()).unwrap_or(0);
                SocketAddr::from((*ip, ports.start() + nth))
            }
        }
    }
}

/// How instances take connections by TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Who vouches for instances; `None`: the service itself.
    pub authority: Option<GivenAuthority>,
    /// By what clients' certificates are judged, in PEM; `None`: they need none.
    pub client_ca: Option<String>,
    /// Whether an instance that takes TLS refuses plain connections.
    pub is_required: bool,
}

/// All settings of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The root account.
    pub owner: Owner,
    /// The region, with its zones.
    pub region: Region,
    /// What is added to UTC in answers and taken off in requests, in seconds.
    pub utc_offset_seconds: i32,
    /// Customers' addresses.
    pub vips: VipPool,
    /// Public addresses.
    pub public_vips: VipPool,
    /// Ports of nodes, on 127.0.0.1.
    pub node_ports: RangeInclusive<u16>,
    /// Memory that may be promised to instances, in MiB; `None` counts nothing.
    pub host_memory_mb: Option<i64>,
    /// Whether a version older than any installed is served by the nearest newer one; else it is refused.
    pub serve_newer_engine: bool,
    /// How long an instance is shown as busy at the least, by changes whose clients insist on seeing it.
    pub busy_for: Duration,
    /// What instances cost.
    pub prices: PriceList,
    /// How instances take connections by TLS.
    pub tls: TlsSettings,
    /// Whether the documented rate limits hold.
    pub rate_limits: bool,
    /// How long an isolated postpaid instance is kept.
    pub recycle_postpaid_for: Duration,
    /// How long an isolated prepaid instance is kept.
    pub recycle_prepaid_for: Duration,
    /// How long after its beginning a task that has ended is kept in the ledger; never less than the API shows.
    pub keep_tasks_for: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let zones = (1..=7).map(|n| Zone { id: 100_000 + n, name: format!("ap-guangzhou-{n}") }).collect();
        Settings {
            owner: Owner { uin: 100_000_000_001, appid: 1_300_000_001 },
            region: Region { name: "ap-guangzhou".into(), id: 1, zones },
            utc_offset_seconds: 8 * 3600,
            vips: VipPool::Network { base: Ipv4Addr::new(127, 88, 0, 0), prefix: 16 },
            public_vips: VipPool::Network { base: Ipv4Addr::new(127, 89, 0, 0), prefix: 16 },
            node_ports: 20_000..=31_999,
            host_memory_mb: None,
            serve_newer_engine: true,
            busy_for: Duration::from_millis(1500),
            prices: PriceList::default(),
            tls: TlsSettings::default(),
            rate_limits: true,
            recycle_postpaid_for: Duration::from_secs(2 * 3600),
            recycle_prepaid_for: Duration::from_secs(7 * 24 * 3600),
            keep_tasks_for: Duration::from_secs(400 * 24 * 3600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_counts_round_and_leaves_the_ends_of_its_network_out() {
        let pool = VipPool::Network { base: Ipv4Addr::new(127, 88, 0, 0), prefix: 30 };
        let seen: Vec<String> = (0..3).map(|index| pool.address(index, 6379).to_string()).collect();
        assert_eq!(seen, ["127.88.0.1:6379", "127.88.0.2:6379", "127.88.0.1:6379"]);
        let pool = VipPool::Ports { ip: "10.0.0.1".parse().unwrap(), ports: 7000..=7001 };
        assert_eq!(pool.address(3, 6379).to_string(), "10.0.0.1:7001");
    }
}
