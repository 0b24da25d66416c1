//! The data of a model engine, what commands do to it, and how values are written.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use super::engine::{DATABASES, Words};

pub(super) type Database = BTreeMap<Vec<u8>, Value>;
/// What a command says, and what it changes; or why it does not.
type Outcome<T> = Result<(T, Vec<Effect>), Vec<u8>>;
pub(super) type Data = [Database; DATABASES];

/// What is at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(Rc<Vec<u8>>),
    List(VecDeque<Vec<u8>>),
}

/// What a command has changed: what is at a key now.
#[derive(Clone)]
pub(super) struct Effect {
    pub(super) database: usize,
    pub(super) key: Vec<u8>,
    value: Option<Value>,
}

impl Effect {
    pub(super) fn apply(&self, data: &mut Data) {
        match &self.value {
            Some(value) => drop(data[self.database].insert(self.key.clone(), value.clone())),
            None => drop(data[self.database].remove(&self.key)),
        }
    }
}

const WRONGTYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// What a command says that only reads; `None` where it is another.
pub(super) fn read(database: &Database, protocol: u8, words: &Words) -> Option<Vec<u8>> {
    let value = words.get(1).and_then(|key| database.get(key));
    Some(match (words[0].to_ascii_lowercase().as_slice(), value) {
        (b"get", Some(Value::Text(text))) => bulk_reply(text),
        (b"get", None) => null(protocol),
        (b"strlen", Some(Value::Text(text))) => integer(text.len() as i64),
        (b"strlen", None) => integer(0),
        (b"lrange", Some(Value::List(all))) => {
            let mut reply = list_header(all.len());
            all.iter().for_each(|value| bulk(value, &mut reply));
            reply
        }
        (b"lrange", None) => list_header(0),
        (b"get" | b"strlen" | b"lrange", Some(_)) => error(WRONGTYPE),
        _ => return None,
    })
}

/// What a command says, and what it changes.
pub(super) fn run(database: &mut Database, number: usize, protocol: u8, words: &Words) -> (Vec<u8>, Vec<Effect>) {
    if let Some(reply) = read(database, protocol, words) {
        return (reply, Vec::new());
    }
    let key = words[1].clone();
    let value = database.get(&key);
    let (reply, new) = match (words[0].to_ascii_lowercase().as_slice(), value) {
        (b"set", _) => (b"+OK\r\n".to_vec(), Value::Text(words[2].clone().into())),
        (b"append", Some(Value::Text(_)) | None) => {
            let mut text = if let Some(Value::Text(text)) = value { text.to_vec() } else { Vec::new() };
            text.extend_from_slice(&words[2]);
            (integer(text.len() as i64), Value::Text(text.into()))
        }
        (b"incr", Some(Value::Text(_)) | None) => {
            let text = if let Some(Value::Text(text)) = value { text.as_slice() } else { b"0" };
            let number = std::str::from_utf8(text).ok().and_then(|number| number.parse::<i64>().ok());
            let Some(number) = number.and_then(|number| number.checked_add(1)) else {
                return (error("ERR value is not an integer or out of range"), Vec::new());
            };
            (integer(number), Value::Text(number.to_string().into_bytes().into()))
        }
        (b"rpush", Some(Value::List(_)) | None) => {
            let mut list = if let Some(Value::List(list)) = value { list.clone() } else { VecDeque::new() };
            list.extend(words[2..].iter().cloned());
            (integer(list.len() as i64), Value::List(list))
        }
        (b"del", _) => {
            let removed = words[1..].iter().filter(|key| database.remove(*key).is_some());
            let effect = |key: &Vec<u8>| Effect { database: number, key: key.clone(), value: None };
            let effects: Vec<_> = removed.map(effect).collect();
            return (integer(effects.len() as i64), effects);
        }
        _ => return (error(WRONGTYPE), Vec::new()),
    };
    let effect = Effect { database: number, key: key.clone(), value: Some(new.clone()) };
    database.insert(key, new);
    (reply, vec![effect])
}

/// Takes the first of a list; or says why not.
pub(super) fn pop(database: &mut Database, number: usize, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
    let value = match database.get_mut(key) {
        None => return Ok((None, Vec::new())),
        Some(Value::Text(_)) => return Err(error(WRONGTYPE)),
        Some(Value::List(list)) => list,
    };
    let popped = value.pop_front();
    let left = Some(value.clone()).filter(|list| !list.is_empty()).map(Value::List);
    if left.is_none() {
        database.remove(key);
    }
    Ok((popped, vec![Effect { database: number, key: key.to_vec(), value: left }]))
}

/// What of an engine's data is a caller's own, by what its keys begin with: all but what others change.
pub(super) fn own_data(data: &Data, prefix: &str) -> Vec<(usize, Vec<u8>, Value)> {
    let mut own = Vec::new();
    for (number, database) in data.iter().enumerate() {
        for (key, value) in database {
            let name = key.strip_prefix(prefix.as_bytes());
            if name.is_some_and(|name| !matches!(name, b"q" | b"w")) {
                own.push((number, key.clone(), value.clone()));
            }
        }
    }
    own
}

/// What COMMAND says: of some commands what the exchange wants to know.
pub(super) const COMMAND_TABLE: &[u8] = b"*3\r\n\
    *6\r\n$3\r\nget\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n\
    *6\r\n$6\r\nstrlen\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n\
    *6\r\n$3\r\nset\r\n:-3\r\n*1\r\n+write\r\n:1\r\n:1\r\n:1\r\n";

pub(super) fn bulk(word: &[u8], to: &mut Vec<u8>) {
    to.extend(format!("${}\r\n", word.len()).as_bytes());
    to.extend_from_slice(word);
    to.extend(b"\r\n");
}

pub(super) fn bulk_reply(word: &[u8]) -> Vec<u8> {
    let mut reply = Vec::new();
    bulk(word, &mut reply);
    reply
}

pub(super) fn integer(number: i64) -> Vec<u8> {
    format!(":{number}\r\n").into_bytes()
}

pub(super) fn error(words: &str) -> Vec<u8> {
    format!("-{words}\r\n").into_bytes()
}

pub(super) fn list_header(length: usize) -> Vec<u8> {
    format!("*{length}\r\n").into_bytes()
}

pub(super) fn null(protocol: u8) -> Vec<u8> {
    if protocol == 3 { b"_\r\n".to_vec() } else { b"$-1\r\n".to_vec() }
}

pub(super) fn null_list(protocol: u8) -> Vec<u8> {
    if protocol == 3 { b"_\r\n".to_vec() } else { b"*-1\r\n".to_vec() }
}
