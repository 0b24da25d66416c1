//! What the table says of instances and addresses, and how clients are held while a primary hands over to another.

use std::sync::Arc;
use std::time::Duration;

use model::{NodeId, Reader, SourceRule, Target, Vip};
use tokio::sync::oneshot;
use tracing::debug;

use super::answers::{Pending, Special, What};
use super::clients::{End, Wait};
use super::readers::Replicas;
use super::upstreams::{Phase, Upstream};
use super::{BranchKey, ClientKey, Exchange, HashMap, HashSet, Timer, UpstreamKey};
use crate::commands::{Commands, KNOWN};
use crate::connection::ClientAddr;
use crate::instance::Instance;
use crate::session::Standing;
use crate::sight::{Ending, Sight};
use crate::socket::GREETS_WITHIN;
use crate::world::{Wire as _, World};

/// How long a former primary may take to answer what it was asked before it was held.
pub(super) const PART_FOR: Duration = Duration::from_secs(1);
/// How long a client waits whose command was broken off, as a change of the primary does, for that change.
const LIMBO_FOR: Duration = Duration::from_secs(2);
/// How long clients are held until a new primary has the scripts and the subscribers that the former one had.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// A route, as a loop needs it.
#[derive(Clone)]
pub(crate) struct LoopRoute {
    pub(crate) vip: Vip,
    pub(crate) instance: Arc<Instance>,
    pub(crate) target: Option<Target>,
    pub(crate) sources: Option<Arc<Vec<SourceRule>>>,
    pub(crate) readers: Arc<Vec<Reader>>,
}

/// An address.
pub(super) struct Door {
    pub(super) branch: BranchKey,
    is_open: bool,
    sources: Option<Arc<Vec<SourceRule>>>,
}

impl Door {
    /// Whether clients from there may come in.
    pub(super) fn accepts(&self, from: ClientAddr) -> bool {
        self.is_open && accepts(self.sources.as_deref().map(Vec::as_slice), from)
    }
}

/// Whether rules let a client connect: the first that names its source decides.
pub(crate) fn accepts(rules: Option<&[SourceRule]>, from: ClientAddr) -> bool {
    let Some(rules) = rules else { return true };
    let from = from.0.ip().to_canonical();
    rules.iter().find(|rule| rule.from.contains(&from)).is_some_and(|rule| rule.accepts)
}

/// An instance, as far as this loop has clients of it.
pub(super) struct Branch {
    pub(super) instance: Arc<Instance>,
    pub(super) target: Option<Target>,
    /// All its upstreams, those that part too.
    pub(super) upstreams: HashSet<UpstreamKey>,
    /// Those that are shared, by what they are. There are more of one standing where many ask for much at once.
    pub(super) pool: HashMap<Standing, Vec<UpstreamKey>>,
    pub(super) commands: Arc<Commands>,
    /// Whose commands these are; they are learned again where another node leads.
    learned_from: Option<NodeId>,
    hold: Option<Hold>,
    /// Clients that are held.
    pub(super) waiting: Vec<ClientKey>,
    /// The one upstream that tries to reach a node that does not answer, and those that wait for what comes of it.
    pub(super) prober: Option<UpstreamKey>,
    pub(super) dialing: Vec<UpstreamKey>,
    /// Whether the primary has yet to get the scripts that clients rely on.
    pub(super) loads_scripts: bool,
    /// The upstreams of subscribers that are being subscribed again: what is published waits for them.
    subscribing: HashSet<UpstreamKey>,
    /// How long a client may ask for nothing.
    pub(super) idle_limit: Option<Duration>,
    pub(super) sight: Sight,
    pub(super) replicas: Replicas,
}

/// Nothing new is sent to the primary.
struct Hold {
    number: u64,
    /// It was ordered, and so is not over when a new primary has all that it needs.
    is_ordered: bool,
    /// Who waits for the primary to have answered everything.
    quiet: Option<oneshot::Sender<Held>>,
}

/// How a hold began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing is under way to the primary but what waits there.
    Quiet,
    /// This loop has nothing to hold.
    Nothing,
}

impl Branch {
    pub(super) fn is_held(&self) -> bool {
        self.hold.is_some()
    }

    pub(super) fn is_held_by_order(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.is_ordered)
    }

    /// Goes on with a hold that began elsewhere.
    pub(super) fn hold_again(&mut self, number: u64, is_ordered: bool) {
        self.hold = Some(Hold { number, is_ordered, quiet: None });
    }

    /// Whether a connection of this standing may bring the primary its scripts: a stranger's may not.
    pub(super) fn may_load(&self, standing: &Standing) -> bool {
        standing.login.is_some() || !self.instance.asks_for_password()
    }

    /// The requests that bring a new primary its scripts, once.
    pub(super) fn scripts_to_load(&self) -> Vec<Vec<u8>> {
        if self.loads_scripts { self.instance.scripts_to_load() } else { Vec::new() }
    }
}

impl<S> Upstream<S> {
    /// Brings along the scripts that the primary has yet to get.
    pub(super) fn push_scripts(&mut self, branch: &Branch) {
        for request in branch.scripts_to_load() {
            self.push_preamble(&request, false);
        }
    }
}

impl<W: World> Exchange<W> {
    /// Brings routes into force. Nothing more is sent to a former target once this returns.
    pub(crate) fn set_routes(&mut self, routes: &[LoopRoute]) {
        let named: HashSet<Vip> = routes.iter().map(|route| route.vip).collect();
        self.doors.retain(|vip, _| named.contains(vip));
        for route in routes {
            let branch = self.set_branch(route);
            let is_open = route.target.is_some();
            self.doors.insert(route.vip, Door { branch, is_open, sources: route.sources.clone() });
        }
        let keys: Vec<_> = self.clients.keys().collect();
        for key in keys {
            let Some(client) = self.clients.get_mut(key) else { continue };
            match self.doors.get(&client.vip) {
                Some(door) if door.accepts(client.from) => {
                    let branch = door.branch;
                    if branch != client.branch {
                        self.change_branch(key, branch);
                    }
                }
                _ => {
                    debug!(from = %client.from, "reset a client: its address is closed to it");
                    self.drop_client(key, End::Reset, Ending::Closed);
                }
            }
        }
        let instances: HashSet<_> = routes.iter().map(|route| &route.instance.id).collect();
        let gone: Vec<_> = self.by_instance.extract_if(|id, _| !instances.contains(id)).collect();
        for (_, branch) in gone {
            self.remove_branch(branch);
        }
        self.settle();
    }

    fn set_branch(&mut self, route: &LoopRoute) -> BranchKey {
        let key = *self.by_instance.entry(route.instance.id.clone()).or_insert_with(|| {
            self.branches.insert(Branch {
                instance: route.instance.clone(),
                target: None,
                upstreams: HashSet::default(),
                pool: HashMap::default(),
                commands: Arc::new(KNOWN.clone()),
                learned_from: None,
                hold: None,
                waiting: Vec::new(),
                prober: None,
                dialing: Vec::new(),
                loads_scripts: false,
                subscribing: HashSet::default(),
                idle_limit: None,
                sight: Sight::new(self.number, self.world.time()),
                replicas: Replicas::default(),
            })
        });
        let branch = &mut self.branches[key];
        branch.instance = route.instance.clone();
        branch.idle_limit = route.instance.rules().limits.idle.map(Duration::from_secs);
        branch.sight.set_slow_after(route.instance.rules().limits.slow_after_ms);
        // All open addresses of an instance lead to the same node.
        if let Some(target) = &route.target {
            let place = |target: &Target| (target.node.clone(), target.addr);
            let stays = branch.target.as_ref().is_some_and(|former| place(former) == place(target));
            branch.target = Some(target.clone());
            if !stays {
                self.change_target(key);
            }
        }
        self.set_readers(key, &route.readers);
        key
    }

    /// The primary is another one.
    fn change_target(&mut self, key: BranchKey) {
        let branch = &mut self.branches[key];
        let by_plan = branch.hold.is_some();
        branch.pool.clear();
        branch.prober = None;
        branch.dialing.clear();
        branch.loads_scripts = branch.instance.has_scripts();
        for upstream in branch.upstreams.clone() {
            self.leave_upstream(upstream, by_plan);
        }
        let subscribing = self.subscribing(key);
        let loads = self.branches[key].loads_scripts && self.load_scripts(key);
        if !loads && subscribing.is_empty() {
            return self.release(key);
        }
        self.branches[key].subscribing = subscribing;
        self.hold_until_prepared(key);
    }

    fn hold_until_prepared(&mut self, key: BranchKey) {
        self.holds += 1;
        let number = self.holds;
        self.branches[key].hold = Some(Hold { number, is_ordered: false, quiet: None });
        self.set_timer(READY_WITHIN, Timer::HoldEnds(key, number));
    }

    /// The upstreams of subscribers that are not subscribed again yet.
    fn subscribing(&self, key: BranchKey) -> HashSet<UpstreamKey> {
        let is_subscribing = |upstream: &UpstreamKey| {
            let owner = self.upstreams.get(*upstream).filter(|upstream| upstream.phase != Phase::Ready)?.owner?;
            let session = self.clients.get(owner)?.session.as_ref()?;
            (!session.topics.is_empty()).then_some(*upstream)
        };
        self.branches[key].upstreams.iter().filter_map(is_subscribing).collect()
    }

    /// Goes on waiting for what a primary is to have before clients go on, if it has not.
    pub(super) fn prepare_again(&mut self, key: BranchKey) {
        let subscribing = self.subscribing(key);
        let branch = &mut self.branches[key];
        branch.subscribing = subscribing;
        if branch.is_held() && !branch.is_held_by_order() && branch.subscribing.is_empty() && !branch.loads_scripts {
            self.release(key);
        }
    }

    /// Leaves a node that leads no more.
    fn leave_upstream(&mut self, key: UpstreamKey, by_plan: bool) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.is_open = false;
        let has_begun = matches!(upstream.phase, Phase::Ready | Phase::Parting);
        if has_begun && by_plan && (!upstream.pending.is_empty() || upstream.is_amidst_message()) {
            // It was fenced when all that was asked of it before had been done or was refused: what it says is true.
            upstream.phase = Phase::Parting;
            self.set_timer(PART_FOR, Timer::Part(key));
            return self.keep_pace_again(key);
        }
        self.abandon(key);
    }

    /// What a former primary has not answered by now is not waited for.
    pub(super) fn part(&mut self, key: UpstreamKey) {
        if self.upstreams.get(key).is_some_and(|upstream| upstream.phase == Phase::Parting) {
            self.abandon(key);
        }
    }

    fn abandon(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get(key) else { return };
        let (of, owner) = (upstream.branch, upstream.owner);
        let is_awaited = self.branches[of].subscribing.contains(&key);
        if is_awaited {
            // Until the one is known by which the client is subscribed again.
            self.branches[of].subscribing.insert(UpstreamKey::default());
        }
        self.leave_for_good(key);
        if is_awaited {
            let client = owner.and_then(|owner| self.clients.get(owner)).filter(|client| client.owns);
            self.branches[of].subscribing.extend(client.and_then(|client| client.upstream));
            self.prepared(of, UpstreamKey::default(), false);
        }
    }

    fn leave_for_good(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.remove_upstream(key) else { return };
        if upstream.reader.is_some() {
            return self.reclaim(upstream);
        }
        let is_amidst_message = upstream.is_amidst_message();
        for pending in &upstream.pending {
            self.cut(pending.client, "the primary is another one, and what the former one has done can't be known");
        }
        for client in upstream.waiting {
            if let Some(waiting) = self.clients.get_mut(client).filter(|waiting| waiting.upstream == Some(key)) {
                waiting.upstream = None;
                waiting.owns = false;
                self.todo.push_back(client);
            }
        }
        if let Some(owner) = upstream.owner
            && self.clients.contains_key(owner)
        {
            if upstream.is_spliced {
                return self.cut(owner, "the primary is another one, and its session can't be carried there");
            }
            if is_amidst_message {
                return self.cut(owner, "the primary is another one, and the rest of a message did not come");
            }
            self.carry(owner, false);
        }
    }

    /// An own upstream that parts and has answered everything: its client goes on with another.
    pub(super) fn parted(&mut self, key: UpstreamKey) {
        let is_done = |upstream: &super::Upstream<W::Wire>| {
            upstream.phase == Phase::Parting
                && upstream.pending.is_empty()
                && upstream.stalled.is_none()
                && !upstream.is_amidst_message()
        };
        if self.upstreams.get(key).is_some_and(is_done) {
            self.abandon(key);
        }
    }

    /// Holds what clients of an instance ask for, until another node leads or the hold is ended, at most for `at_most`. The
    /// answer comes when the primary has answered all that it was asked.
    pub(crate) fn hold(&mut self, instance: &Instance, at_most: Duration, quiet: oneshot::Sender<Held>) {
        let Some(&key) = self.by_instance.get(&instance.id) else {
            let _ = quiet.send(Held::Nothing);
            return;
        };
        self.holds += 1;
        let number = self.holds;
        let branch = &mut self.branches[key];
        branch.hold = Some(Hold { number, is_ordered: true, quiet: Some(quiet) });
        for upstream in branch.upstreams.clone() {
            if let Some(upstream) = self.upstreams.get_mut(upstream) {
                upstream.is_open = false;
            }
            self.keep_pace_again(upstream);
        }
        self.set_timer(at_most, Timer::HoldEnds(key, number));
        self.settle();
    }

    /// Ends a hold: the primary has stayed what it was.
    pub(crate) fn unhold(&mut self, instance: &Instance) {
        if let Some(&key) = self.by_instance.get(&instance.id) {
            self.end_order(key);
            self.settle();
        }
    }

    pub(super) fn end_hold(&mut self, key: BranchKey, number: u64) {
        if self.branches.get(key).is_some_and(|branch| branch.hold.as_ref().is_some_and(|hold| hold.number == number)) {
            debug!("a hold was not ended in time");
            self.end_order(key);
        }
    }

    /// Ends a hold, unless it was ordered while a primary was to get subscribers, and has not got them all.
    fn end_order(&mut self, key: BranchKey) {
        let is_left = |branch: &Branch| branch.is_held_by_order() && !branch.subscribing.is_empty();
        if self.branches.get(key).is_some_and(is_left) { self.hold_until_prepared(key) } else { self.release(key) }
    }

    fn release(&mut self, key: BranchKey) {
        let Some(branch) = self.branches.get_mut(key) else { return };
        branch.hold = None;
        branch.subscribing.clear();
        self.todo.extend(branch.waiting.drain(..));
        for upstream in &branch.upstreams {
            if let Some(upstream) = self.upstreams.get_mut(*upstream) {
                upstream.is_open = upstream.phase == Phase::Ready;
            }
        }
    }

    /// Holds one client, whose command was broken off: until another node leads, or for a time.
    pub(super) fn hold_client(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.wait = Wait::Held;
        let is_held = self.branches.get_mut(client.branch).is_some_and(|branch| {
            branch.waiting.push(key);
            branch.is_held()
        });
        if !is_held {
            self.set_timer(LIMBO_FOR, Timer::Resume(key));
        }
        self.watch_client(key);
    }

    pub(super) fn tell_who_waits_for_quiet(&mut self) {
        for branch in self.branches.values_mut() {
            let Some(hold) = branch.hold.as_mut().filter(|hold| hold.quiet.is_some()) else { continue };
            let is_quiet = |key: &UpstreamKey| {
                let Some(upstream) = self.upstreams.get(*key) else { return true };
                let waits = |pending: &Pending| match &pending.what {
                    What::Special(special) => matches!(**special, Special::Blocked { .. }),
                    _ => !self.clients.contains_key(pending.client),
                };
                let uploads = upstream.owner.and_then(|owner| self.clients.get(owner));
                upstream.is_spliced
                    || upstream.pending.iter().all(waits) && uploads.is_none_or(|client| client.upload.is_none())
            };
            if branch.upstreams.iter().all(is_quiet)
                && let Some(quiet) = hold.quiet.take()
            {
                let _ = quiet.send(Held::Quiet);
            }
        }
    }

    /// Puts a client through to another instance, whose address its own has become.
    fn change_branch(&mut self, key: ClientKey, branch: BranchKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let instance = self.branches[branch].instance.clone();
        let Some(guest) = instance.admit() else {
            return self.cut(key, "its address leads to another instance, which has no place for it");
        };
        client.guest = guest;
        client.branch = branch;
        let upstream = client.upstream.take();
        let owned = std::mem::take(&mut client.owns);
        if client.in_flight > 0 {
            return self.cut(key, "its address leads to another instance, and what it has asked for can't be known");
        }
        if let Some(upstream) = upstream.filter(|_| owned) {
            self.remove_upstream(upstream);
        }
        match self.clients.get_mut(key) {
            Some(client) if client.wait == Wait::Held => self.todo.push_back(key),
            _ => {}
        }
        self.carry(key, false);
    }

    fn remove_branch(&mut self, key: BranchKey) {
        let Some(branch) = self.branches.get(key) else { return };
        let clients: Vec<_> =
            self.clients.iter().filter(|(_, client)| client.branch == key).map(|(client, _)| client).collect();
        let upstreams: Vec<_> = branch.upstreams.iter().copied().collect();
        for client in clients {
            self.drop_client(client, End::Reset, Ending::Closed);
        }
        for upstream in upstreams {
            self.remove_upstream(upstream);
        }
        self.branches.remove(key);
    }

    /// Has a new primary get the scripts that clients rely on, over whichever connection; they are held until then.
    /// Whether there is any.
    fn load_scripts(&mut self, key: BranchKey) -> bool {
        let Some(branch) = self.branches.get(key) else { return false };
        let of_branch = self.clients.values().filter(|client| client.branch == key);
        let standings = of_branch.map(|client| &client.standing).filter(|standing| branch.may_load(standing));
        let Some(standing) = standings.max_by_key(|standing| standing.login.is_some()).cloned() else { return false };
        self.open_shared(key, standing);
        true
    }

    /// An upstream is ready or gone, and with it the scripts are there, or a subscriber is.
    pub(super) fn prepared(&mut self, key: BranchKey, upstream: UpstreamKey, has_loaded: bool) {
        let Some(branch) = self.branches.get_mut(key) else { return };
        let loaded = has_loaded && std::mem::take(&mut branch.loads_scripts);
        let subscribed = branch.subscribing.remove(&upstream);
        let is_prepared = (loaded || subscribed) && !branch.loads_scripts && branch.subscribing.is_empty();
        if is_prepared && !branch.is_held_by_order() {
            self.release(key);
        }
    }

    /// Asks nodes which commands they have, where that is not known.
    pub(super) fn learn_commands(&mut self) {
        for branch in self.branches.values_mut() {
            let Some(node) = branch.target.as_ref().map(|target| &target.node) else { continue };
            if branch.learned_from.as_ref() == Some(node) {
                continue;
            }
            if let Some(commands) = branch.instance.commands_of(node) {
                branch.commands = commands;
                branch.learned_from = Some(node.clone());
                continue;
            }
            let asks_for_password = branch.instance.asks_for_password();
            let may_ask = |standing: &&Standing| standing.login.is_some() || !asks_for_password;
            let mut those =
                branch.pool.iter().filter(|(standing, _)| may_ask(standing)).flat_map(|(_, keys)| keys.clone());
            let Some(key) = those.find(|key| self.upstreams.get(*key).is_some_and(|of| of.is_open)) else {
                continue;
            };
            let what = What::Special(Box::new(Special::Commands));
            if let Some(upstream) = self.upstreams.get_mut(key) {
                upstream.ask(b"*1\r\n$7\r\nCOMMAND\r\n", what);
                self.unsent.push(key);
            }
        }
    }

    pub(super) fn take_commands(&mut self, key: UpstreamKey, reply: &[u8]) {
        let Some(upstream) = self.upstreams.get(key) else { return };
        let Some(branch) = self.branches.get_mut(upstream.branch) else { return };
        let Some(node) = branch.target.as_ref().map(|target| target.node.clone()) else { return };
        match branch.instance.learn_commands(node.clone(), reply) {
            Some(commands) => {
                branch.commands = commands;
                branch.learned_from = Some(node);
            }
            // Whoever may not ask for them: another connection will.
            None => debug!("a node does not say which commands it has"),
        }
    }

    /// Resets everybody.
    pub(crate) fn reset_all(&mut self) {
        let clients: Vec<_> = self.clients.keys().collect();
        for client in clients {
            self.drop_client(client, End::Reset, Ending::Closed);
        }
    }

    /// Ends clients that ask for nothing as long as their instance lets nobody.
    pub(super) fn end_idle_clients(&mut self) {
        let now = self.world.now();
        let mut idle = Vec::new();
        for (key, client) in &self.clients {
            if client.wire.greets_since().is_some_and(|since| now.saturating_duration_since(since) >= GREETS_WITHIN) {
                idle.push(key);
                continue;
            }
            let silent_for = now.saturating_duration_since(client.active_at);
            let waits_for_more = client.wait == Wait::Nothing && client.in_flight == 0 && !client.is_owed();
            let hears = client.session.as_ref().is_some_and(|session| !session.topics.is_empty());
            if !waits_for_more || hears || client.is_spliced {
                continue;
            }
            let limit = self.branches.get(client.branch).and_then(|branch| branch.idle_limit);
            if limit.is_some_and(|limit| silent_for >= limit) {
                idle.push(key);
            }
        }
        for key in idle {
            self.drop_client(key, End::Order, Ending::Idle);
        }
    }
}
