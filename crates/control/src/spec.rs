//! What a node's process is to be like, out of what the ledger wants.

use ledger::{Instance, Node};
use model::{AclUser, EngineVersion, NodeRole, NodeSpec, Secret, Upstream};
use sha2::{Digest, Sha256};

use crate::nodes::Peer;
use crate::seal::{NotOurs, Sealer};

/// The service's own user on every node. Customers can't see or change it.
pub(crate) const ADMIN: &str = "opencrs";

/// What the sealed fields of the ledger were sealed for.
pub(crate) mod purpose {
    pub(crate) const PASSWORD: &str = "instance.password";
    pub(crate) const ADMIN: &str = "instance.admin";
}

/// What a customer of a read-only instance may not, on top.
const READ_ONLY: &str = " -@write";

/// What customers may: everything but administration, and the three commands that would reach past the gateway.
/// Not `-@dangerous`: that would take INFO, KEYS, SORT and FLUSHALL away.
const CUSTOMER: &str = "~* &* +@all -@admin -migrate -restore-asking";

/// Connections that an engine takes: what the API calls a standard instance's limit.
pub(crate) const MAX_CLIENTS: u32 = 10_000;

/// The maintenance window of a new instance, in minutes of the day: 03:00 to 04:00, when most sleep.
pub(crate) const DEFAULT_WINDOW: (i64, i64) = (3 * 60, 4 * 60);

/// A password as Redis's ACL takes it: `#` and its SHA-256.
pub(crate) fn hash_of(password: &Secret) -> Secret {
    Secret::new(format!("#{}", hex::encode(Sha256::digest(password.expose().as_bytes()))))
}

/// The users of an instance's nodes: the service's own, and the customer's default one.
pub(crate) fn users(sealer: &Sealer, instance: &Instance) -> Result<Vec<AclUser>, NotOurs> {
    let admin = sealer.open(purpose::ADMIN, &instance.admin)?;
    let read_only = if instance.read_only { READ_ONLY } else { "" };
    let default = match (&instance.password, instance.no_auth) {
        (_, true) => Secret::new(format!("on nopass {CUSTOMER}{read_only}")),
        (Some(sealed), false) => {
            let hash = sealer.open(purpose::PASSWORD, sealed)?;
            Secret::new(format!("on {} {CUSTOMER}{read_only}", hash.expose()))
        }
        (None, false) => Secret::new("off"),
    };
    Ok(vec![
        AclUser { name: ADMIN.into(), rules: Secret::new(format!("on {} ~* &* +@all", hash_of(&admin).expose())) },
        AclUser { name: "default".into(), rules: default },
    ])
}

/// How many bytes of data a node may hold.
pub(crate) fn memory(instance: &Instance) -> u64 {
    u64::try_from(instance.memory_mb).unwrap_or(0) << 20
}

/// How to speak to a node.
pub(crate) fn peer(sealer: &Sealer, instance: &Instance, node: &Node) -> Result<Peer, NotOurs> {
    Ok(Peer { addr: node.addr, admin: sealer.open(purpose::ADMIN, &instance.admin)? })
}

/// Data that a newer engine has written is never given to an older one, which may not read it and start empty: nodes of
/// one type run what is at least the newest among them.
fn newest_seen(nodes: &[Node], node: &Node) -> EngineVersion {
    let same = nodes.iter().filter(|other| other.type_id == node.type_id && other.joins == node.joins);
    same.filter_map(|other| other.observed_version).fold(node.version, EngineVersion::max)
}

/// A node's process as it is wanted now. `nodes` are all of the instance's.
pub(crate) fn node_spec(
    sealer: &Sealer,
    instance: &Instance,
    nodes: &[Node],
    node: &Node,
) -> Result<NodeSpec, NotOurs> {
    let primary = nodes.iter().find(|other| other.role == NodeRole::Primary);
    Ok(NodeSpec {
        node: node.id.clone(),
        epoch: node.epoch,
        engine: node.type_id.engine(),
        version: newest_seen(nodes, node),
        addr: node.addr,
        maxmemory: memory(instance),
        maxclients: MAX_CLIENTS,
        users: users(sealer, instance)?,
        admin_name: ADMIN.into(),
        admin_password: sealer.open(purpose::ADMIN, &instance.admin)?,
        upstream: match (node.role, primary) {
            // A new replica is told by a command once both answer: started with it, it would look for its primary
            // once a second. It holds nothing yet, and no address leads to it.
            _ if node.observed_epoch.is_none() => None,
            (NodeRole::Replica, Some(primary)) => Some(Upstream { addr: primary.addr }),
            _ => None,
        },
        // A replica gets its data from its primary anyway.
        has_data: node.role == NodeRole::Primary && node.observed_epoch.is_some(),
        settings: Vec::new(),
    })
}
