//! The many ways in which clients write the name of the endpoint.

/// What a client may have signed as its host, given the Host header that it sent, the likeliest first: the header as
/// it is, its name without the port, both in lowercase, and names that the operator knows.
pub(super) fn renderings(host: &[u8], aliases: &[String]) -> Vec<Vec<u8>> {
    let mut renderings: Vec<Vec<u8>> = Vec::with_capacity(4 + aliases.len());
    let lower = host.to_ascii_lowercase();
    let sent = [host, without_port(host), &lower, without_port(&lower)];
    for candidate in sent.into_iter().chain(aliases.iter().map(|alias| alias.as_bytes())) {
        if !renderings.iter().any(|known| known == candidate) {
            renderings.push(candidate.to_owned());
        }
    }
    renderings
}

/// The name before `:port`. The colons of an IPv6 address and of a scheme are no ports.
fn without_port(host: &[u8]) -> &[u8] {
    let Some(colon) = host.iter().rposition(|byte| *byte == b':') else { return host };
    let port = &host[colon + 1..];
    if port.iter().all(u8::is_ascii_digit) { &host[..colon] } else { host }
}

/// The name in a Host header, without the scheme that some clients put before it.
fn name(host: &str) -> &str {
    let name = host.split_once("://").map_or(host, |(_, name)| name);
    let end = if name.starts_with('[') { name.find(']').map(|at| at + 1) } else { name.find(':') };
    &name[..end.unwrap_or(name.len())]
}

/// `redis` of `redis.example.com:8080`: where an endpoint's name says which product it is.
pub(super) fn first_label(host: &str) -> &str {
    let name = name(host);
    name.split('.').next().unwrap_or(name)
}

/// Whether the name could be one that an operator has given to a product: not an address, not `localhost`.
pub(super) fn has_labels(host: &str) -> bool {
    let name = name(host);
    name.contains('.') && !name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// The names of the public service's endpoints, by product and by product and region. A client behind an API gateway
/// sends the gateway's name as Host and signs one of these.
pub fn official_hosts(products: &[&str], region: &str) -> Vec<String> {
    let global = products.iter().map(|product| format!("{product}.tencentcloudapi.com"));
    let regional = products.iter().map(|product| format!("{product}.{region}.tencentcloudapi.com"));
    global.chain(regional).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_rendered_in_every_way_once() {
        let check = |host: &str, wanted: &[&str]| {
            let renderings = renderings(host.as_bytes(), &["redis.tencentcloudapi.com".to_owned()]);
            let mut texts: Vec<_> = renderings.iter().map(|host| std::str::from_utf8(host).unwrap()).collect();
            assert_eq!(texts.pop(), Some("redis.tencentcloudapi.com"));
            assert_eq!(texts, wanted);
        };
        check("a.b", &["a.b"]);
        check("127.0.0.1:80", &["127.0.0.1:80", "127.0.0.1"]);
        check("LocalHost:80", &["LocalHost:80", "LocalHost", "localhost:80", "localhost"]);
        check("http://127.0.0.1:80", &["http://127.0.0.1:80", "http://127.0.0.1"]);
        check("http://a.b", &["http://a.b"]);
        check("[::1]:80", &["[::1]:80", "[::1]"]);
        check("[::1]", &["[::1]"]);
        check("", &[""]);
    }

    #[test]
    fn the_first_label_is_the_products() {
        let check = |host: &str, label: &str, labelled: bool| {
            assert_eq!((first_label(host), has_labels(host)), (label, labelled), "{host}");
        };
        check("redis.example.com:8080", "redis", true);
        check("http://redis.example.com", "redis", true);
        check("redis", "redis", false);
        check("localhost:8080", "localhost", false);
        check("127.0.0.1:8080", "127", false);
        check("http://127.0.0.1:8080", "127", false);
        check("[::1]:80", "[::1]", false);
        check("", "", false);
    }
}
