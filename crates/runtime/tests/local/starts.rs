//! How nodes are started, and what keeps them from being started.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use futures_util::FutureExt;
use model::{EngineKind, EngineVersion, Epoch, NodeAddr, NodeSpec, Upstream};
use runtime::{Runtime, RuntimeError};

use crate::support::{Folder, again, free_addr, get, id, set, sign_in, spec};

#[tokio::test]
async fn a_node_listens_when_its_start_is_done() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    let state = runtime.ensure(spec.clone()).await.unwrap();
    assert_eq!((&state.node, state.epoch, state.addr), (&spec.node, Epoch(1), spec.addr));
    assert!(runtime.engines().contains(&state.engine));
    set(&spec, "a", "1").await;
    assert_eq!(get(&spec, "a").await.as_deref(), Some("1"));
    assert_eq!(runtime.list().await.unwrap(), [state]);
    let usage = runtime.usage(id(1)).await.unwrap().unwrap();
    assert!(usage.memory > 1_000_000 && usage.disk > 0, "{usage:?}");
    assert_eq!(runtime.usage(id(2)).await.unwrap(), None);
}

#[tokio::test]
async fn a_node_that_runs_under_its_epoch_is_left_alone() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    let first = runtime.ensure(spec.clone()).await.unwrap();
    let process = folder.process(&id(1));
    let elsewhere = NodeSpec { addr: free_addr(), ..spec };
    assert_eq!(runtime.ensure(elsewhere).await.unwrap(), first);
    assert_eq!(folder.process(&id(1)), process);
}

#[tokio::test]
async fn many_who_want_a_node_at_once_get_one_process() {
    let folder = Folder::new();
    let (one, other) = (folder.open(), folder.open());
    let spec = spec(1, 1);
    let wanted = (0..8).map(|n| if n % 2 == 0 { one.ensure(spec.clone()) } else { other.ensure(spec.clone()) });
    let states = futures_util::future::try_join_all(wanted).await.unwrap();
    assert!(states.iter().all(|state| *state == states[0]));
    folder.process(&id(1));
}

#[tokio::test]
async fn a_start_goes_on_when_nobody_waits_for_it_any_more() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    assert!(runtime.ensure(spec.clone()).now_or_never().is_none());
    let state = runtime.ensure(spec).await.unwrap();
    assert_eq!(runtime.list().await.unwrap(), [state]);
    folder.process(&id(1));
}

#[tokio::test]
async fn a_new_epoch_takes_the_place_of_the_old_one_and_an_older_one_is_refused() {
    let folder = Folder::new();
    let runtime = folder.open();
    let first = spec(1, 1);
    runtime.ensure(first.clone()).await.unwrap();
    let old = folder.process(&id(1));
    let second = NodeSpec { addr: free_addr(), ..again(&first) };
    assert_eq!(runtime.ensure(second.clone()).await.unwrap().addr, second.addr);
    assert!(!old.is_alive().unwrap());
    let running = folder.process(&id(1));
    for refused in [
        runtime.ensure(first.clone()).await.map(drop),
        runtime.stop(id(1), Epoch(1)).await,
        runtime.remove(id(1), Epoch(1)).await,
        folder.open().ensure(first).await.map(drop),
    ] {
        let stale = matches!(refused, Err(RuntimeError::Stale { asked: Epoch(1), known: Epoch(2), .. }));
        assert!(stale, "{refused:?}");
    }
    assert_eq!(folder.process(&id(1)), running);
}

#[tokio::test]
async fn what_an_interrupted_start_left_is_ended_before_the_next() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    set(&spec, "a", "1").await;
    let orphan = folder.process(&id(1));
    // As if the service had died between the start of the process and its record.
    drop(runtime);
    fs::remove_file(folder.node(&id(1)).join("node.json")).unwrap();
    let runtime = folder.open();
    assert_eq!(runtime.list().await.unwrap(), []);
    runtime.ensure(spec.clone()).await.unwrap();
    assert!(!orphan.is_alive().unwrap());
    assert_ne!(folder.process(&id(1)), orphan);
    assert_eq!(get(&spec, "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_record_of_another_boot_names_nobody() {
    let folder = Folder::new();
    let runtime = folder.open();
    let mut bystander = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    runtime.stop(id(1), Epoch(1)).await.unwrap();
    let mut process = runtime::process::ProcessRef::of(bystander.id() as i32).unwrap().unwrap();
    process.boot = "another".into();
    let record = serde_json::json!({
        "epoch": 1, "process": process, "addr": spec.addr, "engine": { "kind": "redis", "version": "7.0.0" },
    });
    fs::write(folder.node(&id(1)).join("node.json"), record.to_string()).unwrap();
    assert_eq!(folder.open().list().await.unwrap(), []);
    runtime.ensure(spec).await.unwrap();
    assert_eq!(bystander.try_wait().unwrap(), None);
    bystander.kill().and_then(|()| bystander.wait()).unwrap();
}

#[tokio::test]
async fn a_person_who_looks_into_the_folder_is_not_ended() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    let mut person = Command::new("cat").current_dir(folder.node(&id(1))).stdin(Stdio::piped()).spawn().unwrap();
    runtime.ensure(again(&spec)).await.unwrap();
    runtime.remove(id(1), Epoch(3)).await.unwrap();
    assert_eq!(person.try_wait().unwrap(), None);
    person.kill().and_then(|()| person.wait()).unwrap();
}

#[tokio::test]
async fn a_port_that_another_program_has_is_named_and_is_not_taken_for_the_node() {
    let folder = Folder::new();
    let runtime = folder.open();
    let mut deaths = runtime.watch();
    for any in ["127.0.0.1:0", "0.0.0.0:0"] {
        let other = TcpListener::bind(any).unwrap();
        let addr = NodeAddr(([127, 0, 0, 1], other.local_addr().unwrap().port()).into());
        let refused = runtime.ensure(NodeSpec { addr, ..spec(1, 1) }).await;
        assert!(matches!(refused, Err(RuntimeError::PortTaken { .. })), "{refused:?}");
        assert_eq!(folder.processes(&id(1)), []);
    }
    assert!(deaths.try_recv().is_err(), "the one who asked was told");
    runtime.ensure(spec(1, 1)).await.unwrap();
}

#[tokio::test]
async fn an_engine_that_refuses_its_settings_says_why() {
    let folder = Folder::new();
    let refused =
        folder.open().ensure(NodeSpec { settings: vec![("no-such-thing".into(), "1".into())], ..spec(1, 1) }).await;
    let Err(RuntimeError::Died { reason, .. }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("no-such-thing"), "{reason}");
}

#[tokio::test]
async fn settings_reach_the_engine() {
    let folder = Folder::new();
    let settings = [
        ("maxmemory-policy", "allkeys-lru"),
        ("client-output-buffer-limit", "normal 0 0 0 replica 1mb 1mb 60"),
        ("notify-keyspace-events", "KEA"),
        ("save", "900 1 300 10"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let spec = NodeSpec { settings, ..spec(1, 1) };
    folder.open().ensure(spec.clone()).await.unwrap();
    let mut connection = sign_in(spec.addr.0).await;
    for (name, value) in [("maxmemory-policy", "allkeys-lru"), ("save", "900 1 300 10"), ("maxclients", "100")] {
        let told: Vec<String> = redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await.unwrap();
        assert_eq!(told, [name, value]);
    }
}

#[tokio::test]
async fn an_engine_that_is_not_installed_is_named_and_what_runs_goes_on() {
    let folder = Folder::new();
    let runtime = folder.open();
    let first = spec(1, 1);
    runtime.ensure(first.clone()).await.unwrap();
    let process = folder.process(&id(1));
    let version = EngineVersion::new(200, 0, 0);
    let refused = runtime.ensure(NodeSpec { version, ..again(&first) }).await;
    assert!(matches!(refused, Err(RuntimeError::NoEngine { kind: EngineKind::Redis, .. })), "{refused:?}");
    assert_eq!(folder.process(&id(1)), process);
}

#[tokio::test]
async fn a_host_that_refuses_a_file_is_told_of_and_no_process_is_left() {
    for (file, doing) in [("users.acl.new", "access list"), ("node.json.new", "record")] {
        let folder = Folder::new();
        let runtime = folder.open();
        // What can't be written stands in for a full disk.
        fs::create_dir_all(folder.node(&id(1)).join(file)).unwrap();
        let refused = runtime.ensure(spec(1, 1)).await;
        let Err(RuntimeError::Host { doing: told, .. }) = refused else { panic!("{refused:?}") };
        assert!(told.contains(doing), "{told}");
        assert_eq!(folder.processes(&id(1)), []);
    }
}

#[tokio::test]
async fn a_folder_by_another_name_is_the_same_folder() {
    let folder = Folder::new();
    let link = folder.path().join("link");
    fs::create_dir(folder.path().join("real")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("real"), &link).unwrap();
    let open = || runtime::LocalRuntime::open(link.clone(), runtime::EngineSearch::path_and(vec![])).unwrap();
    let spec = spec(1, 1);
    open().ensure(spec.clone()).await.unwrap();
    assert_eq!(runtime::process::processes_below(&link).unwrap().len(), 1);
    open().ensure(again(&spec)).await.unwrap();
    assert_eq!(runtime::process::processes_below(&link).unwrap().len(), 1);
}

#[tokio::test]
async fn a_replica_follows_its_primary_from_its_start() {
    let folder = Folder::new();
    let runtime = folder.open();
    let primary = spec(1, 1);
    runtime.ensure(primary.clone()).await.unwrap();
    set(&primary, "a", "1").await;
    let replica = NodeSpec { upstream: Some(Upstream { addr: primary.addr }), ..spec(2, 1) };
    runtime.ensure(replica.clone()).await.unwrap();
    let mut connection = sign_in(primary.addr.0).await;
    redis::cmd("SET").arg("b").arg("2").exec_async(&mut connection).await.unwrap();
    let reached: i64 = redis::cmd("WAIT").arg(1).arg(10_000).query_async(&mut connection).await.unwrap();
    assert_eq!(reached, 1);
    assert_eq!(get(&replica, "a").await.as_deref(), Some("1"));
    assert_eq!(get(&replica, "b").await.as_deref(), Some("2"));
}
