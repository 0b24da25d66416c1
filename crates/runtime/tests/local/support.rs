use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::{AclUser, EngineKind, EngineVersion, Epoch, NodeAddr, NodeId, NodeSpec, Secret};
use runtime::process::{ProcessRef, end_all, processes_below};
use runtime::{EngineSearch, LocalRuntime, NodeEvent};
use tokio::sync::broadcast;

pub(crate) const ADMIN: &str = "opencrs";
pub(crate) const PASSWORD: &str = "correct horse";
const PASSWORD_SHA256: &str = "4104d36f8da2c254349f85836793ebe029e0c957063a34c91c2e9203187b5631";

/// A folder of nodes, and its end with all that runs in it.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn open(&self) -> Arc<LocalRuntime> {
        LocalRuntime::open(self.path().to_owned(), EngineSearch::path_and(vec![])).unwrap()
    }

    pub(crate) fn node(&self, node: &NodeId) -> PathBuf {
        self.path().join("nodes").join(node.as_str())
    }

    pub(crate) fn processes(&self, node: &NodeId) -> Vec<ProcessRef> {
        processes_below(&self.node(node)).unwrap()
    }

    /// The one process of the node.
    pub(crate) fn process(&self, node: &NodeId) -> ProcessRef {
        let [process] = self.processes(node).try_into().expect("one process and no other");
        process
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        end_all(self.path(), Duration::ZERO).unwrap();
    }
}

pub(crate) fn id(n: u8) -> NodeId {
    NodeId::from_random([n; 20])
}

pub(crate) fn free_addr() -> NodeAddr {
    NodeAddr(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

pub(crate) fn spec(n: u8, epoch: i64) -> NodeSpec {
    NodeSpec {
        node: id(n),
        epoch: Epoch(epoch),
        engine: EngineKind::Redis,
        version: EngineVersion::new(6, 2, 0),
        addr: free_addr(),
        maxmemory: 64 << 20,
        maxclients: 100,
        users: vec![AclUser { name: ADMIN.into(), rules: Secret::new(format!("on #{PASSWORD_SHA256} ~* &* +@all")) }],
        admin_name: ADMIN.into(),
        admin_password: Secret::new(PASSWORD),
        upstream: None,
        has_data: false,
        settings: vec![],
    }
}

/// The same node, started once more.
pub(crate) fn again(spec: &NodeSpec) -> NodeSpec {
    NodeSpec { epoch: spec.epoch.next(), ..spec.clone() }
}

/// A connection that is signed in as the service's own user. It waits while the node loads its data.
pub(crate) async fn sign_in(addr: SocketAddr) -> redis::aio::MultiplexedConnection {
    let url = format!("redis://{ADMIN}:{}@{addr}/", PASSWORD.replace(' ', "%20"));
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    while let Err(error) = redis::cmd("PING").query_async::<String>(&mut connection).await {
        assert_eq!(error.kind(), redis::ErrorKind::Server(redis::ServerErrorKind::BusyLoading), "{error}");
    }
    connection
}

pub(crate) async fn set(spec: &NodeSpec, key: &str, value: &str) {
    let mut connection = sign_in(spec.addr.0).await;
    redis::cmd("SET").arg(key).arg(value).exec_async(&mut connection).await.unwrap();
}

pub(crate) async fn get(spec: &NodeSpec, key: &str) -> Option<String> {
    redis::cmd("GET").arg(key).query_async(&mut sign_in(spec.addr.0).await).await.unwrap()
}

pub(crate) async fn next_death(deaths: &mut broadcast::Receiver<NodeEvent>) -> NodeEvent {
    tokio::time::timeout(Duration::from_secs(10), deaths.recv()).await.expect("a death is told").unwrap()
}
