//! The gateway's table, out of what the ledger wants: where each address leads, who may come in, and how one signs in.

use std::collections::HashMap;

use ipnet::IpNet;
use ledger::{Certified, Doorkeeping, SecurityRule};
use model::{Fingerprint, InstanceId, Logins, Route, RoutingTable, Secret, SourceRule, Tls};
use sha2::{Digest, Sha256};

use crate::cx::FlowCx;
use crate::fleet::FleetError;
use crate::seal::{NotOurs, Sealer};
use crate::spec::purpose;
use crate::tls::identity;

/// What stands between an account's name and its password where nothing was chosen.
pub(crate) const SEPARATOR: &str = "@";

/// A timeout that means none: a year, which is what the API has by default.
const NO_TIMEOUT: u64 = 31_536_000;
/// How many milliseconds a command takes at least that is slow to the gateway, where nothing was chosen: the default of
/// proxy-slowlog-log-slower-than.
const SLOW_AFTER_MS: u32 = 500;

/// The table as it should be in force now.
pub(crate) fn table(cx: &FlowCx) -> Result<RoutingTable, FleetError> {
    let (mut table, keeping, rules, timeouts, slow, certified) = cx.ledger.read(|reader| {
        Ok((
            ledger::routing_table(reader)?,
            ledger::doorkeeping(reader)?,
            ledger::inbound_rules(reader)?,
            ledger::timeouts(reader)?,
            ledger::slow_after(reader)?,
            ledger::all_tls(reader)?,
        ))
    })?;
    let logins = read_logins(&cx.sealer, keeping)?;
    let tls: HashMap<InstanceId, Tls> =
        certified.into_iter().filter_map(|(id, by)| Some((id.clone(), tls(cx, &id, &by)?))).collect();
    for route in &mut table.routes {
        route.sources = rules.get(&route.instance).map(|rules| sources(rules, route));
        route.limits.idle = timeouts.get(&route.instance).and_then(|text| idle(text));
        route.tls = tls.get(&route.instance).cloned();
        // Less than none is "off".
        route.limits.slow_after_ms = slow.get(&route.instance).map_or(Some(SLOW_AFTER_MS), |text| text.parse().ok());
        if let Some(logins) = logins.get(&route.instance) {
            route.logins = logins.clone();
        }
    }
    Ok(table)
}

/// How an instance takes connections by TLS; `None` as long as it has no certificate.
fn tls(cx: &FlowCx, id: &InstanceId, by: &Certified) -> Option<Tls> {
    (by.serial > 0).then(|| Tls {
        identity: identity(id, by.serial),
        client_ca: cx.certificates.client_ca().map(str::to_owned),
        is_required: cx.settings.tls.is_required,
    })
}

/// After how many seconds without a request a connection is closed, by the parameter; `None`: never.
fn idle(timeout: &str) -> Option<u64> {
    timeout.parse().ok().filter(|seconds| *seconds > 0 && *seconds < NO_TIMEOUT)
}

fn read_logins(
    sealer: &Sealer,
    keeping: HashMap<InstanceId, Doorkeeping>,
) -> Result<HashMap<InstanceId, Logins>, NotOurs> {
    let of_instance = |(id, keeping): (InstanceId, Doorkeeping)| {
        let print = |sealed: Option<Vec<u8>>| -> Result<Option<Fingerprint>, NotOurs> {
            sealed.map(|sealed| Ok(fingerprint(&id, &sealer.open(purpose::PASSWORD, &sealed)?))).transpose()
        };
        let logins = Logins {
            separator: keeping.separator.unwrap_or_else(|| SEPARATOR.into()),
            accounts: keeping.accounts,
            password: print(keeping.password)?,
            old_password: print(keeping.old_password)?,
            replica_readers: keeping.replica_readers,
            default_reads_replicas: keeping.default_reads_replicas,
        };
        Ok((id, logins))
    };
    keeping.into_iter().map(of_instance).collect()
}

/// By what the gateway recognizes a password. `hash` is as Redis's ACL has it.
fn fingerprint(id: &InstanceId, hash: &Secret) -> Fingerprint {
    Fingerprint(hex::encode(Sha256::digest(format!("{id}:{}", hash.expose()))))
}

/// What the rules say of connections to an address: those of another protocol or port say nothing.
fn sources(rules: &[SecurityRule], route: &Route) -> Vec<SourceRule> {
    let port = route.vip.0.port();
    let says = |rule: &&SecurityRule| ["TCP", "ALL"].contains(&rule.protocol.as_str()) && names_port(&rule.ports, port);
    let read = |rule: &SecurityRule| Some(SourceRule { from: network(&rule.cidr)?, accepts: rule.accepts });
    rules.iter().filter(says).filter_map(read).collect()
}

/// Whether a list of ports, as rules have it, has this one.
fn names_port(ports: &str, port: u16) -> bool {
    ports.split(',').map(str::trim).any(|part| match part.split_once('-') {
        _ if part.eq_ignore_ascii_case("all") => true,
        Some((first, last)) => {
            first.parse().is_ok_and(|first: u16| first <= port) && last.parse().is_ok_and(|last: u16| port <= last)
        }
        None => part.parse() == Ok(port),
    })
}

/// The network that a rule names: with a prefix length, or a single address.
pub(crate) fn network(cidr: &str) -> Option<IpNet> {
    cidr.parse().ok().or_else(|| cidr.parse().ok().map(|address: std::net::IpAddr| address.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_ports_names_single_ones_and_ranges() {
        for (ports, named) in [
            ("ALL", true),
            ("all", true),
            ("6379", true),
            ("6380", false),
            ("6000-7000", true),
            ("1-6378", false),
            ("80, 6379", true),
            ("80,443", false),
            ("", false),
            ("x-y", false),
        ] {
            assert_eq!(names_port(ports, 6379), named, "{ports:?}");
        }
    }

    #[test]
    fn a_timeout_of_a_year_or_none_closes_nothing() {
        for (text, seconds) in [("60", Some(60)), ("0", None), ("31536000", None), ("", None)] {
            assert_eq!(idle(text), seconds, "{text:?}");
        }
    }

    #[test]
    fn a_network_is_one_with_its_prefix_or_an_address() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("127.0.0.1").unwrap().to_string(), "127.0.0.1/32");
        assert_eq!(network("::/0").unwrap().to_string(), "::/0");
        assert_eq!(network("example"), None);
    }
}
