//! Against a real Redis server, whose death is the kernel's doing.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use model::Vip;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

async fn led_to(redis: &Redis) -> (Rig, Vip) {
    let rig = Rig::start().await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target_at(redis.addr, 1))]).await;
    (rig, vip)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_is_a_reset_for_every_client_that_waits_for_an_answer() {
    let mut redis = Redis::start(&[]);
    let (rig, vip) = led_to(&redis).await;
    let mut callers = Vec::new();
    for number in 0..300 {
        let mut caller = Caller::connect(vip).await;
        assert_eq!(caller.ask("PING").await, "+PONG");
        match number % 3 {
            0 => caller.subscribe("news").await,
            1 => caller.send("BLPOP queue 0").await,
            _ => {}
        }
        callers.push(caller);
    }
    redis.kill();
    for caller in callers.iter_mut().skip(1).step_by(3) {
        caller.assert_reset().await;
    }
    // All others go on with the node that leads then.
    let other = Redis::start(&[]);
    rig.enforce(2, &[route(1, vip, target_at(other.addr, 1))]).await;
    for caller in callers.iter_mut().skip(2).step_by(3) {
        assert_eq!(caller.ask("PING").await, "+PONG");
    }
    let mut speaker = Caller::connect(vip).await;
    let subscribers = callers.len().div_ceil(3);
    soon(async { while speaker.ask("PUBLISH news hi").await != format!(":{subscribers}") {} }).await;
    for caller in callers.iter_mut().step_by(3) {
        for line in ["*3", "$7", "message", "$4", "news", "$2", "hi"] {
            assert_eq!(caller.receive().await, line);
        }
    }
}

#[tokio::test]
async fn quit_is_an_orderly_end() {
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let mut quits = Caller::connect(vip).await;
    quits.send("PING\nQUIT").await;
    assert_eq!(quits.end().await, ("+PONG\r\n+OK\r\n".to_owned(), Ending::Orderly));
}

#[tokio::test]
async fn a_subscriber_whose_connection_the_node_ends_is_ended() {
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let mut subscriber = Caller::connect(vip).await;
    subscriber.subscribe("news").await;
    let mut killer = Caller::connect(vip).await;
    assert_eq!(killer.ask("CLIENT KILL TYPE pubsub").await, ":1");
    subscriber.assert_ended().await;
    assert_eq!(killer.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn clients_share_connections_to_the_node() {
    let redis = Redis::start(&["--maxclients", "8"]);
    let (_rig, vip) = led_to(&redis).await;
    let mut callers = Vec::new();
    for _ in 0..100 {
        let mut caller = Caller::connect(vip).await;
        assert_eq!(caller.ask("PING").await, "+PONG");
        callers.push(caller);
    }
    for mut caller in callers {
        assert_eq!(caller.ask("PING").await, "+PONG");
    }
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

/// Waits until a script keeps an engine busy, and the gateway must have seen that it does.
async fn runs_long(redis: &Redis) {
    let says_so = async {
        let mut direct = Caller(BufStream::new(TcpStream::connect(redis.addr).await.unwrap()));
        while !direct.ask("PING").await.starts_with("-BUSY") {}
    };
    soon(says_so).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn nobody_waits_behind_a_script_that_does_not_end() {
    let redis = Redis::start(&["--lua-time-limit", "50"]);
    let (_rig, vip) = led_to(&redis).await;
    let (mut runs, mut other) = (Caller::connect(vip).await, Caller::connect(vip).await);
    assert_eq!(other.ask("PING").await, "+PONG");
    runs.send("EVAL \"while true do end\" 0").await;
    runs_long(&redis).await;
    assert!(other.ask("PING").await.starts_with("-BUSY"));
    assert_eq!(other.ask("SCRIPT KILL").await, "+OK");
    assert!(runs.receive().await.starts_with("-ERR"));
    assert_eq!(other.ask("PING").await, "+PONG");
    assert_eq!(runs.ask("PING").await, "+PONG");
}

#[tokio::test]
async fn a_busy_engine_says_so_to_those_who_have_chosen_a_database() {
    let redis = Redis::start(&["--lua-time-limit", "50"]);
    let (_rig, vip) = led_to(&redis).await;
    let (mut runs, mut other) = (Caller::connect(vip).await, Caller::connect(vip).await);
    for caller in [&mut runs, &mut other] {
        assert_eq!(caller.ask("SELECT 9").await, "+OK");
    }
    assert_eq!(other.ask("PING").await, "+PONG");
    runs.send("EVAL \"while true do end\" 0").await;
    runs_long(&redis).await;
    // One that shares a connection, one that is to have its own, and some that come at once.
    for request in ["PING", "BLPOP queue 0", "PING\nPING\nPING"] {
        other.send(request).await;
        for _ in request.lines() {
            assert!(other.receive().await.starts_with("-BUSY"), "{request}");
        }
    }
    assert_eq!(other.ask("SCRIPT KILL").await, "+OK");
    assert!(runs.receive().await.starts_with("-ERR"));
    assert_eq!(other.ask("SET key value").await, "+OK");
    assert_eq!(runs.ask("EXISTS key").await, ":1");
}

#[tokio::test]
async fn a_function_that_does_not_end_is_seen_and_ended_by_those_who_have_chosen_a_database() {
    let redis = Redis::start(&["--lua-time-limit", "50"]);
    let (_rig, vip) = led_to(&redis).await;
    let (mut runs, mut sees, mut ends) =
        (Caller::connect(vip).await, Caller::connect(vip).await, Caller::connect(vip).await);
    for caller in [&mut runs, &mut sees, &mut ends] {
        assert_eq!(caller.ask("SELECT 9").await, "+OK");
    }
    let code = "#!lua name=l\\nredis.register_function('f', function() while true do end end)";
    assert_eq!(runs.ask(&format!("FUNCTION LOAD \"{code}\"")).await, "$1");
    assert_eq!(runs.receive().await, "l");
    runs.send("FCALL f 0").await;
    runs_long(&redis).await;
    assert_eq!(sees.ask("FUNCTION STATS").await, "*4");
    assert_eq!(ends.ask("FUNCTION KILL").await, "+OK");
    assert!(runs.receive().await.starts_with("-ERR"));
}

#[tokio::test]
async fn what_is_published_right_after_a_switch_is_heard() {
    let (one, two) = (Redis::start(&[]), Redis::start(&[]));
    let (rig, vip) = led_to(&one).await;
    let mut speaker = Caller::connect(vip).await;
    assert_eq!(speaker.ask("PING").await, "+PONG");
    let mut subscribers = Vec::new();
    for _ in 0..50 {
        let mut caller = Caller::connect(vip).await;
        caller.subscribe("news").await;
        subscribers.push(caller);
    }
    for (version, redis) in (2..).zip([&two, &one, &two, &one]) {
        assert!(rig.control.hold(&instance(1), std::time::Duration::from_secs(5)).await.unwrap());
        speaker.send("PUBLISH news hi").await;
        rig.enforce(version, &[route(1, vip, target_at(redis.addr, 1))]).await;
        assert_eq!(speaker.receive().await, ":50");
        for caller in &mut subscribers {
            for line in ["*3", "$7", "message", "$4", "news", "$2", "hi"] {
                assert_eq!(caller.receive().await, line);
            }
        }
    }
}

/// A request that sets a value of this length.
fn set(key: &str, length: usize) -> Vec<u8> {
    let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${length}\r\n", key.len());
    [head.as_bytes(), &vec![b'v'; length], b"\r\n"].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_wait_for_answers_is_not_read_faster_than_its_node() {
    const BATCH: usize = 100;
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let caller = Caller::connect(vip).await;
    let (reads, mut writes) = tokio::io::split(caller.0);
    redis.stop();
    let batch = set("k", 4096).repeat(BATCH);
    let before = resident_kib();
    let (mut batches, mut at) = (0, 0);
    // What the kernel holds of two connections is some megabytes.
    while let Ok(count) = timeout(Duration::from_millis(300), writes.write(&batch[at..])).await {
        at += count.unwrap();
        if at == batch.len() {
            (batches, at) = (batches + 1, 0);
        }
        assert!(batches * batch.len() < 64 << 20, "it is read on and on");
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 4 << 10, "{grown} KiB");
    redis.go_on();
    let sending = async {
        writes.write_all(&batch[at..]).await.unwrap();
        writes.flush().await.unwrap();
    };
    let mut replies = BufReader::new(reads);
    let receiving = async {
        for _ in 0..=batches * BATCH + BATCH - 1 {
            let mut line = String::new();
            replies.read_line(&mut line).await.unwrap();
            assert_eq!(line, "+OK\r\n");
        }
    };
    soon(async { tokio::join!(sending, receiving) }).await;
}

#[tokio::test]
async fn what_a_subscriber_watches_it_watches_still_after_a_refused_transaction() {
    let (redis, other) = (Redis::start(&[]), Redis::start(&[]));
    let (rig, vip) = led_to(&redis).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("WATCH k").await, "+OK");
    caller.subscribe("news").await;
    caller.send("MULTI\nDISCARD\nUNSUBSCRIBE").await;
    for start in ["-ERR Can't execute 'multi'", "-ERR Can't execute 'discard'"] {
        assert!(caller.receive().await.starts_with(start));
    }
    for line in ["*3", "$11", "unsubscribe", "$4", "news", ":0"] {
        assert_eq!(caller.receive().await, line);
    }
    rig.enforce(2, &[route(1, vip, target_at(other.addr, 1))]).await;
    assert_eq!(caller.ask("MULTI").await, "+OK");
    assert_eq!(caller.ask("SET k v").await, "+QUEUED");
    assert_eq!(caller.ask("EXEC").await, "*-1", "it may have changed");
}

#[tokio::test]
async fn scripts_of_a_transaction_are_there_after_a_switch() {
    let (redis, other) = (Redis::start(&[]), Redis::start(&[]));
    let (rig, vip) = led_to(&redis).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("MULTI").await, "+OK");
    assert_eq!(caller.ask("SCRIPT LOAD 'return 7'").await, "+QUEUED");
    caller.send("EXEC").await;
    assert_eq!(caller.receive().await, "*1");
    assert_eq!(caller.receive().await, "$40");
    let hash = caller.receive().await;
    rig.enforce(2, &[route(1, vip, target_at(other.addr, 1))]).await;
    assert_eq!(caller.ask(&format!("EVALSHA {hash} 0")).await, ":7");
}

/// Sends requests one after another, and reads nothing meanwhile.
async fn ask_without_reading(vip: Vip, requests: &[Vec<u8>]) -> TcpStream {
    let mut stream = TcpStream::connect(vip.0).await.unwrap();
    timeout(Duration::from_secs(30), async {
        for request in requests {
            stream.write_all(request).await.unwrap();
        }
    })
    .await
    .expect("all is taken, though nothing is read");
    stream
}

async fn read_exactly(stream: &mut TcpStream, expected: impl Iterator<Item = Vec<u8>>) {
    let mut stream = BufReader::new(stream);
    for expected in expected {
        let mut said = vec![0; expected.len()];
        soon(stream.read_exact(&mut said)).await.unwrap();
        assert!(said == expected, "{} instead of {}", said.escape_ascii(), expected.escape_ascii());
    }
}

fn echo(number: usize, length: usize) -> (Vec<u8>, Vec<u8>) {
    let value = format!("${length}\r\n{number:0length$}\r\n").into_bytes();
    ([&b"*2\r\n$4\r\nECHO\r\n"[..], &value].concat(), value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_much_before_reading_is_answered_and_nobody_waits_behind_it() {
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let mut other = Caller::connect(vip).await;
    assert_eq!(other.ask("PING").await, "+PONG");
    let (requests, replies): (Vec<_>, Vec<_>) = (0..16_000).map(|number| echo(number, 8 * 1024)).unzip();
    let requests = Arc::new(requests);
    let before = resident_kib();
    let asked = requests.clone();
    let asking = tokio::spawn(async move { ask_without_reading(vip, &asked).await });
    while !asking.is_finished() {
        assert_eq!(other.ask("PING").await, "+PONG");
    }
    let mut stream = asking.await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(other.ask("PING").await, "+PONG");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 24 * 1024, "the gateway keeps {grown} KiB of what the engine would keep");
    drop(requests);
    read_exactly(&mut stream, replies.into_iter()).await;
}

#[tokio::test]
async fn who_becomes_another_amid_much_that_it_does_not_read_is_answered() {
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let ok = b"+OK\r\n".to_vec();
    let of_one = |database: usize| {
        let select = format!("*2\r\n$6\r\nSELECT\r\n$1\r\n{database}\r\n").into_bytes();
        [(select, ok.clone())].into_iter().chain((0..2000).map(|number| echo(number, 8 * 1024)))
    };
    let (requests, replies): (Vec<_>, Vec<_>) = of_one(1).chain(of_one(2)).unzip();
    let mut stream = ask_without_reading(vip, &requests).await;
    read_exactly(&mut stream, replies.into_iter()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_that_is_asked_for_at_once_is_spread_and_little_is_not() {
    let redis = Redis::start(&[]);
    let (_rig, vip) = led_to(&redis).await;
    let mut callers = Vec::new();
    for _ in 0..40 {
        let mut caller = Caller::connect(vip).await;
        assert_eq!(caller.ask("PING").await, "+PONG");
        callers.push(caller);
    }
    let mut admin = Caller(BufStream::new(TcpStream::connect(redis.addr).await.unwrap()));
    let mut connected = async || {
        admin.send("INFO clients").await;
        loop {
            if let Some(number) = admin.receive().await.strip_prefix("connected_clients:") {
                return number.parse::<usize>().unwrap() - 1;
            }
        }
    };
    let few = connected().await;
    assert!(few <= 2, "{few}");
    for round in 0..20 {
        redis.stop();
        for (number, caller) in callers.iter_mut().enumerate() {
            caller.0.write_all(&set(&format!("k{number}"), 16 << 10)).await.unwrap();
            caller.0.write_all(format!("INCR n{number}\r\n").as_bytes()).await.unwrap();
            caller.0.flush().await.unwrap();
        }
        redis.go_on();
        for caller in &mut callers {
            assert_eq!(caller.receive().await, "+OK");
            assert_eq!(caller.receive().await, format!(":{}", round + 1));
        }
    }
    let many = connected().await;
    assert!((few + 1..=24).contains(&many), "{many}");
}
