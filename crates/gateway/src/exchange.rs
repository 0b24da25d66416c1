//! The exchange: what one event loop knows of its clients, of the connections to nodes that it shares among them, and of
//! who is to be put through to whom.
//!
//! A client's requests are read one by one. Those that leave nothing behind in a connection go, with the requests of
//! others, over an [`Upstream`] that all share who have the same [`Standing`]; from the first that leaves something behind
//! (a transaction, a subscription, a wait) a client has an upstream of its own, until nothing of that is left. Since what
//! is left is known ([`Session`]), any upstream can be replaced by one to another node: that is what a switch does.
//!
//! - `clients` is what comes from clients and goes to them, `requests` and `standings` what each request means,
//! - `upstreams` and `losses` how connections to nodes are made and lost, `sharing` how clients share them, `answers` what
//!   comes from them, `pace` what becomes of that where a client does not read it,
//! - `readers` how replicas answer reads,
//! - `branches` what the table says, and how clients are held and moved; `seen` is what is noted of all that,
//! - `moving` how all of it goes to another process.
//!
//! Nothing here waits or sleeps, and all that it does to the world goes through [`World`].

mod answers;
mod branches;
mod clients;
#[cfg(any(test, feature = "simulation"))]
mod inspection;
mod losses;
mod moving;
mod pace;
mod readers;
mod requests;
mod seen;
mod sharing;
mod standings;
mod upstreams;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use model::{InstanceId, Vip};
use slotmap::{Key as _, KeyData, SlotMap, new_key_type};

use self::branches::{Branch, Door};
pub(crate) use self::branches::{Held, LoopRoute, accepts};
use self::clients::Client;
#[cfg(any(test, feature = "simulation"))]
pub(crate) use self::inspection::Inspection;
pub(crate) use self::moving::{Bytes, Moved};
use self::upstreams::Upstream;
use crate::framing::Framer;
use crate::world::{Ready, Token, World};

/// In a simulation what has no order has the same one each time.
#[cfg(any(test, feature = "simulation"))]
type Hashing = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;
#[cfg(not(any(test, feature = "simulation")))]
type Hashing = std::hash::RandomState;
type HashMap<K, V> = std::collections::HashMap<K, V, Hashing>;
type HashSet<K> = std::collections::HashSet<K, Hashing>;

new_key_type! {
    pub(crate) struct ClientKey;
    pub(crate) struct UpstreamKey;
    pub(crate) struct BranchKey;
}

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// How often what is idle is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often commands that keep others waiting are looked for.
const GLANCE_EVERY: Duration = Duration::from_millis(50);

/// What is to be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Look for what is idle.
    Sweep,
    /// Look for commands that keep others waiting.
    Glance,
    /// Try again to reach the node.
    Dial(UpstreamKey),
    /// The node was not reached in time.
    GiveUp(UpstreamKey),
    /// A hold, by its number, has lasted as long as it may.
    HoldEnds(BranchKey, u64),
    /// What a former node has not answered by now is not waited for.
    Part(UpstreamKey),
    /// The client may go on, having kept to its rate or waited for a node to lead.
    Resume(ClientKey),
    /// The client gets something again, after its instance was ahead of its rate.
    Unmute(ClientKey),
}

/// As the module says.
pub(crate) struct Exchange<W: World> {
    world: W,
    clients: SlotMap<ClientKey, Client<W::Wire>>,
    upstreams: SlotMap<UpstreamKey, Upstream<W::Wire>>,
    branches: SlotMap<BranchKey, Branch>,
    by_instance: HashMap<InstanceId, BranchKey>,
    doors: HashMap<Vip, Door>,
    framer: Framer,
    /// What is read goes through here; empty while it is being looked at.
    buffer: Vec<u8>,
    /// Clients that can go on.
    todo: VecDeque<ClientKey>,
    /// Upstreams that have something to send.
    unsent: Vec<UpstreamKey>,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    holds: u64,
    /// Which of the loops this is of.
    number: u16,
}

impl<W: World> Exchange<W> {
    pub(crate) fn new(world: W, number: u16) -> Self {
        let now = world.now();
        Exchange {
            world,
            clients: SlotMap::with_key(),
            upstreams: SlotMap::with_key(),
            branches: SlotMap::with_key(),
            by_instance: HashMap::default(),
            doors: HashMap::default(),
            framer: Framer::default(),
            buffer: vec![0; CHUNK],
            todo: VecDeque::new(),
            unsent: Vec::new(),
            timers: BinaryHeap::from([Reverse((now, Timer::Sweep)), Reverse((now, Timer::Glance))]),
            holds: 0,
            number,
        }
    }

    pub(crate) fn world(&mut self) -> &mut W {
        &mut self.world
    }

    /// A wire is ready. What follows from it is not done until [`Self::settle`].
    pub(crate) fn ready(&mut self, token: Token, ready: Ready) {
        match token {
            Token::Client(key) => self.client_ready(KeyData::from_ffi(key).into(), ready),
            Token::Node(key) => self.upstream_ready(KeyData::from_ffi(key).into(), ready),
        }
    }

    /// Does all that can be done now.
    pub(crate) fn settle(&mut self) {
        self.run_timers();
        loop {
            while let Some(key) = self.todo.pop_front() {
                self.resume(key);
            }
            self.send_all();
            if self.todo.is_empty() {
                break;
            }
        }
        self.tell_who_waits_for_quiet();
    }

    /// When [`Self::settle`] is needed at the latest, though no wire is ready.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    fn set_timer(&mut self, after: Duration, timer: Timer) {
        let at = self.world.now() + after;
        self.timers.push(Reverse((at, timer)));
    }

    fn run_timers(&mut self) {
        let now = self.world.now();
        while let Some(Reverse((at, timer))) = self.timers.peek().copied()
            && at <= now
        {
            self.timers.pop();
            match timer {
                Timer::Sweep => {
                    self.sweep();
                    self.set_timer(SWEEP_EVERY, Timer::Sweep);
                }
                Timer::Glance => {
                    self.leave_slow_ones();
                    self.set_timer(GLANCE_EVERY, Timer::Glance);
                }
                Timer::Dial(key) => self.dial(key),
                Timer::GiveUp(key) => self.give_up(key),
                Timer::HoldEnds(branch, number) => self.end_hold(branch, number),
                Timer::Part(key) => self.part(key),
                Timer::Resume(key) => self.todo.push_back(key),
                Timer::Unmute(key) => self.unmute(key),
            }
        }
    }

    fn client_token(key: ClientKey) -> Token {
        Token::Client(key.data().as_ffi())
    }

    fn upstream_token(key: UpstreamKey) -> Token {
        Token::Node(key.data().as_ffi())
    }
}
