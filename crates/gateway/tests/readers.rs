//! Reads from replicas.

mod common;

use std::time::Duration;

use common::*;
use model::{Reader, Route};
use tokio::time::sleep;

/// A primary and a replica of it, which has another value of `who` than its primary, and the route to both.
async fn a_pair() -> (Rig, Redis, Redis, Route) {
    let (rig, primary, replica) = (
        Rig::start().await,
        Redis::start(&["--repl-diskless-sync-delay", "0"]),
        Redis::start(&["--replica-read-only", "no"]),
    );
    let target = |redis: &Redis| target_at(redis.addr, 1).unwrap();
    let mut follower = Caller::connect(model::Vip(replica.addr)).await;
    let port = primary.addr.port();
    assert_eq!(follower.ask(&format!("REPLICAOF 127.0.0.1 {port}")).await, "+OK");
    let mut route = route(1, free_vip(), Some(target(&primary)));
    rig.enforce(1, &[route.clone()]).await;
    let mut caller = Caller::connect(route.vip).await;
    assert_eq!(caller.ask("SET who primary").await, "+OK");
    soon(async {
        while follower.ask("GET who").await != "$7" {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(follower.receive().await, "primary");
    assert_eq!(follower.ask("SET who replica").await, "+OK");
    route.readers = vec![Reader { target: target(&replica), weight: 100 }];
    route.logins.default_reads_replicas = true;
    rig.enforce(2, &[route.clone()]).await;
    (rig, primary, replica, route)
}

async fn who(caller: &mut Caller) -> String {
    assert_eq!(caller.ask("GET who").await, "$7");
    caller.receive().await
}

#[tokio::test]
async fn reads_are_answered_by_replicas_and_all_else_by_the_primary() {
    let (_rig, _primary, _replica, route) = a_pair().await;
    let mut caller = Caller::connect(route.vip).await;
    assert_eq!(who(&mut caller).await, "replica");
    assert_eq!(caller.ask("APPEND who x").await, ":8");
    assert_eq!(caller.ask("MULTI\nGET who\nEXEC").await, "+OK");
    for line in ["+QUEUED", "*1", "$8", "primaryx"] {
        assert_eq!(caller.receive().await, line);
    }
    assert_eq!(caller.ask("EVAL \"return redis.call('strlen', 'who')\" 0").await, ":8");
    let mut caller = Caller::connect(route.vip).await;
    // In a pipeline every reply is in its place.
    caller.send("GET who\nSTRLEN who\nSET n 1\nINCR n\nGET who").await;
    for line in ["$8", "replicax", ":8", "+OK", ":2", "$8", "replicax"] {
        assert_eq!(caller.receive().await, line);
    }
}

#[tokio::test]
async fn who_is_not_to_read_there_does_not() {
    let (rig, _primary, _replica, mut route) = a_pair().await;
    let mut caller = Caller::connect(route.vip).await;
    assert_eq!(who(&mut caller).await, "replica");
    route.logins.default_reads_replicas = false;
    rig.enforce(3, &[route.clone()]).await;
    assert_eq!(who(&mut caller).await, "primary");
    route.logins.default_reads_replicas = true;
    rig.enforce(4, &[route.clone()]).await;
    assert_eq!(who(&mut caller).await, "replica");
    route.readers.clear();
    rig.enforce(5, &[route.clone()]).await;
    assert_eq!(who(&mut caller).await, "primary");
}

#[tokio::test]
async fn a_replica_that_dies_is_noticed_by_nobody() {
    let (_rig, _primary, mut replica, route) = a_pair().await;
    let mut callers = Vec::new();
    for _ in 0..20 {
        let mut caller = Caller::connect(route.vip).await;
        assert_eq!(who(&mut caller).await, "replica");
        callers.push(caller);
    }
    replica.kill();
    for caller in &mut callers {
        assert_eq!(who(caller).await, "primary");
    }
}

#[tokio::test]
async fn a_replica_that_hangs_or_follows_nobody_gets_no_reads() {
    let (_rig, _primary, replica, route) = a_pair().await;
    let mut caller = Caller::connect(route.vip).await;
    assert_eq!(who(&mut caller).await, "replica");
    replica.stop();
    // What it was asked when it stopped is asked of another after a while.
    assert_eq!(who(&mut caller).await, "primary");
    replica.go_on();
    soon(async { while who(&mut caller).await != "replica" {} }).await;
    let mut operator = Caller::connect(model::Vip(replica.addr)).await;
    assert_eq!(operator.ask("REPLICAOF 127.0.0.1 1").await, "+OK");
    soon(async { while who(&mut caller).await != "primary" {} }).await;
}
