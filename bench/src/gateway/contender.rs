//! What is measured side by side: ways to one engine.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::process;
use crate::target::PASSWORD;

/// Debian's packages, and what of each is run.
const PACKAGES: [(&str, &str); 3] =
    [("haproxy", "haproxy"), ("nutcracker", "nutcracker"), ("redis-tools", "redis-benchmark")];
/// How long a proxy may take until its first answer.
const STARTS_WITHIN: Duration = Duration::from_secs(5);
/// The pause between two looks at whether it answers.
const LOOK: Duration = Duration::from_millis(20);
/// What haproxy is told besides the addresses; the rest is left as it is: as many threads as there are cores.
pub(super) const HAPROXY: &str = "\
global
    maxconn 8192
defaults
    mode tcp
    maxconn 8192
    timeout connect 5s
    timeout client 1h
    timeout server 1h
";
/// What nutcracker is told besides the addresses and the password. One connection to the engine, its own default, does
/// more than four.
pub(super) const TWEMPROXY: &str = "\
redis: true
preconnect: true
server_connections: 1
backlog: 1024
";

/// Which of them; what is counted by contender is in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Direct,
    Haproxy,
    Twemproxy,
    Gateway,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Direct, Kind::Haproxy, Kind::Twemproxy, Kind::Gateway];

    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Direct => "no proxy",
            Kind::Haproxy => "HAProxy",
            Kind::Twemproxy => "twemproxy",
            Kind::Gateway => "gateway",
        }
    }
}

/// A way to the engine.
pub(super) struct Contender {
    pub(super) kind: Kind,
    /// Where clients connect.
    pub(super) addr: SocketAddr,
    processes: Processes,
}

enum Processes {
    None,
    /// One of ours.
    Child(Child),
    /// The gateway of a data folder.
    Service(PathBuf),
}

impl Contender {
    pub(super) fn direct(engine: SocketAddr) -> Self {
        Contender { kind: Kind::Direct, addr: engine, processes: Processes::None }
    }

    pub(super) fn gateway(addr: SocketAddr, data: &Path) -> Self {
        Contender { kind: Kind::Gateway, addr, processes: Processes::Service(data.to_owned()) }
    }

    pub(super) async fn haproxy(engine: SocketAddr, folder: &Path) -> anyhow::Result<Self> {
        let addr = free_addr()?;
        let mut config = HAPROXY.to_owned();
        write!(config, "listen redis\n    bind {addr}\n    server node {engine}\n")?;
        let path = folder.join("haproxy.cfg");
        fs::write(&path, config)?;
        let mut command = Command::new(installed("haproxy").context("haproxy")?);
        command.args(["-db", "-f"]).arg(path);
        Contender::start(Kind::Haproxy, addr, command).await.context("haproxy")
    }

    pub(super) async fn twemproxy(engine: SocketAddr, folder: &Path) -> anyhow::Result<Self> {
        let (addr, stats) = (free_addr()?, free_addr()?);
        let mut config = "redis:\n".to_owned();
        for line in TWEMPROXY.lines() {
            writeln!(config, "  {line}")?;
        }
        write!(config, "  listen: {addr}\n  redis_auth: {PASSWORD}\n  servers:\n    - {engine}:1\n")?;
        let path = folder.join("nutcracker.yml");
        fs::write(&path, config)?;
        let mut command = Command::new(installed("nutcracker").context("nutcracker")?);
        command.args(["--verbose", "0", "--stats-addr", "127.0.0.1", "--stats-port"]).arg(stats.port().to_string());
        command.arg("--conf-file").arg(path).arg("--output").arg(folder.join("nutcracker.log"));
        command.arg("--pid-file").arg(folder.join("nutcracker.pid"));
        Contender::start(Kind::Twemproxy, addr, command).await.context("nutcracker")
    }

    async fn start(kind: Kind, addr: SocketAddr, mut command: Command) -> anyhow::Result<Self> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut contender =
            Contender { kind, addr, processes: Processes::Child(quiet.spawn().context("can't be started")?) };
        let until = Instant::now() + STARTS_WITHIN;
        loop {
            let opened = timeout(STARTS_WITHIN, open(TcpStream::connect(addr))).await;
            match opened.context("no answer").and_then(|opened| opened) {
                Ok(_) => return Ok(contender),
                Err(error) => ensure!(Instant::now() < until, "it takes no connection: {error:#}"),
            }
            if let Processes::Child(child) = &mut contender.processes
                && let Some(status) = child.try_wait()?
            {
                bail!("it ended with {status}");
            }
            sleep(LOOK).await;
        }
    }

    /// What its processes have had of the cores; nothing where there are none.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let pids = match &self.processes {
            Processes::None => Vec::new(),
            Processes::Child(child) => vec![child.id()],
            Processes::Service(data) => process::gateways(data)?,
        };
        pids.into_iter().map(process::cpu_seconds).sum()
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if let Processes::Child(child) = &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Opens a connection as a client does: it signs in, and writes.
pub(super) async fn open(connects: impl Future<Output = std::io::Result<TcpStream>>) -> anyhow::Result<TcpStream> {
    let mut stream = connects.await.context("connect")?;
    stream.set_nodelay(true)?;
    ask(&mut stream, &["AUTH", PASSWORD]).await?;
    ask(&mut stream, &["SET", "opened", "1"]).await?;
    Ok(stream)
}

/// Says a command whose answer is +OK.
pub(super) async fn ask(stream: &mut TcpStream, command: &[&str]) -> anyhow::Result<()> {
    let words: String = command.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    stream.write_all(format!("*{}\r\n{words}", command.len()).as_bytes()).await?;
    let mut answer = Vec::with_capacity(64);
    while !answer.ends_with(b"\r\n") {
        ensure!(stream.read_buf(&mut answer).await? > 0, "{}: the connection was closed", command[0]);
    }
    ensure!(answer == b"+OK\r\n", "{}: {}", command[0], String::from_utf8_lossy(&answer).trim_end());
    Ok(())
}

/// Ends with what to install where something is missing.
pub(super) fn require_installed() -> anyhow::Result<()> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(_, program)| installed(program).is_none()).map(|(package, _)| *package).collect();
    ensure!(missing.is_empty(), "to be measured beside the gateway: apt-get install {}", missing.join(" "));
    Ok(())
}

/// The versions of those that are not ours.
pub(super) fn versions() -> String {
    let version = |program: &str, flag: &str| {
        let output = Command::new(installed(program)?).arg(flag).output().ok()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let words = said.split(|c: char| c.is_whitespace() || c == '-');
        words.map(str::to_owned).find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    };
    let show = |version: Option<String>| version.unwrap_or_else(|| "?".into());
    let (haproxy, nutcracker) = (version("haproxy", "-v"), version("nutcracker", "-V"));
    format!("HAProxy {}, twemproxy {}", show(haproxy), show(nutcracker))
}

/// Debian has these where only root's PATH looks.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn free_addr() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
