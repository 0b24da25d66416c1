//! What the tests share: a gateway that runs in the test, nodes that answer lines, and clients of both.
#![allow(dead_code)] // each test file uses its part

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gateway::{Client, Error, Relays};
use model::{Epoch, GatewayReport, InstanceId, Limits, Logins, NodeAddr, NodeId, Route, RoutingTable, Target, Vip};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// How long anything may take that is expected to happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Waits for what is expected to happen.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("it should have happened by now")
}

/// A gateway in a folder of its own, and its control plane.
pub(crate) struct Rig {
    pub(crate) control: Client,
    dir: PathBuf,
    running: Option<Running>,
    relays: JoinSet<()>,
    _home: TempDir,
}

struct Running {
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<Relays, Error>>,
}

impl Rig {
    pub(crate) async fn start() -> Rig {
        Rig::start_below("data").await
    }

    pub(crate) async fn start_below(name: &str) -> Rig {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join(name);
        let mut rig = Rig { control: Client::new(&dir), dir, running: None, relays: JoinSet::new(), _home: home };
        rig.restart().await;
        rig
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts the gateway anew, and waits until it answers.
    pub(crate) async fn restart(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let dir = self.dir.clone();
        let run = tokio::spawn(async move { gateway::run(&dir, async { drop(stopped.await) }).await });
        self.running = Some(Running { stop, run });
        self.answers().await;
    }

    /// Has another gateway take the place of the one that runs, and waits until that has ended but for what it relays.
    pub(crate) async fn succeed(&mut self) {
        let Running { stop: _stop, run: former } = self.running.take().expect("it runs");
        let (stop, stopped) = oneshot::channel();
        let dir = self.dir.clone();
        let run = tokio::spawn(async move { gateway::succeed(&dir, None, async { drop(stopped.await) }).await });
        self.running = Some(Running { stop, run });
        let relays = soon(former).await.unwrap().unwrap();
        self.relays.spawn(relays.run(std::future::pending()));
        self.answers().await;
    }

    /// Waits until gateways that were succeeded relay nobody.
    pub(crate) async fn relay_nobody(&mut self) {
        soon(async { while self.relays.join_next().await.transpose().unwrap().is_some() {} }).await;
    }

    /// Waits until a gateway answers in this folder.
    pub(crate) async fn answers(&self) {
        let answers = async {
            while self.control.report().await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        soon(answers).await;
    }

    pub(crate) async fn stop(&mut self) {
        let Running { stop, run } = self.running.take().expect("it runs");
        stop.send(()).unwrap();
        assert!(soon(run).await.unwrap().unwrap().are_over());
    }

    pub(crate) async fn publish(&self, version: i64, routes: &[Route]) -> GatewayReport {
        self.control.publish(&RoutingTable { version, routes: routes.to_vec() }).await.unwrap()
    }

    /// As [`publish`](Self::publish), for a table that is to come into force without exception.
    pub(crate) async fn enforce(&self, version: i64, routes: &[Route]) {
        let report = self.publish(version, routes).await;
        assert_eq!((report.version, report.failures), (version, vec![]));
    }
}

pub(crate) fn instance(number: u64) -> InstanceId {
    InstanceId::from_random(number)
}

/// An address that nobody has.
pub(crate) fn free_vip() -> Vip {
    let [.., high, low] = std::process::id().to_be_bytes();
    let listener = std::net::TcpListener::bind((Ipv4Addr::new(127, 88, high, low), 0)).unwrap();
    Vip(listener.local_addr().unwrap())
}

pub(crate) fn target(node: &Node, epoch: i64) -> Option<Target> {
    target_at(node.addr, epoch)
}

/// A node's id follows from where it listens, so that a node which starts again there is the same.
pub(crate) fn target_at(addr: SocketAddr, epoch: i64) -> Option<Target> {
    let node = NodeId::from_random([(addr.port() % 256) as u8; 20]);
    Some(Target { node, addr: NodeAddr(addr), epoch: Epoch(epoch) })
}

pub(crate) fn route(number: u64, vip: Vip, target: Option<Target>) -> Route {
    Route {
        instance: instance(number),
        vip,
        target,
        sources: None,
        limits: Limits::default(),
        logins: Logins::default(),
        readers: Vec::new(),
        tls: None,
    }
}

/// A node that answers each request with its name and the words of the request. `drop` makes it end the connection without
/// an answer, and `hush` say nothing.
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(name: &'static str) -> Node {
        Node::start_at("127.0.0.1:0".parse().unwrap(), name).await
    }

    pub(crate) async fn start_at(addr: SocketAddr, name: &'static str) -> Node {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer_requests(stream, name));
            }
        });
        Node { addr, task }
    }

    /// Ends it as a kernel ends a killed process: connections and listener are closed, without a word.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

async fn answer_requests(stream: TcpStream, name: &str) -> io::Result<()> {
    let mut stream = BufStream::new(stream);
    loop {
        let Some(words) = read_request(&mut stream).await? else { return Ok(()) };
        match words.as_str() {
            "drop" => return Ok(()),
            "hush" => continue,
            said => stream.write_all(format!("+{name} {said}\r\n").as_bytes()).await?,
        }
        stream.flush().await?;
    }
}

/// The words of the next request, with spaces between them.
pub(crate) async fn read_request(stream: &mut BufStream<TcpStream>) -> io::Result<Option<String>> {
    let mut words = Vec::new();
    let mut left = match read_number(stream, '*').await? {
        Some(count) => count,
        None => return Ok(None),
    };
    while left > 0 {
        let Some(length) = read_number(stream, '$').await? else { return Ok(None) };
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await?;
        words.push(String::from_utf8_lossy(&word[..length]).into_owned());
        left -= 1;
    }
    Ok(Some(words.join(" ")))
}

async fn read_number(stream: &mut BufStream<TcpStream>, mark: char) -> io::Result<Option<usize>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let number = line.trim_end().strip_prefix(mark).and_then(|number| number.parse().ok());
    Ok(Some(number.ok_or(io::ErrorKind::InvalidData)?))
}

/// A client's connection.
pub(crate) struct Caller(pub(crate) BufStream<TcpStream>);

impl Caller {
    pub(crate) async fn connect(vip: Vip) -> Caller {
        Caller(BufStream::new(soon(TcpStream::connect(vip.0)).await.unwrap()))
    }

    pub(crate) async fn send(&mut self, line: &str) {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    pub(crate) async fn receive(&mut self) -> String {
        let mut line = String::new();
        soon(self.0.read_line(&mut line)).await.unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(line).await;
        self.receive().await
    }

    pub(crate) async fn subscribe(&mut self, channel: &str) {
        self.send(&format!("SUBSCRIBE {channel}")).await;
        for line in ["*3", "$9", "subscribe", &format!("${}", channel.len()), channel, ":1"] {
            assert_eq!(self.receive().await, line);
        }
    }

    /// What is left to be read, and how it ends.
    pub(crate) async fn end(&mut self) -> (String, Ending) {
        let mut rest = Vec::new();
        let ending = match soon(self.0.read_to_end(&mut rest)).await {
            Ok(_) => Ending::Orderly,
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                Ending::Reset
            }
        };
        (String::from_utf8(rest).unwrap(), ending)
    }

    pub(crate) async fn assert_reset(&mut self) {
        assert_eq!(self.end().await, (String::new(), Ending::Reset));
    }

    pub(crate) async fn assert_ended(&mut self) {
        assert_eq!(self.end().await, (String::new(), Ending::Orderly));
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Orderly,
    Reset,
}

pub(crate) async fn ask_once(vip: Vip, line: &str) -> String {
    Caller::connect(vip).await.ask(line).await
}

pub(crate) async fn assert_refuses(vip: Vip) {
    let error = soon(TcpStream::connect(vip.0)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

/// Whether another process could listen at an address, as servers do it: with SO_REUSEADDR.
pub(crate) fn can_be_taken(vip: Vip) -> bool {
    std::net::TcpListener::bind(vip.0).is_ok()
}

/// The resident memory of this process in KiB.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A `redis-server` that lives as long as this value.
pub(crate) struct Redis {
    child: Child,
    pub(crate) addr: SocketAddr,
    _home: TempDir,
}

impl Redis {
    pub(crate) fn start(options: &[&str]) -> Redis {
        let addr = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let home = tempfile::tempdir().unwrap();
        let mut child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port"])
            .arg(addr.port().to_string())
            .args(options)
            .current_dir(home.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let log = std::io::BufReader::new(child.stdout.take().unwrap());
        let ready =
            std::io::BufRead::lines(log).map_while(Result::ok).any(|line| line.contains("Ready to accept connections"));
        assert!(ready, "redis-server did not start");
        Redis { child, addr, _home: home }
    }

    /// Has it hang, until it is to go on.
    pub(crate) fn stop(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Ends it by kill -9, and does not wait for its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
