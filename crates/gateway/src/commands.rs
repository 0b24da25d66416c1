//! What the gateway must know of a command to carry it: the few that change a session are named here, all others are as
//! the engine's own table of commands says.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// No command's name is longer.
const LONGEST_NAME: usize = 32;

/// How a command is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It leaves nothing behind in its connection, so it may share one.
    Plain,
    /// It may wait, for as long as one of its arguments says.
    Blocking(Timeout),
    Auth,
    Hello,
    Select,
    Client,
    Multi,
    Exec,
    Discard,
    Watch,
    Unwatch,
    Subscribe(Topic),
    Unsubscribe(Topic),
    Reset,
    Quit,
    /// It brings a script along.
    Eval,
    /// Of scripts: one of its forms must reach the engine beside the script that it ends.
    Script,
    Function,
    /// It asks about the writes that its own connection has made.
    Wait,
    /// It makes its connection something else altogether.
    Opaque,
    /// Not Redis's protocol but another's, which Redis hangs up on.
    Foreign,
}

/// Where a blocking command says how long it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    /// Seconds, the last argument.
    Last,
    /// Seconds, the first argument.
    First,
    /// Milliseconds, behind the word BLOCK; without that it does not wait.
    Block,
}

/// What is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Topic {
    Channel,
    Pattern,
    Shard,
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Its place in the table's names.
    pub(crate) id: u16,
    pub(crate) kind: Kind,
    /// Whether a replica may answer it.
    pub(crate) reads: bool,
    /// Where its first key stands; zero where it has none.
    pub(crate) first_key: u8,
}

/// What is known of commands.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    by_name: HashMap<Vec<u8>, Command, BuildHasherDefault<NameHasher>>,
    names: Vec<String>,
}

/// What goes on from a cursor goes on where it began: another node's tables are in another order.
const OF_ONE_NODE: [&str; 4] = ["hscan", "scan", "sscan", "zscan"];

/// What nobody knows; the engine says so.
const UNKNOWN: Command = Command { id: 0, kind: Kind::Plain, reads: false, first_key: 0 };

const NAMED: &[(&str, Kind)] = &[
    ("auth", Kind::Auth),
    ("blmove", Kind::Blocking(Timeout::Last)),
    ("blmpop", Kind::Blocking(Timeout::First)),
    ("blpop", Kind::Blocking(Timeout::Last)),
    ("brpop", Kind::Blocking(Timeout::Last)),
    ("brpoplpush", Kind::Blocking(Timeout::Last)),
    ("bzmpop", Kind::Blocking(Timeout::First)),
    ("bzpopmax", Kind::Blocking(Timeout::Last)),
    ("bzpopmin", Kind::Blocking(Timeout::Last)),
    ("client", Kind::Client),
    ("discard", Kind::Discard),
    ("eval", Kind::Eval),
    ("eval_ro", Kind::Eval),
    ("exec", Kind::Exec),
    ("function", Kind::Function),
    ("hello", Kind::Hello),
    ("host:", Kind::Foreign),
    ("monitor", Kind::Opaque),
    ("multi", Kind::Multi),
    ("post", Kind::Foreign),
    ("psubscribe", Kind::Subscribe(Topic::Pattern)),
    ("psync", Kind::Opaque),
    ("punsubscribe", Kind::Unsubscribe(Topic::Pattern)),
    ("quit", Kind::Quit),
    ("replconf", Kind::Opaque),
    ("reset", Kind::Reset),
    ("script", Kind::Script),
    ("select", Kind::Select),
    ("ssubscribe", Kind::Subscribe(Topic::Shard)),
    ("subscribe", Kind::Subscribe(Topic::Channel)),
    ("sunsubscribe", Kind::Unsubscribe(Topic::Shard)),
    ("sync", Kind::Opaque),
    ("unsubscribe", Kind::Unsubscribe(Topic::Channel)),
    ("unwatch", Kind::Unwatch),
    ("wait", Kind::Wait),
    ("waitaof", Kind::Wait),
    ("watch", Kind::Watch),
    ("xread", Kind::Blocking(Timeout::Block)),
    ("xreadgroup", Kind::Blocking(Timeout::Block)),
];

/// The commands that engines have, so that the first of a client are known too: each with whether it reads (`r`), writes or
/// does neither (`w`) or may block (`b`), and where its first key stands. As Redis 7.0 and Valkey 9.1 answer COMMAND.
const COMMON: &str = include_str!("commands.txt");

/// The commands that are known without an engine's table.
pub(crate) static KNOWN: LazyLock<Commands> = LazyLock::new(|| {
    let mut commands = Commands { by_name: HashMap::default(), names: vec!["other".into()] };
    for (name, kind) in NAMED {
        commands.add(name.as_bytes(), *kind, false, 0);
    }
    for line in COMMON.lines() {
        let mut fields = line.split(' ');
        let (Some(name), Some(how), Some(key)) = (fields.next(), fields.next(), fields.next()) else { continue };
        commands.note(name.as_bytes().to_vec(), how == "r", how == "b", key.parse().unwrap_or(0));
    }
    commands
});

impl Commands {
    /// These, and those of an engine's answer to COMMAND. What is known keeps its number.
    pub(crate) fn learn(&self, answer: &[u8]) -> Option<Commands> {
        let mut commands = self.clone();
        let mut values = Values { bytes: answer, at: 0 };
        let count = values.list()?;
        for _ in 0..count {
            let fields = values.list()?;
            if fields < 6 {
                return None;
            }
            let name = values.text()?.to_ascii_lowercase();
            values.skip()?;
            let mut reads = false;
            let mut blocks = false;
            for _ in 0..values.list()? {
                match values.text()? {
                    b"readonly" => reads = true,
                    b"blocking" => blocks = true,
                    _ => {}
                }
            }
            let first_key = u8::try_from(values.number()?).unwrap_or(0);
            for _ in 4..fields {
                values.skip()?;
            }
            if name.len() > LONGEST_NAME {
                continue;
            }
            commands.note(name, reads, blocks, first_key);
        }
        Some(commands)
    }

    pub(crate) fn find(&self, name: &[u8]) -> Command {
        let mut folded = [0; LONGEST_NAME];
        let Some(folded) = folded.get_mut(..name.len()) else { return UNKNOWN };
        folded.copy_from_slice(name);
        folded.make_ascii_lowercase();
        self.by_name.get(&*folded).copied().unwrap_or(UNKNOWN)
    }

    /// The names, by the commands' ids.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// What is known, by name, to be known by a successor.
    pub(crate) fn learned(&self) -> Vec<Learned> {
        let of = |name: &String| {
            let command = self.by_name.get(name.as_bytes())?;
            let (is_opaque, reads, first_key) = (command.kind == Kind::Opaque, command.reads, command.first_key);
            Some(Learned { name: name.clone(), is_opaque, reads, first_key })
        };
        self.names.iter().filter_map(of).collect()
    }

    /// These, and what was learned by a predecessor.
    pub(crate) fn learn_again(&self, learned: Vec<Learned>) -> Commands {
        let mut commands = self.clone();
        for Learned { name, is_opaque, reads, first_key } in learned {
            commands.note(name.into_bytes(), reads, is_opaque, first_key);
        }
        commands
    }

    /// Takes over what a table says of a command.
    fn note(&mut self, name: Vec<u8>, reads: bool, blocks: bool, first_key: u8) {
        match self.by_name.get_mut(&name) {
            Some(command) => {
                command.first_key = first_key;
                let can_be_read =
                    command.kind == Kind::Plain && !OF_ONE_NODE.iter().any(|other| other.as_bytes() == name);
                command.reads = reads && can_be_read;
            }
            // One that may wait in a way that is not known here has a connection of its own.
            None => {
                let kind = if blocks { Kind::Opaque } else { Kind::Plain };
                let is_of_one_node = OF_ONE_NODE.iter().any(|other| other.as_bytes() == name);
                self.add(&name, kind, reads && !blocks && !is_of_one_node, first_key);
            }
        }
    }

    fn add(&mut self, name: &[u8], kind: Kind, reads: bool, first_key: u8) {
        let Ok(id) = u16::try_from(self.names.len()) else { return };
        self.names.push(String::from_utf8_lossy(name).into_owned());
        self.by_name.insert(name.to_vec(), Command { id, kind, reads, first_key });
    }
}

/// What an engine says of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Learned {
    name: String,
    is_opaque: bool,
    reads: bool,
    first_key: u8,
}

/// Reads a reply value by value.
struct Values<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Values<'a> {
    fn line(&mut self) -> Option<(u8, &'a [u8])> {
        let rest = self.bytes.get(self.at..)?;
        let end = memchr::memchr(b'\n', rest)?;
        self.at += end + 1;
        let (mark, line) = rest[..end].split_first()?;
        Some((*mark, line.strip_suffix(b"\r").unwrap_or(line)))
    }

    fn list(&mut self) -> Option<u64> {
        match self.line()? {
            (b'*' | b'~', length) => parse(length),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<i64> {
        match self.line()? {
            (b':', number) => std::str::from_utf8(number).ok()?.parse().ok(),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        match self.line()? {
            (b'+', text) => Some(text),
            (b'$', length) => {
                let length = usize::try_from(parse(length)?).ok()?;
                let text = self.bytes.get(self.at..self.at.checked_add(length)?)?;
                self.at += length + 2;
                Some(text)
            }
            _ => None,
        }
    }

    fn skip(&mut self) -> Option<()> {
        let mut values: u64 = 1;
        while values > 0 {
            values -= 1;
            match self.line()? {
                (b'$' | b'=', b"-1") => {}
                (b'$' | b'=', length) => self.at += usize::try_from(parse(length)?).ok()?.checked_add(2)?,
                (b'*' | b'~', b"-1") => {}
                (b'*' | b'~', length) => values += parse(length)?,
                (b'%', length) => values += 2 * parse(length)?,
                _ => {}
            }
        }
        Some(())
    }
}

fn parse(number: &[u8]) -> Option<u64> {
    std::str::from_utf8(number).ok()?.parse().ok().filter(|number| *number < 1 << 32)
}

/// Names are short, and nobody gains from names that collide: the table is the engine's.
#[derive(Default)]
pub(crate) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
    }

    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }

    fn finish(&self) -> u64 {
        // A table's index is in the low bits, what was multiplied is in the high ones.
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_the_named_ones_are_in_order() {
        assert_eq!(KNOWN.find(b"BLPop").kind, Kind::Blocking(Timeout::Last));
        assert!(KNOWN.find(b"get").reads && !KNOWN.find(b"set").reads);
        assert_eq!(KNOWN.find(b"set").first_key, 1);
        assert_eq!(KNOWN.find(b"no-such"), UNKNOWN);
        assert_eq!(KNOWN.find(&[b'x'; 100]), UNKNOWN);
        assert!(NAMED.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn an_engines_table_adds_what_it_says_and_changes_nothing_that_is_named() {
        let answer = b"*4\r\n\
            *6\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n\
            *7\r\n$3\r\nset\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*1\r\n+@write\r\n\
            *6\r\n$5\r\nblpop\r\n:-3\r\n*2\r\n+write\r\n+blocking\r\n:1\r\n:-2\r\n:1\r\n\
            *6\r\n$7\r\nmod.pop\r\n:-3\r\n*2\r\n+write\r\n+blocking\r\n:1\r\n:-2\r\n:1\r\n";
        let commands = KNOWN.learn(answer).unwrap();
        let get = commands.find(b"GET");
        assert!(get.reads && get.kind == Kind::Plain && get.first_key == 1);
        assert_eq!(commands.names()[usize::from(get.id)], "get");
        assert!(!commands.find(b"set").reads);
        assert_eq!(commands.find(b"blpop").kind, Kind::Blocking(Timeout::Last));
        assert_eq!(commands.find(b"mod.pop").kind, Kind::Opaque);
        let again = KNOWN.learn_again(commands.learned());
        assert_eq!((again.names(), again.learned()), (commands.names(), commands.learned()));
        assert_eq!(again.find(b"mod.pop"), commands.find(b"mod.pop"));
        assert!(KNOWN.learn(b"-NOPERM\r\n").is_none() && KNOWN.learn(b"*1\r\n*6\r\n$3").is_none());
    }
}
