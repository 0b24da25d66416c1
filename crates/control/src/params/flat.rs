//! Parameters that are text: pairs of a query or a form, and parts of a multipart form. Nested ones have names with
//! dots, where a number is a place in a list: `Filters.0.Values.2`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Number, Value};

use super::fault::{Fault, What};
use super::shape::{Kind, Shape};
use super::{MAX_ITEMS, json};

/// No request nests deeper; the bound is for the stack.
const MAX_DEPTH: usize = 16;

/// Reads all pairs. `json_allowed` says whether a list or an object may be a JSON text.
pub(super) fn read(shape: &Shape, pairs: &[(String, String)], json_allowed: bool) -> Result<Value, Fault> {
    let mut members = BTreeMap::new();
    for (name, text) in pairs {
        insert(&mut members, name, text).map_err(|what| Fault::new(what).within(name))?;
    }
    Reader { json_allowed }.object(shape, members)
}

/// What the dots in the names make of the pairs.
enum Node<'a> {
    Text(&'a str),
    Members(Members<'a>),
}

type Members<'a> = BTreeMap<&'a str, Node<'a>>;

fn insert<'a>(mut members: &mut Members<'a>, name: &'a str, text: &'a str) -> Result<(), What> {
    if name.split('.').any(str::is_empty) || name.split('.').count() > MAX_DEPTH {
        return Err(What::Name);
    }
    let (outer, last) = match name.rsplit_once('.') {
        Some((outer, last)) => (Some(outer), last),
        None => (None, name),
    };
    for segment in outer.into_iter().flat_map(|outer| outer.split('.')) {
        match members.entry(segment).or_insert_with(|| Node::Members(BTreeMap::new())) {
            Node::Members(inner) => members = inner,
            Node::Text(_) => return Err(What::Torn),
        }
    }
    match members.entry(last) {
        Entry::Vacant(free) => {
            free.insert(Node::Text(text));
            Ok(())
        }
        Entry::Occupied(taken) => Err(if matches!(taken.get(), Node::Text(_)) { What::Twice } else { What::Torn }),
    }
}

struct Reader {
    json_allowed: bool,
}

impl Reader {
    fn object(&self, shape: &Shape, members: Members<'_>) -> Result<Value, Fault> {
        let mut object = Map::new();
        for (name, node) in members {
            let field = shape.field(name).ok_or_else(|| Fault::new(What::Unknown).within(name))?;
            if let Some(value) = self.value(&field.kind, node).map_err(|fault| fault.within(name))? {
                object.insert(field.name.clone(), value);
            }
        }
        shape.complete(object)
    }

    /// The value, or nothing where the text stands for an absent list or object.
    fn value(&self, kind: &Kind, node: Node<'_>) -> Result<Option<Value>, Fault> {
        match (kind, node) {
            // Clients send what they don't have as an empty text; only a text can be empty.
            (kind, Node::Text("")) if *kind != Kind::String => Ok(None),
            (Kind::List(_) | Kind::Object(_), Node::Text(text)) if self.json_allowed => {
                json::read_value(kind, text).map(|value| (!value.is_null()).then_some(value))
            }
            (Kind::List(kind), Node::Members(members)) => self.list(kind, members).map(Some),
            (Kind::Object(shape), Node::Members(members)) => self.object(shape, members).map(Some),
            (Kind::List(_) | Kind::Object(_), Node::Text(_)) | (_, Node::Members(_)) => {
                Err(Fault::new(What::Type(kind.name())))
            }
            (_, Node::Text(text)) => read_scalar(kind, text).map(Some).map_err(Fault::new),
        }
    }

    /// Clients leave gaps where they skip an empty member, so the numbers give the order and nothing else.
    fn list(&self, kind: &Kind, members: Members<'_>) -> Result<Value, Fault> {
        if members.len() > MAX_ITEMS {
            return Err(Fault::new(What::TooMany));
        }
        let mut items = Vec::with_capacity(members.len());
        for (name, node) in members {
            let place = read_place(name).ok_or_else(|| Fault::new(What::Name).within(name))?;
            let value = self.value(kind, node).map_err(|fault| fault.within(name))?;
            items.extend(value.map(|value| (place, value)));
        }
        items.sort_by_key(|(place, _)| *place);
        Ok(items.into_iter().map(|(_, value)| value).collect())
    }
}

/// A place in a list. It has one spelling only, so that no two names mean the same place.
fn read_place(name: &str) -> Option<u64> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    digits.then(|| name.parse().ok()).flatten()
}

/// Converts a text to the declared type, which is not a list nor an object.
pub(super) fn read_scalar(kind: &Kind, text: &str) -> Result<Value, What> {
    let wrong = || What::Type(kind.name());
    match kind {
        Kind::String if text.contains('\0') => Err(What::Nul),
        Kind::String => Ok(Value::from(text)),
        Kind::Bool if text.eq_ignore_ascii_case("true") || text == "1" => Ok(Value::Bool(true)),
        Kind::Bool if text.eq_ignore_ascii_case("false") || text == "0" => Ok(Value::Bool(false)),
        Kind::Integer { min, max } => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            let number = text.parse().ok().filter(|number| (*min..=*max).contains(number));
            number.and_then(Number::from_i128).map(Value::Number).ok_or(What::Range(kind.name()))
        }
        Kind::Float => {
            // Rust also reads "inf" and "nan", which are no JSON numbers.
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(wrong)?;
            Ok(Value::from(number))
        }
        Kind::Bool | Kind::List(_) | Kind::Object(_) => Err(wrong()),
    }
}
