use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{AclUser, EngineKind, EngineVersion, Epoch, NodeAddr, NodeId, NodeSpec, Upstream};
use tokio::sync::broadcast;

use super::Fault;
use crate::{Engine, NodeEvent, NodeState, RuntimeError, Usage};

/// Why a node has no answer for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nothing listens there: the client learns it at once.
    #[error("connection refused")]
    Refused,
    /// Its connection is taken, and then nothing comes: the client has to lose its patience.
    #[error("no answer")]
    Silent,
    /// It can't be set so.
    #[error("ERR it refuses to be set so")]
    Invalid,
    /// A replica takes no write.
    #[error("READONLY You can't write against a read only replica.")]
    ReadOnly,
}

/// A command in the slow log of a simulated node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimSlow {
    /// Which one of its process.
    pub id: i64,
    /// When it was done, in Unix seconds.
    pub at: i64,
    /// How long it took.
    pub micros: i64,
    /// The command with its arguments.
    pub arguments: Vec<String>,
}

/// All nodes of a simulated host. Clones are the same world.
///
/// What a Redis client would say to a node fails as it would for one ([`Unanswered`]). All else only looks, or is a
/// fault that a test sets.
#[derive(Clone)]
pub struct SimWorld(Arc<Mutex<World>>);

impl Default for SimWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.lock();
        let nodes = world.nodes.iter().map(|(id, node)| (id.as_str(), (node.is_running, node.spec.epoch, &node.keys)));
        f.debug_map().entries(nodes).finish()
    }
}

impl SimWorld {
    /// An empty world with Redis 7.0.15 and Valkey 8.1.1.
    pub fn new() -> Self {
        let engines = vec![
            Engine { kind: EngineKind::Redis, version: EngineVersion::new(7, 0, 15) },
            Engine { kind: EngineKind::Valkey, version: EngineVersion::new(8, 1, 1) },
        ];
        SimWorld(Arc::new(Mutex::new(World {
            engines,
            known: BTreeMap::new(),
            nodes: BTreeMap::new(),
            faults: BTreeMap::new(),
            ensured: 0,
            events: broadcast::Sender::new(1024),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What a client says to a node.

    /// The node that listens at an address.
    pub fn node_at(&self, addr: NodeAddr) -> Result<NodeId, Unanswered> {
        self.lock().node_at(addr).cloned().ok_or(Unanswered::Refused)
    }

    /// Whether it answers (`PING`).
    pub fn ping(&self, node: &NodeId) -> Result<(), Unanswered> {
        self.lock().client(node).map(|_| ())
    }

    /// Its users, in the order in which they were given (`ACL LIST`).
    pub fn users(&self, node: &NodeId) -> Result<Vec<AclUser>, Unanswered> {
        Ok(self.lock().client(node)?.users.clone())
    }

    /// Replaces all its users, until its next start.
    pub fn set_users(&self, node: &NodeId, users: Vec<AclUser>) -> Result<(), Unanswered> {
        self.lock().client(node)?.users = users;
        Ok(())
    }

    /// What it follows; `None`: it is a primary.
    pub fn upstream(&self, node: &NodeId) -> Result<Option<NodeAddr>, Unanswered> {
        Ok(self.lock().client(node)?.upstream)
    }

    /// Makes it follow the node at an address, or a primary that keeps the keys it has (`REPLICAOF`), until its next
    /// start.
    pub fn replicate(&self, node: &NodeId, upstream: Option<NodeAddr>) -> Result<(), Unanswered> {
        let mut world = self.lock();
        world.client(node)?.upstream = upstream;
        world.settle();
        Ok(())
    }

    /// Whether it follows its upstream and has all that it has.
    pub fn link_up(&self, node: &NodeId) -> Result<bool, Unanswered> {
        let mut world = self.lock();
        world.client(node)?;
        Ok(world.source_of(node).is_some())
    }

    /// The ports of the nodes that follow it.
    pub fn followers(&self, node: &NodeId) -> Vec<u16> {
        let world = self.lock();
        let follow = world.nodes.iter().filter(|(id, _)| world.source_of(id) == Some(node));
        follow.map(|(_, follower)| follower.spec.addr.0.port()).collect()
    }

    /// How far it is in the stream of writes: a replica that has all is as far as its upstream.
    pub fn offset(&self, node: &NodeId) -> Result<i64, Unanswered> {
        Ok(self.lock().client(node)?.offset)
    }

    /// Sets how many connections it may take (`CONFIG SET maxclients`), until its next start.
    pub fn set_maxclients(&self, node: &NodeId, most: u32) -> Result<(), Unanswered> {
        self.lock().client(node)?.maxclients = most;
        Ok(())
    }

    /// How many connections it may take.
    pub fn maxclients(&self, node: &NodeId) -> Result<u32, Unanswered> {
        Ok(self.lock().client(node)?.maxclients)
    }

    /// Sets how much it may hold (`CONFIG SET maxmemory`), until its next start.
    pub fn set_maxmemory(&self, node: &NodeId, bytes: u64) -> Result<(), Unanswered> {
        self.lock().client(node)?.maxmemory = bytes;
        Ok(())
    }

    /// Sets it, by its engine's own names (`CONFIG SET`), until its next start.
    pub fn set_settings(&self, node: &NodeId, settings: &[(String, String)]) -> Result<(), Unanswered> {
        let mut world = self.lock();
        let node = world.client(node)?;
        // As an engine does: those before the one that it refuses are taken.
        for (name, value) in settings {
            if node.refuses.as_ref().is_some_and(|refused| (&refused.0, &refused.1) == (name, value)) {
                return Err(Unanswered::Invalid);
            }
            node.settings.insert(name.clone(), value.clone());
        }
        Ok(())
    }

    /// How it is set (`CONFIG GET`).
    pub fn settings(&self, node: &NodeId) -> Result<BTreeMap<String, String>, Unanswered> {
        Ok(self.lock().client(node)?.settings.clone())
    }

    /// How much its data takes (`INFO memory`).
    pub fn used(&self, node: &NodeId) -> Result<u64, Unanswered> {
        Ok(self.lock().client(node)?.used)
    }

    /// How much it may hold.
    pub fn maxmemory(&self, node: &NodeId) -> Result<u64, Unanswered> {
        Ok(self.lock().client(node)?.maxmemory)
    }

    /// Its keys.
    pub fn keys(&self, node: &NodeId) -> Result<BTreeSet<String>, Unanswered> {
        Ok(self.lock().client(node)?.keys.clone())
    }

    /// Its slow log, the newest first (`SLOWLOG GET`).
    pub fn slow_log(&self, node: &NodeId) -> Result<Vec<SimSlow>, Unanswered> {
        Ok(self.lock().client(node)?.slow.iter().rev().cloned().collect())
    }

    /// Writes a key, which its replicas have at once.
    pub fn write_key(&self, node: &NodeId, key: &str) -> Result<(), Unanswered> {
        self.change_keys(node, |keys| {
            keys.insert(key.to_owned());
        })
    }

    /// Deletes all keys, also of its replicas (`FLUSHALL`).
    pub fn flush(&self, node: &NodeId) -> Result<(), Unanswered> {
        self.change_keys(node, BTreeSet::clear)
    }

    fn change_keys(&self, node: &NodeId, change: impl FnOnce(&mut BTreeSet<String>)) -> Result<(), Unanswered> {
        let mut world = self.lock();
        let sim = world.client(node)?;
        if sim.upstream.is_some() {
            return Err(Unanswered::ReadOnly);
        }
        change(&mut sim.keys);
        sim.offset += 1;
        world.settle();
        Ok(())
    }

    // What a test looks at.

    /// The epoch under which it runs; `None` where it doesn't.
    pub fn running(&self, node: &NodeId) -> Option<Epoch> {
        self.lock().nodes.get(node).filter(|node| node.is_running).map(|node| node.spec.epoch)
    }

    /// The spec of its latest start; `None` where it was never started, or has been removed.
    pub fn spec(&self, node: &NodeId) -> Option<NodeSpec> {
        self.lock().nodes.get(node).map(|node| node.spec.clone())
    }

    /// The keys that it holds, in memory or on disk, running or not; `None` where it has no folder.
    pub fn data(&self, node: &NodeId) -> Option<BTreeSet<String>> {
        self.lock().nodes.get(node).map(|node| node.keys.clone())
    }

    /// How many processes it has had since it was made.
    pub fn starts(&self, node: &NodeId) -> u32 {
        self.lock().nodes.get(node).map_or(0, |node| node.starts)
    }

    /// The nodes that run and are not among these.
    pub fn orphans(&self, expected: &[NodeId]) -> Vec<NodeId> {
        let world = self.lock();
        world
            .nodes
            .iter()
            .filter(|(id, node)| node.is_running && !expected.contains(id))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The nodes that have a folder, running or not.
    pub fn folders(&self) -> Vec<NodeId> {
        self.lock().nodes.keys().cloned().collect()
    }

    // Faults that a test sets.

    /// Replaces the engines that are installed. What runs goes on.
    pub fn set_engines(&self, engines: Vec<Engine>) {
        self.lock().engines = engines;
    }

    /// Makes the `nth` `ensure` from now on, over all nodes, go wrong; the next one is 1.
    pub fn fail_ensure(&self, nth: u64, fault: Fault) {
        let mut world = self.lock();
        let at = world.ensured + nth;
        world.faults.insert(at, fault);
    }

    /// Ends its process as a crash does: its death is told, and it keeps its keys. Not running: nothing happens.
    pub fn kill(&self, node: &NodeId) {
        self.lock().die(node);
    }

    /// How many bytes its data takes, by what it says.
    pub fn set_used(&self, node: &NodeId, bytes: u64) {
        if let Some(node) = self.lock().nodes.get_mut(node) {
            node.used = bytes;
        }
    }

    /// What it can't be set to, although it should, until its next start.
    pub fn set_refuses(&self, node: &NodeId, name: &str, value: &str) {
        if let Some(node) = self.lock().nodes.get_mut(node) {
            node.refuses = Some((name.to_owned(), value.to_owned()));
        }
    }

    /// A command took long; its process's log of those is gone with it.
    pub fn log_slow(&self, node: &NodeId, at: i64, micros: i64, command: &str) {
        if let Some(node) = self.lock().nodes.get_mut(node) {
            let arguments = command.split(' ').map(str::to_owned).collect();
            node.slow.push(SimSlow { id: node.slow.len() as i64, at, micros, arguments });
        }
    }

    /// Whether clients get no answer from it, although it runs.
    pub fn set_silent(&self, node: &NodeId, silent: bool) {
        if let Some(node) = self.lock().nodes.get_mut(node) {
            node.is_silent = silent;
        }
    }

    /// Whether it can't reach its upstream, although both run.
    pub fn set_link_cut(&self, node: &NodeId, cut: bool) {
        let mut world = self.lock();
        if let Some(node) = world.nodes.get_mut(node) {
            node.is_link_cut = cut;
        }
        world.settle();
    }
}

pub(super) struct World {
    pub(super) engines: Vec<Engine>,
    /// The highest epoch of each node, also of removed ones.
    known: BTreeMap<NodeId, Epoch>,
    nodes: BTreeMap<NodeId, SimNode>,
    faults: BTreeMap<u64, Fault>,
    ensured: u64,
    pub(super) events: broadcast::Sender<NodeEvent>,
}

struct SimNode {
    spec: NodeSpec,
    engine: Engine,
    is_running: bool,
    is_silent: bool,
    is_link_cut: bool,
    users: Vec<AclUser>,
    upstream: Option<NodeAddr>,
    keys: BTreeSet<String>,
    /// Counts the writes that its keys come from.
    offset: i64,
    maxmemory: u64,
    maxclients: u32,
    settings: BTreeMap<String, String>,
    refuses: Option<(String, String)>,
    used: u64,
    slow: Vec<SimSlow>,
    starts: u32,
}

impl SimNode {
    fn state(&self) -> NodeState {
        let NodeSpec { node, epoch, addr, .. } = &self.spec;
        NodeState { node: node.clone(), epoch: *epoch, addr: *addr, engine: self.engine }
    }
}

impl World {
    /// `None`: there will never be an answer.
    pub(super) fn ensure(&mut self, spec: NodeSpec) -> Option<Result<NodeState, RuntimeError>> {
        self.ensured += 1;
        let node = spec.node.clone();
        let refused =
            || Err(RuntimeError::Host { doing: format!("start node {node}"), source: io::Error::other("a fault") });
        match self.faults.remove(&self.ensured) {
            None => Some(self.start(spec)),
            Some(Fault::Refuse) => Some(refused()),
            Some(Fault::Hang) => None,
            Some(Fault::LoseAnswer) => Some(self.start(spec).and_then(|_| refused())),
            Some(Fault::DieAfterStart) => {
                let started = self.start(spec);
                self.die(&node);
                Some(started)
            }
            Some(Fault::DieAtStart) => Some(self.start(spec).and_then(|_| {
                self.end(&node);
                Err(RuntimeError::Died { node: node.clone(), reason: "a fault".into() })
            })),
        }
    }

    fn start(&mut self, spec: NodeSpec) -> Result<NodeState, RuntimeError> {
        self.fence(&spec.node, spec.epoch)?;
        if let Some(node) = self.nodes.get(&spec.node).filter(|node| node.is_running && node.spec.epoch == spec.epoch) {
            return Ok(node.state());
        }
        let engines = self.engines.iter().filter(|engine| engine.serves(spec.engine, spec.version));
        let Some(engine) = engines.min_by_key(|engine| engine.version).copied() else {
            return Err(RuntimeError::NoEngine { kind: spec.engine, version: spec.version });
        };
        self.end(&spec.node);
        if self.node_at(spec.addr).is_some() {
            return Err(RuntimeError::Died {
                node: spec.node,
                reason: format!("bind {}: Address already in use", spec.addr),
            });
        }
        let before = self.nodes.remove(&spec.node);
        let node = SimNode {
            engine,
            is_running: true,
            is_silent: false,
            is_link_cut: before.as_ref().is_some_and(|node| node.is_link_cut),
            users: spec.users.clone(),
            upstream: spec.upstream.as_ref().map(|Upstream { addr }| *addr),
            starts: before.as_ref().map_or(0, |node| node.starts) + 1,
            offset: before.as_ref().map_or(0, |node| node.offset),
            maxmemory: spec.maxmemory,
            maxclients: spec.maxclients,
            settings: spec.settings.iter().cloned().collect(),
            refuses: None,
            used: 1_000_000,
            slow: Vec::new(),
            keys: before.map(|node| node.keys).unwrap_or_default(),
            spec,
        };
        let state = node.state();
        self.nodes.insert(state.node.clone(), node);
        self.settle();
        Ok(state)
    }

    pub(super) fn stop(&mut self, node: &NodeId, epoch: Epoch) -> Result<(), RuntimeError> {
        self.fence(node, epoch)?;
        self.end(node);
        Ok(())
    }

    pub(super) fn remove(&mut self, node: &NodeId, epoch: Epoch) -> Result<(), RuntimeError> {
        self.fence(node, epoch)?;
        self.nodes.remove(node);
        Ok(())
    }

    pub(super) fn kill(&mut self, node: &NodeId, epoch: Epoch) {
        if self.nodes.get(node).is_some_and(|node| node.spec.epoch == epoch) {
            self.die(node);
        }
    }

    pub(super) fn list(&self) -> Vec<NodeState> {
        self.nodes.values().filter(|node| node.is_running).map(SimNode::state).collect()
    }

    pub(super) fn usage(&self, node: &NodeId) -> Option<Usage> {
        let node = self.nodes.get(node).filter(|node| node.is_running)?;
        let keys = node.keys.len() as u64;
        Some(Usage { memory: 1_000_000 + 100 * keys, disk: 1_000 + 10 * keys })
    }

    fn fence(&mut self, node: &NodeId, asked: Epoch) -> Result<(), RuntimeError> {
        let known = self.known.entry(node.clone()).or_insert(asked);
        if asked < *known {
            return Err(RuntimeError::Stale { node: node.clone(), asked, known: *known });
        }
        *known = asked;
        Ok(())
    }

    fn end(&mut self, node: &NodeId) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.is_running = false;
        }
    }

    fn die(&mut self, id: &NodeId) {
        let Some(node) = self.nodes.get_mut(id).filter(|node| node.is_running) else { return };
        node.is_running = false;
        let event = NodeEvent::Died { node: id.clone(), epoch: node.spec.epoch };
        // Nobody may be watching.
        let _ = self.events.send(event);
    }

    fn client(&mut self, node: &NodeId) -> Result<&mut SimNode, Unanswered> {
        match self.nodes.get_mut(node).filter(|node| node.is_running) {
            None => Err(Unanswered::Refused),
            Some(node) if node.is_silent => Err(Unanswered::Silent),
            Some(node) => Ok(node),
        }
    }

    fn node_at(&self, addr: NodeAddr) -> Option<&NodeId> {
        self.nodes.iter().find(|(_, node)| node.is_running && node.spec.addr == addr).map(|(id, _)| id)
    }

    /// The node that this one follows, where its link is up.
    fn source_of(&self, id: &NodeId) -> Option<&NodeId> {
        let node = self.nodes.get(id).filter(|node| node.is_running && !node.is_link_cut)?;
        self.node_at(node.upstream?).filter(|source| *source != id)
    }

    /// Brings all replicas up to date, those that follow replicas too.
    fn settle(&mut self) {
        for _ in 0..self.nodes.len() {
            let copy = |id: &NodeId| {
                let source = self.nodes.get(self.source_of(id)?)?;
                Some((id.clone(), source.keys.clone(), source.offset))
            };
            let replicas: Vec<(NodeId, BTreeSet<String>, i64)> = self.nodes.keys().filter_map(copy).collect();
            for (id, keys, offset) in replicas {
                if let Some(node) = self.nodes.get_mut(&id) {
                    (node.keys, node.offset) = (keys, offset);
                }
            }
        }
    }
}
