//! A client of a scene, and what it must be told: what an engine of its own tells it that is asked the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::author::Mood;
use super::data::{self, Data};
use super::engine::{DATABASES, Engine, SCRIPTS};
use super::naive::{self, Read};
use super::net::End;
use super::words::{shown, shown_words, strings, values};
use crate::world::Wire as _;

/// The connection by which a caller asks its own engine.
const OWN: u64 = 0;

/// As the module says.
pub(super) struct Caller {
    pub(super) number: usize,
    /// Counts its connections. Its keys are others each time.
    pub(super) life: usize,
    pub(super) end: Option<End>,
    /// What it is told comes from here too.
    pub(super) engine: Engine,
    /// What it has asked for and was not told.
    pub(super) asked: VecDeque<Asked>,
    /// What is still to come of the answer that has begun.
    owed: VecDeque<Vec<u8>>,
    pub(super) output: VecDeque<u8>,
    /// How many bytes it has made up, and how many it has sent.
    made: u64,
    sent: u64,
    input: Vec<u8>,
    pub(super) mood: Mood,
    /// It sends no more: it has ended its side, or said so, or what it has said is no request.
    pub(super) is_done: bool,
    pub(super) has_ended_side: bool,
    has_malformed: bool,
    /// Until when it reads nothing.
    pub(super) naps_until: Option<Instant>,
    /// Why it may be reset.
    pub(super) excuse: Option<&'static str>,
    /// It may be reset for good: it may have signed in by a password that is no more.
    pub(super) has_old_password: bool,
    watch: Option<Watch>,
    /// Since when it is subscribed.
    pub(super) subscribed_at: BTreeMap<Vec<u8>, Instant>,
    pub(super) heard: BTreeSet<Vec<u8>>,
    last_heard: BTreeMap<String, u64>,
    /// Keys of which it must be told that they have changed.
    stale: BTreeSet<Vec<u8>>,
    /// What its data was before.
    past: Vec<Data>,
    /// What its data was before what it heard nothing of, and that may not have been done yet.
    unheard: Vec<Data>,
    /// The last of the elements that it has got from its queue, which it has in each database.
    pub(super) got: [u64; DATABASES],
}

/// A request on its way.
pub(super) struct Asked {
    /// None where it is no request: it is told this.
    words: Result<Vec<Vec<u8>>, &'static str>,
    at: Instant,
    /// Up to which of all the bytes that were sent it goes.
    ends_at: u64,
}

impl Asked {
    /// Whether it may be put to sleep by that.
    fn blocks(&self) -> bool {
        self.words.as_ref().is_ok_and(|words| words[0] == b"BLPOP")
    }
}

/// What it watches.
#[derive(Clone, Copy)]
struct Watch {
    asked_at: Instant,
    known_at: Instant,
}

/// What happened to what callers watch: to the key, or to all.
pub(super) struct Disturbance {
    pub(super) key: Option<Vec<u8>>,
    pub(super) from: Instant,
    /// `None`: it goes on.
    pub(super) to: Option<Instant>,
}

/// What was published and counted.
pub(super) struct Published {
    pub(super) channel: Vec<u8>,
    pub(super) message: Vec<u8>,
    pub(super) at: Instant,
}

/// What happens around a caller.
pub(super) struct Around<'a> {
    pub(super) now: Instant,
    pub(super) disturbances: &'a [Disturbance],
    pub(super) published: &'a mut Vec<Published>,
    pub(super) scripts: &'a mut BTreeSet<usize>,
    /// Whether reads may be answered by a node that is behind.
    pub(super) reads_may_be_old: bool,
    /// Whether a command that waits may have been ended by somebody.
    pub(super) wakes: bool,
    /// Whether an element may be lost that was on its way.
    pub(super) may_lose: bool,
}

/// How a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Order,
    Reset,
}

impl Caller {
    pub(super) fn new(number: usize, life: usize, end: End, passwords: &[Vec<u8>]) -> Caller {
        let mut engine = Engine::new(false, passwords.to_vec());
        engine.connect(OWN);
        // It asks for those alone that its instance has.
        engine.scripts.extend(0..SCRIPTS.len());
        Caller {
            number,
            life,
            end: Some(end),
            engine,
            asked: VecDeque::new(),
            owed: VecDeque::new(),
            output: VecDeque::new(),
            made: 0,
            sent: 0,
            input: Vec::new(),
            mood: Mood::new(passwords.is_empty()),
            is_done: false,
            has_ended_side: false,
            has_malformed: false,
            naps_until: None,
            excuse: None,
            has_old_password: false,
            watch: None,
            subscribed_at: BTreeMap::new(),
            heard: BTreeSet::new(),
            last_heard: BTreeMap::new(),
            stale: BTreeSet::new(),
            past: Vec::new(),
            unheard: Vec::new(),
            got: [0; DATABASES],
        }
    }

    pub(super) fn prefix(&self) -> String {
        format!("c{}.{}:", self.number, self.life)
    }

    pub(super) fn ask(&mut self, words: Vec<Vec<u8>>, now: Instant) {
        self.add(&super::author::written(&words), now, Ok(words));
    }

    /// Sends bytes that are what they are, to be told this.
    pub(super) fn add(&mut self, bytes: &[u8], now: Instant, words: Result<Vec<Vec<u8>>, &'static str>) {
        self.output.extend(bytes);
        self.made += bytes.len() as u64;
        self.has_malformed = words.is_err();
        self.asked.push_back(Asked { words, at: now, ends_at: self.made });
    }

    /// Sends some of what it has to say.
    pub(super) fn send(&mut self, most: usize) {
        let Some(end) = &mut self.end else { return };
        while !self.output.is_empty() && !self.has_ended_side {
            let (bytes, _) = self.output.as_slices();
            match end.write(&bytes[..bytes.len().min(most)]) {
                Ok(count) => {
                    self.output.drain(..count);
                    self.sent += count as u64;
                }
                Err(_) => break,
            }
            if most < usize::MAX {
                break;
            }
        }
    }

    /// Reads what there is; answers how the connection has ended, if so.
    pub(super) fn read(&mut self, around: &mut Around<'_>) -> Result<Option<Ended>, String> {
        let Some(end) = &mut self.end else { return Ok(None) };
        let mut chunk = vec![0; 16 * 1024];
        let mut ended = None;
        loop {
            match end.read(&mut chunk) {
                Ok(0) => ended = Some(Ended::Order),
                Ok(count) => {
                    self.input.extend_from_slice(&chunk[..count]);
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => ended = Some(Ended::Reset),
            }
            break;
        }
        let input = std::mem::take(&mut self.input);
        let mut at = 0;
        while at < input.len() {
            match naive::reply(&input[at..]) {
                Read::Whole((), length) => {
                    self.hear(&input[at..at + length], around)?;
                    at += length;
                }
                Read::More => break,
                Read::Wrong(why) => return Err(format!("was told {}, which is no reply: {why}", shown(&input[at..]))),
            }
        }
        self.input = input[at..].to_vec();
        self.skip_what_is_not_answered(around);
        Ok(ended)
    }

    fn hear(&mut self, value: &[u8], around: &mut Around<'_>) -> Result<(), String> {
        let words = strings(value);
        match words.first().map(Vec::as_slice) {
            Some(b"message") if words.len() == 3 && matches!(value[0], b'*' | b'>') => {
                return self.hear_message(&words);
            }
            Some(b"invalidate") if value[0] == b'>' => {
                // It may be of what is not answered.
                self.skip_what_is_not_answered(around);
                match words.get(1) {
                    Some(key) => drop(self.stale.remove(key)),
                    None => {
                        self.stale.clear();
                        self.engine.forget_tracked(OWN);
                    }
                }
                return Ok(());
            }
            _ => {}
        }
        if let Some(expected) = self.owed.pop_front() {
            return self.compare(&[], value, &expected);
        }
        self.skip_what_is_not_answered(around);
        self.unheard.clear();
        let Some(asked) = self.asked.pop_front() else {
            return Err(format!("was told {}, having asked for nothing", shown(value)));
        };
        let words = match &asked.words {
            Ok(words) => words,
            Err(what) => {
                let expected = data::error(&format!("ERR Protocol error: {what}"));
                return self.compare(&[], value, &expected);
            }
        };
        let is = |name: &str| words[0].eq_ignore_ascii_case(name.as_bytes());
        if is("exec") {
            return self.executed(&asked, value, around);
        }
        if around.reads_may_be_old && data::read(&self.engine.data[0], 2, words).is_some() {
            self.past.push(self.engine.data.clone());
        }
        let replies = self.run(words, around.now);
        if self.engine.connections[&OWN].nap.is_some() {
            return self.woken(&asked, value, around);
        }
        let Some((expected, more)) = replies.split_first() else {
            return Err(format!("was told {} to {}, which says nothing", shown(value), shown_words(words)));
        };
        self.owed = more.iter().cloned().collect();
        if is("watch") && expected == b"+OK\r\n" {
            self.watch.get_or_insert(Watch { asked_at: asked.at, known_at: around.now });
        } else if matches!(expected.as_slice(), b"+OK\r\n" | b"+RESET\r\n")
            && (is("unwatch") || is("discard") || is("reset"))
        {
            self.watch = None;
        }
        self.note_topics(around.now);
        if (is("script") || is("eval")) && value == expected.as_slice() && !matches!(value[0], b'-' | b'+') {
            let body = if is("script") { &words[2] } else { &words[1] };
            around.scripts.extend(SCRIPTS.iter().position(|(script, _)| script.as_bytes() == body.as_slice()));
        }
        let is_number = value[0] == b':' && expected[0] == b':';
        if is("publish") && is_number {
            let (channel, message) = (words[1].clone(), words[2].clone());
            around.published.push(Published { channel, message, at: asked.at });
            return Ok(());
        }
        let tells_id = is("client") && words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"id"));
        if tells_id && is_number {
            return Ok(());
        }
        if around.reads_may_be_old && value != expected.as_slice() && self.was_so(words, value) {
            return Ok(());
        }
        self.compare(words, value, expected)
    }

    /// Whether a read could have been answered like this before.
    fn was_so(&self, words: &[Vec<u8>], value: &[u8]) -> bool {
        let connection = &self.engine.connections[&OWN];
        let (database, protocol) = (connection.database(), connection.protocol);
        let empty = Data::default();
        let mut all = self.past.iter().rev().chain([&empty]);
        all.any(|data| data::read(&data[database], protocol, words).is_some_and(|said| said == value))
    }

    /// Has its own engine do the same; answers what that says.
    fn run(&mut self, words: &[Vec<u8>], now: Instant) -> Vec<Vec<u8>> {
        self.engine.run(OWN, words, now);
        if !self.engine.effects.is_empty() && self.past.len() < 1000 {
            self.past.push(self.engine.data.clone());
        }
        self.engine.effects.clear();
        let said = self.engine.connections.get_mut(&OWN).map(|own| std::mem::take(&mut own.output)).unwrap_or_default();
        let mut replies = values(&said);
        replies.retain(|value| {
            let words = strings(value);
            let is_change = value[0] == b'>' && words[0] == b"invalidate";
            // What it publishes to itself comes from the others' engine.
            let is_message = words.first().is_some_and(|word| word == b"message");
            if is_change {
                self.stale.extend(words.into_iter().nth(1));
            }
            !is_change && !is_message
        });
        replies
    }

    fn executed(&mut self, asked: &Asked, value: &[u8], around: &Around<'_>) -> Result<(), String> {
        let Ok(words) = &asked.words else { return Ok(()) };
        let (before, stale) = (self.engine.clone(), self.stale.clone());
        let replies = self.run(words, around.now);
        let Some(expected) = replies.first() else { return Err(format!("was told {} of EXEC", shown(value))) };
        let is_over =
            before.connections[&OWN].is_in_transaction() && !self.engine.connections[&OWN].is_in_transaction();
        let watch = self.watch.take_if(|_| is_over);
        let (Some(watch), b'*') = (watch, expected[0]) else { return self.compare(words, value, expected) };
        if expected.starts_with(b"*-1") {
            return self.compare(words, value, expected);
        }
        let mine = |of: &&Disturbance| of.key.as_ref().is_none_or(|key| key.starts_with(self.prefix().as_bytes()));
        let mut all = around.disturbances.iter().filter(mine);
        let may = all.clone().any(|of| of.to.is_none_or(|to| to >= watch.asked_at));
        // A key may be another than that which is watched.
        let must = all.any(|of| of.key.is_none() && of.from > watch.known_at && of.to.is_some_and(|to| to < asked.at));
        let nil = data::null_list(self.engine.connections[&OWN].protocol);
        if value == nil.as_slice() && may {
            (self.engine, self.stale) = (before, stale);
            self.engine.void_transaction(OWN);
            self.engine.connections.get_mut(&OWN).into_iter().for_each(|own| own.output.clear());
            return Ok(());
        }
        if must {
            return Err(format!("executed what watched keys in another connection: {}", shown(value)));
        }
        self.compare(words, value, expected)
    }

    /// What it waited for has come about, or not.
    fn woken(&mut self, asked: &Asked, value: &[u8], around: &Around<'_>) -> Result<(), String> {
        let Ok(words) = &asked.words else { return Ok(()) };
        self.engine.end_nap(OWN, Vec::new());
        let nil = data::null_list(self.engine.connections[&OWN].protocol);
        if value == nil.as_slice() {
            let seconds: f64 = String::from_utf8_lossy(&words[2]).parse().unwrap_or_default();
            let waited = around.now - asked.at + Duration::from_millis(2);
            if around.wakes || seconds > 0.0 && waited.as_secs_f64() >= seconds {
                return Ok(());
            }
            return Err(format!("was told after {waited:?} that {} has waited long enough", shown_words(words)));
        }
        if around.wakes && value.starts_with(b"-UNBLOCKED client unblocked via CLIENT UNBLOCK") {
            return Ok(());
        }
        let got = strings(value);
        let element = got.get(1).and_then(|element| std::str::from_utf8(element).ok()?.parse::<u64>().ok());
        match element {
            Some(element) if value[0] == b'*' && got[0] == words[1] => {
                let last = &mut self.got[self.engine.connections[&OWN].database()];
                if element != *last + 1 && !(around.may_lose && element > *last) {
                    return Err(format!("got {element} from its queue after {last}"));
                }
                *last = element;
                Ok(())
            }
            _ => Err(format!("was told {} to {}", shown(value), shown_words(words))),
        }
    }

    fn hear_message(&mut self, words: &[Vec<u8>]) -> Result<(), String> {
        let message = String::from_utf8_lossy(&words[2]).into_owned();
        let (from, number) = message.split_once(':').ok_or_else(|| format!("heard {message}"))?;
        let number: u64 = number.parse().map_err(|_| format!("heard {message}"))?;
        let last = self.last_heard.insert(from.into(), number).unwrap_or(0);
        if last >= number {
            return Err(format!("heard {message} after {last}"));
        }
        self.heard.insert(words[2].clone());
        Ok(())
    }

    fn note_topics(&mut self, now: Instant) {
        let topics = &self.engine.connections[&OWN].channels;
        self.subscribed_at.retain(|topic, _| topics.contains(topic));
        for topic in topics {
            self.subscribed_at.entry(topic.clone()).or_insert(now);
        }
    }

    /// Takes for done what it will not be told of.
    fn skip_what_is_not_answered(&mut self, around: &Around<'_>) {
        while self.owed.is_empty()
            && let Some(Asked { words: Ok(words), .. }) = self.asked.front()
        {
            let says_nothing = words[0].eq_ignore_ascii_case(b"client")
                && words[1].eq_ignore_ascii_case(b"reply")
                && !words[2].eq_ignore_ascii_case(b"on");
            if !says_nothing && !self.engine.connections[&OWN].hears_nothing() {
                return;
            }
            let words = words.clone();
            let (before, stale) = (self.engine.clone(), self.stale.clone());
            if self.run(&words, around.now).is_empty() && self.engine.connections[&OWN].nap.is_none() {
                self.asked.pop_front();
                self.unheard.push(before.data);
                self.note_topics(around.now);
            } else {
                (self.engine, self.stale) = (before, stale);
                return;
            }
        }
    }

    fn compare(&self, words: &[Vec<u8>], value: &[u8], expected: &[u8]) -> Result<(), String> {
        if value == expected {
            return Ok(());
        }
        Err(format!("was told {} to {}, and not {}", shown(value), shown_words(words), shown(expected)))
    }

    /// Whether it is owed nothing.
    pub(super) fn is_content(&self) -> bool {
        self.asked.is_empty() && self.owed.is_empty() && self.output.is_empty()
    }

    /// Whether something that it has asked for may be under way.
    pub(super) fn may_wait(&self) -> bool {
        !self.is_content() || !self.unheard.is_empty()
    }

    pub(super) fn waits_for_its_queue(&self) -> bool {
        self.asked.front().is_some_and(Asked::blocks)
    }

    /// Whether what it has sent last is no request, which it is not told where it hears nothing, or where that is lost.
    fn has_said_nonsense(&self) -> bool {
        self.has_malformed && self.asked.len() <= 1
    }

    /// Why its connection may not end like this.
    pub(super) fn objects_to(&self, ended: Ended) -> Option<String> {
        let is_answered = self.is_content() && self.input.is_empty();
        let is_fine = match ended {
            _ if self.excuse.is_some() || self.has_old_password => true,
            // Nobody is told what comes of waiting, or to end, who has ended its side or is to hear nothing. What is behind
            // that was not read, which makes a reset of the end.
            Ended::Order if self.has_said_nonsense() => true,
            Ended::Reset if self.has_malformed => true,
            _ if self.has_ended_side && self.asked.iter().any(Asked::blocks) => true,
            Ended::Order => self.is_done && is_answered,
            Ended::Reset => false,
        };
        let why = || format!("its connection has ended: {ended:?}; {}", self.wishes());
        (!is_fine).then(why)
    }

    /// What it waits for.
    pub(super) fn wishes(&self) -> String {
        let words = |asked: &Asked| asked.words.as_ref().map_or_else(|what| (*what).into(), |words| shown_words(words));
        let first: Vec<String> = self.asked.iter().take(3).map(words).collect();
        let begun = self.owed.len();
        format!("{} unanswered ({begun} in part): {first:?}, {} bytes unsent", self.asked.len(), self.output.len())
    }

    /// What its data may be when it is gone: as after any of its requests that were not answered, in their order.
    pub(super) fn possible_ends(&self) -> Vec<Data> {
        let mut engines = vec![self.engine.clone()];
        let mut ends = vec![self.engine.data.clone()];
        ends.extend(self.unheard.iter().cloned());
        for asked in self.asked.iter().filter(|asked| asked.ends_at <= self.sent) {
            let Ok(words) = &asked.words else { break };
            for mut engine in std::mem::take(&mut engines) {
                engine.end_nap(OWN, Vec::new());
                if words[0] == b"EXEC" && engine.connections[&OWN].watches() {
                    let mut void = engine.clone();
                    void.void_transaction(OWN);
                    engines.push(void);
                }
                engine.run(OWN, words, asked.at);
                engine.effects.clear();
                ends.push(engine.data.clone());
                engines.push(engine);
            }
        }
        ends
    }

    /// Keys of which it was not told that they have changed.
    pub(super) fn untold(&self) -> Option<String> {
        self.stale.first().map(|key| format!("was not told that {} has changed", key.escape_ascii()))
    }
}
