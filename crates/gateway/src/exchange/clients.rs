//! What comes from clients, and what goes to them.

use std::io;
use std::time::Instant;

use model::Vip;
use serde::{Deserialize, Serialize};
use tracing::debug;

use super::requests::Request;
use super::{BranchKey, CHUNK, ClientKey, Exchange, Timer, UpstreamKey};
use crate::connection::ClientAddr;
use crate::framing::{Framed, Framer, Rest};
use crate::instance::Guest;
use crate::session::{Session, Standing};
use crate::sight::{Ending, Refusal, Trouble};
use crate::world::{Interest, Ready, Wire, World};

/// How much is kept at most of what a client has got.
const MOST_WRITTEN: usize = 1 << 20;
/// A request that is longer is passed on before it is all there.
const LONG_REQUEST: usize = 64 * 1024;
/// A request that must be understood before it is passed on is not longer.
const LONGEST_HELD: usize = 16 << 20;
/// How much a client gets at once whose instance has a rate.
const LIMITED_CHUNK: usize = 16 * 1024;

/// What a client waits for before its next request is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wait {
    #[default]
    // What a process of version 0.2 called so is nothing to wait for.
    #[serde(alias = "Output")]
    Nothing,
    /// All its requests to be answered.
    Answers,
    /// A command that may take as long as it likes, which is given up when the client is gone.
    Block,
    /// An upstream to be there.
    Upstream,
    /// Its instance to have a primary again.
    Held,
    /// Room for the rest of a long request.
    Room,
    /// A time.
    Pause,
}

/// A client.
pub(super) struct Client<S> {
    pub(super) wire: S,
    pub(super) vip: Vip,
    pub(super) from: ClientAddr,
    pub(super) branch: BranchKey,
    pub(super) guest: Guest,
    pub(super) standing: Standing,
    /// `None` as long as there is nothing of it.
    pub(super) session: Option<Box<Session>>,
    /// Where its last request went.
    pub(super) upstream: Option<UpstreamKey>,
    /// Whether that is its own.
    pub(super) owns: bool,
    /// How many requests were sent on and are not answered.
    pub(super) in_flight: u32,
    pub(super) wait: Wait,
    /// What was read and not looked at.
    pub(super) input: Vec<u8>,
    /// How long that must be before looking at it again is of use.
    pub(super) needs: usize,
    /// What of a long request is to come.
    pub(super) upload: Option<Rest>,
    /// Whether bytes pass as they come, both ways.
    pub(super) is_spliced: bool,
    pub(super) output: Vec<u8>,
    pub(super) written: usize,
    /// Whether it gets nothing for a time, since its instance is ahead of its rate.
    pub(super) is_muted: bool,
    /// It has ended its side.
    pub(super) has_ended: bool,
    /// It is to be ended when it has got everything.
    pub(super) is_leaving: bool,
    watched: Interest,
    pub(super) active_at: Instant,
}

impl<S> Client<S> {
    pub(super) fn session(&mut self) -> &mut Session {
        self.session.get_or_insert_default()
    }

    /// Keeps a script that it has brought along for the next primary; a stranger's is refused.
    pub(super) fn keep_script(&self, body: &[u8]) {
        if self.standing.login.is_some() || !self.guest.instance.asks_for_password() {
            self.guest.instance.keep_script(body);
        }
    }

    pub(super) fn needs_own(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.needs_own())
    }

    /// Whether it has yet to get something.
    pub(super) fn is_owed(&self) -> bool
    where
        S: Wire,
    {
        !self.output.is_empty() || self.wire.has_unsent()
    }

    /// How much it has not read of what it was answered, beside what is on its way.
    pub(super) fn unread(&self) -> usize {
        self.output.len() - self.written
    }
}

/// How a client's connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Order,
    Reset,
}

impl<W: World> Exchange<W> {
    /// Takes a client in.
    pub(crate) fn admit(&mut self, wire: W::Wire, vip: Vip, from: ClientAddr, guest: Guest) -> Option<ClientKey> {
        let Some(door) = self.doors.get(&vip).filter(|door| door.accepts(from)) else {
            debug!(%from, "reset a client: its address was closed meanwhile");
            return None;
        };
        let watched = Interest { reads: true, ..Interest::default() };
        let key = self.clients.insert(Client {
            wire,
            vip,
            from,
            branch: door.branch,
            guest,
            standing: Standing::default(),
            session: None,
            upstream: None,
            owns: false,
            in_flight: 0,
            wait: Wait::Nothing,
            input: Vec::new(),
            needs: 0,
            upload: None,
            is_spliced: false,
            output: Vec::new(),
            written: 0,
            is_muted: false,
            has_ended: false,
            is_leaving: false,
            watched,
            active_at: self.world.now(),
        });
        let client = &self.clients[key];
        self.branches[client.branch].sight.entered(from.0.ip());
        if let Err(error) = self.world.watch(&client.wire, Self::client_token(key), watched, true) {
            debug!(%from, %error, "the client was gone before it was served");
            self.clients.remove(key);
            return None;
        }
        Some(key)
    }

    pub(super) fn client_ready(&mut self, key: ClientKey, ready: Ready) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if ready.writes {
            self.flush(key);
        } else if ready.ended && client.wait == Wait::Block && client.in_flight == 0 {
            // It goes on in a moment, and its end is seen then.
            return;
        } else if ready.ended && !(client.watched.reads && ready.reads) {
            // Nothing more can be said to it, or it waits for what it would not hear.
            return self.drop_client(key, End::Order, Ending::Client);
        }
        if ready.reads && self.clients.get(key).is_some_and(|client| client.watched.reads) {
            self.read(key);
        }
    }

    fn read(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let mut buffer = std::mem::take(&mut self.buffer);
        match client.wire.read(&mut buffer) {
            Ok(0) => {
                client.has_ended = true;
                self.end_if_done(key);
                self.watch_client(key);
            }
            Ok(count) => {
                client.active_at = self.world.now();
                client.guest.instance.inbound.pass(count, client.active_at);
                self.branches[client.branch].sight.carried(count as u64, 0);
                if client.input.is_empty() {
                    let done = self.take_in(key, &buffer[..count]);
                    if let Some(client) = self.clients.get_mut(key) {
                        client.input.extend_from_slice(&buffer[done..count]);
                    }
                } else {
                    client.input.extend_from_slice(&buffer[..count]);
                    self.take_in_what_waits(key);
                }
                self.pause(key);
                self.send_much(key);
                self.keep_pace_of(key);
                self.watch_client(key);
                self.read_on(key);
            }
            // A greeting may have something to be sent.
            Err(error) if is_passing(&error) => self.watch_client(key),
            Err(error) => {
                debug!(from = %client.from, %error, "a client's connection broke");
                if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied) {
                    client.guest.instance.refused(Refusal::Tls);
                }
                self.drop_client(key, End::Order, Ending::Client);
            }
        }
        self.buffer = buffer;
    }

    /// Sends what was asked for where that is much already, and has the client wait where it is too much.
    fn send_much(&mut self, key: ClientKey) {
        let Some(to) = self.clients.get(key).and_then(|client| client.upstream) else { return };
        if self.upstreams.get(to).is_none_or(|upstream| upstream.unsent() < CHUNK) {
            return;
        }
        self.send_now(to);
        if let Some(client) = self.clients.get_mut(key).filter(|client| client.wait == Wait::Nothing)
            && let Some(upstream) = self.upstreams.get_mut(to).filter(|upstream| upstream.is_crowded())
        {
            client.wait = Wait::Room;
            upstream.crowded.push(key);
        }
    }

    /// Has a client looked at again of whom more has come than was read.
    fn read_on(&mut self, key: ClientKey) {
        if self.clients.get(key).is_some_and(|client| client.watched.reads && client.wire.has_more()) {
            self.todo.push_back(key);
        }
    }

    /// Has a client wait whose instance is ahead of a rate. What it gets was asked for, so it asks for no more.
    fn pause(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let instance = &client.guest.instance;
        let now = self.world.now();
        let Some(until) = instance.inbound.pauses_until(now).max(instance.outbound.pauses_until(now)) else { return };
        if client.wait == Wait::Nothing {
            client.wait = Wait::Pause;
            let left = until.saturating_duration_since(now);
            self.set_timer(left, Timer::Resume(key));
        }
    }

    fn take_in_what_waits(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.input.len() < client.needs {
            return;
        }
        let mut input = std::mem::take(&mut client.input);
        let done = self.take_in(key, &input);
        let Some(client) = self.clients.get_mut(key) else { return };
        // A request that is to be made again was put in front.
        if client.input.is_empty() {
            if done == input.len() {
                input = Vec::new();
            } else {
                input.drain(..done);
            }
            client.input = input;
        } else {
            client.input.extend_from_slice(&input[done..]);
        }
    }

    /// Looks at requests one by one, as long as the client need not wait; answers how many bytes were used up.
    fn take_in(&mut self, key: ClientKey, bytes: &[u8]) -> usize {
        let mut framer = std::mem::take(&mut self.framer);
        let done = self.take_in_by(&mut framer, key, bytes);
        self.framer = framer;
        done
    }

    fn take_in_by(&mut self, framer: &mut Framer, key: ClientKey, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let Some(client) = self.clients.get_mut(key) else { return bytes.len() };
            if client.wait != Wait::Nothing || client.is_leaving {
                break;
            }
            client.needs = 0;
            if client.is_spliced || client.upload.is_some() {
                match self.pass_on(key, &bytes[at..]) {
                    0 => break,
                    passed => at += passed,
                }
                continue;
            }
            let is_stranger = client.standing.login.is_none() && client.guest.instance.asks_for_password();
            match framer.read(&bytes[at..], is_stranger) {
                Framed::Whole(length) => {
                    if !self.request(key, &Request { framer, bytes: &bytes[at..], length }) {
                        break;
                    }
                    at += length;
                }
                Framed::Nothing(length) => at += length,
                Framed::Partial(least) => {
                    client.needs = least;
                    if least <= LONG_REQUEST || !self.begin_upload(framer, key, &bytes[at..]) {
                        if let Some(client) = self.clients.get_mut(key).filter(|client| client.wait != Wait::Nothing) {
                            // Nothing more is read of it until then.
                            client.needs = 0;
                        }
                        break;
                    }
                    return bytes.len();
                }
                Framed::Wrong(words) => {
                    if !self.is_answered(key) {
                        break;
                    }
                    let Some(client) = self.clients.get(key) else { return bytes.len() };
                    self.branches[client.branch].sight.troubled(Trouble::Protocol);
                    self.say_unless_quiet(key, words.as_bytes());
                    self.leave(key);
                    return bytes.len();
                }
            }
        }
        at
    }

    /// Passes on what there is of a long request that is not all there, by way of an own upstream, unless the client must
    /// wait for that, or more must be there to know how.
    fn begin_upload(&mut self, framer: &Framer, key: ClientKey, bytes: &[u8]) -> bool {
        if bytes.len() > LONGEST_HELD {
            debug!("reset a client: a request that must be understood first is too long");
            self.drop_client(key, End::Reset, Ending::Broken);
            return true;
        }
        let Some(rest) = framer.rest(bytes.len()) else { return false };
        if !self.long_request(key, &Request { framer, bytes, length: bytes.len() }) {
            return false;
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.upload = Some(rest);
            client.needs = 0;
        }
        true
    }

    /// Passes on what needs no reading: the rest of a long request, or everything; answers how much that was.
    fn pass_on(&mut self, key: ClientKey, bytes: &[u8]) -> usize {
        let Some(client) = self.clients.get_mut(key) else { return bytes.len() };
        let Some(upstream) = client.upstream.and_then(|key| self.upstreams.get_mut(key)) else {
            self.drop_client(key, End::Reset, Ending::Node);
            return bytes.len();
        };
        if upstream.is_crowded() {
            client.wait = Wait::Room;
            upstream.crowded.push(key);
            return 0;
        }
        let passed = match &mut client.upload {
            None => bytes.len(),
            Some(rest) => match rest.pass(bytes) {
                Some(passed) => {
                    if rest.is_over() {
                        client.upload = None;
                    }
                    passed
                }
                None => {
                    // The node has what came before, and gets no more.
                    debug!(from = %client.from, "reset a client: a long request is not in the protocol");
                    self.drop_client(key, End::Reset, Ending::Broken);
                    return bytes.len();
                }
            },
        };
        upstream.push_bytes(&bytes[..passed]);
        if let Some(upstream) = client.upstream {
            self.unsent.push(upstream);
        }
        passed
    }

    /// Lets a client go on that had to wait.
    pub(super) fn resume(&mut self, key: ClientKey) {
        let is_amidst = self.is_amidst(key);
        let Some(client) = self.clients.get_mut(key) else { return };
        let still_waits = match client.wait {
            Wait::Answers => is_amidst,
            Wait::Block => client.in_flight > 0,
            Wait::Room => {
                let upstream = client.upstream.and_then(|key| self.upstreams.get_mut(key));
                upstream.filter(|upstream| !upstream.has_room()).map(|upstream| upstream.crowded.push(key)).is_some()
            }
            Wait::Nothing | Wait::Upstream | Wait::Held | Wait::Pause => false,
        };
        if still_waits {
            return;
        }
        client.wait = Wait::Nothing;
        if client.needs == 0 || client.input.len() >= client.needs {
            self.take_in_what_waits(key);
        }
        self.keep_pace_of(key);
        self.end_if_done(key);
        self.watch_client(key);
        if self.clients.get(key).is_some_and(|client| client.watched.reads && client.wire.has_more()) {
            self.read(key);
        }
    }

    /// Ends a client that has ended its side, once it has got all its answers.
    pub(super) fn end_if_done(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get(key) else { return };
        // The rest of a request that is on its way won't come any more, nor what was to be said to it.
        let is_broken_off = client.upload.is_some() && client.wait == Wait::Nothing && client.in_flight <= 1;
        let waits = client.wait == Wait::Block && client.in_flight > 0;
        if client.has_ended && (waits || is_broken_off) {
            self.drop_client(key, End::Order, Ending::Client);
        } else if client.has_ended && client.wait == Wait::Nothing && !self.is_amidst(key) {
            self.leave(key);
        }
    }

    /// Ends a client in order once it has got what was written to it.
    pub(super) fn leave(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.is_leaving = true;
        if client.output.is_empty() && !client.wire.has_unsent() {
            self.drop_client(key, End::Order, Ending::Client);
        } else {
            self.watch_client(key);
        }
    }

    /// Has nothing more to do with a client.
    pub(super) fn drop_client(&mut self, key: ClientKey, end: End, why: Ending) {
        let Some(mut client) = self.clients.remove(key) else { return };
        if let Some(branch) = self.branches.get_mut(client.branch) {
            branch.sight.left(client.from.0.ip(), why);
        }
        if end == End::Order {
            client.wire.end_in_order();
        }
        match client.upstream {
            Some(upstream) if client.owns => self.disown(upstream),
            Some(upstream) => self.let_go(upstream, key),
            None => {}
        }
    }

    /// Writes to a client, or keeps for it what it is too slow for.
    pub(super) fn say(&mut self, key: ClientKey, bytes: &[u8]) {
        // Behind the last word comes no message, which would be cut off.
        let Some(client) = self.clients.get_mut(key).filter(|client| !client.is_leaving) else { return };
        if let Some(branch) = self.branches.get_mut(client.branch) {
            branch.sight.carried(0, bytes.len() as u64);
        }
        let mut written = 0;
        if client.guest.instance.outbound.is_limited() {
            client.output.extend_from_slice(bytes);
            return self.flush(key);
        }
        if client.output.is_empty() {
            match client.wire.write(bytes) {
                Ok(count) => written = count,
                Err(error) if is_passing(&error) => {}
                // Its end is told by the wire itself, once nothing of it is being looked at.
                Err(_) => return,
            }
            if written == bytes.len() {
                if client.wire.has_unsent() {
                    self.watch_client(key);
                }
                return;
            }
        }
        client.output.extend_from_slice(&bytes[written..]);
        self.watch_client(key);
    }

    /// A client that was muted may get something again.
    pub(super) fn unmute(&mut self, key: ClientKey) {
        if let Some(client) = self.clients.get_mut(key) {
            client.is_muted = false;
            self.flush(key);
        }
    }

    fn flush(&mut self, key: ClientKey) {
        let now = self.world.now();
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.wire.flush().is_err() {
            return self.drop_client(key, End::Order, Ending::Client);
        }
        let outbound = &client.guest.instance.outbound;
        let at_once = if outbound.is_limited() { LIMITED_CHUNK } else { usize::MAX };
        let mut mutes_until = None;
        while client.written < client.output.len() && !client.is_muted {
            mutes_until = outbound.pauses_until(now);
            if mutes_until.is_some() {
                client.is_muted = true;
                break;
            }
            let end = client.output.len().min(client.written.saturating_add(at_once));
            match client.wire.write(&client.output[client.written..end]) {
                Ok(count) => {
                    client.written += count;
                    outbound.pass(count, now);
                }
                Err(error) if is_passing(&error) => break,
                Err(_) => return self.drop_client(key, End::Order, Ending::Client),
            }
        }
        if let Some(until) = mutes_until {
            self.set_timer(until.saturating_duration_since(now), Timer::Unmute(key));
        }
        let Some(client) = self.clients.get_mut(key) else { return };
        if client.written == client.output.len() {
            (client.output, client.written) = (Vec::new(), 0);
            if client.is_leaving && !client.wire.has_unsent() {
                return self.drop_client(key, End::Order, Ending::Client);
            }
        } else if client.written > MOST_WRITTEN {
            client.output.drain(..client.written);
            client.written = 0;
        }
        if let Some(upstream) = client.upstream {
            self.keep_pace(upstream, key);
        }
        self.watch_client(key);
    }

    pub(super) fn watch_client(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let interest = Interest {
            reads: client.wait == Wait::Nothing && !client.has_ended && !client.is_leaving,
            writes: !client.output.is_empty() && !client.is_muted || client.wire.has_unsent(),
            end: client.wait == Wait::Block,
        };
        if interest == client.watched {
            return;
        }
        client.watched = interest;
        if let Err(error) = self.world.watch(&client.wire, Self::client_token(key), interest, false) {
            debug!(from = %client.from, %error, "a client can't be watched");
            self.drop_client(key, End::Reset, Ending::Node);
        }
    }
}

/// Whether something may be tried again.
pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
