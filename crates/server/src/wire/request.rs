use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};

/// An HTTP request, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Only GET and POST are served.
    pub method: &'a Method,
    /// The path and the query, byte for byte as received: both may be signed.
    pub target: &'a str,
    /// Of a header that is there twice the first counts, everywhere.
    pub headers: &'a HeaderMap,
    /// All of it, or its first [`MAX_BODY`](super::MAX_BODY) bytes and one more.
    pub body: &'a Bytes,
}

impl<'a> Request<'a> {
    /// What is before the first `?`.
    pub(super) fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// What is after the first `?`; empty where there is none.
    pub(super) fn query(&self) -> &'a str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    /// A header's value without the blanks around it; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &'a [u8] {
        self.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default().trim_ascii()
    }

    /// A header's value where it is ASCII text and not empty.
    pub(super) fn header_text(&self, name: &str) -> Option<&'a str> {
        let value = self.headers.get(name)?.to_str().ok()?.trim_ascii();
        (!value.is_empty()).then_some(value)
    }

    /// The Host header, which may have a port, and with some clients a scheme.
    pub(super) fn host(&self) -> &'a [u8] {
        self.header(header::HOST.as_str())
    }

    /// `application/json` of `application/json; charset=utf-8`, as the client spells it.
    pub(super) fn media_type(&self) -> &'a str {
        let content_type = self.header_text(header::CONTENT_TYPE.as_str()).unwrap_or("");
        content_type.split(';').next().unwrap_or("").trim_ascii()
    }

    /// Whether the common parameters are headers. Where nothing tells, a form is taken for a legacy request, as no
    /// client signs a form otherwise.
    pub(super) fn is_tc3(&self) -> bool {
        let has = |name| self.headers.contains_key(name);
        has("authorization")
            || has("x-tc-action")
            || has("x-tc-version")
            || has("x-tc-timestamp")
            || self.method == Method::POST && !is_form(self.media_type())
    }
}

/// Whether a media type is the one of urlencoded forms.
pub(super) fn is_form(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
