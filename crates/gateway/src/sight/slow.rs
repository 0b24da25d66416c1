//! The slow log: what took long, told one by one.

use std::collections::VecDeque;
use std::net::SocketAddr;

use model::{Millis, SlowCommand};

/// How many are kept by each loop.
const KEPT: usize = 128;
/// How many are kept of one second: where everything is slow, noting it must not make it slower.
const A_SECOND: u32 = 32;
/// As Redis's own slow log cuts: so many arguments, and so many bytes of each.
const ARGUMENTS: usize = 32;
const BYTES: usize = 128;

/// Commands whose arguments may hold a password.
const SECRETIVE: [&str; 5] = ["acl", "auth", "config", "hello", "migrate"];

/// A command that took long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slow<'a> {
    /// When it came.
    pub(crate) at: Millis,
    /// How long it took until its answer came back, in microseconds.
    pub(crate) took: u32,
    /// Who sent it.
    pub(crate) client: SocketAddr,
    /// As whom that had signed in; empty: as the default user.
    pub(crate) account: &'a str,
    /// The database.
    pub(crate) database: u32,
}

/// The slow commands of an instance that were last seen.
pub(super) struct SlowLog {
    next: u64,
    entries: VecDeque<SlowCommand>,
    second: i64,
    in_second: u32,
}

impl SlowLog {
    /// `first`: the id of the first entry, which is to be another one for each loop.
    pub(super) fn new(first: u64) -> SlowLog {
        SlowLog { next: first, entries: VecDeque::new(), second: 0, in_second: 0 }
    }

    pub(super) fn note<'a>(&mut self, slow: Slow<'_>, command: impl ExactSizeIterator<Item = &'a [u8]>) {
        if self.second != slow.at.seconds() {
            (self.second, self.in_second) = (slow.at.seconds(), 0);
        }
        self.in_second += 1;
        if self.in_second > A_SECOND {
            return;
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(SlowCommand {
            id: self.next,
            at: slow.at,
            micros: slow.took.into(),
            client: slow.client.to_string(),
            account: slow.account.to_owned(),
            database: slow.database,
            arguments: cut(command),
        });
        self.next += 1;
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &SlowCommand> {
        self.entries.iter()
    }
}

fn cut<'a>(command: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<String> {
    let all = command.len();
    let mut shown: Vec<String> = Vec::with_capacity(all.min(ARGUMENTS));
    for (place, argument) in command.enumerate() {
        if place == 1 && SECRETIVE.iter().any(|name| shown[0].eq_ignore_ascii_case(name)) {
            shown.push("(redacted)".to_owned());
            break;
        }
        if place == ARGUMENTS - 1 && all > ARGUMENTS {
            shown.push(format!("... ({} more arguments)", all - place));
            break;
        }
        let mut text = String::from_utf8_lossy(&argument[..argument.len().min(BYTES)]).into_owned();
        if argument.len() > BYTES {
            text += &format!("... ({} more bytes)", argument.len() - BYTES);
        }
        shown.push(text);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_text(command: &str) -> String {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        cut(words.into_iter()).join(" ")
    }

    #[test]
    fn commands_are_cut_as_redis_cuts_them() {
        assert_eq!(cut_text("SET a b"), "SET a b");
        let long = "x".repeat(130);
        assert_eq!(cut_text(&format!("SET a {long}")), format!("SET a {}... (2 more bytes)", &long[..128]));
        let many = |count: usize| vec!["a"; count].join(" ");
        assert_eq!(cut_text(&many(32)), many(32));
        assert_eq!(cut_text(&many(33)), format!("{} ... (2 more arguments)", many(31)));
    }

    #[test]
    fn what_may_be_a_password_is_never_kept() {
        for command in [
            "AUTH hunter2",
            "auth me hunter2",
            "HELLO 3 AUTH me hunter2",
            "ACL SETUSER me >hunter2",
            "config SET requirepass hunter2",
            "MIGRATE host 6379 key 0 1000 AUTH hunter2",
        ] {
            let shown = cut_text(command);
            assert!(shown.ends_with(" (redacted)") && !shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(cut_text("HELLO"), "HELLO");
        assert_eq!(cut_text("SET auth hunter2"), "SET auth hunter2");
    }

    #[test]
    fn the_last_ones_are_kept_and_of_one_second_only_some() {
        let mut log = SlowLog::new(1 << 48);
        let slow = |at| Slow {
            at: Millis(at),
            took: 600_000,
            client: "127.0.0.1:5".parse().unwrap(),
            account: "",
            database: 0,
        };
        let command = || [b"GET".as_slice(), b"a"].into_iter();
        (0..1_000).for_each(|_| log.note(slow(5_000), command()));
        assert_eq!(log.entries().count(), A_SECOND as usize);
        (0..1_000).for_each(|second| log.note(slow(6_000 + second * 1_000), command()));
        assert_eq!(log.entries().count(), KEPT);
        let ids: Vec<u64> = log.entries().map(|entry| entry.id).collect();
        assert!(ids.is_sorted() && ids[0] > 1 << 48, "{ids:?}");
    }
}
