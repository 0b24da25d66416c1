//! What a node's process is to be like, out of what the ledger wants.

use ledger::{Instance, InstanceAccount, Ledger, Node, Params};
use model::{AclUser, EngineVersion, InstanceId, NodeRole, NodeSpec, Secret, Upstream};
use runtime::Engine;
use sha2::{Digest, Sha256};

use crate::nodes::Peer;
use crate::parameters;
use crate::seal::{NotOurs, Sealer};

/// The service's own user on every node. Customers can't see or change it.
pub(crate) const ADMIN: &str = "opencrs";

/// What the sealed fields of the ledger were sealed for.
pub(crate) mod purpose {
    pub(crate) const PASSWORD: &str = "instance.password";
    pub(crate) const ADMIN: &str = "instance.admin";
    pub(crate) const ACCOUNT: &str = "account.password";
    pub(crate) const AUTHORITY: &str = "tls.authority";
}

/// All that the ledger wants of an instance's nodes.
pub(crate) struct Wanted {
    pub(crate) instance: Instance,
    /// Those that join too.
    pub(crate) nodes: Vec<Node>,
    /// Users besides the default one.
    pub(crate) accounts: Vec<InstanceAccount>,
    pub(crate) params: Params,
}

impl Wanted {
    /// As the ledger has it now; `None` where the instance is gone.
    pub(crate) fn load(ledger: &Ledger, id: &InstanceId) -> ledger::Result<Option<Self>> {
        ledger.read(|reader| {
            let Some(instance) = ledger::instance(reader, id)? else { return Ok(None) };
            Ok(Some(Wanted {
                instance,
                nodes: ledger::nodes_of(reader, id)?,
                accounts: ledger::accounts_of(reader, id)?,
                params: ledger::params_of(reader, id)?,
            }))
        })
    }
}

/// What a customer of a read-only instance may not, on top.
const READ_ONLY: &str = " -@write";

/// What customers may: everything but administration, the commands that would reach past the gateway, and the debugger of
/// scripts, which stops a node. Not `-@dangerous`: that would take INFO, KEYS, SORT and FLUSHALL away.
const CUSTOMER: &str = "~* &* +@all -@admin -migrate -restore-asking -script";

/// Of `script`, what customers may.
const SCRIPTS: &str = " +script|load +script|exists +script|flush +script|kill";

/// What users of read-only accounts may: to read, in transactions too, in which many clients wrap all that they send. Among
/// the commands for connections are some that end or hold those of others.
const READER: &str = "~* &* +@read +@connection +@transaction +info -@admin";

/// Connections that an engine takes where no other limit was set: what the API calls a standard instance's limit.
pub(crate) const MAX_CLIENTS: u32 = ledger::DEFAULT_CLIENTS;

/// Connections that the service needs for itself and nodes have among each other, beyond those of customers.
const OWN_CLIENTS: u32 = 64;

/// The maintenance window of a new instance, in minutes of the day: 03:00 to 04:00, when most sleep.
pub(crate) const DEFAULT_WINDOW: (i64, i64) = (3 * 60, 4 * 60);

/// A password as Redis's ACL takes it: `#` and its SHA-256.
pub(crate) fn hash_of(password: &Secret) -> Secret {
    Secret::new(format!("#{}", hex::encode(Sha256::digest(password.expose().as_bytes()))))
}

/// The users of an instance's nodes: the service's own, the customer's default one, and the accounts.
pub(crate) fn users(sealer: &Sealer, wanted: &Wanted) -> Result<Vec<AclUser>, NotOurs> {
    let instance = &wanted.instance;
    let admin = sealer.open(purpose::ADMIN, &instance.admin)?;
    let mut users = vec![
        AclUser { name: ADMIN.into(), rules: Secret::new(format!("on {} ~* &* +@all", hash_of(&admin).expose())) },
        AclUser { name: "default".into(), rules: default_user(sealer, wanted)? },
    ];
    for account in wanted.accounts.iter().filter(|account| account.status != InstanceAccount::GOING) {
        users.push(AclUser { name: account.name.clone(), rules: account_user(sealer, wanted, account)? });
    }
    Ok(users)
}

fn default_user(sealer: &Sealer, wanted: &Wanted) -> Result<Secret, NotOurs> {
    let instance = &wanted.instance;
    let passwords = match (&instance.password, instance.no_auth) {
        (_, true) => "nopass".to_owned(),
        (None, false) => return Ok(Secret::new("off")),
        (Some(sealed), false) => {
            let mut hashes = sealer.open(purpose::PASSWORD, sealed)?.expose().to_owned();
            if let Some(old) = &instance.old_password {
                hashes = format!("{hashes} {}", sealer.open(purpose::PASSWORD, old)?.expose());
            }
            hashes
        }
    };
    Ok(Secret::new(format!("on {passwords} {CUSTOMER}{SCRIPTS}{}", restrictions(wanted, true))))
}

fn account_user(sealer: &Sealer, wanted: &Wanted, account: &InstanceAccount) -> Result<Secret, NotOurs> {
    let password = match &account.password {
        Some(sealed) => sealer.open(purpose::ACCOUNT, sealed)?,
        None => Secret::new("nopass"),
    };
    let writes = account.privilege == "rw";
    let (may, scripts) = if writes { (CUSTOMER, SCRIPTS) } else { (READER, "") };
    Ok(Secret::new(format!("on {} {may}{scripts}{}", password.expose(), restrictions(wanted, writes))))
}

/// What is taken away from every customer's user. Scripts are run by several commands, of which older engines do not know
/// all: who may not use the one may use none of its like. So all of them go, and what is left is given back to who had it.
fn restrictions(wanted: &Wanted, has_scripts: bool) -> String {
    let mut rules = String::from(if wanted.instance.read_only { READ_ONLY } else { "" });
    let disabled: Vec<&str> = parameters::disabled_commands(&wanted.params).collect();
    for command in &disabled {
        rules.push_str(" -");
        rules.push_str(command);
    }
    if ["eval", "evalsha"].iter().any(|command| disabled.contains(command)) {
        rules.push_str(" -@scripting");
        for (command, again) in [("eval", " +eval"), ("evalsha", " +evalsha"), ("script", SCRIPTS)] {
            if has_scripts && !disabled.contains(&command) {
                rules.push_str(again);
            }
        }
    }
    rules
}

/// How many bytes of data a node may hold.
pub(crate) fn memory(instance: &Instance) -> u64 {
    u64::try_from(instance.memory_mb).unwrap_or(0) << 20
}

/// How many connections a node takes: more than customers may have, to which the gateway holds them. So the node never is
/// the one that refuses, and the service itself always gets in.
pub(crate) fn max_clients(instance: &Instance) -> u32 {
    let limit = instance.client_limit.and_then(|limit| u32::try_from(limit).ok());
    limit.unwrap_or(MAX_CLIENTS).max(MAX_CLIENTS).saturating_add(OWN_CLIENTS)
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

/// A node's process as it is wanted now, on one of these engines.
pub(crate) fn node_spec(
    sealer: &Sealer,
    engines: &[Engine],
    wanted: &Wanted,
    node: &Node,
) -> Result<NodeSpec, NotOurs> {
    let Wanted { instance, nodes, params, .. } = wanted;
    let (kind, version) = (node.type_id.engine(), newest_seen(nodes, node));
    // As the runtime chooses; where there is none, it says so.
    let engine = engines.iter().filter(|engine| engine.serves(kind, version)).min_by_key(|engine| engine.version);
    let engine = engine.copied().unwrap_or(Engine { kind, version });
    let primary = nodes.iter().find(|other| other.role == NodeRole::Primary);
    Ok(NodeSpec {
        node: node.id.clone(),
        epoch: node.epoch,
        engine: kind,
        version,
        addr: node.addr,
        maxmemory: memory(instance),
        maxclients: max_clients(instance),
        users: users(sealer, wanted)?,
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
        settings: parameters::settings(params, engine),
    })
}
