//! A scene: an exchange between callers and nodes, and what happens there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Fingerprint, InstanceId, Limits, Logins, Reader, Vip};

use super::author::{Author, MALFORMED};
use super::caller::{Around, Caller, Disturbance, Published};
use super::chance::Chance;
use super::data::{Data, Effect, own_data};
use super::events::Affair;
use super::net::{End, Net, Shared, Watcher};
use super::node::Node;
use super::words::shown_words;
use crate::connection::ClientAddr;
use crate::exchange::{Exchange, LoopRoute};
use crate::instance::Instance;
use crate::login::fingerprint;

/// How often everybody may act at one moment before that is taken for having no end.
const MOST_AT_ONCE: usize = 20_000;
/// How many readable things may stay as they are before that is taken for a loop that is busy for nothing.
const MOST_IDLE_TURNS: usize = 20;

/// As the module says.
pub(super) struct Scene {
    pub(super) net: Shared,
    pub(super) exchange: Exchange<Watcher>,
    pub(super) instance: Arc<Instance>,
    pub(super) nodes: Vec<Node>,
    pub(super) callers: Vec<Caller>,
    /// What the primaries have done.
    pub(super) log: Vec<Effect>,
    pub(super) affair: Affair,
    pub(super) primary: usize,
    /// Who leads as far as the exchange knows.
    pub(super) in_force: usize,
    pub(super) readers: Vec<usize>,
    pub(super) passwords: Vec<String>,
    pub(super) limits: Limits,
    /// Primaries may die.
    pub(super) is_rough: bool,
    /// Replicas answer reads, and may be behind.
    pub(super) has_readers: bool,
    pub(super) is_wordy: bool,
    pub(super) disturbances: Vec<Disturbance>,
    published: Vec<Published>,
    /// The scripts that the instance has.
    scripts: BTreeSet<usize>,
    /// What may have become of the data of those who are gone, by what their keys begin with.
    graves: Vec<(String, Vec<Data>)>,
    /// The last element that was put into the queue of a caller's life.
    pub(super) pushed: Vec<(String, u64)>,
    pub(super) wakes: bool,
    /// When the last of the former primaries was left.
    pub(super) left_at: Option<Instant>,
    /// Until when somebody may have yet to hear of what has happened to the primary.
    pub(super) troubled_until: Option<Instant>,
    pub(super) may_lose: bool,
    idle_turns: usize,
    at_once: usize,
    /// What has happened, the last of it.
    pub(super) story: Vec<String>,
}

pub(super) fn vip() -> Vip {
    Vip(SocketAddr::from(([127, 0, 0, 1], 6379)))
}

impl Scene {
    pub(super) fn new(bytes: &[u8]) -> Scene {
        let net = Shared::new(Net::new(Chance::new(bytes), Instant::now()).into());
        let chance = |count| net.borrow_mut().chance.below(count);
        let (is_rough, has_readers) = (chance(3) == 2, chance(4) == 3);
        let passwords = if chance(3) == 2 { vec!["pw0".to_owned()] } else { Vec::new() };
        let is_wordy = chance(4) == 3;
        let room = [64 * 1024, 256 * 1024, 4096, 100][chance(4)];
        let callers = 1 + (2 + chance(4)) % 4;
        net.borrow_mut().room = if is_wordy { room.max(16 * 1024) } else { room };
        let instance = Arc::new(Instance::new(InstanceId::from_random(7), 0));
        let exchange = Exchange::new(Watcher::new(&net), 0);
        let nodes = (0..3).map(|number| Node::new(number, &net)).collect();
        let readers = if has_readers { vec![1, 2] } else { Vec::new() };
        let mut scene = Scene {
            net,
            exchange,
            instance,
            nodes,
            callers: Vec::new(),
            log: Vec::new(),
            affair: Affair::None,
            primary: 0,
            in_force: 0,
            readers,
            passwords,
            limits: Limits::default(),
            is_rough,
            has_readers,
            is_wordy,
            disturbances: Vec::new(),
            published: Vec::new(),
            scripts: BTreeSet::new(),
            graves: Vec::new(),
            pushed: Vec::new(),
            wakes: false,
            left_at: None,
            troubled_until: None,
            may_lose: is_rough,
            idle_turns: 0,
            at_once: 0,
            story: Vec::new(),
        };
        scene.tell(format!("rough {is_rough}, readers {has_readers}, {} callers, room {room}", callers));
        scene.set_passwords();
        scene.enforce();
        for number in 0..callers {
            scene.enter(number, 0);
        }
        scene
    }

    pub(super) fn below(&self, end: usize) -> usize {
        self.net.borrow_mut().chance.below(end)
    }

    pub(super) fn now(&self) -> Instant {
        self.net.borrow().now
    }

    pub(super) fn tell(&mut self, what: String) {
        if self.story.len() > 400 {
            self.story.drain(..200);
        }
        let at = self.net.borrow().time_of_scene();
        self.story.push(format!("{at:>9.4?} {what}"));
    }

    pub(super) fn set_passwords(&mut self) {
        for node in &mut self.nodes {
            node.engine.passwords = self.passwords.iter().map(|word| word.clone().into_bytes()).collect();
        }
        for caller in &mut self.callers {
            caller.engine.passwords = self.passwords.iter().map(|word| word.clone().into_bytes()).collect();
        }
        self.agree();
    }

    /// Has the instance be as the table says.
    pub(super) fn agree(&self) {
        let print = |index: usize| -> Option<Fingerprint> {
            let password = self.passwords.len().checked_sub(1 + index).and_then(|at| self.passwords.get(at))?;
            Some(fingerprint(&self.instance.id, password.as_bytes()))
        };
        let logins = Logins {
            separator: "@".into(),
            accounts: vec!["ann".into()],
            password: print(0),
            old_password: print(1),
            replica_readers: vec!["ann".into()],
            default_reads_replicas: true,
        };
        self.instance.set(self.limits, &logins);
    }

    pub(super) fn routes_to(&self, primary: usize) -> Vec<LoopRoute> {
        let reader = |number: &usize| Reader { target: self.nodes[*number].target(), weight: 100 };
        let readers = self.readers.iter().filter(|number| **number != primary).map(reader).collect();
        vec![LoopRoute {
            vip: vip(),
            instance: self.instance.clone(),
            target: Some(self.nodes[primary].target()),
            sources: None,
            readers: Arc::new(readers),
        }]
    }

    pub(super) fn enforce(&mut self) {
        self.agree();
        self.in_force = self.primary;
        let routes = self.routes_to(self.primary);
        self.exchange.set_routes(&routes);
    }

    /// A caller comes, or comes back.
    pub(super) fn enter(&mut self, number: usize, life: usize) {
        let Some(guest) = self.instance.admit() else { return };
        let (client, gateway) = End::pair(&self.net);
        let passwords: Vec<_> = self.passwords.iter().map(|word| word.clone().into_bytes()).collect();
        let caller = Caller::new(number, life, client, &passwords);
        let from = ClientAddr(SocketAddr::from(([127, 0, 0, 1], 40_000 + number as u16)));
        self.exchange.admit(gateway, vip(), from, guest);
        self.tell(format!("{} comes", caller.prefix()));
        match self.callers.iter_mut().find(|caller| caller.number == number) {
            Some(former) => *former = caller,
            None => self.callers.push(caller),
        }
    }

    /// A caller's connection is gone; what its data is then is remembered.
    pub(super) fn leave(&mut self, index: usize, why: &str) {
        let caller = &mut self.callers[index];
        caller.end = None;
        let (prefix, ends) = (caller.prefix(), caller.possible_ends());
        self.tell(format!("{prefix} is gone: {why}"));
        self.graves.push((prefix, ends));
    }

    /// Everybody acts once.
    pub(super) fn turn(&mut self) -> Result<(), String> {
        let before = self.net.borrow().deeds;
        self.go_on_with_affair()?;
        for index in 0..self.callers.len() {
            self.act(index)?;
        }
        let was_ready = self.serve();
        let mut is_delayed = false;
        for number in 0..self.nodes.len() {
            if self.below(8) == 7 {
                is_delayed = true;
                continue;
            }
            let (nodes, log) = (&mut self.nodes, &mut self.log);
            nodes[number].step(&self.net, log)?;
            if nodes[number].engine.follows && !nodes[number].is_dead {
                let behind = if self.has_readers { self.net.borrow_mut().chance.below(6) } else { 0 };
                nodes[number].follow(log, log.len().saturating_sub(behind));
            }
        }
        self.look()?;
        let has_moved = self.net.borrow().deeds != before;
        self.pass_time(has_moved, is_delayed, was_ready)
    }

    /// The exchange does what follows from what is ready; answers whether anything was.
    fn serve(&mut self) -> bool {
        let mut ready = self.exchange.world().ready();
        let was_ready = !ready.is_empty();
        if ready.len() > 1 {
            let first = self.below(ready.len());
            ready.rotate_left(first);
            if self.below(5) == 4 {
                ready.truncate(1);
            }
        }
        for (token, ready) in ready {
            self.exchange.ready(token, ready);
        }
        self.exchange.settle();
        was_ready
    }

    fn pass_time(&mut self, has_moved: bool, is_delayed: bool, was_ready: bool) -> Result<(), String> {
        let now = self.now();
        self.idle_turns = if was_ready && !has_moved && !is_delayed { self.idle_turns + 1 } else { 0 };
        if self.idle_turns > MOST_IDLE_TURNS {
            return Err("the loop is busy, and does nothing".into());
        }
        self.at_once += 1;
        if self.at_once > MOST_AT_ONCE {
            return Err("there is no end to what happens at one moment".into());
        }
        let takes = match () {
            () if has_moved => Duration::from_micros([0, 50, 300, 2000, 20_000][self.below(5)]),
            () if is_delayed => Duration::from_micros(500),
            () => {
                let hung = self.nodes.iter().filter_map(|node| node.hangs_until).filter(|at| *at > now).min();
                let next = [
                    self.exchange.next_timer(),
                    self.affair.next(),
                    self.net.borrow().next_arrival(),
                    self.nodes.iter().filter_map(|node| node.engine.next_waking()).min(),
                    self.callers.iter().filter_map(|caller| caller.naps_until).min(),
                    hung,
                ];
                let next = next.into_iter().flatten().min().unwrap_or(now);
                next.saturating_duration_since(now).max(Duration::from_micros(500))
            }
        };
        if takes > Duration::ZERO {
            self.at_once = 0;
            self.net.borrow_mut().now += takes;
        }
        Ok(())
    }

    /// A caller does something.
    fn act(&mut self, index: usize) -> Result<(), String> {
        let now = self.now();
        if self.callers[index].end.is_none() {
            let (number, life) = (self.callers[index].number, self.callers[index].life);
            if !self.net.borrow().chance.is_over() && self.below(4) == 3 {
                self.enter(number, life + 1);
            }
            return Ok(());
        }
        if self.callers[index].naps_until.take_if(|until| *until <= now).is_none()
            && self.callers[index].naps_until.is_none()
        {
            self.listen(index)?;
        }
        if self.callers[index].end.is_none() {
            return Ok(());
        }
        let is_over = self.net.borrow().chance.is_over();
        let caller = &self.callers[index];
        if !is_over && !caller.is_done && caller.asked.len() < 40 && self.below(4) > 0 {
            let count = if self.below(4) == 3 { 1 + self.below(12) } else { 1 };
            for _ in 0..count {
                if !self.callers[index].is_done {
                    self.speak(index);
                }
            }
        }
        let most = if self.below(6) == 5 { 1 + self.below(40) } else { usize::MAX };
        self.callers[index].send(most);
        Ok(())
    }

    /// A caller makes up a request.
    fn speak(&mut self, index: usize) {
        let now = self.now();
        let prefix = self.callers[index].prefix();
        let password = self.passwords.last().cloned();
        let caller = &mut self.callers[index];
        let mut net = self.net.borrow_mut();
        let mut author = Author {
            chance: &mut net.chance,
            mood: &mut caller.mood,
            prefix: &prefix,
            password: password.as_deref(),
            scripts: &self.scripts,
            is_wordy: self.is_wordy,
        };
        let words = author.request();
        let odd = net.chance.below(150);
        drop(net);
        match odd {
            149 => {
                let (bytes, what) = MALFORMED[self.below(MALFORMED.len())];
                caller_tells(&mut self.story, &prefix, &format!("{}", bytes.escape_ascii()));
                let caller = &mut self.callers[index];
                caller.add(bytes, now, Err(what));
                caller.is_done = true;
            }
            148 => {
                let caller = &mut self.callers[index];
                caller.ask(vec![b"QUIT".to_vec()], now);
                caller.is_done = true;
            }
            _ => {
                caller_tells(&mut self.story, &prefix, &shown_words(&words));
                self.callers[index].ask(words, now);
            }
        }
    }

    fn listen(&mut self, index: usize) -> Result<(), String> {
        let now = self.now();
        let may_lose = self.may_lose || self.callers[index].excuse.is_some();
        let mut around = Around {
            now,
            disturbances: &self.disturbances,
            published: &mut self.published,
            scripts: &mut self.scripts,
            reads_may_be_old: self.has_readers,
            wakes: self.wakes,
            may_lose,
        };
        let caller = &mut self.callers[index];
        let prefix = caller.prefix();
        let ended = caller.read(&mut around).map_err(|why| format!("{prefix} {why}"))?;
        if let Some(ended) = ended {
            if let Some(why) = caller.objects_to(ended) {
                return Err(format!("{prefix} {why}"));
            }
            self.leave(index, &format!("{ended:?}"));
        } else if caller.is_content()
            && matches!(self.affair, Affair::None)
            && self.troubled_until.is_none_or(|until| until < now)
        {
            caller.excuse = None;
        }
        Ok(())
    }

    /// What must never be.
    fn look(&self) -> Result<(), String> {
        let seen = self.exchange.inspect();
        let open = self.instance.connected().open;
        if open != seen.clients as u64 {
            return Err(format!("{open} are counted, and {} are there", seen.clients));
        }
        // What is read at once, or asked for in one request, is on top of each limit.
        if seen.output > (2 << 20) + (512 << 10) || seen.input > 1 << 20 || seen.request > 2 << 20 {
            return Err(format!("too much is kept: {seen:?}"));
        }
        Ok(())
    }

    /// Whether the data that there is can have come about.
    pub(super) fn check_data(&self) -> Result<(), String> {
        let data = &self.nodes[self.primary].engine.data;
        let alive = self.callers.iter().filter(|caller| caller.end.is_some());
        let alive = alive.map(|caller| (caller.prefix(), caller.possible_ends()));
        for (prefix, ends) in self.graves.iter().cloned().chain(alive) {
            let is = own_data(data, &prefix);
            if !ends.iter().any(|end| own_data(end, &prefix) == is) {
                let last = own_data(&ends[0], &prefix);
                let first: Vec<_> = is.iter().filter(|of| !last.contains(of)).take(3).collect();
                let other: Vec<_> = last.iter().filter(|of| !is.contains(of)).take(3).collect();
                return Err(format!(
                    "{prefix} has data that can't be: {first:?}, and not {other:?} ({} ends)",
                    ends.len()
                ));
            }
        }
        Ok(())
    }

    /// Whether all was heard that was published to those who listened.
    pub(super) fn check_heard(&self) -> Result<(), String> {
        for caller in self.callers.iter().filter(|caller| caller.end.is_some()) {
            for published in &self.published {
                let listened = caller.subscribed_at.get(&published.channel).is_some_and(|since| *since < published.at);
                if listened && !caller.heard.contains(&published.message) {
                    let ago = self.now() - published.at;
                    let message = published.message.escape_ascii();
                    return Err(format!("{} has not heard {message}, {ago:?} ago", caller.prefix()));
                }
            }
        }
        Ok(())
    }
}

fn caller_tells(story: &mut Vec<String>, prefix: &str, what: &str) {
    story.push(format!("          {prefix} {what}"));
}
