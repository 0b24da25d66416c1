//! A service on a simulated host: a real ledger, a simulated runtime, nodes and gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow::harness::{NoProbe, Probe};
use flow::{AdvancedClock, Clock, End, Stopped, SystemClock, drive};
use futures_util::future::BoxFuture;
use ledger::Ledger;
use model::{ApiError, Connected, GatewayReport, InstanceId, Millis, NodeId, RoutingTable, Sight, TaskId};
use runtime::{SimRuntime, SimWorld};
use serde_json::{Value, json};

use crate::access::Caller;
use crate::action::{Answered, Call, Events, Language};
use crate::actions::ACTIONS;
use crate::answers::Answers;
use crate::archive::Archive;
use crate::cx::{FlowCx, Gateway, Wake};
use crate::dev::Dev;
use crate::errors::Fault;
use crate::fleet::Roles;
use crate::flows::FLOWS;
use crate::nodes::sim::SimNodes;
use crate::params::Params;
use crate::random::Random;
use crate::seal::Sealer;
use crate::settings::Settings;
use crate::spec;
use crate::tls::Certificates;

pub(super) const PASSWORD: &str = "Correct-horse-1";

/// Has in force what it was given last.
#[derive(Default)]
pub(super) struct SimGateway {
    pub(super) table: Mutex<RoutingTable>,
    /// A former release that it is of; `None`: this program's.
    pub(super) former: Mutex<Option<&'static str>>,
    /// How often it was replaced.
    pub(super) replaced: AtomicU64,
    pub(super) connected: Mutex<BTreeMap<InstanceId, Connected>>,
    /// What it has seen.
    pub(super) sights: Mutex<BTreeMap<InstanceId, Sight>>,
    /// Whether it gives no answer to what it has seen.
    pub(super) is_blind: AtomicBool,
}

impl Gateway for SimGateway {
    fn ensure(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async { if self.former.lock().unwrap().is_some() { self.replace().await } else { Ok(()) } })
    }

    fn replace(&self) -> BoxFuture<'_, Result<(), String>> {
        *self.former.lock().unwrap() = None;
        self.replaced.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(()) })
    }

    fn release(&self) -> String {
        self.former.lock().unwrap().unwrap_or(crate::cx::GATEWAY_RELEASE).into()
    }

    fn hold<'a>(&'a self, _: &'a InstanceId, _: Duration) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async { Ok(true) })
    }

    fn resume<'a>(&'a self, _: &'a InstanceId) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    fn report(&self) -> BoxFuture<'_, Result<GatewayReport, String>> {
        Box::pin(async {
            let version = self.table.lock().unwrap().version;
            let instances = self.connected.lock().unwrap().clone();
            Ok(GatewayReport { version, instances, ..GatewayReport::default() })
        })
    }

    fn sight<'a>(&'a self, instance: &'a InstanceId) -> BoxFuture<'a, Result<Sight, String>> {
        Box::pin(async move {
            let all = self.sights(Millis(-1)).await?;
            Ok(all.get(instance).cloned().unwrap_or_default())
        })
    }

    fn sights(&self, after: Millis) -> BoxFuture<'_, Result<BTreeMap<InstanceId, Sight>, String>> {
        Box::pin(async move {
            if self.is_blind.load(Ordering::SeqCst) {
                return Err("no gateway answers".into());
            }
            let mut all = self.sights.lock().unwrap().clone();
            all.retain(|_, sight| sight.seen_at > after);
            Ok(all)
        })
    }

    fn publish(&self, table: RoutingTable) -> BoxFuture<'_, Result<GatewayReport, String>> {
        Box::pin(async move {
            let mut current = self.table.lock().unwrap();
            if table.version == current.version && table.routes != current.routes {
                return Err(format!("version {} is in force with other routes", table.version));
            }
            if table.version >= current.version {
                *current = table;
            }
            Ok(GatewayReport { version: current.version, ..GatewayReport::default() })
        })
    }
}

/// The clock of `opencrs dev`, of which a test can also say that time has passed.
#[derive(Default)]
pub(super) struct SiteClock {
    advanced: Arc<AdvancedClock>,
    skipped: AtomicU64,
}

impl SiteClock {
    /// Deadlines come so much sooner.
    pub(super) fn skip(&self, span: Duration) {
        self.skipped.fetch_add(span.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for SiteClock {
    fn now(&self) -> Millis {
        self.advanced.now()
    }

    fn passed(&self) -> Duration {
        SystemClock.passed() + Duration::from_secs(self.skipped.load(Ordering::SeqCst))
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        SystemClock.sleep(span)
    }
}

pub(super) struct Site {
    pub(super) cx: Arc<FlowCx>,
    pub(super) world: SimWorld,
    pub(super) gateway: Arc<SimGateway>,
    pub(super) clock: Arc<SiteClock>,
    pub(super) folder: tempfile::TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        Site::with(Settings { busy_for: Duration::ZERO, ..Settings::default() })
    }

    pub(super) fn with(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = SimWorld::new();
        let gateway = Arc::new(SimGateway::default());
        let clock = Arc::new(SiteClock::default());
        let certificates = Certificates::of(folder.path(), settings.tls.client_ca.as_deref());
        let cx = FlowCx {
            certificates,
            ledger: Ledger::sqlite(&folder.path().join("ledger.db")).unwrap(),
            runtime: Arc::new(SimRuntime::new(world.clone())),
            nodes: Arc::new(SimNodes(world.clone())),
            gateway: gateway.clone(),
            clock: clock.clone(),
            random: Random::seeded(7),
            sealer: Sealer::new(&[7; 32]),
            settings: Arc::new(settings),
            pool_offset: 0,
            is_bindable: |_: SocketAddr| true,
            wake: Wake::default(),
            answers: Answers::default(),
            dev: Some(Dev { clock: clock.advanced.clone(), ..Dev::default() }),
            archive: Archive::of(folder.path()),
            roles: Roles::default(),
        };
        Site { cx: Arc::new(cx), world, gateway, clock, folder }
    }

    /// Calls an action as the owner.
    pub(super) async fn call(&self, action: &str, params: Value) -> Result<Value, ApiError> {
        self.call_at(action, params, self.clock.now()).await
    }

    pub(super) async fn call_at(&self, action: &str, params: Value, now: Millis) -> Result<Value, ApiError> {
        match self.answer(action, params, 100_000_000_001, now).await? {
            Answered::Fields(text) => Ok(serde_json::from_str(&text).unwrap()),
            Answered::Events(_) => panic!("{action} answers events"),
        }
    }

    /// Calls an action that answers events, as the owner.
    pub(super) async fn watch(&self, action: &str, params: Value) -> Result<Events, ApiError> {
        match self.answer(action, params, 100_000_000_001, self.clock.now()).await? {
            Answered::Fields(_) => panic!("{action} answers no events"),
            Answered::Events(events) => Ok(events),
        }
    }

    pub(super) async fn answer(
        &self,
        action: &str,
        params: Value,
        account: i64,
        now: Millis,
    ) -> Result<Answered, ApiError> {
        let entry = ACTIONS.iter().find(|entry| entry.name == action).expect("the action is built");
        let caller = Caller { account, uin: account.to_string() };
        let call = Call { cx: self.cx.clone(), caller, language: Language::En, now };
        match entry.call(&call, &Params::Json(params.to_string().into())).await {
            Ok(answered) => Ok(answered),
            Err(Fault::Api(error)) => Err(error),
            Err(Fault::Ledger(error)) => panic!("{error}"),
        }
    }

    /// Drives all tasks to their ends, taking them again after each crash.
    pub(super) async fn settle(&self, probe: &dyn Probe) -> Vec<End> {
        let mut ends = Vec::new();
        loop {
            let now = self.clock.now();
            let claimed = self.cx.ledger.write(move |tx| -> ledger::Result<_> {
                ledger::end_leases(tx)?;
                ledger::claim_tasks(tx, now, now + ledger::LEASE, 100)
            });
            let claimed = claimed.await.unwrap();
            let mut is_still = true;
            for task in claimed {
                let flow = FLOWS.iter().find(|flow| flow.name == task.flow).unwrap();
                match drive(flow, &*self.cx, &self.cx.ledger, probe, task).await {
                    Err(Stopped::Parked) => continue,
                    Ok(end) => ends.push(end),
                    Err(Stopped::Crashed) => {}
                    Err(other) => panic!("{other}"),
                }
                is_still = false;
            }
            // What is left, if anything, waits for its moment.
            if is_still {
                return ends;
            }
        }
    }

    /// An instance with so many replicas, ready.
    pub(super) async fn create_with(&self, replicas: i64) -> InstanceId {
        let mut params = order();
        params["RedisReplicasNum"] = json!(replicas);
        let answer = self.call("CreateInstances", params).await.unwrap();
        assert_eq!(self.settle(&NoProbe).await, [End::Done]);
        InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap()
    }

    /// Has the instance's maintenance window be open now.
    pub(super) async fn open_window(&self, id: &InstanceId) {
        let offset = i64::from(self.cx.settings.utc_offset_seconds);
        let minute = (SystemClock.now().seconds() + offset) / 60 % 1440;
        let (id, window) = (id.clone(), ((minute + 1380) % 1440, (minute + 60) % 1440));
        self.cx.ledger.write(move |tx| ledger::set_window(tx, &id, window)).await.unwrap();
    }

    /// Accepts the creation of an instance with one replica.
    pub(super) async fn order(&self) -> InstanceId {
        let answer = self.call("CreateInstances", order()).await.unwrap();
        InstanceId::parse(answer["InstanceIds"][0].as_str().unwrap()).unwrap()
    }

    /// An instance with one replica, ready.
    pub(super) async fn create(&self) -> InstanceId {
        let id = self.order().await;
        assert_eq!(self.settle(&NoProbe).await, [End::Done]);
        id
    }

    /// Runs an action that names an instance alone, to the end of its task.
    pub(super) async fn run(&self, action: &str, id: &InstanceId) {
        self.call(action, json!({"InstanceId": id.as_str()})).await.unwrap();
        assert_eq!(self.settle(&NoProbe).await, [End::Done]);
    }

    /// Whether the ledger wants this password of the instance.
    pub(super) fn has_password(&self, id: &InstanceId, password: &str) -> bool {
        let instance = self.cx.ledger.read(|reader| ledger::instance(reader, id)).unwrap().unwrap();
        crate::flows::set_access::is_password(&self.cx, &instance, &model::Secret::new(password)).unwrap()
    }

    /// The task that was accepted last.
    pub(super) fn last_task(&self) -> TaskId {
        self.cx.ledger.read(ledger::accepted).unwrap().task
    }

    /// The instance's status; `None` where it is gone.
    pub(super) fn status(&self, id: &InstanceId) -> Option<i64> {
        let found = self.cx.ledger.read(|reader| ledger::instance(reader, id)).unwrap();
        found.map(|instance| instance.status.number())
    }

    pub(super) fn primary(&self, id: &InstanceId) -> NodeId {
        self.cx.ledger.read(|reader| ledger::nodes_of(reader, id)).unwrap()[0].id.clone()
    }

    /// What must be true whenever no task is open: the world is what the ledger wants, and nothing else is there.
    pub(super) fn assert_settled(&self, context: &str) {
        let (open, instances, nodes) = self
            .cx
            .ledger
            .read(|reader| {
                let open = ledger::count_open_tasks(reader)?;
                let (instances, nodes) = (ledger::all_instances(reader)?, ledger::all_nodes(reader)?);
                Ok((open, instances, nodes))
            })
            .unwrap();
        assert_eq!(open, 0, "{context}: tasks are open");
        for instance in &instances {
            let holder = self.cx.ledger.read(|reader| ledger::holder(reader, &instance.id)).unwrap();
            assert_eq!(holder, None, "{context}: the instance is held");
            assert!([2, -2, -3].contains(&instance.status.number()), "{context}: {:?}", instance.status);
            let of_instance: Vec<_> = nodes.iter().filter(|node| node.instance == instance.id).cloned().collect();
            let members = of_instance.iter().filter(|node| !node.joins).count() as i64;
            assert_eq!(of_instance.len() as i64, members, "{context}: some nodes still join or leave");
            assert_eq!(members, instance.replicas + 1, "{context}: the number of members");
            for node in &of_instance {
                assert_eq!(node.type_id, instance.type_id, "{context}: node {}", node.number);
                let running = self.world.running(&node.id);
                assert_eq!(running, node.runs.then_some(node.epoch), "{context}: node {}", node.number);
                if node.runs {
                    let all = spec::Wanted::load(&self.cx.ledger, &instance.id).unwrap().unwrap();
                    let version = node.observed_version.unwrap();
                    let engine = runtime::Engine { kind: node.type_id.engine(), version };
                    let settings = crate::parameters::settings(&all.params, engine).into_iter().collect();
                    assert_eq!(self.world.settings(&node.id), Ok(settings), "{context}: node {}", node.number);
                    let mut wanted = spec::users(&self.cx.sealer, &all).unwrap();
                    let mut got = self.world.users(&node.id).unwrap();
                    wanted.sort_by(|a, b| a.name.cmp(&b.name));
                    got.sort_by(|a, b| a.name.cmp(&b.name));
                    assert!(wanted == got, "{context}: node {} has other users", node.number);
                    let memory = self.world.maxmemory(&node.id).unwrap();
                    assert_eq!(memory, spec::memory(instance), "{context}: node {} has other memory", node.number);
                    let clients = self.world.maxclients(&node.id).unwrap();
                    assert_eq!(clients, spec::max_clients(instance), "{context}: node {} takes others", node.number);
                    let upstream = (node.role == model::NodeRole::Replica).then_some(of_instance[0].addr);
                    assert_eq!(self.world.upstream(&node.id).unwrap(), upstream, "{context}: node {}", node.number);
                }
            }
        }
        let known: Vec<NodeId> = nodes.iter().map(|node| node.id.clone()).collect();
        assert!(self.world.orphans(&known).is_empty(), "{context}: orphans run");
        let strange = self.world.folders().into_iter().filter(|node| !known.contains(node)).count();
        assert_eq!(strange, 0, "{context}: data of nodes that are gone");
        let mut routes = crate::routes::table(&self.cx).unwrap().routes;
        // A deleted instance's route goes when the keeper of routes is woken.
        let mut in_force = self.gateway.table.lock().unwrap().routes.clone();
        in_force.retain(|route| instances.iter().any(|instance| instance.id == route.instance));
        routes.sort_by(|a, b| a.instance.cmp(&b.instance));
        in_force.sort_by(|a, b| a.instance.cmp(&b.instance));
        assert_eq!(in_force, routes, "{context}: the gateway has other routes");
    }
}

/// The order of an instance with one replica.
pub(super) fn order() -> Value {
    json!({
        "TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0,
        "RedisReplicasNum": 1, "Password": PASSWORD,
    })
}
