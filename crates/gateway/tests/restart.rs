//! What outlives the gateway's process, and that there is one at a time.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::*;
use gateway::{Client, ClientError, Error};

#[tokio::test]
async fn a_gateway_that_restarts_alone_brings_every_address_back() {
    let mut rig = Rig::start().await;
    let node = Node::start("node").await;
    let (open, closed) = (free_vip(), free_vip());
    rig.enforce(7, &[route(1, open, target(&node, 1)), route(2, closed, None)]).await;

    for _ in 0..3 {
        let mut caller = Caller::connect(open).await;
        assert_eq!(caller.ask("hello").await, "+node hello");
        rig.stop().await;
        rig.restart().await;
        assert_eq!(ask_once(open, "hello").await, "+node hello");
        assert_refuses(closed).await;
        assert!(!can_be_taken(closed));
        assert_eq!(rig.control.report().await.unwrap().version, 7);
    }
    assert_eq!(rig.publish(6, &[]).await.version, 7);
}

#[tokio::test]
async fn a_gateway_that_ends_resets_its_connections_and_gives_its_addresses_back() {
    let mut rig = Rig::start().await;
    let node = Node::start("node").await;
    let (open, closed) = (free_vip(), free_vip());
    rig.enforce(1, &[route(1, open, target(&node, 1)), route(2, closed, None)]).await;
    let mut caller = Caller::connect(open).await;
    assert_eq!(caller.ask("hello").await, "+node hello");

    rig.stop().await;
    assert!(can_be_taken(open) && can_be_taken(closed));
    assert_refuses(open).await;
    caller.assert_reset().await;
}

#[tokio::test]
async fn a_gateway_that_is_killed_resets_its_clients_and_the_next_one_takes_over() {
    let mut rig = Rig::start().await;
    rig.stop().await;
    let killed = Process(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_gateway_that_the_test_above_kills", "--ignored"])
            .env(KILLED_IN, rig.dir())
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    rig.answers().await;
    let node = Node::start("node").await;
    let (open, closed) = (free_vip(), free_vip());
    rig.enforce(1, &[route(1, open, target(&node, 1)), route(2, closed, None)]).await;
    let mut caller = Caller::connect(open).await;
    assert_eq!(caller.ask("hello").await, "+node hello");

    drop(killed);
    caller.assert_reset().await;
    rig.restart().await;
    assert_eq!(ask_once(open, "hello").await, "+node hello");
    assert_refuses(closed).await;
}

const KILLED_IN: &str = "GATEWAY_TEST_KILLED_IN";

#[tokio::test]
#[ignore = "is no test but the process of one"]
async fn the_gateway_that_the_test_above_kills() {
    if let Some(dir) = std::env::var_os(KILLED_IN) {
        let relays = gateway::run(dir.as_ref(), std::future::pending()).await.unwrap();
        assert!(relays.are_over());
    }
}

/// A process that ends with this value, by kill -9.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_second_gateway_of_the_same_folder_is_refused_and_the_first_goes_on() {
    let mut rig = Rig::start().await;
    let second = gateway::run(rig.dir(), std::future::pending()).await;
    assert!(matches!(second, Err(Error::AlreadyRunning(dir)) if dir == rig.dir()));
    assert_eq!(rig.control.report().await.unwrap().version, 0);
    rig.stop().await;
    rig.restart().await;
}

#[tokio::test]
async fn the_path_of_the_folder_may_be_longer_than_that_of_a_socket() {
    let mut rig = Rig::start_below(&format!("{0}/{0}/{0}", "d".repeat(200))).await;
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    rig.stop().await;
    rig.restart().await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
}

#[tokio::test]
async fn nobody_else_may_speak_with_it() {
    let rig = Rig::start().await;
    rig.enforce(1, &[]).await;
    let mode = |name: &str| std::fs::metadata(rig.dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("gateway"), 0o700);
    assert_eq!(mode("gateway/control.sock"), 0o600);
    assert_eq!(mode("gateway/routes.json"), 0o600);
}

#[tokio::test]
async fn a_socket_that_a_killed_gateway_left_behind_is_replaced() {
    let mut rig = Rig::start().await;
    rig.stop().await;
    let socket = rig.dir().join("gateway/control.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    rig.restart().await;
    rig.enforce(1, &[]).await;
}

#[tokio::test]
async fn a_table_that_cannot_be_read_does_not_keep_the_gateway_from_starting() {
    let mut rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(9, &[route(1, vip, target(&node, 1))]).await;
    rig.stop().await;
    std::fs::write(rig.dir().join("gateway/routes.json"), "{\"version\": 9, \"rou").unwrap();
    rig.restart().await;
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
}

#[tokio::test]
async fn a_table_that_cannot_be_saved_is_in_force_and_saved_as_soon_as_it_can_be() {
    let mut rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    let obstacle = rig.dir().join("gateway/routes.json.new");
    std::fs::create_dir(&obstacle).unwrap();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");

    std::fs::remove_dir(&obstacle).unwrap();
    let table = rig.dir().join("gateway/routes.json");
    soon(async {
        while !table.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    rig.stop().await;
    rig.restart().await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
}

#[tokio::test]
async fn a_client_says_that_no_gateway_answers() {
    let mut rig = Rig::start().await;
    rig.stop().await;
    for dir in [rig.dir(), &rig.dir().join("elsewhere")] {
        let error = Client::new(dir).report().await.unwrap_err();
        assert!(matches!(&error, ClientError::NotRunning { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_does_not_wait_for_ever_for_a_gateway_that_hangs() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("gateway")).unwrap();
    let _hangs = std::os::unix::net::UnixListener::bind(home.path().join("gateway/control.sock")).unwrap();
    let began = tokio::time::Instant::now();
    let error = Client::new(home.path()).report().await.unwrap_err();
    assert!(matches!(error, ClientError::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(30));
}
