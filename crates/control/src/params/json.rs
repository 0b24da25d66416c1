//! JSON parameters. The text is read once, by the declared types: what isn't declared is never built.

use std::fmt;

use model::ApiError;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::fault::{Fault, What};
use super::shape::{Field, Kind, Shape};
use super::{MAX_ITEMS, flat};

/// Reads a request body.
pub(super) fn read_body(shape: &Shape, text: &[u8]) -> Result<Value, ApiError> {
    if text.trim_ascii().is_empty() {
        return shape.complete(Map::new()).map_err(Fault::into_error);
    }
    let mut fault = None;
    let body = Body { shape, fault: &mut fault };
    read_text(text, |json| json.deserialize_any(body))
        .map_err(|error| fault.unwrap_or_else(|| Fault::syntax(&error)).into_error())
}

/// Reads one value that came as a JSON text of its own.
pub(super) fn read_value(kind: &Kind, text: &str) -> Result<Value, Fault> {
    let mut fault = None;
    let typed = Typed { kind, lenient: false, fault: &mut fault };
    read_text(text.as_bytes(), |json| typed.deserialize(json))
        .map_err(|error| fault.unwrap_or_else(|| Fault::syntax(&error)))
}

type JsonReader<'de> = serde_json::Deserializer<serde_json::de::SliceRead<'de>>;

fn read_text<'de>(
    text: &'de [u8],
    read: impl FnOnce(&mut JsonReader<'de>) -> Result<Value, serde_json::Error>,
) -> Result<Value, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = read(&mut json)?;
    json.end()?;
    Ok(value)
}

/// Where a fault is kept while serde unwinds with an error of its own, which can't carry it.
type FaultSlot<'a> = &'a mut Option<Fault>;

fn fail<E: Error>(slot: FaultSlot<'_>, what: What) -> E {
    *slot = Some(Fault::new(what));
    E::custom("")
}

/// Tells a fault which member it is in.
fn within<E>(slot: &mut Option<Fault>, name: &str, error: E) -> E {
    *slot = slot.take().map(|fault| fault.within(name));
    error
}

/// Reads the outermost object.
struct Body<'a> {
    shape: &'a Shape,
    fault: FaultSlot<'a>,
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        read_members(self.shape, map, self.fault)
    }
}

fn read_members<'de, A: MapAccess<'de>>(shape: &Shape, mut map: A, slot: FaultSlot<'_>) -> Result<Value, A::Error> {
    let mut members = Map::new();
    while let Some(field) = map.next_key_seed(FieldName { shape, fault: slot })? {
        let typed = Typed { kind: &field.kind, lenient: field.lenient, fault: slot };
        let value = map.next_value_seed(typed).map_err(|error| within(slot, &field.name, error))?;
        if !value.is_null() && members.insert(field.name.clone(), value).is_some() {
            let error = fail(slot, What::Twice);
            return Err(within(slot, &field.name, error));
        }
    }
    shape.complete(members).map_err(|fault| {
        *slot = Some(fault);
        A::Error::custom("")
    })
}

/// Reads the name of a member into the field that it means.
struct FieldName<'s, 'a> {
    shape: &'s Shape,
    fault: FaultSlot<'a>,
}

impl<'de, 's> DeserializeSeed<'de> for FieldName<'s, '_> {
    type Value = &'s Field;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'s Field, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'s> Visitor<'_> for FieldName<'s, '_> {
    type Value = &'s Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a parameter")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<&'s Field, E> {
        self.shape.field(name).ok_or_else(|| {
            let error = fail(self.fault, What::Unknown);
            within(self.fault, name, error)
        })
    }
}

/// Reads a value of the declared type. Null comes out as null: whoever holds the value knows what that means.
struct Typed<'a> {
    kind: &'a Kind,
    lenient: bool,
    fault: FaultSlot<'a>,
}

impl Typed<'_> {
    fn refuse<E: Error>(self) -> E {
        fail(self.fault, What::Type(self.kind.name()))
    }

    fn integer<E: Error>(self, number: i128, value: impl Into<Value>) -> Result<Value, E> {
        match self.kind {
            Kind::Integer { min, max } if (*min..=*max).contains(&number) => Ok(value.into()),
            Kind::Integer { .. } => Err(fail(self.fault, What::Range(self.kind.name()))),
            Kind::Float => Ok(value.into()),
            Kind::String if self.lenient => Ok(number.to_string().into()),
            _ => Err(self.refuse()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Typed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Typed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        if matches!(self.kind, Kind::Bool) { Ok(Value::Bool(value)) } else { Err(self.refuse()) }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.integer(value.into(), value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.integer(value.into(), value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if matches!(self.kind, Kind::Float) { Ok(Value::from(value)) } else { Err(self.refuse()) }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        match self.kind {
            Kind::String => flat::read_scalar(self.kind, text).map_err(|what| fail(self.fault, what)),
            Kind::Integer { .. } if self.lenient => {
                flat::read_scalar(self.kind, text).map_err(|what| fail(self.fault, what))
            }
            _ => Err(self.refuse()),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let Kind::List(kind) = self.kind else { return Err(self.refuse()) };
        let mut items = Vec::new();
        loop {
            let typed = Typed { kind, lenient: false, fault: self.fault };
            let item = match seq.next_element_seed(typed) {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(Value::Array(items)),
                Err(error) => return Err(within(self.fault, &items.len().to_string(), error)),
            };
            if items.len() == MAX_ITEMS {
                return Err(fail(self.fault, What::TooMany));
            }
            if item.is_null() {
                let error = fail(self.fault, What::Type(kind.name()));
                return Err(within(self.fault, &items.len().to_string(), error));
            }
            items.push(item);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        match self.kind {
            Kind::Object(shape) => read_members(shape, map, self.fault),
            _ => Err(self.refuse()),
        }
    }
}
