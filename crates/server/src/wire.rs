//! The wire: from the bytes of a request to who calls what with which parameters, and from an answer to bytes.
//! Pure functions. The transport gives them the request and the time, and keeps the order of checks:
//!
//! 1. [`verify`]: method, size, syntax of query or form, missing common parameters, key, clock, signature, token
//! 2. [`Verified::resolve`]: product, version, action, region
//! 3. what else decides on a call: rate limits, permission
//! 4. [`Payload::params`]: the parameters, which the action reads by its declared types
//!
//! Every answer is made by [`Reply`].

mod authorization;
mod errors;
mod form;
mod host;
mod keys;
mod legacy;
mod multipart;
mod payload;
mod product;
mod reply;
mod request;
mod tc3;

use std::str::FromStr;

use http::Method;
use model::{ApiError, Millis};

pub use host::official_hosts;
pub use keys::{Key, Keys};
pub use payload::Payload;
pub use product::{Catalogue, Target};
pub use reply::Reply;
pub use request::Request;

/// The largest body that any request may have, in bytes. A transport that has read one byte more may stop there:
/// [`verify`] refuses what is longer, with the code that the kind of request calls for.
pub const MAX_BODY: usize = 10 << 20;

/// The largest body of a request with a legacy signature, in bytes.
const MAX_LEGACY_BODY: usize = 1 << 20;

/// The longest query, in bytes.
const MAX_QUERY: usize = 32 << 10;

/// By how many seconds a client's clock may differ, either way.
const MAX_SKEW: u64 = 300;

/// What the operator decides on.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Names that a client may have signed in place of the Host that it sent, because a gateway in between has a name
    /// of its own. [`official_hosts`] are the usual ones.
    pub host_aliases: Vec<String>,
    /// Actions that need no signature (`Authorization: SKIP`).
    pub unsigned_actions: &'static [&'static str],
}

/// How a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TC3-HMAC-SHA256: common parameters are headers.
    Tc3,
    /// HmacSHA1 or HmacSHA256: common parameters are in the query or the form.
    Legacy,
}

/// A request whose signature is right.
#[derive(Debug)]
pub struct Verified {
    /// Whose key signed it. `None` for an action that needs no signature.
    pub secret_id: Option<String>,
    /// How it was signed.
    pub scheme: Scheme,
    /// As the client wrote it. [`Verified::resolve`] finds the action that is meant.
    pub action: String,
    /// A date: `2018-04-12`.
    pub version: String,
    /// `None` where the client left it to the service.
    pub region: Option<String>,
    /// The Host header, which may name the product.
    host: String,
    /// The service in the scope of the signature, which may name the product. Legacy signatures have none.
    service: Option<String>,
    /// The program that called, by its own words; for logs only.
    pub request_client: Option<String>,
    /// How to answer.
    pub reply: Reply,
    /// The parameters, not read yet.
    pub payload: Payload,
}

/// A request that is not taken, and how to say so.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: ApiError,
    /// How to answer.
    pub reply: Reply,
}

/// Finds out who calls, up to and including the signature and the token. With TC3 no byte of the body is read as
/// parameters before that.
///
/// # Errors
/// The first that fails of the checks, in the order of this module's list.
pub fn verify(request: &Request<'_>, now: Millis, rules: &Rules, keys: &dyn Keys) -> Result<Verified, Refusal> {
    let mut reply = Reply::of(request);
    let outcome = match *request.method {
        Method::GET | Method::POST if request.is_tc3() => tc3::verify(request, now, rules, keys, &reply),
        Method::GET | Method::POST => legacy::verify(request, now, rules, keys, &mut reply),
        _ => Err(errors::unsupported_method()),
    };
    outcome.map_err(|error| Refusal { error, reply })
}

/// The clock check of both schemes. Seconds are compared, as clients send no more.
fn check_clock(timestamp: i64, now: Millis) -> Result<(), ApiError> {
    if timestamp.abs_diff(now.seconds()) > MAX_SKEW {
        return Err(errors::expired(timestamp, now.seconds()));
    }
    Ok(())
}

/// Reads a common parameter that is a whole number, zero or above.
fn whole_number<N: FromStr>(name: &str, text: &str) -> Result<N, ApiError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| errors::not_a_number(name))
}

#[cfg(test)]
mod tests;
