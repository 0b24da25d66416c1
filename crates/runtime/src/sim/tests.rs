use futures_util::FutureExt;
use model::{EngineKind, EngineVersion, Epoch, NodeAddr, NodeId, NodeSpec, Secret, Upstream};
use tokio::sync::broadcast::error::TryRecvError;

use super::*;

fn id(n: u8) -> NodeId {
    NodeId::from_random([n; 20])
}

fn addr(n: u8) -> NodeAddr {
    NodeAddr(([127, 0, 0, 1], 7000 + u16::from(n)).into())
}

fn spec(n: u8, epoch: i64) -> NodeSpec {
    NodeSpec {
        node: id(n),
        epoch: Epoch(epoch),
        engine: EngineKind::Redis,
        version: EngineVersion::new(7, 0, 0),
        addr: addr(n),
        maxmemory: 1 << 30,
        maxclients: 1000,
        users: vec![],
        admin_name: "admin".into(),
        admin_password: Secret::new("x"),
        upstream: None,
        has_data: false,
        settings: vec![],
    }
}

fn replica(n: u8, of: u8, epoch: i64) -> NodeSpec {
    NodeSpec { upstream: Some(Upstream { addr: addr(of) }), ..spec(n, epoch) }
}

fn now<T>(future: BoxFuture<'_, T>) -> T {
    future.now_or_never().expect("a simulated runtime answers at once")
}

fn world() -> (SimWorld, SimRuntime) {
    let world = SimWorld::new();
    (world.clone(), SimRuntime::new(world))
}

#[test]
fn a_stopped_node_keeps_its_keys_and_a_removed_one_loses_them() {
    let (world, runtime) = world();
    now(runtime.ensure(spec(1, 1))).unwrap();
    world.write_key(&id(1), "a").unwrap();
    now(runtime.stop(id(1), Epoch(2))).unwrap();
    assert_eq!(world.keys(&id(1)), Err(Unanswered::Refused));
    now(runtime.ensure(spec(1, 2))).unwrap();
    assert!(world.keys(&id(1)).unwrap().contains("a"));
    now(runtime.remove(id(1), Epoch(3))).unwrap();
    assert_eq!(world.data(&id(1)), None);
    assert!(matches!(now(runtime.ensure(spec(1, 2))), Err(RuntimeError::Stale { known: Epoch(3), .. })));
}

#[test]
fn a_node_that_runs_under_its_epoch_is_left_alone() {
    let (world, runtime) = world();
    for _ in 0..3 {
        now(runtime.ensure(spec(1, 1))).unwrap();
    }
    assert_eq!(world.starts(&id(1)), 1);
    now(runtime.ensure(spec(1, 2))).unwrap();
    assert_eq!((world.starts(&id(1)), world.running(&id(1))), (2, Some(Epoch(2))));
    assert!(matches!(now(runtime.ensure(spec(1, 1))), Err(RuntimeError::Stale { .. })));
}

#[test]
fn a_start_takes_its_users_and_its_upstream_from_the_spec() {
    let (world, runtime) = world();
    now(runtime.ensure(spec(1, 1))).unwrap();
    now(runtime.ensure(spec(2, 1))).unwrap();
    world.replicate(&id(2), Some(addr(1))).unwrap();
    world.set_users(&id(2), vec![model::AclUser { name: "a".into(), rules: Secret::new("on") }]).unwrap();
    now(runtime.ensure(spec(2, 2))).unwrap();
    assert_eq!(world.upstream(&id(2)), Ok(None));
    assert!(world.users(&id(2)).unwrap().is_empty());
}

#[test]
fn replicas_have_what_their_primary_has_as_long_as_their_link_is_up() {
    let (world, runtime) = world();
    now(runtime.ensure(replica(1, 2, 1))).unwrap();
    now(runtime.ensure(replica(2, 3, 1))).unwrap();
    assert_eq!(world.link_up(&id(2)), Ok(false));
    now(runtime.ensure(spec(3, 1))).unwrap();
    world.write_key(&id(3), "a").unwrap();
    assert_eq!(world.link_up(&id(2)), Ok(true));
    assert!(world.keys(&id(1)).unwrap().contains("a"));
    assert_eq!(world.write_key(&id(1), "b"), Err(Unanswered::ReadOnly));
    world.set_link_cut(&id(2), true);
    world.flush(&id(3)).unwrap();
    assert!(world.keys(&id(1)).unwrap().contains("a"));
    world.set_link_cut(&id(2), false);
    assert!(world.keys(&id(1)).unwrap().is_empty());
}

#[test]
fn a_death_is_told_and_an_end_on_request_is_not() {
    let (world, runtime) = world();
    let mut deaths = runtime.watch();
    now(runtime.ensure(spec(1, 1))).unwrap();
    now(runtime.stop(id(1), Epoch(1))).unwrap();
    world.kill(&id(1));
    assert_eq!(deaths.try_recv(), Err(TryRecvError::Empty));
    now(runtime.ensure(spec(1, 2))).unwrap();
    world.kill(&id(1));
    assert_eq!(deaths.try_recv(), Ok(NodeEvent::Died { node: id(1), epoch: Epoch(2) }));
    assert_eq!(now(runtime.list()).unwrap(), []);
}

#[test]
fn each_fault_leaves_the_world_that_it_promises() {
    for (fault, answers, runs) in [
        (Fault::Refuse, Some(false), false),
        (Fault::DieAtStart, Some(false), false),
        (Fault::DieAfterStart, Some(true), false),
        (Fault::LoseAnswer, Some(false), true),
        (Fault::Hang, None, false),
    ] {
        let (world, runtime) = world();
        world.fail_ensure(2, fault);
        now(runtime.ensure(spec(1, 1))).unwrap();
        let answer = runtime.ensure(spec(2, 1)).now_or_never();
        assert_eq!(answer.map(|answer| answer.is_ok()), answers, "{fault:?}");
        assert_eq!(world.running(&id(2)).is_some(), runs, "{fault:?}");
        now(runtime.ensure(spec(2, 1))).unwrap();
        assert_eq!(world.orphans(&[id(1)]), [id(2)]);
    }
}

#[test]
fn two_nodes_cannot_have_one_address() {
    let (world, runtime) = world();
    now(runtime.ensure(spec(1, 1))).unwrap();
    let taken = NodeSpec { addr: addr(1), ..spec(2, 1) };
    assert!(matches!(now(runtime.ensure(taken)), Err(RuntimeError::Died { .. })));
    assert_eq!(world.running(&id(2)), None);
}

#[test]
fn a_silent_node_runs_and_has_no_answer() {
    let (world, runtime) = world();
    now(runtime.ensure(spec(1, 1))).unwrap();
    world.set_silent(&id(1), true);
    assert_eq!(world.ping(&id(1)), Err(Unanswered::Silent));
    assert_eq!(now(runtime.list()).unwrap().len(), 1);
}
