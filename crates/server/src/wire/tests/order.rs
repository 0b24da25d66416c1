//! Of several faults the first in the order of checks is told.

use bytes::Bytes;
use control::Language;

use super::super::*;
use super::support::{AT, Http, OneKey, SECRET_ID, SECRET_KEY, Signing, escape, hmac_sha1, verdict};

/// The verdict on a request, and what takes its cause away.
type Repair = (&'static str, fn(Http) -> Http);

/// Applies one repair after the other to a request that has all faults, and expects the verdicts in turn.
fn check(broken: Http, repairs: &[Repair]) {
    let mut http = broken;
    for (wanted, repair) in repairs {
        let outcome = http.verify();
        assert_eq!(verdict(&outcome), *wanted, "{:?} {:?}", http.method, http.headers);
        if let Err(Refusal { error, .. }) = outcome {
            assert!(!error.message.en.is_empty() && !error.message.zh.is_empty());
        }
        http = repair(http);
    }
    assert_eq!(verdict(&http.verify()), "", "{http:?}");
}

const CREDENTIAL: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2026-11-24/redis/tc3_request";

fn authorization(credential: &str) -> String {
    format!("TC3-HMAC-SHA256 Credential={credential}, SignedHeaders=content-type;host, Signature={}", "0".repeat(64))
}

#[test]
fn a_tc3_post_is_checked_in_order() {
    let broken = Http::new("PUT", "/", &[("X-TC-Token", "t"), ("X-TC-Action", "")], vec![b' '; MAX_BODY + 1]);
    check(
        broken,
        &[
            ("UnsupportedProtocol", |http| Http { method: Method::POST, ..http }),
            ("RequestSizeLimitExceeded", |http| Http { body: vec![b' '; MAX_BODY].into(), ..http }),
            ("MissingParameter", |http| http.with("X-TC-Action", "DescribeTaskList")),
            ("MissingParameter", |http| http.with("X-TC-Version", "2018-04-12")),
            ("MissingParameter", |http| http.with("X-TC-Timestamp", "1e9")),
            ("MissingParameter", |http| http.with("Authorization", "Basic eA==")),
            ("InvalidParameter", |http| http.with("X-TC-Timestamp", "-1")),
            ("InvalidParameter", |http| http.with("X-TC-Timestamp", "+1")),
            ("InvalidParameter", |http| http.with("X-TC-Timestamp", "99999999999999999999")),
            ("InvalidParameter", |http| http.with("X-TC-Timestamp", "1")),
            ("AuthFailure.InvalidAuthorization", |http| http.with("Authorization", "SKIP")),
            ("AuthFailure.InvalidAuthorization", |http| {
                http.with("Authorization", &authorization("a/2026-11-23/s/tc3_request"))
            }),
            ("AuthFailure.SecretIdNotFound", |http| {
                http.with("Authorization", &authorization(&CREDENTIAL.replace("-24", "-25")))
            }),
            ("AuthFailure.SignatureExpire", |http| http.with("X-TC-Timestamp", &(AT - 301).to_string())),
            ("AuthFailure.SignatureExpire", |http| http.with("X-TC-Timestamp", &AT.to_string())),
            ("AuthFailure.SignatureFailure", |http| http.with("Authorization", &authorization(CREDENTIAL))),
            ("AuthFailure.SignatureFailure", |http| http.signed(&Signing::of("", ""))),
            ("AuthFailure.TokenFailure", |http| http.without("X-TC-Token")),
        ],
    );
}

#[test]
fn a_tc3_get_is_checked_in_order() {
    let broken = Http { target: format!("/?{}", "x".repeat(MAX_QUERY + 1)), method: Method::GET, ..Http::tc3("") };
    check(
        broken,
        &[
            ("RequestSizeLimitExceeded", |http| Http { target: format!("/?{}", "x".repeat(MAX_QUERY)), ..http }),
            ("InvalidParameter", |http| Http { target: "/?Limit=%zz".to_owned(), ..http }),
            ("InvalidParameter", |http| Http { target: format!("/?Limit={}", "1".repeat(MAX_QUERY - 6)), ..http }),
            ("MissingParameter", |http| {
                let query = http.target[2..].to_owned();
                http.signed(&Signing { query: &query, ..Signing::default() })
            }),
        ],
    );
}

#[test]
fn a_legacy_post_is_checked_in_order() {
    const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
    fn add(http: Http, pair: &str) -> Http {
        let mut body = http.body.to_vec();
        body.extend_from_slice(pair.as_bytes());
        Http { body: body.into(), ..http }
    }
    fn replace(http: Http, from: &str, to: &str) -> Http {
        let body = String::from_utf8(http.body.to_vec()).unwrap();
        assert!(body.contains(from), "{body}");
        Http { body: body.replace(from, to).into(), ..http }
    }
    fn sign(http: Http) -> Http {
        let body = String::from_utf8(http.body.to_vec()).unwrap();
        let mut pairs: Vec<_> = body.split('&').filter(|pair| !pair.starts_with("Signature=")).collect();
        pairs.sort_unstable();
        let signature = hmac_sha1(&format!("POSTh/?{}", pairs.join("&")));
        let text = format!("{}&Signature={}", pairs.join("&"), escape(&signature));
        Http { body: text.into(), ..http }
    }
    let broken = Http::new("POST", "/?Action=Ignored", &[FORM, ("Host", "h")], vec![b'a'; (1 << 20) + 1]);
    check(
        broken,
        &[
            ("AuthFailure.SignatureFailure", |http| Http { body: vec![b'a'; 1 << 20].into(), ..http }),
            ("InvalidParameter", |http| Http { body: Bytes::from_static(b"Token=t"), ..http }),
            ("MissingParameter", |http| add(http, "&Action=DescribeTaskList")),
            ("MissingParameter", |http| add(http, "&Version=2018-04-12")),
            ("MissingParameter", |http| add(http, "&Timestamp=x")),
            ("MissingParameter", |http| add(http, "&Nonce=")),
            ("MissingParameter", |http| replace(http, "Nonce=", "Nonce=-1")),
            ("MissingParameter", |http| add(http, "&SecretId=unknown")),
            ("MissingParameter", |http| add(http, "&Signature=x&SignatureMethod=HmacMD5")),
            ("InvalidParameterValue", |http| replace(http, "HmacMD5", "HmacSHA1")),
            ("InvalidParameter", |http| replace(http, "Timestamp=x", "Timestamp=1")),
            ("InvalidParameter", |http| replace(http, "Nonce=-1", "Nonce=1&Nonce=1")),
            ("InvalidParameter", |http| replace(http, "Nonce=1&Nonce=1", "Nonce=18446744073709551615")),
            ("AuthFailure.SecretIdNotFound", |http| replace(http, "unknown", SECRET_ID)),
            ("AuthFailure.SignatureExpire", |http| replace(http, "Timestamp=1", &format!("Timestamp={}", AT + 300))),
            ("AuthFailure.SignatureFailure", sign),
            ("AuthFailure.TokenFailure", |http| sign(replace(http, "&Token=t", ""))),
        ],
    );
}

#[test]
fn the_clock_may_differ_by_300_seconds_either_way() {
    let http = Http::tc3("{}").signed(&Signing::default());
    let keys = OneKey::new(SECRET_KEY, None);
    for (skew, wanted) in
        [(0, ""), (300, ""), (-300, ""), (301, "AuthFailure.SignatureExpire"), (-301, "AuthFailure.SignatureExpire")]
    {
        assert_eq!(verdict(&http.verify_with(&keys, AT + skew)), wanted, "{skew}");
    }
    let ahead = Http::tc3("{}").with("X-TC-Timestamp", &i64::MAX.to_string()).signed(&Signing::default());
    assert_eq!(verdict(&ahead.verify()), "AuthFailure.SignatureExpire");
}

#[test]
fn the_scopes_date_is_the_utc_date_of_the_timestamp() {
    let midnight = 1_795_478_400;
    for (at, date, wanted) in [
        (midnight - 1, "2026-11-23", ""),
        (midnight, "2026-11-24", ""),
        (midnight - 1, "2026-11-24", "AuthFailure.SignatureFailure"),
        (midnight, "2026-11-23", "AuthFailure.SignatureFailure"),
    ] {
        let http = Http::tc3("{}").with("X-TC-Timestamp", &at.to_string());
        let http = http.signed(&Signing { date, ..Signing::default() });
        // The server may be on the other side of midnight.
        for now in [midnight - 2, midnight + 2] {
            assert_eq!(verdict(&http.verify_with(&OneKey::new(SECRET_KEY, None), now)), wanted, "{at} {date}");
        }
    }
}

#[test]
fn missing_common_parameters_are_named() {
    let check = |http: Http, name: &str| {
        let error = http.verify().unwrap_err().error;
        assert_eq!(error.code, "MissingParameter");
        assert!(error.message.en.contains(name) && error.message.zh.contains(name), "{error}");
    };
    let whole = || Http::tc3("{}").signed(&Signing::default());
    check(whole().without("X-TC-Action"), "`Action`");
    check(whole().without("X-TC-Version"), "`X-TC-Version`");
    check(whole().with("X-TC-Version", " "), "`Version`");
    check(whole().without("X-TC-Timestamp"), "`Timestamp`");
    check(whole().without("Authorization"), "`Authorization`");
    check(Http::new("POST", "/", &[("Content-Type", "application/json")], "{}"), "`Action`");
    check(Http::new("POST", "/", &[], ""), "`Action`");
    check(Http::new("GET", "/", &[], ""), "`Action`");
    check(Http::new("GET", "/?Action=X&Version=1&Timestamp=1&Nonce=1", &[], ""), "`SecretId`");
}

#[test]
fn a_refused_signature_tells_what_to_sign_and_no_secret() {
    let http = Http::tc3("{}").signed(&Signing::of("application/json", "elsewhere"));
    let message = http.verify().unwrap_err().error.message;
    for text in [&message.en, &message.zh] {
        assert!(text.contains("127.0.0.1:8080") && text.contains("application/json"), "{text}");
        assert!(!text.contains(SECRET_KEY), "{text}");
        let hex_run = text.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
        assert!(hex_run < Some(20), "{text}");
    }
}

#[test]
fn a_body_is_not_read_before_its_signature_is_verified() {
    for content_type in ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"] {
        let http = Http::tc3("\0 no parameters in any form").with("Content-Type", content_type);
        let refused = http.clone().signed(&Signing::of(content_type, "elsewhere"));
        assert_eq!(verdict(&refused.verify()), "AuthFailure.SignatureFailure", "{content_type}");
        let taken = http.signed(&Signing::of(content_type, "127.0.0.1:8080")).verify().unwrap();
        let wanted = match content_type {
            "application/json" => None,
            "multipart/form-data" => Some("InvalidRequest"),
            _ => Some("InvalidParameter"),
        };
        assert_eq!(taken.payload.params().err().map(|error| error.code), wanted, "{content_type}");
    }
}

#[test]
fn the_language_of_a_refusal_is_the_requests() {
    let language = |http: &Http| http.verify().unwrap_err().reply.language;
    assert_eq!(language(&Http::tc3("").with("X-TC-Language", "zh-cn")), Language::Zh);
    assert_eq!(language(&Http::tc3("")), Language::En);
    assert_eq!(language(&Http::new("DELETE", "/", &[("X-TC-Language", "zh-CN")], "")), Language::Zh);
    assert_eq!(language(&Http::new("GET", "/?Language=zh-CN", &[], "")), Language::Zh);
}
