//! Against a real Redis server, whose death is the kernel's doing.

mod common;

use common::*;
use model::Vip;

async fn led_to(redis: &Redis) -> (Rig, Vip) {
    let rig = Rig::start().await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target_at(redis.addr, 1))]).await;
    (rig, vip)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_is_a_reset_for_every_client() {
    let mut redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let mut callers = Vec::new();
    for number in 0..300 {
        let mut caller = Caller::connect(vip).await;
        assert_eq!(caller.ask("PING").await, "+PONG");
        if number % 3 == 0 {
            caller.send("SUBSCRIBE news").await;
            for line in ["*3", "$9", "subscribe", "$4", "news", ":1"] {
                assert_eq!(caller.receive().await, line);
            }
        } else if number % 3 == 1 {
            caller.send("BLPOP queue 0").await;
        }
        callers.push(caller);
    }
    redis.kill();
    for mut caller in callers {
        caller.assert_reset().await;
    }
}

#[tokio::test]
async fn quit_and_client_kill_are_orderly_ends() {
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let mut quits = Caller::connect(vip).await;
    quits.send("QUIT").await;
    assert_eq!(quits.end().await, ("+OK\r\n".to_owned(), Ending::Orderly));

    let mut victims = Vec::new();
    for _ in 0..300 {
        let mut victim = Caller::connect(vip).await;
        assert_eq!(victim.ask("PING").await, "+PONG");
        victims.push(victim);
    }
    let mut killer = Caller::connect(vip).await;
    assert_eq!(killer.ask("CLIENT KILL TYPE normal SKIPME yes").await, ":300");
    for mut victim in victims {
        victim.assert_ended().await;
    }
    assert_eq!(killer.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn a_client_too_many_is_told_so() {
    let redis = Redis::start(&["--maxclients", "1"]);
    let (_rig, vip) = led_to(&redis).await;
    let mut first = Caller::connect(vip).await;
    assert_eq!(first.ask("PING").await, "+PONG");
    let mut second = Caller::connect(vip).await;
    assert_eq!(second.receive().await, "-ERR max number of clients reached");
    assert_eq!(first.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn a_pipeline_whose_client_ends_its_side_is_answered_in_full() {
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let mut caller = Caller::connect(vip).await;
    caller.send(&vec!["PING"; 1000].join("\n")).await;
    tokio::io::AsyncWriteExt::shutdown(caller.0.get_mut()).await.unwrap();
    assert_eq!(caller.end().await, ("+PONG\r\n".repeat(1000), Ending::Orderly));
}
