//! Networks and their subnets: one for the region with a subnet in each zone, which are always there and have ids derived
//! from names, so that they are the same for ever; and those that accounts have made.
//!
//! They say where an instance is filed, and no more: which addresses there are is the operator's decision (`vips`). A
//! subnet that lies within those gives addresses of its own; any other takes them from the whole.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use ledger::{Reader, Subnet, Vpc};
use model::{Millis, code};
use sha2::{Digest, Sha256};

use crate::errors::{Answer, Fault, bad_value_as};
use crate::random::Random;
use crate::settings::{Region, Settings, VipPool, Zone};

/// The id of the region's default network: `vpc-` and eight characters.
pub(crate) fn default_vpc(region: &Region) -> String {
    format!("vpc-{}", short_hash(&region.name))
}

/// The id of a zone's default subnet: `subnet-` and eight characters.
pub(crate) fn default_subnet(zone: &Zone) -> String {
    format!("subnet-{}", short_hash(&zone.name))
}

/// The id of a network's route table: `rtb-` and eight characters.
pub(crate) fn route_table(vpc: &str) -> String {
    format!("rtb-{}", short_hash(vpc))
}

/// A new id: the prefix and eight characters.
pub(crate) fn new_id(random: &Random, prefix: &str) -> String {
    let bits = random.bits().to_be_bytes();
    let tail: String = bits.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
    format!("{prefix}{tail}")
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";

fn short_hash(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    digest[..8].iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// The addresses that the default network is said to have, as everywhere.
const DEFAULT_NET: Ipv4Addr = Ipv4Addr::new(172, 16, 0, 0);

/// What the default networks are called.
const DEFAULT_VPC_NAME: &str = "Default-VPC";
const DEFAULT_SUBNET_NAME: &str = "Default-Subnet";

/// When the default networks were made.
pub(crate) const ALWAYS: Millis = Millis(0);

/// All networks of an account, the default one first.
pub(crate) fn vpcs(reader: &mut dyn Reader, settings: &Settings, account: i64) -> ledger::Result<Vec<Vpc>> {
    let mut all = vec![Vpc {
        id: default_vpc(&settings.region),
        account,
        name: DEFAULT_VPC_NAME.into(),
        cidr: format!("{DEFAULT_NET}/16"),
        multicast: false,
        dns: Vec::new(),
        domain: String::new(),
        created_at: ALWAYS,
    }];
    all.extend(ledger::vpcs(reader, account)?);
    Ok(all)
}

/// All subnets of an account, the default ones first.
pub(crate) fn subnets(reader: &mut dyn Reader, settings: &Settings, account: i64) -> ledger::Result<Vec<Subnet>> {
    let vpc = default_vpc(&settings.region);
    let zones = &settings.region.zones;
    // Sixteen of the usual size; where there are more zones, smaller ones.
    let prefix = if zones.len() <= 16 { 20 } else { 24 };
    let of_zone = |(index, zone): (usize, &Zone)| Subnet {
        id: default_subnet(zone),
        vpc: vpc.clone(),
        account,
        name: DEFAULT_SUBNET_NAME.into(),
        cidr: format!("{}/{prefix}", Ipv4Addr::from(u32::from(DEFAULT_NET) + ((index as u32) << (32 - prefix)))),
        zone: zone.id,
        broadcast: false,
        created_at: ALWAYS,
    };
    let mut all: Vec<Subnet> = zones.iter().enumerate().map(of_zone).collect();
    all.extend(ledger::subnets(reader, account)?);
    Ok(all)
}

/// Where an instance is to be filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) vpc: String,
    pub(crate) subnet: String,
    /// The addresses that the subnet gives, where it has its own.
    pub(crate) within: Option<Ipv4Net>,
}

/// Finds the network and the subnet that a request names; none means the zone's default ones.
pub(crate) fn find_site(
    reader: &mut dyn Reader,
    settings: &Settings,
    account: i64,
    zone: i64,
    vpc: Option<&str>,
    subnet: Option<&str>,
) -> Answer<Site> {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let (vpc, subnet) = (given(vpc), given(subnet));
    if let Some(vpc) = &vpc
        && !vpcs(reader, settings, account)?.iter().any(|other| other.id == *vpc)
    {
        let en = "there is no such network; DescribeVpcs lists those there are, and without it the default one is used";
        let zh = "网络不存在，可通过 DescribeVpcs 查询，不填则使用默认网络";
        return Err(bad_value_as(code::InvalidParameterValueUnVpcIdNotExists, "VpcId", en, zh));
    }
    let is_default = vpc.as_ref().is_none_or(|vpc| *vpc == default_vpc(&settings.region));
    let default = settings.region.zone(zone).map(default_subnet).filter(|_| is_default);
    let subnet = subnet.or(default).ok_or_else(no_such_subnet)?;
    let found = subnets(reader, settings, account)?.into_iter().find(|other| other.id == subnet);
    let found = found.filter(|found| vpc.as_ref().is_none_or(|vpc| *vpc == found.vpc)).ok_or_else(no_such_subnet)?;
    Ok(Site { within: own_addresses(settings, &found.cidr), vpc: found.vpc, subnet: found.id })
}

fn no_such_subnet() -> Fault {
    let en = "the network has no such subnet; DescribeSubnets lists those there are, and the default network has one in \
              each zone";
    let zh = "该网络没有此子网，可通过 DescribeSubnets 查询；默认网络在每个可用区有一个默认子网";
    bad_value_as(code::InvalidParameterValueInvalidSubnetId, "SubnetId", en, zh)
}

/// The zone of a subnet, where there is such a one.
pub(crate) fn zone_of(
    reader: &mut dyn Reader,
    settings: &Settings,
    account: i64,
    subnet: &str,
) -> ledger::Result<Option<i64>> {
    let all = subnets(reader, settings, account)?;
    Ok(all.into_iter().find(|other| other.id == subnet).map(|subnet| subnet.zone))
}

/// The addresses that a subnet gives: those of its own, where they lie within the service's.
pub(crate) fn own_addresses(settings: &Settings, cidr: &str) -> Option<Ipv4Net> {
    let net: Ipv4Net = cidr.parse().ok()?;
    pool_net(settings).filter(|pool| pool.contains(&net)).map(|_| net)
}

/// The network of the service's addresses, where it has one.
pub(crate) fn pool_net(settings: &Settings) -> Option<Ipv4Net> {
    match settings.vips {
        VipPool::Network { base, prefix } => Ipv4Net::new(base, prefix).ok(),
        VipPool::Ports { .. } => None,
    }
}
