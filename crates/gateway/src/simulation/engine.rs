//! A model of an engine, in memory: as much of Redis 7.0 as the exchange and the callers of a scene ask for. It is a node,
//! and with one connection alone it is what a caller expects of its instance.

mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::data::{self, Data, Effect, bulk, error, list_header, null_list};

/// The scripts there are, with what they go by.
pub(super) const SCRIPTS: [(&str, &str); 2] = [
    ("return ARGV[1]", "098e0f0d1448c0a81dafe820f66d460eb09263da"),
    ("return redis.call('incr', KEYS[1])", "2bab3b661081db58bd2341920e0ba7cf5dc77b25"),
];
/// How many databases there are.
pub(super) const DATABASES: usize = 2;
/// What an engine tells those that it has put to sleep when it leads no more.
const UNBLOCKED: &str = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

pub(super) type Words = [Vec<u8>];

/// As the module says.
#[derive(Clone, Default)]
pub(super) struct Engine {
    pub(super) data: Data,
    /// How often a key was changed.
    changes: BTreeMap<(usize, Vec<u8>), u64>,
    pub(super) scripts: BTreeSet<usize>,
    pub(super) connections: BTreeMap<u64, Connection>,
    /// The default user's; none: it needs none.
    pub(super) passwords: Vec<Vec<u8>>,
    pub(super) follows: bool,
    /// What was changed since somebody last took it.
    pub(super) effects: Vec<Effect>,
    pub(super) offset: u64,
    naps: u64,
}

/// What an engine knows of a connection.
#[derive(Clone, Default)]
pub(super) struct Connection {
    pub(super) is_signed_in: bool,
    pub(super) protocol: u8,
    database: usize,
    name: Vec<u8>,
    is_quiet: bool,
    skips: bool,
    skips_next: bool,
    pub(super) queue: Option<Queue>,
    watched: BTreeMap<(usize, Vec<u8>), u64>,
    pub(super) channels: BTreeSet<Vec<u8>>,
    tracks: bool,
    tracked: BTreeSet<Vec<u8>>,
    pub(super) nap: Option<Nap>,
    /// It ends once it has got everything.
    pub(super) ends: bool,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
}

/// A transaction.
#[derive(Clone, Default)]
pub(super) struct Queue {
    requests: Vec<Vec<Vec<u8>>>,
    pub(super) is_spoilt: bool,
}

/// A command that waits.
#[derive(Clone)]
pub(super) struct Nap {
    number: u64,
    key: Vec<u8>,
    until: Option<Instant>,
}

/// What is said to a request.
struct Answer {
    words: Vec<u8>,
    /// It is said to those too who want to hear nothing.
    is_push: bool,
}

/// Commands: how many words they may have, and whether they write.
const COMMANDS: &[(&str, usize, usize, bool)] = &[
    ("append", 3, 3, true),
    ("auth", 2, 3, false),
    ("blpop", 3, 9, true),
    ("client", 2, 9, false),
    ("command", 1, 1, false),
    ("del", 2, 9, true),
    ("discard", 1, 1, false),
    ("echo", 2, 2, false),
    ("eval", 3, 9, true),
    ("evalsha", 3, 9, true),
    ("exec", 1, 1, false),
    ("get", 2, 2, false),
    ("hello", 1, 9, false),
    ("incr", 2, 2, true),
    ("info", 1, 2, false),
    ("lrange", 4, 4, false),
    ("multi", 1, 1, false),
    ("ping", 1, 2, false),
    ("publish", 3, 3, false),
    ("quit", 1, 9, false),
    ("reset", 1, 1, false),
    ("rpush", 3, 9, true),
    ("script", 2, 9, false),
    ("select", 2, 2, false),
    ("set", 3, 3, true),
    ("strlen", 2, 2, false),
    ("subscribe", 2, 9, false),
    ("unsubscribe", 1, 9, false),
    ("unwatch", 1, 1, false),
    ("watch", 2, 9, false),
];

impl Engine {
    pub(super) fn new(follows: bool, passwords: Vec<Vec<u8>>) -> Engine {
        Engine { follows, passwords, ..Engine::default() }
    }

    pub(super) fn connect(&mut self, number: u64) {
        let is_signed_in = self.passwords.is_empty();
        self.connections.insert(number, Connection { is_signed_in, protocol: 2, ..Connection::default() });
    }

    /// Does what a request asks for.
    pub(super) fn run(&mut self, number: u64, words: &Words, now: Instant) {
        let before = self.effects.len();
        let answer = self.answer(number, words, now);
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if let Some(answer) = answer {
            connection.say(answer);
        }
        self.wake(now);
        self.tell_changes(before);
    }

    /// What those wait for who track keys.
    fn tell_changes(&mut self, from: usize) {
        let changed: Vec<_> = self.effects[from..].iter().map(|effect| effect.key.clone()).collect();
        for connection in self.connections.values_mut().filter(|connection| connection.tracks) {
            for key in &changed {
                if connection.tracked.remove(key) && connection.protocol == 3 {
                    connection.output.extend(b">2\r\n$10\r\ninvalidate\r\n*1\r\n");
                    bulk(key, &mut connection.output);
                }
            }
        }
    }

    fn answer(&mut self, number: u64, words: &Words, now: Instant) -> Option<Answer> {
        let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
        let connection = self.connections.get_mut(&number)?;
        let known = COMMANDS.iter().find(|(known, ..)| *known == name);
        let restricted = connection.protocol == 2
            && !connection.channels.is_empty()
            && !matches!(name.as_str(), "subscribe" | "unsubscribe" | "ping" | "quit" | "reset");
        let refusal = match known {
            None => Some(format!("ERR unknown command '{}', with args beginning with: ", words[0].escape_ascii())),
            Some((_, least, most, _)) if words.len() < *least || words.len() > *most => {
                Some(format!("ERR wrong number of arguments for '{name}' command"))
            }
            Some(_) if !connection.is_signed_in && !matches!(name.as_str(), "auth" | "hello" | "quit" | "reset") => {
                Some("NOAUTH Authentication required.".into())
            }
            Some(_) if restricted => Some(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            )),
            Some((.., true)) if self.follows => Some("READONLY You can't write against a read only replica.".into()),
            Some(_) => None,
        };
        if let Some(refusal) = refusal {
            connection.queue.iter_mut().for_each(|queue| queue.is_spoilt = true);
            return Some(Answer::of(error(&refusal)));
        }
        let at_once = matches!(name.as_str(), "exec" | "discard" | "multi" | "watch" | "quit" | "reset");
        if let Some(queue) = connection.queue.as_mut().filter(|_| !at_once) {
            queue.requests.push(words.to_vec());
            return Some(Answer::of(b"+QUEUED\r\n".to_vec()));
        }
        self.execute(number, &name, words, now)
    }

    fn execute(&mut self, number: u64, name: &str, words: &Words, now: Instant) -> Option<Answer> {
        let connection = self.connections.get_mut(&number)?;
        let is_queued = connection.queue.is_some();
        let protocol = connection.protocol;
        let reply = match name {
            "ping" if protocol == 2 && !connection.channels.is_empty() => {
                let mut reply = b"*2\r\n$4\r\npong\r\n".to_vec();
                bulk(words.get(1).map_or(&[], Vec::as_slice), &mut reply);
                reply
            }
            "ping" if words.len() == 1 => b"+PONG\r\n".to_vec(),
            "ping" | "echo" => data::bulk_reply(&words[1]),
            "auth" => self.auth(number, words),
            "hello" => self.hello(number, words),
            "select" => match std::str::from_utf8(&words[1]).ok().and_then(|number| number.parse::<i64>().ok()) {
                Some(database) if (0..DATABASES as i64).contains(&database) => {
                    connection.database = database as usize;
                    b"+OK\r\n".to_vec()
                }
                Some(_) => error("ERR DB index is out of range"),
                None => error("ERR value is not an integer or out of range"),
            },
            "client" => return self.client(number, words),
            "multi" if is_queued => error("ERR MULTI calls can not be nested"),
            "multi" => {
                connection.queue = Some(Queue::default());
                b"+OK\r\n".to_vec()
            }
            "exec" => self.exec(number, now),
            "discard" if !is_queued => error("ERR DISCARD without MULTI"),
            "discard" => {
                connection.queue = None;
                connection.watched.clear();
                b"+OK\r\n".to_vec()
            }
            "watch" if is_queued => error("ERR WATCH inside MULTI is not allowed"),
            "watch" => {
                for key in &words[1..] {
                    let place = (connection.database, key.clone());
                    let changes = self.changes.get(&place).copied().unwrap_or(0);
                    connection.watched.entry(place).or_insert(changes);
                }
                b"+OK\r\n".to_vec()
            }
            "unwatch" => {
                connection.watched.clear();
                b"+OK\r\n".to_vec()
            }
            "subscribe" | "unsubscribe" => return Some(connection.subscribe(name, words)),
            "publish" => self.publish(&words[1], &words[2]),
            "reset" => {
                let kept = Connection {
                    is_signed_in: self.passwords.is_empty(),
                    protocol: 2,
                    skips: connection.skips,
                    input: std::mem::take(&mut connection.input),
                    output: std::mem::take(&mut connection.output),
                    ..Connection::default()
                };
                *connection = kept;
                b"+RESET\r\n".to_vec()
            }
            "quit" => {
                connection.ends = true;
                b"+OK\r\n".to_vec()
            }
            "command" => data::COMMAND_TABLE.to_vec(),
            "info" => {
                let facts = if self.follows {
                    format!("role:slave\r\nmaster_link_status:up\r\nslave_repl_offset:{}\r\n", self.offset)
                } else {
                    format!("role:master\r\nmaster_repl_offset:{}\r\n", self.offset)
                };
                data::bulk_reply(facts.as_bytes())
            }
            "script" | "eval" | "evalsha" => self.script(number, name, words),
            "blpop" => {
                let until =
                    match std::str::from_utf8(&words[words.len() - 1]).ok().and_then(|span| span.parse::<f64>().ok()) {
                        Some(0.0) => None,
                        Some(seconds) if seconds > 0.0 => Some(now + Duration::from_secs_f64(seconds)),
                        _ => return Some(Answer::of(error("ERR timeout is not a float or out of range"))),
                    };
                let (database, key) = (connection.database, &words[1]);
                match self.pop(database, key) {
                    Ok(Some(value)) => popped(key, &value),
                    Ok(None) if is_queued => null_list(protocol),
                    Ok(None) => {
                        self.naps += 1;
                        let nap = Nap { number: self.naps, key: key.clone(), until };
                        self.connections.get_mut(&number)?.nap = Some(nap);
                        return None;
                    }
                    Err(refusal) => refusal,
                }
            }
            _ => self.on_data(number, words),
        };
        Some(Answer::of(reply))
    }

    /// A command that reads or changes data alone.
    fn on_data(&mut self, number: u64, words: &Words) -> Vec<u8> {
        let Some(connection) = self.connections.get_mut(&number) else { return Vec::new() };
        let database = connection.database;
        if connection.tracks && words[0].eq_ignore_ascii_case(b"get") {
            connection.tracked.insert(words[1].clone());
        }
        let (reply, effects) = data::run(&mut self.data[database], database, connection.protocol, words);
        self.changed(effects);
        reply
    }

    fn changed(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            *self.changes.entry((effect.database, effect.key.clone())).or_default() += 1;
        }
        self.offset += effects.len() as u64;
        self.effects.extend(effects);
    }

    /// Does what another engine has done.
    pub(super) fn apply(&mut self, effect: &Effect) {
        effect.apply(&mut self.data);
        self.changed(vec![effect.clone()]);
        self.tell_changes(0);
        self.effects.clear();
    }

    /// Somebody else's command, in all databases.
    pub(super) fn order(&mut self, words: &[&[u8]], now: Instant) {
        let words: Vec<_> = words.iter().map(|word| word.to_vec()).collect();
        let before = self.effects.len();
        for number in 0..DATABASES {
            let (_, effects) = data::run(&mut self.data[number], number, 2, &words);
            self.changed(effects);
        }
        self.wake(now);
        self.tell_changes(before);
    }

    fn pop(&mut self, database: usize, key: &[u8]) -> Result<Option<Vec<u8>>, Vec<u8>> {
        let (popped, effects) = data::pop(&mut self.data[database], database, key)?;
        self.changed(effects);
        Ok(popped)
    }

    /// Gives those who wait what they wait for, or tells them that they have waited long enough.
    pub(super) fn wake(&mut self, now: Instant) {
        let mut naps: Vec<_> =
            self.connections.iter().filter_map(|(number, of)| Some((of.nap.clone()?, of.database, *number))).collect();
        naps.sort_by_key(|(nap, ..)| nap.number);
        for (nap, database, number) in naps {
            let words = match self.pop(database, &nap.key) {
                Ok(Some(value)) => popped(&nap.key, &value),
                _ if nap.until.is_some_and(|until| until <= now) => null_list(self.connections[&number].protocol),
                _ => continue,
            };
            self.end_nap(number, words);
        }
    }

    /// Ends what a connection waits for, with these words.
    pub(super) fn end_nap(&mut self, number: u64, words: Vec<u8>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.nap = None;
        connection.say(Answer::of(words));
    }

    /// Leads no more.
    pub(super) fn demote(&mut self) {
        self.follows = true;
        let naps: Vec<_> =
            self.connections.iter().filter(|(_, of)| of.nap.is_some()).map(|(number, _)| *number).collect();
        for number in naps {
            self.end_nap(number, error(UNBLOCKED));
            self.connections.get_mut(&number).into_iter().for_each(|connection| connection.ends = true);
        }
    }

    /// When the next of those who wait has waited long enough.
    pub(super) fn next_waking(&self) -> Option<Instant> {
        self.connections.values().filter_map(|connection| connection.nap.as_ref()?.until).min()
    }

    /// Takes for unknown what was told of the keys that a connection tracks.
    pub(super) fn forget_tracked(&mut self, number: u64) {
        self.connections.get_mut(&number).into_iter().for_each(|connection| connection.tracked.clear());
    }

    /// Executes a transaction as if what it watches had changed.
    pub(super) fn void_transaction(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        connection.queue = None;
        connection.watched.clear();
        let words = null_list(connection.protocol);
        connection.say(Answer::of(words));
    }

    fn exec(&mut self, number: u64, now: Instant) -> Vec<u8> {
        let Some(connection) = self.connections.get_mut(&number) else { return Vec::new() };
        let Some(queue) = connection.queue.clone() else { return error("ERR EXEC without MULTI") };
        let watched = std::mem::take(&mut connection.watched);
        let protocol = connection.protocol;
        let has_changed =
            |(place, changes): (&(usize, Vec<u8>), &u64)| self.changes.get(place).copied().unwrap_or(0) != *changes;
        let is_void = watched.iter().any(has_changed);
        let mut reply = match () {
            () if queue.is_spoilt => error("EXECABORT Transaction discarded because of previous errors."),
            () if is_void => null_list(protocol),
            () => list_header(queue.requests.len()),
        };
        if !queue.is_spoilt && !is_void {
            for words in &queue.requests {
                let name = String::from_utf8_lossy(&words[0]).to_ascii_lowercase();
                reply.extend(self.execute(number, &name, words, now).map(|answer| answer.words).unwrap_or_default());
            }
        }
        self.connections.get_mut(&number).into_iter().for_each(|connection| connection.queue = None);
        reply
    }
}

fn popped(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut reply = list_header(2);
    bulk(key, &mut reply);
    bulk(value, &mut reply);
    reply
}

impl Answer {
    fn of(words: Vec<u8>) -> Answer {
        Answer { words, is_push: false }
    }
}

impl Connection {
    fn say(&mut self, answer: Answer) {
        if answer.is_push || !self.is_quiet && !self.skips {
            self.output.extend(answer.words);
        }
        self.take_turn();
    }

    /// What was said now was what was to be skipped, if something was.
    fn take_turn(&mut self) {
        self.skips = std::mem::take(&mut self.skips_next);
    }

    pub(super) fn database(&self) -> usize {
        self.database
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.queue.is_some()
    }

    pub(super) fn watches(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Whether it hears nothing of what it asks for next.
    pub(super) fn hears_nothing(&self) -> bool {
        self.is_quiet || self.skips
    }
}
