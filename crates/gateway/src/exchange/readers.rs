//! How replicas answer reads: those of clients that are to read there, as long as a replica is not too far behind.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{NodeAddr, Reader};

use super::answers::{Special, What};
use super::clients::Wait;
use super::upstreams::Upstream;
use super::{BranchKey, ClientKey, Exchange, HashMap, HashSet, Timer, UpstreamKey};
use crate::session::Standing;
use crate::world::World;

/// How far behind the primary a replica may be that answers reads.
const LAG_LIMIT: Duration = Duration::from_secs(5);
/// How long ago it may have said how far it is.
const HEARD_WITHIN: Duration = Duration::from_secs(4);
/// How long a replica that could not be reached is left alone.
const LEAVES_ALONE_FOR: Duration = Duration::from_secs(1);
/// How long a replica may take to be reached, and to say how far it is, before its reads go elsewhere; a slow read it may
/// take longer for.
const REACHED_WITHIN: Duration = Duration::from_secs(1);
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);
/// How many of the primary's offsets are remembered, one a second.
const REMEMBERED: usize = 32;
/// What nodes are asked to learn how far they are.
pub(super) const ASKS_HOW_FAR: &[u8] = b"*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n";

/// The replicas of an instance that may answer reads.
#[derive(Default)]
pub(super) struct Replicas {
    readers: Arc<Vec<Reader>>,
    /// What is known of each.
    known: HashMap<NodeAddr, Known>,
    pool: HashMap<(NodeAddr, Standing), UpstreamKey>,
    /// Where the primary was, and when.
    primary: VecDeque<(Instant, u64)>,
    /// Whose reads they answer: the default user's, and those of accounts.
    of_default: bool,
    of_accounts: HashSet<Vec<u8>>,
    turn: u64,
}

/// What is known of a replica.
#[derive(Clone, Copy, Default)]
struct Known {
    heard_at: Option<Instant>,
    /// How far behind it is then; `None` where it does not follow the primary.
    lag: Option<Duration>,
    /// Until when it is not tried.
    rests_until: Option<Instant>,
}

impl Replicas {
    #[inline]
    pub(super) fn has_any(&self) -> bool {
        !self.readers.is_empty()
    }

    fn answers(&self, standing: &Standing) -> bool {
        match standing.login.as_ref().and_then(|login| login.user.as_deref()) {
            None | Some(b"default") => self.of_default,
            Some(account) => self.of_accounts.contains(account),
        }
    }

    /// Whether a replica may be asked: it is not too far behind, or was never heard of and tells that first.
    fn can_answer(&self, addr: NodeAddr, now: Instant) -> bool {
        let Some(known) = self.known.get(&addr) else { return true };
        if known.rests_until.is_some_and(|until| now < until) {
            return false;
        }
        match known.heard_at {
            Some(at) if now.saturating_duration_since(at) <= HEARD_WITHIN => {
                known.lag.is_some_and(|lag| lag <= LAG_LIMIT)
            }
            // A new connection asks before it is used; of those that there are one should have been answered.
            _ => !self.pool.keys().any(|(of, _)| *of == addr),
        }
    }

    /// Whether the last that is known of a replica is that it could not be reached, or gave no answer.
    fn has_failed(&self, addr: NodeAddr) -> bool {
        self.known.get(&addr).is_some_and(|known| known.rests_until.is_some())
    }

    /// The one whose turn it is, by weight, of those that can answer.
    fn choose(&mut self, now: Instant) -> Option<NodeAddr> {
        let able = |reader: &&Reader| reader.weight > 0 && self.can_answer(reader.target.addr, now);
        let total: u64 = self.readers.iter().filter(able).map(|reader| u64::from(reader.weight)).sum();
        // A step that has no divisor in common with usual weights goes round all of them.
        let mut place = self.turn.wrapping_mul(61) % total.max(1);
        let chosen = self.readers.iter().filter(able).find(|reader| {
            let is_it = place < u64::from(reader.weight);
            place = place.saturating_sub(reader.weight.into());
            is_it
        });
        let chosen = chosen.map(|reader| reader.target.addr);
        self.turn = self.turn.wrapping_add(1);
        chosen
    }

    pub(super) fn forget(&mut self, key: UpstreamKey, reader: Option<NodeAddr>, standing: &Standing) {
        let Some(addr) = reader else { return };
        let place = (addr, standing.clone());
        if self.pool.get(&place) == Some(&key) {
            self.pool.remove(&place);
        }
    }

    /// How far behind a replica is that has got so much of the stream: as long as it is since the primary was there.
    fn lag(&self, offset: u64, now: Instant) -> Duration {
        let behind = self.primary.iter().find(|(_, of_primary)| *of_primary > offset);
        behind.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }
}

impl<W: World> Exchange<W> {
    /// Takes over which replicas may answer reads, and whose.
    pub(super) fn set_readers(&mut self, key: BranchKey, readers: &Arc<Vec<Reader>>) {
        let Some(branch) = self.branches.get_mut(key) else { return };
        let rules = branch.instance.rules();
        let replicas = &mut branch.replicas;
        replicas.of_default = rules.logins.default_reads_replicas;
        replicas.of_accounts = rules.logins.replica_readers.iter().map(|name| name.clone().into_bytes()).collect();
        if replicas.readers == *readers {
            return;
        }
        replicas.readers = readers.clone();
        let named: HashSet<NodeAddr> = readers.iter().map(|reader| reader.target.addr).collect();
        replicas.known.retain(|addr, _| named.contains(addr));
        let all = branch.upstreams.iter().copied();
        let gone = all.filter(|key| {
            let reader = self.upstreams.get(*key).and_then(|upstream| upstream.reader);
            reader.is_some_and(|addr| !named.contains(&addr))
        });
        for upstream in gone.collect::<Vec<_>>() {
            self.lose_reader(upstream);
        }
    }

    /// Where a client's next read goes. `None`: it waits, or is gone.
    pub(super) fn place_of_read(&mut self, key: ClientKey) -> Option<UpstreamKey> {
        let now = self.world.now();
        let client = self.clients.get_mut(key)?;
        let branch = self.branches.get_mut(client.branch)?;
        if client.owns || client.is_slow() || branch.is_held() || !branch.replicas.answers(&client.standing) {
            return self.place(key, false);
        }
        if let Some(current) = client.upstream
            && client.in_flight > 0
        {
            // What is under way is answered first, so that replies come in the order of requests.
            let goes_on =
                self.upstreams.get(current).is_some_and(|upstream| upstream.is_open && upstream.reader.is_some());
            if !goes_on {
                client.wait = Wait::Answers;
            }
            return goes_on.then_some(current);
        }
        let Some(addr) = branch.replicas.choose(now) else { return self.place(key, false) };
        let place = (addr, client.standing.clone());
        let (branch, found) = (client.branch, branch.replicas.pool.get(&place).copied());
        let upstream = match found.filter(|found| self.upstreams.contains_key(*found)) {
            Some(found) => found,
            None => {
                let made = self.add_upstream(branch, Some(addr), place.1.clone(), None);
                if let Some(upstream) = self.upstreams.get_mut(made) {
                    upstream.reader = Some(addr);
                    upstream.dials_until = now + REACHED_WITHIN;
                }
                self.set_timer(REACHED_WITHIN, Timer::GiveUp(made));
                self.branches[branch].replicas.pool.insert(place, made);
                self.dial(made);
                made
            }
        };
        let Some(found) = self.upstreams.get_mut(upstream) else { return self.place(key, false) };
        if !found.is_open && self.branches[branch].replicas.has_failed(addr) {
            // It is tried again, and nobody waits for that a second time.
            return self.place(key, false);
        }
        let client = self.clients.get_mut(key)?;
        client.upstream = Some(upstream);
        client.owns = false;
        if found.is_open {
            return Some(upstream);
        }
        client.wait = Wait::Upstream;
        found.waiting.push(key);
        None
    }

    /// Goes on without a replica: what it was asked and has not answered is asked of another node.
    pub(super) fn lose_reader(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.remove_upstream(key) else { return };
        let rests_until = Some(self.world.now() + LEAVES_ALONE_FOR);
        if let Some(branch) = self.branches.get_mut(upstream.branch)
            && let Some(addr) = upstream.reader
        {
            branch.replicas.known.insert(addr, Known { rests_until, ..Known::default() });
        }
        self.reclaim(upstream);
    }

    /// Asks again what an upstream was asked that is no more, and that changes nothing.
    pub(super) fn reclaim(&mut self, upstream: Upstream<W::Wire>) {
        for client in &upstream.waiting {
            self.todo.push_back(*client);
        }
        // Of an answer that has begun the client may have got a part.
        let begun =
            if upstream.replies.is_inside() { upstream.pending.front().map(|pending| pending.client) } else { None };
        let Some(requests) = upstream.requests() else {
            for pending in &upstream.pending {
                self.cut(pending.client, "the replica is gone, and its answer with it");
            }
            return;
        };
        let mut again: HashMap<ClientKey, Vec<u8>> = HashMap::default();
        for (client, request) in requests {
            again.entry(client).or_default().extend_from_slice(request);
        }
        for (key, mut requests) in again {
            if begun == Some(key) {
                self.cut(key, "the replica is gone, and the rest of its answer with it");
                continue;
            }
            let Some(client) = self.clients.get_mut(key) else { continue };
            requests.append(&mut client.input);
            client.input = requests;
            client.needs = 0;
            client.in_flight = 0;
            client.upstream = None;
            self.todo.push_back(key);
        }
    }

    /// Asks the nodes of instances with readers how far they are.
    pub(super) fn ask_how_far(&mut self) {
        let now = self.world.now();
        let hangs = |upstream: &Upstream<W::Wire>| {
            let asked_at = upstream.pending.iter().find(|pending| pending.client == ClientKey::default());
            asked_at.is_some_and(|asked| now.saturating_duration_since(asked.at) > ANSWERS_WITHIN)
        };
        let hung = self.upstreams.iter().filter(|(_, upstream)| upstream.reader.is_some() && hangs(upstream));
        for key in hung.map(|(key, _)| key).collect::<Vec<_>>() {
            self.lose_reader(key);
        }
        for branch in self.branches.values().filter(|branch| branch.replicas.has_any()) {
            let of_primary = branch.pool.values().flatten().copied();
            let primary = of_primary.into_iter().find(|key| self.upstreams.get(*key).is_some_and(|of| of.is_open));
            let mut asked: HashSet<NodeAddr> = HashSet::default();
            let of_readers = branch.replicas.pool.iter().filter(|((addr, _), _)| asked.insert(*addr));
            for key in of_readers.map(|(_, key)| *key).chain(primary) {
                if let Some(upstream) = self.upstreams.get_mut(key).filter(|upstream| upstream.is_open) {
                    upstream.ask(ASKS_HOW_FAR, What::Special(Box::new(Special::HowFar)));
                    self.unsent.push(key);
                }
            }
        }
    }

    pub(super) fn take_how_far(&mut self, key: UpstreamKey, reply: &[u8]) {
        let now = self.world.now();
        let Some(upstream) = self.upstreams.get(key) else { return };
        let Some(branch) = self.branches.get_mut(upstream.branch) else { return };
        let text = String::from_utf8_lossy(reply);
        let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'));
        let number = |name: &str| field(name).and_then(|number| number.parse().ok());
        let replicas = &mut branch.replicas;
        match upstream.reader {
            None => {
                let Some(offset) = number("master_repl_offset") else { return };
                // Another primary counts anew.
                if replicas.primary.back().is_some_and(|(_, last)| *last > offset) {
                    replicas.primary.clear();
                }
                replicas.primary.push_back((now, offset));
                if replicas.primary.len() > REMEMBERED {
                    replicas.primary.pop_front();
                }
            }
            Some(addr) => {
                let follows = field("role") == Some("slave") && field("master_link_status") == Some("up");
                let lag = number("slave_repl_offset").filter(|_| follows).map(|offset| replicas.lag(offset, now));
                let known = replicas.known.entry(addr).or_default();
                *known = Known { heard_at: Some(now), lag, rests_until: None };
                let is_too_far = lag.is_none_or(|lag| lag > LAG_LIMIT);
                if is_too_far {
                    // Those who wait for it go elsewhere.
                    let waiting: Vec<_> = self
                        .upstreams
                        .get_mut(key)
                        .map(|upstream| upstream.waiting.drain(..).collect())
                        .unwrap_or_default();
                    for client in waiting {
                        if let Some(client) = self.clients.get_mut(client) {
                            client.upstream = None;
                        }
                        self.todo.push_back(client);
                    }
                }
            }
        }
    }
}
