//! The service is killed at any moment of a start, a stop or a removal; the next one puts everything right.

use std::process::{Command, Stdio};
use std::time::Duration;

use model::{Epoch, NodeSpec};
use runtime::Runtime;
use runtime::process::processes_below;

use crate::support::{Folder, get, id, set, spec};

const FOLDER: &str = "OPENCRS_TEST_FOLDER";
const EPOCH: &str = "OPENCRS_TEST_EPOCH";

#[tokio::test]
async fn a_service_killed_at_any_moment_leaves_no_process_that_the_next_does_not_find() {
    let folder = Folder::new();
    let kept = spec(1, 0);
    folder.open().ensure(kept.clone()).await.unwrap();
    set(&kept, "a", "1").await;
    for round in 1..=24 {
        let epoch = Epoch(1000 * round);
        let mut service = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::a_service_that_is_to_be_killed", "--ignored"])
            .env(FOLDER, folder.path())
            .env(EPOCH, epoch.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Another moment in each round.
        tokio::time::sleep(Duration::from_micros(10_000 + 1_700 * round.unsigned_abs())).await;
        service.kill().and_then(|()| service.wait()).unwrap();

        let runtime = folder.open();
        let next = NodeSpec { epoch: Epoch(epoch.0 + 999), ..kept.clone() };
        let state = runtime.ensure(next.clone()).await.unwrap();
        runtime.remove(id(2), next.epoch).await.unwrap();
        assert_eq!(processes_below(folder.path()).unwrap(), [folder.process(&id(1))], "round {round}");
        assert_eq!(runtime.list().await.unwrap(), [state]);
        assert_eq!(get(&next, "a").await.as_deref(), Some("1"));
    }
}

#[tokio::test]
#[ignore = "started, and killed, by the test above"]
async fn a_service_that_is_to_be_killed() {
    let folder = std::env::var_os(FOLDER).expect("the test above says where");
    let first: i64 = std::env::var(EPOCH).unwrap().parse().unwrap();
    let runtime = runtime::LocalRuntime::open(folder.into(), runtime::EngineSearch::path_and(vec![])).unwrap();
    let specs = [spec(1, 0), spec(2, 0)];
    for epoch in (first..first + 999).map(Epoch) {
        for spec in &specs {
            runtime.ensure(NodeSpec { epoch, ..spec.clone() }).await.unwrap();
        }
        runtime.stop(id(1), epoch).await.unwrap();
        runtime.remove(id(2), epoch).await.unwrap();
    }
}
