//! What happens to an instance and its callers in a scene.

use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Limits;
use tokio::sync::oneshot;

use super::caller::{Disturbance, Ended};
use super::data::error;
use super::net::Watcher;
use super::scene::Scene;
use crate::commands::{KNOWN, Learned};
use crate::exchange::{Bytes, Exchange, Held, Moved};
use crate::instance::Instance;

/// How long a hold lasts at most that is to be a switch.
const HELD_FOR: Duration = Duration::from_secs(2);

/// What goes on with the primary.
pub(super) enum Affair {
    None,
    /// Another is to lead, once nothing is under way.
    Holding {
        to: usize,
        since: Instant,
        quiet: oneshot::Receiver<Held>,
    },
    /// Nothing is under way, and the primary is to take no more writes.
    Fencing {
        to: usize,
        at: Instant,
    },
    /// Another leads, which the exchange is to be told.
    Routing {
        at: Instant,
    },
    /// The primary is dead, until another leads or it is there again.
    Dead {
        to: usize,
        at: Instant,
    },
}

impl Affair {
    /// When it goes on.
    pub(super) fn next(&self) -> Option<Instant> {
        match self {
            Affair::None => None,
            Affair::Holding { since, .. } => Some(*since + HELD_FOR),
            Affair::Fencing { at, .. } | Affair::Routing { at } | Affair::Dead { at, .. } => Some(*at),
        }
    }
}

impl Scene {
    fn millis(&self, most: usize) -> Duration {
        Duration::from_millis(self.below(most) as u64)
    }

    /// Goes on with what was begun.
    pub(super) fn go_on_with_affair(&mut self) -> Result<(), String> {
        let now = self.now();
        if matches!(self.affair, Affair::Dead { .. }) {
            self.excuse("its primary is dead");
        }
        match std::mem::replace(&mut self.affair, Affair::None) {
            Affair::Holding { to, since, mut quiet } => match quiet.try_recv() {
                Ok(_) => {
                    self.tell("all is quiet".into());
                    self.affair = Affair::Fencing { to, at: now + self.millis(30) };
                }
                Err(oneshot::error::TryRecvError::Empty) if now < since + HELD_FOR * 2 / 3 => {
                    self.affair = Affair::Holding { to, since, quiet };
                }
                Err(_) => {
                    self.tell("the switch is called off".into());
                    self.exchange.unhold(&self.instance);
                }
            },
            Affair::Fencing { at, to } if at <= now => {
                if self.nodes[to].is_dead || self.below(10) == 9 {
                    self.tell("the switch is called off, though all was quiet".into());
                    self.exchange.unhold(&self.instance);
                    return Ok(());
                }
                self.tell(format!("node {} is fenced, node {to} leads", self.primary));
                self.disturbances.push(Disturbance { key: None, from: now, to: None });
                self.nodes[self.primary].follow_others(&mut self.log);
                self.nodes[to].hangs_until = None;
                self.nodes[to].lead(&self.log);
                self.primary = to;
                self.affair = Affair::Routing { at: now + self.millis(30) };
            }
            Affair::Routing { at } if at <= now => {
                self.tell(format!("node {} is told of", self.primary));
                self.enforce();
                self.end_disturbance();
                self.left_at = Some(now);
            }
            Affair::Dead { to, at } if at <= now => self.recover(to),
            other => self.affair = other,
        }
        Ok(())
    }

    fn end_disturbance(&mut self) {
        let now = self.now();
        self.disturbances.last_mut().into_iter().for_each(|last| last.to = Some(now));
    }

    /// Whoever waits for something may be reset.
    fn excuse(&mut self, why: &'static str) {
        for caller in self.callers.iter_mut().filter(|caller| caller.may_wait()) {
            caller.excuse.get_or_insert(why);
        }
    }

    fn recover(&mut self, to: usize) {
        let by_itself = to == self.primary;
        self.tell(format!("node {to} leads"));
        if by_itself {
            self.nodes[to].revive(&self.net, &self.log, true);
        } else {
            let old = self.primary;
            self.nodes[to].hangs_until = None;
            self.nodes[to].lead(&self.log);
            self.primary = to;
            self.nodes[old].revive(&self.net, &self.log, false);
        }
        if self.below(4) == 3 {
            self.exchange.settle();
        }
        self.enforce();
        self.end_disturbance();
        // Some have yet to hear of it.
        self.troubled_until = Some(self.now() + Duration::from_secs(1));
        self.excuse("its primary was dead");
    }

    /// Something may happen.
    pub(super) fn happen(&mut self) -> Result<(), String> {
        let now = self.now();
        let who = self.below(self.callers.len());
        match self.below(40) {
            1..4 => self.begin_switch(HELD_FOR),
            4..6 => self.succeed()?,
            6 => self.touch(who),
            7..9 => self.push(who),
            9 => {
                let span = self.millis(if self.below(3) == 2 { 4000 } else { 900 });
                let caller = &mut self.callers[who];
                caller.naps_until = Some(now + span);
                if span > Duration::from_millis(1500) {
                    caller.excuse.get_or_insert("it reads too slowly");
                }
            }
            10 => self.hang_up(who),
            11 if self.is_rough => self.kill_primary()?,
            12 => self.trouble_reader()?,
            13 => self.change_password(),
            14 => {
                self.limits = match self.below(3) {
                    1 => Limits { outbound: Some(200_000), ..Limits::default() },
                    2 => Limits { inbound: Some(300_000), ..Limits::default() },
                    _ => Limits::default(),
                };
                self.tell(format!("limits: {:?} {:?}", self.limits.inbound, self.limits.outbound));
                self.enforce();
            }
            15 => {
                let primary = &mut self.nodes[self.primary];
                let napping =
                    primary.engine.connections.iter().find(|(_, of)| of.nap.is_some()).map(|(number, _)| *number);
                if let Some(number) = napping {
                    self.wakes = true;
                    self.tell("somebody is unblocked".into());
                    let words = error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
                    self.nodes[self.primary].engine.end_nap(number, words);
                }
            }
            16 => {
                let span = self.millis(400);
                self.tell(format!("the primary is busy for {span:?}"));
                self.nodes[self.primary].hangs_until = Some(now + span);
            }
            17 if matches!(self.affair, Affair::None) => {
                self.tell("a hold is forgotten".into());
                let (quiet, _) = oneshot::channel();
                self.exchange.hold(&self.instance, Duration::from_millis(100), quiet);
            }
            18 if matches!(self.affair, Affair::None) => {
                self.tell("the same is told again".into());
                self.enforce();
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn begin_switch(&mut self, at_most: Duration) {
        let able = |number: &usize| *number != self.primary && !self.nodes[*number].is_dead;
        let able: Vec<_> = (0..self.nodes.len()).filter(able).collect();
        if !matches!(self.affair, Affair::None) || able.is_empty() {
            return;
        }
        let to = able[self.below(able.len())];
        self.tell(format!("a switch to node {to} begins"));
        let (send, quiet) = oneshot::channel();
        self.exchange.hold(&self.instance, at_most, send);
        self.affair = Affair::Holding { to, since: self.now(), quiet };
    }

    fn kill_primary(&mut self) -> Result<(), String> {
        if !matches!(self.affair, Affair::None | Affair::Holding { .. }) {
            return Ok(());
        }
        let now = self.now();
        let does_all = self.below(2) == 1;
        self.tell(format!("node {} dies; it has done what it was asked: {does_all}", self.primary));
        self.excuse("its primary dies");
        self.disturbances.push(Disturbance { key: None, from: now, to: None });
        self.nodes[self.primary].die(&self.net, &mut self.log, does_all)?;
        let able = |number: &usize| !self.nodes[*number].is_dead;
        let able: Vec<_> = (0..self.nodes.len()).filter(able).collect();
        let to = if able.is_empty() || self.below(3) == 2 { self.primary } else { able[self.below(able.len())] };
        // A node that at once is there again may end subscribers, which would else miss messages.
        if to == self.primary {
            for caller in &mut self.callers {
                caller.excuse.get_or_insert("its primary begins anew");
            }
        }
        self.affair = Affair::Dead { to, at: now + self.millis(6000) };
        Ok(())
    }

    fn trouble_reader(&mut self) -> Result<(), String> {
        let now = self.now();
        let others: Vec<_> = (0..self.nodes.len()).filter(|number| *number != self.primary).collect();
        let number = others[self.below(others.len())];
        // A switch or a death is under way that needs it.
        let is_needed = matches!(self.affair, Affair::Holding { to, .. } | Affair::Fencing { to, .. } | Affair::Dead { to, .. } if to == number);
        // Nor is one to be troubled that still leads as far as anybody knows, or has just ceased to.
        let has_led = self.left_at.is_some_and(|left_at| now < left_at + Duration::from_secs(2));
        if is_needed || has_led || number == self.in_force || matches!(self.affair, Affair::Dead { .. }) {
            return Ok(());
        }
        if self.nodes[number].is_amidst() {
            self.excuse("a replica has begun to answer it");
        }
        match self.below(4) {
            0 if self.nodes[number].is_dead => {
                self.tell(format!("node {number} is there again"));
                self.nodes[number].revive(&self.net, &self.log, false);
            }
            1 => {
                let span = self.millis(8000);
                self.tell(format!("node {number} hangs for {span:?}"));
                self.nodes[number].hangs_until = Some(now + span);
            }
            2 if !self.nodes[number].is_dead => {
                self.tell(format!("node {number} dies"));
                self.nodes[number].die(&self.net, &mut self.log, false)?;
            }
            _ if self.has_readers => {
                match self.readers.iter().position(|reader| *reader == number) {
                    Some(at) => drop(self.readers.remove(at)),
                    None => self.readers.push(number),
                }
                self.tell(format!("readers are {:?}", self.readers));
                if !matches!(self.affair, Affair::Routing { .. }) {
                    self.enforce();
                }
            }
            _ => {
                self.tell(format!("node {number} hangs up"));
                self.nodes[number].hang_up(true);
            }
        }
        Ok(())
    }

    /// Another password comes, or the former one goes; that as long as nobody is on the way to sign in by it.
    fn change_password(&mut self) {
        match self.passwords.len() {
            0 => return,
            1 => {
                let next = self.passwords[0].replace("pw", "pw-");
                self.passwords.push(next);
            }
            _ if self.callers.iter().all(|caller| caller.end.is_none() || caller.is_content()) => {
                drop(self.passwords.remove(0));
                for caller in &mut self.callers {
                    // One that had signed in by it is reset where it needs another connection.
                    caller.has_old_password = true;
                }
            }
            _ => return,
        }
        self.tell(format!("passwords are {:?}", self.passwords));
        self.set_passwords();
    }

    /// Somebody changes what a caller may watch.
    fn touch(&mut self, who: usize) {
        if self.nodes[self.primary].is_dead || self.nodes[self.primary].engine.follows {
            return;
        }
        let now = self.now();
        let key = format!("{}w", self.callers[who].prefix()).into_bytes();
        self.nodes[self.primary].order(&[b"SET", &key, b"touched"], now, &mut self.log);
        self.disturbances.push(Disturbance { key: Some(key), from: now, to: Some(now) });
        // The last is that which goes on.
        let last = self.disturbances.len() - 1;
        if last > 0 && self.disturbances[last - 1].to.is_none() {
            self.disturbances.swap(last - 1, last);
        }
    }

    /// A caller's queue gets an element.
    pub(super) fn push(&mut self, who: usize) {
        if self.nodes[self.primary].is_dead || self.nodes[self.primary].engine.follows {
            return;
        }
        let prefix = self.callers[who].prefix();
        let place = match self.pushed.iter().position(|(of, _)| *of == prefix) {
            Some(place) => place,
            None => {
                self.pushed.push((prefix.clone(), 0));
                self.pushed.len() - 1
            }
        };
        self.pushed[place].1 += 1;
        let (key, element, now) = (format!("{prefix}q"), self.pushed[place].1.to_string(), self.now());
        self.tell(format!("{key} gets {element}"));
        self.nodes[self.primary].order(&[b"RPUSH", key.as_bytes(), element.as_bytes()], now, &mut self.log);
    }

    /// A caller goes, in one of the ways in which one does.
    fn hang_up(&mut self, who: usize) {
        let kind = self.below(3);
        let caller = &mut self.callers[who];
        let Some(end) = &caller.end else { return };
        match kind {
            0 if caller.output.is_empty() => {
                end.end();
                (caller.has_ended_side, caller.is_done) = (true, true);
                let prefix = caller.prefix();
                self.tell(format!("{prefix} ends its side"));
            }
            1 => {
                end.break_off();
                self.leave(who, &format!("it breaks off, {:?}", Ended::Reset));
            }
            _ => self.leave(who, "it ends"),
        }
    }

    /// Another process takes the gateway's place.
    pub(super) fn succeed(&mut self) -> Result<(), String> {
        self.tell("a successor takes over".into());
        self.exchange.settle();
        let (mut told, mut wires) = (Vec::new(), Vec::new());
        let given = self.exchange.tell_all(|moved, wire| {
            let has_socket = moved.has_socket();
            told.push(moved);
            wires.push(wire.filter(|_| has_socket).map(super::net::End::share));
            Ok(())
        });
        let fail = |error: serde_json::Error| error.to_string();
        given.map_err(|error| error.to_string())?;
        let written = serde_json::to_vec(&told).map_err(fail)?;
        let told: Vec<Moved> = serde_json::from_slice(&written).map_err(fail)?;
        let now = self.now();
        let instance = Arc::new(Instance::new(self.instance.id.clone(), 0));
        let former = std::mem::replace(&mut self.instance, instance);
        self.agree();
        let mut exchange = Exchange::new(Watcher::new(&self.net), 0);
        // What was in force there: a switch that has not been told of is none.
        exchange.set_routes(&self.routes_to(self.in_force));
        for script in former.kept_scripts() {
            let written = serde_json::to_vec(&Bytes(script)).map_err(fail)?;
            self.instance.keep_script(&serde_json::from_slice::<Bytes>(&written).map_err(fail)?.0);
        }
        if let Some((node, commands)) = former.known_commands() {
            let written = serde_json::to_vec(&commands.learned()).map_err(fail)?;
            let learned: Vec<Learned> = serde_json::from_slice(&written).map_err(fail)?;
            self.instance.know_commands(node, KNOWN.learn_again(learned));
        }
        self.instance.inbound.owe(former.inbound.owes(now), now);
        self.instance.outbound.owe(former.outbound.owes(now), now);
        let all = told.into_iter().zip(wires).map(|(moved, wire)| (0, moved, wire));
        exchange.take_over(all.collect());
        drop(std::mem::replace(&mut self.exchange, exchange));
        // Who waits to hear that all is quiet does not hear it from here.
        if let Affair::Holding { .. } = self.affair {
            self.affair = Affair::None;
            self.exchange.unhold(&self.instance);
        }
        Ok(())
    }
}
