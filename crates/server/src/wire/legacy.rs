//! Requests that are signed with HmacSHA1 or HmacSHA256. Common parameters are among the others, in the query or in
//! the form, and all are signed as they read after decoding.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;
use http::Method;
use model::{ApiError, Millis};
use subtle::ConstantTimeEq;

use super::keys::{Key, Keys};
use super::reply::read_language;
use super::{
    MAX_LEGACY_BODY, MAX_QUERY, Payload, Reply, Request, Rules, Scheme, Verified, check_clock, errors, form, host,
    whole_number,
};

type Pairs = Vec<(String, String)>;

/// What all requests have in common. The rest is the action's.
const COMMON: [&str; 11] = [
    "Action",
    "Language",
    "Nonce",
    "Region",
    "RequestClient",
    "SecretId",
    "Signature",
    "SignatureMethod",
    "Timestamp",
    "Token",
    "Version",
];

pub(super) fn verify(
    request: &Request<'_>,
    now: Millis,
    rules: &Rules,
    keys: &dyn Keys,
    reply: &mut Reply,
) -> Result<Verified, ApiError> {
    let pairs = read_pairs(request)?;
    let optional = |name: &str| find(&pairs, name);
    let required = |name: &str| optional(name)?.ok_or_else(|| errors::missing(name));
    if let Some(language) = optional("Language")? {
        reply.language = read_language(language);
    }
    let action = required("Action")?;
    let version = required("Version")?;
    let timestamp = required("Timestamp")?;
    let nonce = required("Nonce")?;
    let secret_id = required("SecretId")?;
    let signature = required("Signature")?;
    let method = SignatureMethod::parse(optional("SignatureMethod")?)?;
    let region = optional("Region")?;
    let token = optional("Token")?;
    let request_client = optional("RequestClient")?;
    let timestamp = whole_number("Timestamp", timestamp)?;
    // Clients differ in how large a number they send, and none sends one twice on purpose: it is signed, no more.
    whole_number::<u64>("Nonce", nonce)?;

    let key = keys.find(secret_id).ok_or_else(errors::unknown_secret_id)?;
    check_clock(timestamp, now)?;
    if !is_signed(request, &pairs, signature, method, &key, &rules.host_aliases) {
        return Err(errors::wrong_legacy_signature(request.method.as_str(), request.host(), request.path()));
    }
    key.check_token(token)?;
    Ok(Verified {
        secret_id: Some(secret_id.to_owned()),
        scheme: Scheme::Legacy,
        action: action.to_owned(),
        version: version.to_owned(),
        region: region.map(str::to_owned),
        host: String::from_utf8_lossy(request.host()).into_owned(),
        service: None,
        request_client: request_client.map(str::to_owned),
        reply: reply.clone(),
        payload: Payload::Pairs(pairs.iter().filter(|(name, _)| !COMMON.contains(&name.as_str())).cloned().collect()),
    })
}

/// The value of a common parameter. An empty one is as good as none.
fn find<'a>(pairs: &'a Pairs, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut values = pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    match (values.next(), values.next()) {
        (value, None) => Ok(value.filter(|value| !value.is_empty())),
        (_, Some(_)) => Err(errors::twice(name)),
    }
}

/// A GET has its parameters in the query, a POST in the body; there the query does not count.
fn read_pairs(request: &Request<'_>) -> Result<Pairs, ApiError> {
    if request.method == Method::GET {
        if request.query().len() > MAX_QUERY {
            return Err(errors::query_too_long());
        }
        return form::read(request.query().as_bytes());
    }
    if request.body.len() > MAX_LEGACY_BODY {
        return Err(errors::legacy_body_too_large());
    }
    form::read(request.body)
}

#[derive(Clone, Copy)]
enum SignatureMethod {
    HmacSha1,
    HmacSha256,
}

impl SignatureMethod {
    fn parse(text: Option<&str>) -> Result<Self, ApiError> {
        match text {
            None | Some("HmacSHA1") => Ok(SignatureMethod::HmacSha1),
            Some("HmacSHA256") => Ok(SignatureMethod::HmacSha256),
            Some(_) => Err(errors::unknown_signature_method()),
        }
    }

    /// The signature of a text that is given in pieces, as clients send it.
    fn sign(self, key: &Key, text: &[&[u8]]) -> String {
        match self {
            SignatureMethod::HmacSha1 => sign(key.hmac_sha1(), text),
            SignatureMethod::HmacSha256 => sign(key.hmac_sha256(), text),
        }
    }
}

fn sign<M: Mac>(mut mac: M, text: &[&[u8]]) -> String {
    text.iter().for_each(|piece| mac.update(piece));
    STANDARD.encode(mac.finalize().into_bytes())
}

fn is_signed(
    request: &Request<'_>,
    pairs: &Pairs,
    signature: &str,
    method: SignatureMethod,
    key: &Key,
    aliases: &[String],
) -> bool {
    let texts = pair_texts(pairs);
    let hosts = host::renderings(request.host(), aliases);
    let paths = if request.path() == "/" { &["/"][..] } else { &["/", request.path()] };
    for text in &texts {
        for host in &hosts {
            for path in paths {
                let whole = [request.method.as_str().as_bytes(), host, path.as_bytes(), b"?", text.as_bytes()];
                if method.sign(key, &whole).as_bytes().ct_eq(signature.as_bytes()).into() {
                    return true;
                }
            }
        }
    }
    false
}

/// The sorted pairs, in every way in which clients sign them. Some turn an underscore in a name into a dot, before
/// they sort or after.
fn pair_texts(pairs: &Pairs) -> Vec<String> {
    let signed = || pairs.iter().filter(|(name, _)| name != "Signature");
    let mut sent: Vec<(String, &str)> = signed().map(|(name, value)| (name.clone(), value.as_str())).collect();
    sent.sort_by(|a, b| a.0.cmp(&b.0));
    let mut texts = vec![join(&sent)];
    if sent.iter().any(|(name, _)| name.contains('_')) {
        let mut dotted: Vec<_> = sent.iter().map(|(name, value)| (name.replace('_', "."), *value)).collect();
        let sorted_before = join(&dotted);
        dotted.sort_by(|a, b| a.0.cmp(&b.0));
        texts.push(join(&dotted));
        texts.push(sorted_before);
    }
    texts
}

fn join(pairs: &[(String, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn underscores_are_signed_in_three_ways() {
        let pairs = |text: &str| form::read(text.as_bytes()).unwrap();
        assert_eq!(pair_texts(&pairs("b=2&Signature=x&a=1")), ["a=1&b=2"]);
        // `.` sorts before a letter, and a letter before `_`.
        assert_eq!(pair_texts(&pairs("aa=1&a_b=2&Z=3")), ["Z=3&a_b=2&aa=1", "Z=3&a.b=2&aa=1", "Z=3&a.b=2&aa=1"]);
        assert_eq!(pair_texts(&pairs("a_b=1&aB=2")), ["aB=2&a_b=1", "a.b=1&aB=2", "aB=2&a.b=1"]);
    }
}
