//! How one connection fares.

mod common;

use std::time::Duration;

use common::*;
use model::Vip;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

/// A gateway with one address that leads to a node.
async fn led_to(node: &Node) -> (Rig, Vip) {
    let rig = Rig::start().await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(node, 1))]).await;
    (rig, vip)
}

/// A client's connection through a gateway, and the node's end of it.
async fn through() -> (Rig, TcpStream, TcpStream) {
    let rig = Rig::start().await;
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target_at(node.local_addr().unwrap(), 1))]).await;
    let mut client = TcpStream::connect(vip.0).await.unwrap();
    let (mut stream, _) = soon(node.accept()).await.unwrap();
    // A connection that breaks before it was used would be made anew.
    client.write_all(b"?").await.unwrap();
    assert_eq!(soon(stream.read_u8()).await.unwrap(), b'?');
    stream.write_all(b"!").await.unwrap();
    assert_eq!(soon(client.read_u8()).await.unwrap(), b'!');
    // It lives on, whatever becomes of this connection.
    tokio::spawn(async move { while node.accept().await.is_ok() {} });
    (rig, client, stream)
}

#[tokio::test]
async fn what_a_client_sends_before_it_ends_its_side_is_answered() {
    let (_rig, mut client, mut node) = through().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();

    let mut heard = String::new();
    soon(node.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "question");
    node.write_all(b"answer").await.unwrap();
    drop(node);
    heard.clear();
    soon(client.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "answer");
}

#[tokio::test]
async fn what_a_client_sends_before_it_resets_arrives() {
    let (rig, mut client, mut node) = through().await;
    client.write_all(b"last words").await.unwrap();
    let mut heard = [0; 10];
    soon(node.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"last words");

    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(soon(node.read(&mut heard)).await.unwrap(), 0);
    soon(async { while rig.control.report().await.unwrap().connections > 0 {} }).await;
}

#[tokio::test]
async fn a_node_that_ends_a_connection_in_order_is_passed_on_as_that() {
    let node = Node::start("node").await;
    let (rig, vip) = led_to(&node).await;
    let mut caller = Caller::connect(vip).await;
    caller.send("quit").await;
    assert_eq!(caller.end().await, ("node quit\n".to_owned(), Ending::Orderly));
    drop(caller);
    soon(async { while rig.control.report().await.unwrap().connections > 0 {} }).await;
}

#[tokio::test]
async fn a_request_that_the_node_ends_on_is_a_reset_although_the_node_lives() {
    let node = Node::start("node").await;
    let (_rig, vip) = led_to(&node).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("hello").await, "node hello");
    caller.send("drop").await;
    caller.assert_reset().await;
}

#[tokio::test]
async fn the_death_of_a_node_is_a_reset_for_those_who_wait_and_for_those_who_do_not() {
    let node = Node::start("node").await;
    let (_rig, vip) = led_to(&node).await;
    let mut idle = Caller::connect(vip).await;
    assert_eq!(idle.ask("hello").await, "node hello");
    let mut waiting = Caller::connect(vip).await;
    assert_eq!(waiting.ask("hello").await, "node hello");
    waiting.send("hush").await;
    // Its last word came after the client's last, and yet a request is open: pipelined.
    let mut pipelining = Caller::connect(vip).await;
    assert_eq!(pipelining.ask("hush\nhello").await, "node hello");

    node.kill().await;
    idle.assert_reset().await;
    waiting.assert_reset().await;
    pipelining.assert_reset().await;
}

#[tokio::test]
async fn a_node_that_resets_a_connection_is_passed_on_as_that() {
    let (_rig, mut client, node) = through().await;
    node.set_zero_linger().unwrap();
    drop(node);
    let error = soon(client.read(&mut [0])).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn the_last_words_of_a_node_that_will_not_listen_are_delivered() {
    let (_rig, client, mut node) = through().await;
    node.write_all(b"too many clients").await.unwrap();
    // With unread bytes in its socket, the node's end is a reset.
    let mut client = Caller(tokio::io::BufStream::new(client));
    client.send("hello").await;
    soon(node.readable()).await.unwrap();
    drop(node);
    assert_eq!(client.end().await, ("too many clients".to_owned(), Ending::Reset));
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
        assert_eq!(caller.receive().await, "second hello");
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
    assert_eq!(caller.receive().await, "other hello");
}

#[tokio::test]
async fn clients_that_wait_are_reset_when_the_address_closes() {
    let gone = Node::start("gone").await;
    let (rig, vip) = led_to(&gone).await;
    gone.kill().await;
    let mut callers = Vec::new();
    for _ in 0..10 {
        callers.push(Caller::connect(vip).await);
    }
    assert_eq!(rig.publish(2, &[route(1, vip, None)]).await.connections, 0);
    for mut caller in callers {
        caller.assert_reset().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_a_node_that_stays_away_is_reset_after_ten_seconds() {
    let gone = Node::start("gone").await;
    let (_rig, vip) = led_to(&gone).await;
    gone.kill().await;
    let began = Instant::now();
    let mut client = TcpStream::connect(vip.0).await.unwrap();
    let error = client.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!((10.0..11.0).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_to_a_restarted_node_is_kept_when_the_table_names_the_new_start() {
    let node = Node::start("first").await;
    let (rig, vip) = led_to(&node).await;
    let mut old = Caller::connect(vip).await;
    assert_eq!(old.ask("hello").await, "first hello");
    let addr = node.addr;
    node.kill().await;
    old.assert_reset().await;

    let node = Node::start_at(addr, "second").await;
    let mut early = Caller::connect(vip).await;
    assert_eq!(early.ask("hello").await, "second hello");
    rig.enforce(2, &[route(1, vip, target(&node, 2))]).await;
    assert_eq!(early.ask("still here").await, "second still here");
    rig.enforce(3, &[route(1, vip, target(&node, 3))]).await;
    early.assert_reset().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_mebibytes_pass_both_ways_at_once_intact() {
    const LENGTH: usize = 100 << 20;
    let (_rig, client, node) = through().await;
    let (client_in, client_out) = client.into_split();
    let (node_in, node_out) = node.into_split();
    // The halves come back, and are kept until both directions are through: an end amid a request would be a reset.
    let up = (tokio::spawn(send_pattern(client_out, 3, LENGTH)), tokio::spawn(check_pattern(node_in, 3, LENGTH)));
    let down = (tokio::spawn(send_pattern(node_out, 7, LENGTH)), tokio::spawn(check_pattern(client_in, 7, LENGTH)));
    let through = async { (up.0.await, up.1.await, down.0.await, down.1.await) };
    let (a, b, c, d) = timeout(Duration::from_secs(120), through).await.unwrap();
    assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
}

async fn send_pattern(mut stream: OwnedWriteHalf, seed: usize, length: usize) -> OwnedWriteHalf {
    let mut sent = 0;
    while sent < length {
        let chunk = pattern(seed, sent, (length - sent).min(100_000));
        stream.write_all(&chunk).await.unwrap();
        sent += chunk.len();
    }
    stream
}

async fn check_pattern(mut stream: OwnedReadHalf, seed: usize, length: usize) -> OwnedReadHalf {
    let (mut received, mut space) = (0, vec![0; 100_000]);
    while received < length {
        let read = stream.read(&mut space).await.unwrap();
        assert!(read > 0, "it ended after {received} bytes");
        assert!(space[..read] == pattern(seed, received, read), "other bytes near {received}");
        received += read;
    }
    stream
}

/// Bytes that tell where they belong.
fn pattern(seed: usize, from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|at| (at.wrapping_mul(seed) >> 3) as u8).collect()
}

#[tokio::test]
async fn a_slow_reader_takes_no_memory_of_the_gateway_and_gets_everything() {
    let (_rig, mut client, mut node) = through().await;
    let chunk = vec![7; 64 * 1024];
    let before = resident_kib();
    let mut pushed = 0u64;
    // Until the kernel's buffers are full, which shows in that nothing goes any more.
    while let Ok(written) = timeout(Duration::from_millis(300), node.write(&chunk)).await {
        pushed += written.unwrap() as u64;
        assert!(pushed < 512 << 20, "somebody keeps all this");
    }
    assert!(resident_kib().saturating_sub(before) < 1024, "it grew by {} KiB", resident_kib().saturating_sub(before));

    let mut received = 0;
    let mut space = vec![0; 64 * 1024];
    while received < pushed {
        received += soon(client.read(&mut space)).await.unwrap() as u64;
    }
    assert_eq!(received, pushed);
}
