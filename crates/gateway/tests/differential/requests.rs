//! Random requests, of all kinds that a session can be made of.

/// A source of chance that says the same again for the same seed.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }
}

/// What is known of a client when its next request is made up.
#[derive(Debug, Default)]
pub(crate) struct Mood {
    /// It may have begun a transaction.
    pub(crate) in_transaction: bool,
    /// It may watch its key `w`.
    pub(crate) watches: bool,
    /// It sends little: an engine ends strangers who don't, and what they were told before may be lost.
    pub(crate) is_brief: bool,
    /// Its session must be one that can be carried elsewhere.
    pub(crate) moves: bool,
}

const VALUES: &[&str] = &["", "1", "-7", "3.5", "abc", "a\r\nb", "+OK\r\n", "value with spaces", "9223372036854775807"];

/// Of data. `K` and `O` stand for keys, `V` for a value, `N` for a number, `C` for a channel.
const DATA: &[&str] = &[
    "SET K V",
    "GET K",
    "APPEND K V",
    "STRLEN K",
    "INCR K",
    "INCRBY K N",
    "GETRANGE K N N",
    "SETRANGE K 3 V",
    "MSET K V O V",
    "MGET K O",
    "DEL K",
    "EXISTS K O",
    "TYPE K",
    "LPUSH K V V",
    "RPUSH K V",
    "LPOP K",
    "RPOP K 2",
    "LRANGE K 0 -1",
    "LLEN K",
    "LSET K N V",
    "HSET K f V g V",
    "HGET K f",
    "HDEL K f",
    "HGETALL K",
    "HINCRBY K n N",
    "SADD K N N",
    "SMEMBERS K",
    "SISMEMBER K N",
    "SCARD K",
    "ZADD K N m N n",
    "ZRANGE K 0 -1 WITHSCORES",
    "ZSCORE K m",
    "ZINCRBY K N m",
    "ZPOPMIN K",
    "XADD K 1-* f V",
    "XRANGE K - +",
    "XLEN K",
    "XREAD COUNT 2 STREAMS K 0",
    "SETNX K V",
    "GETDEL K",
    "COPY K O",
    "RENAME K O",
    "BITCOUNT K",
    "SETBIT K 9 1",
    "PFADD K V",
    "PFCOUNT K",
    "GEOADD K 13.3 38.1 p",
    "OBJECT ENCODING K",
    "XGROUP CREATE K grp 0 MKSTREAM",
    "XREADGROUP GROUP grp me COUNT 1 STREAMS K >",
    "LMOVE K O LEFT RIGHT",
    "ZRANGEBYSCORE K -inf N",
    "EXPIRE K 10000",
    "PERSIST K",
    "SET K V EX 10000 GET",
    "LPOS K V",
    "SORT K BY nosort",
    "PUBLISH C V",
    "SPUBLISH C V",
    "PUBSUB NUMSUB C",
    "SET K V",
    "GET K",
    "LPUSH l V V",
    "BLPOP l 0.01",
    "BLMPOP 0.01 1 l LEFT",
];

/// What an engine answers with an error, or in a way of its own.
const ODD: &[&str] = &[
    "PING",
    "PING hello",
    "ECHO there",
    "NONSENSE a b",
    "GET",
    "SET one",
    "SELECT",
    "SELECT x",
    "SELECT 99",
    "SELECT -1",
    "SELECT 4294967296",
    "SELECT 01",
    "AUTH",
    "AUTH a b c",
    "HELLO 4",
    "HELLO x",
    "HELLO 3 NONSENSE",
    "EXEC",
    "DISCARD",
    "UNWATCH",
    "WATCH",
    "CLIENT",
    "CLIENT NONSENSE",
    "CLIENT SETNAME",
    "CLIENT REPLY x",
    "CLIENT GETNAME x",
    "SUBSCRIBE",
    "SCRIPT",
    "SCRIPT NONSENSE",
    "EVAL",
    "EVAL x",
    "BLPOP",
    "BLPOP k",
    "BLPOP k x",
    "BLPOP k -1",
    "WAIT",
    "WAIT x 1",
    "XREAD BLOCK",
    "XREAD BLOCK 1",
    "COMMAND COUNT",
    "CONFIG GET maxmemory",
    "RESET x",
    "MULTI x",
    "CLIENT TRACKING",
    "CLIENT TRACKING x",
    "CLIENT NO-EVICT x",
    "XREAD BLOCK 10 STREAMS k",
    "BLMPOP x 1 k LEFT",
    "OBJECT HELP",
    "CLIENT CACHING YES",
    "CLIENT GETREDIR",
    "READONLY",
    "ASKING",
    "XREAD STREAMS block 0",
    "XREAD COUNT 1 STREAMS block 0",
    "EVALSHA",
    "FUNCTION LIST",
    "FUNCTION KILL",
    "SCRIPT KILL",
    "SCRIPT EXISTS 098e0f0d1448c0a81dafe820f66d460eb09263da",
    "EVAL_RO",
    "FCALL x 0",
    "UNSUBSCRIBE",
    "PUNSUBSCRIBE",
    "UNSUBSCRIBE nowhere",
    "SUNSUBSCRIBE",
    "CLIENT SETINFO x y",
    "HELLO 3 SETNAME",
    "HELLO 3 AUTH ann",
    "QUITE",
    "CLIENT TRACKING on REDIRECT 999999",
    "SWAPDB 1",
    "SWAPDB 0 1",
];

/// What leaves something behind in a connection.
const SESSION: &[&str] = &[
    "SELECT 1",
    "SELECT 1",
    "SELECT 0",
    "SELECT 2",
    "CLIENT SETNAME C",
    "CLIENT SETNAME a\u{7f}",
    "CLIENT GETNAME",
    "CLIENT GETNAME",
    "CLIENT SETINFO LIB-NAME C",
    "HELLO",
    "HELLO 2",
    "HELLO 3",
    "HELLO 3 AUTH default pw SETNAME C",
    "HELLO 2 AUTH ann pw-ann SETNAME C",
    "HELLO 3 AUTH default pw",
    "HELLO 3 AUTH ann wrong SETNAME no",
    "AUTH pw",
    "AUTH default pw",
    "AUTH ann pw-ann",
    "AUTH ann wrong",
    "AUTH wrong",
    "AUTH bob pw-bob",
    "CLIENT NO-EVICT on",
    "CLIENT NO-EVICT off",
    "CLIENT TRACKING on",
    "CLIENT TRACKING off",
    "SUBSCRIBE C",
    "SUBSCRIBE C other C",
    "PSUBSCRIBE t*",
    "SSUBSCRIBE C",
    "UNSUBSCRIBE",
    "UNSUBSCRIBE C nowhere",
    "PUNSUBSCRIBE",
    "SUNSUBSCRIBE C",
    "RESET",
    "RESET",
    "CLIENT REPLY SKIP",
    "CLIENT REPLY ON",
];

/// The first is known to the engines from the start.
pub(crate) const SCRIPTS: &[&str] = &[
    "return ARGV[1]",
    "return redis.call('set', KEYS[1], ARGV[1])",
    "return {1, 2, {3, 'x'}, false}",
    "return redis.error_reply('MINE of a script')",
    "return redis.call('incr', KEYS[1])",
    "syntax error here",
    "return redis.status_reply('FINE')",
    "return redis.pcall('nonsense')",
];

/// By what a script goes that was loaded: of the first of these, of none, and of no form.
const DIGESTS: &[&str] =
    &["098e0f0d1448c0a81dafe820f66d460eb09263da", "ffffffffffffffffffffffffffffffffffffffff", "098E0F0D", "xyz"];

/// What is no request.
pub(crate) const MALFORMED: &[&str] = &[
    "*x\r\n",
    "*1\r\n:3\r\n",
    "*1\r\n$x\r\n",
    "*-x\r\n",
    "*1\r\n$-1\r\n",
    "*1\r\n$536870913\r\n",
    "*2147483648\r\n",
    "SET \"open\r\n",
    "SET 'a'b c\r\n",
    "*01\r\n",
    "*1\r\n$+4\r\nPING\r\n",
];

/// Makes up requests of one client.
pub(crate) struct Author<'a> {
    pub(crate) chance: &'a mut Chance,
    pub(crate) mood: &'a mut Mood,
    /// Whose keys are used.
    pub(crate) number: usize,
}

impl Author<'_> {
    fn key(&mut self) -> String {
        format!("c{}:{}", self.number, self.chance.of(&["a", "b", "l", "h", "s", "z", "x", "i"]))
    }

    fn value(&mut self) -> String {
        // Nor is a transaction carried elsewhere that is too long to be kept.
        let is_brief = self.mood.is_brief || self.mood.in_transaction && self.mood.moves;
        if !is_brief && self.chance.one_in(60) {
            let length = [16_383, 16_384, 65_536, 70_000, 300_000][self.chance.below(5)];
            return "v".repeat(length);
        }
        self.chance.of(VALUES).to_owned()
    }

    fn one_of(&mut self, all: &[&str]) -> Vec<String> {
        let words = self.chance.of(all).to_owned();
        let fill = |word: &str| match word {
            "K" | "O" => self.key(),
            "l" => format!("c{}:l", self.number),
            "V" => self.value(),
            "N" => (self.chance.below(20) as i64 - 5).to_string(),
            "C" => self.chance.of(&["one", "two", "three"]).to_owned(),
            word => word.to_owned(),
        };
        words.split(' ').map(fill).collect()
    }

    fn script(&mut self) -> Vec<String> {
        let (key, value) = (self.key(), self.value());
        let script = self.chance.of(SCRIPTS).to_owned();
        let words: &[&str] = match self.chance.below(5) {
            0 => &["SCRIPT", "LOAD", &script],
            1 => &["EVALSHA", self.chance.of(DIGESTS), "1", &key, &value],
            2 => &["SCRIPT", "EXISTS", DIGESTS[0], DIGESTS[1]],
            3 => &["EVAL", SCRIPTS[0], "1", &key, &value],
            _ => &["EVAL", &script, "1", &key, &value],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn transaction(&mut self) -> Vec<String> {
        let watched = format!("c{}:w", self.number);
        let words = match self.chance.below(8) {
            0..3 => "MULTI",
            3..5 => "EXEC",
            5 => "DISCARD",
            6 => return vec!["WATCH".into(), watched],
            _ => "UNWATCH",
        };
        vec![words.into()]
    }

    /// The words of the next request.
    pub(crate) fn request(&mut self) -> Vec<String> {
        let words = match self.chance.below(20) {
            // What is to be executed in a transaction and changes the session has to stay where it is.
            _ if self.mood.in_transaction && self.mood.moves => match self.chance.below(8) {
                0..5 => self.one_of(DATA),
                5 => self.script(),
                _ => self.transaction(),
            },
            0..10 => self.one_of(DATA),
            10..12 => self.one_of(ODD),
            12..15 => self.one_of(SESSION),
            15..17 => self.script(),
            _ => self.transaction(),
        };
        match words[0].as_str() {
            "MULTI" => self.mood.in_transaction = true,
            "WATCH" => self.mood.watches = true,
            // What was watched may still be: without a transaction these are refused.
            "EXEC" | "DISCARD" if words.len() == 1 => self.mood.in_transaction = false,
            "RESET" if words.len() == 1 => (self.mood.in_transaction, self.mood.watches) = (false, false),
            _ => {}
        }
        words
    }

    /// Some requests in a row, with their bytes.
    pub(crate) fn batch(&mut self) -> (Vec<Vec<String>>, Vec<u8>) {
        let depth = if self.mood.is_brief {
            1 + self.chance.below(4)
        } else if self.chance.one_in(4) {
            1 + self.chance.below(40)
        } else {
            1 + self.chance.below(5)
        };
        let (mut all, mut bytes) = (Vec::new(), Vec::new());
        for _ in 0..depth {
            let words = self.request();
            let plain =
                |word: &String| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\'');
            if self.chance.one_in(12) && words.iter().all(plain) && words.iter().map(String::len).sum::<usize>() < 1000
            {
                bytes.extend_from_slice((words.join(" ") + self.chance.of(&["\n", "\r\n", " \r\n"])).as_bytes());
            } else {
                bytes.extend_from_slice(&list(&words));
            }
            // What asks for nothing is what is skipped, if the next reply is to be.
            if self.chance.one_in(30) && words.last().is_none_or(|word| word != "SKIP") {
                bytes.extend_from_slice(self.chance.of(&["\r\n", "\n", "*0\r\n", "*-1\r\n"]).as_bytes());
            }
            all.push(words);
        }
        (all, bytes)
    }
}

/// Words as a request.
pub(crate) fn list<T: AsRef<str>>(words: &[T]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n{}\r\n", word.as_ref().len(), word.as_ref()).as_bytes());
    }
    bytes
}
