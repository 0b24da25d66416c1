//! Random streams of requests, sent by several clients through the gateway and straight to an equal Redis: what comes back
//! is the same to the byte, also while the gateway leads to another node and back in between.
//!
//! What must differ is left out of the comparison: the id that HELLO tells, the order in which topics are named to who
//! unsubscribes from all of them, and once a switch has been, what is invalidated
//! of what clients track (they have been told to forget everything).
//!
//! `OPENCRS_DIFFERENTIAL_SEEDS=1000-2000` has it try those.
#![expect(clippy::disallowed_methods, reason = "threads that wait for sockets, and no runtime that they could block")]

#[path = "../common/mod.rs"]
mod common;
mod requests;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use common::*;
use model::{Fingerprint, Logins, Route, Vip};
use requests::{Author, Chance, MALFORMED, Mood, SCRIPTS, list};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

/// How many clients there are.
const CLIENTS: usize = 3;
/// How many batches they send.
const STEPS: usize = 40;
/// How long an answer may take that is expected.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_through_the_gateway_is_what_comes_from_redis() {
    let range = std::env::var("OPENCRS_DIFFERENTIAL_SEEDS").unwrap_or_else(|_| "0-24".into());
    let (from, to) = range.split_once('-').expect("a range of seeds");
    let seeds: Range<u64> = from.parse().unwrap()..to.parse().unwrap();
    let rig = Rig::start().await;
    let handle = Handle::current();
    let compare = tokio::task::spawn_blocking(move || {
        let mut stage = Stage::start(rig, handle);
        let outcomes = seeds.map(|seed| stage.play(seed).map_err(|why| format!("seed {seed}: {why}")));
        let different: Vec<_> = outcomes.filter_map(Result::err).collect();
        assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n\n"));
    });
    if let Err(error) = compare.await {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// The engines, and the gateway in front of two of them.
struct Stage {
    rig: Rig,
    handle: Handle,
    direct: Engine,
    /// The primary, and the replica that may take its place.
    behind: [Engine; 2],
    version: i64,
}

/// An engine, and a connection to order it about.
struct Engine {
    redis: Redis,
    admin: TcpStream,
}

impl Engine {
    fn start() -> Engine {
        let user = |name: &str, rules: &str| format!("--user {name} on {rules}");
        let options = [
            "--repl-diskless-sync-delay 0 --repl-ping-replica-period 1 --masteruser admin --masterauth admin"
                .to_owned(),
            user("admin", ">admin ~* &* +@all"),
            user("ann", ">pw-ann ~* &* +@all"),
            user("bob", ">pw-bob ~c* &o* +@read +@connection"),
        ];
        let options: Vec<&str> = options.iter().flat_map(|line| line.split(' ')).collect();
        let redis = Redis::start(&options);
        let admin = TcpStream::connect(redis.addr).unwrap();
        admin.set_nodelay(true).unwrap();
        let mut engine = Engine { redis, admin };
        assert_eq!(engine.order("AUTH admin admin"), "+OK\r\n");
        engine
    }

    /// Has the engine do something; answers what it says to that.
    fn order(&mut self, words: &str) -> String {
        let words: Vec<_> = words.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
        self.ask(&words)
    }

    fn load(&mut self, script: &str) {
        self.ask(&["SCRIPT", "LOAD", script]);
    }

    fn ask(&mut self, words: &[&str]) -> String {
        self.admin.write_all(&list(words)).unwrap();
        let mut reply = Vec::new();
        let mut chunk = [0; 64 * 1024];
        while end_of_value(&reply, 0).is_none() {
            let count = self.admin.read(&mut chunk).unwrap();
            assert!(count > 0, "the engine ended");
            reply.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8_lossy(&reply).into_owned()
    }

    fn fact(&mut self, section: &str, name: &str) -> String {
        let info = self.order(&format!("INFO {section}"));
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().to_owned()
    }
}

fn until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(comes_about(SOON, is_so), "{what} should have happened by now");
}

fn comes_about(within: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > within {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

impl Stage {
    fn start(rig: Rig, handle: Handle) -> Stage {
        let behind = [Engine::start(), Engine::start()];
        let mut stage = Stage { rig, handle, direct: Engine::start(), behind, version: 0 };
        let primary = stage.behind[0].redis.addr;
        stage.behind[1].order(&format!("REPLICAOF {} {}", primary.ip(), primary.port()));
        stage
    }

    /// Plays one scene; what differs is the error.
    fn play(&mut self, seed: u64) -> Result<(), String> {
        let mut chance = Chance::new(seed);
        let (locked, moves) = (seed % 2 == 1, seed % 4 >= 2);
        for engine in self.behind.iter_mut().chain([&mut self.direct]) {
            assert_eq!(
                engine.order(&format!("CONFIG SET requirepass {}", if locked { "pw" } else { "''" })),
                "+OK\r\n"
            );
            engine.order("SCRIPT FLUSH");
            // So that nobody knows it sooner than others.
            engine.load(SCRIPTS[0]);
        }
        self.behind[0].order("FLUSHALL");
        self.direct.order("FLUSHALL");
        let (number, vip) = (seed + 1, free_vip());
        let logins = Logins { password: locked.then(|| fingerprint(number)), ..Logins::default() };
        let route = Route { logins, ..route(number, vip, target_at(self.behind[0].redis.addr, 1)) };
        self.lead(&route);
        let mut pairs: Vec<_> =
            (0..CLIENTS).map(|_| Pair::connect(self.direct.redis.addr, vip, (moves, locked))).collect();
        let mut script = Vec::new();
        let mut has_switched = false;
        for step in 0..STEPS {
            let number = chance.below(CLIENTS);
            let said = match chance.below(16) {
                0 if moves => {
                    self.switch(&mut pairs, &route, Vec::new());
                    has_switched = true;
                    "a switch".to_owned()
                }
                1 => self.block(&mut chance, &mut pairs, number, &route, &mut has_switched),
                2 => self.hang_up(&mut chance, &mut pairs, number, vip),
                3 if !pairs[number].mood.in_transaction => {
                    let (_, bytes) = Author {
                        chance: &mut chance,
                        mood: &mut Mood { moves: true, is_brief: locked, in_transaction: true, ..Mood::default() },
                        number,
                    }
                    .batch();
                    let all = [
                        list(&["CLIENT", "REPLY", "OFF"]),
                        bytes,
                        // Subscribers must not speak of replies.
                        list(&["RESET"]),
                        list(&["CLIENT", "REPLY", "ON"]),
                    ]
                    .concat();
                    pairs[number].mood.watches = false;
                    pairs[number].send(&mut chance, &all);
                    format!("silently {}", all.escape_ascii())
                }
                _ => {
                    let pair = &mut pairs[number];
                    let (words, bytes) = Author { chance: &mut chance, mood: &mut pair.mood, number }.batch();
                    pair.send(&mut chance, &bytes);
                    format!("{words:?}")
                }
            };
            script.push(format!("{step}. client {number}: {said}"));
            self.compare(&mut pairs, has_switched).map_err(|why| {
                let from = script.len().saturating_sub(if std::env::var("OPENCRS_DIFFERENTIAL_ALL").is_ok() {
                    100
                } else {
                    4
                });
                let script: Vec<_> = script[from..].iter().map(|line| shorten(line)).collect();
                format!("{why}\n  after {}", script.join("\n  "))
            })?;
        }
        std::thread::sleep(Duration::from_millis(5));
        self.compare(&mut pairs, has_switched).map_err(|why| format!("{why}\n  at the end"))
    }

    /// Has the gateway lead to a node.
    fn lead(&mut self, route: &Route) {
        self.version += 1;
        self.handle.block_on(self.rig.enforce(self.version, std::slice::from_ref(route)));
    }

    /// Has the replica take the primary's place, as the control plane does. What clients watch is changed on both sides,
    /// because a switch is as if it had been.
    fn switch(&mut self, pairs: &mut [Pair], route: &Route, meanwhile: Vec<(usize, Vec<u8>)>) {
        for (number, pair) in pairs.iter_mut().enumerate().filter(|(_, pair)| pair.mood.watches) {
            for database in 0..3 {
                for engine in [&mut self.behind[0], &mut self.direct] {
                    engine.order(&format!("SELECT {database}"));
                    engine.order(&format!("SET c{number}:w changed"));
                }
            }
            pair.mood.watches = false;
        }
        let [old, new] = &mut self.behind;
        until("the replica follows", || new.fact("replication", "master_link_status") == "up");
        let held = self.handle.block_on(self.rig.control.hold(&route.instance, Duration::from_secs(5)));
        assert!(held.unwrap(), "what was under way is answered");
        for (number, bytes) in meanwhile {
            pairs[number].say(&bytes);
        }
        old.order("REPLICAOF 127.0.0.1 1");
        let all = old.fact("replication", "master_repl_offset");
        until("the replica has all", || new.fact("replication", "slave_repl_offset") == all);
        new.order("REPLICAOF NO ONE");
        self.behind.swap(0, 1);
        let addr = self.behind[0].redis.addr;
        self.lead(&Route { target: target_at(addr, 1), ..route.clone() });
        self.behind[1].order(&format!("REPLICAOF {} {}", addr.ip(), addr.port()));
    }

    /// A client waits for an element, and gets it from another, or not.
    fn block(
        &mut self,
        chance: &mut Chance,
        pairs: &mut [Pair],
        number: usize,
        route: &Route,
        has_switched: &mut bool,
    ) -> String {
        if pairs[number].mood.in_transaction {
            return String::new();
        }
        let key = format!("c{number}:q");
        let other = (number + 1) % CLIENTS;
        let gets = !pairs[other].mood.in_transaction && chance.one_in(2);
        let timeout = if gets { "30" } else { "0.05" };
        let millis = if gets { "30000" } else { "50" };
        let words = match chance.below(5) {
            0 => vec!["BLPOP", &key, timeout],
            1 => vec!["BLMOVE", &key, "somewhere", "LEFT", "RIGHT", timeout],
            2 => vec!["BZPOPMIN", &key, timeout],
            3 => vec!["XREAD", "BLOCK", millis, "STREAMS", &key, "$"],
            _ => vec!["BLMPOP", timeout, "1", &key, "LEFT"],
        };
        let pair = &mut pairs[number];
        pair.say(&[list(&["DEL", &key]), list(&words), list(&["PING"])].concat());
        // What was sent has been done when the engine has answered twice.
        self.direct.order("PING");
        self.direct.order("PING");
        let before = self.direct.fact("clients", "blocked_clients");
        if before == "0" {
            // It could not be put to sleep, as a subscriber or a stranger.
            return format!("{words:?}");
        }
        comes_about(ANSWERS_WITHIN, || self.behind[0].fact("clients", "blocked_clients") == before);
        if pair.mood.moves && chance.one_in(2) {
            self.switch(pairs, route, Vec::new());
            *has_switched = true;
            if gets {
                comes_about(ANSWERS_WITHIN, || self.behind[0].fact("clients", "blocked_clients") == before);
            }
        }
        let giving = match words[0] {
            "BZPOPMIN" => list(&["ZADD", &key, "1", "m"]),
            "XREAD" => list(&["XADD", &key, "1-1", "f", "v"]),
            _ => list(&["RPUSH", &key, "given"]),
        };
        if gets {
            pairs[other].say(&giving);
            comes_about(Duration::from_millis(50), || self.behind[0].fact("clients", "blocked_clients") == "0");
            // Whoever may not write leaves it to this.
            for engine in [&mut self.direct, &mut self.behind[0]] {
                for database in 0..3 {
                    engine.order(&format!("SELECT {database}"));
                    let words: Vec<_> = match words[0] {
                        "BZPOPMIN" => vec!["ZADD", &key, "1", "m"],
                        "XREAD" => vec!["XADD", &key, "2-1", "f", "v"],
                        _ => vec!["RPUSH", &key, "given"],
                    };
                    engine.order(&words.join(" "));
                }
            }
        } else {
            comes_about(ANSWERS_WITHIN, || self.direct.fact("clients", "blocked_clients") == "0");
        }
        format!("{words:?}, gets {gets}")
    }

    /// A client ends as one does, with what is no request or by QUIT, and comes back.
    fn hang_up(&mut self, chance: &mut Chance, pairs: &mut [Pair], number: usize, vip: Vip) -> String {
        let pair = &mut pairs[number];
        let (_, mut bytes) = Author { chance, mood: &mut pair.mood, number }.batch();
        let last = if chance.one_in(3) { "QUIT\r\n" } else { chance.of(MALFORMED) };
        // Redis never ends who is to skip the error, or the last word.
        bytes.extend_from_slice(b"PING\r\n");
        bytes.extend_from_slice(last.as_bytes());
        pair.say(&bytes);
        let ends = [&mut pair.direct, &mut pair.gateway].map(Side::read_to_end);
        let said = format!("hangs up: {}", bytes.escape_ascii());
        if ends != [true, true] || neutral(&pair.direct.bytes, true) != neutral(&pair.gateway.bytes, true) {
            pair.is_broken = true;
            return said;
        }
        *pair = Pair::connect(self.direct.redis.addr, vip, (pair.mood.moves, pair.mood.is_brief));
        said
    }

    /// Waits until everything is answered, and compares the answers.
    fn compare(&mut self, pairs: &mut [Pair], has_switched: bool) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            // Whatever was sent before has been done when the engine has answered twice.
            self.direct.order("PING");
            self.direct.order("PING");
            let got: Vec<_> = pairs.iter_mut().map(|pair| pair.direct.read()).collect();
            if got.iter().any(|got| *got > 0) {
                continue;
            }
            if self.direct.fact("clients", "blocked_clients") == "0" {
                break;
            }
            if begun.elapsed() > ANSWERS_WITHIN {
                return Err("somebody waits for what does not come".into());
            }
        }
        let begun = Instant::now();
        for (number, pair) in pairs.iter_mut().enumerate() {
            let expected = neutral(&pair.direct.bytes, has_switched);
            loop {
                pair.gateway.read();
                let got = neutral(&pair.gateway.bytes, has_switched);
                if got == expected && !pair.is_broken {
                    break;
                }
                let is_late = begun.elapsed() > ANSWERS_WITHIN;
                if pair.is_broken
                    || got.len() > expected.len()
                    || is_late
                    || (pair.gateway.has_ended && !pair.direct.has_ended)
                {
                    let same = got.iter().zip(&expected).take_while(|(got, expected)| got == expected).count();
                    let from = same.saturating_sub(100);
                    return Err(format!(
                        "client {number} got, after {from} bytes,\n    {}{}\n  and not\n    {}{}",
                        shorten(&got[from..].escape_ascii().to_string()),
                        if pair.gateway.has_ended { " END" } else { "" },
                        shorten(&expected[from..].escape_ascii().to_string()),
                        if pair.direct.has_ended { " END" } else { "" },
                    ));
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            pair.direct.bytes.clear();
            pair.gateway.bytes.clear();
        }
        Ok(())
    }
}

fn shorten(text: &str) -> String {
    if text.len() <= 1500 { text.to_owned() } else { format!("{} ... {}", &text[..1000], &text[text.len() - 400..]) }
}

/// As the gateway's table has it.
fn fingerprint(number: u64) -> Fingerprint {
    let hash = hex::encode(Sha256::digest("pw"));
    Fingerprint(hex::encode(Sha256::digest(format!("{}:#{hash}", instance(number)))))
}

/// A client, once straight and once through the gateway.
struct Pair {
    direct: Side,
    gateway: Side,
    mood: Mood,
    is_broken: bool,
}

impl Pair {
    fn connect(direct: SocketAddr, vip: Vip, (moves, is_brief): (bool, bool)) -> Pair {
        let mood = Mood { moves, is_brief, ..Mood::default() };
        Pair { direct: Side::connect(direct), gateway: Side::connect(vip.0), mood, is_broken: false }
    }

    /// Sends the same both ways, cut into pieces on the gateway's.
    fn send(&mut self, chance: &mut Chance, bytes: &[u8]) {
        self.direct.write(bytes);
        let mut left = bytes;
        while chance.below(3) > 0 && left.len() > 1 {
            let (now, later) = left.split_at(1 + chance.below(left.len() - 1));
            self.gateway.write(now);
            if chance.one_in(4) {
                std::thread::sleep(Duration::from_micros(500));
            }
            left = later;
        }
        self.gateway.write(left);
    }

    fn say(&mut self, bytes: &[u8]) {
        self.direct.write(bytes);
        self.gateway.write(bytes);
    }
}

/// A connection, and what came over it that was not compared.
struct Side {
    socket: TcpStream,
    bytes: Vec<u8>,
    has_ended: bool,
}

impl Side {
    fn connect(to: SocketAddr) -> Side {
        let socket = TcpStream::connect(to).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_nonblocking(true).unwrap();
        Side { socket, bytes: Vec::new(), has_ended: false }
    }

    /// Reads what is there; answers how much that was.
    fn read(&mut self) -> usize {
        let before = self.bytes.len();
        let mut chunk = vec![0; 256 * 1024];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => self.has_ended = true,
                Ok(count) => {
                    self.bytes.extend_from_slice(&chunk[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.has_ended = true,
            }
            return self.bytes.len() - before;
        }
    }

    /// Whether it ended in time.
    fn read_to_end(&mut self) -> bool {
        let begun = Instant::now();
        while !self.has_ended && begun.elapsed() < ANSWERS_WITHIN {
            self.read();
            std::thread::sleep(Duration::from_micros(100));
        }
        self.has_ended
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            match self.socket.write(&bytes[at..]) {
                Ok(count) => at += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.read();
                    std::thread::sleep(Duration::from_micros(100));
                }
                // What comes of that is seen when it is read.
                Err(_) => return,
            }
        }
    }
}

/// Without what must differ.
fn neutral(bytes: &[u8], has_switched: bool) -> Vec<u8> {
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let Some(end) = end_of_value(bytes, at) else {
            // Of a transaction in which replies were turned off there are fewer than it says.
            keep_without_ids(&bytes[at..], &mut kept);
            break;
        };
        let value = &bytes[at..end];
        if !(has_switched && value.starts_with(b">2\r\n$10\r\ninvalidate\r\n")) {
            match value.splitn(6, |byte| *byte == b'\n').nth(2) {
                // Those who name nothing are told of all in an order that is the engine's alone.
                Some(b"unsubscribe\r" | b"punsubscribe\r" | b"sunsubscribe\r") => {
                    kept.extend_from_slice(b"unsubscribed");
                    kept.extend_from_slice(value.rsplitn(3, |byte| *byte == b':').next().unwrap_or_default());
                }
                _ => keep_without_ids(value, &mut kept),
            }
        }
        at = end;
    }
    kept
}

/// Keeps a value without the ids of connections, which HELLO tells.
fn keep_without_ids(value: &[u8], kept: &mut Vec<u8>) {
    let id = b"$2\r\nid\r\n:";
    let mut rest = value;
    while let Some(found) = rest.windows(id.len()).position(|window| window == id) {
        let (before, after) = rest.split_at(found + id.len());
        kept.extend_from_slice(before);
        rest = &after[after.iter().take_while(|byte| byte.is_ascii_digit()).count()..];
    }
    kept.extend_from_slice(rest);
}

/// Where the value ends that begins there, if it is all there.
fn end_of_value(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut values, mut at) = (1_i64, from);
    while values > 0 {
        let line = bytes.get(at..)?;
        let length = line.windows(2).position(|window| window == b"\r\n")?;
        let number =
            || std::str::from_utf8(&line[1..length]).ok().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        at += length + 2;
        values -= 1;
        match line[0] {
            b'$' | b'=' | b'!' if number() >= 0 => at += number() as usize + 2,
            b'*' | b'~' | b'>' if number() > 0 => values += number(),
            b'%' => values += 2 * number(),
            _ => {}
        }
    }
    (at <= bytes.len()).then_some(at)
}
