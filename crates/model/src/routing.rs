use std::fmt;
use std::net::SocketAddr;

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

/// Where the connections to one address go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Whose address it is.
    pub instance: InstanceId,
    /// The address.
    pub vip: Vip,
    /// The primary. `None`: the address is closed but stays reserved: the gateway keeps the port bound,
    /// refuses connections, and resets those that were open.
    pub target: Option<Target>,
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
    /// The version in force, the answered table's or a newer one.
    pub version: i64,
    /// Routes that are not in force, each with the reason. The gateway tries them again by itself.
    pub failures: Vec<RouteFailure>,
    /// Open client connections, over all routes.
    pub connections: u64,
}
