//! Makes up what callers ask for.

use std::collections::BTreeSet;

use super::chance::Chance;
use super::engine::SCRIPTS;

/// What is known of a caller when its next request is made up, whatever becomes of those that it has sent before.
#[derive(Default)]
pub(super) struct Mood {
    /// It has sent a word that lets it in, where one is needed.
    pub(super) is_signed_in: bool,
    /// It may have begun a transaction.
    in_transaction: bool,
    watches: bool,
    tracks: bool,
    /// It may hear nothing.
    is_quiet: bool,
    /// It may be told that, being a subscriber, it may ask for little.
    subscribes: bool,
    is_third: bool,
    /// Counts what it has said.
    pub(super) said: u64,
}

impl Mood {
    pub(super) fn new(is_signed_in: bool) -> Mood {
        Mood { is_signed_in, ..Mood::default() }
    }
}

/// A request that is none, and what is said to it.
pub(super) const MALFORMED: &[(&[u8], &str)] = &[
    (b"*x\r\n", "invalid multibulk length"),
    (b"*1\r\n:3\r\n", "expected '$', got ':'"),
    (b"*1\r\n$x\r\n", "invalid bulk length"),
    (b"*2\r\n$4\r\nPING\r\n$-1\r\n", "invalid bulk length"),
    (b"SET \"open\r\n", "unbalanced quotes in request"),
    (b"*01\r\n", "invalid multibulk length"),
];

const CHANNELS: [&str; 2] = ["news", "more"];

pub(super) struct Author<'a> {
    pub(super) chance: &'a mut Chance,
    pub(super) mood: &'a mut Mood,
    /// What the names of the caller's keys begin with.
    pub(super) prefix: &'a str,
    /// The password there is, where there is one.
    pub(super) password: Option<&'a str>,
    /// The scripts that somebody has brought along.
    pub(super) scripts: &'a BTreeSet<usize>,
    /// Whether values may be long.
    pub(super) is_wordy: bool,
}

impl Author<'_> {
    /// The words of the next request.
    pub(super) fn request(&mut self) -> Vec<Vec<u8>> {
        let words = self.words();
        words.into_iter().map(|word| word.replace('~', self.prefix).into_bytes()).collect()
    }

    fn words(&mut self) -> Vec<String> {
        self.mood.said += 1;
        // Within a transaction it would have the bytes pass that come after, which a switch ends.
        let may_sign_in = self.password.is_some() && !self.mood.is_signed_in && !self.mood.in_transaction;
        if may_sign_in && !self.chance.one_in(6) {
            return self.sign_in();
        }
        let value = self.value();
        let said = self.mood.said.to_string();
        let kind = self.chance.below(44);
        if self.is_restricted() && self.chance.one_in(3) {
            self.mood.subscribes = false;
            return split("UNSUBSCRIBE");
        }
        match kind {
            0..6 => split(&format!("ECHO ~{said}")),
            6..11 => split("INCR ~n"),
            11..16 => vec!["SET".into(), self.key(), value],
            16..21 => vec!["GET".into(), self.key()],
            21 => vec!["APPEND".into(), self.key(), value],
            22 => vec!["DEL".into(), self.key()],
            23 => vec!["STRLEN".into(), self.key()],
            24 => split(&format!("RPUSH ~l {said}")),
            25 => split("LRANGE ~l 0 -1"),
            26 => self.odd(),
            // A subscriber's is refused, which pipelined makes of a session what nobody follows.
            27..30 if !self.is_restricted() => self.transaction(),
            30..32 if self.mood.in_transaction => self.transaction(),
            32..34 => self.script(),
            _ if self.mood.in_transaction => split("INCR ~n"),
            30..32 if !self.mood.is_quiet => {
                self.mood.watches = true;
                split(self.chance.of(&["WATCH ~w", "WATCH ~n", "WATCH ~w ~a"]))
            }
            34..36 => {
                self.mood.subscribes = true;
                split(&format!("SUBSCRIBE {}", self.chance.of(&["news", "more", "news more", "news news"])))
            }
            36 => {
                let words =
                    self.chance.of(&["UNSUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE news", "UNSUBSCRIBE elsewhere"]);
                self.mood.subscribes &= words != "UNSUBSCRIBE";
                split(words)
            }
            37..39 => split(&format!("PUBLISH {} ~{said}", self.chance.of(&CHANNELS))),
            39..43 => self.session(),
            _ if !self.mood.is_quiet => split(&format!("BLPOP ~q {}", self.chance.of(&["0.05", "0.5", "2", "0"]))),
            _ => split("PING"),
        }
    }

    /// Whether it may be told that a subscriber may ask for little.
    fn is_restricted(&self) -> bool {
        self.mood.subscribes && !self.mood.is_third
    }

    fn key(&mut self) -> String {
        self.chance.of(&["~a", "~b", "~n", "~l"]).into()
    }

    fn value(&mut self) -> String {
        let is_wordy = self.is_wordy && !self.mood.in_transaction && self.mood.is_signed_in;
        match self.chance.below(12) {
            11 if is_wordy => "v".repeat(self.chance.of(&[20_000, 65_500, 70_000, 200_000])),
            10 => "a\r\nb".into(),
            9 => String::new(),
            other => format!("v{}-{other}", self.mood.said),
        }
    }

    fn odd(&mut self) -> Vec<String> {
        split(self.chance.of(&[
            "NONSENSE a",
            "GET",
            "INCR ~l",
            "EXEC",
            "DISCARD",
            "PING",
            "PING hello",
            "SET one",
            "MULTI x",
            "EXEC x",
        ]))
    }

    fn transaction(&mut self) -> Vec<String> {
        let word = match self.chance.below(8) {
            0..3 if !self.mood.in_transaction => "MULTI",
            0..4 => "EXEC",
            4 => "DISCARD",
            5 => "UNWATCH",
            6 => "INCR ~n",
            _ => "BLPOP ~l 0.1",
        };
        match word {
            "MULTI" => self.mood.in_transaction = true,
            // Without a transaction they end no watch.
            "EXEC" | "DISCARD" => {
                self.mood.watches &= !self.mood.in_transaction;
                self.mood.in_transaction = false;
            }
            "BLPOP ~l 0.1" if !self.mood.in_transaction || self.mood.is_quiet => return split("INCR ~n"),
            _ => {}
        }
        split(word)
    }

    fn script(&mut self) -> Vec<String> {
        let index = self.chance.below(SCRIPTS.len());
        let (body, digest) = SCRIPTS[index];
        let is_known = self.scripts.contains(&index);
        let mut words = match self.chance.below(4) {
            3 => vec!["EVAL".into(), body.into()],
            _ if is_known => vec!["EVALSHA".into(), digest.into()],
            _ => vec!["SCRIPT".into(), "LOAD".into(), body.into()],
        };
        if words[0] != "SCRIPT" {
            words.extend(split(&format!("1 ~n {}", self.mood.said)));
        }
        words
    }

    fn sign_in(&mut self) -> Vec<String> {
        self.mood.is_signed_in = true;
        let password = self.password.unwrap_or("none");
        let words = match self.chance.below(6) {
            5 => {
                self.mood.is_third = true;
                format!("HELLO 3 AUTH default {password}")
            }
            4 => "AUTH ann pw-ann".into(),
            3 => {
                self.mood.is_signed_in = false;
                "AUTH wrong".into()
            }
            2 => format!("AUTH default {password}"),
            _ => format!("AUTH {password}"),
        };
        split(&words)
    }

    /// What leaves something behind in a connection.
    fn session(&mut self) -> Vec<String> {
        let words = match self.chance.below(15) {
            0..2 => "CLIENT GETNAME".into(),
            2 => format!("CLIENT SETNAME name-{}", self.mood.said),
            3 => "SELECT 1".into(),
            4 => "SELECT 0".into(),
            5..7 if !self.mood.tracks => {
                self.mood.is_third |= !self.mood.subscribes;
                self.chance.of(&["HELLO 3", "HELLO 3 SETNAME third"]).into()
            }
            7 if !self.mood.tracks => {
                self.mood.is_third = false;
                "HELLO 2".into()
            }
            8 if self.mood.is_third => {
                self.mood.tracks = true;
                "CLIENT TRACKING on".into()
            }
            9 => {
                self.mood.tracks = false;
                "CLIENT TRACKING off".into()
            }
            10 => self.chance.of(&["CLIENT NO-EVICT on", "CLIENT NO-EVICT off"]).into(),
            11 if !self.mood.watches && !self.is_restricted() => {
                let word = self.chance.of(&["SKIP", "SKIP", "OFF", "ON"]);
                self.mood.is_quiet = word != "ON";
                format!("CLIENT REPLY {word}")
            }
            12 => {
                let Mood { said, .. } = *self.mood;
                *self.mood = Mood { said, is_signed_in: self.password.is_none(), ..Mood::default() };
                "RESET".into()
            }
            13 => "CLIENT ID".into(),
            _ if self.mood.is_quiet && !self.is_restricted() => {
                self.mood.is_quiet = false;
                "CLIENT REPLY ON".into()
            }
            _ => self.chance.of(&["AUTH wrong", "AUTH ann pw-ann", "SELECT 99", "HELLO 4", "CLIENT NONSENSE"]).into(),
        };
        // What a node does not know may bind a client to its connection.
        if words == "CLIENT NONSENSE" { split("HELLO") } else { split(&words) }
    }
}

fn split(words: &str) -> Vec<String> {
    words.split(' ').map(str::to_owned).collect()
}

/// A request as a list.
pub(super) fn written(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = super::data::list_header(words.len());
    words.iter().for_each(|word| super::data::bulk(word, &mut bytes));
    bytes
}
