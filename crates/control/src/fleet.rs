//! Brings nodes to what the ledger wants of them. Flows and the keeper of nodes both act through these, so a node is
//! started and stopped in one way.

mod acts;
mod placing;
mod roles;

use std::time::Duration;

use flow::StepError;
use futures_util::future::{BoxFuture, join_all, try_join_all};
use ledger::{Instance, Ledger, Node, Tx, Write, observe, write};
use model::{AclUser, EngineVersion, Epoch, GatewayReport, InstanceId, NodeAddr, NodeId, NodeRole, code};
use runtime::{Engine, RuntimeError};

use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::nodes::{NodeError, Peer};
use crate::placement::{Pools, choose_node_addr};
use crate::seal::NotOurs;
use crate::spec::{self, Wanted};
use crate::tls::{self, TlsError};
use crate::{parameters, routes};

pub use self::acts::Roles;
pub(crate) use self::placing::{Newcomer, forgotten, place, stop_wanting};
pub(crate) use self::roles::{
    NEAR, await_stream, fail_over, hand_over, keep_roles, primary_of, start_streams, stream_again, successors,
    take_over,
};

/// The pause between two looks at a node that is about to be ready.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// Why the fleet could not be brought to where it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Seal(#[from] NotOurs),
    #[error("the ledger: {0}")]
    Ledger(#[from] ledger::Error),
    #[error("the gateway: {0}")]
    Gateway(String),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no place for the node: {0}")]
    Placement(String),
    #[error("instance {0} is gone")]
    Gone(InstanceId),
    #[error("node {0} is not wanted any more")]
    NotWanted(NodeId),
    #[error("node {0} ended before it served")]
    DiedLoading(NodeId),
    #[error("another node has become the primary meanwhile")]
    RolesChanged,
    #[error("node {node} can't take over: {why}")]
    Behind { node: i64, why: String },
}

impl From<FleetError> for StepError {
    /// Everything here may be better in a moment, except what no waiting mends.
    fn from(error: FleetError) -> Self {
        let code = match &error {
            FleetError::Runtime(RuntimeError::NoEngine { .. }) => "ResourceUnavailable.NoTypeIdRedisService",
            FleetError::Seal(_) => "InternalError",
            FleetError::Gone(_) => "ResourceNotFound.InstanceNotExists",
            FleetError::Placement(_) => "ResourceInsufficient",
            FleetError::Node(error) if error.is_refusal => code::ResourceUnavailableInstanceConfError,
            _ => return StepError::Retry(error.to_string()),
        };
        StepError::Fail { code: code.into(), message: error.to_string() }
    }
}

/// An instance with its nodes, as the ledger has them now.
pub(crate) fn load(ledger: &Ledger, id: &InstanceId) -> Result<(Instance, Vec<Node>), FleetError> {
    let (instance, nodes) = ledger.read(|reader| Ok((ledger::instance(reader, id)?, ledger::nodes_of(reader, id)?)))?;
    Ok((instance.ok_or_else(|| FleetError::Gone(id.clone()))?, nodes))
}

/// A node that is up, for the ledger.
pub(crate) struct Up {
    node: NodeId,
    epoch: Epoch,
    version: EngineVersion,
}

impl Up {
    /// Notes it.
    pub(crate) fn note(ups: Vec<Up>) -> Write {
        write(move |tx| ups.iter().try_for_each(|up| up.note_now(tx)))
    }

    /// Notes it in this transaction.
    pub(crate) fn note_now(&self, tx: &mut dyn Tx) -> ledger::Result<()> {
        observe(tx, &self.node, self.epoch, true, Some(self.version))
    }
}

/// Sees to it that a node runs as the ledger wants it, and serves. A start that has been seen up and is not any more is
/// followed by one under a new epoch; a node whose port somebody else has by now gets another one.
pub(crate) async fn start_node(cx: &FlowCx, id: &NodeId) -> Result<Up, FleetError> {
    match start_where_it_is(cx, id).await {
        Err(FleetError::Runtime(RuntimeError::PortTaken { node, addr })) => {
            tracing::warn!(%node, %addr, "somebody else has the node's port; it moves to another");
            move_node(cx, id, addr).await?;
            start_where_it_is(cx, id).await
        }
        Err(FleetError::Runtime(RuntimeError::Stale { node, asked, known })) => {
            catch_up(cx, node, asked, known).await?;
            start_where_it_is(cx, id).await
        }
        other => other,
    }
}

/// The world knows a later epoch of a node than was asked for. Mostly whoever asked was late, and the ledger has moved on
/// already; where it has not, it is an older copy of itself and goes on from what the world knows.
async fn catch_up(cx: &FlowCx, node: NodeId, asked: Epoch, known: Epoch) -> Result<(), FleetError> {
    Ok(cx.ledger.write(move |tx| ledger::catch_up(tx, &node, asked, known)).await?)
}

async fn start_where_it_is(cx: &FlowCx, id: &NodeId) -> Result<Up, FleetError> {
    let (mut wanted, mut node) = load_node(cx, id)?;
    if node.observed_epoch == Some(node.epoch) && !runs_now(cx, &node).await? {
        let (id, ended) = (node.id.clone(), node.epoch);
        cx.ledger.write(move |tx| ledger::next_epoch(tx, &id, ended)).await?;
        cx.wake.routes.notify_one();
        (wanted, node) = load_node(cx, &node.id)?;
    }
    if !node.runs {
        return Err(FleetError::NotWanted(node.id));
    }
    let spec = spec::node_spec(&cx.sealer, &cx.runtime.engines(), &wanted, &node)?;
    let mut followed = spec.upstream.as_ref().map(|upstream| upstream.addr);
    let state = cx.runtime.ensure(spec).await?;
    let peer = spec::peer(&cx.sealer, &wanted.instance, &node)?;
    wait_until_serving(cx, &node, &peer).await?;
    // It started as it was wanted a moment ago, and changes pass over nodes that don't run. What is wanted may change while
    // this is said, and whoever changes it may have been here before: it is over when nothing has changed meanwhile.
    let mut applied = Live::of(cx, &wanted, state.engine)?;
    loop {
        let now = load_wanted(&cx.ledger, &wanted.instance.id)?;
        if let Some((upstream, primary)) = followed.zip(primary_of(&now.nodes))
            && upstream != primary.addr
        {
            roles::put_right(cx, &now.instance, primary, &[&node]).await?;
            followed = Some(primary.addr);
        }
        let wanted = Live::of(cx, &now, state.engine)?;
        if wanted == applied {
            break;
        }
        wanted.tell(cx, &peer).await?;
        applied = wanted;
    }
    Ok(Up { node: node.id, epoch: state.epoch, version: state.engine.version })
}

/// What can be said to a node that runs.
#[derive(PartialEq)]
struct Live {
    /// Customers' users.
    users: Vec<AclUser>,
    /// How many bytes of data it may hold.
    memory: u64,
    /// How many connections it may have.
    max_clients: u32,
    /// How its engine is set, as far as that takes it while it runs.
    settings: Vec<(String, String)>,
}

impl Live {
    async fn tell(&self, cx: &FlowCx, peer: &Peer) -> Result<(), NodeError> {
        cx.nodes.set_users(peer, &self.users).await?;
        cx.nodes.set_memory(peer, self.memory).await?;
        cx.nodes.set_max_clients(peer, self.max_clients).await?;
        cx.nodes.set_settings(peer, &self.settings).await
    }

    fn of(cx: &FlowCx, wanted: &Wanted, engine: Engine) -> Result<Live, FleetError> {
        let instance = &wanted.instance;
        Ok(Live {
            users: customers(cx, wanted)?,
            memory: spec::memory(instance),
            max_clients: spec::max_clients(instance),
            settings: parameters::live_settings(&wanted.params, engine),
        })
    }
}

/// Gives a node that can't listen where it should another place.
async fn move_node(cx: &FlowCx, id: &NodeId, from: NodeAddr) -> Result<(), FleetError> {
    let (_, node) = load_node(cx, id)?;
    if node.addr != from {
        return Ok(());
    }
    let (pools, id, epoch) = (Pools::of(cx), node.id, node.epoch);
    let moved = cx.ledger.write(move |tx| -> Answer<()> {
        let addr = choose_node_addr(&pools, tx)?;
        Ok(ledger::move_node(tx, &id, epoch, addr)?)
    });
    moved.await.map_err(|fault| FleetError::Placement(fault.to_string()))?;
    cx.wake.routes.notify_one();
    cx.wake.nodes.notify_one();
    Ok(())
}

fn load_node(cx: &FlowCx, id: &NodeId) -> Result<(Wanted, Node), FleetError> {
    let node = cx.ledger.read(|reader| ledger::node(reader, id))?;
    let node = node.ok_or_else(|| FleetError::NotWanted(id.clone()))?;
    Ok((load_wanted(&cx.ledger, &node.instance)?, node))
}

fn load_wanted(ledger: &Ledger, id: &InstanceId) -> Result<Wanted, FleetError> {
    Wanted::load(ledger, id)?.ok_or_else(|| FleetError::Gone(id.clone()))
}

async fn runs_now(cx: &FlowCx, node: &Node) -> Result<bool, FleetError> {
    let running = cx.runtime.list().await?;
    Ok(running.iter().any(|state| state.node == node.id && state.epoch == node.epoch))
}

/// Waits for an answer, which may take long while much data is loaded; but not for one that can't come any more.
async fn wait_until_serving(cx: &FlowCx, node: &Node, peer: &Peer) -> Result<(), FleetError> {
    let mut look = SHORTEST_LOOK;
    while cx.nodes.ping(peer).await.is_err() {
        cx.clock.sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
        if look == LONGEST_LOOK && !runs_now(cx, node).await? {
            return Err(FleetError::DiedLoading(node.id.clone()));
        }
    }
    Ok(())
}

/// Starts all nodes of an instance: new ones side by side; of others the primary first, since a replica that finds it
/// loading looks for it again only after a second.
pub(crate) async fn start_nodes(cx: &FlowCx, id: &InstanceId) -> Result<Write, FleetError> {
    let (_, nodes) = load(&cx.ledger, id)?;
    let follows = |node: &&Node| node.role == NodeRole::Replica && node.observed_epoch.is_some();
    let (later, first): (Vec<_>, Vec<_>) = nodes.iter().partition(follows);
    let mut ups = try_join_all(first.iter().map(|node| start_node(cx, &node.id))).await?;
    ups.extend(try_join_all(later.iter().map(|node| start_node(cx, &node.id))).await?);
    Ok(Up::note(ups))
}

/// Makes every replica follow the primary, and waits until each has all the data, and gets what comes. One that is down is
/// not waited for: it follows when it comes back.
pub(crate) async fn attach_replicas(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    sync_replicas(cx, id).await?;
    await_stream(cx, id, |node| node.observed_up, true).await
}

/// As [`attach_replicas`], for these alone.
pub(crate) async fn attach_these(cx: &FlowCx, id: &InstanceId, ids: &[NodeId]) -> Result<(), FleetError> {
    attach(cx, id, |node| ids.contains(&node.id)).await?;
    start_streams(cx, id).await?;
    await_stream(cx, id, |node| ids.contains(&node.id), true).await
}

/// As [`attach_replicas`], without waiting for a stream that does not flow at once, which may take a second: until it is
/// seen to, a primary that dies comes back itself.
pub(crate) async fn sync_replicas(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    attach(cx, id, |node| node.observed_up).await?;
    start_streams(cx, id).await
}

/// Whoever is the primary, and where, is read anew at each look: another may take its part meanwhile.
async fn attach(cx: &FlowCx, id: &InstanceId, which: impl Fn(&Node) -> bool) -> Result<(), FleetError> {
    let mut look = SHORTEST_LOOK;
    loop {
        let (instance, nodes) = load(&cx.ledger, id)?;
        let Some(primary) = primary_of(&nodes).filter(|_| nodes.len() > 1) else { return Ok(()) };
        let replicas = nodes.iter().filter(|node| node.role == NodeRole::Replica && node.runs && which(node));
        let of = &instance;
        let asked = try_join_all(replicas.chain([primary]).map(|node| async move {
            let peer = spec::peer(&cx.sealer, of, node)?;
            Ok::<_, FleetError>((node, cx.nodes.replication(&peer).await?))
        }));
        let asked = asked.await?;
        let upstream = |node: &Node| (node.role == NodeRole::Replica).then_some(primary.addr);
        let astray: Vec<&Node> =
            asked.iter().filter(|(node, seen)| seen.upstream != upstream(node)).map(|(node, _)| *node).collect();
        if !astray.is_empty() {
            roles::put_right(cx, &instance, primary, &astray).await?;
        } else if asked.iter().all(|(node, seen)| node.role == NodeRole::Primary || seen.is_synced) {
            return Ok(());
        }
        cx.clock.sleep(look).await;
        look = (look * 2).min(LONGEST_LOOK);
    }
}

/// Ends all nodes of an instance, keeping their data.
pub(crate) async fn stop_nodes(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    // The replicas first: they have then seen all that the primary acknowledged.
    for role in [NodeRole::Replica, NodeRole::Primary] {
        end_nodes(cx, id, |node| node.role == role, |node| cx.runtime.stop(node.id.clone(), node.epoch)).await?;
    }
    Ok(())
}

/// Ends all nodes of an instance and deletes their data.
pub(crate) async fn remove_nodes(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    end_nodes(cx, id, |_| true, |node| cx.runtime.remove(node.id.clone(), node.epoch)).await
}

async fn end_nodes<'a>(
    cx: &'a FlowCx,
    id: &InstanceId,
    which: impl Fn(&Node) -> bool,
    end: impl Fn(&Node) -> BoxFuture<'a, Result<(), RuntimeError>>,
) -> Result<(), FleetError> {
    let (_, nodes) = load(&cx.ledger, id)?;
    for ended in join_all(nodes.iter().filter(|node| which(node)).map(&end)).await {
        match ended {
            // Tried again with the epoch that the ledger has then.
            Err(RuntimeError::Stale { node, asked, known }) => {
                catch_up(cx, node.clone(), asked, known).await?;
                return Err(RuntimeError::Stale { node, asked, known }.into());
            }
            other => other?,
        }
    }
    Ok(())
}

/// Starts these nodes, side by side.
pub(crate) async fn start_these(cx: &FlowCx, ids: &[NodeId]) -> Result<Write, FleetError> {
    Ok(Up::note(try_join_all(ids.iter().map(|id| start_node(cx, id))).await?))
}

/// Ends these nodes and deletes their data; those that the ledger does not have any more are gone.
pub(crate) async fn remove_these(cx: &FlowCx, ids: &[NodeId]) -> Result<(), FleetError> {
    let mut are_unread = false;
    for id in ids {
        let Some(node) = cx.ledger.read(|reader| ledger::node(reader, id))? else { continue };
        if !are_unread && load(&cx.ledger, &node.instance)?.0.replica_reads {
            // No client reads from them any more.
            put_routes_in_force(cx).await?;
            are_unread = true;
        }
        if node.role == NodeRole::Primary {
            return Err(FleetError::RolesChanged);
        }
        match cx.runtime.remove(node.id.clone(), node.epoch).await {
            Err(RuntimeError::Stale { node, asked, known }) => {
                catch_up(cx, node.clone(), asked, known).await?;
                return Err(RuntimeError::Stale { node, asked, known }.into());
            }
            other => other?,
        }
    }
    Ok(())
}

/// Gives every node that runs the memory that the ledger wants; one that does not takes it from there when it starts.
pub(crate) async fn apply_memory(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    on_running(cx, id, |instance, peer, _| async move { cx.nodes.set_memory(&peer, spec::memory(&instance)).await })
        .await
}

/// As [`apply_memory`], of how many connections they take.
pub(crate) async fn apply_max_clients(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    let say = |instance, peer, _| async move { cx.nodes.set_max_clients(&peer, spec::max_clients(&instance)).await };
    on_running(cx, id, say).await
}

/// Gives the users that the ledger wants to every node that runs; one that does not takes them from there when it
/// starts. All are tried, whatever becomes of one: a password that is changed back must be so wherever it can be.
pub(crate) async fn apply_users(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    let users = &customers(cx, &load_wanted(&cx.ledger, id)?)?;
    on_running(cx, id, |_, peer, _| async move { cx.nodes.set_users(&peer, users).await }).await
}

/// Gives the parameters that the ledger wants to every node that runs, as far as its engine takes them while it does; one
/// that does not run takes them from there when it starts.
pub(crate) async fn apply_params(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    let params = &cx.ledger.read(|reader| ledger::params_of(reader, id))?;
    let set =
        |_, peer, engine| async move { cx.nodes.set_settings(&peer, &parameters::live_settings(params, engine)).await };
    on_running(cx, id, set).await
}

/// As [`apply_users`], and then has the gateway know by what clients sign in.
pub(crate) async fn apply_logins(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    apply_users(cx, id).await?;
    put_routes_in_force(cx).await.map(drop)
}

/// Tells a node all that it was not told when it gave no answer; answers whether it runs, and so could be told.
pub(crate) async fn tell_again(cx: &FlowCx, id: &NodeId) -> Result<bool, FleetError> {
    let (mut wanted, node) = load_node(cx, id)?;
    let running = cx.runtime.list().await?;
    let Some(state) = running.iter().find(|state| state.node == node.id) else { return Ok(false) };
    let peer = spec::peer(&cx.sealer, &wanted.instance, &node)?;
    loop {
        let live = Live::of(cx, &wanted, state.engine)?;
        live.tell(cx, &peer).await?;
        // Whoever has changed something meanwhile may have told it before this has.
        wanted = load_wanted(&cx.ledger, &node.instance)?;
        if Live::of(cx, &wanted, state.engine)? == live {
            break;
        }
    }
    cx.ledger.write(move |tx| ledger::note_said(tx, &node.id, node.unsaid)).await?;
    cx.wake.routes.notify_one();
    Ok(true)
}

/// Says something to every node that runs, whatever becomes of one.
async fn on_running<F: Future<Output = Result<(), NodeError>>>(
    cx: &FlowCx,
    id: &InstanceId,
    say: impl Fn(Instance, Peer, Engine) -> F,
) -> Result<(), FleetError> {
    let (instance, nodes) = load(&cx.ledger, id)?;
    let running = cx.runtime.list().await?;
    let runs = |node: &Node| running.iter().find(|state| state.node == node.id && node.runs).map(|state| state.engine);
    let engines = nodes.iter().filter_map(|node| Some((node, runs(node)?)));
    let said = join_all(engines.map(|(node, engine)| {
        let (instance, say) = (&instance, &say);
        async move {
            let peer = spec::peer(&cx.sealer, instance, node)?;
            Ok::<_, FleetError>((node, say(instance.clone(), peer, engine).await))
        }
    }));
    let mut all = Ok(());
    for said in said.await {
        let (node, Err(error)) = said? else { continue };
        if !error.is_refusal {
            let id = node.id.clone();
            cx.ledger.write(move |tx| ledger::note_unsaid(tx, &id)).await?;
            cx.wake.routes.notify_one();
        }
        // A replica that gives no answer keeps nobody waiting: it is told later, and does not lead before.
        if error.is_refusal || node.role == NodeRole::Primary {
            all = Err(error.into());
        }
    }
    all
}

/// The users of customers. The service's own stays as it is: links between nodes are signed in with it.
fn customers(cx: &FlowCx, wanted: &Wanted) -> Result<Vec<AclUser>, FleetError> {
    let users = spec::users(&cx.sealer, wanted)?;
    Ok(users.into_iter().filter(|user| user.name != spec::ADMIN).collect())
}

/// How long the gateway holds clients at most, should nobody tell it to go on.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// Has the gateway keep what clients ask for, until another primary is in its table. Whether the primary has answered all that
/// it was asked before: otherwise it must hold its clients itself.
pub(crate) async fn keeps_clients(cx: &FlowCx, id: &InstanceId) -> bool {
    cx.gateway.hold(id, KEPT_FOR).await.unwrap_or_else(|error| {
        tracing::warn!(instance = %id, error, "the gateway does not hold the clients");
        false
    })
}

/// Has the gateway go on with what it keeps. Where it can't be told it does so by itself before long.
pub(crate) async fn go_on(cx: &FlowCx, id: &InstanceId) {
    if let Err(error) = cx.gateway.resume(id).await {
        tracing::warn!(instance = %id, error, "the gateway is not told to go on");
    }
}

/// Puts the ledger's routes in force.
pub(crate) async fn put_routes_in_force(cx: &FlowCx) -> Result<GatewayReport, FleetError> {
    // No address is told of with a certificate that is not for it. Where one can't be had, clients by TLS see that, and
    // nobody else waits for it.
    if let Err(error) = tls::cover_addresses(cx).await {
        tracing::warn!(%error, "an instance takes connections by TLS with a certificate that is not as it should be");
    }
    let mut renumbered = false;
    loop {
        let table = routes::table(cx)?;
        let version = table.version;
        let report = match cx.gateway.publish(table).await {
            Ok(report) => report,
            Err(error) => {
                // Under the same number a gateway keeps the routes that it has: one of another release may have kept less of
                // them than there is.
                let has_it = cx.gateway.report().await.is_ok_and(|report| report.version == version);
                if !has_it || renumbered {
                    return Err(FleetError::Gateway(error));
                }
                renumbered = true;
                cx.ledger.write(|tx| ledger::count_routes_on(tx, 1)).await?;
                continue;
            }
        };
        let newest = cx.ledger.read(ledger::routes_version)?;
        if report.version <= newest.max(version) {
            return Ok(report);
        }
        // The gateway has a table that this ledger never had: the ledger is an older copy. It counts on from there.
        tracing::warn!(
            gateway = report.version,
            ledger = newest,
            "the gateway is ahead of the ledger, which catches up"
        );
        // Beyond it, since under the same number the gateway keeps the routes that it has.
        let behind = report.version - newest + 1;
        cx.ledger.write(move |tx| ledger::count_routes_on(tx, behind)).await?;
    }
}

/// Puts the ledger's routes in force, by which an address is closed. That it can't be kept from others, who may have it
/// already, does not matter for that.
pub(crate) async fn close_address(cx: &FlowCx) -> Result<(), FleetError> {
    put_routes_in_force(cx).await.map(drop)
}

/// Puts the ledger's routes in force, and is sure that an instance's address is open.
pub(crate) async fn open_address(cx: &FlowCx, id: &InstanceId) -> Result<(), FleetError> {
    let report = put_routes_in_force(cx).await?;
    match report.failures.into_iter().find(|failure| failure.instance == *id) {
        Some(failure) => Err(FleetError::Gateway(format!("{} can't be opened: {}", failure.vip, failure.reason))),
        None => Ok(()),
    }
}
