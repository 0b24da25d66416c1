//! A PostgreSQL of a test's own: in a temporary folder, behind a socket there, gone with the process that started it. It has no
//! port, and its clients take none, so that it is in nobody's way.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::PostgresAddress;
use crate::driver::postgres::{Session, Turn};

/// Who may all in it.
const USER: &str = "opencrs";
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// A server of PostgreSQL with its data.
pub struct Cluster {
    dir: TempDir,
    programs: PathBuf,
    is_durable: bool,
    /// A shell that ends the server when its input ends, however this process does.
    server: Option<Child>,
    made: AtomicU32,
}

impl Cluster {
    /// Whether PostgreSQL is installed.
    pub fn is_installed() -> bool {
        programs().is_some()
    }

    /// Makes one and starts it. It writes nothing to the disk before anybody waits for that.
    pub fn start() -> Cluster {
        Self::make(false)
    }

    /// As [`Cluster::start`]; a commit is on the disk, as in earnest.
    pub fn start_durable() -> Cluster {
        Self::make(true)
    }

    fn make(is_durable: bool) -> Cluster {
        let dir = tempfile::Builder::new().prefix("opencrs-postgres-").tempdir().expect("a temporary folder");
        if let Some((user, group)) = other_user() {
            chown(dir.path(), Some(user), Some(group)).expect("give the folder to PostgreSQL's user");
        }
        let mut cluster = Cluster {
            dir,
            programs: programs().expect("PostgreSQL is installed (Debian's package postgresql)"),
            is_durable,
            server: None,
            made: AtomicU32::new(0),
        };
        let made = cluster
            .command("initdb")
            .args(["--username", USER, "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C", "-D"])
            .arg(cluster.data())
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("run initdb").success(), "initdb failed");
        cluster.resume();
        cluster
    }

    /// Where a new, empty ledger of its own can be kept.
    pub fn url(&self) -> String {
        let name = format!("ledger_{}_{}", std::process::id(), self.made.fetch_add(1, Ordering::Relaxed));
        self.say(&format!("create schema {name}"));
        format!("{}?options=-csearch_path%3D{name}", self.base())
    }

    fn base(&self) -> String {
        let folder = self.dir.path().display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{folder}/postgres")
    }

    /// Runs a statement.
    pub fn say(&self, sql: &str) {
        Self::say_at(&self.base(), sql);
    }

    /// Runs a statement where a ledger is kept, however long that takes.
    pub fn say_at(url: &str, sql: &str) {
        let mut session = Self::session(url).expect("connect to PostgreSQL");
        session.be_patient().and_then(|()| session.say(sql)).expect("what is said to PostgreSQL");
    }

    fn session(url: &str) -> crate::Result<Session> {
        let address = PostgresAddress::parse(url, None)?;
        std::thread::scope(|scope| {
            // Not a thread of a runtime, whatever called this is.
            let opening = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
                let runtime = runtime.expect("a runtime");
                let session = Session::open(&address, Turn::Beside(runtime.handle().clone()));
                // It drives the session for as long as the process lives, which is short.
                std::mem::forget(runtime);
                session
            });
            opening.join().expect("a thread that connects")
        })
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A program of PostgreSQL's, as a user that it agrees to run as.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        as_other_user(&mut command);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// Starts the server, after [`Cluster::crash`].
    pub fn resume(&mut self) {
        let mut command = Command::new("sh");
        as_other_user(&mut command);
        // What it is left with a word for is kept; else nobody is there any more who would want it.
        let script = r#"folder=$1; shift; "$@" & server=$!; read -r word
            kill -QUIT $server 2>/dev/null; wait $server; [ "$word" = keep ] || rm -rf "$folder""#;
        let fsync = if self.is_durable { "fsync=on" } else { "fsync=off" };
        let log = fs::File::options().create(true).append(true).open(self.dir.path().join("log")).expect("a log");
        let server = command
            .current_dir(self.dir.path())
            .args(["-c", script, "sh"])
            .arg(self.dir.path())
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .args(["-c", "listen_addresses=", "-c"])
            .arg(format!("unix_socket_directories={}", self.dir.path().display()))
            .args(["-c", fsync, "-c", "max_connections=200"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.server = Some(server.expect("start PostgreSQL"));
        let until = Instant::now() + STARTS_WITHIN;
        while let Err(error) = Self::session(&self.base()) {
            assert!(Instant::now() < until, "PostgreSQL does not start: {error}; {}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Ends the server as a crash does; what was committed is kept.
    pub fn crash(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        if let Some(mut input) = server.stdin.take() {
            // The shell may be gone, and with it the server.
            drop(writeln!(input, "keep"));
        }
        drop(server.wait());
    }

    /// What the server has said.
    pub fn log(&self) -> String {
        let mut text = String::new();
        drop(fs::File::open(self.dir.path().join("log")).and_then(|mut log| log.read_to_string(&mut text)));
        text
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.crash();
    }
}

/// The newest that is installed.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<_> =
        installed.map(|version| version.path().join("bin")).filter(|bin| has_server(bin)).collect();
    installed.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).find(|bin| has_server(bin)));
    installed.sort();
    installed.pop()
}

fn has_server(bin: &Path) -> bool {
    bin.join("initdb").is_file() && bin.join("postgres").is_file()
}

/// PostgreSQL does not run as root; its package makes a user for it.
fn other_user() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").map(|process| std::os::unix::fs::MetadataExt::uid(&process));
    if own.unwrap_or(1) != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == "postgres");
    let fields = fields.expect("the user postgres, since PostgreSQL does not run as root");
    Some((fields[2].parse().expect("a user's number"), fields[3].parse().expect("a group's number")))
}

fn as_other_user(command: &mut Command) {
    if let Some((user, group)) = other_user() {
        command.uid(user).gid(group);
    }
}
