//! What makes something of a connection, and what comes to it unasked.

use super::super::data::{self, bulk, error, integer, null};
use super::{Answer, Connection, Engine, SCRIPTS, Words};

impl Engine {
    pub(super) fn auth(&mut self, number: u64, words: &Words) -> Vec<u8> {
        let Some(connection) = self.connections.get_mut(&number) else { return Vec::new() };
        let (user, password) = if words.len() == 3 { (&words[1][..], &words[2]) } else { (&b"default"[..], &words[1]) };
        if words.len() == 2 && self.passwords.is_empty() {
            return error(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
            );
        }
        let is_right = match user {
            b"default" => self.passwords.is_empty() || self.passwords.contains(password),
            b"ann" => password == b"pw-ann",
            _ => false,
        };
        if !is_right {
            return error("WRONGPASS invalid username-password pair or user is disabled.");
        }
        connection.is_signed_in = true;
        b"+OK\r\n".to_vec()
    }

    pub(super) fn hello(&mut self, number: u64, words: &Words) -> Vec<u8> {
        let protocol = match words.get(1).map(Vec::as_slice) {
            None => None,
            Some(b"2") => Some(2),
            Some(b"3") => Some(3),
            Some(_) => return error("NOPROTO unsupported protocol version"),
        };
        let (mut at, mut name) = (2, None);
        while at < words.len() {
            if words[at].eq_ignore_ascii_case(b"auth") && at + 2 < words.len() {
                let reply = self.auth(number, &words[at..at + 3]);
                if reply[0] == b'-' {
                    return reply;
                }
                at += 3;
            } else if words[at].eq_ignore_ascii_case(b"setname") && at + 1 < words.len() {
                name = Some(words[at + 1].clone());
                at += 2;
            } else {
                return error(&format!("ERR Syntax error in HELLO option '{}'", words[at].escape_ascii()));
            }
        }
        let Some(connection) = self.connections.get_mut(&number) else { return Vec::new() };
        if !connection.is_signed_in {
            return error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time",
            );
        }
        if let Some(name) = name {
            connection.name = name;
        }
        connection.protocol = protocol.unwrap_or(connection.protocol);
        let head = if connection.protocol == 3 { "%3" } else { "*6" };
        format!(
            "{head}\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:{}\r\n$2\r\nid\r\n:1\r\n",
            connection.protocol
        )
        .into_bytes()
    }

    pub(super) fn client(&mut self, number: u64, words: &Words) -> Option<Answer> {
        let connection = self.connections.get_mut(&number)?;
        let is = |index: usize, word: &str| words.get(index).is_some_and(|of| of.eq_ignore_ascii_case(word.as_bytes()));
        let reply = match () {
            () if is(1, "setname") => {
                connection.name.clone_from(&words[2]);
                b"+OK\r\n".to_vec()
            }
            () if is(1, "getname") && connection.name.is_empty() => null(connection.protocol),
            () if is(1, "getname") => data::bulk_reply(&connection.name),
            () if is(1, "id") => integer(number as i64),
            () if is(1, "no-evict") => b"+OK\r\n".to_vec(),
            () if is(1, "tracking") => {
                connection.tracks = is(2, "on");
                if !connection.tracks {
                    connection.tracked.clear();
                }
                b"+OK\r\n".to_vec()
            }
            () if is(1, "reply") && is(2, "on") => {
                (connection.is_quiet, connection.skips) = (false, false);
                b"+OK\r\n".to_vec()
            }
            () if is(1, "reply") => {
                connection.is_quiet |= is(2, "off");
                connection.skips_next = is(2, "skip") && !connection.is_quiet;
                // It says nothing to that itself.
                connection.take_turn();
                return None;
            }
            () => error(&format!(
                "ERR Unknown subcommand or wrong number of arguments for '{}'. Try CLIENT HELP.",
                words[1].escape_ascii()
            )),
        };
        Some(Answer::of(reply))
    }

    pub(super) fn publish(&mut self, channel: &[u8], message: &[u8]) -> Vec<u8> {
        let mut heard = 0;
        for connection in self.connections.values_mut().filter(|connection| connection.channels.contains(channel)) {
            heard += 1;
            connection.output.extend(if connection.protocol == 3 { b">3\r\n" } else { b"*3\r\n" });
            for word in [b"message", channel, message] {
                bulk(word, &mut connection.output);
            }
        }
        integer(heard)
    }

    pub(super) fn script(&mut self, number: u64, name: &str, words: &Words) -> Vec<u8> {
        let (place, column) = if name == "script" { (2, 0) } else { (1, usize::from(name == "evalsha")) };
        let of = |script: &(&str, &str)| {
            if column == 0 { script.0.as_bytes() == words[place] } else { script.1.as_bytes() == words[place] }
        };
        let Some(index) = words.get(place).and_then(|_| SCRIPTS.iter().position(of)) else {
            return error("NOSCRIPT No matching script. Please use EVAL.");
        };
        if name == "evalsha" && !self.scripts.contains(&index) {
            return error("NOSCRIPT No matching script. Please use EVAL.");
        }
        self.scripts.insert(index);
        match (name, index) {
            ("script", _) => data::bulk_reply(SCRIPTS[index].1.as_bytes()),
            (_, 0) => words.get(4).map_or_else(|| error("ERR no argument"), |word| data::bulk_reply(word)),
            (..) => match words.get(3) {
                Some(key) => self.on_data(number, &[b"INCR".to_vec(), key.clone()]),
                None => error("ERR no key"),
            },
        }
    }
}

impl Connection {
    pub(super) fn subscribe(&mut self, name: &str, words: &Words) -> Answer {
        let mut topics: Vec<_> = words[1..].to_vec();
        let is_all = topics.is_empty();
        if is_all {
            topics = self.channels.iter().cloned().collect();
        }
        let mut reply = Vec::new();
        let mut tell = |topic: Option<&[u8]>, left: usize| {
            reply.extend(if self.protocol == 3 { b">3\r\n" } else { b"*3\r\n" });
            bulk(name.as_bytes(), &mut reply);
            match topic {
                Some(topic) => bulk(topic, &mut reply),
                None => reply.extend(null(self.protocol)),
            }
            reply.extend(integer(left as i64));
        };
        for topic in &topics {
            if name == "subscribe" {
                self.channels.insert(topic.clone());
            } else {
                self.channels.remove(topic);
            }
            tell(Some(topic), self.channels.len());
        }
        if topics.is_empty() {
            tell(None, 0);
        }
        Answer { words: reply, is_push: true }
    }
}
