//! Connections in memory, which are as short of room and as slow as chance says.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use model::{Millis, NodeAddr};

use super::chance::Chance;
use crate::world::{Interest, Ready, Token, Wire, World};

/// All connections there are, whoever has their ends.
pub(super) struct Net {
    pub(super) chance: Chance,
    began_at: Instant,
    pub(super) now: Instant,
    /// How much room there is for what was sent and not read.
    pub(super) room: usize,
    /// How nodes take connections.
    pub(super) ports: BTreeMap<SocketAddr, Port>,
    /// Counts all that happens here.
    pub(super) deeds: u64,
    lines: BTreeMap<u64, Line>,
    last: u64,
}

/// How a node takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Port {
    Open,
    /// Nobody listens.
    Closed,
    /// Nobody says anything, not even no.
    Silent,
}

/// A connection.
struct Line {
    ends: [Side; 2],
    /// To which node, and from when on it may be there.
    to: Option<(SocketAddr, Instant)>,
    is_accepted: bool,
    is_refused: bool,
}

/// What one end of a connection knows.
#[derive(Default)]
struct Side {
    /// To be read here.
    incoming: VecDeque<u8>,
    /// The other end will send no more.
    is_ended: bool,
    is_broken: bool,
    /// This end will send no more.
    has_ended: bool,
    is_closed: bool,
    /// How many have it, in this process or another.
    handles: u32,
    /// It is not closed in order but broken off.
    breaks_off: bool,
}

/// An end of a connection.
pub(super) struct End {
    net: Shared,
    line: u64,
    side: usize,
}

pub(super) type Shared = Rc<RefCell<Net>>;

impl Net {
    pub(super) fn new(chance: Chance, now: Instant) -> Net {
        Net {
            chance,
            began_at: now,
            now,
            room: 64 * 1024,
            ports: BTreeMap::new(),
            deeds: 0,
            lines: BTreeMap::new(),
            last: 0,
        }
    }

    /// How long it has gone on.
    pub(super) fn time_of_scene(&self) -> f64 {
        (self.now - self.began_at).as_secs_f64()
    }

    fn add(&mut self, to: Option<(SocketAddr, Instant)>) -> u64 {
        self.last += 1;
        let side = || Side { handles: 1, ..Side::default() };
        let is_accepted = to.is_none();
        self.lines.insert(self.last, Line { ends: [side(), side()], to, is_accepted, is_refused: false });
        self.deeds += 1;
        self.last
    }

    /// When the next connection may come about that is on its way.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        let coming = self.lines.values().filter(|line| !line.is_accepted && !line.is_refused);
        coming.filter_map(|line| line.to).map(|(_, at)| at).filter(|at| *at > self.now).min()
    }

    /// Connections that have come about to a node.
    pub(super) fn arrivals(shared: &Shared, at: SocketAddr) -> Vec<End> {
        let mut net = shared.borrow_mut();
        let (now, port) = (net.now, net.ports.get(&at).copied());
        let mut arrived = Vec::new();
        for (number, line) in &mut net.lines {
            let is_due = line.to.is_some_and(|(to, from)| to == at && from <= now);
            if !is_due || line.is_accepted || line.is_refused {
                continue;
            }
            match port {
                Some(Port::Open) => {
                    line.is_accepted = true;
                    line.ends[1].handles = 1;
                    arrived.push(End { net: shared.clone(), line: *number, side: 1 });
                }
                Some(Port::Silent) => {}
                Some(Port::Closed) | None => line.is_refused = true,
            }
        }
        net.deeds += arrived.len() as u64;
        arrived
    }

    /// Breaks a connection off, seen from one of its ends.
    fn break_off(&mut self, line: u64, side: usize) {
        let Some(of) = self.lines.get_mut(&line) else { return };
        let other = &mut of.ends[1 - side];
        if other.is_closed || other.is_broken {
            return;
        }
        other.is_broken = true;
        // What was on its way may be lost with it.
        let waits = other.incoming.len();
        if waits > 0 && self.chance.one_in(3) {
            let kept = self.chance.below(waits);
            self.lines.get_mut(&line).into_iter().for_each(|of| of.ends[1 - side].incoming.truncate(kept));
        }
        self.deeds += 1;
    }

    fn close(&mut self, line: u64, side: usize) {
        let Some(of) = self.lines.get_mut(&line) else { return };
        let this = &mut of.ends[side];
        this.handles -= 1;
        if this.handles > 0 {
            return;
        }
        this.is_closed = true;
        let breaks_off = this.breaks_off || !this.incoming.is_empty();
        of.ends[1 - side].is_ended = true;
        if of.ends[1 - side].is_closed || !of.is_accepted {
            self.lines.remove(&line);
        } else if breaks_off {
            self.break_off(line, side);
        }
        self.deeds += 1;
    }

    fn ready_of(&self, line: u64, side: usize, interest: Interest) -> Option<Ready> {
        let of = self.lines.get(&line)?;
        let this = &of.ends[side];
        if let Some((_, at)) = of.to.filter(|_| side == 0 && !of.is_accepted) {
            let is_known = of.is_refused && at <= self.now;
            return is_known.then_some(Ready { reads: false, writes: interest.writes, ended: true });
        }
        let ready = Ready {
            reads: interest.reads && (!this.incoming.is_empty() || this.is_ended || this.is_broken),
            writes: interest.writes && (this.is_broken || of.ends[1 - side].incoming.len() < self.room),
            ended: this.is_broken || interest.end && this.is_ended,
        };
        (ready.reads || ready.writes || ready.ended).then_some(ready)
    }
}

impl End {
    /// A connection between a client and the gateway: their ends.
    pub(super) fn pair(shared: &Shared) -> (End, End) {
        let line = shared.borrow_mut().add(None);
        let end = |side| End { net: shared.clone(), line, side };
        let (client, gateway) = (end(0), end(1));
        gateway.with(|side| side.breaks_off = true);
        (client, gateway)
    }

    pub(super) fn number(&self) -> u64 {
        self.line
    }

    fn with<T>(&self, look: impl FnOnce(&mut Side) -> T) -> T {
        let mut net = self.net.borrow_mut();
        look(&mut net.lines.get_mut(&self.line).expect("an end has its line").ends[self.side])
    }

    /// The same end, as another process has it too.
    pub(super) fn share(&self) -> End {
        self.with(|side| side.handles += 1);
        End { net: self.net.clone(), line: self.line, side: self.side }
    }

    /// Sends no more.
    pub(super) fn end(&self) {
        let mut net = self.net.borrow_mut();
        net.deeds += 1;
        let line = net.lines.get_mut(&self.line).expect("an end has its line");
        line.ends[self.side].has_ended = true;
        line.ends[1 - self.side].is_ended = true;
    }

    /// Has it broken off when it is dropped.
    pub(super) fn break_off(&self) {
        self.with(|side| side.breaks_off = true);
    }

    /// Whether something that was sent has not been read at the other end.
    pub(super) fn is_unread(&self) -> bool {
        let net = self.net.borrow();
        net.lines.get(&self.line).is_some_and(|line| !line.ends[1 - self.side].incoming.is_empty())
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.net.borrow_mut().close(self.line, self.side);
    }
}

impl Wire for End {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut net = self.net.borrow_mut();
        let net = &mut *net;
        net.deeds += 1;
        let side = &mut net.lines.get_mut(&self.line).expect("an end has its line").ends[self.side];
        let most = into.len().min(side.incoming.len());
        if most == 0 {
            return match () {
                () if side.is_broken => Err(io::ErrorKind::ConnectionReset.into()),
                () if side.is_ended => Ok(0),
                () => {
                    net.deeds -= 1;
                    Err(io::ErrorKind::WouldBlock.into())
                }
            };
        }
        let count = if net.chance.one_in(4) { 1 + net.chance.below(most) } else { most };
        for (to, byte) in into.iter_mut().zip(side.incoming.drain(..count)) {
            *to = byte;
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut net = self.net.borrow_mut();
        let net = &mut *net;
        let line = net.lines.get_mut(&self.line).expect("an end has its line");
        assert!(!line.ends[self.side].has_ended, "it has said that it sends no more");
        if line.ends[self.side].is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if bytes.is_empty() {
            return Ok(0);
        }
        net.deeds += 1;
        if line.ends[1 - self.side].is_closed {
            line.ends[self.side].is_broken = true;
            return Ok(bytes.len());
        }
        let most = net.room.saturating_sub(line.ends[1 - self.side].incoming.len()).min(bytes.len());
        if most == 0 {
            net.deeds -= 1;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = if net.chance.one_in(6) { 1 + net.chance.below(most) } else { most };
        line.ends[1 - self.side].incoming.extend(&bytes[..count]);
        Ok(count)
    }

    fn connected(&mut self) -> io::Result<()> {
        let mut net = self.net.borrow_mut();
        net.deeds += 1;
        let line = &net.lines[&self.line];
        match () {
            () if line.is_refused => Err(io::ErrorKind::ConnectionRefused.into()),
            () if !line.is_accepted => Err(io::ErrorKind::WouldBlock.into()),
            () if line.ends[self.side].is_broken => Err(io::ErrorKind::ConnectionReset.into()),
            () => Ok(()),
        }
    }

    fn end_in_order(&mut self) {
        self.with(|side| side.breaks_off = false);
    }
}

/// What one process of the gateway sees of the net.
pub(super) struct Watcher {
    net: Shared,
    watched: BTreeMap<(u64, usize), (Token, Interest)>,
}

impl Watcher {
    pub(super) fn new(net: &Shared) -> Watcher {
        Watcher { net: net.clone(), watched: BTreeMap::new() }
    }

    /// What is ready of that which is watched.
    pub(super) fn ready(&mut self) -> Vec<(Token, Ready)> {
        let net = self.net.borrow();
        let is_open = |(line, side): &(u64, usize)| net.lines.get(line).is_some_and(|of| !of.ends[*side].is_closed);
        self.watched.retain(|end, _| is_open(end));
        let ready = |(end, of): (&(u64, usize), &(Token, Interest))| Some((of.0, net.ready_of(end.0, end.1, of.1)?));
        self.watched.iter().filter_map(ready).collect()
    }
}

impl World for Watcher {
    type Wire = End;

    fn connect(&mut self, to: NodeAddr) -> io::Result<End> {
        let mut net = self.net.borrow_mut();
        let takes = match net.chance.below(8) {
            7 => Duration::from_millis(net.chance.below(200) as u64),
            6 => Duration::from_micros(net.chance.below(2000) as u64),
            _ => Duration::ZERO,
        };
        if net.ports.get(&to.0) == Some(&Port::Closed) && net.chance.one_in(2) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let at = net.now + takes;
        let line = net.add(Some((to.0, at)));
        // Nobody has the other end yet.
        net.lines.get_mut(&line).into_iter().for_each(|line| line.ends[1].handles = 0);
        Ok(End { net: self.net.clone(), line, side: 0 })
    }

    fn watch(&mut self, wire: &End, token: Token, interest: Interest, is_new: bool) -> io::Result<()> {
        self.net.borrow_mut().deeds += 1;
        let known = self.watched.insert((wire.line, wire.side), (token, interest));
        assert_eq!(known.is_none(), is_new, "a wire is new once");
        Ok(())
    }

    fn now(&self) -> Instant {
        self.net.borrow().now
    }

    fn time(&self) -> Millis {
        let net = self.net.borrow();
        Millis(1_700_000_000_000 + (net.now - net.began_at).as_millis() as i64)
    }
}
