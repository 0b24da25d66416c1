use bytes::Bytes;
use control::params::Params;
use http::header;
use model::ApiError;

use super::request::{Request, is_form};
use super::{errors, form, multipart};

/// The parameters of a verified request, not read yet.
#[derive(Debug)]
pub enum Payload {
    /// Pairs that had to be read for the signature: a query, or a legacy form.
    Pairs(Vec<(String, String)>),
    /// A body that has been hashed, and not looked into.
    Body {
        /// With its parameters, as sent.
        content_type: String,
        /// All of it.
        bytes: Bytes,
    },
}

impl Payload {
    pub(super) fn of_body(request: &Request<'_>) -> Payload {
        let content_type = request.header_text(header::CONTENT_TYPE.as_str()).unwrap_or("").to_owned();
        Payload::Body { content_type, bytes: request.body.clone() }
    }

    /// Reads the body by its content type.
    ///
    /// # Errors
    /// `InvalidRequest` for a malformed multipart body, and `InvalidParameter` for a malformed form and for a content
    /// type that has no parameters in it.
    pub fn params(self) -> Result<Params, ApiError> {
        let (content_type, bytes) = match self {
            Payload::Pairs(pairs) => return Ok(Params::Flat(pairs)),
            Payload::Body { content_type, bytes } => (content_type, bytes),
        };
        let media_type = content_type.split(';').next().unwrap_or("").trim_ascii();
        let is = |name: &str| media_type.eq_ignore_ascii_case(name);
        if is("application/json") {
            Ok(Params::Json(bytes))
        } else if is_form(media_type) {
            form::read(&bytes).map(Params::Flat)
        } else if is("multipart/form-data") {
            multipart::read(&content_type, &bytes).map(Params::Parts)
        } else if is("application/octet-stream") {
            Err(errors::octet_stream())
        } else {
            Err(errors::unsupported_content_type(&content_type))
        }
    }
}
