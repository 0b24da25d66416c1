//! How requests and replies are read, written to be plain rather than fast: what the gateway's own readers must agree with,
//! and what clients and nodes of the simulation read by.

/// What some bytes begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<T> {
    /// This, in so many bytes.
    Whole(T, usize),
    /// More must be there to tell.
    More,
    /// Nothing that there is, for this reason.
    Wrong(String),
}

/// Reads a request; its arguments are none where it asks for nothing. A stranger has yet to sign in.
pub(super) fn request(bytes: &[u8], is_stranger: bool) -> Read<Vec<Vec<u8>>> {
    if bytes.first() == Some(&b'*') { list(bytes, is_stranger) } else { line_request(bytes) }
}

fn list(bytes: &[u8], is_stranger: bool) -> Read<Vec<Vec<u8>>> {
    let Some((count, mut at)) = number_line(bytes, 0) else { return Read::More };
    let Some(count) = count.filter(|count| *count <= i64::from(i32::MAX)) else {
        return Read::Wrong("invalid multibulk length".into());
    };
    if is_stranger && count > 10 {
        return Read::Wrong("unauthenticated multibulk length".into());
    }
    let mut args = Vec::new();
    for _ in 0..count {
        let Some((length, from)) = number_line(bytes, at) else { return Read::More };
        if bytes[at] != b'$' {
            return Read::Wrong(format!("expected '$', got '{}'", char::from(bytes[at])));
        }
        let length = length.and_then(|length| usize::try_from(length).ok());
        let Some(length) = length.filter(|length| *length <= 512 << 20) else {
            return Read::Wrong("invalid bulk length".into());
        };
        if is_stranger && length > 16 * 1024 {
            return Read::Wrong("unauthenticated bulk length".into());
        }
        if bytes.len() < from + length + 2 {
            return Read::More;
        }
        args.push(bytes[from..from + length].to_vec());
        at = from + length + 2;
    }
    Read::Whole(args, at)
}

/// Reads a mark, a number behind it (`None` where it is none), and the end of the line; answers where the next begins.
fn number_line(bytes: &[u8], from: usize) -> Option<(Option<i64>, usize)> {
    let length = bytes.get(from..)?.iter().position(|byte| *byte == b'\r')?;
    let next = from + length + 2;
    if bytes.len() < next {
        return None;
    }
    let digits = std::str::from_utf8(bytes.get(from + 1..from + length).unwrap_or_default()).unwrap_or_default();
    // Only as it would be written.
    let number = digits.parse::<i64>().ok().filter(|number| number.to_string() == digits);
    Some((number, next))
}

fn line_request(bytes: &[u8]) -> Read<Vec<Vec<u8>>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Read::More };
    let line = &bytes[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    // A nought byte ends a line.
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    match words(line) {
        Some(words) => Read::Whole(words, end + 1),
        None => Read::Wrong("unbalanced quotes in request".into()),
    }
}

/// Where in a line a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Space,
    Word,
    Double,
    Single,
    /// Just behind a closing quote.
    Closed,
}

fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let (mut words, mut word, mut place) = (Vec::new(), Vec::new(), In::Space);
    let mut rest = line;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
        match (place, byte) {
            (In::Double, b'"') | (In::Single, b'\'') => place = In::Closed,
            (In::Double, b'\\') => {
                let (unescaped, length) = escaped(rest);
                word.push(unescaped);
                rest = &rest[length..];
            }
            (In::Single, b'\\') if rest.first() == Some(&b'\'') => {
                word.push(b'\'');
                rest = &rest[1..];
            }
            (In::Double | In::Single, _) => word.push(byte),
            (In::Closed, _) if !is_space => return None,
            (In::Space, _) if is_space => {}
            (_, _) if is_space => {
                words.push(std::mem::take(&mut word));
                place = In::Space;
            }
            (_, b'"') => place = In::Double,
            (_, b'\'') => place = In::Single,
            (..) => {
                word.push(byte);
                place = In::Word;
            }
        }
    }
    match place {
        In::Double | In::Single => return None,
        In::Word | In::Closed => words.push(word),
        In::Space => {}
    }
    Some(words)
}

/// What stands behind a backslash, and how many bytes that takes.
fn escaped(rest: &[u8]) -> (u8, usize) {
    let digits = rest.get(1..3).and_then(|digits| std::str::from_utf8(digits).ok());
    let is_number = digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    match rest.first() {
        None => (b'\\', 0),
        Some(b'x') if is_number => (u8::from_str_radix(digits.unwrap_or_default(), 16).unwrap_or_default(), 3),
        Some(b'n') => (b'\n', 1),
        Some(b'r') => (b'\r', 1),
        Some(b't') => (b'\t', 1),
        Some(b'b') => (8, 1),
        Some(b'a') => (7, 1),
        Some(other) => (*other, 1),
    }
}

/// How deep a value may be that is read here.
const DEEPEST: usize = 100;

/// Reads a reply, of which only the length is of interest.
pub(super) fn reply(bytes: &[u8]) -> Read<()> {
    match value(bytes, 0, 0) {
        Ok(end) => Read::Whole((), end),
        Err(read) => read,
    }
}

fn value(bytes: &[u8], at: usize, depth: usize) -> Result<usize, Read<()>> {
    if depth > DEEPEST {
        return Err(Read::Wrong("too deep".into()));
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(length) = rest.iter().position(|byte| *byte == b'\n') else { return Err(Read::More) };
    let line = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
    let next = at + length + 1;
    let (mark, line) = line.split_first().ok_or_else(|| Read::Wrong("an empty line".into()))?;
    let count =
        || match std::str::from_utf8(line).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit())) {
            Some(digits) if digits.len() <= 10 => digits.parse::<usize>().map_err(|_| Read::Wrong("no number".into())),
            _ => Err(Read::Wrong("no number".into())),
        };
    let of_values = |count: usize| (0..count).try_fold(next, |at, _| value(bytes, at, depth + 1));
    match mark {
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Ok(next),
        b'$' | b'!' | b'=' | b'*' | b'~' | b'>' if line == b"-1" && !(depth > 0 && *mark == b'>') => Ok(next),
        b'$' | b'!' | b'=' => {
            let end = next + count()? + 2;
            if end > bytes.len() { Err(Read::More) } else { Ok(end) }
        }
        b'*' | b'~' => of_values(count()?),
        // A message may stand before a value that it is no part of.
        b'>' if depth > 0 => value(bytes, of_values(count()?)?, depth + 1),
        b'>' => of_values(count()?),
        b'%' => of_values(2 * count()?),
        b'|' => value(bytes, of_values(2 * count()?)?, depth + 1),
        _ => Err(Read::Wrong("no mark".into())),
    }
}
