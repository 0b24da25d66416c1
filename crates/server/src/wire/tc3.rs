//! Requests that are signed with TC3-HMAC-SHA256. The canonical request is made of what came, byte for byte; where
//! clients are known to sign another rendering of the host, the content type or the path than they send, each is
//! tried, the likeliest first.

use hmac::{Hmac, Mac};
use http::{Method, header};
use jiff::Timestamp;
use jiff::tz::Offset;
use model::{ApiError, Millis};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::authorization::{ALGORITHM, Authorization, Signed};
use super::keys::Keys;
use super::{
    MAX_BODY, MAX_QUERY, Payload, Reply, Request, Rules, Scheme, Verified, check_clock, errors, form, host,
    whole_number,
};

pub(super) fn verify(
    request: &Request<'_>,
    now: Millis,
    rules: &Rules,
    keys: &dyn Keys,
    reply: &Reply,
) -> Result<Verified, ApiError> {
    let payload = if request.method == Method::GET {
        if request.query().len() > MAX_QUERY {
            return Err(errors::query_too_long());
        }
        Payload::Pairs(form::read(request.query().as_bytes())?)
    } else {
        if request.body.len() > MAX_BODY {
            return Err(errors::body_too_large());
        }
        Payload::of_body(request)
    };
    let common = |name, header| request.header_text(header).ok_or_else(|| errors::missing_header(name, header));
    let action = common("Action", "X-TC-Action")?;
    let version = common("Version", "X-TC-Version")?;
    let timestamp_text = common("Timestamp", "X-TC-Timestamp")?;
    let authorization = request.header_text("Authorization").ok_or_else(|| errors::missing("Authorization"))?;
    let timestamp = whole_number("X-TC-Timestamp", timestamp_text)?;
    let text = |name| request.header_text(name).map(str::to_owned);
    let mut verified = Verified {
        secret_id: None,
        scheme: Scheme::Tc3,
        action: action.to_owned(),
        version: version.to_owned(),
        region: text("X-TC-Region"),
        host: String::from_utf8_lossy(request.host()).into_owned(),
        service: None,
        request_client: text("X-TC-RequestClient"),
        reply: reply.clone(),
        payload,
    };
    let signed = match Authorization::parse(authorization)? {
        Authorization::Skip if rules.unsigned_actions.contains(&action) => return Ok(verified),
        Authorization::Skip => return Err(errors::skip_refused(action)),
        Authorization::Signed(signed) => signed,
    };

    let key = keys.find(signed.secret_id).ok_or_else(errors::unknown_secret_id)?;
    check_clock(timestamp, now)?;
    check_date(&signed, timestamp)?;
    let mac = key.tc3(&signed.scope);
    let canonical = Canonical::of(request, timestamp_text, &signed);
    if !canonical.is_signed(&mac, &rules.host_aliases) {
        return Err(errors::wrong_tc3_signature(request.host(), request.header(header::CONTENT_TYPE.as_str())));
    }
    key.remember(&signed.scope, mac);
    key.check_token(request.header_text("X-TC-Token"))?;
    verified.secret_id = Some(signed.secret_id.to_owned());
    verified.service = Some(signed.scope.service.to_owned());
    Ok(verified)
}

fn check_date(signed: &Signed<'_>, timestamp: i64) -> Result<(), ApiError> {
    // The clock check has bounded it.
    let moment = Timestamp::from_second(timestamp).unwrap_or_default();
    let date = Offset::UTC.to_datetime(moment).date().to_string();
    if signed.scope.date == date { Ok(()) } else { Err(errors::wrong_scope_date(signed.scope.date, &date)) }
}

/// All of a canonical request but what clients render in different ways.
struct Canonical<'a> {
    request: &'a Request<'a>,
    timestamp: &'a str,
    signed: &'a Signed<'a>,
    /// Empty for POST.
    query: &'a str,
    payload_hash: Hex,
}

/// One way to render the rest.
#[derive(Clone, Copy)]
struct Rendering<'a> {
    path: &'a str,
    host: &'a [u8],
    content_type: &'a [u8],
    case: Case,
}

/// What becomes of the values of further signed headers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    /// Those of `x-tc-` headers are lowercased, as the documentation's example does.
    Documented,
    /// All are lowercased, as the documentation's text says.
    Lower,
    /// They stay as they are.
    Verbatim,
}

/// A SHA-256, or a MAC made with it, in lowercase hexadecimal digits.
type Hex = [u8; 64];

impl<'a> Canonical<'a> {
    fn of(request: &'a Request<'a>, timestamp: &'a str, signed: &'a Signed<'a>) -> Self {
        let is_get = request.method == Method::GET;
        let payload: &[u8] = if request.header("X-TC-Content-SHA256") == b"UNSIGNED-PAYLOAD" {
            b"UNSIGNED-PAYLOAD"
        } else if is_get {
            b""
        } else {
            request.body
        };
        let payload_hash = hex(Sha256::digest(payload));
        Canonical { request, timestamp, signed, query: if is_get { request.query() } else { "" }, payload_hash }
    }

    /// Whether the signature is that of any rendering.
    fn is_signed(&self, mac: &Hmac<Sha256>, aliases: &[String]) -> bool {
        let host = self.request.host();
        let content_type = self.request.header(header::CONTENT_TYPE.as_str());
        let likeliest = Rendering { path: "/", host, content_type, case: Case::Documented };
        if self.is_signed_as(mac, likeliest) {
            return true;
        }

        let mut content_types = vec![content_type.to_owned(), content_type.to_ascii_lowercase()];
        content_types.push([content_type, b"; charset=utf-8"].concat());
        content_types.dedup();
        let hosts = host::renderings(host, aliases);
        let paths = if self.request.path() == "/" { &["/"][..] } else { &["/", self.request.path()] };
        let further = self.signed.signed_headers.split(';').any(|name| !matches!(name, "content-type" | "host"));
        let cases = if further { &[Case::Documented, Case::Lower, Case::Verbatim][..] } else { &[Case::Documented] };
        for content_type in &content_types {
            for host in &hosts {
                for path in paths {
                    for case in cases {
                        if self.is_signed_as(mac, Rendering { path, host, content_type, case: *case }) {
                            return true;
                        }
                    }
                }
            }
        }
        false
    }

    fn is_signed_as(&self, mac: &Hmac<Sha256>, rendering: Rendering<'_>) -> bool {
        let hash = self.hash(rendering);
        let mut mac = mac.clone();
        for line in [ALGORITHM, self.timestamp, self.signed.scope.text] {
            mac.update(line.as_bytes());
            mac.update(b"\n");
        }
        mac.update(&hash);
        hex(mac.finalize().into_bytes()).ct_eq(self.signed.signature.as_bytes()).into()
    }

    /// The hash of the canonical request.
    fn hash(&self, rendering: Rendering<'_>) -> Hex {
        let mut text = Vec::with_capacity(512);
        for line in [self.request.method.as_str(), rendering.path, self.query] {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        }
        for name in self.signed.signed_headers.split(';') {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            match name {
                "content-type" => text.extend_from_slice(rendering.content_type),
                "host" => text.extend_from_slice(rendering.host),
                other => {
                    let lower = match rendering.case {
                        Case::Documented => other.starts_with("x-tc-"),
                        Case::Lower => true,
                        Case::Verbatim => false,
                    };
                    let value = self.request.header(other);
                    text.extend(value.iter().map(|byte| if lower { byte.to_ascii_lowercase() } else { *byte }));
                }
            }
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.signed.signed_headers.as_bytes());
        text.push(b'\n');
        text.extend_from_slice(&self.payload_hash);
        hex(Sha256::digest(&text))
    }
}

fn hex(bytes: impl AsRef<[u8]>) -> Hex {
    let mut digits = [0; 64];
    hex::encode_to_slice(bytes, &mut digits).expect("a SHA-256 has 32 bytes");
    digits
}
