//! What is said, taken apart and shown.

use super::naive::{self, Read};

/// Whole values, one by one.
pub(super) fn values(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut at) = (Vec::new(), 0);
    while let Read::Whole((), length) = naive::reply(&bytes[at..]) {
        all.push(bytes[at..at + length].to_vec());
        at += length;
    }
    all
}

/// The strings in a value that is a list, however deep.
pub(super) fn strings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut strings = Vec::new();
    let mut at = 0;
    // Of longer ones nobody asks.
    while at < value.len() && strings.len() < 3 {
        let Some(length) = value[at..].iter().position(|byte| *byte == b'\n') else { break };
        let line = &value[at + 1..at + length - 1];
        let is_string = value[at] == b'$';
        at += length + 1;
        if let Some(length) =
            std::str::from_utf8(line).ok().filter(|_| is_string).and_then(|length| length.parse::<usize>().ok())
        {
            strings.push(value[at..at + length].to_vec());
            at += length + 2;
        }
    }
    strings
}

pub(super) fn shown(bytes: &[u8]) -> String {
    let some = &bytes[..bytes.len().min(120)];
    let more = if some.len() < bytes.len() { format!("... ({} bytes)", bytes.len()) } else { String::new() };
    format!("\"{}\"{more}", some.escape_ascii())
}

pub(super) fn shown_words(words: &[Vec<u8>]) -> String {
    let words: Vec<_> = words.iter().map(|word| word[..word.len().min(40)].escape_ascii().to_string()).collect();
    words.join(" ")
}
