//! `opencrs dev`: the service for tests and laptops. Everything is in a temporary folder, and everything is gone when
//! it ends, however it ends.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use control::Dev;
use runtime::process::end_all;

use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::serve::{lines_to_paste, on_tokio, serve, stop_signal};

/// The well-known key pair. It protects nothing: whoever reaches the service may all.
const SECRET_ID: &str = "AKIDopencrsdevopencrsdevopencrsdev00";
const SECRET_KEY: &str = "opencrsdevopencrsdevopencrsdev00";

/// What is different by default.
pub const DEFAULTS: &[(&str, &str)] =
    &[("secret_id", SECRET_ID), ("secret_key", SECRET_KEY), ("host_memory", "0"), ("data", "")];

/// Serves until SIGTERM or SIGINT, then deletes everything.
pub fn run(config: &Config, crash_at: Option<&str>) -> anyhow::Result<()> {
    let folder = tempfile::Builder::new().prefix("opencrs-dev-").tempdir().context("make a temporary folder")?.keep();
    let mut reaper = start_reaper(&folder)?;
    let data = DataFolder::take(&folder, false)?;
    let keys = format!(
        "  export TENCENTCLOUD_SECRET_ID={}\n  export TENCENTCLOUD_SECRET_KEY={}",
        config.get("secret_id"),
        config.get("secret_key")
    );
    let settings = config.settings()?;
    let what = format!("opencrs dev, owner {}", settings.owner.uin);
    let greet = |addr, _: &_, _| lines_to_paste(&settings, addr, &keys, &what, "Everything is gone when this ends.");
    let served = on_tokio(async {
        let stop = stop_signal()?;
        serve(config, &data, crash_at, Some(Dev::default()), greet, stop).await
    });
    // Only now does nothing of this process start nodes any more. The end of its input is what the reaper waits for.
    drop(data);
    drop(reaper.stdin.take());
    let reaped = reaper.wait().context("wait for the end of all processes")?;
    ensure!(reaped.success(), "processes are left behind; {} is kept", folder.display());
    served
}

/// Starts the process that cleans up behind this one. It learns of this one's end by the end of its input, which no
/// kind of death can hold back.
fn start_reaper(folder: &Path) -> anyhow::Result<Child> {
    // Its environment is not empty, which tells it from what it has to end.
    Command::new("setsid")
        .arg(std::env::current_exe().context("find this program")?)
        .arg("reap")
        .arg("--data")
        .arg(folder)
        .current_dir(folder)
        .env_clear()
        .env("OPENCRS_REAPER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("start the process that cleans up")
}

/// The life of the process that cleans up: waits for the end of its input, ends everything, deletes the folder.
pub fn reap(folder: &Path) -> anyhow::Result<()> {
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).context("wait for the end of the service")?;
    end_all(folder, Duration::ZERO).context("end all processes")?;
    std::fs::remove_dir_all(folder).with_context(|| format!("delete {}", folder.display()))
}
