//! From exec to the first signed answer; resident memory; the size of the binary.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use crate::http::Connection;
use crate::process;
use crate::service::{Service, first_line, opencrs};
use crate::table::Table;

const RUNS: usize = 20;

pub(crate) async fn run(table: &mut Table) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        times.push(dev_start().await.context("opencrs dev")?);
    }
    times.sort_unstable();
    let (median, worst) = (1e3 * times[RUNS / 2].as_secs_f64(), 1e3 * times[RUNS - 1].as_secs_f64());
    let measured = format!("median {median:.1} ms, worst {worst:.1} ms");
    table.bound("`opencrs dev` from exec to the first signed answer", &measured, "at most 50 ms", median <= 50.0);

    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let mut connection = Connection::open(service.addr).await?;
    for _ in 0..1000 {
        connection.call(service.addr, "DescribeTaskList", &json!({})).await?;
    }
    let gateway = process::gateway(folder.path())?;
    let mib = |pid| anyhow::Ok(process::resident_kib(pid)? / 1024.0);
    let (serve, gateway) = (mib(service.server.id())?, mib(gateway)?);
    let measured = format!("{:.1} MiB ({serve:.1} serve, {gateway:.1} gateway)", serve + gateway);
    table.bound("resident memory without instances", &measured, "at most 40 MiB", serve + gateway <= 40.0);

    let size = std::fs::metadata(opencrs()?)?.len() as f64 / f64::from(1 << 20);
    table.bound("the stripped binary", &format!("{size:.1} MiB"), "at most 40 MiB", size <= 40.0);
    Ok(())
}

async fn dev_start() -> anyhow::Result<Duration> {
    let mut command = Service::command("dev")?;
    let begin = Instant::now();
    let mut dev = command.spawn()?;
    let addr = first_line(dev.stdout.take().context("its output")?)?;
    Connection::open(addr).await?.call(addr, "DescribeInstances", &json!({})).await?;
    let took = begin.elapsed();
    let asked = Command::new("kill").arg(dev.id().to_string()).status().context("end opencrs dev")?;
    anyhow::ensure!(asked.success(), "opencrs dev can't be ended");
    dev.wait()?;
    Ok(took)
}
