//! What a gateway still does when another has succeeded it: its clients by TLS. How they encrypt is known in this process
//! alone, so it goes on encrypting, and the successor has them as plain connections to here.
//!
//! Such a connection is of TCP, since that tells an end in order from a reset, and which of the two it was must reach the
//! client.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use slotmap::{Key as _, KeyData, SlotMap, new_key_type};
use tracing::debug;

use crate::connection::prepare;
use crate::event_loop::{EVENTS, ORDERS, timespec};
use crate::socket::{GREETS_WITHIN, Socket};
use crate::world::Wire as _;

new_key_type! {
    struct PairKey;
}

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// How often one pair is looked at before others are.
const ROUNDS: usize = 16;
/// How often those are looked for who do not come to terms.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// What tells the near end's token from its client's: there are never so many of either.
const IS_NEAR: u64 = 1 << 31;

/// Both ends of a connection within this host: the near one is kept here, and the far one goes to the successor.
pub(crate) fn ends() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let own = near.local_addr()?;
    loop {
        // Anybody on this host may have come in between.
        let (far, from) = listener.accept()?;
        if from == own {
            for end in [&near, &far] {
                prepare(end)?;
                end.set_nonblocking(true)?;
            }
            return Ok((near, far));
        }
    }
}

/// Relays until all have ended, or somebody writes to `wake`.
pub(crate) fn run(pairs: Vec<(Socket, TcpStream)>, wake: &OwnedFd) -> io::Result<()> {
    let mut relay = Relay::new(wake)?;
    for (client, near) in pairs {
        relay.add(client, near);
    }
    let mut events = Vec::with_capacity(EVENTS);
    let mut sweep_at = Instant::now();
    while !relay.pairs.is_empty() {
        let now = Instant::now();
        if now >= sweep_at {
            relay.sweep(now);
            sweep_at = now + SWEEP_EVERY;
        }
        events.clear();
        match epoll::wait(&relay.epoll, spare_capacity(&mut events), Some(&timespec(SWEEP_EVERY))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            // Copied, since the kernel packs them.
            let Event { flags, data } = *event;
            match data.u64() {
                ORDERS => return Ok(()),
                token => relay.ready(token, flags),
            }
        }
    }
    Ok(())
}

struct Relay {
    epoll: OwnedFd,
    pairs: SlotMap<PairKey, Pair>,
    buffer: Vec<u8>,
}

impl Relay {
    fn new(wake: &OwnedFd) -> io::Result<Relay> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, wake, EventData::new_u64(ORDERS), EventFlags::IN)?;
        Ok(Relay { epoll, pairs: SlotMap::with_key(), buffer: vec![0; CHUNK] })
    }

    fn add(&mut self, client: Socket, near: TcpStream) {
        let key = self.pairs.insert(Pair {
            client,
            near,
            to_client: Kept::default(),
            to_near: Kept::default(),
            client_has_ended: false,
            near_has_ended: false,
            watched: [EventFlags::empty(); 2],
        });
        self.pass(key);
    }

    fn ready(&mut self, token: u64, flags: EventFlags) {
        let key = PairKey::from(KeyData::from_ffi(token & !IS_NEAR));
        self.pass(key);
        let is_broken = match token & IS_NEAR {
            // Neither end ends its client's other direction, so this is no end in order.
            0 => flags.intersects(EventFlags::ERR | EventFlags::HUP),
            _ => flags.contains(EventFlags::ERR),
        };
        if is_broken {
            // What is dropped is reset.
            self.pairs.remove(key);
        }
    }

    fn pass(&mut self, key: PairKey) {
        let Some(pair) = self.pairs.get_mut(key) else { return };
        let goes_on = pair.pass(&mut self.buffer).and_then(|goes_on| {
            if goes_on {
                pair.watch(&self.epoll, key.data().as_ffi())?;
            }
            Ok(goes_on)
        });
        match goes_on {
            Ok(true) => {}
            Ok(false) => drop(self.pairs.remove(key)),
            Err(error) => {
                debug!(%error, "a relayed connection broke");
                self.pairs.remove(key);
            }
        }
    }

    /// Ends who does not come to terms.
    fn sweep(&mut self, now: Instant) {
        self.pairs.retain(|_, pair| {
            let since = pair.client.greets_since();
            since.is_none_or(|since| now.saturating_duration_since(since) < GREETS_WITHIN)
        });
    }
}

/// A client, and the near end of the connection by which the successor has it.
struct Pair {
    client: Socket,
    near: TcpStream,
    to_client: Kept,
    to_near: Kept,
    client_has_ended: bool,
    near_has_ended: bool,
    /// Of what the kernel is to tell about the client and the near end.
    watched: [EventFlags; 2],
}

impl Pair {
    /// Passes on what can be; whether the pair goes on then. An error is for both sides.
    fn pass(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        for _ in 0..ROUNDS {
            let mut passed = self.to_near.send(|bytes| self.near.write(bytes))?;
            if self.reads_client()
                && let Some(count) = unless_later(self.client.read(buffer))?
            {
                passed = true;
                if count == 0 {
                    self.client_has_ended = true;
                    self.near.shutdown(Shutdown::Write)?;
                }
                self.to_near.put(&buffer[..count]);
            }
            passed |= self.to_client.send(|bytes| self.client.write(bytes))?;
            self.client.flush()?;
            if self.reads_near()
                && let Some(count) = unless_later(self.near.read(buffer))?
            {
                passed = true;
                self.near_has_ended = count == 0;
                self.to_client.put(&buffer[..count]);
            }
            if self.near_has_ended && self.to_client.is_empty() && !self.client.has_unsent() {
                self.client.end_in_order();
                return Ok(false);
            }
            if !passed {
                break;
            }
        }
        Ok(true)
    }

    fn reads_client(&self) -> bool {
        self.to_near.is_empty() && !self.client_has_ended
    }

    fn reads_near(&self) -> bool {
        self.to_client.is_empty() && !self.client.has_unsent() && !self.near_has_ended
    }

    fn watch(&mut self, epoll: &OwnedFd, token: u64) -> io::Result<()> {
        let flags = |reads, writes| {
            let mut flags = EventFlags::empty();
            flags.set(EventFlags::IN, reads);
            flags.set(EventFlags::OUT, writes);
            flags
        };
        let of_client = flags(self.reads_client(), !self.to_client.is_empty() || self.client.has_unsent());
        let of_near = flags(self.reads_near(), !self.to_near.is_empty());
        let [client, near] = &mut self.watched;
        watch(epoll, self.client.as_fd(), token, client, of_client)?;
        watch(epoll, self.near.as_fd(), token | IS_NEAR, near, of_near)
    }
}

/// Has the kernel tell of this. What nothing is wanted of is not watched: it would tell of its end over and over.
fn watch(
    epoll: &OwnedFd,
    end: BorrowedFd<'_>,
    token: u64,
    watched: &mut EventFlags,
    flags: EventFlags,
) -> io::Result<()> {
    let former = std::mem::replace(watched, flags);
    match (former.is_empty(), flags.is_empty()) {
        _ if former == flags => {}
        (true, _) => epoll::add(epoll, end, EventData::new_u64(token), flags)?,
        (false, true) => epoll::delete(epoll, end)?,
        (false, false) => epoll::modify(epoll, end, EventData::new_u64(token), flags)?,
    }
    Ok(())
}

/// What was read and could not be passed on yet.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    sent: usize,
}

impl Kept {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Sends as much as can be; whether that was something.
    fn send(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<bool> {
        let before = self.sent;
        while self.sent < self.bytes.len() {
            match unless_later(write(&self.bytes[self.sent..]))? {
                Some(count) => self.sent += count,
                None => return Ok(self.sent > before),
            }
        }
        let has_sent = self.sent > before;
        // A pair that rests holds nothing.
        *self = Kept::default();
        Ok(has_sent)
    }
}

/// `None` where nothing can be done now.
fn unless_later(outcome: io::Result<usize>) -> io::Result<Option<usize>> {
    match outcome {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
