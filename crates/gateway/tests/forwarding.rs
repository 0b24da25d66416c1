//! How one connection fares.

mod common;

use std::time::Duration;

use common::*;
use model::Vip;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// A gateway with one address that leads to a node.
async fn led_to(node: &Node) -> (Rig, Vip) {
    let rig = Rig::start().await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(node, 1))]).await;
    (rig, vip)
}

/// A client's connection through a gateway, and the node's end of what it is put through to.
async fn through() -> (Rig, Caller, BufStream<TcpStream>) {
    let rig = Rig::start().await;
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target_at(node.local_addr().unwrap(), 1))]).await;
    let mut client = Caller::connect(vip).await;
    client.send("first").await;
    let (stream, _) = soon(node.accept()).await.unwrap();
    let mut stream = BufStream::new(stream);
    assert_eq!(soon(read_request(&mut stream)).await.unwrap().unwrap(), "first");
    say(&mut stream, b"+done\r\n").await;
    assert_eq!(client.receive().await, "+done");
    // It lives on, whatever becomes of this connection.
    tokio::spawn(async move {
        let mut others = Vec::new();
        while let Ok((other, _)) = node.accept().await {
            others.push(other);
        }
    });
    (rig, client, stream)
}

async fn say(stream: &mut BufStream<TcpStream>, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn what_a_client_sends_before_it_ends_its_side_is_answered() {
    let (_rig, mut client, mut node) = through().await;
    client.send("question").await;
    client.0.get_mut().shutdown().await.unwrap();
    assert_eq!(soon(read_request(&mut node)).await.unwrap().unwrap(), "question");
    say(&mut node, b"+ans").await;
    say(&mut node, b"wer\r\n").await;
    assert_eq!(client.end().await, ("+answer\r\n".to_owned(), Ending::Orderly));
}

#[tokio::test]
async fn what_a_client_sends_before_it_resets_arrives() {
    let (rig, mut client, mut node) = through().await;
    client.send("last words").await;
    assert_eq!(soon(read_request(&mut node)).await.unwrap().unwrap(), "last words");
    client.0.get_mut().set_zero_linger().unwrap();
    drop(client);
    soon(async { while rig.control.report().await.unwrap().connections > 0 {} }).await;
    // Nobody waits for this any more, and it is not taken for anybody else's.
    say(&mut node, b"+for the dead\r\n").await;
}

#[tokio::test]
async fn a_request_that_the_node_ends_on_is_a_reset_although_the_node_lives() {
    let node = Node::start("node").await;
    let (_rig, vip) = led_to(&node).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("hello").await, "+node hello");
    caller.send("drop").await;
    caller.assert_reset().await;
}

#[tokio::test]
async fn the_death_of_a_node_is_a_reset_for_those_who_wait_and_nothing_for_those_who_do_not() {
    let node = Node::start("node").await;
    let (_rig, vip) = led_to(&node).await;
    let mut idle = Caller::connect(vip).await;
    assert_eq!(idle.ask("hello").await, "+node hello");
    let mut waiting = Caller::connect(vip).await;
    assert_eq!(waiting.ask("hello").await, "+node hello");
    waiting.send("hush").await;
    let addr = node.addr;
    node.kill().await;
    waiting.assert_reset().await;
    let _node = Node::start_at(addr, "another").await;
    assert_eq!(idle.ask("hello").await, "+another hello");
}

#[tokio::test]
async fn what_is_no_reply_ends_those_who_wait_for_one() {
    let (_rig, mut client, mut node) = through().await;
    client.send("question").await;
    assert_eq!(soon(read_request(&mut node)).await.unwrap().unwrap(), "question");
    say(&mut node, b"what?\r\n").await;
    client.assert_reset().await;
}

#[tokio::test]
async fn a_client_that_comes_during_a_restart_is_served_as_soon_as_the_node_is_back() {
    let node = Node::start("first").await;
    let (_rig, vip) = led_to(&node).await;
    let addr = node.addr;
    node.kill().await;
    let mut callers = Vec::new();
    for _ in 0..50 {
        let mut caller = Caller::connect(vip).await;
        caller.send("hello").await;
        callers.push(caller);
    }
    let _node = Node::start_at(addr, "second").await;
    for mut caller in callers {
        assert_eq!(caller.receive().await, "+second hello");
    }
}

#[tokio::test]
async fn a_client_that_waits_follows_a_target_that_changes() {
    let gone = Node::start("gone").await;
    let (rig, vip) = led_to(&gone).await;
    gone.kill().await;
    let mut caller = Caller::connect(vip).await;
    caller.send("hello").await;
    let other = Node::start("other").await;
    rig.enforce(2, &[route(1, vip, target(&other, 1))]).await;
    assert_eq!(caller.receive().await, "+other hello");
}

#[tokio::test]
async fn clients_that_wait_are_reset_when_the_address_closes() {
    let gone = Node::start("gone").await;
    let (rig, vip) = led_to(&gone).await;
    gone.kill().await;
    let mut callers = Vec::new();
    for _ in 0..10 {
        let mut caller = Caller::connect(vip).await;
        caller.send("hello").await;
        callers.push(caller);
    }
    assert_eq!(rig.publish(2, &[route(1, vip, None)]).await.connections, 0);
    for mut caller in callers {
        caller.assert_reset().await;
    }
}

#[tokio::test]
async fn a_client_of_a_node_that_stays_away_is_reset_after_ten_seconds() {
    let gone = Node::start("gone").await;
    let (_rig, vip) = led_to(&gone).await;
    gone.kill().await;
    let began = Instant::now();
    let mut caller = Caller::connect(vip).await;
    caller.send("hello").await;
    caller.assert_reset().await;
    assert!((9.9..15.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
}

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(7) >> 3) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_pass_both_ways_intact_and_take_little_memory() {
    const LENGTH: usize = 100 << 20;
    let redis = Redis::start(&[]);
    let rig = Rig::start().await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target_at(redis.addr, 1))]).await;
    let value = pattern(LENGTH);
    let before = resident_kib();
    let mut caller = Caller::connect(vip).await;
    let head = format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${LENGTH}\r\n");
    caller.0.write_all(head.as_bytes()).await.unwrap();
    caller.0.write_all(&value).await.unwrap();
    caller.0.write_all(b"\r\n").await.unwrap();
    caller.0.flush().await.unwrap();
    assert_eq!(caller.receive().await, "+OK");
    caller.send("GET big").await;
    assert_eq!(caller.receive().await, format!("${LENGTH}"));
    let (mut space, mut at) = (vec![0; 64 * 1024], 0);
    while at < LENGTH {
        let most = space.len().min(LENGTH - at);
        let read = soon(caller.0.read(&mut space[..most])).await.unwrap();
        assert!(space[..read] == value[at..at + read], "other bytes near {at}");
        at += read;
    }
    assert_eq!(caller.receive().await, "");
    assert_eq!(caller.ask("PING").await, "+PONG");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "it grew by {grown} KiB");
}

#[tokio::test]
async fn a_slow_reader_takes_little_memory_of_the_gateway_and_gets_everything() {
    let (_rig, mut client, mut node) = through().await;
    client.send("everything").await;
    assert_eq!(soon(read_request(&mut node)).await.unwrap().unwrap(), "everything");
    say(&mut node, format!("${}\r\n", 512 << 20).as_bytes()).await;
    let chunk = vec![7; 64 * 1024];
    let before = resident_kib();
    let mut pushed = 0u64;
    // Until the kernel's buffers are full, which shows in that nothing goes any more.
    while let Ok(written) = timeout(Duration::from_millis(300), node.get_mut().write(&chunk)).await {
        pushed += written.unwrap() as u64;
        assert!(pushed < 512 << 20, "somebody keeps all this");
    }
    assert!(resident_kib().saturating_sub(before) < 4096, "it grew by {} KiB", resident_kib().saturating_sub(before));

    assert_eq!(client.receive().await, format!("${}", 512 << 20));
    let mut received = 0;
    let mut space = vec![0; 64 * 1024];
    while received < pushed {
        received += soon(client.0.read(&mut space)).await.unwrap() as u64;
    }
    assert_eq!(received, pushed);
}
