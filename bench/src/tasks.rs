//! Durable tasks that do nothing: submitted, run through three journalled steps, each on the disk before the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use flow::harness::NoProbe;
use flow::{Clock, Context, End, Flow, FlowEntry, Outcome, Step, StepResult, SystemClock, drive, steps};
use futures_util::future::try_join_all;
use ledger::harness::Cluster;
use ledger::{Instance, LEASE, Ledger, NewTask, PostgresAddress, Write, claim_tasks, insert_instance, open_task};
use model::Millis;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::api::instance;
use crate::table::Table;

const TASKS: u64 = 5_000;
/// As many as the service drives at once.
const AT_ONCE: i64 = 64;

pub(crate) struct Nothing;

impl Context for Nothing {
    type Write = Write;
    fn clock(&self) -> &dyn Clock {
        &SystemClock
    }
}

#[derive(Serialize, Deserialize)]
struct NoOp {
    passed: u32,
}

impl Flow for NoOp {
    type Cx = Nothing;
    const NAME: &'static str = "no-op";
    const STEPS: &'static [Step<Nothing, Self>] = steps![first, second, third];
    fn settle(&self, _: &End, _: Millis) -> Outcome<Nothing> {
        None
    }
}

async fn first(_: &Nothing, flow: &mut NoOp) -> StepResult<Nothing> {
    flow.passed = 1;
    Ok(None)
}

async fn second(_: &Nothing, flow: &mut NoOp) -> StepResult<Nothing> {
    flow.passed = 2;
    Ok(None)
}

async fn third(_: &Nothing, flow: &mut NoOp) -> StepResult<Nothing> {
    flow.passed = 3;
    Ok(None)
}

pub(crate) async fn run(table: &mut Table) -> anyhow::Result<()> {
    // Beside the binary, since a temporary folder may be in memory.
    let beside = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(beside.parent().unwrap_or(&beside))?;
    run_on(table, "SQLite", &Ledger::sqlite(&folder.path().join("ledger.db"))?, 2_000).await?;
    if !Cluster::is_installed() {
        return Ok(());
    }
    let (cluster, folder) = (Cluster::start_durable(), tempfile::tempdir()?);
    let ledger = Ledger::postgres(PostgresAddress::parse(&cluster.url(), None)?, folder.path())?;
    run_on(table, "PostgreSQL", &ledger, 1_500).await
}

async fn run_on(table: &mut Table, store: &str, ledger: &Ledger, target: u32) -> anyhow::Result<()> {
    let instances: Arc<Vec<Instance>> = Arc::new((0..TASKS).map(instance).collect());
    let all = instances.clone();
    ledger.write(move |tx| -> ledger::Result<()> { all.iter().try_for_each(|it| insert_instance(tx, it)) }).await?;

    let begin = Instant::now();
    let submitting = {
        let (ledger, instances) = (ledger.clone(), instances.clone());
        tokio::spawn(async move {
            for part in 0..instances.len() / 100 {
                try_join_all((0..100).map(|nth| submit(&ledger, &instances, part * 100 + nth))).await?;
            }
            anyhow::Ok(())
        })
    };
    let done = work(ledger).await?;
    submitting.await??;
    let took = begin.elapsed();
    ensure!(done == TASKS, "{done} of {TASKS} tasks ended well");
    let per_second = TASKS as f64 / took.as_secs_f64();
    let (what, wanted) = (format!("durable no-op tasks of three steps, {store}"), format!("at least {target}/s"));
    table.bound(&what, &format!("{per_second:.0}/s"), &wanted, per_second >= f64::from(target));
    Ok(())
}

async fn submit(ledger: &Ledger, instances: &Arc<Vec<Instance>>, nth: usize) -> ledger::Result<()> {
    let instances = instances.clone();
    let task = ledger.write(move |tx| {
        let (instance, state) = (&instances[nth], "{\"passed\":0}".to_owned());
        let new = NewTask {
            instance,
            caller: "1",
            kind: "007",
            flow: NoOp::NAME,
            first_step: "first",
            state,
            holds: true,
            partner: None,
        };
        open_task(tx, new, SystemClock.now())
    });
    task.await.map(drop)
}

async fn work(ledger: &Ledger) -> anyhow::Result<u64> {
    static NO_OP: FlowEntry<Nothing> = FlowEntry::of::<NoOp>();
    let (mut driven, mut done) = (JoinSet::new(), 0);
    while done < TASKS {
        let now = SystemClock.now();
        let room = AT_ONCE - driven.len() as i64;
        let claimed = ledger.write(move |tx| claim_tasks(tx, now, now + LEASE, room)).await?;
        if claimed.is_empty() && driven.is_empty() {
            SystemClock.sleep(Duration::from_millis(1)).await;
        }
        for task in claimed {
            let ledger = ledger.clone();
            driven.spawn(async move { drive(&NO_OP, &Nothing, &ledger, &NoProbe, task).await });
        }
        if let Some(end) = driven.join_next().await {
            done += u64::from(end?? == End::Done);
        }
        while let Some(end) = driven.try_join_next() {
            done += u64::from(end?? == End::Done);
        }
    }
    Ok(done)
}
