//! How one sees whether a change was done.

use ledger::Node;
use model::NodeId;

use super::{Before, Site};

/// How many replicas answer reads, and that root's do go there.
pub(super) fn check_readers(site: &Site, before: &Before, wanted: usize, context: &str) {
    let table = site.gateway.table.lock().unwrap();
    let route = table.routes.iter().find(|route| route.instance == before.id).unwrap();
    assert_eq!(route.readers.len(), wanted, "{context}: the replicas that answer reads");
    assert_eq!(route.logins.default_reads_replicas, wanted > 0, "{context}: where root reads");
    assert_eq!(Before::of(site, &before.id).instance.replica_reads, wanted > 0, "{context}");
}

pub(super) fn check_tls(site: &Site, before: &Before, wanted: bool, context: &str) {
    let table = site.gateway.table.lock().unwrap();
    let tls = table.routes.iter().find(|route| route.instance == before.id).unwrap().tls.clone();
    assert_eq!(tls.is_some(), wanted, "{context}: TLS");
    if let Some(tls) = tls {
        assert!(site.folder.path().join(&tls.identity).is_file(), "{context}: {} is not there", tls.identity);
    }
}

pub(super) fn check_account(site: &Site, before: &Before, wanted: Option<&str>, context: &str) {
    let accounts = site.cx.ledger.read(|reader| ledger::accounts_of(reader, &before.id)).unwrap();
    let shown: Vec<_> = accounts.iter().map(|account| (account.privilege.as_str(), account.status)).collect();
    assert_eq!(shown, wanted.map(|privilege| (privilege, 2)).into_iter().collect::<Vec<_>>(), "{context}");
}

pub(super) fn public_addresses(site: &Site, before: &Before) -> i64 {
    i64::from(site.cx.ledger.read(|reader| ledger::wan_address(reader, &before.id)).unwrap().is_some())
}

pub(super) fn check_moved(site: &Site, before: &Before, moved: bool, keeps: bool, context: &str) {
    let own = Before::of(site, &before.id).instance.vip;
    let wanted = if moved { "127.88.9.9:6379".into() } else { before.instance.vip.to_string() };
    assert_eq!(own.to_string(), wanted, "{context}: the address");
    let others = site.cx.ledger.read(|reader| ledger::addresses_of(reader, &before.id)).unwrap();
    let former: Vec<_> = others.iter().map(|address| (address.vip, address.closes_at.is_some())).collect();
    assert_eq!(former, if keeps { vec![(before.instance.vip, true)] } else { vec![] }, "{context}: the former address");
}

/// What every node has of a setting that is named and counted as the parameter; and what clients read of the change.
pub(super) fn check_param(site: &Site, before: &Before, name: &str, wanted: &str, context: &str) {
    let now = Before::of(site, &before.id);
    for node in &now.nodes {
        let settings = site.world.settings(&node.id).unwrap();
        assert_eq!(settings.get(name).map(String::as_str), Some(wanted), "{context}: {name} of node {}", node.number);
    }
    let changing = site.cx.ledger.read(|reader| ledger::changing_params(reader, &before.id)).unwrap();
    assert!(changing.is_empty(), "{context}: {changing:?} are still being changed");
}

pub(super) fn check_status(site: &Site, before: &Before, wanted: Option<i64>, context: &str) {
    assert_eq!(site.status(&before.id), wanted, "{context}: the status");
}

pub(super) fn check_primary(site: &Site, before: &Before, wanted: usize, context: &str) {
    assert_eq!(site.primary(&before.id), before.nodes[wanted].id, "{context}: the primary");
}

pub(super) fn check_version(site: &Site, before: &Before, done: bool, context: &str) {
    let now = Before::of(site, &before.id);
    assert_eq!(now.instance.type_id.number(), if done { 19 } else { 17 }, "{context}");
    let ids = |nodes: &[Node]| -> Vec<NodeId> { nodes.iter().map(|node| node.id.clone()).collect() };
    let groups = |nodes: &[Node]| -> Vec<(i64, i64)> {
        let mut all: Vec<_> = nodes.iter().map(|node| (node.group, node.number)).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(ids(&now.nodes) == ids(&before.nodes), !done, "{context}: the nodes");
    assert_eq!(groups(&now.nodes), groups(&before.nodes), "{context}: groups and numbers stay");
}
