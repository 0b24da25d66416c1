//! From exec to the first signed answer; resident memory; the size of the binary.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use crate::http::Connection;
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
    let gateway = gateway_of(folder.path())?;
    let (serve, gateway) = (resident_mib(service.server.id())?, resident_mib(gateway)?);
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

fn gateway_of(data: &std::path::Path) -> anyhow::Result<u32> {
    let folder = data.canonicalize()?.join("gateway");
    let pids = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut here = pids.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder));
    here.next().context("there is no gateway")
}

fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmRSS")?.parse::<f64>()? / 1024.0)
}
