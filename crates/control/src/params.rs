//! What a request says, read by what its action declares: strict where the client sent JSON, which has types of
//! its own, and converting where it sent text. Both ways end in the same JSON object, or in an error that names the
//! parameter by its dotted path (`NodeSet.0.ZoneId`).

mod fault;
mod flat;
mod json;
mod shape;

use bytes::Bytes;
use model::ApiError;
use serde_json::{Map, Value};

pub use shape::{Field, Kind, Shape};

/// The most members that a list may have. What is meant is a few hundred ids at most; the bound is for the memory.
pub const MAX_ITEMS: usize = 1_000;

/// The parameters of a request as they came, before anything is known of their types.
#[derive(Clone, Debug)]
pub enum Params {
    /// A JSON text. An empty one stands for `{}`.
    Json(Bytes),
    /// Decoded pairs of a query or a form, nested ones flattened: `Filters.0.Name`.
    Flat(Vec<(String, String)>),
    /// Parts of a multipart form, by name. As [`Params::Flat`], but a list or an object may also be a JSON text.
    Parts(Vec<(String, String)>),
}

impl Shape {
    /// Reads the parameters of a request into a JSON object that has the declared fields only, each of its declared
    /// type. What is null, and a list or an object whose text is empty, is left out.
    ///
    /// # Errors
    /// `UnknownParameter`, `MissingParameter` or `InvalidParameter`, naming the parameter.
    pub fn read(&self, params: &Params) -> Result<Value, ApiError> {
        match params {
            Params::Json(text) => json::read_body(self, text),
            Params::Flat(pairs) => flat::read(self, pairs, false).map_err(fault::Fault::into_error),
            Params::Parts(parts) => flat::read(self, parts, true).map_err(fault::Fault::into_error),
        }
    }

    /// `members`, if it has all that is required.
    fn complete(&self, members: Map<String, Value>) -> Result<Value, fault::Fault> {
        match self.fields().iter().find(|field| field.required && !members.contains_key(&field.name)) {
            Some(field) => Err(fault::Fault::new(fault::What::Missing).within(&field.name)),
            None => Ok(Value::Object(members)),
        }
    }
}

#[cfg(test)]
mod tests;
