//! The product: actions, the flows behind them, and the keepers that bring the world to what the ledger wants.
//!
//! What must stay true:
//! - An action never touches the world: it reads the ledger, or makes one transaction of it.
//! - Only flow steps and keepers act on the world, and only towards what the ledger wants already.
//! - Every change of an instance is a task that holds it.

mod access;
mod action;
mod actions;
mod answers;
mod archive;
mod cx;
mod deals;
mod dev;
mod errors;
mod export;
mod fleet;
mod flows;
pub mod keepers;
mod network;
mod nodes;
mod parameters;
pub mod params;
mod placement;
mod prices;
mod random;
mod rate;
mod routes;
mod seal;
mod settings;
mod sight;
mod slow;
mod spec;
mod text;
mod tls;
mod when;

#[cfg(test)]
mod tests;

pub use access::{Access, Caller, Resource, Verb};
pub use action::{ActionEntry, Answered, Api, Call, Event, Events, Language, OPENCRS, REDIS, REGION, TAG, VPC};
pub use actions::ACTIONS;
pub use answers::Answers;
pub use archive::Archive;
pub use cx::{FlowCx, Gateway, Wake};
pub use dev::{Dev, Faults};
pub use errors::Fault;
pub use fleet::Roles;
pub use flows::FLOWS;
pub use nodes::{NodeError, Nodes, Peer, RedisNodes, Replication, SlowEntry};
pub use prices::{PriceList, Rate};
pub use random::Random;
pub use rate::RateLimits;
pub use seal::Sealer;
pub use settings::{Owner, Region, Settings, TlsSettings, VipPool, Zone};
pub use tls::{AUTHORITY_FILE, Certificates, GivenAuthority, TlsError, read_certificates};
