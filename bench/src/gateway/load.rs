//! redis-benchmark by every way to one engine, in turn.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, ensure};
use e2e::Instance;
use model::RoutingTable;
use tokio::process::Command;
use tokio::task::spawn_blocking;

use super::Options;
use super::contender::{Contender, Kind};
use super::report::Report;
use super::row::{Row, rows};
use crate::figures::progress;
use crate::service::Service;
use crate::target::{PASSWORD, Target};

/// How many keys there are, each written before it is read.
pub(super) const KEYS: usize = 10_000;
/// How many commands tell how fast a row is: so many times what clients have under way at once.
const TRIAL: usize = 400;
/// How long, in seconds, before redis-benchmark is taken for hung: it is, where it can't connect.
const PATIENCE: &str = "60";

/// What one run of redis-benchmark saw.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    /// Commands a second.
    pub(super) per_second: f64,
    /// In milliseconds.
    pub(super) p99: f64,
    /// What the proxy had of the cores for a million commands, in seconds.
    pub(super) cpu: f64,
}

pub(super) async fn run(options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let target = Target::order(&service, 17, 0).await?;
    let vip = SocketAddr::new(target.instance.host.parse()?, target.instance.port);
    let engine = node_of(folder.path(), vip)?;
    let proxies = tempfile::tempdir()?;
    let contenders = [
        Contender::direct(engine),
        Contender::haproxy(engine, proxies.path()).await?,
        Contender::twemproxy(engine, proxies.path()).await?,
        Contender::gateway(vip, folder.path()),
    ];
    let mut filled = None;
    for row in rows().into_iter().filter(|row| options.wants(&row.name())) {
        if filled.replace(row.size) != Some(row.size) {
            let mut instance = target.instance.clone();
            (instance.host, instance.port) = (engine.ip().to_string(), engine.port());
            spawn_blocking(move || fill(&instance, row.size)).await??;
        }
        measure(&contenders, row, options, report).await.with_context(|| format!("the row {}", row.name()))?;
    }
    Ok(())
}

/// One row: the contenders in turn, and that again and again, each round from another of them on, so that what comes and
/// goes on the machine meets all alike.
async fn measure(contenders: &[Contender], row: Row, options: &Options, report: &mut Report) -> anyhow::Result<()> {
    let under_way = row.shape.connections * row.shape.pipeline;
    let trial = benchmark(&contenders[0], row, TRIAL * under_way.min(1000)).await?;
    let commands = (trial.per_second * options.span.as_secs_f64()) as usize;
    let mut samples = Kind::ALL.map(|_| Vec::new());
    for round in 0..options.rounds {
        for turn in 0..contenders.len() {
            let contender = &contenders[(round + turn) % contenders.len()];
            match benchmark(contender, row, commands).await {
                Ok(sample) => samples[contender.kind as usize].push(sample),
                // The others are worth to be seen all the same.
                Err(error) => report.note(format!("{} failed in {}: {error:#}.", contender.kind.name(), row.name())),
            }
        }
    }
    report.row(row, samples);
    Ok(())
}

async fn benchmark(contender: &Contender, row: Row, commands: usize) -> anyhow::Result<Sample> {
    let mut command = Command::new("timeout");
    command.args([PATIENCE, "redis-benchmark", "--csv", "-a", PASSWORD]);
    command.args(["-h", &contender.addr.ip().to_string(), "-t", row.command]);
    let numbers = [
        ("-p", usize::from(contender.addr.port())),
        ("-n", commands),
        ("-c", row.shape.connections),
        ("-P", row.shape.pipeline),
        ("-d", row.size),
        ("-r", KEYS),
    ];
    for (flag, number) in numbers {
        command.arg(flag).arg(number.to_string());
    }
    let before = contender.cpu_seconds()?;
    let output = command.output().await.context("start redis-benchmark")?;
    let cpu = contender.cpu_seconds()? - before;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix(&format!("\"{}\",", row.command.to_uppercase())));
    let (true, Some(line)) = (output.status.success(), line) else {
        let faults = String::from_utf8_lossy(&output.stderr);
        // It can't ask for the engine's configuration, which nothing depends on.
        let faults: Vec<&str> = faults.lines().filter(|line| !line.contains("CONFIG")).collect();
        anyhow::bail!("redis-benchmark: {}, {}", output.status, faults.join(" "));
    };
    let figures: Vec<f64> =
        line.split(',').map(|figure| figure.trim_matches('"').parse()).collect::<Result<_, _>>().context("a figure")?;
    // Commands a second; then average, least, median, p95, p99 and most.
    ensure!(figures.len() == 7, "redis-benchmark says other things than it used to: {line}");
    Ok(Sample { per_second: figures[0], p99: figures[5], cpu: 1e6 * cpu / commands as f64 })
}

/// Where the engine behind an address listens.
fn node_of(data: &Path, vip: SocketAddr) -> anyhow::Result<SocketAddr> {
    let table: RoutingTable = serde_json::from_slice(&fs::read(data.join("gateway").join("routes.json"))?)?;
    let route = table.routes.into_iter().find(|route| route.vip.0 == vip).context("the address has no route")?;
    Ok(route.target.context("the address is closed")?.addr.0)
}

/// Writes each key that redis-benchmark names.
fn fill(instance: &Instance, size: usize) -> anyhow::Result<()> {
    let mut connection = instance.connect()?;
    let value = "x".repeat(size);
    for batch in (0..KEYS).collect::<Vec<_>>().chunks(500) {
        let mut sets = redis::pipe();
        for key in batch {
            sets.set(format!("key:{key:012}"), &value).ignore();
        }
        sets.query::<()>(&mut connection)?;
    }
    progress(&format!("{KEYS} keys of {size} bytes are there"));
    Ok(())
}
