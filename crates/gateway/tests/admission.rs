//! Who comes in at an address, how many, how much passes, and as whom one signs in.

mod common;

use std::time::{Duration, Instant};

use common::*;
use model::{Connected, Fingerprint, Limits, Logins, Route, SourceRule, Vip};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

fn rule(from: &str, accepts: bool) -> SourceRule {
    SourceRule { from: from.parse().unwrap(), accepts }
}

async fn a_node_and_its_route() -> (Rig, Node, Route) {
    let (rig, node) = (Rig::start().await, Node::start("node").await);
    let route = route(1, free_vip(), target(&node, 1));
    (rig, node, route)
}

async fn assert_lets_nobody_in(vip: Vip) {
    let mut caller = Caller::connect(vip).await;
    // Its first words may already find the connection reset.
    let _ = caller.0.get_mut().write_all(b"hi\n").await;
    assert!(caller.0.read_u8().await.is_err());
}

#[tokio::test]
async fn only_sources_that_a_rule_accepts_come_in_and_a_change_of_rules_is_live() {
    let (rig, _node, mut route) = a_node_and_its_route().await;
    let vip = route.vip;
    rig.enforce(1, &[route.clone()]).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("hi").await, "+node hi");

    route.sources = Some(vec![rule("10.0.0.0/8", true), rule("127.0.0.0/8", true)]);
    rig.enforce(2, &[route.clone()]).await;
    assert_eq!(caller.ask("still here").await, "+node still here");
    assert_eq!(ask_once(vip, "hi").await, "+node hi");

    route.sources = Some(vec![rule("127.0.0.0/8", false), rule("0.0.0.0/0", true)]);
    rig.enforce(3, &[route.clone()]).await;
    caller.assert_reset().await;
    assert_lets_nobody_in(vip).await;

    route.sources = Some(vec![]);
    rig.enforce(4, &[route.clone()]).await;
    assert_lets_nobody_in(vip).await;

    route.sources = None;
    rig.enforce(5, &[route]).await;
    assert_eq!(ask_once(vip, "hi").await, "+node hi");
}

#[tokio::test]
async fn an_instance_has_as_many_connections_as_it_may_over_all_its_addresses() {
    let (rig, node, mut first) = a_node_and_its_route().await;
    first.limits.connections = Some(2);
    let second = Route { vip: free_vip(), ..first.clone() };
    let other = route(2, free_vip(), target(&node, 1));
    rig.enforce(1, &[first.clone(), second.clone(), other.clone()]).await;
    let mut callers = [Caller::connect(first.vip).await, Caller::connect(second.vip).await];
    for caller in &mut callers {
        assert_eq!(caller.ask("hi").await, "+node hi");
    }
    let mut third = Caller::connect(second.vip).await;
    assert_eq!(third.receive().await, "-ERR max number of clients reached");
    assert_eq!(ask_once(other.vip, "hi").await, "+node hi");
    let report = rig.control.report().await.unwrap();
    assert_eq!(report.instances[&instance(1)], Connected { open: 2, on_old_password: 0 });

    let more = |route: &Route| Route { limits: Limits { connections: Some(3), ..Limits::default() }, ..route.clone() };
    rig.enforce(2, &[more(&first), more(&second), other]).await;
    assert_eq!(ask_once(first.vip, "hi").await, "+node hi");
    let [mut leaves, _stays] = callers;
    assert_eq!(leaves.ask("hi").await, "+node hi");
}

#[tokio::test]
async fn what_passes_is_kept_to_its_rate_in_each_direction() {
    let (rig, _node, mut route) = a_node_and_its_route().await;
    route.limits = Limits { inbound: Some(1_000_000), ..Limits::default() };
    rig.enforce(1, &[route.clone()]).await;
    let line = "x".repeat(999);
    for (version, limits) in [
        (2, Limits { inbound: Some(1_000_000), ..Limits::default() }),
        (3, Limits { outbound: Some(1_000_000), ..Limits::default() }),
    ] {
        route.limits = limits;
        rig.enforce(version, &[route.clone()]).await;
        let mut caller = Caller::connect(route.vip).await;
        let begun = Instant::now();
        for _ in 0..500 {
            caller.ask(&line).await;
        }
        // Half a megabyte, of which a tenth of a second's worth is free.
        assert!(begun.elapsed() >= Duration::from_millis(390), "{limits:?}: {:?}", begun.elapsed());
    }
    route.limits = Limits::default();
    rig.enforce(4, &[route.clone()]).await;
    assert_eq!(ask_once(route.vip, "hi").await, "+node hi");
}

#[tokio::test]
async fn who_asks_for_nothing_for_longer_than_it_may_is_ended_and_nobody_else() {
    let (rig, redis) = (Rig::start().await, Redis::start(&[]));
    let mut route = route(1, free_vip(), target_at(redis.addr, 1));
    route.limits = Limits { idle: Some(2), outbound: Some(50_000), ..Limits::default() };
    rig.enforce(1, &[route.clone()]).await;
    let mut idle = Caller::connect(route.vip).await;
    assert_eq!(idle.ask("SETRANGE large 199999 x").await, ":200000");
    let mut subscribed = Caller::connect(route.vip).await;
    subscribed.subscribe("news").await;
    let mut waits = Caller::connect(route.vip).await;
    waits.send("BLPOP nothing 3").await;
    // Some four seconds' worth.
    let mut takes = Caller::connect(route.vip).await;
    takes.send("GET large").await;
    let begun = Instant::now();
    idle.assert_ended().await;
    assert!(begun.elapsed() >= Duration::from_millis(1900), "{:?}", begun.elapsed());
    assert_eq!(takes.receive().await, "$200000");
    assert_eq!(takes.receive().await.len(), 200_000);
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(waits.receive().await, "*-1");
    assert_eq!(waits.ask("PING").await, "+PONG");
    assert_eq!(subscribed.ask("PING").await, "*2");
}

#[tokio::test]
async fn two_instances_swap_their_addresses() {
    let (rig, one, two) = (Rig::start().await, Node::start("one").await, Node::start("two").await);
    let (mut first, mut second) = (route(1, free_vip(), target(&one, 1)), route(2, free_vip(), target(&two, 1)));
    rig.enforce(1, &[first.clone(), second.clone()]).await;
    assert_eq!(ask_once(first.vip, "hi").await, "+one hi");
    (first.vip, second.vip) = (second.vip, first.vip);
    second.limits.connections = Some(1);
    rig.enforce(2, &[first.clone(), second.clone()]).await;
    assert_eq!(ask_once(first.vip, "hi").await, "+one hi");
    let mut caller = Caller::connect(second.vip).await;
    assert_eq!(caller.ask("hi").await, "+two hi");
    assert_eq!(Caller::connect(second.vip).await.receive().await, "-ERR max number of clients reached");
    assert_eq!(rig.control.report().await.unwrap().instances[&instance(2)].open, 1);
}

fn print(password: &str) -> Option<Fingerprint> {
    let hash = hex::encode(Sha256::digest(password));
    Some(Fingerprint(hex::encode(Sha256::digest(format!("{}:#{hash}", instance(1))))))
}

/// A Redis whose default user has two passwords, and an account beside it.
async fn a_redis_with_accounts() -> (Rig, Redis, Route) {
    let (rig, redis) = (Rig::start().await, Redis::start(&[]));
    let mut route = route(1, free_vip(), target_at(redis.addr, 1));
    route.logins = Logins {
        separator: "@".into(),
        accounts: vec!["ann".into()],
        password: print("new"),
        old_password: print("ann@old"),
        ..Logins::default()
    };
    rig.enforce(1, &[route.clone()]).await;
    let mut operator = Caller::connect(route.vip).await;
    assert_eq!(operator.ask("ACL SETUSER ann on >pw +@all ~*").await, "+OK");
    assert_eq!(operator.ask("ACL SETUSER default resetpass >new >ann@old").await, "+OK");
    (rig, redis, route)
}

async fn send(caller: &mut Caller, words: &[&str]) -> String {
    let mut request = format!("*{}\r\n", words.len());
    words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
    caller.0.write_all(request.as_bytes()).await.unwrap();
    caller.0.flush().await.unwrap();
    caller.receive().await
}

#[tokio::test]
async fn an_accounts_name_and_password_in_one_sign_in_as_that_account() {
    let (_rig, _redis, route) = a_redis_with_accounts().await;
    for (words, who) in [
        (&["AUTH", "ann@pw"][..], "ann"),
        (&["AUTH", "default", "ann@pw"], "ann"),
        (&["AUTH", "ann", "pw"], "ann"),
        (&["AUTH", "new"], "default"),
        (&["AUTH", "ann@old"], "default"),
    ] {
        let mut caller = Caller::connect(route.vip).await;
        assert_eq!(send(&mut caller, words).await, "+OK", "{words:?}");
        assert_eq!(send(&mut caller, &["ACL", "WHOAMI"]).await, format!("${}", who.len()), "{words:?}");
        assert_eq!(caller.receive().await, who, "{words:?}");
    }
    let mut caller = Caller::connect(route.vip).await;
    assert!(send(&mut caller, &["AUTH", "ann@wrong"]).await.starts_with("-WRONGPASS"));
    assert_eq!(caller.ask("auth ann@pw").await, "+OK");
    let mut caller = Caller::connect(route.vip).await;
    assert_eq!(send(&mut caller, &["HELLO", "3", "AUTH", "default", "ann@pw", "SETNAME", "x"]).await, "%7");
}

#[tokio::test]
async fn who_signed_in_with_the_old_password_is_counted() {
    let (rig, _redis, route) = a_redis_with_accounts().await;
    let mut callers = Vec::new();
    for words in [&["AUTH", "ann@old"][..], &["AUTH", "default", "ann@old"], &["AUTH", "new"], &["AUTH", "ann@pw"]] {
        let mut caller = Caller::connect(route.vip).await;
        assert_eq!(send(&mut caller, words).await, "+OK");
        callers.push(caller);
    }
    let connected = async || rig.control.report().await.unwrap().instances[&instance(1)];
    assert_eq!(connected().await.on_old_password, 2);
    assert_eq!(send(&mut callers[0], &["AUTH", "new"]).await, "+OK");
    assert_eq!(connected().await.on_old_password, 1);
    callers.remove(1);
    soon(async { while connected().await.on_old_password > 0 {} }).await;
}
