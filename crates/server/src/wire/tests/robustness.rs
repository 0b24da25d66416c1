//! Whatever comes over a connection gets an answer.

use super::super::*;
use super::support::{Http, samples, verdict};

#[test]
fn no_changed_byte_makes_verification_panic() {
    for sample in samples() {
        for at in 0..sample.raw.len() {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut raw = sample.raw.clone();
                raw[at] ^= change;
                let Some(http) = Http::parse(&raw) else { continue };
                if let Ok(verified) = http.verify_with(&sample.keys, sample.at) {
                    let _ = verified.payload.params();
                }
            }
        }
    }
}

#[test]
fn no_cut_makes_verification_panic() {
    for sample in samples() {
        for end in 0..sample.raw.len() {
            let Some(http) = Http::parse(&sample.raw[..end]) else { continue };
            let _ = http.verify_with(&sample.keys, sample.at);
        }
    }
}

#[test]
fn a_changed_body_fails_its_signature() {
    for sample in samples().iter().filter(|sample| sample.verdict == "valid") {
        let http = sample.http();
        let unsigned = http.headers.contains_key("X-TC-Content-SHA256") || sample.name.ends_with("skip-sign");
        if unsigned || http.view().is_tc3() && http.method == Method::GET {
            continue;
        }
        for at in 0..http.body.len() {
            let mut body = http.body.to_vec();
            body[at] ^= 1;
            let changed = Http { body: body.into(), ..http.clone() };
            let code = verdict(&changed.verify_with(&sample.keys, sample.at));
            assert_ne!(code, "", "{} at {at}", sample.name);
            assert!(!http.view().is_tc3() || code == "AuthFailure.SignatureFailure", "{} {code}", sample.name);
        }
    }
}

#[test]
fn a_changed_query_fails_its_signature() {
    for sample in samples().iter().filter(|sample| sample.verdict == "valid") {
        let http = sample.http();
        let Some((_, query)) = http.target.split_once('?') else { continue };
        let start = http.target.len() - query.len();
        for at in start..http.target.len() {
            let mut target = http.target.clone().into_bytes();
            target[at] ^= 1;
            let Ok(target) = String::from_utf8(target) else { continue };
            let changed = Http { target, ..http.clone() };
            assert_ne!(verdict(&changed.verify_with(&sample.keys, sample.at)), "", "{} at {at}", sample.name);
        }
    }
}

#[test]
fn a_changed_key_or_scope_or_signature_fails() {
    for sample in samples().iter().filter(|sample| sample.verdict == "valid") {
        let http = sample.http();
        let Some(value) = http.headers.get("Authorization").filter(|value| value != &"SKIP") else { continue };
        let value = value.to_str().unwrap();
        for at in 0..value.len() {
            let mut changed = value.as_bytes().to_vec();
            changed[at] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            let code = verdict(&http.clone().with("Authorization", &changed).verify_with(&sample.keys, sample.at));
            assert!(code.starts_with("AuthFailure."), "{} at {at}: {code:?}", sample.name);
        }
    }
}
