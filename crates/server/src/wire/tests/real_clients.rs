use control::Language;
use control::params::Params;
use http::uri::PathAndQuery;
use model::Millis;

use super::super::*;
use super::support::{OneKey, SECRET_KEY, Sample, rules, samples, verdict};

fn find(name: &str) -> Sample {
    samples().into_iter().find(|sample| sample.name == name).unwrap()
}

fn accepted(name: &str) -> Verified {
    let sample = find(name);
    sample.http().verify_with(&sample.keys, sample.at).unwrap_or_else(|refusal| panic!("{name}: {}", refusal.error))
}

fn pairs(name: &str) -> Vec<(String, String)> {
    match accepted(name).payload.params() {
        Ok(Params::Flat(pairs) | Params::Parts(pairs)) => pairs,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_request_of_a_real_client_gets_its_verdict() {
    let samples = samples();
    assert_eq!(samples.len(), 45);
    for sample in samples {
        let outcome = sample.http().verify_with(&sample.keys, sample.at);
        let skip = sample.name.ends_with("skip-sign");
        let wanted = match sample.verdict.as_str() {
            "valid" if skip => "AuthFailure.InvalidAuthorization",
            "valid" => "",
            code => code,
        };
        assert_eq!(verdict(&outcome), wanted, "{}", sample.name);
    }
}

#[test]
fn the_http_library_keeps_a_target_as_it_came() {
    for sample in samples() {
        let target = sample.http().target;
        assert_eq!(PathAndQuery::try_from(target.as_str()).unwrap().as_str(), target, "{}", sample.name);
    }
}

#[test]
fn an_unsigned_request_is_taken_for_the_listed_actions_only() {
    for name in ["py-skip-sign", "node-skip-sign", "go-skip-sign"] {
        let (sample, http) = (find(name), find(name).http());
        let verify = |actions| {
            let rules = Rules { unsigned_actions: actions, ..rules() };
            verify(&http.view(), Millis::from_seconds(sample.at), &rules, &sample.keys)
        };
        assert_eq!(verify(&["DescribeTaskList"]).unwrap().secret_id, None);
        assert_eq!(verdict(&verify(&["AssumeRoleWithSAML"])), "AuthFailure.InvalidAuthorization");
    }
}

#[test]
fn a_token_of_no_key_is_refused_after_the_signature() {
    for name in
        ["py-tc3-post-json-token", "py-hmacsha256-get-token", "node-tc3-token", "go-tc3-token", "java-tc3-token"]
    {
        let sample = find(name);
        let outcome = sample.http().verify_with(&OneKey::new(SECRET_KEY, None), sample.at);
        assert_eq!(verdict(&outcome), "AuthFailure.TokenFailure", "{name}");
        let outcome = sample.http().verify_with(&OneKey::new("another", None), sample.at);
        assert_eq!(verdict(&outcome), "AuthFailure.SignatureFailure", "{name}");
        let outcome = sample.http().verify_with(&OneKey::new(SECRET_KEY, Some("TOKENxyz")), sample.at);
        assert_eq!(verdict(&outcome), "AuthFailure.TokenFailure", "{name}");
    }
}

#[test]
fn common_parameters_are_found_in_headers_and_among_the_others() {
    for name in ["py-tc3-post-json", "py-tc3-get", "py-hmacsha1-get", "py-hmacsha256-post", "go-tc3-post-json"] {
        let verified = accepted(name);
        assert_eq!(verified.action, "DescribeTaskList", "{name}");
        assert_eq!(verified.version, "2018-04-12", "{name}");
        assert_eq!(verified.region.as_deref(), Some("ap-guangzhou"), "{name}");
        assert_eq!(verified.reply.language, Language::Zh, "{name}");
        assert!(verified.request_client.unwrap().starts_with("SDK_"), "{name}");
        assert_eq!(verified.scheme, if name.contains("tc3") { Scheme::Tc3 } else { Scheme::Legacy }, "{name}");
    }
    assert_eq!(accepted("py-tc3-no-region-empty-json").region, None);
    assert_eq!(accepted("py-hmacsha256-post-no-params").region, None);
    assert_eq!(accepted("node-tc3-post-json").reply.language, Language::En);
    assert_eq!(accepted("py-tc3-post-localhost-port-en").reply.language, Language::En);
}

#[test]
fn a_trace_id_comes_back_in_refusals_too() {
    let sample = find("neg-tc3-body-tampered");
    let refusal = sample.http().verify_with(&sample.keys, sample.at).unwrap_err();
    let response = refusal.reply.failure(&refusal.error, "id");
    assert_eq!(response.headers()["x-tc-traceid"], "26550aff-8afb-4553-903b-4f831ad20eaa");
    let body = std::str::from_utf8(response.body()).unwrap();
    assert!(body.contains("签名"), "{body}");
}

#[test]
fn parameters_arrive_decoded_and_without_the_common_ones() {
    let text = "\u{7f13}\u{5b58} a+b&c=d/*~";
    for (name, value) in [
        ("py-tc3-get", text.to_owned()),
        ("py-hmacsha1-get", text.to_owned()),
        ("py-hmacsha1-post", text.to_owned()),
        ("node-tc3-get", format!("{text}!'()")),
        ("node-hmacsha1-post", format!("{text}!'()")),
        ("go-hmacsha1-get", format!("{text}<>'")),
        ("java-hmacsha1-post", format!("{text}<>'")),
    ] {
        let mut pairs = pairs(name);
        pairs.sort();
        let names: Vec<_> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"TaskTypes.0") && names.contains(&"ProjectIds.1"), "{name}: {names:?}");
        assert!(!names.iter().any(|name| ["Action", "SecretId", "Signature", "Nonce"].contains(name)), "{names:?}");
        assert!(pairs.contains(&("InstanceName".to_owned(), value)), "{name}: {pairs:?}");
    }
    assert_eq!(pairs("synthetic-tc3-post-form").len(), 3);
    assert_eq!(pairs("py-tc3-get-no-params"), []);
    let parts = pairs("py-tc3-multipart");
    assert_eq!(parts[0], ("Limit".to_owned(), "20".to_owned()));
    assert_eq!(parts[1], ("F".to_owned(), "\0\u{1}bin".to_owned()));
    assert_eq!(parts[2], ("J".to_owned(), r#"[1, {"a": "\u7f13"}]"#.to_owned()));
    match accepted("java-tc3-post-json").payload.params() {
        Ok(Params::Json(text)) => assert_eq!(text, find("java-tc3-post-json").http().body),
        other => panic!("{other:?}"),
    }
    for name in ["py-tc3-octet-stream", "node-tc3-octet-stream", "java-tc3-octet-stream"] {
        assert_eq!(accepted(name).payload.params().unwrap_err().code, "InvalidParameter");
    }
}
