use std::borrow::Cow;
use std::mem::take;

/// A sign-in that is longer than this is not read: it is passed on as it came.
const LONGEST_LOGIN: usize = 16 * 1024;
/// No line that announces a length is longer than this.
const LONGEST_HEADER: usize = 32;
/// No sign-in has more arguments: HELLO with a version, AUTH with its two, and SETNAME with its one has seven.
const MOST_ARGUMENTS: u64 = 8;
/// The longest argument that Redis takes by default.
const LONGEST_ARGUMENT: u64 = 512 << 20;

/// Finds, in the stream of a client's requests, those by which it signs in (AUTH and HELLO), so that they can be read and
/// changed; everything else passes as it is, whatever its size. A stream that is not Redis's protocol passes too: the
/// node says what is wrong with it.
#[derive(Default)]
pub(crate) struct Requests {
    place: Place,
    /// The beginning of a request that may be a sign-in, held until that is known.
    held: Vec<u8>,
}

/// Where in the protocol the stream stands.
#[derive(Clone, Copy, Default)]
enum Place {
    /// Between two requests.
    #[default]
    Start,
    /// Before an argument's length, with so many arguments to come; the length as far as it was read.
    Length { arguments: u64, digits: u64, at: At },
    /// In an argument, with so many bytes of it and its line's end to come, and so many arguments after it.
    Argument { bytes: u64, arguments: u64 },
    /// In a request that is a line.
    Line,
    /// Where nothing can be said any more.
    Lost,
}

/// Where in the line `$123\r\n`.
#[derive(Clone, Copy)]
enum At {
    Dollar,
    Digit,
    LineFeed,
}

/// A request by which a client signs in: its arguments, the first of which is its name.
pub(crate) type Login<'a> = Vec<Cow<'a, [u8]>>;

/// What the beginning of a request tells.
enum Head {
    /// Too little to say what it is.
    Unclear,
    /// Not a sign-in.
    Other(Place, usize),
    /// A sign-in, of so many bytes.
    Login(usize),
}

impl Requests {
    /// Takes what the client has sent next; answers what is to be passed on now. `change` may put other arguments in the
    /// place of those of a sign-in.
    pub(crate) fn pass<'a>(
        &mut self,
        chunk: &'a [u8],
        mut change: impl FnMut(&mut Login<'_>) -> bool,
    ) -> Cow<'a, [u8]> {
        if !self.held.is_empty() {
            let mut all = take(&mut self.held);
            all.extend_from_slice(chunk);
            let mut passed = Vec::new();
            let changed = self.walk(&all, &mut passed, &mut change);
            return Cow::Owned(if changed { passed } else { all });
        }
        let mut passed = Vec::new();
        if self.walk(chunk, &mut passed, &mut change) { Cow::Owned(passed) } else { Cow::Borrowed(chunk) }
    }

    /// What is still held when the client has ended its side.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        take(&mut self.held)
    }

    /// Goes through the bytes. Where they can't pass as they are, what passes instead is in `passed`, and the answer is
    /// true.
    fn walk(&mut self, all: &[u8], passed: &mut Vec<u8>, change: &mut impl FnMut(&mut Login<'_>) -> bool) -> bool {
        let (mut at, mut copied) = (0, 0);
        let mut changed = false;
        while at < all.len() {
            at += match self.place {
                Place::Start => match head(&all[at..]) {
                    Head::Other(place, length) => {
                        self.place = place;
                        length
                    }
                    Head::Login(length) => {
                        let request = &all[at..at + length];
                        let mut login = arguments(request);
                        if change(&mut login) {
                            changed = true;
                            passed.extend_from_slice(&all[copied..at]);
                            write(&login, passed);
                            copied = at + length;
                        }
                        length
                    }
                    Head::Unclear => {
                        passed.extend_from_slice(&all[copied..at]);
                        self.held = all[at..].to_vec();
                        return true;
                    }
                },
                place => {
                    let (next, length) = step(place, &all[at..]);
                    self.place = next;
                    length
                }
            };
        }
        if changed {
            passed.extend_from_slice(&all[copied..]);
        }
        changed
    }
}

/// Goes on inside a request.
fn step(place: Place, rest: &[u8]) -> (Place, usize) {
    match place {
        Place::Argument { bytes, arguments } => {
            let length = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
            let left = bytes - length as u64;
            let next = match (left, arguments) {
                (0, 0) => Place::Start,
                (0, arguments) => Place::Length { arguments, digits: 0, at: At::Dollar },
                (bytes, arguments) => Place::Argument { bytes, arguments },
            };
            (next, length)
        }
        Place::Length { arguments, digits, at } => {
            let next = match (at, rest[0]) {
                (At::Dollar, b'$') => Place::Length { arguments, digits, at: At::Digit },
                (At::Digit, digit @ b'0'..=b'9') => {
                    let digits = digits.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                    Place::Length { arguments, digits, at }
                }
                (At::Digit, b'\r') => Place::Length { arguments, digits, at: At::LineFeed },
                (At::LineFeed, b'\n') if digits <= LONGEST_ARGUMENT => {
                    Place::Argument { bytes: digits + 2, arguments: arguments - 1 }
                }
                _ => Place::Lost,
            };
            (next, 1)
        }
        Place::Line => match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (Place::Start, end + 1),
            None => (Place::Line, rest.len()),
        },
        Place::Start | Place::Lost => (place, rest.len()),
    }
}

/// Looks at the beginning of a request.
fn head(rest: &[u8]) -> Head {
    if rest[0] != b'*' {
        return line_head(rest);
    }
    if rest.starts_with(b"*-") {
        // Less than no arguments are none to Redis.
        return Head::Other(Place::Line, 0);
    }
    let (count, first) = match length_line(rest, b'*') {
        Line::Whole(count, end) => (count, end),
        Line::Partial => return Head::Unclear,
        Line::Wrong => return Head::Other(Place::Lost, rest.len()),
    };
    if count == 0 {
        return Head::Other(Place::Start, first);
    }
    let other = Head::Other(Place::Length { arguments: count, digits: 0, at: At::Dollar }, first);
    if count > MOST_ARGUMENTS {
        return other;
    }
    let (length, name) = match length_line(&rest[first..], b'$') {
        Line::Whole(length, end) => (length, first + end),
        Line::Partial => return if rest.len() == first || rest[first] == b'$' { Head::Unclear } else { other },
        Line::Wrong => return other,
    };
    let begun = &rest[name..rest.len().min(name + usize::try_from(length).unwrap_or(usize::MAX).min(8))];
    if !could_be_login(begun, length) {
        return other;
    }
    match whole_length(rest, count, first) {
        Some(Some(length)) => Head::Login(length),
        Some(None) if rest.len() <= LONGEST_LOGIN => Head::Unclear,
        _ => other,
    }
}

fn could_be_login(begun: &[u8], length: u64) -> bool {
    let could = |name: &[u8]| length == name.len() as u64 && name[..begun.len()].eq_ignore_ascii_case(begun);
    (begun.len() <= 4 && could(b"auth")) || (begun.len() <= 5 && could(b"hello"))
}

/// A request that is a line, as people type them.
fn line_head(rest: &[u8]) -> Head {
    let end = rest.iter().position(|byte| *byte == b'\n');
    let word = rest.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    let is_whole = word.len() < rest.len();
    let is_login = |name: &[u8]| {
        if is_whole {
            word.eq_ignore_ascii_case(name)
        } else {
            word.len() <= name.len() && name[..word.len()].eq_ignore_ascii_case(word)
        }
    };
    if !is_login(b"auth") && !is_login(b"hello") {
        return Head::Other(Place::Line, 0);
    }
    match end {
        // Quotes have rules of their own there; who types them finds the node's own sign-in.
        Some(end) if rest[..end].iter().any(|byte| b"\"'".contains(byte)) => Head::Other(Place::Line, 0),
        Some(end) => Head::Login(end + 1),
        None if rest.len() <= LONGEST_LOGIN => Head::Unclear,
        None => Head::Other(Place::Line, 0),
    }
}

enum Line {
    /// The number, and where the line ends.
    Whole(u64, usize),
    Partial,
    Wrong,
}

/// Reads `*3\r\n` or `$3\r\n`.
fn length_line(rest: &[u8], mark: u8) -> Line {
    let mut number: u64 = 0;
    for (at, byte) in rest.iter().enumerate().take(LONGEST_HEADER) {
        match (at, byte) {
            (0, byte) if *byte == mark => {}
            // Redis takes no number that begins with a nought.
            (2.., b'0'..=b'9') if number == 0 => return Line::Wrong,
            (1.., digit @ b'0'..=b'9') => {
                number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            }
            (2.., b'\r') => {
                return match rest.get(at + 1) {
                    Some(b'\n') => Line::Whole(number, at + 2),
                    Some(_) => Line::Wrong,
                    None => Line::Partial,
                };
            }
            _ => return Line::Wrong,
        }
    }
    if rest.len() < LONGEST_HEADER { Line::Partial } else { Line::Wrong }
}

/// How long a request of so many arguments is, the first of which begins at `first`. `Some(None)`: it is not all there;
/// `None`: it is wrong.
fn whole_length(rest: &[u8], count: u64, first: usize) -> Option<Option<usize>> {
    let mut at = first;
    for _ in 0..count {
        match length_line(rest.get(at..)?, b'$') {
            Line::Whole(length, end) => {
                at = at.checked_add(end)?.checked_add(usize::try_from(length).ok()?)?.checked_add(2)?
            }
            Line::Partial => return Some(None),
            Line::Wrong => return None,
        }
        if at > rest.len() {
            return Some(None);
        }
    }
    Some(Some(at))
}

/// The arguments of a whole request.
fn arguments(request: &[u8]) -> Login<'_> {
    if request[0] != b'*' {
        let words = request.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        return words.map(Cow::Borrowed).collect();
    }
    let mut found = Vec::new();
    let Line::Whole(_, mut at) = length_line(request, b'*') else { return found };
    while let Some(Line::Whole(length, end)) = request.get(at..).map(|rest| length_line(rest, b'$')) {
        let (from, to) = (at + end, at + end + usize::try_from(length).unwrap_or(0));
        found.push(Cow::Borrowed(request.get(from..to).unwrap_or_default()));
        at = to + 2;
    }
    found
}

fn write(arguments: &Login<'_>, to: &mut Vec<u8>) {
    to.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        to.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        to.extend_from_slice(argument);
        to.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever passes of a stream in chunks of this size, with the last argument of each sign-in put in capitals.
    fn pass(stream: &[u8], size: usize) -> (Vec<u8>, Vec<Vec<Vec<u8>>>) {
        let (mut requests, mut passed, mut seen) = (Requests::default(), Vec::new(), Vec::new());
        for chunk in stream.chunks(size) {
            let now = requests.pass(chunk, |login| {
                seen.push(login.iter().map(|argument| argument.to_vec()).collect());
                let last = login.last_mut().unwrap();
                let capitals = last.to_ascii_uppercase();
                let changes = **last != capitals;
                *last = Cow::Owned(capitals);
                changes
            });
            passed.extend_from_slice(&now);
        }
        passed.extend(requests.rest());
        (passed, seen)
    }

    fn every_way(stream: &[u8], expected: &[u8], logins: usize) {
        for size in [1, 2, 3, 5, 7, 11, 64, stream.len().max(1)] {
            let (passed, seen) = pass(stream, size);
            assert_eq!(String::from_utf8_lossy(&passed), String::from_utf8_lossy(expected), "in chunks of {size}");
            assert_eq!(seen.len(), logins, "in chunks of {size}");
        }
    }

    #[test]
    fn sign_ins_are_found_wherever_the_stream_is_cut() {
        let stream = b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nauth\r\n\r\n\
                       *0\r\n\r\n*5\r\n$5\r\nhello\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$2\r\nab\r\nPING\r\nauth secret\r\n*1\r\n$4\r\nPING\r\n";
        let expected = b"*2\r\n$4\r\nAUTH\r\n$2\r\nPW\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nauth\r\n\r\n\
                         *0\r\n\r\n*5\r\n$5\r\nhello\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$2\r\nAB\r\nPING\r\n\
                         *2\r\n$4\r\nauth\r\n$6\r\nSECRET\r\n*1\r\n$4\r\nPING\r\n";
        every_way(stream, expected, 3);
    }

    #[test]
    fn what_only_looks_like_a_sign_in_passes() {
        for stream in [
            &b"*2\r\n$5\r\nAUTHS\r\n$2\r\npw\r\n"[..],
            b"*2\r\n$3\r\nGET\r\n$4\r\nauth\r\n*2\r\n$3\r\nGET\r\n$5\r\nhello\r\n",
            b"authenticate pw\r\nAUT\r\nh\r\n",
            b"*2\r\n$4\r\nECHO\r\n$24\r\n*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n\r\n",
            b"question",
            b"?",
        ] {
            every_way(stream, stream, 0);
        }
    }

    #[test]
    fn fewer_than_no_arguments_are_none_and_too_many_are_no_sign_in() {
        let stream = b"*-1\r\n*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n";
        every_way(stream, b"*-1\r\n*2\r\n$4\r\nAUTH\r\n$2\r\nPW\r\n", 1);
        let stream = b"*11\r\n$4\r\nAUTH\r\n";
        let mut requests = Requests::default();
        assert_eq!(&*requests.pass(stream, |_| false), stream, "it is not held");
    }

    #[test]
    fn what_is_not_the_protocol_passes_as_it_is() {
        for stream in [
            &b"*x\r\n*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n"[..],
            b"*2\r\n+4\r\nAUTH\r\n",
            b"*2\r\n$4\r\nECHO\r\n$-1\r\n*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n",
            b"*99999999999999999999999999999999999999\r\n",
            b"*2\r\n$4\r\nauth\r\n$99999999999999999999\r\npw\r\n",
            b"*1\r\n$4\r\nAUTH",
            b"*2\r\n$04\r\nAUTH\r\n$2\r\npw\r\n",
            b"\0\xff\n\r\n*",
        ] {
            every_way(stream, stream, 0);
        }
    }

    #[test]
    fn a_sign_in_of_no_sensible_length_is_not_held_for_ever() {
        let mut stream = b"*2\r\n$4\r\nAUTH\r\n$1000000\r\n".to_vec();
        stream.resize(stream.len() + 1_000_000, b'x');
        stream.extend_from_slice(b"\r\n*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n");
        let mut requests = Requests::default();
        let mut most = 0;
        for chunk in stream.chunks(1000) {
            requests.pass(chunk, |login| login.len() > 9);
            most = most.max(requests.held.len());
        }
        assert!(most <= LONGEST_LOGIN + 1000, "{most}");
        let mut long_line = b"auth ".to_vec();
        long_line.resize(100_000, b'x');
        every_way(&long_line, &long_line, 0);
    }
}
