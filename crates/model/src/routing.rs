use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{Epoch, InstanceId, NodeId};

/// An address that a customer connects to. It never changes as long as the instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Vip(pub SocketAddr);

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An address of a node. Only the gateway and the control plane connect to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeAddr(pub SocketAddr);

impl fmt::Display for NodeAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The node that a route leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The node.
    pub node: NodeId,
    /// Where it listens.
    pub addr: NodeAddr,
    /// Which of its starts this is; a connection to an older one is not kept.
    pub epoch: Epoch,
}

/// Decides over connections from some sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRule {
    /// The sources.
    pub from: IpNet,
    /// Whether they may connect.
    pub accepts: bool,
}

/// What the connections of an instance may be and carry, over all its addresses together. `None`: as much as there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How many there may be.
    pub connections: Option<u32>,
    /// What clients may send, in bytes a second.
    pub inbound: Option<u64>,
    /// What clients may get, in bytes a second.
    pub outbound: Option<u64>,
    /// After how many seconds without a request a connection is closed.
    #[serde(default)]
    pub idle: Option<u64>,
    /// No limit but a mark: a command that takes so many milliseconds or longer is noted as slow; `None`: none is.
    pub slow_after_ms: Option<u32>,
}

/// How one signs in at an instance beyond what its nodes understand: with `name`, separator and password in one, as the
/// password of the default user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logins {
    /// What stands between a name and its password.
    pub separator: String,
    /// The users besides the default one.
    pub accounts: Vec<String>,
    /// The fingerprint of the default user's password. One who sends it means that password, whatever it looks like.
    pub password: Option<Fingerprint>,
    /// The fingerprint of the default user's former password, as long as it works too. Who signs in with it is counted.
    pub old_password: Option<Fingerprint>,
    /// Those of `accounts` whose reads go to replicas where there are any.
    #[serde(default)]
    pub replica_readers: Vec<String>,
    /// Whether the default user's reads do.
    #[serde(default)]
    pub default_reads_replicas: bool,
}

/// A replica that may answer reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// The replica.
    pub target: Target,
    /// Its share of the reads, against those of the others.
    pub weight: u32,
}

/// How an address takes connections by TLS. It tells them from plain ones by their first byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The file below the data folder, readable by its owner alone, that has the private key and the certificates that
    /// vouch for it, in PEM. A change has another name, so that a new table means a new certificate.
    pub identity: String,
    /// The file below the data folder with the certificates, in PEM, one of which must vouch for a client's; `None`:
    /// clients need no certificate.
    pub client_ca: Option<String>,
    /// Whether plain connections are refused.
    pub is_required: bool,
}

/// By what a password is recognized where it must not be known: the SHA-256, in hexadecimal digits, of the instance's id,
/// a colon, and the SHA-256 of the password as Redis's ACL has it (`#` and hexadecimal digits).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub String);

/// Where the connections to one address go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Whose address it is. An instance may have several.
    pub instance: InstanceId,
    /// The address.
    pub vip: Vip,
    /// The primary. `None`: the address is closed but stays reserved: the gateway keeps the port bound,
    /// refuses connections, and resets those that were open.
    pub target: Option<Target>,
    /// Who may connect: the first rule that names the source decides, and where none does, it may not. `None`: everybody.
    #[serde(default)]
    pub sources: Option<Vec<SourceRule>>,
    /// The same for all addresses of an instance.
    #[serde(default)]
    pub limits: Limits,
    /// The same for all addresses of an instance.
    #[serde(default)]
    pub logins: Logins,
    /// The replicas that may answer reads; none where reads from replicas are off. The same for all addresses of an
    /// instance.
    #[serde(default)]
    pub readers: Vec<Reader>,
    /// `None`: by plain connections alone. The same for all addresses of an instance.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// All that the gateway knows. It is replaced as a whole; a table with a lower version than the one in force is dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingTable {
    /// Grows with every change of any route.
    pub version: i64,
    /// One route an address, in no particular order.
    pub routes: Vec<Route>,
}

/// A route that the gateway could not bring into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteFailure {
    /// Whose address.
    pub instance: InstanceId,
    /// The address.
    pub vip: Vip,
    /// Why, for a person: usually that another process has the port.
    pub reason: String,
}

/// What the gateway answers to a table: which version is in force now, and what of it is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayReport {
    /// The release of the gateway's program; empty where it is older than this field.
    #[serde(default)]
    pub release: String,
    /// The gateway's process; nought where it is older than this field, and than being succeeded by another.
    #[serde(default)]
    pub pid: u32,
    /// The version in force, the answered table's or a newer one.
    pub version: i64,
    /// Routes that are not in force, each with the reason. The gateway tries them again by itself.
    pub failures: Vec<RouteFailure>,
    /// Open client connections, over all routes.
    pub connections: u64,
    /// The same by instance, for those that have any.
    #[serde(default)]
    pub instances: BTreeMap<InstanceId, Connected>,
}

/// The open client connections of an instance, over all its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// All of them.
    pub open: u64,
    /// Those whose last successful sign-in was with the default user's former password.
    pub on_old_password: u64,
}
