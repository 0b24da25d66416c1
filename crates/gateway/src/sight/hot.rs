//! Which keys are asked for most often.
//!
//! Counted by Space-Saving: 256 keys have a counter each, and a key without one takes over the lowest, with its count. So
//! of all that was counted, a key that got more than a 256th is always among them, and no count is too low, nor too high
//! by more than a 256th of all (a minute is put together out of slices, which makes it a 128th).
//!
//! Commands are sampled: of a slice of five seconds the first 4,096 are all counted, of the next 98,304 about every 8th,
//! and then about every 64th, each for as many. The distance is random, so that no rhythm of a client's hides a key. That
//! adds a standard error of at most 10 times the root of the count: of a key that got 10,000 of them 10 %, of one that got
//! 1,000,000 1 %. At a million commands a second less than 20,000 of them take longer than a decrement.
//!
//! A slice ends on the clock, and with it the count of what is hot now: a key counts as soon as it is asked for, and is
//! forgotten after ten seconds.

use std::collections::VecDeque;

use model::{HOT_KEYS, HotKey, HotMinute, Millis, hottest};

/// How many keys have a counter.
const KEPT: usize = 256;
/// How much of a key is kept. Longer ones of the same length that begin alike are taken for one.
const KEY_BYTES: usize = 128;
const BUCKETS: usize = 512;
const NONE: u16 = u16::MAX;

const SLICE: i64 = 5_000;
const MINUTE: i64 = 60_000;
/// How many minutes are told.
const MINUTES: usize = 3;
/// How many samples a slice has up to which each command, or every 8th, is one.
const ALL_UNTIL: u32 = 4_096;
const EIGHTH_UNTIL: u32 = 16_384;

/// The hot keys of an instance, now and in the last minutes.
pub(super) struct HotKeys {
    /// Commands until the next sample.
    until_next: u32,
    sampled: u32,
    random: u64,
    slice_ends: Millis,
    minute: i64,
    /// Boxes come with the first command and go with the last, since most instances are idle.
    current: Option<Box<Sketch>>,
    former: Option<Box<Sketch>>,
    in_minute: Option<Box<Sketch>>,
    minutes: VecDeque<HotMinute>,
}

impl HotKeys {
    pub(super) fn new(now: Millis, seed: u64) -> HotKeys {
        HotKeys {
            until_next: 1,
            sampled: 0,
            random: seed | 1,
            slice_ends: slice_end(now),
            minute: minute_of(now),
            current: None,
            former: None,
            in_minute: None,
            minutes: VecDeque::new(),
        }
    }

    #[inline]
    pub(super) fn asked_for(&mut self, database: u32, key: &[u8]) {
        self.until_next -= 1;
        if self.until_next == 0 {
            self.sample(database, key);
        }
    }

    #[cold]
    fn sample(&mut self, database: u32, key: &[u8]) {
        let weight = self.distance();
        self.current.get_or_insert_default().count(database, key.len(), head(key), u64::from(weight));
        self.sampled = self.sampled.saturating_add(1);
        let mean = self.distance();
        // From 1 to twice the mean less one.
        self.until_next = 1 + (self.next_random() % u64::from(2 * mean - 1)) as u32;
    }

    /// How many commands a sample stands for now.
    fn distance(&self) -> u32 {
        match self.sampled {
            ..ALL_UNTIL => 1,
            ALL_UNTIL..EIGHTH_UNTIL => 8,
            EIGHTH_UNTIL.. => 64,
        }
    }

    /// Xorshift: fair enough, and nothing that one could not know hangs on it.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 16
    }

    /// Ends what has ended by this moment.
    pub(super) fn tick(&mut self, now: Millis) {
        // The clock may have been set back.
        if now < self.slice_ends && now.0 >= self.slice_ends.0 - 2 * SLICE {
            return;
        }
        let is_long_over = now.0 >= self.slice_ends.0 + SLICE;
        self.slice_ends = slice_end(now);
        self.sampled = 0;
        self.until_next = 1;
        let ended = self.current.take().filter(|sketch| !sketch.slots.is_empty());
        if let Some(current) = &ended {
            let minute = self.in_minute.get_or_insert_default();
            for (slot, count) in current.slots.iter().zip(&current.counts) {
                let place = minute.count(slot.database, slot.length as usize, slot.head(), *count);
                minute.slots[place].error += slot.error;
            }
        }
        let over = std::mem::replace(&mut self.former, ended);
        if is_long_over {
            self.former = None;
        } else if let Some(mut spare) = over.filter(|_| self.former.is_some()) {
            spare.clear();
            self.current = Some(spare);
        }
        if minute_of(now) != self.minute {
            if let Some(ended) = self.in_minute.take() {
                self.minutes.push_back(HotMinute { minute: self.minute, keys: hottest(ended.keys(), HOT_KEYS) });
            }
            self.minute = minute_of(now);
        }
        let minute = self.minute;
        self.minutes.retain(|ended| minute - ended.minute <= MINUTES as i64);
    }

    /// What is hot now.
    pub(super) fn now(&self) -> Vec<HotKey> {
        let both = [&self.former, &self.current];
        hottest(both.into_iter().flatten().flat_map(|sketch| sketch.keys()), HOT_KEYS)
    }

    /// What was in the last whole minutes.
    pub(super) fn minutes(&self) -> Vec<HotMinute> {
        self.minutes.iter().cloned().collect()
    }
}

fn slice_end(now: Millis) -> Millis {
    Millis((now.0.div_euclid(SLICE) + 1) * SLICE)
}

fn minute_of(now: Millis) -> i64 {
    now.0.div_euclid(MINUTE)
}

fn head(key: &[u8]) -> &[u8] {
    &key[..key.len().min(KEY_BYTES)]
}

/// Space-Saving.
struct Sketch {
    /// Apart from the rest, since the lowest is looked for.
    counts: Vec<u64>,
    slots: Vec<Slot>,
    /// The first slot of each chain.
    heads: [u16; BUCKETS],
    /// No count is lower, since counts only grow.
    least: u64,
    /// Where the next one as low as that is looked for.
    look_at: usize,
}

struct Slot {
    hash: u64,
    error: u64,
    database: u32,
    /// Of the whole key.
    length: u32,
    next: u16,
    key: [u8; KEY_BYTES],
}

impl Slot {
    fn head(&self) -> &[u8] {
        &self.key[..(self.length as usize).min(KEY_BYTES)]
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch { counts: Vec::new(), slots: Vec::new(), heads: [NONE; BUCKETS], least: 0, look_at: 0 }
    }
}

impl Sketch {
    fn clear(&mut self) {
        self.counts.clear();
        self.slots.clear();
        self.heads.fill(NONE);
        (self.least, self.look_at) = (0, 0);
    }

    /// Counts a key; answers where.
    fn count(&mut self, database: u32, length: usize, head: &[u8], weight: u64) -> usize {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let hash = hash_of(database, length, head);
        let bucket = bucket_of(hash);
        let mut at = self.heads[bucket];
        while at != NONE {
            let slot = &self.slots[usize::from(at)];
            if slot.hash == hash && slot.database == database && slot.length == length && slot.head() == head {
                self.counts[usize::from(at)] += weight;
                return usize::from(at);
            }
            at = slot.next;
        }
        let mut key = [0; KEY_BYTES];
        key[..head.len()].copy_from_slice(head);
        let slot = Slot { hash, error: 0, database, length, next: self.heads[bucket], key };
        let place = if self.slots.len() < KEPT {
            self.slots.push(slot);
            self.counts.push(weight);
            self.slots.len() - 1
        } else {
            let place = self.lowest();
            self.unlink(place);
            // After it was unlinked, which may have been from the same chain.
            self.slots[place] = Slot { error: self.counts[place], next: self.heads[bucket], ..slot };
            self.counts[place] += weight;
            place
        };
        self.heads[bucket] = place as u16;
        place
    }

    /// The place of the lowest count. Many are as low as it is, where there are many keys, so that they are gone through
    /// one after the other.
    fn lowest(&mut self) -> usize {
        let from = |counts: &[u64], least: u64| counts.iter().position(|count| *count <= least);
        if let Some(ahead) = from(&self.counts[self.look_at..], self.least) {
            let place = self.look_at + ahead;
            self.look_at = place + 1;
            return place;
        }
        self.least = self.counts.iter().copied().min().unwrap_or(0);
        let place = from(&self.counts, self.least).unwrap_or(0);
        self.look_at = place + 1;
        place
    }

    fn unlink(&mut self, place: usize) {
        let Slot { hash, next, .. } = self.slots[place];
        let bucket = bucket_of(hash);
        let mut at = self.heads[bucket];
        if usize::from(at) == place {
            self.heads[bucket] = next;
            return;
        }
        while at != NONE {
            let slot = &mut self.slots[usize::from(at)];
            if usize::from(slot.next) == place {
                slot.next = next;
                return;
            }
            at = slot.next;
        }
    }

    fn keys(&self) -> impl Iterator<Item = HotKey> {
        self.slots.iter().zip(&self.counts).map(|(slot, count)| HotKey {
            database: slot.database,
            key: String::from_utf8_lossy(slot.head()).into_owned(),
            count: *count,
            error: slot.error,
        })
    }
}

fn bucket_of(hash: u64) -> usize {
    (hash >> 32) as usize % BUCKETS
}

/// Eight bytes at a time. Who makes keys collide has chains of 256 looked through, and no more.
fn hash_of(database: u32, length: u32, head: &[u8]) -> u64 {
    let mut hash = u64::from(database) << 32 | u64::from(length);
    let mut mix = |word: u64| {
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    };
    let (words, rest) = head.as_chunks::<8>();
    words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(u64::from_le_bytes(last));
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Numbers from 0 up, the lower the likelier: the n-th as likely as the first divided by n.
    struct Zipf {
        sums: Vec<f64>,
        random: u64,
    }

    impl Zipf {
        fn new(many: usize) -> Zipf {
            let mut sum = 0.0;
            let sums = (1..=many).map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            });
            Zipf { sums: sums.collect(), random: 99 }
        }

        fn next(&mut self) -> usize {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
            let drawn = share * self.sums[self.sums.len() - 1];
            self.sums.partition_point(|sum| *sum < drawn)
        }
    }

    fn ask(keys: &mut HotKeys, key: &str, times: usize) {
        (0..times).for_each(|_| keys.asked_for(0, key.as_bytes()));
    }

    fn top(keys: &HotKeys) -> Option<String> {
        keys.now().first().map(|key| key.key.clone())
    }

    #[test]
    fn the_hottest_of_a_long_tail_are_found_with_nearly_their_counts() {
        let mut keys = HotKeys::new(Millis(0), 3);
        let mut truth: HashMap<String, u64> = HashMap::new();
        let mut zipf = Zipf::new(100_000);
        let all = 1_000_000_u64;
        for _ in 0..all {
            let key = format!("key:{}", zipf.next());
            keys.asked_for(0, key.as_bytes());
            *truth.entry(key).or_default() += 1;
        }
        let found = keys.now();
        assert_eq!(found[0].key, "key:0");
        let names: Vec<&str> = found.iter().take(16).map(|key| key.key.as_str()).collect();
        for rank in 0..10 {
            assert!(names.contains(&format!("key:{rank}").as_str()), "{names:?}");
        }
        for key in &found[..10] {
            let truth = truth[&key.key];
            // Three standard errors of sampling, and what Space-Saving is off by.
            let sampling = 3.0 * 10.0 * (truth as f64).sqrt();
            let off = key.count.abs_diff(truth) as f64;
            assert!(off <= sampling + (all / KEPT as u64) as f64, "{key:?} was asked for {truth} times");
            assert!(key.error <= all / KEPT as u64 * 2, "{key:?}");
        }
    }

    #[test]
    fn few_commands_are_counted_exactly() {
        let mut keys = HotKeys::new(Millis(0), 3);
        for key in 0..200 {
            ask(&mut keys, &format!("k{key}"), key + 1);
        }
        keys.asked_for(1, b"k199");
        let found = keys.now();
        // After the first 4,096 commands about every eighth counts.
        assert_eq!(found.len(), HOT_KEYS);
        let mut keys = HotKeys::new(Millis(0), 3);
        ask(&mut keys, "a", 3_000);
        ask(&mut keys, "b", 1_000);
        keys.asked_for(1, b"a");
        let found: Vec<_> = keys.now().into_iter().map(|key| (key.database, key.key, key.count, key.error)).collect();
        assert_eq!(found, [(0, "a".into(), 3_000, 0), (0, "b".into(), 1_000, 0), (1, "a".into(), 1, 0)]);
    }

    #[test]
    fn memory_is_bounded_however_many_and_long_the_keys_are() {
        let mut sketch = Sketch::default();
        for key in 0..100_000 {
            let key = format!("{key:0>5000}");
            sketch.count(0, key.len(), head(key.as_bytes()), 1);
            let key = format!("{key}-and-its-own-end");
            sketch.count(key.len() as u32, key.len(), head(key.as_bytes()), 1);
        }
        assert!(sketch.slots.len() <= KEPT && sketch.counts.len() <= KEPT);
        assert_eq!(sketch.counts.iter().sum::<u64>(), 200_000, "nothing that was counted is lost");
        assert!(size_of::<Slot>() <= 160);
        let mut chained: Vec<usize> = Vec::new();
        for head in sketch.heads {
            let mut at = head;
            while at != NONE {
                chained.push(usize::from(at));
                at = sketch.slots[usize::from(at)].next;
            }
        }
        chained.sort_unstable();
        assert_eq!(chained, (0..sketch.slots.len()).collect::<Vec<_>>(), "each slot is in one chain");
    }

    #[test]
    fn a_key_is_hot_at_once_and_forgotten_ten_seconds_after_it_has_cooled() {
        let mut keys = HotKeys::new(Millis(1_000), 3);
        ask(&mut keys, "old", 1_000);
        assert_eq!(top(&keys).as_deref(), Some("old"));
        keys.tick(Millis(6_000));
        ask(&mut keys, "new", 2_000);
        assert_eq!(top(&keys).as_deref(), Some("new"));
        assert_eq!(keys.now().len(), 2);
        keys.tick(Millis(10_500));
        assert_eq!(keys.now().len(), 1, "{:?}", keys.now());
        keys.tick(Millis(15_500));
        assert!(keys.now().is_empty());
        assert!(keys.current.is_none() && keys.former.is_none(), "an idle instance keeps no sketch");
        ask(&mut keys, "again", 1);
        keys.tick(Millis(500_000));
        assert!(keys.now().is_empty());
    }

    #[test]
    fn whole_minutes_are_told_and_soon_forgotten() {
        let mut keys = HotKeys::new(Millis(0), 3);
        for second in 0..60 {
            keys.tick(Millis(second * 1_000));
            ask(&mut keys, "first", 10);
        }
        assert!(keys.minutes().is_empty(), "the minute goes on");
        for second in 60..120 {
            keys.tick(Millis(second * 1_000));
            ask(&mut keys, "second", 5);
        }
        keys.tick(Millis(120_000));
        let told = keys.minutes();
        assert_eq!(told.iter().map(|minute| minute.minute).collect::<Vec<_>>(), [0, 1]);
        assert_eq!((told[0].keys[0].key.as_str(), told[0].keys[0].count), ("first", 600));
        assert_eq!((told[1].keys[0].key.as_str(), told[1].keys[0].count), ("second", 300));
        keys.tick(Millis(240_000));
        assert_eq!(keys.minutes().iter().map(|minute| minute.minute).collect::<Vec<_>>(), [1]);
        keys.tick(Millis(600_000));
        assert!(keys.minutes().is_empty());
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let mut keys = HotKeys::new(Millis(600_000), 3);
        ask(&mut keys, "a", 10);
        keys.tick(Millis(100_000));
        ask(&mut keys, "b", 10);
        assert_eq!(keys.now().len(), 2);
        keys.tick(Millis(120_000));
        assert!(keys.now().is_empty());
    }
}
