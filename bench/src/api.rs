//! Signed DescribeTaskList against a bare handler that returns the same bytes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use flow::{Clock, Cursor, End, Entry, Journal, SystemClock};
use ledger::{Instance, Ledger, NewTask, Write, claim_tasks, insert_instance, open_task};
use model::{BillingMode, EngineVersion, InstanceId, InstanceStatus, TypeId, Vip};
use serde_json::json;

use crate::bare::Bare;
use crate::http::{Connection, Seen, load, signed};
use crate::service::Service;
use crate::table::Table;

const INSTANCES: u64 = 100;
const TASKS_EACH: usize = 100;
const CONNECTIONS: usize = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// The owner's uin, by default.
pub(crate) const ACCOUNT: i64 = 100_000_000_001;

pub(crate) async fn run(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    seed(&folder.path().join("ledger.db")).await?;
    let service = Service::start(folder.path())?;
    let ask = json!({"InstanceId": InstanceId::from_random(7).as_str(), "Limit": 20});
    let body = folder.path().join("answer.json");
    let mut connection = Connection::open(service.addr).await?;
    let request = signed(service.addr, "DescribeTaskList", &ask);
    let answer = connection.ask(&request).await?;
    // What is measured is an answer with its rows, and no refusal.
    let rows = serde_json::from_slice::<serde_json::Value>(answer)?["Response"]["Tasks"].as_array().map(Vec::len);
    ensure!(rows == Some(20), "the answer has {rows:?} rows: {}", String::from_utf8_lossy(answer));
    std::fs::write(&body, answer)?;
    let length = answer.len();
    let bare = Bare::start(&body)?;

    let one = |addr| Arc::new(vec![signed(addr, "DescribeTaskList", &ask)]);
    let (mut same, mut other, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        theirs.push(load(bare.addr, one(bare.addr), CONNECTIONS, ROUND, Some(length)).await?);
        same.push(load(service.addr, one(service.addr), CONNECTIONS, ROUND, Some(length)).await?);
        let questions = Arc::new(ever_other_questions(service.addr, round));
        other.push(load(service.addr, questions, CONNECTIONS, ROUND, None).await?);
    }
    for (what, ours) in [("the same question", same), ("ever other questions", other)] {
        let rate = median(&ours, |seen| seen.per_second) / median(&theirs, |seen| seen.per_second);
        let tail = median(&ours, |seen| seen.p99.as_secs_f64()) / median(&theirs, |seen| seen.p99.as_secs_f64());
        let (measured, against) = (show(&ours), format!("bare axum: {}", show(&theirs)));
        let row = format!("signed DescribeTaskList, 20 rows, {what}");
        table.ratio(&format!("{row}: requests"), &measured, &against, rate, "at least 0.5x", rate >= 0.5);
        table.ratio(&format!("{row}: p99"), &measured, &against, tail, "at most 3x", tail <= 3.0);
    }
    Ok(())
}

/// As many as are asked in a round, no two alike, so that no answer can be given again.
fn ever_other_questions(addr: SocketAddr, round: usize) -> Vec<Vec<u8>> {
    let question = |nth: usize| {
        let (minute, second) = (nth / 60 % 60, nth % 60);
        let end = format!("2099-01-{:02} {:02}:{minute:02}:{second:02}", round + 1, nth / 3600 % 24);
        let instance = InstanceId::from_random(nth as u64 % INSTANCES);
        signed(addr, "DescribeTaskList", &json!({"InstanceId": instance.as_str(), "Limit": 20, "EndTime": end}))
    };
    (0..86_400).map(question).collect()
}

fn show(seen: &[Seen]) -> String {
    let micros = |pick: fn(&Seen) -> Duration| 1e6 * median(seen, |seen| pick(seen).as_secs_f64());
    let rate = median(seen, |seen| seen.per_second);
    format!("{rate:.0}/s, p50 {:.0} us, p99 {:.0} us", micros(|seen| seen.p50), micros(|seen| seen.p99))
}

fn median(seen: &[Seen], of: impl Fn(&Seen) -> f64) -> f64 {
    let mut values: Vec<f64> = seen.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

struct Nothing;

impl flow::Context for Nothing {
    type Write = Write;
    fn clock(&self) -> &dyn Clock {
        &SystemClock
    }
}

/// An instance that no keeper touches.
pub(crate) fn instance(number: u64) -> Instance {
    let now = SystemClock.now();
    let far = now + Duration::from_secs(1_000_000_000);
    let addr = SocketAddr::from(([127, 99, (number >> 8) as u8, number as u8], 6379));
    Instance {
        id: InstanceId::from_random(number),
        account: ACCOUNT,
        name: format!("bench-{number}"),
        project: 0,
        type_id: TypeId::parse(17).expect("there is a type 17"),
        version: EngineVersion::new(7, 0, 0),
        product_version: "local".into(),
        memory_mb: 1024,
        shards: 1,
        replicas: 0,
        zone: 100_001,
        vpc: "vpc-bench000".into(),
        subnet: "subnet-bench000".into(),
        vip: Vip(addr),
        is_open: false,
        status: InstanceStatus::ToBeDeleted,
        shows_node_set: false,
        no_auth: false,
        password: None,
        admin: vec![],
        billing: BillingMode::Postpaid,
        auto_renew: 0,
        delete_protection: false,
        read_only: false,
        window: (180, 240),
        created_at: now,
        old_password: None,
        client_limit: None,
        bandwidth_mbit: None,
        deadline_at: None,
        closed_at: Some(now),
        offline_at: Some(far),
        replica_reads: false,
    }
}

/// Writes a history through the same functions as the service does.
async fn seed(file: &Path) -> anyhow::Result<()> {
    let ledger = Ledger::sqlite(file)?;
    let instances: Arc<Vec<Instance>> = Arc::new((0..INSTANCES).map(instance).collect());
    let all = instances.clone();
    ledger.write(move |tx| -> ledger::Result<()> { all.iter().try_for_each(|it| insert_instance(tx, it)) }).await?;
    let journal: &dyn Journal<Nothing> = &ledger;
    for _ in 0..TASKS_EACH {
        let all = instances.clone();
        let now = SystemClock.now();
        let claimed = ledger.write(move |tx| -> ledger::Result<_> {
            for instance in all.iter() {
                let state = "{}".to_owned();
                let new = NewTask {
                    instance,
                    caller: "100000000001",
                    kind: "007",
                    flow: "f",
                    first_step: "s",
                    state,
                    holds: true,
                    partner: None,
                };
                open_task(tx, new, now)?;
            }
            claim_tasks(tx, now, now + ledger::LEASE, 1000)
        });
        let ends = claimed.await?.into_iter().map(|task| {
            let cursor = Cursor::start("s", now);
            let entry = Entry {
                passed: None,
                state: task.state,
                cursor,
                progress: 1.0,
                end: Some(End::Done),
                parked_until: None,
                can_be_cancelled: true,
                at: now,
            };
            journal.append(task.claim, entry, vec![])
        });
        futures_util::future::try_join_all(ends).await?;
    }
    Ok(())
}
