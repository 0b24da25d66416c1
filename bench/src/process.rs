//! What processes take of the machine.

use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

/// The kernel counts a process's time in these.
const TICKS_A_SECOND: f64 = 100.0;

/// The gateways of a data folder: one, or two while one follows another.
pub(crate) fn gateways(data: &Path) -> anyhow::Result<Vec<u32>> {
    let folder = data.canonicalize()?.join("gateway");
    let pids = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)).collect())
}

/// The gateway of a data folder.
pub(crate) fn gateway(data: &Path) -> anyhow::Result<u32> {
    gateways(data)?.first().copied().context("there is no gateway")
}

pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmRSS")?.parse::<f64>()?)
}

/// The time that all its threads have had, in user space and in the kernel. It has to run.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, which is in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    ensure!(fields.first() != Some(&"Z"), "the process {pid} has ended");
    let ticks = |at: usize| anyhow::Ok(fields.get(at).context("a short stat")?.parse::<f64>()?);
    Ok((ticks(11)? + ticks(12)?) / TICKS_A_SECOND)
}

/// How many files a process may have open.
pub(crate) fn open_files_limit(pid: u32) -> anyhow::Result<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    Ok(soft.context("no limit of open files")?.parse()?)
}
