//! Processes that outlive whoever started them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use runtime::Runtime;
use runtime::process::{ProcessRef, processes_below, spawn_detached};

use crate::support::{Folder, id, spec};

#[tokio::test]
async fn a_node_has_a_session_of_its_own_no_terminal_and_nothing_of_ours_open() {
    let folder = Folder::new();
    folder.open().ensure(spec(1, 1)).await.unwrap();
    let pid = folder.process(&id(1)).pid;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    let (group, session, terminal) = (fields[3], fields[4], fields[5]);
    assert_eq!((group, session, terminal), (pid.to_string().as_str(), pid.to_string().as_str(), "0"));
    for fd in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let Ok(link) = fs::read_link(fd.unwrap().path()) else { continue };
        let is_fence = link.starts_with(folder.path().canonicalize().unwrap().join("fences"));
        assert!(!is_fence, "{}", link.display());
    }
}

#[tokio::test]
async fn the_end_of_a_process_can_be_waited_for() {
    let folder = Folder::new();
    let log = folder.path().join("log");
    let process = spawn_detached(Path::new("/bin/cat"), &["/dev/zero"], folder.path(), b"", &log).unwrap();
    assert!(process.is_alive().unwrap());
    assert_eq!(processes_below(folder.path()).unwrap(), std::slice::from_ref(&process));
    let waiting = tokio::spawn({
        let process = process.clone();
        async move { process.ended().await }
    });
    process.terminate(Duration::from_secs(10)).unwrap();
    waiting.await.unwrap().unwrap();
    assert!(!process.is_alive().unwrap());
    assert_eq!(ProcessRef::of(process.pid).unwrap(), None);
    // Done already.
    process.terminate(Duration::ZERO).unwrap();
    process.ended().await.unwrap();
}

#[tokio::test]
async fn a_process_reads_its_input_to_the_end_and_writes_to_its_log() {
    let folder = Folder::new();
    let log = folder.path().join("log");
    let process = spawn_detached(Path::new("/bin/cat"), &[] as &[&str], folder.path(), b"hello\n", &log).unwrap();
    process.ended().await.unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "hello\n");
}

#[tokio::test]
async fn a_program_that_cannot_be_executed_says_so_in_its_log() {
    let folder = Folder::new();
    let log = folder.path().join("log");
    let process = spawn_detached(Path::new("/no/such/program"), &[] as &[&str], folder.path(), b"", &log).unwrap();
    process.ended().await.unwrap();
    assert!(fs::read_to_string(log).unwrap().contains("/no/such/program"));
}

#[test]
fn an_input_that_does_not_fit_is_refused_and_nothing_is_started() {
    let folder = Folder::new();
    let log = folder.path().join("log");
    let input = vec![b' '; 1 << 21];
    assert!(spawn_detached(Path::new("/bin/cat"), &[] as &[&str], folder.path(), &input, &log).is_err());
    assert_eq!(processes_below(folder.path()).unwrap(), []);
}

#[test]
fn a_process_that_ignores_being_asked_is_ended_all_the_same() {
    let folder = Folder::new();
    let ready = folder.path().join("ready");
    let script = "trap '' TERM; touch ready; while :; do read line < /dev/zero; done";
    let log = folder.path().join("log");
    let process = spawn_detached(Path::new("/bin/sh"), &["-c", script], folder.path(), b"", &log).unwrap();
    while !ready.exists() {
        std::thread::yield_now();
    }
    process.terminate(Duration::from_millis(50)).unwrap();
    assert!(!process.is_alive().unwrap());
}

#[test]
fn a_number_that_another_process_has_is_not_taken_for_it() {
    let own = ProcessRef::of(std::process::id() as i32).unwrap().unwrap();
    let earlier = ProcessRef { start_time: own.start_time - 1, ..own.clone() };
    let on_another_boot = ProcessRef { boot: "another".into(), ..own.clone() };
    assert!(own.is_alive().unwrap());
    for other in [earlier, on_another_boot] {
        assert!(!other.is_alive().unwrap());
        // It would end this test.
        other.terminate(Duration::ZERO).unwrap();
    }
}

#[test]
fn what_runs_in_a_folder_that_was_deleted_is_found() {
    let folder = Folder::new();
    let gone = folder.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let log = folder.path().join("log");
    let process = spawn_detached(Path::new("/bin/cat"), &["/dev/zero"], &gone, b"", &log).unwrap();
    fs::remove_dir(&gone).unwrap();
    assert_eq!(processes_below(folder.path()).unwrap(), std::slice::from_ref(&process));
    assert_eq!(processes_below(&gone).unwrap(), std::slice::from_ref(&process));
    process.terminate(Duration::ZERO).unwrap();
}
