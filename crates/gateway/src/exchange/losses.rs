//! What becomes of clients whose connection to a node is lost, stands still, or is given up.

use std::time::Duration;

use tracing::debug;

use super::clients::{End, Wait};
use super::upstreams::{Phase, Upstream};
use super::{ClientKey, Exchange, UpstreamKey};
use crate::commands::Kind;
use crate::framing::{Framed, Framer};
use crate::sight::{Ending, Trouble};
use crate::world::{Wire as _, World};

/// How long an upstream is kept that nobody uses: one that is shared, and a client's own.
const SHARED_IDLE_FOR: Duration = Duration::from_secs(60);
const OWN_IDLE_FOR: Duration = Duration::from_secs(1);
/// How long a command takes at least behind which nobody else is sent.
const SLOW_AFTER: Duration = Duration::from_millis(100);

impl<W: World> Exchange<W> {
    pub(super) fn give_up(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get(key) else { return };
        if !matches!(upstream.phase, Phase::Dialing | Phase::Connecting | Phase::Settling) {
            return;
        }
        if self.world.now() < upstream.dials_until {
            return;
        }
        debug!(node = %upstream.addr, "gave the node up");
        if upstream.reader.is_some() {
            return self.lose_reader(key);
        }
        self.fail(key);
    }

    /// Ends an upstream that could not become what it was to be, with the clients that wait for it.
    pub(super) fn fail(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.remove_upstream(key) else { return };
        for client in upstream.waiting.into_iter().chain(upstream.owner) {
            if self.clients.get(client).is_some_and(|client| client.upstream == Some(key)) {
                if let Some(branch) = self.branches.get_mut(upstream.branch) {
                    branch.sight.troubled(Trouble::Unreachable);
                }
                self.cut(client, "there is no node for it");
            }
        }
    }

    /// Who waits for an upstream, but could not use it now, is told what the engine tells those who have one: one that runs a
    /// slow script lets nobody choose a database. Whether that was all of them, and the upstream is no more.
    pub(super) fn tell_who_waits(&mut self, key: UpstreamKey, words: &[u8]) -> bool {
        let Some(upstream) = self.upstreams.get_mut(key).filter(|upstream| upstream.reader.is_none()) else {
            return false;
        };
        let owner = upstream.owner;
        let mut waiting = std::mem::take(&mut upstream.waiting);
        waiting.retain(|client| !self.refuse_what_waits(*client, key, words));
        let is_owned = owner.and_then(|owner| self.clients.get(owner)).is_some_and(|owner| owner.upstream == Some(key));
        if waiting.is_empty() && !is_owned {
            self.remove_upstream(key);
            return true;
        }
        if let Some(upstream) = self.upstreams.get_mut(key) {
            upstream.waiting = waiting;
        }
        false
    }

    /// Answers the request that a client waits to have sent, unless what comes after it has another meaning if it is refused.
    /// Whether the client waits no more.
    fn refuse_what_waits(&mut self, key: ClientKey, at: UpstreamKey, words: &[u8]) -> bool {
        let Some(client) = self.clients.get_mut(key).filter(|client| client.upstream == Some(at)) else { return true };
        if client.wait != Wait::Upstream || client.in_flight > 0 || client.needs_own() || client.input.is_empty() {
            return false;
        }
        let mut framer = Framer::default();
        let Framed::Whole(length) = framer.read(&client.input, false) else { return false };
        let command = self.branches[client.branch].commands.find(framer.arg(&client.input, 0));
        let stands_alone = matches!(
            command.kind,
            Kind::Plain | Kind::Blocking(_) | Kind::Eval | Kind::Script | Kind::Function | Kind::Wait
        );
        let goes_beside = matches!(command.kind, Kind::Script | Kind::Function)
            && [&b"kill"[..], b"stats"].iter().any(|word| framer.arg(&client.input, 1).eq_ignore_ascii_case(word));
        if !stands_alone || goes_beside {
            return false;
        }
        client.input.drain(..length);
        client.needs = 0;
        client.upstream = None;
        client.owns = false;
        client.wait = Wait::Nothing;
        self.say_unless_quiet(key, words);
        self.todo.push_back(key);
        true
    }

    /// A node has ended a connection, or is gone. Whoever waits for an answer can't know whether what they asked for was
    /// done, and is reset; all others go on with another connection.
    pub(super) fn lose(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if upstream.reader.is_some() {
            return self.lose_reader(key);
        }
        if upstream.phase == Phase::Settling {
            return self.dial_later(key, &std::io::ErrorKind::ConnectionReset.into());
        }
        let Some(upstream) = self.remove_upstream(key) else { return };
        let is_amidst_message = upstream.is_amidst_message();
        for pending in &upstream.pending {
            self.cut(pending.client, "the node is gone, and its answer with it");
        }
        for client in upstream.waiting {
            self.todo.push_back(client);
        }
        if let Some(owner) = upstream.owner
            && self.clients.contains_key(owner)
        {
            if upstream.is_spliced {
                return self.leave(owner);
            }
            if is_amidst_message {
                return self.cut(owner, "the node is gone, and the rest of a message with it");
            }
            self.carry(owner, true);
        }
    }

    /// Gives a client whose upstream is gone another one, if it needs one.
    pub(super) fn carry(&mut self, key: ClientKey, after_a_loss: bool) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.upstream = None;
        client.owns = false;
        if client.upload.is_some() || client.is_spliced {
            return self.cut(key, "what it does can't be carried on elsewhere");
        }
        if client.wait == Wait::Upstream {
            self.todo.push_back(key);
        }
        let Some(session) = &mut client.session else { return };
        if !session.can_move() {
            return self.cut(key, "its session can't be carried on elsewhere");
        }
        if std::mem::take(&mut session.watches) {
            session.watched_elsewhere = true;
        }
        session.clings = false;
        if !session.needs_own() {
            return;
        }
        let (branch, standing) = (client.branch, client.standing.clone());
        if self.branches.get(branch).is_none_or(|branch| branch.target.is_none()) {
            return self.drop_client(key, End::Reset, Ending::Node);
        }
        let upstream = self.open(branch, standing, Some(key));
        let Some(client) = self.clients.get_mut(key) else { return };
        client.upstream = Some(upstream);
        client.owns = true;
        if let Some(upstream) = self.upstreams.get_mut(upstream) {
            upstream.follows_a_loss = after_a_loss;
        }
    }

    /// Has others go elsewhere from now on.
    pub(super) fn stop_sharing(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.phase = Phase::Parting;
        upstream.is_open = false;
        self.leave_pool(key);
    }

    /// Has nobody else wait behind a command that takes long, such as a script without an end: the engine tells others
    /// that it is busy, and takes what ends the script.
    pub(super) fn leave_slow_ones(&mut self) {
        let now = self.world.now();
        let is_slow = |upstream: &Upstream<W::Wire>| {
            let asked_at = upstream.pending.front().map(|pending| pending.at);
            upstream.phase == Phase::Ready && asked_at.is_some_and(|at| now.saturating_duration_since(at) >= SLOW_AFTER)
        };
        let shared = self.branches.values().flat_map(|branch| branch.pool.values().flatten());
        let slow = shared.copied().filter(|key| self.upstreams.get(*key).is_some_and(is_slow));
        for key in slow.collect::<Vec<_>>() {
            self.stop_sharing(key);
        }
    }

    /// Closes upstreams that nobody needs.
    pub(super) fn sweep(&mut self) {
        let now = self.world.now();
        let mut idle = Vec::new();
        for (key, upstream) in &self.upstreams {
            let is_idle = |span| now.saturating_duration_since(upstream.used_at) >= span;
            if !upstream.pending.is_empty() || upstream.unsent() > 0 || upstream.phase == Phase::Dialing {
                continue;
            }
            // Well before the engine does it by itself, perhaps at the moment of a request.
            let ended_after = self.branches.get(upstream.branch).and_then(|branch| branch.idle_limit);
            let shared_for = ended_after.map_or(SHARED_IDLE_FOR, |limit| SHARED_IDLE_FOR.min(limit / 2));
            match upstream.owner.map(|owner| self.clients.get(owner)) {
                None if is_idle(shared_for) || upstream.phase == Phase::Parting => idle.push(key),
                Some(None) => idle.push(key),
                Some(Some(owner)) if is_idle(OWN_IDLE_FOR) && !owner.needs_own() && owner.wait == Wait::Nothing => {
                    idle.push(key);
                }
                _ => {}
            }
        }
        for key in idle {
            let Some(upstream) = self.remove_upstream(key) else { continue };
            if let Some(client) = upstream.owner.and_then(|owner| self.clients.get_mut(owner)) {
                client.upstream = None;
                client.owns = false;
            }
        }
        self.end_slow_clients();
        self.learn_commands();
        self.ask_how_far();
        self.end_idle_clients();
        let time = self.world.time();
        self.branches.values_mut().for_each(|branch| branch.sight.tick(time));
    }

    /// Ends an upstream whose owner is gone, having sent what the owner has asked for.
    pub(super) fn disown(&mut self, key: UpstreamKey) {
        let Some(mut upstream) = self.remove_upstream(key) else { return };
        let (from, output) = (upstream.written, &upstream.output);
        if let Some(wire) = upstream.wire.as_mut().filter(|_| upstream.phase != Phase::Connecting) {
            // What can't be sent at once is lost with the client that had not waited for it.
            let _ = wire.write(&output[from..]);
        }
    }
}
