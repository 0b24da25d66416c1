//! The nouns of OpenCRS: ids, specs, states, task types, error codes and the routing table.
//!
//! Everything here is plain data with `serde` and nothing else: no IO, no async, no clock.

mod engine;
mod error;
mod ids;
mod node;
mod routing;
mod secret;
mod sight;
mod state;
mod task;
mod time;

pub use engine::{Architecture, EngineKind, EngineVersion, TypeId};
pub use error::{ApiError, Code, Text, code};
pub use ids::{Epoch, InstanceId, NodeId, TaskId};
pub use node::{AclUser, NodeSpec, Upstream};
pub use routing::{
    Connected, Fingerprint, GatewayReport, Limits, Logins, NodeAddr, Reader, Route, RouteFailure, RoutingTable,
    SourceRule, Target, Tls, Vip,
};
pub use secret::Secret;
pub use sight::{
    CommandCounts, Counts, HOT_KEYS, HotKey, HotMinute, LATENCY_STEPS, SLOW_COMMANDS, Sight, SlowCommand, hottest,
};
pub use state::{BillingMode, DealStatus, InstanceStatus, NodeRole};
pub use task::{TASK_TYPES, TaskResult, TaskType};
pub use time::Millis;
