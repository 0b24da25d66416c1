//! What clients sign where it differs from what they send, beyond the recorded requests.

use super::support::{AT, Http, SECRET_ID, Signing, escape, hmac_sha1, verdict};

fn check(http: Http, signing: &Signing<'_>, wanted: &str) {
    let outcome = http.signed(signing).verify();
    assert_eq!(verdict(&outcome), wanted, "{:?}", signing.headers);
}

const FAILS: &str = "AuthFailure.SignatureFailure";

#[test]
fn a_host_may_be_signed_in_another_rendering() {
    let check = |sent: &str, signed: &str, wanted: &str| {
        check(Http::tc3("{}").with("Host", sent), &Signing::of("application/json", signed), wanted);
    };
    check("127.0.0.1:8080", "127.0.0.1:8080", "");
    check("127.0.0.1:8080", "127.0.0.1", "");
    check("LOCALHOST:8080", "LOCALHOST:8080", "");
    check("LOCALHOST:8080", "localhost:8080", "");
    check("LOCALHOST:8080", "localhost", "");
    check("http://127.0.0.1:8080", "http://127.0.0.1:8080", "");
    check("[::1]:8080", "[::1]", "");
    check("gateway.example.com", "redis.tencentcloudapi.com", "");
    check("gateway.example.com:443", "redis.ap-guangzhou.tencentcloudapi.com", "");
    check("127.0.0.1:8080", "127.0.0.1:8081", FAILS);
    check("gateway.example.com", "cvm.tencentcloudapi.com", FAILS);
    check("localhost", "LOCALHOST", FAILS);
}

#[test]
fn a_content_type_may_be_signed_in_another_rendering() {
    let check = |sent: &str, signed: &str, wanted: &str| {
        check(Http::tc3("{}").with("Content-Type", sent), &Signing::of(signed, "127.0.0.1:8080"), wanted);
    };
    check("application/json", "application/json; charset=utf-8", "");
    check("Application/JSON", "application/json", "");
    check("application/json; charset=UTF-8", "application/json; charset=utf-8", "");
    check("application/json", "text/plain", FAILS);
}

#[test]
fn all_renderings_may_differ_at_once() {
    let mut http = Http::tc3("{}").with("Host", "HOST:80").with("Content-Type", "Application/JSON");
    http.target = "/gw/path".to_owned();
    let signing = Signing { path: "/gw/path", ..Signing::of("Application/JSON; charset=utf-8", "host") };
    check(http, &signing, "");
}

#[test]
fn the_path_may_be_signed_or_not() {
    let check = |target: &str, path: &str, wanted: &str| {
        let http = Http { target: target.to_owned(), ..Http::tc3("{}") };
        check(http, &Signing { path, ..Signing::default() }, wanted);
    };
    check("/gw/path", "/", "");
    check("/gw/path", "/gw/path", "");
    check("/?", "/", "");
    check("/a%20b?x=1", "/a%20b", "");
    check("/gw/path", "/other", FAILS);
}

#[test]
fn the_query_is_signed_as_it_came_with_get_only() {
    let query = "b=2&a=%E7%bc%93+x%20y&c=*!()";
    let get = Http { target: format!("/?{query}"), method: http::Method::GET, ..Http::tc3("") };
    check(get.clone(), &Signing { query, ..Signing::default() }, "");
    check(get, &Signing { query: "a=%E7%BC%93+x+y&b=2&c=*!()", ..Signing::default() }, FAILS);
    let post = Http { target: format!("/?{query}"), ..Http::tc3("{}") };
    check(post.clone(), &Signing::default(), "");
    check(post, &Signing { query, ..Signing::default() }, FAILS);
}

#[test]
fn the_body_may_be_left_out_of_the_signature_where_the_header_says_so() {
    let payload = Some("UNSIGNED-PAYLOAD");
    let unsigned = Http::tc3("{}").with("X-TC-Content-SHA256", "UNSIGNED-PAYLOAD");
    check(unsigned.clone(), &Signing { payload, ..Signing::default() }, "");
    check(unsigned.clone(), &Signing::default(), FAILS);
    check(Http::tc3("{}"), &Signing { payload, ..Signing::default() }, FAILS);
    let get = Http { method: http::Method::GET, target: "/?Limit=1".to_owned(), ..unsigned };
    check(get, &Signing { query: "Limit=1", payload, ..Signing::default() }, "");
}

#[test]
fn further_headers_may_be_signed() {
    let check = |value: &str, wanted: &str| {
        let headers = vec![("content-type", "application/json"), ("host", "127.0.0.1:8080"), ("x-tc-action", value)];
        check(Http::tc3("{}"), &Signing { headers, ..Signing::default() }, wanted);
    };
    check("describetasklist", "");
    check("DescribeTaskList", "");
    check("describeinstances", FAILS);
    let check = |value: &str, wanted: &str| {
        let usual = [("content-type", "application/json"), ("host", "127.0.0.1:8080")];
        let headers = [usual[0], usual[1], ("x-custom", value), ("x-tc-action", "describetasklist")].to_vec();
        let http = Http::tc3("{}").with("X-Custom", "  A Value ");
        super::renderings::check(http, &Signing { headers, ..Signing::default() }, wanted);
    };
    check("A Value", "");
    check("a value", "");
    check("another", FAILS);
}

#[test]
fn the_signing_key_is_derived_by_the_service_in_the_scope() {
    for service in ["redis", "127", "localhost:8080", "cvm", "http://127"] {
        check(Http::tc3("{}"), &Signing { service, ..Signing::default() }, "");
    }
}

/// A legacy request of these pairs, where `signed` is signed after the `?`.
fn legacy(method: &str, target: &str, start: &str, pairs: &str, signed: &str) -> Http {
    let signature = escape(&hmac_sha1(&format!("{start}?{signed}")));
    let text = format!("{pairs}&Signature={signature}");
    let form = [("Host", "Host.example:8080"), ("Content-Type", "application/x-www-form-urlencoded")];
    match method {
        "GET" => Http::new("GET", &format!("{target}?{text}"), &form[..1], ""),
        _ => Http::new("POST", &format!("{target}?ignored"), &form, text),
    }
}

#[test]
fn a_legacy_request_may_be_signed_in_several_renderings() {
    let common = format!("Nonce=1&SecretId={SECRET_ID}&Timestamp={AT}&Version=2018-04-12");
    let plain = format!("Action=DescribeTaskList&Limit=20&{common}");
    let check = |method: &str, target: &str, start: &str, wanted: &str| {
        let outcome = legacy(method, target, start, &plain, &plain).verify();
        assert_eq!(verdict(&outcome), wanted, "{method} {target} {start}");
    };
    for method in ["GET", "POST"] {
        check(method, "/", &format!("{method}Host.example:8080/"), "");
        check(method, "/", &format!("{method}Host.example/"), "");
        check(method, "/", &format!("{method}host.example:8080/"), "");
        check(method, "/", &format!("{method}redis.tencentcloudapi.com/"), "");
        check(method, "/gw", &format!("{method}Host.example:8080/gw"), "");
        check(method, "/gw", &format!("{method}Host.example:8080/"), "");
        check(method, "/", &format!("{method}other.example/"), FAILS);
        check(method, "/", &format!("{}Host.example:8080/", method.to_lowercase()), FAILS);
    }
}

#[test]
fn a_legacy_name_may_be_signed_with_dots_for_underscores() {
    let common = format!("Nonce=1&SecretId={SECRET_ID}&Timestamp={AT}&Version=2018-04-12");
    let sent = format!("Action=X&Ab=1&A_b=2&{common}");
    let check = |signed: &str, wanted: &str| {
        let signed = format!("{signed}&{common}");
        let outcome = legacy("GET", "/", "GETHost.example:8080/", &sent, &signed).verify();
        assert_eq!(verdict(&outcome), wanted, "{signed}");
    };
    check("A_b=2&Ab=1&Action=X", "");
    check("A.b=2&Ab=1&Action=X", "");
    check("Ab=1&A_b=2&Action=X", FAILS);
}
