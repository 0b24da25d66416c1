//! What of an exchange goes to that of another process, and how it goes on there.
//!
//! All that a client and an upstream are is state, so both go as they are at any moment between two events: with what was
//! read and not looked at, with what waits to be written, and with what is still to be answered. The other process takes
//! their sockets along, and neither clients nor nodes can tell. Nobody need be held for it, nor what is under way be
//! waited for. Only a connection to a node that is not there yet is begun anew.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{Fingerprint, InstanceId, NodeAddr, Vip};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use slotmap::KeyData;
use tracing::debug;

use super::answers::{Pending, Special, What};
use super::branches::PART_FOR;
use super::clients::{Client, Wait};
use super::pace::Stall;
use super::upstreams::{Phase, Upstream};
use super::{ClientKey, Exchange, HashMap, HashSet, Timer, UpstreamKey};
use crate::connection::ClientAddr;
use crate::framing::Rest;
use crate::replies::Replies;
use crate::session::{Credential, Session, Standing};
use crate::world::{Interest, Passage, Wire, World};

/// Something of an exchange. What is named by a number here has that within one exchange alone.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Moved {
    Branch(MovedBranch),
    Client(Box<MovedClient>),
    Upstream(Box<MovedUpstream>),
}

impl Moved {
    /// Whether a socket goes with it.
    pub(crate) fn has_socket(&self) -> bool {
        match self {
            Moved::Branch(_) => false,
            Moved::Client(_) => true,
            Moved::Upstream(upstream) => upstream.is_connected,
        }
    }
}

/// An instance of which there is something that the table does not say.
#[derive(Serialize, Deserialize)]
pub(crate) struct MovedBranch {
    instance: InstanceId,
    /// It is held, for so long at most.
    #[serde(default)]
    held_for: Option<Duration>,
    /// By order, and not until its primary has what it needs.
    #[serde(default)]
    is_ordered: bool,
    /// Its primary has yet to get its scripts.
    #[serde(default)]
    loads_scripts: bool,
}

impl Moved {
    /// Of which instance it is. What belongs together is of the same.
    pub(crate) fn instance(&self) -> &InstanceId {
        match self {
            Moved::Branch(branch) => &branch.instance,
            Moved::Client(client) => &client.instance,
            Moved::Upstream(upstream) => &upstream.instance,
        }
    }

    /// The number of the client that it is, for [`Exchange::give_out`].
    pub(crate) fn client(&self) -> Option<u64> {
        match self {
            Moved::Client(client) => Some(client.number),
            Moved::Branch(_) | Moved::Upstream(_) => None,
        }
    }

    /// Whether it is a client of which is yet to be seen whether it comes by TLS.
    pub(crate) fn is_unspoken(&self) -> bool {
        matches!(self, Moved::Client(client) if client.is_unspoken)
    }

    /// About how much room it takes.
    pub(crate) fn size(&self) -> usize {
        512 + match self {
            Moved::Branch(_) => 0,
            Moved::Client(client) => 2 * (client.input.0.len() + client.output.0.len()),
            Moved::Upstream(upstream) => {
                let bytes = upstream.output.0.len() + upstream.rest.0.len() + upstream.partial.0.len();
                2 * bytes + 128 * upstream.pending.len()
            }
        }
    }
}

/// As [`Client`] says.
#[derive(Serialize, Deserialize)]
pub(crate) struct MovedClient {
    number: u64,
    instance: InstanceId,
    vip: Vip,
    from: SocketAddr,
    signed_in: Option<Fingerprint>,
    standing: Standing,
    #[serde(default)]
    session: Option<Box<Session>>,
    #[serde(default)]
    upstream: Option<u64>,
    #[serde(default)]
    owns: bool,
    #[serde(default)]
    in_flight: u32,
    #[serde(default)]
    wait: Wait,
    #[serde(default)]
    input: Bytes,
    #[serde(default)]
    needs: usize,
    #[serde(default)]
    upload: Option<Rest>,
    #[serde(default)]
    is_spliced: bool,
    #[serde(default)]
    output: Bytes,
    #[serde(default)]
    has_ended: bool,
    #[serde(default)]
    is_leaving: bool,
    /// How long it has asked for nothing.
    #[serde(default)]
    idle_for: Duration,
    #[serde(default)]
    is_unspoken: bool,
}

/// As [`Upstream`] says.
#[derive(Serialize, Deserialize)]
pub(crate) struct MovedUpstream {
    number: u64,
    instance: InstanceId,
    addr: NodeAddr,
    is_connected: bool,
    wanted: Standing,
    has: Standing,
    #[serde(default)]
    owner: Option<u64>,
    /// Whether those share it who are what it is to be.
    #[serde(default)]
    is_pooled: bool,
    #[serde(default)]
    is_trial: bool,
    #[serde(default)]
    is_spliced: bool,
    #[serde(default)]
    follows_a_loss: bool,
    phase: Phase,
    #[serde(default)]
    pending: Vec<MovedPending>,
    /// The replica that it leads to.
    #[serde(default)]
    reader: Option<NodeAddr>,
    #[serde(default)]
    output: Bytes,
    #[serde(default)]
    written: usize,
    #[serde(default)]
    answered: usize,
    #[serde(default)]
    rest: Bytes,
    #[serde(default)]
    replies: Replies,
    #[serde(default)]
    partial: Bytes,
    #[serde(default)]
    in_message: bool,
    #[serde(default)]
    stalled_by: Option<u64>,
    #[serde(default)]
    tries: u32,
}

/// As [`Pending`] says.
#[derive(Serialize, Deserialize)]
struct MovedPending {
    /// `None`: nobody who is there.
    client: Option<u64>,
    command: u16,
    /// How long ago it was asked for.
    #[serde(default)]
    age: Duration,
    #[serde(default)]
    length: u32,
    what: What,
    /// How long a command has waited that blocks.
    #[serde(default)]
    waited: Duration,
}

impl<W: World> Exchange<W> {
    /// Gives out all there is, with the wires that belong to it. Nothing here changes by that.
    pub(crate) fn tell_all(&self, mut give: impl FnMut(Moved, Option<&W::Wire>) -> io::Result<()>) -> io::Result<()> {
        for (key, branch) in &self.branches {
            let ends = self.timers.iter().filter_map(|timer| match timer.0 {
                (at, Timer::HoldEnds(of, _)) if of == key => Some(at.saturating_duration_since(self.world.now())),
                _ => None,
            });
            let held_for = branch.is_held().then(|| ends.max().unwrap_or_default());
            let (instance, loads_scripts) = (branch.instance.id.clone(), branch.loads_scripts);
            if held_for.is_some() || loads_scripts {
                let is_ordered = branch.is_held_by_order();
                give(Moved::Branch(MovedBranch { instance, held_for, is_ordered, loads_scripts }), None)?;
            }
        }
        for (key, client) in &self.clients {
            give(Moved::Client(Box::new(self.tell_client(key, client))), Some(&client.wire))?;
        }
        for (key, upstream) in &self.upstreams {
            if upstream.owner.is_some_and(|owner| !self.clients.contains_key(owner)) {
                continue;
            }
            let Some(moved) = self.tell_upstream(key, upstream) else { continue };
            let wire = upstream.wire.as_ref().filter(|_| moved.is_connected);
            give(Moved::Upstream(Box::new(moved)), wire)?;
        }
        Ok(())
    }

    /// Gives out the wire of a client that was [told](Self::tell_all) of, by its number.
    pub(crate) fn give_out(&mut self, client: u64) -> Option<W::Wire> {
        self.clients.remove(KeyData::from_ffi(client).into()).map(|client| client.wire)
    }

    fn tell_client(&self, key: ClientKey, client: &Client<W::Wire>) -> MovedClient {
        MovedClient {
            number: number(key),
            instance: client.guest.instance.id.clone(),
            vip: client.vip,
            from: client.from.0,
            signed_in: client.guest.signed_in().cloned(),
            standing: client.standing.clone(),
            session: client.session.clone(),
            upstream: client.upstream.map(number),
            owns: client.owns,
            in_flight: client.in_flight,
            wait: client.wait,
            input: Bytes(client.input.clone()),
            needs: client.needs,
            upload: client.upload,
            is_spliced: client.is_spliced,
            output: Bytes(client.output[client.written..].to_vec()),
            has_ended: client.has_ended,
            is_leaving: client.is_leaving,
            idle_for: self.world.now().saturating_duration_since(client.active_at),
            is_unspoken: client.wire.passage() == Passage::Unspoken,
        }
    }

    fn tell_upstream(&self, key: UpstreamKey, upstream: &Upstream<W::Wire>) -> Option<MovedUpstream> {
        let branch = self.branches.get(upstream.branch)?;
        // Nobody's read is under way by one that is still to be of use; it is made anew, and then tells how far it is.
        upstream.reader.is_none_or(|_| !upstream.pending.is_empty()).then_some(())?;
        let now = self.world.now();
        let has_begun = matches!(upstream.phase, Phase::Settling | Phase::Ready | Phase::Parting);
        let pending = |pending: &Pending| MovedPending {
            client: self.clients.contains_key(pending.client).then(|| number(pending.client)),
            command: pending.command,
            age: now.saturating_duration_since(pending.at),
            length: pending.length,
            what: pending.what.clone(),
            waited: match &pending.what {
                What::Special(special) => match &**special {
                    Special::Blocked { since, .. } => now.saturating_duration_since(*since),
                    _ => Duration::ZERO,
                },
                What::Plain | What::Queued => Duration::ZERO,
            },
        };
        Some(MovedUpstream {
            number: number(key),
            instance: branch.instance.id.clone(),
            addr: upstream.addr,
            is_connected: has_begun && upstream.wire.is_some(),
            wanted: upstream.wanted.clone(),
            has: upstream.has.clone(),
            owner: upstream.owner.map(number),
            is_pooled: branch.pool.get(&upstream.wanted).is_some_and(|shared| shared.contains(&key)),
            is_trial: upstream.is_trial,
            is_spliced: upstream.is_spliced,
            follows_a_loss: upstream.follows_a_loss,
            phase: upstream.phase,
            pending: upstream.pending.iter().map(pending).collect(),
            reader: upstream.reader,
            output: Bytes(upstream.output.clone()),
            written: upstream.written,
            answered: upstream.answered,
            rest: Bytes(upstream.rest.clone()),
            replies: upstream.replies.clone(),
            partial: Bytes(upstream.partial.clone()),
            in_message: upstream.in_message,
            stalled_by: upstream.stalled.map(|stall| number(stall.by)),
            tries: upstream.tries,
        })
    }

    /// Goes on with what exchanges of a predecessor have told, each with its number, under the routes that they had.
    pub(crate) fn take_over(&mut self, all: Vec<(usize, Moved, Option<W::Wire>)>) {
        let mut taking = Taking::default();
        let mut upstreams = Vec::new();
        for (of, moved, wire) in all {
            taking.of = of;
            match (moved, wire) {
                (Moved::Branch(branch), _) => self.take_branch(&branch),
                (Moved::Client(client), Some(wire)) => self.take_client(*client, wire, &mut taking),
                (Moved::Client(_), None) => {}
                (Moved::Upstream(upstream), wire) => upstreams.push((of, *upstream, wire)),
            }
        }
        // What the nodes have is known before somebody asks for it.
        self.learn_commands();
        for (of, upstream, wire) in upstreams {
            taking.of = of;
            self.take_upstream(upstream, wire, &mut taking);
        }
        for (key, upstream) in std::mem::take(&mut taking.put_through) {
            self.put_through(key, taking.upstreams.get(&upstream).copied());
        }
        for key in self.branches.keys().collect::<Vec<_>>() {
            self.prepare_again(key);
        }
        for key in taking.clients.into_values() {
            let Some(client) = self.clients.get(key) else { continue };
            // What it waits for may have come about meanwhile; it looks for itself.
            if client.wait == Wait::Held {
                self.hold_client(key);
            } else {
                self.todo.push_back(key);
            }
            self.watch_client(key);
        }
        for key in taking.upstreams.into_values() {
            self.unsent.push(key);
            self.watch_upstream(key);
            self.settle_upstream(key);
            self.parted(key);
        }
        self.settle();
    }

    fn take_branch(&mut self, moved: &MovedBranch) {
        let Some(&key) = self.by_instance.get(&moved.instance) else { return };
        self.branches[key].loads_scripts |= moved.loads_scripts;
        if let Some(left) = moved.held_for {
            self.holds += 1;
            let number = self.holds;
            self.branches[key].hold_again(number, moved.is_ordered);
            self.set_timer(left, Timer::HoldEnds(key, number));
        }
    }

    fn take_client(&mut self, moved: MovedClient, wire: W::Wire, taking: &mut Taking) {
        let from = ClientAddr(moved.from);
        let Some(branch) = self.doors.get(&moved.vip).and_then(|door| self.branches.get(door.branch)) else {
            return debug!(%from, "reset a client: its address is not there any more");
        };
        let guest = branch.instance.admit_again(moved.signed_in);
        let Some(key) = self.admit(wire, moved.vip, from, guest) else { return };
        let now = self.world.now();
        let client = &mut self.clients[key];
        self.branches[client.branch].sight.was_here();
        client.standing = taking.standing(moved.standing);
        client.session = moved.session;
        client.owns = moved.owns;
        client.in_flight = moved.in_flight;
        client.wait = moved.wait;
        client.input = moved.input.0;
        client.needs = moved.needs;
        client.upload = moved.upload;
        client.is_spliced = moved.is_spliced;
        client.output = moved.output.0;
        client.has_ended = moved.has_ended;
        client.is_leaving = moved.is_leaving;
        client.active_at = now.checked_sub(moved.idle_for).unwrap_or(now);
        taking.clients.insert((taking.of, moved.number), key);
        if let Some(upstream) = moved.upstream {
            taking.put_through.push((key, (taking.of, upstream)));
        }
    }

    fn take_upstream(&mut self, moved: MovedUpstream, wire: Option<W::Wire>, taking: &mut Taking) {
        let owner = taking.client(moved.owner);
        let Some(&branch) = self.by_instance.get(&moved.instance) else { return };
        // One whose owner did not come along is of no use.
        if moved.owner.is_some() && owner.is_none() {
            return;
        }
        let now = self.world.now();
        let wanted = taking.standing(moved.wanted);
        let key = self.add_upstream(branch, Some(moved.addr), wanted.clone(), owner);
        taking.upstreams.insert((taking.of, moved.number), key);
        let branch = &mut self.branches[branch];
        if moved.is_pooled {
            branch.pool.entry(wanted).or_default().push(key);
        }
        let leads = branch.target.as_ref().is_some_and(|target| target.addr == moved.addr);
        let is_held = branch.is_held();
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.is_trial = moved.is_trial;
        upstream.follows_a_loss = moved.follows_a_loss;
        let Some(wire) = wire else {
            return self.dial(key);
        };
        upstream.has = taking.standing(moved.has);
        upstream.is_spliced = moved.is_spliced;
        upstream.reader = moved.reader;
        // How far a replica is, it is to say anew before it is asked more.
        upstream.phase = if moved.reader.is_some() { Phase::Parting } else { moved.phase };
        upstream.is_open = upstream.phase == Phase::Ready && !is_held;
        upstream.output = moved.output.0;
        upstream.written = moved.written.min(upstream.output.len());
        upstream.answered = moved.answered;
        upstream.rest = moved.rest.0;
        upstream.replies = moved.replies;
        upstream.partial = moved.partial.0;
        upstream.in_message = moved.in_message;
        upstream.stalled = taking.client(moved.stalled_by).map(|by| Stall { by, since: now });
        upstream.tries = moved.tries;
        for mut pending in moved.pending {
            if let What::Special(special) = &mut pending.what
                && let Special::Blocked { since, .. } = &mut **special
            {
                *since = now.checked_sub(pending.waited).unwrap_or(now);
            }
            // Whoever did not come along hears nothing; whoever asks next is not given the answer.
            let client = taking.client(pending.client).unwrap_or_default();
            let at = now.checked_sub(pending.age).unwrap_or(now);
            let (command, length, what) = (pending.command, pending.length, pending.what);
            upstream.under_way += length as usize;
            upstream.pending.push_back(Pending { client, command, at, length, what });
        }
        upstream.watched = Interest { reads: true, ..Interest::default() };
        let watched = self.world.watch(&wire, Self::upstream_token(key), upstream.watched, true);
        upstream.wire = Some(wire);
        let phase = upstream.phase;
        if let Err(error) = watched {
            debug!(%error, "a connection to a node can't be watched");
            return self.lose(key);
        }
        if phase == Phase::Parting && !leads && moved.reader.is_none() {
            self.set_timer(PART_FOR, Timer::Part(key));
        }
    }

    fn put_through(&mut self, key: ClientKey, upstream: Option<UpstreamKey>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match upstream.filter(|upstream| self.upstreams.contains_key(*upstream)) {
            Some(upstream) => client.upstream = Some(upstream),
            None if client.in_flight > 0 => self.cut(key, "its connection to the node did not come along"),
            None if client.owns => self.carry(key, false),
            None => client.upstream = None,
        }
    }
}

/// What has its new names already.
#[derive(Default)]
struct Taking {
    /// Of which exchange what is taken now was.
    of: usize,
    clients: HashMap<(usize, u64), ClientKey>,
    upstreams: HashMap<(usize, u64), UpstreamKey>,
    put_through: Vec<(ClientKey, (usize, u64))>,
    /// Thousands of clients have the same.
    logins: HashSet<Arc<Credential>>,
}

impl Taking {
    fn client(&self, number: Option<u64>) -> Option<ClientKey> {
        self.clients.get(&(self.of, number?)).copied()
    }

    fn standing(&mut self, mut standing: Standing) -> Standing {
        if let Some(login) = &standing.login {
            match self.logins.get(login) {
                Some(known) => standing.login = Some(known.clone()),
                None => drop(self.logins.insert(login.clone())),
            }
        }
        standing
    }
}

fn number(key: impl slotmap::Key) -> u64 {
    key.data().as_ffi()
}

/// Bytes, written as digits: a list of numbers would be twice as long.
#[derive(Clone, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(&self.0))
    }
}

impl<'a> Deserialize<'a> for Bytes {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Bytes, D::Error> {
        let digits = String::deserialize(from)?;
        hex::decode(digits).map(Bytes).map_err(serde::de::Error::custom)
    }
}
