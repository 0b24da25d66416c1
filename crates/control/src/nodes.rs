//! Speaks to nodes. The trait is what flows need said; `redis` says it to real engines.

mod redis;
#[cfg(test)]
pub(crate) mod sim;

use futures_util::future::BoxFuture;
use model::{AclUser, NodeAddr, Secret};

pub use self::redis::RedisNodes;

/// A node to speak to, and how the service signs in there.
#[derive(Clone)]
pub struct Peer {
    /// Where it listens.
    pub addr: NodeAddr,
    /// The password of the service's own user.
    pub admin: Secret,
}

/// How a replica gets on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Whom it follows; `None` for a primary.
    pub upstream: Option<NodeAddr>,
    /// Whether the link is up and the first sync is over.
    pub is_synced: bool,
}

/// A node can't be spoken to, or refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node at {addr}: {reason}")]
pub struct NodeError {
    /// Which one.
    pub addr: NodeAddr,
    /// What it said, or why it can't be reached. Holds no secret.
    pub reason: String,
}

/// What is said to nodes. Everything here can be said again.
pub trait Nodes: Send + Sync {
    /// Succeeds once the node serves: it answers, and has loaded its data.
    fn ping<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Replaces the rules of users, each whole. Open connections stay, and stay signed in.
    fn set_users<'a>(&'a self, peer: &'a Peer, users: &'a [AclUser]) -> BoxFuture<'a, Result<(), NodeError>>;

    /// Makes the node a replica of another.
    fn follow<'a>(&'a self, peer: &'a Peer, upstream: NodeAddr) -> BoxFuture<'a, Result<(), NodeError>>;

    /// How the node replicates.
    fn replication<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Replication, NodeError>>;

    /// Deletes all data, and is sure that none was left at that moment.
    fn flush<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>>;

    /// How many keys it has.
    fn keys<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<i64, NodeError>>;
}
