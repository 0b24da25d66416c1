//! Speaks to nodes. The trait is what flows need said; `redis` says it to real engines.

mod redis;
#[cfg(test)]
pub(crate) mod sim;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::BoxFuture;
use model::{AclUser, Millis, NodeAddr, Secret};

pub use self::redis::RedisNodes;

/// A node to speak to, and how the service signs in there.
#[derive(Clone)]
pub struct Peer {
    /// Where it listens.
    pub addr: NodeAddr,
    /// The password of the service's own user.
    pub admin: Secret,
}

/// How a node replicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// Whom it follows; `None` for a primary.
    pub upstream: Option<NodeAddr>,
    /// Whether the link is up and the first sync is over.
    pub is_synced: bool,
    /// How much has been written through its life: what it would send its own replicas, in bytes of the stream.
    pub offset: i64,
    /// How much of its upstream's stream it has; of a primary, all of its own.
    pub applied: i64,
    /// The ports of the nodes that follow it and are known to receive the stream: each has told how far it is.
    pub followers: Vec<u16>,
    /// How long ago it lost its upstream, having had all that it had; `None` while it has it, and for one that never
    /// had or is loading a copy.
    pub lost_for: Option<Duration>,
}

/// A command that took a node long, as its log of those has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowEntry {
    /// Which one of the node's process.
    pub id: i64,
    /// When it was done, to the second, by the host's clock.
    pub at: Millis,
    /// How long it took, in microseconds.
    pub micros: i64,
    /// Who had sent it to the node.
    pub client: String,
    /// The command with its arguments, cut by the node.
    pub arguments: Vec<String>,
}

/// Where a fenced node looks for its upstream: nobody listens there.
pub(crate) const NOWHERE: NodeAddr = NodeAddr(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1));

/// A node can't be spoken to, or refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node at {addr}: {reason}")]
pub struct NodeError {
    /// Which one.
    pub addr: NodeAddr,
    /// What it said, or why it can't be reached. Holds no secret.
    pub reason: String,
    /// Whether it has understood, and will refuse the same again.
    pub is_refusal: bool,
}

/// What is said to nodes. Everything here can be said again.
pub trait Nodes: Send + Sync {
    /// Succeeds once the node serves: it answers, and has loaded its data.
    fn ping<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Replaces all users but the service's own, each whole. Open connections stay, and stay signed in, but for those of
    /// users that are gone.
    fn set_users<'a>(&'a self, peer: &'a Peer, users: &'a [AclUser]) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Makes the node a replica of another.
    fn follow<'a>(&'a self, peer: &'a Peer, upstream: NodeAddr) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Holds clients' writes for a moment, unanswered.
    fn hold<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Ends a primary's taking of writes, for as long as its process lives or until it is promoted: it follows nobody
    /// ([`NOWHERE`]). Writes that are held stay so; others are refused.
    fn fence<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Makes the node a primary, with the data that it has.
    fn promote<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Sets how many bytes of data it may hold.
    fn set_memory<'a>(&'a self, peer: &'a Peer, bytes: u64) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Sets how many connections it may take. Where the host does not let it have so many files open, it takes as many as
    /// it can, as one that starts does.
    fn set_max_clients<'a>(&'a self, peer: &'a Peer, most: u32) -> BoxFuture<'a, Result<(), NodeError>>;
    /// Sets it, by its engine's own names, in its engine's own units. What it refuses by its own rules is answered as
    /// [`NodeError::is_refusal`]; it may then have taken the others.
    fn set_settings<'a>(
        &'a self,
        peer: &'a Peer,
        settings: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<(), NodeError>>;

    /// How it is set, by its engine's own names. One that it does not know is not in the answer.
    fn settings<'a>(
        &'a self,
        peer: &'a Peer,
        names: &'a [&'static str],
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, NodeError>>;

    /// How many bytes its data takes.
    fn used_memory<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<u64, NodeError>>;

    /// Has a replica whose first sync is over connect to its primary anew, by which it gets the stream at once: after a
    /// first sync the primary sends nothing until the replica has told where it is, up to a second later.
    fn reconnect<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Has a primary ask its replicas how far they are, which they would else tell once a second.
    fn ask_followers<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// How the node replicates.
    fn replication<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Replication, NodeError>>;

    /// Deletes all data, and is sure that none was left at that moment.
    fn flush<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// How many keys it has.
    fn keys<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<i64, NodeError>>;

    /// The commands that took it long, as far as it still has them: the last 128.
    fn slow_log<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Vec<SlowEntry>, NodeError>>;

    /// What each of these keys is: `string`, `hash` and so on, and `none` where it is not there.
    fn key_types<'a>(
        &'a self,
        peer: &'a Peer,
        keys: &'a [(u32, String)],
    ) -> BoxFuture<'a, Result<Vec<String>, NodeError>>;
}
