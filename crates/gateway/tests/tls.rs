//! Connections by TLS, at the address that takes plain ones too.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use common::*;
use model::{Route, Tls, Vip};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    Issuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A key and its certificate.
fn identity(issuer: &Issuer, name: &str) -> (KeyPair, rcgen::Certificate) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, issuer).unwrap();
    (key, certificate)
}

fn write_identity(issuer: &Issuer, vip: Vip, dir: &Path, file: &str) {
    let (key, certificate) = identity(issuer, &vip.0.ip().to_string());
    std::fs::write(dir.join(file), key.serialize_pem() + &certificate.pem()).unwrap();
}

async fn a_redis_with_tls(issuer: &Issuer, tls: impl FnOnce(&Path) -> Tls) -> (Rig, Redis, Route) {
    let (rig, redis) = (Rig::start().await, Redis::start(&[]));
    let mut route = route(1, free_vip(), target_at(redis.addr, 1));
    write_identity(issuer, route.vip, rig.dir(), "one.pem");
    route.tls = Some(tls(rig.dir()));
    rig.enforce(1, &[route.clone()]).await;
    (rig, redis, route)
}

fn terms(file: &str) -> Tls {
    Tls { identity: file.into(), client_ca: None, is_required: false }
}

type Client = StreamOwned<ClientConnection, TcpStream>;

fn connect(
    issuer: &Issuer,
    vip: Vip,
    version: &'static SupportedProtocolVersion,
    own: Option<(KeyPair, rcgen::Certificate)>,
) -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(issuer.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some((key, certificate)) => {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let name = ServerName::from(vip.0.ip());
    let stream = TcpStream::connect(vip.0).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream)
}

fn ask(client: &mut Client, request: &[u8], reply: &[u8]) {
    client.write_all(request).unwrap();
    let mut heard = vec![0; reply.len()];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(heard, reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_plain_connections_come_in_at_one_address() {
    let issuer = authority();
    let (_rig, _redis, route) = a_redis_with_tls(&issuer, |_| terms("one.pem")).await;
    for version in [&TLS12, &TLS13] {
        ask(&mut connect(&issuer, route.vip, version, None), b"PING\r\n", b"+PONG\r\n");
    }
    assert_eq!(ask_once(route.vip, "PING").await, "+PONG");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_values_and_many_small_ones_pass_whole() {
    const LENGTH: usize = 10 << 20;
    let issuer = authority();
    let (_rig, _redis, route) = a_redis_with_tls(&issuer, |_| terms("one.pem")).await;
    let mut client = connect(&issuer, route.vip, &TLS13, None);
    let value: Vec<u8> = (0..LENGTH).map(|at| (at.wrapping_mul(7) >> 3) as u8).collect();
    let set = [format!("*3\r\n$3\r\nSET\r\n$1\r\nv\r\n${LENGTH}\r\n").as_bytes(), &value, b"\r\n"].concat();
    ask(&mut client, &set, b"+OK\r\n");
    ask(&mut client, b"GET v\r\n", &[format!("${LENGTH}\r\n").as_bytes(), &value, b"\r\n"].concat());
    ask(&mut client, &b"PING\r\n".repeat(20_000), &b"+PONG\r\n".repeat(20_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_for_those_who_come_and_nobody_is_dropped() {
    let issuer = authority();
    let (rig, _redis, mut route) = a_redis_with_tls(&issuer, |_| terms("one.pem")).await;
    let mut old = connect(&issuer, route.vip, &TLS13, None);
    ask(&mut old, b"PING\r\n", b"+PONG\r\n");
    let other = authority();
    write_identity(&other, route.vip, rig.dir(), "two.pem");
    route.tls = Some(terms("two.pem"));
    rig.enforce(2, &[route.clone()]).await;
    ask(&mut old, b"PING\r\n", b"+PONG\r\n");
    ask(&mut connect(&other, route.vip, &TLS13, None), b"PING\r\n", b"+PONG\r\n");
    assert!(connect(&issuer, route.vip, &TLS13, None).write_all(b"PING\r\n").is_err());
    // One that can't be read changes nothing.
    route.tls = Some(terms("none.pem"));
    assert_eq!(rig.publish(3, &[route.clone()]).await.failures.len(), 1);
    ask(&mut connect(&other, route.vip, &TLS13, None), b"PING\r\n", b"+PONG\r\n");
    route.tls = None;
    rig.enforce(4, &[route.clone()]).await;
    ask(&mut old, b"PING\r\n", b"+PONG\r\n");
    assert_eq!(ask_once(route.vip, "PING").await, "+PONG");
}

/// What a client that came plain gets, to the end.
fn heard_plain(vip: Vip) -> String {
    let mut plain = TcpStream::connect(vip.0).unwrap();
    plain.set_read_timeout(Some(SOON)).unwrap();
    plain.write_all(b"PING\r\n").unwrap();
    let mut heard = String::new();
    // The end may be a reset, since not all that it said may have been read.
    let _ = plain.read_to_string(&mut heard);
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tls_is_required_plain_clients_are_told_so_and_ended() {
    let issuer = authority();
    let required = |_: &Path| Tls { is_required: true, ..terms("one.pem") };
    let (_rig, _redis, route) = a_redis_with_tls(&issuer, required).await;
    ask(&mut connect(&issuer, route.vip, &TLS13, None), b"PING\r\n", b"+PONG\r\n");
    assert_eq!(heard_plain(route.vip), "-ERR this instance takes connections by TLS alone\r\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_read_lets_nobody_in_more_easily_and_heals() {
    let issuer = authority();
    let (rig, redis) = (Rig::start().await, Redis::start(&[]));
    let mut route = route(1, free_vip(), target_at(redis.addr, 1));
    route.tls = Some(Tls { is_required: true, ..terms("one.pem") });
    let report = rig.publish(1, &[route.clone()]).await;
    assert!(report.failures[0].reason.contains("certificate"), "{:?}", report.failures);
    assert_eq!(heard_plain(route.vip), "-ERR this instance takes connections by TLS alone\r\n");

    write_identity(&issuer, route.vip, rig.dir(), "one.pem");
    soon(async { while !rig.control.report().await.unwrap().failures.is_empty() {} }).await;
    ask(&mut connect(&issuer, route.vip, &TLS13, None), b"PING\r\n", b"+PONG\r\n");

    // Clients are to have a certificate now, and whose can't be read: then nobody's will do.
    route.tls = Some(Tls { client_ca: Some("none.pem".into()), ..terms("one.pem") });
    assert_eq!(rig.publish(2, &[route.clone()]).await.failures.len(), 1);
    let mut client = connect(&issuer, route.vip, &TLS13, None);
    assert!(client.write_all(b"PING\r\n").is_err() || client.read(&mut [0; 8]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_by_word_in_the_same_breath_is_answered_and_ended() {
    let issuer = authority();
    let (_rig, _redis, route) = a_redis_with_tls(&issuer, |_| terms("one.pem")).await;
    for version in [&TLS12, &TLS13] {
        let mut client = connect(&issuer, route.vip, version, None);
        ask(&mut client, b"PING\r\n", b"+PONG\r\n");
        let mut bytes = Vec::new();
        client.conn.writer().write_all(b"PING\r\n").unwrap();
        client.conn.send_close_notify();
        while client.conn.wants_write() {
            client.conn.write_tls(&mut bytes).unwrap();
        }
        client.sock.write_all(&bytes).unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "+PONG\r\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_come_to_terms_in_time_is_ended() {
    let issuer = authority();
    let required = |_: &Path| Tls { is_required: true, ..terms("one.pem") };
    let (_rig, _redis, route) = a_redis_with_tls(&issuer, required).await;
    let mut mute = TcpStream::connect(route.vip.0).unwrap();
    let mut begins = TcpStream::connect(route.vip.0).unwrap();
    begins.write_all(&[0x16, 3, 1]).unwrap();
    for client in [&mut mute, &mut begins] {
        client.set_read_timeout(Some(SOON)).unwrap();
        // Why may be said, or the end be a reset.
        let ended = client.read_to_end(&mut Vec::new());
        assert!(ended.is_ok_and(|length| length < 100));
    }
    ask(&mut connect(&issuer, route.vip, &TLS13, None), b"PING\r\n", b"+PONG\r\n");
}

/// Not less than so many bytes of what a client gets.
fn hear(client: &mut Client, length: usize) -> Vec<u8> {
    let mut heard = vec![0; length];
    client.read_exact(&mut heard).unwrap();
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_by_tls_outlive_their_gateway() {
    const LENGTH: usize = 8 << 20;
    let issuer = authority();
    let (mut rig, _redis, route) = a_redis_with_tls(&issuer, |_| terms("one.pem")).await;
    let come = |version| connect(&issuer, route.vip, version, None);
    let value: Vec<u8> = (0..LENGTH).map(|at| (at.wrapping_mul(7) >> 3) as u8).collect();
    let set = [format!("*3\r\n$3\r\nSET\r\n$1\r\nv\r\n${LENGTH}\r\n").as_bytes(), &value, b"\r\n"].concat();
    let got = [format!("${LENGTH}\r\n").as_bytes(), &value, b"\r\n"].concat();
    for (index, version) in [&TLS12, &TLS13].into_iter().enumerate() {
        let (mut named, mut waits, mut asks) = (come(version), come(version), come(version));
        ask(&mut named, b"CLIENT SETNAME me\r\n", b"+OK\r\n");
        ask(&mut waits, b"PING\r\nBLPOP queue 0\r\n", b"+PONG\r\n");
        let (mut half, mut sends, mut reads) = (come(version), come(version), come(version));
        ask(&mut half, b"PING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhe", b"+PONG\r\n");
        sends.write_all(&set[..LENGTH / 2]).unwrap();
        ask(&mut asks, &set, b"+OK\r\n");
        reads.write_all(b"GET v\r\n").unwrap();
        assert_eq!(hear(&mut reads, 1000), got[..1000]);
        // Of these is not known yet how they speak, and this one has begun to say it.
        let (mut later, mut plain) = (come(version), Caller::connect(route.vip).await);
        let mut begun = come(version);
        begun.conn.write_tls(&mut begun.sock).unwrap();

        // By several, each of which is relayed to by those before.
        for _ in 0..=index {
            rig.succeed().await;
        }

        ask(&mut named, b"CLIENT GETNAME\r\n", b"$2\r\nme\r\n");
        ask(&mut asks, b"RPUSH queue it\r\n", b":1\r\n");
        ask(&mut waits, b"", b"*2\r\n$5\r\nqueue\r\n$2\r\nit\r\n");
        ask(&mut half, b"llo\r\n", b"$5\r\nhello\r\n");
        ask(&mut sends, &set[LENGTH / 2..], b"+OK\r\n");
        assert!(hear(&mut reads, got.len() - 1000) == got[1000..]);
        ask(&mut later, b"PING\r\n", b"+PONG\r\n");
        assert_eq!(plain.ask("PING").await, "+PONG");
        ask(&mut begun, b"PING\r\n", b"+PONG\r\n");
        ask(&mut asks, &b"PING\r\n".repeat(20_000), &b"+PONG\r\n".repeat(20_000));
        // An end in order reaches the other side, with all answers before it.
        named.write_all(b"PING\r\n").unwrap();
        named.conn.send_close_notify();
        named.flush().unwrap();
        let mut heard = String::new();
        named.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "+PONG\r\n");
        ask(&mut half, b"QUIT\r\n", b"+OK\r\n");
        assert_eq!(half.read(&mut [0]).unwrap(), 0);
    }
    rig.relay_nobody().await;
    soon(async { while rig.control.report().await.unwrap().connections > 0 {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_client_that_is_reset_by_one_side_is_by_the_other() {
    let issuer = authority();
    let (mut rig, _redis, mut route) = a_redis_with_tls(&issuer, |_| terms("one.pem")).await;
    let mut clients: Vec<_> = (0..2).map(|_| connect(&issuer, route.vip, &TLS13, None)).collect();
    clients.iter_mut().for_each(|client| ask(client, b"PING\r\n", b"+PONG\r\n"));
    rig.succeed().await;
    let gone = clients.pop().unwrap();
    rustix::net::sockopt::set_socket_linger(&gone.sock, Some(std::time::Duration::ZERO)).unwrap();
    drop(gone);
    soon(async { while rig.control.report().await.unwrap().connections > 1 {} }).await;
    route.target = None;
    rig.enforce(2, &[route]).await;
    let end = clients[0].read(&mut [0]).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    rig.relay_nobody().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_clients_need_a_certificate_only_those_with_one_come_in() {
    let (issuer, of_clients) = (authority(), authority());
    let (_rig, _redis, route) = a_redis_with_tls(&issuer, |dir| {
        std::fs::write(dir.join("clients.pem"), of_clients.pem()).unwrap();
        Tls { client_ca: Some("clients.pem".into()), ..terms("one.pem") }
    })
    .await;
    for version in [&TLS12, &TLS13] {
        let own = identity(&of_clients, "client");
        ask(&mut connect(&issuer, route.vip, version, Some(own)), b"PING\r\n", b"+PONG\r\n");
        for own in [None, Some(identity(&issuer, "client"))] {
            let mut client = connect(&issuer, route.vip, version, own);
            assert!(client.write_all(b"PING\r\n").is_err() || client.read(&mut [0; 8]).is_err());
        }
    }
}
