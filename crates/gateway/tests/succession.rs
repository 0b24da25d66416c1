//! Another gateway takes the place of the one that runs, and nobody can tell.

mod common;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use common::*;
use model::Vip;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

async fn led_to(redis: &Redis) -> (Rig, Vip) {
    let rig = Rig::start().await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target_at(redis.addr, 1))]).await;
    (rig, vip)
}

/// Receives these lines.
async fn hears(caller: &mut Caller, lines: &[&str]) {
    for line in lines {
        assert_eq!(caller.receive().await, *line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_client_does_it_goes_on() {
    let redis = Redis::start(&[]);
    let (mut rig, vip) = led_to(&redis).await;
    let (mut idle, mut named) = (Caller::connect(vip).await, Caller::connect(vip).await);
    assert_eq!(named.ask("CLIENT SETNAME me").await, "+OK");
    assert_eq!(named.ask("SELECT 3").await, "+OK");
    assert_eq!(named.ask("SET in three").await, "+OK");
    let mut blocked = Caller::connect(vip).await;
    blocked.send("BLPOP queue 0").await;
    let mut subscriber = Caller::connect(vip).await;
    subscriber.subscribe("news").await;
    let mut watcher = Caller::connect(vip).await;
    assert_eq!(watcher.ask("WATCH mine").await, "+OK");
    let mut beaten = Caller::connect(vip).await;
    assert_eq!(beaten.ask("WATCH theirs").await, "+OK");
    let mut multi = Caller::connect(vip).await;
    assert_eq!(multi.ask("MULTI").await, "+OK");
    assert_eq!(multi.ask("INCR counter").await, "+QUEUED");
    let mut monitor = Caller::connect(vip).await;
    assert_eq!(monitor.ask("MONITOR").await, "+OK");
    let mut three = Caller::connect(vip).await;
    assert_eq!(three.ask("HELLO 3").await, "%7");
    let mut half = Caller::connect(vip).await;
    half.0.write_all(b"*2\r\n$4\r\nECHO\r\n$5\r\nhe").await.unwrap();
    half.0.flush().await.unwrap();
    let mut speaker = Caller::connect(vip).await;
    assert_eq!(speaker.ask("SCRIPT LOAD return(1)").await, "$40");
    let sha = speaker.receive().await;
    drop(speaker);

    for _ in 0..3 {
        rig.succeed().await;
    }

    assert_eq!(idle.ask("PING").await, "+PONG");
    assert_eq!(named.ask("GET in").await, "$5");
    assert_eq!(named.receive().await, "three");
    assert_eq!(named.ask("CLIENT GETNAME").await, "$2");
    assert_eq!(named.receive().await, "me");
    assert_eq!(named.ask(&format!("EVALSHA {sha} 0")).await, ":1");
    assert_eq!(idle.ask("RPUSH queue it").await, ":1");
    hears(&mut blocked, &["*2", "$5", "queue", "$2", "it"]).await;
    assert_eq!(blocked.ask("PING").await, "+PONG");
    assert_eq!(idle.ask("PUBLISH news hi").await, ":1");
    hears(&mut subscriber, &["*3", "$7", "message", "$4", "news", "$2", "hi"]).await;
    assert_eq!(idle.ask("SET theirs now").await, "+OK");
    for (caller, answer) in [(&mut watcher, "*1"), (&mut beaten, "*-1")] {
        assert_eq!(caller.ask("MULTI").await, "+OK");
        assert_eq!(caller.ask("SET done yes").await, "+QUEUED");
        assert_eq!(caller.ask("EXEC").await, answer);
    }
    assert_eq!(multi.ask("INCR counter").await, "+QUEUED");
    assert_eq!(multi.ask("EXEC").await, "*2");
    hears(&mut multi, &[":1", ":2"]).await;
    soon(async { while !monitor.receive().await.contains("\"done\"") {} }).await;
    half.0.write_all(b"llo\r\n").await.unwrap();
    half.0.flush().await.unwrap();
    hears(&mut half, &["$5", "hello"]).await;
    assert_eq!(rig.control.report().await.unwrap().version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_and_who_signed_in_by_it_go_along() {
    let redis = Redis::start(&["--requirepass", "secret"]);
    let (mut rig, vip) = led_to(&redis).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("AUTH secret").await, "+OK");
    assert_eq!(caller.ask("SET a b").await, "+OK");
    rig.succeed().await;
    assert_eq!(caller.ask("STRLEN a").await, ":1");
    // Over a connection that the successor makes itself, too.
    assert_eq!(caller.ask("MULTI").await, "+OK");
    assert_eq!(caller.ask("PING").await, "+QUEUED");
    assert_eq!(caller.ask("EXEC").await, "*1");
    assert_eq!(caller.receive().await, "+PONG");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_answered_once() {
    let redis = Redis::start(&["--enable-debug-command", "local"]);
    let (mut rig, vip) = led_to(&redis).await;
    let mut pipeline = Caller::connect(vip).await;
    let mut sleeper = Caller::connect(vip).await;
    sleeper.send("DEBUG SLEEP 0.5").await;
    // It stands behind that one in the connection that both share.
    pipeline.send(&vec!["INCR n"; 500].join("\n")).await;
    rig.succeed().await;
    assert_eq!(sleeper.receive().await, "+OK");
    for number in 1..=500 {
        assert_eq!(pipeline.receive().await, format!(":{number}"));
    }
    assert_eq!(pipeline.ask("INCR n").await, ":501");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_values_go_on_in_the_middle_both_ways() {
    const LENGTH: usize = 24 << 20;
    let redis = Redis::start(&[]);
    let (mut rig, vip) = led_to(&redis).await;
    let value: Vec<u8> = (0..LENGTH).map(|index| b'a' + (index / 7 % 26) as u8).collect();
    let mut caller = Caller::connect(vip).await;
    caller.0.write_all(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${LENGTH}\r\n").as_bytes()).await.unwrap();
    caller.0.write_all(&value[..LENGTH / 2]).await.unwrap();
    caller.0.flush().await.unwrap();
    rig.succeed().await;
    let (mut reads, mut writes) = tokio::io::split(&mut caller.0);
    let sending = async {
        writes.write_all(&value[LENGTH / 2..]).await.unwrap();
        writes.write_all(b"\r\n").await.unwrap();
        writes.flush().await.unwrap();
    };
    soon(sending).await;
    let mut ok = [0; 5];
    soon(reads.read_exact(&mut ok)).await.unwrap();
    assert_eq!(&ok, b"+OK\r\n");

    writes.write_all(b"GET big\n").await.unwrap();
    writes.flush().await.unwrap();
    let mut got = vec![0; LENGTH + format!("${LENGTH}\r\n").len() + 2];
    soon(reads.read_exact(&mut got[..1000])).await.unwrap();
    // It does not read on, so that all is full between it and the node.
    sleep(Duration::from_millis(100)).await;
    rig.succeed().await;
    soon(reads.read_exact(&mut got[1000..])).await.unwrap();
    assert!(got.ends_with(b"\r\n") && got[got.len() - 2 - LENGTH..got.len() - 2] == value);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_that_write_all_the_time_see_nothing() {
    let redis = Redis::start(&[]);
    let (mut rig, vip) = led_to(&redis).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let stopped = stopped.clone();
        writers.spawn(async move {
            let mut caller = Caller::connect(vip).await;
            let mut count = 0;
            while !*stopped.borrow() {
                count += 1;
                assert_eq!(caller.ask(&format!("INCR n{number}")).await, format!(":{count}"));
                sleep(Duration::from_millis(number % 7)).await;
            }
        });
    }
    for _ in 0..3 {
        rig.succeed().await;
        // Newcomers are let in, and those who came meanwhile were.
        assert_eq!(soon(ask_once(vip, "PING")).await, "+PONG");
    }
    assert!(rig.control.report().await.unwrap().connections >= 1000);
    stop.send(true).unwrap();
    soon(async { while writers.join_next().await.transpose().unwrap().is_some() {} }).await;
    soon(async { while rig.control.report().await.unwrap().connections > 0 {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_stay_open_or_closed_and_follow_the_next_table() {
    let mut rig = Rig::start().await;
    let (node, other) = (Node::start("node").await, Node::start("other").await);
    let (open, closed) = (free_vip(), free_vip());
    rig.enforce(7, &[route(1, open, target(&node, 1)), route(2, closed, None)]).await;
    let mut caller = Caller::connect(open).await;
    assert_eq!(caller.ask("hello").await, "+node hello");
    rig.succeed().await;
    assert_refuses(closed).await;
    assert!(!can_be_taken(open) && !can_be_taken(closed));
    assert_eq!(rig.publish(6, &[]).await.version, 7);
    rig.enforce(8, &[route(1, open, target(&other, 2)), route(2, closed, target(&node, 1))]).await;
    assert_eq!(caller.ask("hello").await, "+other hello");
    assert_eq!(ask_once(closed, "hello").await, "+node hello");
    rig.enforce(9, &[route(1, open, None)]).await;
    caller.assert_reset().await;
    assert_refuses(open).await;
    assert!(can_be_taken(closed));
    rig.stop().await;
    assert!(can_be_taken(open));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_goes_along() {
    let mut rig = Rig::start().await;
    let (node, other) = (Node::start("node").await, Node::start("other").await);
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    let (mut held, mut idle) = (Caller::connect(vip).await, Caller::connect(vip).await);
    assert_eq!(held.ask("hello").await, "+node hello");
    assert!(rig.control.hold(&instance(1), Duration::from_secs(10)).await.unwrap());
    held.send("again").await;
    rig.succeed().await;
    idle.send("idle").await;
    assert!(timeout(Duration::from_millis(100), held.receive()).await.is_err());
    rig.enforce(2, &[route(1, vip, target(&other, 2))]).await;
    assert_eq!(held.receive().await, "+other again");
    assert_eq!(idle.receive().await, "+other idle");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_starts_where_none_runs_just_runs() {
    let mut rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    rig.stop().await;
    let dir = rig.dir().to_owned();
    let run = tokio::spawn(async move { gateway::succeed(&dir, None, std::future::pending()).await });
    rig.answers().await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
    run.abort();
}

/// Asks for everything, and takes as much of it as this.
fn asks_for_everything(dir: &Path, takes: usize) -> UnixStream {
    let folder = std::fs::File::open(dir.join("gateway")).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&folder);
    let mut stream = UnixStream::connect(format!("/proc/self/fd/{fd}/control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    stream.write_all(b"{\"succeed\":{\"release\":\"9.9.9\",\"another\":1}}\n").unwrap();
    let mut taken = vec![0; takes];
    let mut at = 0;
    while at < takes
        && let Ok(count @ 1..) = stream.read(&mut taken[at..])
    {
        at += count;
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_successor_that_fails_has_changed_nothing() {
    let redis = Redis::start(&[]);
    let (mut rig, vip) = led_to(&redis).await;
    let mut callers = Vec::new();
    for _ in 0..300 {
        let mut caller = Caller::connect(vip).await;
        assert_eq!(caller.ask("PING").await, "+PONG");
        callers.push(caller);
    }
    let mut blocked = Caller::connect(vip).await;
    blocked.send("BLPOP queue 0").await;
    for takes in [0, 1, 300, 10_000, 1 << 20] {
        let dir = rig.dir().to_owned();
        drop(tokio::task::spawn_blocking(move || asks_for_everything(&dir, takes)).await.unwrap());
        for caller in &mut callers {
            assert_eq!(caller.ask("PING").await, "+PONG");
        }
        assert_eq!(ask_once(vip, "PING").await, "+PONG");
    }
    // One that says what is not meant, and one that says nothing.
    let dir = rig.dir().to_owned();
    let mut wrong = tokio::task::spawn_blocking(move || asks_for_everything(&dir, 1 << 20)).await.unwrap();
    wrong.write_all(b"x").unwrap();
    assert_eq!(callers[0].ask("PING").await, "+PONG");
    let dir = rig.dir().to_owned();
    let silent = tokio::task::spawn_blocking(move || asks_for_everything(&dir, 0)).await.unwrap();
    assert_eq!(callers[1].ask("PING").await, "+PONG");
    drop((wrong, silent));

    rig.succeed().await;
    assert_eq!(callers[0].ask("RPUSH queue it").await, ":1");
    hears(&mut blocked, &["*2", "$5", "queue", "$2", "it"]).await;
    for caller in &mut callers {
        assert_eq!(caller.ask("PING").await, "+PONG");
    }
}
