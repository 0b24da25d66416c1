//! A node of a scene: a model engine that is reached over the net.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use model::{Epoch, NodeAddr, NodeId, Target};

use super::data::{Effect, Value};
use super::engine::Engine;
use super::naive::{self, Read};
use super::net::{End, Net, Port, Shared};
use crate::world::Wire as _;

/// As the module says.
pub(super) struct Node {
    pub(super) addr: SocketAddr,
    id: NodeId,
    pub(super) engine: Engine,
    ends: BTreeMap<u64, End>,
    /// How much it has of what the primaries have done.
    pub(super) has: usize,
    pub(super) is_dead: bool,
    /// It does nothing until then.
    pub(super) hangs_until: Option<Instant>,
}

impl Node {
    pub(super) fn new(number: u8, net: &Shared) -> Node {
        let addr = SocketAddr::from(([127, 0, 0, 1], 7000 + u16::from(number)));
        net.borrow_mut().ports.insert(addr, Port::Open);
        Node {
            addr,
            id: NodeId::from_random([number; 20]),
            engine: Engine::new(number > 0, Vec::new()),
            ends: BTreeMap::new(),
            has: 0,
            is_dead: false,
            hangs_until: None,
        }
    }

    pub(super) fn target(&self) -> Target {
        Target { node: self.id.clone(), addr: NodeAddr(self.addr), epoch: Epoch(1) }
    }

    pub(super) fn can_act(&self, now: Instant) -> bool {
        !self.is_dead && self.hangs_until.is_none_or(|until| until <= now)
    }

    /// Does what it was asked for.
    pub(super) fn step(&mut self, net: &Shared, log: &mut Vec<Effect>) -> Result<(), String> {
        let now = net.borrow().now;
        if !self.can_act(now) {
            return Ok(());
        }
        for end in Net::arrivals(net, self.addr) {
            self.engine.connect(end.number());
            self.ends.insert(end.number(), end);
        }
        self.engine.wake(now);
        for number in self.ends.keys().copied().collect::<Vec<_>>() {
            if net.borrow_mut().chance.one_in(10) {
                continue;
            }
            if !self.serve(number, now, net)? {
                self.ends.remove(&number);
                self.engine.connections.remove(&number);
            }
        }
        // What one has asked for is for others too.
        for (number, end) in &mut self.ends {
            let Some(connection) = self.engine.connections.get_mut(number) else { continue };
            while !connection.output.is_empty()
                && let Ok(count) = end.write(&connection.output)
            {
                connection.output.drain(..count);
            }
        }
        self.note(log);
        Ok(())
    }

    /// What it has done is for those who follow it.
    fn note(&mut self, log: &mut Vec<Effect>) {
        log.append(&mut self.engine.effects);
        if !self.engine.follows {
            self.has = log.len();
        }
    }

    /// Does what was asked over a connection; answers whether that goes on.
    fn serve(&mut self, number: u64, now: Instant, net: &Shared) -> Result<bool, String> {
        let (Some(end), Some(connection)) = (self.ends.get_mut(&number), self.engine.connections.get_mut(&number))
        else {
            return Ok(false);
        };
        let mut chunk = [0; 16 * 1024];
        let mut is_over = false;
        match end.read(&mut chunk) {
            Ok(0) => is_over = true,
            Ok(count) => connection.input.extend_from_slice(&chunk[..count]),
            Err(error) => is_over = error.kind() != std::io::ErrorKind::WouldBlock,
        }
        let most = if net.borrow_mut().chance.one_in(5) { 1 } else { usize::MAX };
        for _ in 0..most {
            let Some(connection) = self.engine.connections.get_mut(&number) else { return Ok(false) };
            if connection.nap.is_some() || connection.ends || connection.input.is_empty() {
                break;
            }
            match naive::request(&connection.input, false) {
                Read::Whole(words, length) => {
                    connection.input.drain(..length);
                    if !words.is_empty() {
                        self.engine.run(number, &words, now);
                    }
                }
                Read::More => break,
                Read::Wrong(why) => return Err(format!("a node was asked for what is no request: {why}")),
            }
        }
        let connection = &self.engine.connections[&number];
        let has_said_all = connection.ends && connection.output.is_empty();
        // Whoever is gone gets no answer, but what it has asked for is done.
        let has_more = connection.nap.is_none() && most == 1 && !connection.input.is_empty();
        Ok(!(is_over && !has_more || has_said_all))
    }

    /// Does somebody else's command.
    pub(super) fn order(&mut self, words: &[&[u8]], now: Instant, log: &mut Vec<Effect>) {
        self.engine.order(words, now);
        self.note(log);
    }

    /// Follows what was done elsewhere, up to there.
    pub(super) fn follow(&mut self, log: &[Effect], to: usize) {
        for effect in log.get(self.has..to).unwrap_or_default() {
            self.engine.apply(effect);
        }
        self.has = self.has.max(to);
    }

    /// Leads, having all that was done.
    pub(super) fn lead(&mut self, log: &[Effect]) {
        self.follow(log, log.len());
        self.engine.follows = false;
    }

    /// Leads no more.
    pub(super) fn follow_others(&mut self, log: &mut Vec<Effect>) {
        self.note(log);
        self.engine.demote();
    }

    /// How many elements are in a list.
    pub(super) fn left_in(&self, database: usize, key: &str) -> u64 {
        match self.engine.data[database].get(key.as_bytes()) {
            Some(Value::List(list)) => list.len() as u64,
            _ => 0,
        }
    }

    /// Whether an answer is under way that has begun.
    pub(super) fn is_amidst(&self) -> bool {
        self.ends.values().any(End::is_unread)
            || self.engine.connections.values().any(|connection| !connection.output.is_empty())
    }

    /// Ends all its connections, in order or not.
    pub(super) fn hang_up(&mut self, in_order: bool) {
        if !in_order {
            self.ends.values().for_each(End::break_off);
        }
        self.ends.clear();
        self.engine.connections.clear();
    }

    /// Dies, with or without having done what it was asked for.
    pub(super) fn die(&mut self, net: &Shared, log: &mut Vec<Effect>, does_all: bool) -> Result<(), String> {
        if does_all {
            for number in self.ends.keys().copied().collect::<Vec<_>>() {
                let now = net.borrow().now;
                self.serve(number, now, net)?;
            }
            self.note(log);
        }
        self.hang_up(false);
        self.is_dead = true;
        let mut net = net.borrow_mut();
        let port = if net.chance.one_in(3) { Port::Silent } else { Port::Closed };
        net.ports.insert(self.addr, port);
        Ok(())
    }

    /// Is there again, as a replica that has nothing or as what it was.
    pub(super) fn revive(&mut self, net: &Shared, log: &[Effect], leads: bool) {
        self.is_dead = false;
        net.borrow_mut().ports.insert(self.addr, Port::Open);
        if !leads {
            let passwords = std::mem::take(&mut self.engine.passwords);
            self.engine = Engine::new(true, passwords);
            self.has = 0;
            self.follow(log, log.len());
        }
    }
}
