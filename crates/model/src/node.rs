use crate::{EngineKind, EngineVersion, Epoch, NodeAddr, NodeId, Secret};

/// A user of a node's ACL.
#[derive(Clone, PartialEq, Eq)]
pub struct AclUser {
    /// `default`, the service's own, or a customer's account.
    pub name: String,
    /// Everything after the name in an ACL file's line, from `on` or `off` to the last rule.
    /// Passwords stand here as `#` and their SHA-256.
    pub rules: Secret,
}

/// The primary that a replica follows, and how it signs in there.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where the primary listens.
    pub addr: NodeAddr,
}

/// One Redis process as it is wanted: all that a runtime needs to start it.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// Which node; its data is kept under this name over restarts.
    pub node: NodeId,
    /// Which start of it. A runtime that knows of a later one refuses this.
    pub epoch: Epoch,
    /// Redis or Valkey.
    pub engine: EngineKind,
    /// The oldest version that will do. The nearest installed one that is not older is taken.
    pub version: EngineVersion,
    /// Where it listens.
    pub addr: NodeAddr,
    /// In bytes; the engine evicts or refuses beyond it.
    pub maxmemory: u64,
    /// Connections that the engine takes at the most.
    pub maxclients: u32,
    /// The whole ACL.
    pub users: Vec<AclUser>,
    /// The service's own user: replication and control sign in with it. It is one of `users`.
    pub admin_name: String,
    /// The service's own user's password, in clear: a replica has to send it.
    pub admin_password: Secret,
    /// `Some`: it starts as a replica of this primary and never takes a write of its own.
    pub upstream: Option<Upstream>,
    /// Whether it has data, which must be there when it starts: where it is gone, an empty start would be taken for the
    /// truth by its replicas.
    pub has_data: bool,
    /// Further settings of the engine, by its own names, in its own units.
    pub settings: Vec<(String, String)>,
}
