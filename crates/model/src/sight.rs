use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::Millis;

/// The steps by which it is counted how long commands took, in microseconds: one that took as long as a step or less, and
/// longer than the step before, counts there. Those that took longer than the last are counted after it.
pub const LATENCY_STEPS: [u32; 14] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000];

/// How many hot keys are told at the most.
pub const HOT_KEYS: usize = 64;
/// How many slow commands are told at the most.
pub const SLOW_COMMANDS: usize = 512;

/// What the gateway has seen of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Since when it counts, by its own clock: since its start, or since the instance came.
    pub since: Millis,
    /// When this was told, by the same clock.
    pub taken_at: Millis,
    /// When something was last seen, to the second.
    pub seen_at: Millis,
    /// All that was counted since then.
    pub counts: Counts,
    /// Open client connections, by where they come from.
    pub sources: BTreeMap<IpAddr, u64>,
    /// The keys that are asked for most often now: in the last five to ten seconds. The most frequent first.
    pub hot: Vec<HotKey>,
    /// Those of the last whole minutes, the oldest first; none for a minute without commands.
    pub hot_minutes: Vec<HotMinute>,
    /// The slow commands that were last seen, the oldest first.
    pub slow: Vec<SlowCommand>,
}

/// What only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Commands that were answered, by name in lower case.
    #[serde(default)]
    pub commands: BTreeMap<String, CommandCounts>,
    /// How many took how long, by [`LATENCY_STEPS`], and those beyond; empty where none was answered.
    #[serde(default)]
    pub latency: Vec<u64>,
    /// Bytes that clients sent.
    #[serde(default)]
    pub inbound: u64,
    /// Bytes that clients got.
    #[serde(default)]
    pub outbound: u64,
    /// Connections that were let in.
    #[serde(default)]
    pub accepted: u64,
    /// Connections that were not, by reason.
    #[serde(default)]
    pub refused: BTreeMap<String, u64>,
    /// Connections that have ended, by reason.
    #[serde(default)]
    pub closed: BTreeMap<String, u64>,
    /// What the gateway itself answered with an error, by reason.
    #[serde(default)]
    pub errors: BTreeMap<String, u64>,
    /// Commands that were slow, whether or not they are still told one by one.
    #[serde(default)]
    pub slow: u64,
}

/// The commands of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCounts {
    /// How many were answered.
    pub count: u64,
    /// How many of those with an error.
    pub failed: u64,
    /// How long all of them took, in microseconds.
    pub micros: u64,
    /// How long the slowest took.
    pub max_micros: u64,
}

/// A key that is asked for often. The count may be more than the truth, by `error` at the most, besides what sampling
/// makes it differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotKey {
    /// The database that it is in.
    pub database: u32,
    /// The key, or its first bytes where it is long. What is no UTF-8 is replaced.
    pub key: String,
    /// How often it was asked for.
    pub count: u64,
    /// How much of that may be others'.
    pub error: u64,
}

/// The hot keys of one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotMinute {
    /// The minute, counted from the Unix epoch.
    pub minute: i64,
    /// The keys, the most frequent first.
    pub keys: Vec<HotKey>,
}

/// A command that took long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowCommand {
    /// Tells it from others of the same `since`.
    pub id: u64,
    /// When it came.
    pub at: Millis,
    /// How long it took until its answer came back, in microseconds.
    pub micros: u64,
    /// The client's address with its port.
    pub client: String,
    /// As whom the client had signed in; empty: as the default user.
    pub account: String,
    /// The database.
    pub database: u32,
    /// The command with its arguments, cut as Redis's slow log does; secrets are left out.
    pub arguments: Vec<String>,
}

impl Sight {
    /// Takes in what another loop of the same gateway has seen of the same instance.
    pub fn merge(&mut self, other: Sight) {
        let is_new = *self == Sight::default();
        self.since = if is_new { other.since } else { self.since.min(other.since) };
        self.taken_at = self.taken_at.max(other.taken_at);
        self.seen_at = self.seen_at.max(other.seen_at);
        self.counts.add(&other.counts);
        for (source, open) in other.sources {
            *self.sources.entry(source).or_default() += open;
        }
        self.hot = hottest(std::mem::take(&mut self.hot).into_iter().chain(other.hot), HOT_KEYS);
        for minute in other.hot_minutes {
            match self.hot_minutes.iter_mut().find(|known| known.minute == minute.minute) {
                Some(known) => {
                    known.keys = hottest(std::mem::take(&mut known.keys).into_iter().chain(minute.keys), HOT_KEYS);
                }
                None => self.hot_minutes.push(minute),
            }
        }
        self.hot_minutes.sort_by_key(|minute| minute.minute);
        self.slow.extend(other.slow);
        self.slow.sort_by_key(|slow| (slow.at, slow.id));
        self.slow.drain(..self.slow.len().saturating_sub(SLOW_COMMANDS));
    }
}

/// Adds up what is said of each key; the most frequent first, and so many at the most.
pub fn hottest(keys: impl IntoIterator<Item = HotKey>, most: usize) -> Vec<HotKey> {
    let mut all: BTreeMap<(u32, String), (u64, u64)> = BTreeMap::new();
    for HotKey { database, key, count, error } in keys {
        let sum = all.entry((database, key)).or_default();
        *sum = (sum.0 + count, sum.1 + error);
    }
    let all = all.into_iter();
    let mut all: Vec<HotKey> =
        all.map(|((database, key), (count, error))| HotKey { database, key, count, error }).collect();
    all.sort_by_key(|key| std::cmp::Reverse(key.count));
    all.truncate(most);
    all
}

impl Counts {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Counts) {
        for (name, counts) in &other.commands {
            let sum = self.commands.entry(name.clone()).or_default();
            sum.count += counts.count;
            sum.failed += counts.failed;
            sum.micros += counts.micros;
            sum.max_micros = sum.max_micros.max(counts.max_micros);
        }
        self.latency.resize(self.latency.len().max(other.latency.len()), 0);
        for (sum, more) in self.latency.iter_mut().zip(&other.latency) {
            *sum += more;
        }
        self.inbound += other.inbound;
        self.outbound += other.outbound;
        self.accepted += other.accepted;
        for (sums, more) in
            [(&mut self.refused, &other.refused), (&mut self.closed, &other.closed), (&mut self.errors, &other.errors)]
        {
            for (reason, count) in more {
                *sums.entry(reason.clone()).or_default() += count;
            }
        }
        self.slow += other.slow;
    }

    /// What was counted after `earlier` was. How long the slowest took is told where it is of that time, else as 0.
    #[must_use]
    pub fn after(&self, earlier: &Counts) -> Counts {
        let rest = |all: &BTreeMap<String, u64>, earlier: &BTreeMap<String, u64>| -> BTreeMap<String, u64> {
            let of = |reason: &String| earlier.get(reason).copied().unwrap_or(0);
            let all = all.iter().map(|(reason, count)| (reason.clone(), count.saturating_sub(of(reason))));
            all.filter(|(_, count)| *count > 0).collect()
        };
        let commands = self.commands.iter().map(|(name, now)| {
            let then = earlier.commands.get(name).copied().unwrap_or_default();
            let counts = CommandCounts {
                count: now.count.saturating_sub(then.count),
                failed: now.failed.saturating_sub(then.failed),
                micros: now.micros.saturating_sub(then.micros),
                max_micros: if now.max_micros > then.max_micros { now.max_micros } else { 0 },
            };
            (name.clone(), counts)
        });
        let of = |step: usize| earlier.latency.get(step).copied().unwrap_or(0);
        Counts {
            commands: commands.filter(|(_, counts)| counts.count > 0).collect(),
            latency: self.latency.iter().enumerate().map(|(step, now)| now.saturating_sub(of(step))).collect(),
            inbound: self.inbound.saturating_sub(earlier.inbound),
            outbound: self.outbound.saturating_sub(earlier.outbound),
            accepted: self.accepted.saturating_sub(earlier.accepted),
            refused: rest(&self.refused, &earlier.refused),
            closed: rest(&self.closed, &earlier.closed),
            errors: rest(&self.errors, &earlier.errors),
            slow: self.slow.saturating_sub(earlier.slow),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: u64) -> Counts {
        let of = |count| CommandCounts { count, failed: 1, micros: 10 * count, max_micros: count };
        Counts {
            commands: BTreeMap::from([("get".into(), of(count)), ("set".into(), of(2))]),
            latency: vec![count, 2],
            inbound: 100 * count,
            closed: BTreeMap::from([("client".into(), count)]),
            ..Counts::default()
        }
    }

    #[test]
    fn what_was_counted_after_an_earlier_look_is_the_difference() {
        let after = counts(7).after(&counts(3));
        assert_eq!(after.commands.len(), 1, "nothing was set: {after:?}");
        assert_eq!(after.commands["get"], CommandCounts { count: 4, failed: 0, micros: 40, max_micros: 7 });
        assert_eq!((after.latency.as_slice(), after.inbound), ([4, 0].as_slice(), 400));
        assert_eq!(after.closed["client"], 4);
        let mut sum = counts(3);
        sum.add(&after);
        assert_eq!(sum.commands["get"].count, 7);
        assert_eq!(counts(3).after(&Counts::default()).inbound, 300);
    }

    #[test]
    fn loops_are_merged_into_one_sight() {
        let key = |key: &str, count| HotKey { database: 0, key: key.into(), count, error: 1 };
        let slow = |id, at| SlowCommand {
            id,
            at: Millis(at),
            micros: 1,
            client: String::new(),
            account: String::new(),
            database: 0,
            arguments: Vec::new(),
        };
        let source: IpAddr = [127, 0, 0, 1].into();
        let loop_of = |since, hot: Vec<HotKey>, slow| Sight {
            since: Millis(since),
            seen_at: Millis(since),
            counts: counts(1),
            sources: BTreeMap::from([(source, 2)]),
            hot_minutes: vec![HotMinute { minute: 5, keys: hot.clone() }],
            hot,
            slow,
            ..Sight::default()
        };
        let mut all = Sight::default();
        all.merge(loop_of(5, vec![key("a", 10), key("b", 3)], vec![slow(1, 50)]));
        all.merge(loop_of(3, vec![key("b", 9)], vec![slow(2, 20)]));
        assert_eq!((all.since, all.seen_at), (Millis(3), Millis(5)));
        assert_eq!(all.hot, [HotKey { error: 2, ..key("b", 12) }, key("a", 10)]);
        assert_eq!(all.hot_minutes, [HotMinute { minute: 5, keys: all.hot.clone() }]);
        assert_eq!(all.sources[&source], 4);
        assert_eq!(all.counts.commands["get"].count, 2);
        assert_eq!(all.slow.iter().map(|slow| slow.id).collect::<Vec<_>>(), [2, 1]);
    }
}
