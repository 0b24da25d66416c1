//! Where one reply of a node ends and the next begins, in RESP2 and RESP3.

use serde::{Deserialize, Serialize};

/// Follows the replies in a stream. It keeps how much of a reply is to come, and none of its bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Replies {
    has_begun: bool,
    /// How many values are to come until the reply is whole, once it has begun.
    values: u64,
    /// How many bytes of the value that has begun are to come.
    bytes: u64,
}

/// How far a reply goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It ends here.
    Ends(usize),
    /// It goes on after this place. What stands behind that is the beginning of a line, to be shown again with its rest.
    GoesOn(usize),
    /// This is no reply.
    Lost,
}

impl Replies {
    /// Whether a reply has begun and is not whole.
    pub(crate) fn is_inside(&self) -> bool {
        self.has_begun
    }

    /// Follows the reply that begins, or goes on, at `from`.
    pub(crate) fn follow(&mut self, bytes: &[u8], from: usize) -> Reach {
        let mut at = from;
        if !self.has_begun {
            self.values = 1;
        }
        loop {
            if self.bytes > 0 {
                let there = bytes.len() - at;
                if (there as u64) < self.bytes {
                    self.bytes -= there as u64;
                    return Reach::GoesOn(bytes.len());
                }
                at += self.bytes as usize;
                self.bytes = 0;
                self.values -= 1;
            }
            if self.values == 0 {
                self.has_begun = false;
                return Reach::Ends(at);
            }
            let Some(&mark) = bytes.get(at) else { return Reach::GoesOn(at) };
            let Some(end) = memchr::memchr(b'\n', &bytes[at..]) else { return Reach::GoesOn(at) };
            let is_inside = std::mem::replace(&mut self.has_begun, true);
            let line = bytes.get(at + 1..at + end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            at += end + 1;
            match mark {
                b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => self.values -= 1,
                b'$' | b'!' | b'=' => match length(line) {
                    Some(length) => self.bytes = length + 2,
                    None if line == b"-1" => self.values -= 1,
                    None => return Reach::Lost,
                },
                // Redis before 7.2 tells whoever publishes to itself in a transaction in the midst of that one's reply.
                b'>' if is_inside => match length(line) {
                    Some(length) => self.values += length,
                    None => return Reach::Lost,
                },
                b'*' | b'~' | b'>' => match length(line) {
                    Some(length) => self.values = self.values - 1 + length,
                    None if line == b"-1" => self.values -= 1,
                    None => return Reach::Lost,
                },
                b'%' => match length(line) {
                    Some(length) => self.values = self.values - 1 + 2 * length,
                    None => return Reach::Lost,
                },
                // What is said about the value that follows.
                b'|' => match length(line) {
                    Some(length) => self.values += 2 * length,
                    None => return Reach::Lost,
                },
                _ => return Reach::Lost,
            }
        }
    }
}

fn length(line: &[u8]) -> Option<u64> {
    if line.is_empty() || line.len() > 10 {
        return None;
    }
    line.iter().try_fold(0, |value: u64, digit| digit.is_ascii_digit().then(|| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[&[u8]] = &[
        b"+OK\r\n",
        b"-ERR no\r\n",
        b":-12\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"$0\r\n\r\n",
        b"$13\r\n+OK\r\n*3\r\n$1\r\n\r\n",
        b"*0\r\n",
        b"*2\r\n*2\r\n:1\r\n$1\r\na\r\n*1\r\n+x\r\n",
        b"%2\r\n+a\r\n*1\r\n:1\r\n+b\r\n~0\r\n",
        b"|1\r\n+ttl\r\n:3\r\n*1\r\n#t\r\n",
        b">2\r\n$10\r\ninvalidate\r\n_\r\n",
        b"=5\r\ntxt:a\r\n",
        b"*2\r\n>2\r\n+a\r\n+b\r\n:1\r\n:2\r\n",
        b"!3\r\nERR\r\n",
        b",1.5\r\n",
        b"(123456789012345678901234567890\r\n",
    ];

    #[test]
    fn replies_end_where_they_end_however_the_stream_is_cut() {
        let stream = STREAM.concat();
        for size in 1..stream.len() {
            let (mut replies, mut rest, mut whole, mut ends) = (Replies::default(), Vec::new(), 0, Vec::new());
            for chunk in stream.chunks(size) {
                rest.extend_from_slice(chunk);
                let mut at = 0;
                loop {
                    match replies.follow(&rest, at) {
                        Reach::Ends(end) => {
                            ends.push(whole + end);
                            at = end;
                        }
                        Reach::GoesOn(to) => {
                            whole += to;
                            rest.drain(..to);
                            break;
                        }
                        Reach::Lost => panic!("lost at {}", whole + at),
                    }
                }
            }
            let expected: Vec<usize> = STREAM
                .iter()
                .scan(0, |end, reply| {
                    *end += reply.len();
                    Some(*end)
                })
                .collect();
            assert_eq!(ends, expected, "in chunks of {size}");
            assert!(!replies.is_inside() && rest.is_empty());
        }
    }

    #[test]
    fn what_is_no_reply_is_noticed() {
        for bytes in [&b"hello\r\n"[..], b"$x\r\n", b"*99999999999\r\n", b"\r\n"] {
            assert_eq!(Replies::default().follow(bytes, 0), Reach::Lost, "{}", bytes.escape_ascii());
        }
    }
}
