use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flow::{Clock, Context};
use futures_util::future::BoxFuture;
use ledger::Ledger;
use model::{GatewayReport, InstanceId, Millis, RoutingTable, Sight};
use runtime::Runtime;
use tokio::sync::Notify;

use crate::answers::Answers;
use crate::archive::Archive;
use crate::dev::Dev;
use crate::fleet::Roles;
use crate::nodes::Nodes;
use crate::random::Random;
use crate::seal::Sealer;
use crate::settings::Settings;
use crate::tls::Certificates;

/// The release of the gateway that this program has.
pub(crate) const GATEWAY_RELEASE: &str = env!("CARGO_PKG_VERSION");

/// What the control plane needs of the gateway, which is a process of its own.
pub trait Gateway: Send + Sync {
    /// Sees to it that a gateway runs: adopts one, or starts one.
    fn ensure(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Replaces a gateway that runs another build of the program than this one, as of [`Self::replace`].
    fn renew(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Replaces the gateway, of whatever build it is, by one of this program's. It has taken the former one's part when this
    /// is over.
    fn replace(&self) -> BoxFuture<'_, Result<(), String>>;

    /// The release of the gateway that runs, as far as it has told.
    fn release(&self) -> String;

    /// Keeps what clients of an instance ask for from now on, until a table names another primary, [`Self::resume`] is called,
    /// or the time is up. Answers whether the primary has answered all that it was asked before.
    fn hold<'a>(&'a self, instance: &'a InstanceId, at_most: Duration) -> BoxFuture<'a, Result<bool, String>>;

    /// Goes on with what is kept.
    fn resume<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<(), String>>;

    /// How the table in force fares: who is connected, for one. An error as of [`Self::publish`].
    fn report(&self) -> BoxFuture<'_, Result<GatewayReport, String>>;

    /// What it has seen of an instance, by its own clock. An error as of [`Self::publish`].
    fn sight<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<Sight, String>>;

    /// What it has seen of each instance of which it has seen something after a moment of its own clock. An error as of
    /// [`Self::publish`].
    fn sights(&self, after: Millis) -> BoxFuture<'_, Result<BTreeMap<InstanceId, Sight>, String>>;

    /// Puts a table in force, or learns of a newer one. An error is a sentence for a log or a task's message.
    fn publish(&self, table: RoutingTable) -> BoxFuture<'_, Result<GatewayReport, String>>;
}

/// Wakes the loops that would else look by themselves only every second.
#[derive(Default)]
pub struct Wake {
    /// There may be a task to work on.
    pub tasks: Notify,
    /// The routing table may be another one.
    pub routes: Notify,
    /// Nodes may have to be started anew.
    pub nodes: Notify,
    /// The time of an isolated instance may be over.
    pub recycle: Notify,
    /// Certificates may be needed, or some no more.
    pub certificates: Notify,
    /// The time of a former address may be over.
    pub addresses: Notify,
    /// The paid time of an instance may be over.
    pub expiry: Notify,
    /// Tasks may have to leave the ledger.
    pub retention: Notify,
}

impl Wake {
    /// Wakes every loop: the clock was set forward.
    pub fn all(&self) {
        let all = [&self.tasks, &self.routes, &self.nodes, &self.recycle, &self.certificates];
        let all = all.into_iter().chain([&self.addresses, &self.expiry]);
        let all = all.chain([&self.retention]);
        all.for_each(Notify::notify_one);
    }
}

/// What flows, keepers and actions act through.
pub struct FlowCx {
    /// The durable truth.
    pub ledger: Ledger,
    /// Starts and stops nodes.
    pub runtime: Arc<dyn Runtime>,
    /// Speaks to nodes, in Redis's protocol.
    pub nodes: Arc<dyn Nodes>,
    /// The data plane.
    pub gateway: Arc<dyn Gateway>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Random,
    /// Seals secrets.
    pub sealer: Sealer,
    /// What the operator decides.
    pub settings: Arc<Settings>,
    /// Where this service begins in its address pools: hashed from its id, so that two services don't meet.
    pub pool_offset: u64,
    /// Whether an address could be bound now. Asked while an address is chosen.
    pub is_bindable: fn(SocketAddr) -> bool,
    /// Wakes the loops.
    pub wake: Wake,
    /// Answers that are still right.
    pub answers: Answers,
    /// What `opencrs dev` alone has.
    pub dev: Option<Dev>,
    /// Certificates, and where they are kept.
    pub certificates: Certificates,
    /// Where tasks are that have left the ledger.
    pub archive: Archive,
    /// Acts on roles, one at a time for each instance.
    pub roles: Roles,
}

impl FlowCx {
    /// By how much the service's clock is ahead of those of gateway and nodes: in `dev` it can be set forward.
    pub(crate) fn ahead(&self) -> Duration {
        self.dev.as_ref().map_or(Duration::ZERO, |dev| dev.clock.ahead())
    }
}

impl Context for FlowCx {
    type Write = ledger::Write;

    fn clock(&self) -> &dyn Clock {
        &*self.clock
    }
}
