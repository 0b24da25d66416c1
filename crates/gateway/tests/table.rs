//! What a routing table means.

mod common;

use std::time::{Duration, Instant};

use common::*;
use gateway::ClientError;
use model::{RoutingTable, Vip};

#[tokio::test]
async fn an_address_leads_to_its_node() {
    let rig = Rig::start().await;
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let (x, y) = (free_vip(), free_vip());
    rig.enforce(1, &[route(1, x, target(&a, 1)), route(2, y, target(&b, 1))]).await;
    assert_eq!(ask_once(x, "hello").await, "+a hello");
    assert_eq!(ask_once(y, "hello").await, "+b hello");
}

#[tokio::test]
async fn an_ipv6_address_is_an_address_too() {
    let rig = Rig::start().await;
    let node = Node::start_at("[::1]:0".parse().unwrap(), "node").await;
    let vip = Vip(std::net::TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap());
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
}

#[tokio::test]
async fn connections_survive_a_table_that_changes_other_routes() {
    let rig = Rig::start().await;
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let (x, y, z) = (free_vip(), free_vip(), free_vip());
    rig.enforce(1, &[route(1, x, target(&a, 1)), route(2, y, target(&a, 1))]).await;
    let mut kept = Caller::connect(x).await;
    assert_eq!(kept.ask("before").await, "+a before");

    rig.enforce(2, &[route(3, z, target(&b, 1)), route(2, y, target(&b, 1)), route(1, x, target(&a, 1))]).await;
    assert_eq!(kept.ask("changed").await, "+a changed");
    rig.enforce(3, &[route(1, x, target(&a, 1))]).await;
    assert_eq!(kept.ask("gone").await, "+a gone");
}

#[tokio::test]
async fn connections_survive_the_control_plane() {
    let mut rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    let routes = [route(1, vip, target(&node, 1))];
    rig.enforce(1, &routes).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("one").await, "+node one");

    rig.control = gateway::Client::new(rig.dir());
    assert_eq!(caller.ask("two").await, "+node two");
    rig.enforce(1, &routes).await;
    rig.enforce(2, &routes).await;
    assert_eq!(caller.ask("three").await, "+node three");
}

#[tokio::test]
async fn a_control_connection_that_says_nothing_or_nonsense_harms_nobody() {
    use tokio::io::AsyncWriteExt as _;
    let rig = Rig::start().await;
    let socket = rig.dir().join("gateway/control.sock");
    let _silent = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let mut loud = tokio::net::UnixStream::connect(&socket).await.unwrap();
    loud.write_all(b"{\"publish\": 7}\n").await.unwrap();
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
}

#[tokio::test]
async fn a_route_that_disappears_has_its_connections_reset_and_its_address_given_back() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("hello").await, "+node hello");

    rig.enforce(2, &[]).await;
    assert_refuses(vip).await;
    assert!(can_be_taken(vip));
    caller.assert_reset().await;
}

#[tokio::test]
async fn a_closed_address_refuses_and_stays_reserved() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    // Closed from the start, after it was open, and again.
    for round in 0..3 {
        rig.enforce(2 * round + 1, &[route(1, vip, None)]).await;
        assert_refuses(vip).await;
        assert!(!can_be_taken(vip));

        rig.enforce(2 * round + 2, &[route(1, vip, target(&node, 1))]).await;
        assert!(!can_be_taken(vip));
        assert_eq!(ask_once(vip, "hello").await, "+node hello");
    }
}

#[tokio::test]
async fn an_address_that_closes_has_its_connections_reset() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    let mut caller = Caller::connect(vip).await;
    assert_eq!(caller.ask("hello").await, "+node hello");
    rig.enforce(2, &[route(1, vip, None)]).await;
    caller.assert_reset().await;
}

#[tokio::test]
async fn another_node_takes_over_and_connections_go_on_with_it() {
    let rig = Rig::start().await;
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&a, 1))]).await;
    let mut old = Caller::connect(vip).await;
    assert_eq!(old.ask("hello").await, "+a hello");

    rig.enforce(2, &[route(1, vip, target(&b, 1))]).await;
    assert_eq!(ask_once(vip, "hello").await, "+b hello");
    assert_eq!(old.ask("hello").await, "+b hello");
}

#[tokio::test]
async fn another_epoch_of_the_same_node_changes_nothing_for_clients() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    let mut old = Caller::connect(vip).await;
    assert_eq!(old.ask("hello").await, "+node hello");

    rig.enforce(2, &[route(1, vip, target(&node, 2))]).await;
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
    assert_eq!(old.ask("again").await, "+node again");
}

#[tokio::test]
async fn when_a_table_is_in_force_nothing_more_reaches_the_former_target() {
    let rig = Rig::start().await;
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&a, 1))]).await;
    let mut callers = Vec::new();
    for _ in 0..100 {
        let mut caller = Caller::connect(vip).await;
        assert_eq!(caller.ask("hello").await, "+a hello");
        callers.push(caller);
    }
    assert_eq!(rig.control.report().await.unwrap().connections, 100);
    rig.enforce(2, &[route(1, vip, target(&b, 1))]).await;
    for mut caller in callers {
        assert_eq!(caller.ask("hello").await, "+b hello");
    }
}

#[tokio::test]
async fn an_instance_that_gets_another_address_leaves_the_old_one() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let (old, new) = (free_vip(), free_vip());
    rig.enforce(1, &[route(1, old, target(&node, 1))]).await;
    let mut caller = Caller::connect(old).await;
    assert_eq!(caller.ask("hello").await, "+node hello");

    rig.enforce(2, &[route(1, new, target(&node, 1))]).await;
    assert_eq!(ask_once(new, "hello").await, "+node hello");
    assert_refuses(old).await;
    caller.assert_reset().await;
}

#[tokio::test]
async fn two_instances_can_swap_their_addresses() {
    let rig = Rig::start().await;
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let (x, y) = (free_vip(), free_vip());
    rig.enforce(1, &[route(1, x, target(&a, 1)), route(2, y, target(&b, 1))]).await;
    rig.enforce(2, &[route(1, y, target(&a, 1)), route(2, x, target(&b, 1))]).await;
    assert_eq!(ask_once(x, "hello").await, "+b hello");
    assert_eq!(ask_once(y, "hello").await, "+a hello");
}

#[tokio::test]
async fn an_older_table_is_dropped_and_answered_with_the_newer_version() {
    let rig = Rig::start().await;
    let (a, b) = (Node::start("a").await, Node::start("b").await);
    let vip = free_vip();
    rig.enforce(5, &[route(1, vip, target(&a, 1))]).await;
    assert_eq!(rig.publish(4, &[route(1, vip, target(&b, 2))]).await.version, 5);
    assert_eq!(ask_once(vip, "hello").await, "+a hello");
}

#[tokio::test]
async fn the_table_in_force_again_changes_nothing_in_whatever_order() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let routes = [route(1, free_vip(), target(&node, 1)), route(2, free_vip(), None)];
    rig.enforce(1, &routes).await;
    let mut caller = Caller::connect(routes[0].vip).await;
    assert_eq!(caller.ask("hello").await, "+node hello");
    rig.enforce(1, &[routes[1].clone(), routes[0].clone()]).await;
    assert_eq!(caller.ask("again").await, "+node again");
}

#[tokio::test]
async fn a_table_that_contradicts_itself_or_the_one_in_force_is_refused() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;

    for (version, routes, reason) in [
        (1, vec![route(1, vip, None)], "version 1 is in force with other routes"),
        (2, vec![route(1, vip, None), route(2, vip, None)], "is the address of both"),
    ] {
        let refusal = rig.control.publish(&RoutingTable { version, routes }).await.unwrap_err();
        assert!(matches!(&refusal, ClientError::Refused(why) if why.contains(reason)), "{refusal}");
    }
    assert_eq!(ask_once(vip, "hello").await, "+node hello");
}

#[tokio::test]
async fn a_taken_port_is_reported_and_heals_by_itself() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let (taken, reserved, other) = (free_vip(), free_vip(), free_vip());
    let thieves = [taken, reserved].map(|vip| std::net::TcpListener::bind(vip.0).unwrap());
    let routes = [route(1, taken, target(&node, 1)), route(2, reserved, None), route(3, other, target(&node, 1))];
    let report = rig.publish(1, &routes).await;
    assert_eq!(report.version, 1);
    assert_eq!(report.failures.len(), 2);
    for (vip, number) in [(taken, 1), (reserved, 2)] {
        let failure = report.failures.iter().find(|failure| failure.vip == vip).unwrap();
        assert_eq!(failure.instance, instance(number));
        assert_eq!(failure.reason, format!("another process has port {} of {}", vip.0.port(), vip.0.ip()));
    }
    assert_eq!(ask_once(other, "hello").await, "+node hello");

    drop(thieves);
    let healed = async { while !rig.control.report().await.unwrap().failures.is_empty() {} };
    soon(healed).await;
    assert_eq!(ask_once(taken, "hello").await, "+node hello");
    assert_refuses(reserved).await;
    assert!(!can_be_taken(reserved));
}

#[tokio::test]
async fn an_address_that_the_host_does_not_have_is_reported() {
    let rig = Rig::start().await;
    let report = rig.publish(1, &[route(1, Vip("203.0.113.7:6379".parse().unwrap()), None)]).await;
    assert_eq!(report.failures[0].reason, "this host does not have the address 203.0.113.7");
}

#[tokio::test]
async fn thousands_of_routes_come_into_force_and_go_in_a_moment() {
    let rig = Rig::start().await;
    let node = Node::start("node").await;
    let first = free_vip();
    let mut routes: Vec<_> = (0..2000u16)
        .map(|number| {
            let ip = std::net::Ipv4Addr::new(127, 90, (number / 200) as u8, (number % 200) as u8 + 1);
            let vip = Vip((ip, first.0.port()).into());
            route(u64::from(number), vip, if number % 4 == 0 { None } else { target(&node, 1) })
        })
        .collect();
    // And a quarter as many that fail.
    routes.extend((0..500u16).map(|number| {
        let ip = std::net::Ipv4Addr::new(203, 0, 113, (number % 250) as u8 + 1);
        route(10_000 + u64::from(number), Vip((ip, 7000 + number).into()), None)
    }));
    let began = Instant::now();
    let report = rig.publish(1, &routes).await;
    assert_eq!(report.failures.len(), 500);
    assert_eq!(ask_once(routes[1999].vip, "hello").await, "+node hello");
    rig.enforce(2, &[]).await;
    assert_refuses(routes[1999].vip).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
