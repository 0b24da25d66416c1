use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use model::{Millis, Secret};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::super::*;

pub(super) const SECRET_ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE";
pub(super) const SECRET_KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";

/// The time at which requests made here are sent, and its UTC date.
pub(super) const AT: i64 = 1_795_486_138;
pub(super) const DATE: &str = "2026-11-24";

/// One key pair.
pub(super) struct OneKey {
    pub(super) id: String,
    pub(super) key: Arc<Key>,
}

impl OneKey {
    pub(super) fn new(secret_key: &str, token: Option<&str>) -> OneKey {
        let secret = Secret::new(secret_key);
        let key = match token {
            Some(token) => Key::temporary(secret, Secret::new(token)),
            None => Key::new(secret),
        };
        OneKey { id: SECRET_ID.to_owned(), key: Arc::new(key) }
    }
}

impl Keys for OneKey {
    fn find(&self, secret_id: &str) -> Option<Arc<Key>> {
        (secret_id == self.id).then(|| self.key.clone())
    }
}

/// An HTTP request that owns its parts.
#[derive(Clone, Debug)]
pub(super) struct Http {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Http {
    /// Takes apart what came over a connection, as far as these tests need it.
    pub(super) fn parse(raw: &[u8]) -> Option<Http> {
        let blank = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
        let mut lines = raw[..blank].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let line = std::str::from_utf8(lines.next()?).ok()?;
        let (method, rest) = line.split_once(' ')?;
        let (target, _) = rest.rsplit_once(' ')?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
        }
        let body = Bytes::copy_from_slice(&raw[blank + 4..]);
        Some(Http { method: Method::from_bytes(method.as_bytes()).ok()?, target: target.to_owned(), headers, body })
    }

    pub(super) fn new(method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Http {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let http = Http { method, target: target.to_owned(), headers: HeaderMap::new(), body: body.into() };
        headers.iter().fold(http, |http, (name, value)| http.with(name, value))
    }

    /// A TC3 request as SDKs send it, but for its Authorization.
    pub(super) fn tc3(body: &str) -> Http {
        let timestamp = AT.to_string();
        let headers = [
            ("Host", "127.0.0.1:8080"),
            ("Content-Type", "application/json"),
            ("X-TC-Action", "DescribeTaskList"),
            ("X-TC-Version", "2018-04-12"),
            ("X-TC-Timestamp", timestamp.as_str()),
        ];
        Http::new("POST", "/", &headers, body.to_owned())
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Http {
        self.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    pub(super) fn without(mut self, name: &str) -> Http {
        self.headers.remove(name);
        self
    }

    pub(super) fn view(&self) -> Request<'_> {
        Request { method: &self.method, target: &self.target, headers: &self.headers, body: &self.body }
    }

    /// Verifies with the example's key, at the time at which it was sent.
    pub(super) fn verify(&self) -> Result<Verified, Refusal> {
        self.verify_with(&OneKey::new(SECRET_KEY, None), AT)
    }

    pub(super) fn verify_with(&self, keys: &OneKey, at: i64) -> Result<Verified, Refusal> {
        verify(&self.view(), Millis::from_seconds(at), &rules(), keys)
    }

    /// Signed as `signing` says.
    pub(super) fn signed(self, signing: &Signing<'_>) -> Http {
        let authorization = signing.authorization(&self);
        self.with("Authorization", &authorization)
    }
}

pub(super) fn rules() -> Rules {
    Rules { host_aliases: official_hosts(&["redis"], "ap-guangzhou"), unsigned_actions: &[] }
}

/// What a client signs with TC3, written straight down from the documentation.
#[derive(Clone)]
pub(super) struct Signing<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Names and values of the signed headers.
    pub(super) headers: Vec<(&'a str, &'a str)>,
    pub(super) payload: Option<&'a str>,
    pub(super) date: &'a str,
    pub(super) service: &'a str,
}

impl Default for Signing<'_> {
    fn default() -> Self {
        Signing {
            path: "/",
            query: "",
            headers: vec![("content-type", "application/json"), ("host", "127.0.0.1:8080")],
            payload: None,
            date: DATE,
            service: "redis",
        }
    }
}

impl<'a> Signing<'a> {
    pub(super) fn of(content_type: &'a str, host: &'a str) -> Self {
        Signing { headers: vec![("content-type", content_type), ("host", host)], ..Signing::default() }
    }

    fn authorization(&self, http: &Http) -> String {
        let names = self.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = self.headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let payload = self.payload.map_or(&http.body[..], str::as_bytes);
        let canonical = format!(
            "{}\n{}\n{}\n{lines}\n{names}\n{}",
            http.method,
            self.path,
            self.query,
            hex::encode(Sha256::digest(payload))
        );
        let scope = format!("{}/{}/tc3_request", self.date, self.service);
        let timestamp = http.headers["X-TC-Timestamp"].to_str().unwrap();
        let hash = hex::encode(Sha256::digest(canonical));
        let text = format!("TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hash}");
        let key = [self.date, self.service, "tc3_request"]
            .iter()
            .fold(format!("TC3{SECRET_KEY}").into_bytes(), |key, text| hmac_sha256(&key, text));
        let signature = hex::encode(hmac_sha256(&key, &text));
        format!("TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

fn hmac_sha256(key: &[u8], text: &str) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

/// The legacy signature of a text with HmacSHA1.
pub(super) fn hmac_sha1(text: &str) -> String {
    let mac = Hmac::<Sha1>::new_from_slice(SECRET_KEY.as_bytes()).unwrap().chain_update(text);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Escapes a value for a query.
pub(super) fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The code of the refusal; empty for a request that is taken.
pub(super) fn verdict(outcome: &Result<Verified, Refusal>) -> &'static str {
    outcome.as_ref().map_or_else(|refusal| refusal.error.code, |_| "")
}

/// A request of a public client, and what has to become of it.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) raw: Vec<u8>,
    pub(super) keys: OneKey,
    pub(super) at: i64,
    pub(super) verdict: String,
}

impl Sample {
    pub(super) fn http(&self) -> Http {
        Http::parse(&self.raw).unwrap_or_else(|| panic!("{} is no request", self.name))
    }
}

/// All that `requests.json` has.
pub(super) fn samples() -> Vec<Sample> {
    let file: Value = serde_json::from_str(include_str!("requests.json")).unwrap();
    let sample = |row: &Value| {
        let text = |name: &str| row[name].as_str();
        let head: Vec<_> = row["head"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        let mut raw = format!("{}\r\n\r\n", head.join("\r\n")).into_bytes();
        raw.extend_from_slice(text("body").unwrap_or("").as_bytes());
        raw.extend(text("body_base64").map(|body| STANDARD.decode(body).unwrap()).unwrap_or_default());
        Sample {
            name: text("name").unwrap().to_owned(),
            raw,
            keys: OneKey::new(text("secret_key").unwrap(), text("token")),
            at: row["at"].as_i64().unwrap(),
            verdict: text("verdict").unwrap().to_owned(),
        }
    };
    file["requests"].as_array().unwrap().iter().map(sample).collect()
}
