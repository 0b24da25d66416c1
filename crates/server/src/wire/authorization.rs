use model::ApiError;

use super::errors;

/// The name of the scheme, which is also the first line of the string to sign.
pub(super) const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// What the Authorization header of a TC3 request says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Authorization<'a> {
    /// The literal `SKIP`.
    Skip,
    /// A signature.
    Signed(Signed<'a>),
}

/// A TC3 signature and what it is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed<'a> {
    pub(super) secret_id: &'a str,
    pub(super) scope: Scope<'a>,
    /// The names of the signed headers as they are signed: lowercase, sorted, joined by `;`.
    pub(super) signed_headers: &'a str,
    /// Hexadecimal, if it is right.
    pub(super) signature: &'a str,
}

/// What the signing key is derived by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    /// All of it: `2026-11-24/redis/tc3_request`.
    pub(super) text: &'a str,
    pub(super) date: &'a str,
    /// A product, or with many clients the first label of the endpoint.
    pub(super) service: &'a str,
}

/// What every scope ends with.
pub(super) const TERMINATOR: &str = "tc3_request";

impl<'a> Authorization<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// `AuthFailure.InvalidAuthorization`.
    pub(super) fn parse(text: &'a str) -> Result<Self, ApiError> {
        if text == "SKIP" {
            return Ok(Authorization::Skip);
        }
        let rest = text.strip_prefix(ALGORITHM).filter(|rest| rest.starts_with(' ')).ok_or_else(|| {
            errors::invalid_authorization("it must begin with TC3-HMAC-SHA256", "应以 TC3-HMAC-SHA256 开头")
        })?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let slot = match part.trim_ascii().split_once('=') {
                Some(("Credential", value)) => credential.replace(value),
                Some(("SignedHeaders", value)) => signed_headers.replace(value),
                Some(("Signature", value)) => signature.replace(value),
                _ => return Err(wrong_parts()),
            };
            if slot.is_some() {
                return Err(wrong_parts());
            }
        }
        let (Some(credential), Some(signed_headers), Some(signature)) = (credential, signed_headers, signature) else {
            return Err(wrong_parts());
        };
        for name in ["content-type", "host"] {
            if !signed_headers.split(';').any(|signed| signed == name) {
                return Err(errors::invalid_authorization(
                    "SignedHeaders must have content-type and host, in lowercase",
                    "SignedHeaders 必须包含小写的 content-type 和 host",
                ));
            }
        }
        let (secret_id, scope) = split_credential(credential).ok_or_else(|| {
            errors::invalid_authorization(
                "Credential must be SecretId/yyyy-mm-dd/service/tc3_request",
                "Credential 应为 SecretId/yyyy-mm-dd/service/tc3_request",
            )
        })?;
        Ok(Authorization::Signed(Signed { secret_id, scope, signed_headers, signature }))
    }
}

fn wrong_parts() -> ApiError {
    errors::invalid_authorization(
        "it must have Credential, SignedHeaders and Signature, once each",
        "应包含 Credential、SignedHeaders 和 Signature 各一次",
    )
}

/// Splits into the SecretId and the scope. The date is what tells them apart, since either may have a slash in it.
fn split_credential(credential: &str) -> Option<(&str, Scope<'_>)> {
    let inner = credential.strip_suffix(TERMINATOR)?.strip_suffix('/')?;
    inner.match_indices('/').find_map(|(at, _)| {
        let (date, service) = inner[at + 1..].split_once('/')?;
        let scope = Scope { text: &credential[at + 1..], date, service };
        (is_date(date) && !service.is_empty()).then_some((&credential[..at], scope))
    })
}

/// Whether the text has the form of `2026-11-24`.
fn is_date(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(credential: &str) -> Result<(&str, &str, &str), ApiError> {
        let text = format!("TC3-HMAC-SHA256 Credential={credential}, SignedHeaders=content-type;host, Signature=ab");
        match Authorization::parse(text.leak())? {
            Authorization::Signed(signed) => Ok((signed.secret_id, signed.scope.date, signed.scope.service)),
            Authorization::Skip => panic!("no skip"),
        }
    }

    #[test]
    fn a_credential_is_split_around_its_date() {
        let check = |credential: &str, wanted: (&str, &str, &str)| assert_eq!(parse(credential), Ok(wanted));
        check("AKID/2026-11-24/redis/tc3_request", ("AKID", "2026-11-24", "redis"));
        check("AKID/2026-11-24/localhost:18081/tc3_request", ("AKID", "2026-11-24", "localhost:18081"));
        check("AKID/2026-11-24/http://127/tc3_request", ("AKID", "2026-11-24", "http://127"));
        check("a/b/2026-11-24/redis/tc3_request", ("a/b", "2026-11-24", "redis"));
        check("/2026-11-24/redis/tc3_request", ("", "2026-11-24", "redis"));
    }

    #[test]
    fn the_parts_may_come_in_any_order_and_spacing() {
        let usual =
            "TC3-HMAC-SHA256 Credential=a/2026-11-24/s/tc3_request, SignedHeaders=content-type;host, Signature=ab";
        for other in [
            "TC3-HMAC-SHA256 Credential=a/2026-11-24/s/tc3_request,SignedHeaders=content-type;host,Signature=ab",
            "TC3-HMAC-SHA256  Signature=ab ,  SignedHeaders=content-type;host, Credential=a/2026-11-24/s/tc3_request",
        ] {
            assert_eq!(Authorization::parse(other), Authorization::parse(usual));
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for credential in [
            "",
            "AKID",
            "AKID/redis/tc3_request",
            "AKID/2026-11-24/tc3_request",
            "AKID/2026-11-24//tc3_request",
            "AKID/2026-11-24/redis/tc4_request",
            "AKID/20261124/redis/tc3_request",
            "AKID/2026-1é-24/redis/tc3_request",
            "AKID/2026-11-24/redis/tc3_request/",
        ] {
            assert!(parse(credential).is_err(), "{credential}");
        }
        for text in [
            "",
            "skip",
            "Basic dXNlcjpwYXNz",
            "TC3-HMAC-SHA256",
            "TC3-HMAC-SHA256Credential=a/2026-11-24/s/tc3_request, SignedHeaders=content-type;host, Signature=ab",
            "TC3-HMAC-SHA256 Credential=a/2026-11-24/s/tc3_request, SignedHeaders=content-type;host",
            "TC3-HMAC-SHA256 Credential=a/2026-11-24/s/tc3_request, SignedHeaders=host, Signature=ab",
            "TC3-HMAC-SHA256 Credential=a/2026-11-24/s/tc3_request, SignedHeaders=content-type, Signature=ab",
            "TC3-HMAC-SHA256 Credential=a/2026-11-24/s/tc3_request, SignedHeaders=content-type;host, Signature=ab, X=1",
            "TC3-HMAC-SHA256 Credential=a/2026-11-24/s/tc3_request, Signature=a, SignedHeaders=content-type;host, Signature=b",
        ] {
            assert!(Authorization::parse(text).is_err(), "{text}");
        }
    }
}
