use bytes::Bytes;
use control::Language;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Response};
use model::ApiError;
use serde_json::json;

use super::Request;

/// How a request wants to be answered. Its functions make every answer of the service: status 200, because clients lose
/// the code of an error that has another one, and exactly `application/json`, because with a charset behind it some take
/// an error for a success; or exactly `text/event-stream`, by which they know that the answer goes on.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The language of an error's message.
    pub language: Language,
    /// Echoed, so that a client finds its call again.
    trace_id: Option<HeaderValue>,
}

impl Reply {
    /// What the headers ask for.
    pub fn of(request: &Request<'_>) -> Reply {
        let language = request.header_text("x-tc-language").map(read_language).unwrap_or_default();
        let trace_id = request.header_text("x-tc-traceid").filter(|id| id.len() <= 128);
        Reply { language, trace_id: trace_id.and_then(|id| HeaderValue::from_str(id).ok()) }
    }

    /// An answer with the fields of a JSON object, which is taken as it is.
    ///
    /// # Panics
    /// If `fields` is not the text of an object: what an action answers always is one.
    pub fn success(&self, fields: &str, request_id: &str) -> Response<Bytes> {
        let inner = fields.trim_ascii().strip_prefix('{').and_then(|fields| fields.strip_suffix('}'));
        let inner = inner.expect("an action answers a JSON object").trim_ascii();
        let comma = if inner.is_empty() { "" } else { "," };
        let body = [r#"{"Response":{"#, inner, comma, r#""RequestId":""#, request_id, r#""}}"#].concat();
        self.respond(body, request_id)
    }

    /// An answer that says what went wrong.
    pub fn failure(&self, error: &ApiError, request_id: &str) -> Response<Bytes> {
        let message = match self.language {
            Language::En => &error.message.en,
            Language::Zh => &error.message.zh,
        };
        let body = json!({"Response": {"Error": {"Code": error.code, "Message": message}, "RequestId": request_id}});
        self.respond(body.to_string(), request_id)
    }

    /// An answer that goes on. The id is in a header alone.
    pub fn stream<B>(&self, body: B, request_id: &str) -> Response<B> {
        let mut response = self.with_headers(body, "text/event-stream", request_id);
        // Nothing between here and the client is to keep it.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }

    fn respond(&self, body: String, request_id: &str) -> Response<Bytes> {
        self.with_headers(Bytes::from(body), "application/json", request_id)
    }

    fn with_headers<B>(&self, body: B, content_type: &'static str, request_id: &str) -> Response<B> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-tc-requestid", id);
        }
        if let Some(id) = &self.trace_id {
            headers.insert("x-tc-traceid", id.clone());
        }
        let mut response = Response::new(body);
        *response.headers_mut() = headers;
        response
    }
}

/// Reads `zh-CN` or `en-US`. What is neither is answered in English: a message in the wrong language is better than none.
pub(super) fn read_language(text: &str) -> Language {
    if text.eq_ignore_ascii_case("zh-CN") { Language::Zh } else { Language::En }
}

#[cfg(test)]
mod tests {
    use model::code;

    use super::*;

    const ID: &str = "5b4f0a5e-0a51-4f4c-9d6a-1f0f3a3f0c11";

    fn text(response: &Response<Bytes>) -> &str {
        std::str::from_utf8(response.body()).unwrap()
    }

    #[test]
    fn fields_are_spliced_beside_the_request_id() {
        let check = |fields: &str, wanted: &str| {
            let response = Reply::default().success(fields, ID);
            assert_eq!(text(&response), wanted.replace("ID", ID));
        };
        check(r#"{"TotalCount":1,"Tasks":[{}]}"#, r#"{"Response":{"TotalCount":1,"Tasks":[{}],"RequestId":"ID"}}"#);
        check("{}", r#"{"Response":{"RequestId":"ID"}}"#);
        check(" { } ", r#"{"Response":{"RequestId":"ID"}}"#);
    }

    #[test]
    fn an_error_is_answered_in_the_language_of_the_client() {
        let error = ApiError::new(code::InvalidAction, "a \"b\"", "\u{4e2d}");
        let check = |language: &str, message: &str| {
            let reply = Reply { language: read_language(language), trace_id: None };
            let answer: serde_json::Value = serde_json::from_str(text(&reply.failure(&error, ID))).unwrap();
            let wanted = json!({"Error": {"Code": "InvalidAction", "Message": message}, "RequestId": ID});
            assert_eq!(answer, json!({"Response": wanted}));
        };
        check("zh-CN", "\u{4e2d}");
        check("ZH-cn", "\u{4e2d}");
        check("en-US", "a \"b\"");
        check("fr-FR", "a \"b\"");
    }

    #[test]
    fn every_answer_is_status_200_and_exactly_json() {
        let trace_id = Some(HeaderValue::from_static("trace"));
        let reply = Reply { language: Language::En, trace_id };
        let error = ApiError::new(code::InternalError, "", "");
        for response in [reply.success("{}", ID), reply.failure(&error, ID)] {
            assert_eq!(response.status(), 200);
            let headers: Vec<_> = response.headers().iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
            assert_eq!(
                headers,
                [("content-type", "application/json"), ("x-tc-requestid", ID), ("x-tc-traceid", "trace")]
            );
        }
        let stream = reply.stream((), ID);
        assert_eq!(
            (stream.status().as_u16(), &stream.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        assert_eq!(
            (&stream.headers()["x-tc-requestid"], &stream.headers()["x-tc-traceid"]),
            (&ID.parse().unwrap(), &"trace".parse().unwrap())
        );
    }
}
