use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use ledger::harness::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{opencrs, wait_for};

/// The key pair that every service of the tests is started with.
pub(crate) const SECRET_ID: &str = "AKIDe2e0000000000000000000000000000";
pub(crate) const SECRET_KEY: &str = "e2e-secret-key-of-no-value-0000";

/// A service of the test's own, in a data folder of its own. Dropping it stops it, and fails the test where a process
/// is left behind, or where the server's log has what no log may have.
pub struct Service {
    subcommand: &'static str,
    dir: TempDir,
    settings: Vec<(String, String)>,
    address: String,
    server: Child,
}

/// A process that the service started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// As the kernel numbers it.
    pub pid: Pid,
    /// Its working folder, which is below the data folder.
    pub folder: PathBuf,
    /// Its arguments, the program first.
    pub command: Vec<String>,
}

impl Process {
    /// Kills it as a crash would: no handler of its own runs.
    pub fn kill(&self) {
        // One that ended meanwhile is as dead as it should be.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

/// Whether services keep their ledgers in PostgreSQL, as the environment says (`OPENCRS_E2E_STORE=postgres`).
pub fn is_on_postgres() -> bool {
    std::env::var("OPENCRS_E2E_STORE").is_ok_and(|store| store == "postgres")
}

/// One for all services of a process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

impl Service {
    /// Starts one that limits neither requests nor memory.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more environment variables, which win over those of `start`. An empty one is not set.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::launch("serve", settings)
    }

    /// Starts `opencrs dev`, which keeps its data in a temporary folder of its own.
    pub fn start_dev() -> Self {
        Self::launch("dev", &[])
    }

    /// Starts one that keeps its ledger in a PostgreSQL of the test's own.
    pub fn start_on(cluster: &Cluster) -> Self {
        Self::start_with(&[("OPENCRS_STORE", &cluster.url())])
    }

    /// Starts one more server of it, on the same data and the same store.
    pub fn start_beside(&self, number: usize) -> Server {
        let log = self.dir.path().join(format!("server-{number}.log"));
        let mut server = Server {
            dir: self.dir.path().to_owned(),
            log,
            settings: self.settings.clone(),
            address: String::new(),
            server: None,
        };
        server.resume();
        server
    }

    fn launch(subcommand: &'static str, settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("opencrs-e2e-").tempdir().expect("a temporary folder");
        fs::create_dir(data(dir.path())).expect("the data folder");
        let mut all = vec![
            ("OPENCRS_SECRET_ID".to_owned(), SECRET_ID.to_owned()),
            ("OPENCRS_SECRET_KEY".to_owned(), SECRET_KEY.to_owned()),
            ("OPENCRS_RATE_LIMITS".to_owned(), "off".to_owned()),
            ("OPENCRS_HOST_MEMORY".to_owned(), "0".to_owned()),
        ];
        all.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
        if subcommand == "serve" && is_on_postgres() && settings.iter().all(|(name, _)| *name != "OPENCRS_STORE") {
            all.push(("OPENCRS_STORE".to_owned(), CLUSTER.url()));
        }
        let set = settings.iter().filter(|(_, value)| !value.is_empty());
        all.extend(set.map(|(name, value)| (name.to_string(), value.to_string())));
        let address = "127.0.0.1:0".to_owned();
        let server = launch(subcommand, dir.path(), &all, &address, &[]);
        let mut service = Service { subcommand, dir, settings: all, address, server };
        service.await_address(0);
        service
    }

    /// `host:port` of the API.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `opencrs tasks` as it is run by whoever has the key pair of the service.
    pub fn tasks(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(opencrs());
        let endpoint = format!("http://{}", self.address);
        command.arg("tasks").args(arguments).env_clear().current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("OPENCRS_ENDPOINT", endpoint);
        command.env("TENCENTCLOUD_SECRET_ID", SECRET_ID).env("TENCENTCLOUD_SECRET_KEY", SECRET_KEY);
        command
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        data(self.dir.path())
    }

    /// What the server has said so far, over all its starts.
    pub fn log(&self) -> String {
        read_log(self.dir.path())
    }

    /// The processes that the service runs: the gateway and the engines, but not the server.
    pub fn processes(&self) -> Vec<Process> {
        let data = self.data().canonicalize().unwrap_or_else(|_| self.data());
        let pids =
            fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let server = Pid::from_child(&self.server);
        pids.filter_map(Pid::from_raw)
            .filter(|pid| *pid != server)
            .filter_map(read_process)
            .filter(|process| process.folder.starts_with(&data))
            .collect()
    }

    /// The engines among the processes.
    pub fn engines(&self) -> Vec<Process> {
        let is_engine = |process: &Process| {
            process
                .command
                .first()
                .is_some_and(|program| program.contains("redis-server") || program.contains("valkey-server"))
        };
        self.processes().into_iter().filter(is_engine).collect()
    }

    /// Kills the server alone, as a crash would.
    pub fn kill(&mut self) {
        self.server.kill().expect("kill the server");
        self.server.wait().expect("the end of the server");
    }

    /// Asks the server alone to end, and waits until it has.
    pub fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.server), Signal::TERM).expect("signal the server");
        let status = self.server.wait().expect("the end of the server");
        assert!(status.success(), "the server ended with {status}");
    }

    /// Starts the server again, at the same address and on the same data.
    pub fn resume(&mut self) {
        self.resume_with(&[]);
    }

    /// Starts the server again so that it kills itself at a point of a flow: `flow/step/run/before`.
    pub fn resume_until(&mut self, point: &str) {
        self.resume_with(&["--crash-at", point]);
    }

    fn resume_with(&mut self, flags: &[&str]) {
        let said = self.log().len();
        self.server = launch(self.subcommand, self.dir.path(), &self.settings, &self.address, flags);
        self.await_address(said);
    }

    /// Waits until the server has died by itself; `context` says what should have made it.
    pub fn await_crash(&mut self, context: &str) {
        let status = wait_for(&format!("the server to crash: {context}"), || {
            self.server.try_wait().expect("the server's state")
        });
        assert!(!status.success(), "the server ended well, and did not crash");
    }

    /// Reads where the server listens from what it says after the first `said` bytes of its log.
    fn await_address(&mut self, said: usize) {
        self.address = wait_for("the server to listen", || {
            let log = self.log().split_off(said);
            if let Some(status) = self.server.try_wait().expect("the server's state") {
                panic!("the server ended with {status} at its start");
            }
            Some(log.lines().find_map(|line| line.strip_prefix("listening on http://"))?.trim().to_owned())
        });
    }

    /// Ends all of it by `opencrs stop`.
    pub fn stop(&mut self) {
        let output = Command::new(opencrs())
            .args(["stop", "--data"])
            .arg(self.data())
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .expect("run opencrs stop");
        assert!(output.status.success(), "opencrs stop ended with {}: {}", output.status, text(&output));
        self.server.wait().expect("the end of the server");
        assert_eq!(self.processes(), [], "opencrs stop left processes behind");
    }

    /// Ends all of it as a power cut would: nothing is asked, everything is dead.
    pub fn cut_power(&mut self) {
        self.kill();
        wait_for("every process to be dead", || {
            let alive = self.processes();
            alive.iter().for_each(Process::kill);
            alive.is_empty().then_some(())
        });
    }

    /// Runs a second server on the same data folder to its end, which is soon.
    pub fn start_second(&self) -> (bool, String) {
        let mut command = serve(self.subcommand, self.dir.path(), &self.settings, "127.0.0.1:0");
        let mut second = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start opencrs serve");
        wait_for("the second server to end", || second.try_wait().expect("the second server's state"));
        let output = second.wait_with_output().expect("what the second server says");
        (output.status.success(), text(&output))
    }
}

/// One more server of a service. It must go before the service does.
pub struct Server {
    dir: PathBuf,
    log: PathBuf,
    settings: Vec<(String, String)>,
    address: String,
    server: Option<Child>,
}

impl Server {
    /// `host:port` of its API; another one after each start.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().expect("kill a server");
            server.wait().expect("the end of a server");
        }
    }

    /// Has it stand still, as one that hangs, or go on.
    pub fn hold(&self, is_held: bool) {
        let signal = if is_held { Signal::STOP } else { Signal::CONT };
        if let Some(server) = &self.server {
            kill_process(Pid::from_child(server), signal).expect("signal a server");
        }
    }

    /// Starts it again.
    pub fn resume(&mut self) {
        let said = fs::read_to_string(&self.log).unwrap_or_default().len();
        let log = File::options().create(true).append(true).open(&self.log).expect("open a server's log");
        let mut command = serve("serve", &self.dir, &self.settings, "127.0.0.1:0");
        command.stdout(log.try_clone().expect("share a server's log")).stderr(log);
        self.server = Some(command.spawn().expect("start opencrs serve"));
        self.address = wait_for("a server to listen", || {
            let log = fs::read_to_string(&self.log).unwrap_or_default().split_off(said);
            Some(log.lines().find_map(|line| line.strip_prefix("listening on http://"))?.trim().to_owned())
        });
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "this is what a failed test has to show")]
    fn drop(&mut self) {
        self.kill();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        if std::thread::panicking() {
            eprintln!("--- {}\n{log}---", self.log.display());
        } else {
            check_log(&log);
        }
    }
}

fn check_log(log: &str) {
    // Every password of the tests has a horse in it.
    let forbidden = ["panicked at", " ERROR ", "-horse-"].iter().find(|word| log.contains(**word));
    assert!(forbidden.is_none(), "a server's log has {forbidden:?}:\n{log}");
}

impl Drop for Service {
    #[expect(clippy::print_stderr, reason = "this is what a failed test has to show")]
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("--- {}\n{}---", log_path(self.dir.path()).display(), self.log());
            self.dir.disable_cleanup(true);
        }
        if self.subcommand == "serve" {
            let _ = Command::new(opencrs()).args(["stop", "--data"]).arg(self.data()).env_clear().output();
        } else {
            let _ = kill_process(Pid::from_child(&self.server), Signal::TERM);
            let _ = self.server.wait();
        }
        let _ = self.server.kill();
        let _ = self.server.wait();
        let left = self.processes();
        left.iter().for_each(Process::kill);
        assert!(failed || left.is_empty(), "processes are left behind: {left:?}");
        if !failed {
            check_log(&self.log());
        }
    }
}

fn data(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("server.log")
}

fn read_log(dir: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log_path(dir)).unwrap_or_default()).into_owned()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn serve(subcommand: &str, dir: &Path, settings: &[(String, String)], listen: &str) -> Command {
    let mut command = Command::new(opencrs());
    command.args([subcommand, "--listen", listen]);
    if subcommand == "serve" {
        command.arg("--data").arg(data(dir));
    }
    command
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("TMPDIR", data(dir))
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null());
    command
}

/// Starts a server that says what it has to say to its log.
fn launch(subcommand: &str, dir: &Path, settings: &[(String, String)], listen: &str, flags: &[&str]) -> Child {
    let log = File::options().create(true).append(true).open(log_path(dir)).expect("open the server's log");
    let mut command = serve(subcommand, dir, settings, listen);
    command.args(flags).stdout(log.try_clone().expect("share the server's log")).stderr(log);
    command.spawn().expect("start opencrs serve")
}

fn read_process(pid: Pid) -> Option<Process> {
    let proc = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    let folder = fs::read_link(proc.join("cwd")).ok()?;
    let command = fs::read(proc.join("cmdline")).ok()?;
    let command: Vec<_> =
        command.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    Some(Process { pid, folder, command })
}
