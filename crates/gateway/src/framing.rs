//! Where one request ends and the next begins, as Redis itself reads them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// No line that announces a number, and no request that is a line, is longer.
const LONGEST_LINE: usize = 64 * 1024;
/// The longest argument that Redis takes by default.
const LONGEST_ARGUMENT: u64 = 512 << 20;
/// How many arguments, and how long ones, a client may send before it has signed in, where it must.
const MOST_FROM_STRANGERS: u64 = 10;
const LONGEST_FROM_STRANGERS: u64 = 16 * 1024;
/// What is kept of the room for arguments after a request that had very many.
const KEPT_ROOM: usize = 1024;

/// What the beginning of some bytes is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Framed {
    /// A whole request of so many bytes.
    Whole(usize),
    /// So many bytes that ask for nothing: an empty line, or no arguments.
    Nothing(usize),
    /// A request that is not all there; it has at least so many bytes.
    Partial(usize),
    /// What Redis calls a protocol error, in its words.
    Wrong(String),
}

/// Reads requests. The arguments of the one that was read last are kept here.
#[derive(Default)]
pub(crate) struct Framer {
    args: Vec<Range<usize>>,
    /// How many there are to be.
    count: u64,
    /// A request that came as a line, written as a list; its arguments are in here.
    line: Vec<u8>,
    is_line: bool,
}

impl Framer {
    /// Reads the request that `bytes` begin with; there is at least one byte. A stranger has yet to sign in.
    pub(crate) fn read(&mut self, bytes: &[u8], is_stranger: bool) -> Framed {
        self.args.clear();
        self.args.shrink_to(KEPT_ROOM);
        self.is_line = bytes[0] != b'*';
        if self.is_line { self.read_line(bytes) } else { self.read_list(bytes, is_stranger) }
    }

    /// How many arguments the request has, its name among them.
    pub(crate) fn len(&self) -> usize {
        self.args.len()
    }

    /// An argument of the request, which `bytes` begin with.
    pub(crate) fn arg<'a>(&'a self, bytes: &'a [u8], index: usize) -> &'a [u8] {
        self.args.get(index).map_or(&[], |range| &self.raw(bytes)[range.clone()])
    }

    /// The request as a list, whatever it came as.
    pub(crate) fn request<'a>(&'a self, bytes: &'a [u8], length: usize) -> &'a [u8] {
        if self.is_line { &self.line } else { &bytes[..length] }
    }

    /// What is to come of a partial request of which so many bytes are there, if they end within an argument.
    pub(crate) fn rest(&self, there: usize) -> Option<Rest> {
        let end = self.args.last().filter(|_| !self.is_line)?.end + 2;
        let bytes = u64::try_from(end.checked_sub(there)?).ok().filter(|bytes| *bytes > 0)?;
        Some(Rest { bytes, args: self.count - self.args.len() as u64 })
    }

    fn raw<'a>(&'a self, bytes: &'a [u8]) -> &'a [u8] {
        if self.is_line { &self.line } else { bytes }
    }

    fn read_list(&mut self, bytes: &[u8], is_stranger: bool) -> Framed {
        let (count, mut at) = match number(bytes, 1) {
            Number::Is(count, at) => (count, at),
            Number::Unfinished if bytes.len() > LONGEST_LINE => return wrong("too big mbulk count string"),
            Number::Unfinished => return Framed::Partial(bytes.len() + 1),
            Number::None => return wrong("invalid multibulk length"),
        };
        if count > i64::from(i32::MAX) {
            return wrong("invalid multibulk length");
        }
        if count <= 0 {
            return Framed::Nothing(at);
        }
        let count = count.unsigned_abs();
        self.count = count;
        if is_stranger && count > MOST_FROM_STRANGERS {
            return wrong("unauthenticated multibulk length");
        }
        for left in (0..count).rev() {
            match bytes.get(at) {
                Some(b'$') => {}
                Some(&other) => return wrong(&format!("expected '$', got '{}'", char::from(other))),
                None => return Framed::Partial(at + 1),
            }
            let (length, from) = match number(bytes, at + 1) {
                Number::Is(length, from) => (length, from),
                Number::Unfinished if bytes.len() - at > LONGEST_LINE => return wrong("too big bulk count string"),
                Number::Unfinished => return Framed::Partial(bytes.len() + 1),
                Number::None => return wrong("invalid bulk length"),
            };
            let Ok(length) = u64::try_from(length) else { return wrong("invalid bulk length") };
            if length > LONGEST_ARGUMENT {
                return wrong("invalid bulk length");
            }
            if is_stranger && length > LONGEST_FROM_STRANGERS {
                return wrong("unauthenticated bulk length");
            }
            let to = from + length as usize;
            self.args.push(from..to);
            at = to + 2;
            if at > bytes.len() {
                // Whatever follows may be wrong from its first byte on.
                return Framed::Partial(at + usize::from(left > 0));
            }
        }
        Framed::Whole(at)
    }

    fn read_line(&mut self, bytes: &[u8]) -> Framed {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            if bytes.len() > LONGEST_LINE {
                return wrong("too big inline request");
            }
            return Framed::Partial(bytes.len() + 1);
        };
        let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
        let Some(words) = split_words(line) else { return wrong("unbalanced quotes in request") };
        if words.is_empty() {
            return Framed::Nothing(end + 1);
        }
        self.line.clear();
        write_list(words.len(), &mut self.line);
        for word in words {
            let from = write_arg(&word, &mut self.line);
            self.args.push(from..from + word.len());
        }
        Framed::Whole(end + 1)
    }
}

/// What is to come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rest {
    /// Of the argument that has begun, with the end of its line.
    bytes: u64,
    /// Arguments that have not begun.
    args: u64,
}

impl Rest {
    /// How many bytes belong to it. The beginning of a line does not until the line is there; `None` where the bytes are
    /// no rest of any request.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while !self.is_over() && at < bytes.len() {
            if self.bytes > 0 {
                let passed = usize::try_from(self.bytes).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.bytes -= passed as u64;
                at += passed;
                continue;
            }
            if bytes[at] != b'$' {
                return None;
            }
            match number(bytes, at + 1) {
                Number::Is(length, from) => {
                    let length = u64::try_from(length).ok().filter(|length| *length <= LONGEST_ARGUMENT)?;
                    *self = Rest { bytes: length + 2, args: self.args - 1 };
                    at = from;
                }
                Number::Unfinished if bytes.len() - at <= LONGEST_LINE => break,
                Number::Unfinished | Number::None => return None,
            }
        }
        Some(at)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.bytes == 0 && self.args == 0
    }
}

fn wrong(what: &str) -> Framed {
    Framed::Wrong(format!("-ERR Protocol error: {what}\r\n"))
}

enum Number {
    /// The number, and where what follows its line begins.
    Is(i64, usize),
    Unfinished,
    None,
}

/// Reads a number in the form that Redis takes: no sign but a minus, no nought in front.
fn number(bytes: &[u8], from: usize) -> Number {
    let mut value: i64 = 0;
    let (mut at, mut is_negative) = (from, false);
    loop {
        match bytes.get(at) {
            None => return Number::Unfinished,
            Some(b'\r') => break,
            Some(b'-') if at == from => is_negative = true,
            Some(digit @ b'0'..=b'9') => {
                let first = at == from + usize::from(is_negative);
                // Neither `01` nor `-0`: once there was a nought, nothing may follow it.
                if !first && value == 0 || first && is_negative && *digit == b'0' {
                    return Number::None;
                }
                let Some(next) = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(digit - b'0')))
                else {
                    return Number::None;
                };
                value = next;
            }
            Some(_) => return Number::None,
        }
        at += 1;
    }
    if at == from + usize::from(is_negative) {
        return Number::None;
    }
    // Whatever stands behind the carriage return, Redis takes it for the line feed.
    if at + 2 > bytes.len() {
        return Number::Unfinished;
    }
    Number::Is(if is_negative { -value } else { value }, at + 2)
}

/// Splits a line into words, some of which may be quoted; `None` where a quote is not closed.
fn split_words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0b;
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        while line.get(at).copied().is_some_and(is_space) {
            at += 1;
        }
        // A nought byte ends the line, as it does in C.
        if line.get(at).is_none_or(|byte| *byte == 0) {
            return Some(words);
        }
        let mut word = Vec::new();
        let mut quote = None;
        loop {
            let byte = line.get(at).copied().filter(|byte| *byte != 0);
            match (quote, byte) {
                (None, None) => break,
                (Some(_), None) => return None,
                (None, Some(byte)) if is_space(byte) => break,
                (None, Some(byte @ (b'"' | b'\''))) => quote = Some(byte),
                (Some(open), Some(byte)) if byte == open => {
                    // Something must part it from the next word.
                    if line.get(at + 1).copied().is_some_and(|next| next != 0 && !is_space(next)) {
                        return None;
                    }
                    quote = None;
                }
                (Some(b'"'), Some(b'\\')) => at += unescape(&line[at..], &mut word),
                (Some(b'\''), Some(b'\\')) if line.get(at + 1) == Some(&b'\'') => {
                    word.push(b'\'');
                    at += 1;
                }
                (_, Some(byte)) => word.push(byte),
            }
            at += 1;
        }
        words.push(word);
    }
}

/// Reads what follows a backslash between double quotes; answers how many bytes that were beyond the backslash.
fn unescape(rest: &[u8], word: &mut Vec<u8>) -> usize {
    let digit = |index: usize| rest.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    match (rest.get(1), digit(2), digit(3)) {
        (Some(b'x'), Some(high), Some(low)) => {
            word.push((high * 16 + low) as u8);
            3
        }
        (Some(byte), ..) if *byte != 0 => {
            word.push(match byte {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 0x08,
                b'a' => 0x07,
                other => *other,
            });
            1
        }
        _ => {
            word.push(b'\\');
            0
        }
    }
}

/// Writes a request.
pub(crate) fn write_request<A: AsRef<[u8]>>(args: &[A], to: &mut Vec<u8>) {
    write_list(args.len(), to);
    for arg in args {
        write_arg(arg.as_ref(), to);
    }
}

fn write_list(length: usize, to: &mut Vec<u8>) {
    to.extend_from_slice(format!("*{length}\r\n").as_bytes());
}

/// Answers where the argument itself begins.
fn write_arg(arg: &[u8], to: &mut Vec<u8>) -> usize {
    to.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
    let from = to.len();
    to.extend_from_slice(arg);
    to.extend_from_slice(b"\r\n");
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(bytes: &[u8]) -> (Framed, Vec<String>) {
        let mut framer = Framer::default();
        let framed = framer.read(bytes, false);
        let args = (0..framer.len()).map(|index| String::from_utf8_lossy(framer.arg(bytes, index)).into_owned());
        let args = if matches!(framed, Framed::Whole(_)) { args.collect() } else { Vec::new() };
        (framed, args)
    }

    #[test]
    fn lists_and_lines_are_requests() {
        let list = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n";
        assert_eq!(reads(list), (Framed::Whole(20), vec!["GET".into(), "k".into()]));
        assert_eq!(reads(b"SET k  v\r\nX"), (Framed::Whole(10), vec!["SET".into(), "k".into(), "v".into()]));
        assert_eq!(reads(b"\r\nGET"), (Framed::Nothing(2), vec![]));
        assert_eq!(reads(b"*0\r\nGET"), (Framed::Nothing(4), vec![]));
        assert_eq!(reads(b"*-1\r\n"), (Framed::Nothing(5), vec![]));
    }

    #[test]
    fn a_line_is_passed_on_as_a_list() {
        let mut framer = Framer::default();
        let line = b"set k \"a\\x41\\n\"\n";
        assert_eq!(framer.read(line, false), Framed::Whole(line.len()));
        assert_eq!(framer.request(line, line.len()), b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\naA\n\r\n");
    }

    #[test]
    fn quotes_are_read_as_redis_reads_them() {
        let words = |line: &str| {
            split_words(line.as_bytes()).map(|words| words.iter().map(|word| word.escape_ascii().to_string()).collect())
        };
        let some = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>());
        assert_eq!(words(r#"a "b c" 'd\'e' f\n"#), some(&["a", "b c", r"d\'e", r"f\\n"]));
        assert_eq!(words(r#""" ''"#), some(&["", ""]));
        assert_eq!(words(r#"a"b""#), some(&["ab"]));
        for unbalanced in [r#""a"#, "'a", r#""a"b"#, r#""a\"#] {
            assert_eq!(words(unbalanced), None, "{unbalanced}");
        }
    }

    #[test]
    fn what_is_cut_off_anywhere_is_partial_and_at_least_as_long_as_it_says() {
        let request = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nabcdefghijkl\r\n";
        for cut in 1..request.len() {
            match reads(&request[..cut]).0 {
                Framed::Partial(least) => assert!(cut < least && least <= request.len(), "{cut} {least}"),
                other => panic!("{cut} {other:?}"),
            }
        }
    }

    #[test]
    fn errors_are_in_the_words_of_redis() {
        for (bytes, error) in [
            (&b"*x\r\n"[..], "invalid multibulk length"),
            (b"*\r\n", "invalid multibulk length"),
            (b"*01\r\n", "invalid multibulk length"),
            (b"*+1\r\n", "invalid multibulk length"),
            (b"*2147483648\r\n", "invalid multibulk length"),
            (b"*99999999999999999999\r\n", "invalid multibulk length"),
            (b"*1\r\nPING", "expected '$', got 'P'"),
            (b"*1\r\n$-1\r\n", "invalid bulk length"),
            (b"*1\r\n$-0\r\n", "invalid bulk length"),
            (b"*1\r\n$536870913\r\n", "invalid bulk length"),
            (b"SET \"k\r\n", "unbalanced quotes in request"),
        ] {
            assert_eq!(reads(bytes).0, wrong(error), "{}", bytes.escape_ascii());
        }
        assert_eq!(reads(&vec![b'a'; LONGEST_LINE + 1]).0, wrong("too big inline request"));
    }

    #[test]
    fn the_rest_of_a_request_is_as_long_as_it_is_however_it_is_cut() {
        let request = b"*4\r\n$4\r\nMSET\r\n$1\r\nk\r\n$12\r\nabcdefghijkl\r\n$0\r\n\r\n";
        let stream = [&request[..], b"*1\r\n$4\r\nPING\r\n"].concat();
        for cut in 1..request.len() {
            let mut framer = Framer::default();
            framer.read(&request[..cut], false);
            let Some(mut rest) = framer.rest(cut) else { continue };
            for size in 1..stream.len() {
                let (mut left, mut at, mut end) = (rest, cut, cut);
                while !left.is_over() {
                    end = (end + size).min(stream.len());
                    at += left.pass(&stream[at..end]).unwrap();
                }
                assert_eq!(at, request.len(), "cut at {cut}, in chunks of {size}");
            }
            assert_eq!(rest.pass(&[b"x".repeat(100), b"x".to_vec()].concat()[..0]), Some(0));
        }
    }

    #[test]
    fn strangers_may_send_little() {
        let mut framer = Framer::default();
        assert_eq!(framer.read(b"*11\r\n", true), wrong("unauthenticated multibulk length"));
        assert_eq!(framer.read(b"*1\r\n$16385\r\n", true), wrong("unauthenticated bulk length"));
        assert_eq!(framer.read(b"*1\r\n$16384\r\n", true), Framed::Partial(12 + 16384 + 2));
    }
}
