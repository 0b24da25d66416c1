//! What the gateway sees: who asked what of an instance, and how long it took.
//!
//! Each loop has a [`Sight`] for each instance that it has clients of, and notes there what happens, without a lock and
//! without allocating: a note is a few additions. Whoever is asked how things are has all loops tell ([`Sight::tell`]),
//! and merges that ([`model::Sight::merge`]).

mod hot;
pub(crate) mod metrics;
mod prometheus;
mod slow;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use model::{CommandCounts, Counts, LATENCY_STEPS, Millis};

use self::hot::HotKeys;
pub(crate) use self::slow::Slow;
use self::slow::SlowLog;

/// Why a connection was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The instance has as many as it may have.
    Full,
    /// Its source may not connect.
    Source,
    /// TLS could not be agreed on, or was needed and not offered.
    Tls,
}

impl Refusal {
    const NAMES: [&str; 3] = ["full", "source", "tls"];
}

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client closed it.
    Client,
    /// The node did, or it was lost.
    Node,
    /// Its address was closed, or its source may not connect any more.
    Closed,
    /// It broke the protocol, or would not take its answers.
    Broken,
    /// It was idle for too long.
    Idle,
}

impl Ending {
    const NAMES: [&str; 5] = ["client", "node", "closed", "broken", "idle"];
}

/// What the gateway itself answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A request could not be read.
    Protocol,
    /// No node could be asked.
    Unreachable,
}

impl Trouble {
    const NAMES: [&str; 2] = ["protocol", "unreachable"];
}

const STEPS: usize = LATENCY_STEPS.len() + 1;

/// What one loop has seen of one instance.
pub(crate) struct Sight {
    since: Millis,
    seen_at: Millis,
    /// All that was seen by the last tick, to tell whether more was since.
    seen_by_tick: u64,
    /// By the command's number, up to the highest one that was seen.
    commands: Vec<CommandCounts>,
    latency: [u64; STEPS],
    answered: u64,
    inbound: u64,
    outbound: u64,
    accepted: u64,
    left: u64,
    refused: [u64; Refusal::NAMES.len()],
    closed: [u64; Ending::NAMES.len()],
    errors: [u64; Trouble::NAMES.len()],
    sources: HashMap<IpAddr, u64>,
    hot: HotKeys,
    /// In microseconds; [`u32::MAX`] is never.
    slow_after: u32,
    slow: u64,
    slow_log: SlowLog,
}

impl Sight {
    /// `of_loop`: the number of the loop, from 0.
    pub(crate) fn new(of_loop: u16, now: Millis) -> Sight {
        Sight {
            since: now,
            seen_at: Millis(0),
            seen_by_tick: 0,
            commands: Vec::new(),
            latency: [0; STEPS],
            answered: 0,
            inbound: 0,
            outbound: 0,
            accepted: 0,
            left: 0,
            refused: [0; Refusal::NAMES.len()],
            closed: [0; Ending::NAMES.len()],
            errors: [0; Trouble::NAMES.len()],
            sources: HashMap::new(),
            hot: HotKeys::new(now, now.0.unsigned_abs().wrapping_add(of_loop.into())),
            slow_after: u32::MAX,
            slow: 0,
            slow_log: SlowLog::new(u64::from(of_loop) << 48),
        }
    }

    /// From how many milliseconds on a command is slow (`Limits::slow_after_ms`); `None`: none is.
    pub(crate) fn set_slow_after(&mut self, millis: Option<u32>) {
        self.slow_after = millis.map_or(u32::MAX, |millis| millis.saturating_mul(1_000));
    }

    /// A client was let in.
    pub(crate) fn entered(&mut self, source: IpAddr) {
        self.accepted += 1;
        *self.sources.entry(source).or_default() += 1;
    }

    /// A client that has [entered](Self::entered) had done so before, when another process was here.
    pub(crate) fn was_here(&mut self) {
        self.accepted -= 1;
    }

    /// A client that was let in has left.
    pub(crate) fn left(&mut self, source: IpAddr, why: Ending) {
        self.left += 1;
        self.closed[why as usize] += 1;
        if let Some(open) = self.sources.get_mut(&source) {
            *open -= 1;
            if *open == 0 {
                self.sources.remove(&source);
            }
        }
    }

    /// A client was not let in.
    pub(crate) fn refused(&mut self, why: Refusal) {
        self.refused[why as usize] += 1;
    }

    /// The gateway itself has answered with an error.
    pub(crate) fn troubled(&mut self, why: Trouble) {
        self.errors[why as usize] += 1;
    }

    /// Bytes have come from a client, and gone to one.
    #[inline]
    pub(crate) fn carried(&mut self, inbound: u64, outbound: u64) {
        self.inbound += inbound;
        self.outbound += outbound;
    }

    /// A client asks for a key. Of a command with several keys, each is told.
    #[inline]
    pub(crate) fn asked_for(&mut self, database: u32, key: &[u8]) {
        self.hot.asked_for(database, key);
    }

    /// A command was answered, after so many microseconds. Answers whether that was slow, and [`Self::slow`] is to be told.
    #[inline]
    #[must_use]
    pub(crate) fn answered(&mut self, command: u16, micros: u32, failed: bool) -> bool {
        let place = usize::from(command);
        if place >= self.commands.len() {
            self.commands.resize(place + 1, CommandCounts::default());
        }
        let counts = &mut self.commands[place];
        counts.count += 1;
        counts.failed += u64::from(failed);
        counts.micros += u64::from(micros);
        counts.max_micros = counts.max_micros.max(micros.into());
        self.answered += 1;
        // Counted without a branch, which would be guessed wrong half of the time.
        let shorter: u32 = LATENCY_STEPS.iter().map(|step| u32::from(*step < micros)).sum();
        self.latency[shorter as usize] += 1;
        micros >= self.slow_after
    }

    /// Notes a slow command with its arguments, the command first.
    pub(crate) fn slow<'a>(&mut self, slow: Slow<'_>, command: impl ExactSizeIterator<Item = &'a [u8]>) {
        self.slow += 1;
        self.slow_log.note(slow, command);
    }

    /// Time has passed. To be called about once a second where there are clients; nothing is lost where it is called later.
    pub(crate) fn tick(&mut self, now: Millis) {
        let sum = |counts: &[u64]| counts.iter().sum::<u64>();
        let seen = self.answered + self.accepted + self.left + self.inbound + self.outbound;
        let seen = seen + sum(&self.refused) + sum(&self.errors);
        if seen != self.seen_by_tick {
            (self.seen_at, self.seen_by_tick) = (now, seen);
        }
        self.hot.tick(now);
    }

    /// All that was seen. `names`: the commands' names, by number.
    pub(crate) fn tell<N: AsRef<str>>(&mut self, now: Millis, names: &[N]) -> model::Sight {
        self.tick(now);
        let mut commands: BTreeMap<String, CommandCounts> = BTreeMap::new();
        for (number, counts) in self.commands.iter().enumerate().filter(|(_, counts)| counts.count > 0) {
            let name = names.get(number).map_or("other", AsRef::as_ref);
            // Several numbers may have no name.
            let sum = commands.entry(name.to_ascii_lowercase()).or_default();
            sum.count += counts.count;
            sum.failed += counts.failed;
            sum.micros += counts.micros;
            sum.max_micros = sum.max_micros.max(counts.max_micros);
        }
        let named = |names: &[&str], counts: &[u64]| {
            let all = names.iter().zip(counts).filter(|(_, count)| **count > 0);
            all.map(|(name, count)| ((*name).to_owned(), *count)).collect()
        };
        model::Sight {
            since: self.since,
            taken_at: now,
            seen_at: self.seen_at,
            counts: Counts {
                commands,
                latency: if self.answered > 0 { self.latency.to_vec() } else { Vec::new() },
                inbound: self.inbound,
                outbound: self.outbound,
                accepted: self.accepted,
                refused: named(&Refusal::NAMES, &self.refused),
                closed: named(&Ending::NAMES, &self.closed),
                errors: named(&Trouble::NAMES, &self.errors),
                slow: self.slow,
            },
            sources: self.sources.iter().map(|(source, open)| (*source, *open)).collect(),
            hot: self.hot.now(),
            hot_minutes: self.hot.minutes(),
            slow: self.slow_log.entries().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 2] = ["GET", "set"];

    #[test]
    fn commands_are_counted_by_name_and_by_how_long_they_took() {
        let mut sight = Sight::new(0, Millis(1_000));
        for micros in [0, 50, 51, 1_000, 1_001, 2_000_000] {
            assert!(!sight.answered(0, micros, false));
        }
        assert!(!sight.answered(1, 7, true));
        assert!(!sight.answered(900, 7, false));
        assert!(!sight.answered(901, 9, false));
        let told = sight.tell(Millis(2_000), &NAMES);
        let counts = |count, failed, micros, max_micros| CommandCounts { count, failed, micros, max_micros };
        let commands = &told.counts.commands;
        assert_eq!(commands["get"], counts(6, 0, 2_002_102, 2_000_000));
        assert_eq!(commands["set"], counts(1, 1, 7, 7));
        assert_eq!(commands["other"], counts(2, 0, 16, 9));
        let latency = &told.counts.latency;
        assert_eq!(latency.len(), STEPS);
        assert_eq!((latency[0], latency[1], latency[4], latency[5], latency[STEPS - 1]), (5, 1, 1, 1, 1));
        assert_eq!((told.since, told.taken_at, told.seen_at), (Millis(1_000), Millis(2_000), Millis(2_000)));
        assert_eq!(sight.tell(Millis(9_000), &NAMES).seen_at, Millis(2_000), "nothing was seen since");
    }

    #[test]
    fn what_takes_as_long_as_the_mark_is_slow() {
        let mut sight = Sight::new(3, Millis(0));
        sight.set_slow_after(Some(500));
        assert!(!sight.answered(0, 499_999, false));
        assert!(sight.answered(0, 500_000, false));
        let client = "127.0.0.1:5".parse().unwrap();
        let slow = Slow { at: Millis(5_000), took: 500_000, client, account: "app", database: 2 };
        sight.slow(slow, [b"GET".as_slice(), b"a"].into_iter());
        let told = sight.tell(Millis(6_000), &NAMES);
        assert_eq!(told.counts.slow, 1);
        let entry = &told.slow[0];
        assert_eq!((entry.micros, entry.client.as_str(), entry.account.as_str()), (500_000, "127.0.0.1:5", "app"));
        assert_eq!((entry.id >> 48, entry.database, entry.arguments.join(" ")), (3, 2, "GET a".into()));
        sight.set_slow_after(None);
        assert!(!sight.answered(0, u32::MAX - 1, false));
    }

    #[test]
    fn who_comes_and_goes_is_counted_by_source_and_reason() {
        let mut sight = Sight::new(0, Millis(0));
        let (one, other): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        sight.entered(one);
        sight.entered(one);
        sight.entered(other);
        sight.left(other, Ending::Client);
        sight.left(one, Ending::Broken);
        sight.refused(Refusal::Full);
        sight.troubled(Trouble::Protocol);
        sight.carried(10, 20);
        let told = sight.tell(Millis(0), &NAMES);
        assert_eq!(told.sources, BTreeMap::from([(one, 1)]));
        let text = |counts: &BTreeMap<String, u64>| format!("{counts:?}");
        assert_eq!(text(&told.counts.closed), r#"{"broken": 1, "client": 1}"#);
        assert_eq!(text(&told.counts.refused), r#"{"full": 1}"#);
        assert_eq!(text(&told.counts.errors), r#"{"protocol": 1}"#);
        assert_eq!((told.counts.accepted, told.counts.inbound, told.counts.outbound), (3, 10, 20));
        assert!(told.counts.latency.is_empty());
    }

    #[test]
    fn an_instance_that_nothing_is_asked_of_takes_little_memory() {
        assert!(size_of::<Sight>() < 1_024, "{}", size_of::<Sight>());
    }
}
