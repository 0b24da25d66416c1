use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::{Connected, GatewayReport, InstanceId, Route, RoutingTable, Sight, SourceRule, Vip};
use tokio::sync::{Notify, oneshot};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::timeout;
use tracing::{error, info};

use crate::door::Door;
use crate::event_loop::{EventLoop, Of, Order, wall_time};
use crate::exchange::{Held, LoopRoute};
use crate::folder::Folder;
use crate::instance::Instance;

mod succession;

use self::succession::Arrivals;
pub(crate) use self::succession::Sockets;

/// After so many doors a table lets the connections that share the thread have it.
const DOORS_A_TURN: usize = 64;

/// The event loops that clients are served by.
#[derive(Clone)]
pub(crate) struct Loops(Arc<Vec<EventLoop>>);

impl Loops {
    /// One a core.
    pub(crate) fn start() -> io::Result<Loops> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let loops: io::Result<_> = (0..cores).map(EventLoop::start).collect();
        Ok(Loops(Arc::new(loops?)))
    }

    /// The one that has the clients of an instance. All are with one: the more of them ask at once, the less each costs, and
    /// an engine has one thread too.
    pub(crate) fn of(&self, instance: &Instance) -> &EventLoop {
        &self.0[instance.number % self.0.len()]
    }

    /// Whether all have ended, as those do that have departed.
    pub(crate) fn are_over(&self) -> bool {
        self.0.iter().all(EventLoop::is_over)
    }

    async fn set_routes(&self, routes: Vec<LoopRoute>) {
        let routes = Arc::new(routes);
        let set = self.0.iter().map(|event_loop| {
            let (done, is_done) = oneshot::channel();
            event_loop.send(Order::SetRoutes(routes.clone(), done));
            is_done
        });
        for is_done in set.collect::<Vec<_>>() {
            // A loop that has ended has no connections.
            let _ = is_done.await;
        }
    }

    async fn hold(&self, instance: &Arc<Instance>, at_most: Duration) {
        let held = self.0.iter().map(|event_loop| {
            let (quiet, is_quiet) = oneshot::channel::<Held>();
            event_loop.send(Order::Hold { instance: instance.clone(), at_most, quiet });
            is_quiet
        });
        for is_quiet in held.collect::<Vec<_>>() {
            let _ = is_quiet.await;
        }
    }

    async fn tell(&self, of: &Of) -> BTreeMap<InstanceId, Sight> {
        let told = self.0.iter().map(|event_loop| {
            let (tell, told) = oneshot::channel();
            event_loop.send(Order::Tell(of.clone(), tell));
            told
        });
        let mut all: BTreeMap<InstanceId, Sight> = BTreeMap::new();
        for told in told.collect::<Vec<_>>() {
            for (id, sight) in told.await.unwrap_or_default() {
                all.entry(id).or_default().merge(sight);
            }
        }
        all
    }

    fn unhold(&self, instance: &Arc<Instance>) {
        for event_loop in self.0.iter() {
            event_loop.send(Order::Unhold(instance.clone()));
        }
    }
}

/// The table in force, and the doors that it consists of.
pub(crate) struct Gateway {
    folder: Arc<Folder>,
    /// `None` until there was a first one.
    table: Option<RoutingTable>,
    is_saved: bool,
    doors: BTreeMap<Vip, Door>,
    instances: BTreeMap<InstanceId, Arc<Instance>>,
    loops: Loops,
    /// How many instances there were.
    numbers: usize,
    /// What goes to a successor besides; `None` until it is known.
    sockets: Option<Sockets>,
    /// Whether a successor has everything, and who waits for that.
    is_over: bool,
    over: Arc<Notify>,
}

impl Gateway {
    /// Brings the table that was last in force back into force.
    pub(crate) async fn restore(folder: Arc<Folder>, loops: Loops) -> Gateway {
        let mut gateway = Gateway::empty(folder, loops);
        match gateway.folder.load() {
            Ok(None) => info!("the gateway starts without a table"),
            Ok(Some(table)) => gateway.enforce(table, None).await,
            // Better no address for a moment than no gateway: the control plane publishes when it sees this one.
            Err(error) => error!(%error, "could not read the table last in force, so no address is until the next one"),
        }
        gateway
    }

    fn empty(folder: Arc<Folder>, loops: Loops) -> Gateway {
        Gateway {
            folder,
            table: None,
            is_saved: true,
            doors: BTreeMap::new(),
            instances: BTreeMap::new(),
            loops,
            sockets: None,
            is_over: false,
            over: Arc::default(),
            numbers: 0,
        }
    }

    /// What the connections of an instance share.
    fn instance(&mut self, id: &InstanceId) -> Arc<Instance> {
        let known = self.instances.entry(id.clone()).or_insert_with(|| {
            self.numbers += 1;
            Arc::new(Instance::new(id.clone(), self.numbers))
        });
        known.clone()
    }

    /// Brings a table into force, unless that one or a newer one is. The answer is of the one in force then.
    ///
    /// # Errors
    /// A reason for a person, where the table contradicts itself or the one in force.
    pub(crate) async fn publish(&mut self, table: RoutingTable) -> Result<GatewayReport, String> {
        let routes = by_address(&table)?;
        if let Some(current) = &self.table {
            if table.version < current.version {
                return Ok(self.report());
            }
            if table.version == current.version {
                if by_address(current)? == routes {
                    return Ok(self.report());
                }
                return Err(format!("version {} is in force with other routes", table.version));
            }
        }
        // First saved: should this process die in between, it comes back with what the control plane wants.
        self.is_saved = save(&self.folder, &table).await;
        self.enforce(table, None).await;
        Ok(self.report())
    }

    /// Tries again what failed before.
    pub(crate) async fn heal(&mut self) {
        if let (false, Some(table)) = (self.is_saved, &self.table) {
            self.is_saved = save(&self.folder, table).await;
        }
        for instance in self.instances.values() {
            instance.heal_tls(self.folder.data());
        }
        for door in self.doors.values_mut() {
            door.heal();
        }
    }

    pub(crate) fn report(&self) -> GatewayReport {
        GatewayReport {
            release: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            version: self.table.as_ref().map_or(0, |table| table.version),
            failures: self.doors.values().filter_map(Door::failure).collect(),
            connections: self.instances.values().map(|instance| instance.connected().open).sum(),
            instances: self.connected(),
        }
    }

    /// Who is connected, by instance.
    fn connected(&self) -> BTreeMap<InstanceId, Connected> {
        let all = self.instances.iter().map(|(id, instance)| (id.clone(), instance.connected()));
        all.filter(|(_, connected)| connected.open > 0).collect()
    }

    /// Closes every address and resets every connection.
    pub(crate) async fn close(&mut self) {
        close_all(std::mem::take(&mut self.doors)).await;
        self.loops.set_routes(Vec::new()).await;
    }

    /// Holds what clients of an instance ask for, until a table names another primary, it is [released](Self::release)
    /// or the time is up. Resolves when the primary has answered what it was asked before, or has not in time.
    pub(crate) fn hold(
        &self,
        id: &InstanceId,
        at_most: Duration,
        quiet_within: Duration,
    ) -> impl Future<Output = bool> + use<> {
        let (instance, loops) = (self.instances.get(id).cloned(), self.loops.clone());
        async move {
            let Some(instance) = instance else { return true };
            timeout(quiet_within, loops.hold(&instance, at_most)).await.is_ok()
        }
    }

    /// What was seen of an instance, or of each of which something was seen after a moment.
    pub(crate) fn sights(&self, of: Of) -> impl Future<Output = BTreeMap<InstanceId, Sight>> + use<> {
        let (loops, instances) = (self.loops.clone(), self.instances.clone());
        async move {
            let mut sights = loops.tell(&of).await;
            let now = wall_time();
            for (id, instance) in &instances {
                let outside = instance.tell(now);
                let is_meant = match &of {
                    Of::Instance(of) => of == id,
                    Of::SeenAfter(after) => outside.seen_at > *after,
                };
                if is_meant || sights.contains_key(id) {
                    sights.entry(id.clone()).or_default().merge(outside);
                }
            }
            sights
        }
    }

    /// Ends a hold.
    pub(crate) fn release(&self, id: &InstanceId) {
        if let Some(instance) = self.instances.get(id) {
            self.loops.unhold(instance);
        }
    }

    async fn enforce(&mut self, table: RoutingTable, arrivals: Option<Arrivals>) {
        let routes: BTreeMap<Vip, &Route> = table.routes.iter().map(|route| (route.vip, route)).collect();
        // First what goes, since what comes may need its place.
        let gone = self.doors.extract_if(.., |vip, _| !routes.contains_key(vip)).collect();
        close_all(gone).await;
        let named: HashSet<&InstanceId> = table.routes.iter().map(|route| &route.instance).collect();
        self.instances.retain(|id, _| named.contains(id));
        let mut of_loops = Vec::with_capacity(routes.len());
        for (vip, route) in &routes {
            let id = &route.instance;
            let instance = self.instance(id);
            instance.set(route.limits, &route.logins);
            instance.set_tls(self.folder.data(), route.tls.as_ref());
            let loops = &self.loops;
            let door = self.doors.entry(*vip).or_insert_with(|| Door::new(*vip, instance.clone(), loops.clone()));
            door.narrow(route, &instance);
            of_loops.push(LoopRoute {
                vip: *vip,
                instance: instance.clone(),
                target: route.target.clone(),
                sources: shared(&route.sources),
                readers: Arc::new(route.readers.clone()),
            });
        }
        let sources: Vec<_> = of_loops.iter().map(|route| route.sources.clone()).collect();
        self.loops.set_routes(of_loops).await;
        if let Some(arrivals) = arrivals {
            self.let_in(arrivals).await;
        }
        for (index, ((vip, route), sources)) in routes.into_iter().zip(sources).enumerate() {
            if let Some(door) = self.doors.get_mut(&vip) {
                door.set(route, sources);
            }
            if index % DOORS_A_TURN == DOORS_A_TURN - 1 {
                yield_now().await;
            }
        }
        info!(version = table.version, routes = table.routes.len(), "a table is in force");
        self.table = Some(table);
    }
}

fn shared(sources: &Option<Vec<SourceRule>>) -> Option<Arc<Vec<SourceRule>>> {
    sources.clone().map(Arc::new)
}

async fn close_all(doors: BTreeMap<Vip, Door>) {
    // All at once, and then each waited for.
    let closing: Vec<_> = doors.into_values().map(|door| tokio::spawn(door.close())).collect();
    for door in closing {
        // It only fails if it panics, and the door is dropped then too.
        let _ = door.await;
    }
}

fn by_address(table: &RoutingTable) -> Result<BTreeMap<Vip, &Route>, String> {
    let mut routes = BTreeMap::new();
    for route in &table.routes {
        if let Some(other) = routes.insert(route.vip, route) {
            return Err(format!("{} is the address of both {} and {}", route.vip, other.instance, route.instance));
        }
    }
    Ok(routes)
}

/// Whether it could be saved. Where not, the table is in force all the same: clients do not wait for a full disk.
async fn save(folder: &Arc<Folder>, table: &RoutingTable) -> bool {
    let (folder, table) = (folder.clone(), table.clone());
    let saved = spawn_blocking(move || folder.save(&table)).await;
    match saved.map_err(std::io::Error::other).flatten() {
        Ok(()) => true,
        Err(error) => {
            error!(%error, "could not save the table, so a restart of the gateway would not bring it back");
            false
        }
    }
}
