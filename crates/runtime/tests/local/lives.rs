//! How nodes go on, die and are ended.

use std::fs;
use std::time::Duration;

use model::{Epoch, NodeSpec};
use runtime::process::{end_all, processes_below};
use runtime::{NodeEvent, Runtime, RuntimeError};

use crate::support::{Folder, again, free_addr, get, id, next_death, set, spec};

#[tokio::test]
async fn a_node_outlives_its_runtime_and_the_next_one_tells_of_its_death() {
    let folder = Folder::new();
    let spec = spec(1, 1);
    let state = folder.open().ensure(spec.clone()).await.unwrap();
    let process = folder.process(&id(1));

    let runtime = folder.open();
    assert_eq!(runtime.list().await.unwrap(), std::slice::from_ref(&state));
    assert_eq!(runtime.ensure(spec).await.unwrap(), state);
    let mut deaths = runtime.watch();
    process.terminate(Duration::ZERO).unwrap();
    assert_eq!(next_death(&mut deaths).await, NodeEvent::Died { node: id(1), epoch: Epoch(1) });
    assert_eq!(runtime.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_node_that_another_service_started_is_watched_once_it_was_listed() {
    let folder = Folder::new();
    let (one, other) = (folder.open(), folder.open());
    let state = one.ensure(spec(1, 1)).await.unwrap();
    let mut deaths = other.watch();
    assert_eq!(other.list().await.unwrap(), [state]);
    folder.process(&id(1)).terminate(Duration::ZERO).unwrap();
    assert_eq!(next_death(&mut deaths).await, NodeEvent::Died { node: id(1), epoch: Epoch(1) });
}

#[tokio::test]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let folder = Folder::new();
    let runtime = folder.open();
    let mut deaths = runtime.watch();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    for n in 0..100 {
        set(&spec, &format!("key:{n}"), "1").await;
    }
    let process = folder.process(&id(1));
    process.terminate(Duration::ZERO).unwrap();
    next_death(&mut deaths).await;
    assert!(!fs::exists(format!("/proc/{}", process.pid)).unwrap(), "it is no zombie");
    runtime.ensure(again(&spec)).await.unwrap();
    for n in 0..100 {
        assert_eq!(get(&spec, &format!("key:{n}")).await.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_dead_node_can_be_started_again_under_its_epoch() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    folder.process(&id(1)).terminate(Duration::ZERO).unwrap();
    runtime.ensure(spec.clone()).await.unwrap();
    folder.process(&id(1));
}

#[tokio::test]
async fn a_stopped_node_keeps_its_data_and_its_epoch() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    set(&spec, "a", "1").await;
    for _ in 0..2 {
        runtime.stop(id(1), Epoch(2)).await.unwrap();
        assert_eq!(folder.processes(&id(1)), []);
    }
    assert!(matches!(folder.open().ensure(spec.clone()).await, Err(RuntimeError::Stale { known: Epoch(2), .. })));
    let next = again(&spec);
    runtime.ensure(next.clone()).await.unwrap();
    assert_eq!(get(&next, "a").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_node_that_has_lost_its_data_is_not_started_empty() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    runtime.stop(id(1), Epoch(1)).await.unwrap();
    let next = model::NodeSpec { has_data: true, ..again(&spec) };
    let data = folder.path().join("nodes").join(id(1).as_str()).join("appendonlydir");
    let away = folder.path().join("away");
    fs::rename(&data, &away).unwrap();
    assert!(matches!(runtime.ensure(next.clone()).await, Err(RuntimeError::DataMissing { .. })));
    assert_eq!(folder.processes(&id(1)), []);
    fs::rename(&away, &data).unwrap();
    runtime.ensure(next).await.unwrap();
}

/// A copy's records name the processes of the original.
#[tokio::test]
async fn what_runs_for_the_original_of_a_copied_folder_is_left_alone() {
    let folder = Folder::new();
    let runtime = folder.open();
    runtime.ensure(spec(1, 1)).await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    let place = copy.path().join("nodes").join(id(1).as_str());
    fs::create_dir_all(&place).unwrap();
    fs::copy(folder.node(&id(1)).join("node.json"), place.join("node.json")).unwrap();
    let path = copy.path().to_owned();
    let ended = tokio::task::spawn_blocking(move || runtime::process::end_all(&path, std::time::Duration::ZERO));
    assert_eq!(ended.await.unwrap().unwrap(), 0);
    assert_eq!(runtime.list().await.unwrap().len(), 1);
}

/// A shell exports variables of its own to what it runs.
#[tokio::test]
async fn an_engine_behind_a_script_is_ended_with_the_others() {
    let folder = Folder::new();
    let script = folder.path().join("engine.sh");
    fs::write(&script, "#!/bin/sh\nexport SOME=thing\nexec redis-server \"$@\"\n").unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let search = runtime::EngineSearch { folders: vec![], programs: vec![script] };
    let runtime = runtime::LocalRuntime::open(folder.path().to_owned(), search).unwrap();
    runtime.ensure(spec(1, 1)).await.unwrap();
    let path = folder.path().to_owned();
    let ended = tokio::task::spawn_blocking(move || runtime::process::end_all(&path, std::time::Duration::ZERO));
    assert_eq!(ended.await.unwrap().unwrap(), 1);
    assert_eq!(runtime.list().await.unwrap(), []);
}

#[tokio::test]
async fn a_removed_node_leaves_nothing_and_does_not_come_back() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    set(&spec, "a", "1").await;
    let process = folder.process(&id(1));
    for _ in 0..2 {
        runtime.remove(id(1), Epoch(2)).await.unwrap();
        assert!(!process.is_alive().unwrap());
        assert_eq!(fs::read_dir(folder.path().join("nodes")).unwrap().count(), 0);
    }
    assert_eq!(runtime.list().await.unwrap(), []);
    for runtime in [runtime, folder.open()] {
        let refused = runtime.ensure(spec.clone()).await;
        assert!(matches!(refused, Err(RuntimeError::Stale { known: Epoch(2), .. })), "{refused:?}");
    }
    assert_eq!(fs::read_dir(folder.path().join("nodes")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_removal_that_was_interrupted_is_no_node_and_is_finished() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    runtime.stop(id(1), Epoch(1)).await.unwrap();
    let half = folder.node(&id(1)).with_extension("removed");
    fs::rename(folder.node(&id(1)), &half).unwrap();
    assert_eq!(runtime.list().await.unwrap(), []);
    runtime.remove(id(1), Epoch(1)).await.unwrap();
    assert!(!half.exists());
}

#[tokio::test]
async fn only_deaths_that_nobody_asked_for_are_told() {
    let folder = Folder::new();
    let (runtime, other) = (folder.open(), folder.open());
    let first = spec(1, 1);
    runtime.ensure(first.clone()).await.unwrap();
    other.list().await.unwrap();
    let (mut deaths, mut deaths_elsewhere) = (runtime.watch(), other.watch());
    runtime.ensure(again(&first)).await.unwrap();
    runtime.stop(id(1), Epoch(2)).await.unwrap();
    runtime.ensure(again(&first)).await.unwrap();
    runtime.remove(id(1), Epoch(2)).await.unwrap();
    // The next that is told is the one after all these.
    runtime.ensure(spec(2, 1)).await.unwrap();
    other.list().await.unwrap();
    folder.process(&id(2)).terminate(Duration::ZERO).unwrap();
    for deaths in [&mut deaths, &mut deaths_elsewhere] {
        assert_eq!(next_death(deaths).await, NodeEvent::Died { node: id(2), epoch: Epoch(1) });
    }
}

#[tokio::test]
async fn all_nodes_can_be_ended_at_once_and_come_back() {
    let folder = Folder::new();
    let runtime = folder.open();
    let specs = [spec(1, 1), spec(2, 1), spec(3, 1)];
    for spec in &specs {
        runtime.ensure(spec.clone()).await.unwrap();
        set(spec, "a", "1").await;
    }
    drop(runtime);
    assert_eq!(end_all(folder.path(), Duration::from_secs(10)).unwrap(), 3);
    assert_eq!(processes_below(folder.path()).unwrap(), []);
    let log = fs::read_to_string(folder.node(&id(1)).join("redis.log")).unwrap();
    assert!(log.contains("Redis is now ready to exit"), "it ended by itself: {log}");
    let runtime = folder.open();
    assert_eq!(runtime.list().await.unwrap(), []);
    for spec in &specs {
        let next = NodeSpec { addr: free_addr(), ..again(spec) };
        runtime.ensure(next.clone()).await.unwrap();
        assert_eq!(get(&next, "a").await.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_log_that_was_moved_away_is_begun_anew() {
    let folder = Folder::new();
    let runtime = folder.open();
    let spec = spec(1, 1);
    runtime.ensure(spec.clone()).await.unwrap();
    let log = folder.node(&id(1)).join("redis.log");
    fs::OpenOptions::new().append(true).open(&log).unwrap().set_len(20 << 20).unwrap();
    runtime.rotate_logs().await.unwrap();
    // The engine may have had another line to say since.
    assert!(fs::metadata(&log).map_or(0, |log| log.len()) < 1 << 20);
    runtime.stop(id(1), Epoch(1)).await.unwrap();
    assert!(fs::read_to_string(&log).unwrap().contains("ready to exit"));
}
