//! How connections to nodes are made, shared and lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use model::NodeAddr;
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::answers::{Pending, Special, What};
use super::branches::Branch;
use super::clients::{End, Wait, is_passing};
use super::pace::Stall;
use super::{BranchKey, ClientKey, Exchange, Timer, UpstreamKey};
use crate::replies::Replies;
use crate::session::Standing;
use crate::sight::Ending;
use crate::world::{Interest, Ready, Wire, World};

/// How long a client waits for a node that does not answer, such as one that is restarting.
pub(super) const DIAL_FOR: Duration = Duration::from_secs(10);
/// Between two attempts. It is what a client may lose against the moment in which the node is back.
const DIAL_PAUSE: Duration = Duration::from_millis(10);
/// That it is not known where in the output the oldest request begins.
const UNKNOWN: usize = usize::MAX / 2;
/// How much is kept of what was sent and not answered.
const MOST_SENT: usize = super::CHUNK;
/// How far a connection to a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Phase {
    /// To be tried, at once or after a pause.
    Dialing,
    Connecting,
    /// It becomes what it is to be.
    Settling,
    Ready,
    /// It gets nothing more, and is read for what is still to be answered.
    Parting,
}

/// A connection to a node.
pub(super) struct Upstream<S> {
    pub(super) wire: Option<S>,
    pub(super) branch: BranchKey,
    pub(super) addr: NodeAddr,
    /// What it is to be.
    pub(super) wanted: Standing,
    /// What it is.
    pub(super) has: Standing,
    /// Whose it is; `None`: whoever is what it is shares it.
    pub(super) owner: Option<ClientKey>,
    /// It is not what its owner is: over it the owner asks to become another.
    pub(super) is_trial: bool,
    pub(super) is_spliced: bool,
    /// The replica that it leads to; `None`: it leads to the primary.
    pub(super) reader: Option<NodeAddr>,
    /// Its owner had another, which a node has ended.
    pub(super) follows_a_loss: bool,
    /// It brings the primary the scripts that clients rely on.
    pub(super) loads_scripts: bool,
    pub(super) phase: Phase,
    /// Whether requests can be sent: it is ready, and nothing holds them.
    pub(super) is_open: bool,
    /// What is to be answered, in that order.
    pub(super) pending: VecDeque<Pending>,
    /// How many bytes the requests have that are to be answered.
    pub(super) under_way: usize,
    /// What is to be sent, behind what was sent and not answered: that is told of, where it took long.
    pub(super) output: Vec<u8>,
    pub(super) written: usize,
    /// How much of it was answered, or [`UNKNOWN`].
    pub(super) answered: usize,
    /// What was read and is no whole line yet.
    pub(super) rest: Vec<u8>,
    pub(super) replies: Replies,
    /// What there is of a reply that must be whole to be understood.
    pub(super) partial: Vec<u8>,
    /// Whether the value that has begun is a message, and no reply.
    pub(super) in_message: bool,
    /// Clients that wait for it.
    pub(super) waiting: Vec<ClientKey>,
    /// Clients that ask for nothing more until there is room.
    pub(super) crowded: Vec<ClientKey>,
    /// Whether it is there only for when another one is full.
    pub(super) is_spare: bool,
    /// How many bytes a reply has, about, and how many were read since the last one.
    pub(super) reply_length: usize,
    pub(super) read_since: usize,
    /// Why it is not read now.
    pub(super) stalled: Option<Stall>,
    pub(super) tries: u32,
    pub(super) dials_until: Instant,
    pub(super) watched: Interest,
    pub(super) used_at: Instant,
}

impl<S> Upstream<S> {
    /// Adds a request; whether it is the first that is to be sent.
    pub(super) fn push(&mut self, request: &[u8], pending: Pending) -> bool {
        self.under_way += pending.length as usize;
        self.pending.push_back(pending);
        self.add(request)
    }

    /// As [`Self::push`], of what has no reply of its own.
    pub(super) fn push_bytes(&mut self, bytes: &[u8]) -> bool {
        self.answered = UNKNOWN;
        self.add(bytes)
    }

    fn add(&mut self, bytes: &[u8]) -> bool {
        let is_first = self.unsent() == 0;
        self.output.extend_from_slice(bytes);
        is_first
    }

    /// Adds a request of the gateway's own, by which the upstream becomes what it is to be.
    pub(super) fn push_preamble(&mut self, request: &[u8], must: bool) {
        let what = What::Special(Box::new(Special::Preamble { must }));
        self.ask(request, what);
    }

    /// Asks for something that no client has asked for.
    pub(super) fn ask(&mut self, request: &[u8], what: What) -> bool {
        let (client, length) = (ClientKey::default(), request.len() as u32);
        self.push(request, Pending { client, command: 0, at: self.used_at, length, what })
    }

    /// The oldest request that is not answered, which is now.
    pub(super) fn pop(&mut self) -> Option<Pending> {
        let pending = self.pending.pop_front()?;
        self.answered = self.answered.saturating_add(pending.length as usize);
        self.under_way = self.under_way.saturating_sub(pending.length as usize);
        if self.pending.is_empty() && self.unsent() == 0 {
            (self.written, self.answered) = (0, 0);
            self.output.clear();
        }
        Some(pending)
    }

    /// The oldest request that is not answered, as far as it is still there.
    pub(super) fn oldest_request(&self) -> &[u8] {
        let length = self.pending.front().map_or(0, |pending| pending.length as usize);
        self.output.get(self.answered..self.answered.saturating_add(length)).unwrap_or_default()
    }

    /// Keeps no more of what was sent than is of use.
    fn trim(&mut self) {
        if self.pending.is_empty() && self.unsent() == 0 {
            self.output.clear();
            self.output.shrink_to(super::CHUNK);
            (self.written, self.answered) = (0, 0);
        } else if self.written >= MOST_SENT {
            let of_use = self.answered.min(self.written);
            // Where a long request is on its way what came before it is not told of.
            let gone = if self.written - of_use >= MOST_SENT { self.written } else { of_use };
            self.output.drain(..gone);
            self.written -= gone;
            self.answered = self.answered.saturating_sub(gone);
            if gone > of_use {
                self.answered = UNKNOWN;
            }
        }
    }

    /// All requests that are not answered, each with who asked; `None` where they are not there any more.
    pub(super) fn requests(&self) -> Option<Vec<(ClientKey, &[u8])>> {
        let mut at = self.answered;
        let requests = self.pending.iter().map(|pending| {
            let from = at;
            at = at.saturating_add(pending.length as usize);
            Some((pending.client, self.output.get(from..at)?))
        });
        requests.collect()
    }

    /// Whether its owner has got a part of a message, and is to get the rest.
    pub(super) fn is_amidst_message(&self) -> bool {
        self.in_message && self.replies.is_inside()
    }

    /// How many bytes wait to be sent.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() - self.written
    }
}

impl<W: World> Exchange<W> {
    /// Where a client's next request goes. `None`: it waits, or is gone.
    #[inline]
    pub(super) fn place(&mut self, key: ClientKey, own: bool) -> Option<UpstreamKey> {
        let client = self.clients.get(key)?;
        if let Some(upstream) = client.upstream
            && let Some(at) = self.upstreams.get(upstream)
            && at.is_open
            && at.reader.is_none()
            && (client.owns
                || !own
                    && at.owner.is_none()
                    && (client.in_flight > 0 || !at.is_spare && !at.is_full() && !client.is_slow()))
        {
            return Some(upstream);
        }
        self.find_place(key, own)
    }

    fn find_place(&mut self, key: ClientKey, own: bool) -> Option<UpstreamKey> {
        let client = self.clients.get_mut(key)?;
        let branch = self.branches.get_mut(client.branch)?;
        if branch.is_held() {
            client.wait = Wait::Held;
            branch.waiting.push(key);
            return None;
        }
        if branch.target.is_none() {
            self.drop_client(key, End::Reset, Ending::Node);
            return None;
        }
        let own = own || client.needs_own() || client.is_slow();
        if let Some(current) = client.upstream
            && let Some(upstream) = self.upstreams.get_mut(current)
            && (client.owns || !own && upstream.owner.is_none())
            && upstream.phase != Phase::Parting
            && upstream.reader.is_none()
        {
            if !upstream.is_open {
                client.wait = Wait::Upstream;
                upstream.waiting.push(key);
                return None;
            }
            if client.owns || client.in_flight > 0 {
                return Some(current);
            }
        }
        if client.in_flight > 0 {
            client.wait = Wait::Answers;
            return None;
        }
        let (branch, standing) = (client.branch, client.standing.clone());
        let upstream = match if own { None } else { self.shared(branch, &standing) } {
            Some(found) => found,
            None => self.open(branch, standing, own.then_some(key)),
        };
        let client = self.clients.get_mut(key)?;
        client.upstream = Some(upstream);
        client.owns = own;
        let found = self.upstreams.get_mut(upstream)?;
        if found.is_open {
            return Some(upstream);
        }
        client.wait = Wait::Upstream;
        found.waiting.push(key);
        None
    }

    /// Gives a client a fresh upstream of this standing, by which it asks to become another, and has it wait for that.
    pub(super) fn open_trial(&mut self, key: ClientKey, standing: Standing) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let Some(branch) = self.branches.get_mut(client.branch) else { return };
        if branch.is_held() {
            client.wait = Wait::Held;
            return branch.waiting.push(key);
        }
        if branch.target.is_none() {
            return self.drop_client(key, End::Reset, Ending::Node);
        }
        let branch = client.branch;
        let upstream = self.open(branch, standing, Some(key));
        let Some(client) = self.clients.get_mut(key) else { return };
        client.upstream = Some(upstream);
        client.owns = true;
        client.wait = Wait::Upstream;
        if let Some(upstream) = self.upstreams.get_mut(upstream) {
            upstream.is_trial = true;
            if upstream.is_open {
                self.todo.push_back(key);
            } else {
                upstream.waiting.push(key);
            }
        }
    }

    /// Begins a connection to the primary of a branch, which has one.
    pub(super) fn open(&mut self, branch: BranchKey, wanted: Standing, owner: Option<ClientKey>) -> UpstreamKey {
        let addr = self.branches[branch].target.as_ref().map(|target| target.addr);
        let key = self.add_upstream(branch, addr, wanted.clone(), owner);
        if owner.is_none() {
            self.branches[branch].pool.entry(wanted).or_default().push(key);
        }
        self.dial(key);
        key
    }

    /// Makes room for a connection that is to be dialed.
    pub(super) fn add_upstream(
        &mut self,
        branch: BranchKey,
        addr: Option<NodeAddr>,
        wanted: Standing,
        owner: Option<ClientKey>,
    ) -> UpstreamKey {
        let now = self.world.now();
        let key = self.upstreams.insert(Upstream {
            wire: None,
            branch,
            addr: addr.unwrap_or(NodeAddr(([0, 0, 0, 0], 0).into())),
            wanted,
            has: Standing::default(),
            owner,
            is_trial: false,
            is_spliced: false,
            reader: None,
            follows_a_loss: false,
            loads_scripts: false,
            phase: Phase::Dialing,
            is_open: false,
            pending: VecDeque::new(),
            under_way: 0,
            output: Vec::new(),
            written: 0,
            answered: 0,
            rest: Vec::new(),
            replies: Replies::default(),
            partial: Vec::new(),
            in_message: false,
            waiting: Vec::new(),
            crowded: Vec::new(),
            is_spare: false,
            reply_length: 0,
            read_since: 0,
            stalled: None,
            tries: 0,
            dials_until: now + DIAL_FOR,
            watched: Interest::default(),
            used_at: now,
        });
        self.branches[branch].upstreams.insert(key);
        self.set_timer(DIAL_FOR, Timer::GiveUp(key));
        key
    }

    /// Tries to reach the node. Where it does not answer only one of those who want to goes on trying: thousands of them
    /// would take the host's time from the very node that they wait for.
    pub(super) fn dial(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key).filter(|upstream| upstream.phase == Phase::Dialing) else {
            return;
        };
        let branch = &mut self.branches[upstream.branch];
        if upstream.reader.is_none() && branch.prober.is_some_and(|prober| prober != key) {
            return branch.dialing.push(key);
        }
        upstream.tries += 1;
        match self.world.connect(upstream.addr) {
            Ok(wire) => {
                let interest = Interest { writes: true, ..Interest::default() };
                let watched = self.world.watch(&wire, Self::upstream_token(key), interest, true);
                upstream.watched = interest;
                upstream.wire = Some(wire);
                upstream.phase = Phase::Connecting;
                if let Err(error) = watched {
                    self.dial_later(key, &error);
                }
            }
            Err(error) => self.dial_later(key, &error),
        }
    }

    pub(super) fn dial_later(&mut self, key: UpstreamKey, error: &std::io::Error) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        debug!(node = %upstream.addr, %error, "the node does not answer");
        if upstream.reader.is_some() {
            return self.lose_reader(key);
        }
        upstream.wire = None;
        upstream.phase = Phase::Dialing;
        upstream.pending.clear();
        upstream.under_way = 0;
        (upstream.output, upstream.written, upstream.answered) = (Vec::new(), 0, 0);
        upstream.rest.clear();
        upstream.partial.clear();
        upstream.replies = Replies::default();
        let branch = &mut self.branches[upstream.branch];
        if *branch.prober.get_or_insert(key) == key {
            self.set_timer(DIAL_PAUSE, Timer::Dial(key));
        } else {
            branch.dialing.push(key);
        }
    }

    /// Has others try again who waited until this one was through, or had given up.
    pub(super) fn stop_probing(&mut self, branch: BranchKey, key: UpstreamKey) {
        let Some(branch) = self.branches.get_mut(branch) else { return };
        if branch.prober == Some(key) {
            branch.prober = None;
            for waiting in std::mem::take(&mut branch.dialing) {
                self.set_timer(Duration::ZERO, Timer::Dial(waiting));
            }
        }
    }

    /// Takes an upstream out of all lists.
    pub(super) fn remove_upstream(&mut self, key: UpstreamKey) -> Option<Upstream<W::Wire>> {
        self.leave_pool(key);
        let mut upstream = self.upstreams.remove(key)?;
        self.todo.extend(upstream.crowded.drain(..));
        self.stop_probing(upstream.branch, key);
        if let Some(branch) = self.branches.get_mut(upstream.branch) {
            branch.upstreams.remove(&key);
        }
        self.prepared(upstream.branch, key, false);
        Some(upstream)
    }

    pub(super) fn upstream_ready(&mut self, key: UpstreamKey, ready: Ready) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if upstream.phase == Phase::Connecting {
            match upstream.wire.as_mut().map(Wire::connected) {
                Some(Ok(())) => self.established(key),
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => self.dial_later(key, &error),
                None => {}
            }
            return;
        }
        if ready.writes {
            self.send_now(key);
        }
        if ready.reads || ready.ended {
            self.read_upstream(key);
        }
    }

    fn established(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.phase = Phase::Settling;
        upstream.has = Standing::default();
        let branch = upstream.branch;
        let is_reader = upstream.reader.is_some();
        let of_primary = self.branches.get(branch).filter(|branch| !is_reader && branch.may_load(&upstream.wanted));
        let scripts = of_primary.map(Branch::scripts_to_load).unwrap_or_default();
        upstream.loads_scripts = of_primary.is_some_and(|branch| branch.loads_scripts);
        for request in upstream.has.towards(&upstream.wanted) {
            upstream.push_preamble(&request, true);
        }
        if upstream.reader.is_some() {
            // Before it is asked anything: how far behind it is.
            upstream.ask(super::readers::ASKS_HOW_FAR, What::Special(Box::new(Special::HowFar)));
        }
        for request in scripts {
            upstream.push_preamble(&request, false);
        }
        let owner = upstream.owner.filter(|_| !upstream.is_trial).and_then(|owner| self.clients.get(owner));
        if let Some(session) = owner.and_then(|owner| owner.session.as_ref()) {
            for request in session.settings() {
                upstream.push_preamble(&request, false);
            }
            for (request, left) in session.subscriptions() {
                let what = Special::Topics { names: VecDeque::new(), left, adds: true };
                let what = What::Special(Box::new(what));
                upstream.ask(&request, what);
            }
            if let Some(transaction) = &session.transaction
                && let Some(requests) = &transaction.requests
            {
                upstream.push_preamble(b"*1\r\n$5\r\nMULTI\r\n", true);
                for _ in 0..transaction.count {
                    upstream.push_preamble(b"", false);
                }
                upstream.push_bytes(requests);
            }
        }
        self.unsent.push(key);
        self.watch_upstream(key);
        self.settle_upstream(key);
    }

    /// Opens an upstream that has become what it is to be.
    pub(super) fn settle_upstream(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if upstream.phase != Phase::Settling || !upstream.pending.is_empty() {
            return;
        }
        upstream.phase = Phase::Ready;
        upstream.has = upstream.wanted.clone();
        upstream.used_at = self.world.now();
        let branch = &self.branches[upstream.branch];
        upstream.is_open = !branch.is_held();
        let branch_key = upstream.branch;
        // A node that at once takes the next connection lives, and has ended the former one because it wanted to.
        let was_ended = upstream.follows_a_loss && upstream.tries == 1;
        self.todo.extend(upstream.waiting.drain(..));
        let owner = upstream.owner.filter(|_| !upstream.is_trial);
        self.stop_probing(branch_key, key);
        if let Some(client) = owner.and_then(|owner| self.clients.get(owner))
            && let Some(session) = &client.session
        {
            let (tracks, waits) = (session.tracking.is_some(), session.waits_for_messages());
            let owner = owner.unwrap_or_default();
            if was_ended && waits {
                self.leave(owner);
            } else if tracks && client.standing.protocol == 3 {
                // Whatever it has kept of what it read may have changed in between.
                self.say(owner, b">2\r\n$10\r\ninvalidate\r\n_\r\n");
            }
        }
        if let Some(upstream) = self.upstreams.get_mut(key).filter(|upstream| upstream.reader.is_none()) {
            let has_loaded = std::mem::take(&mut upstream.loads_scripts);
            self.prepared(branch_key, key, has_loaded);
        }
    }

    pub(super) fn send_all(&mut self) {
        let mut unsent = std::mem::take(&mut self.unsent);
        for key in unsent.drain(..) {
            self.send_now(key);
        }
        // Sending may have failed, and clients have gone on.
        if self.unsent.is_empty() {
            self.unsent = unsent;
        }
    }

    pub(super) fn send_now(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if matches!(upstream.phase, Phase::Dialing | Phase::Connecting) {
            return;
        }
        let Some(wire) = &mut upstream.wire else { return };
        while upstream.written < upstream.output.len() {
            match wire.write(&upstream.output[upstream.written..]) {
                Ok(count) => upstream.written += count,
                Err(error) if is_passing(&error) => break,
                // What the node said before is still to be read.
                Err(_) => {
                    upstream.written = upstream.output.len();
                    break;
                }
            }
        }
        upstream.trim();
        if upstream.has_room() {
            self.todo.extend(upstream.crowded.drain(..));
        }
        self.watch_upstream(key);
    }

    pub(super) fn watch_upstream(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let Some(wire) = &upstream.wire else { return };
        let is_stalled = upstream.stalled.is_some();
        // That a connection has come about is told as room to write.
        let interest = match upstream.phase {
            Phase::Connecting => Interest { writes: true, ..Interest::default() },
            _ => Interest { reads: !is_stalled, writes: upstream.unsent() > 0, end: false },
        };
        if interest != upstream.watched {
            upstream.watched = interest;
            if let Err(error) = self.world.watch(wire, Self::upstream_token(key), interest, false) {
                debug!(%error, "a connection to a node can't be watched");
                self.lose(key);
            }
        }
    }

    fn read_upstream(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let Some(wire) = &mut upstream.wire else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        match wire.read(&mut buffer) {
            Ok(0) => self.lose(key),
            Ok(count) => {
                upstream.used_at = self.world.now();
                let before = upstream.pending.len();
                if upstream.rest.is_empty() {
                    let done = self.take_answers(key, &buffer[..count]);
                    if let Some(upstream) = self.upstreams.get_mut(key) {
                        upstream.rest.extend_from_slice(&buffer[done..count]);
                    }
                } else {
                    upstream.rest.extend_from_slice(&buffer[..count]);
                    let rest = std::mem::take(&mut upstream.rest);
                    let done = self.take_answers(key, &rest);
                    if let Some(upstream) = self.upstreams.get_mut(key) {
                        upstream.rest.extend_from_slice(&rest[done..]);
                    }
                }
                if let Some(upstream) = self.upstreams.get_mut(key) {
                    upstream.note_replies(count, before.saturating_sub(upstream.pending.len()));
                }
            }
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                debug!(node = %upstream.addr, %error, "a connection to a node broke");
                self.lose(key);
            }
        }
        self.buffer = buffer;
    }
}
