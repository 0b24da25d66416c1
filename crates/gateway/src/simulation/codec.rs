//! Requests and replies in a stream that comes in pieces, as the gateway reads them and as they are.

use super::author::MALFORMED;
use super::chance::Chance;
use super::naive::{self, Read};
use crate::framing::{Framed, Framer, Rest};
use crate::replies::{Reach, Replies};

/// What streams are made of, so that most of them have something to be found in them.
const OF_REQUESTS: &[&[u8]] = &[
    b"*1\r\n$4\r\nPING\r\n",
    b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$20\r\n*1\r\n$4\r\nPING\r\n*0\r\n\r\n\r\n",
    b"PING\r\n",
    b"set k \"a\\x41\\n\\\"\" 'it\\'s'\n",
    b"\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"*11\r\n",
    b"$16385\r\n",
    b"*2\r\n",
    b"$3\r\nabc\r\n",
    b"$-1\r\n",
    b"\"",
    b"'",
    b"\\",
    b"\0",
    b"9",
];
const OF_REPLIES: &[&[u8]] = &[
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":-12\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"$5\r\nhello\r\n",
    b"$0\r\n\r\n",
    b"*2\r\n",
    b"*0\r\n",
    b"%1\r\n",
    b"~2\r\n",
    b">2\r\n",
    b"|1\r\n",
    b"!3\r\nERR\r\n",
    b"=5\r\ntxt:a\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",1.5\r\n",
    b"(12\r\n",
    b"*",
    b"$12345678901\r\n",
    b"\n",
];

/// A stream, and how it is cut.
fn stream(bytes: &[u8], of: &[&[u8]]) -> (Vec<u8>, Chance) {
    let mut chance = Chance::new(bytes);
    let mut stream = Vec::new();
    let length = chance.below(40);
    for _ in 0..length {
        match chance.below(8) {
            7 => stream.push(chance.below(256) as u8),
            6 => stream.extend_from_slice(MALFORMED[chance.below(MALFORMED.len())].0),
            _ => stream.extend_from_slice(of[chance.below(of.len())]),
        }
    }
    // Of what is longer than a line may be it depends on where it is cut what is said.
    stream.truncate(16 * 1024);
    (stream, chance)
}

/// What is found in a stream of requests.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Request(Vec<Vec<u8>>),
    /// A request that was passed on before it was all there, by where it ends.
    Passed(usize),
    Wrong(String),
}

/// Reads requests as they are.
pub(super) fn requests(bytes: &[u8]) {
    let (stream, mut chance) = stream(bytes, OF_REQUESTS);
    let is_stranger = chance.below(3) == 2;
    let uploads = chance.below(2) == 1;
    let found = find(&stream, is_stranger, uploads, &mut chance);
    let mut at = 0;
    for (number, found) in found.iter().enumerate() {
        // Empty ones ask for nothing.
        let expected = loop {
            match naive::request(&stream[at..], is_stranger) {
                Read::Whole(words, length) if words.is_empty() => at += length,
                other => break other,
            }
        };
        let what = |at: usize| format!("number {number} at {at} of {}", stream.escape_ascii());
        match (found, expected) {
            (Found::Request(words), Read::Whole(expected, length)) => {
                assert_eq!(*words, expected, "{}", what(at));
                at += length;
            }
            (Found::Passed(end), Read::Whole(_, length)) => {
                at += length;
                assert_eq!(*end, at, "{}", what(at));
            }
            // The rest of a request that is on its way is wrong: what is said of it then is of no interest.
            (Found::Wrong(words), Read::Wrong(expected)) => {
                assert!(
                    words.is_empty() || *words == format!("-ERR Protocol error: {expected}\r\n"),
                    "{words} {}",
                    what(at)
                );
                return;
            }
            // Redis would have seen the end of the line before it says so.
            (Found::Wrong(words), Read::More) => {
                let more = [&stream[at..], b"\r\n"].concat();
                let Read::Wrong(expected) = naive::request(&more, is_stranger) else {
                    panic!("{words} is said too soon of {}", what(at))
                };
                assert!(
                    words.is_empty() || *words == format!("-ERR Protocol error: {expected}\r\n"),
                    "{words} {}",
                    what(at)
                );
                return;
            }
            (found, expected) => panic!("{found:?}, not {expected:?}: {}", what(at)),
        }
    }
    // Where arguments have begun to pass, what is wrong behind them is seen once the rest of a line is there.
    loop {
        match naive::request(&stream[at..], is_stranger) {
            Read::Whole(words, length) if words.is_empty() && length > 0 && at < stream.len() => at += length,
            Read::More => return,
            other => panic!("{other:?} was not found at {at} of {}", stream.escape_ascii()),
        }
    }
}

/// Reads requests as the exchange does.
fn find(stream: &[u8], is_stranger: bool, uploads: bool, chance: &mut Chance) -> Vec<Found> {
    let (mut framer, mut found) = (Framer::default(), Vec::new());
    let (mut at, mut there, mut needs) = (0, 0, 0);
    let mut rest: Option<Rest> = None;
    while there < stream.len() {
        there = stream.len().min(there + 1 + chance.below(24));
        loop {
            let bytes = &stream[at..there];
            if bytes.is_empty() || bytes.len() < needs {
                break;
            }
            needs = 0;
            if let Some(passing) = &mut rest {
                match passing.pass(bytes) {
                    Some(0) => break,
                    Some(passed) => at += passed,
                    None => {
                        found.push(Found::Wrong(String::new()));
                        return found;
                    }
                }
                if passing.is_over() {
                    found.push(Found::Passed(at));
                    rest = None;
                }
                continue;
            }
            match framer.read(bytes, is_stranger) {
                Framed::Whole(length) => {
                    let args = (0..framer.len()).map(|index| framer.arg(bytes, index).to_vec()).collect();
                    let list = framer.request(bytes, length);
                    assert_eq!(naive::request(list, false), Read::Whole(args, list.len()), "passed on as it is");
                    let Read::Whole(args, _) = naive::request(list, false) else { unreachable!("it was just read") };
                    found.push(Found::Request(args));
                    at += length;
                }
                Framed::Nothing(length) => at += length,
                Framed::Partial(least) => {
                    assert!(least > bytes.len(), "more must be there");
                    match framer.rest(bytes.len()).filter(|_| uploads && !is_stranger) {
                        Some(begun) => (rest, at) = (Some(begun), there),
                        None => needs = least,
                    }
                    break;
                }
                Framed::Wrong(words) => {
                    found.push(Found::Wrong(words));
                    return found;
                }
            }
        }
    }
    found
}

/// Reads replies as they are.
pub(super) fn replies(bytes: &[u8]) {
    let (stream, mut chance) = stream(bytes, OF_REPLIES);
    let (mut replies, mut rest, mut from) = (Replies::default(), Vec::new(), 0);
    let (mut ends, mut is_lost, mut there) = (Vec::new(), false, 0);
    'all: while there < stream.len() {
        let next = stream.len().min(there + 1 + chance.below(24));
        rest.extend_from_slice(&stream[there..next]);
        there = next;
        let mut at = 0;
        loop {
            match replies.follow(&rest, at) {
                Reach::Ends(end) => {
                    ends.push(from + end);
                    at = end;
                }
                Reach::GoesOn(to) => {
                    from += to;
                    rest.drain(..to);
                    break;
                }
                Reach::Lost => {
                    is_lost = true;
                    break 'all;
                }
            }
        }
    }
    let mut at = 0;
    for end in &ends {
        match naive::reply(&stream[at..]) {
            Read::Whole((), length) => at += length,
            Read::Wrong(why) if why == "too deep" => return,
            other => panic!("{other:?} at {at} of {}, and not up to {end}", stream.escape_ascii()),
        }
        assert_eq!(at, *end, "a reply in {}", stream.escape_ascii());
    }
    match naive::reply(&stream[at..]) {
        Read::Whole((), length) => panic!("{length} more at {at} of {}", stream.escape_ascii()),
        Read::More => assert!(!is_lost, "lost too soon at {at} of {}", stream.escape_ascii()),
        Read::Wrong(why) => assert!(is_lost || why == "too deep", "{why} at {at} of {}", stream.escape_ascii()),
    }
}
