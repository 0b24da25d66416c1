//! A service to be measured, in a folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

pub(crate) const SECRET_ID: &str = "AKIDbench00000000000000000000000000";
pub(crate) const SECRET_KEY: &str = "bench-secret-key-of-no-value-000";

/// The binary, built beside this one.
pub(crate) fn opencrs() -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name("opencrs");
    if path.is_file() { Ok(path) } else { bail!("{} is missing: cargo build --release -p opencrs", path.display()) }
}

/// Reads the address out of the first line that a server says.
pub(crate) fn first_line(output: ChildStdout) -> anyhow::Result<SocketAddr> {
    let mut line = String::new();
    let mut reader = BufReader::new(output);
    reader.read_line(&mut line)?;
    let addr = line.trim().strip_prefix("listening on http://").context("no address was said")?.parse()?;
    // What else is said has to go somewhere: a closed pipe would end the server.
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    Ok(addr)
}

/// A running service. Dropping it stops all of it.
pub(crate) struct Service {
    pub(crate) addr: SocketAddr,
    data: PathBuf,
    pub(crate) server: Child,
}

impl Service {
    /// `opencrs serve` on a folder, or `opencrs dev`.
    pub(crate) fn command(subcommand: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(opencrs()?);
        command
            .args([subcommand, "--listen", "127.0.0.1:0", "--log", "warn"])
            .env("OPENCRS_SECRET_ID", SECRET_ID)
            .env("OPENCRS_SECRET_KEY", SECRET_KEY)
            .env("OPENCRS_RATE_LIMITS", "off")
            .env("OPENCRS_HOST_MEMORY", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        Ok(command)
    }

    pub(crate) fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_on(data, &[])
    }

    /// With settings.
    pub(crate) fn start_on(data: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut command = Service::command("serve")?;
        command.arg("--data").arg(data).envs(settings.iter().copied());
        let mut server = command.spawn().context("start opencrs")?;
        let addr = first_line(server.stdout.take().context("its output")?)?;
        Ok(Service { addr, data: data.to_owned(), server })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Ok(opencrs) = opencrs() {
            // Where it fails, processes are left behind and seen: nothing else can be done about it here.
            let _ = Command::new(opencrs).args(["stop", "--data"]).arg(&self.data).stdout(Stdio::null()).status();
        }
        let _ = self.server.wait();
    }
}
