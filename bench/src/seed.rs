//! `cargo xtask seed --tasks N --instances M [--data DIR]`: writes a believable history of the last 30 days into a ledger of
//! its own, for benchmarks and for looking at something. Straight into the file: through the service's own functions it
//! would take hours.
//!
//! One account has 70 % of the tasks, 200 others the rest. Some instances have far more than others, some types come far
//! more often; 4 % have failed, and the latest are waiting and running. A thousand instances are still there, in the recycle
//! bin, where no keeper touches them; the others have been deleted. Flows have names that no binary has: a server that is
//! started on it says so of the open ones, and leaves them as they are. The same numbers give the same history.

use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use flow::{Clock, SystemClock};
use ledger::harness::Cluster;
use ledger::{Instance, Ledger, PostgresAddress, insert_instance};
use model::{InstanceId, TASK_TYPES};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rusqlite::{Connection, params};

use crate::api::{self, ACCOUNT};
use crate::figures::progress;

/// How far back it goes, in milliseconds: 30 days, but for an hour in which it can be looked at.
const SPAN: i64 = (30 * 24 - 1) * 3600 * 1000;
/// The accounts besides the one that has most.
const OTHERS: u64 = 200;
/// The share that one account has.
pub(crate) const SHARE: f64 = 0.7;
/// The tasks that are open.
const OPEN: u64 = 40;
/// The most instances that are still there.
const LIVING: u64 = 1000;
/// Names that many instances have.
pub(crate) const NAMES: [&str; 4] = ["production", "staging", "session-cache", "test"];
/// The projects that instances are in, besides none.
pub(crate) const PROJECTS: i64 = 20;
/// The callers of an account besides itself.
pub(crate) const CALLERS: u64 = 5;

pub(crate) async fn run(options: &[String]) -> anyhow::Result<()> {
    let (mut tasks, mut instances, mut data) = (None, None, PathBuf::from("target/seed"));
    for option in options.chunks(2) {
        match option {
            [name, value] if name == "--tasks" => tasks = Some(value.parse()?),
            [name, value] if name == "--instances" => instances = Some(value.parse()?),
            [name, value] if name == "--data" => data = value.into(),
            _ => bail!("usage: cargo xtask seed --tasks N --instances M [--data DIR]"),
        }
    }
    let tasks = tasks.context("--tasks is missing")?;
    let file = data.join("ledger.db");
    ensure!(!file.exists(), "{} is there already", file.display());
    std::fs::create_dir_all(&data)?;
    let begin = Instant::now();
    write(&file, tasks, instances.unwrap_or((tasks / 100).max(1))).await?;
    progress(&format!("{tasks} tasks in {}, after {:.0} s", file.display(), begin.elapsed().as_secs_f64()));
    Ok(())
}

/// Writes so many tasks of so many instances into a new ledger.
pub(crate) async fn write(file: &Path, tasks: u64, instances: u64) -> anyhow::Result<()> {
    let ledger = Ledger::sqlite(file)?;
    let living: Vec<Instance> = (0..instances.min(LIVING)).map(living).collect();
    ledger.write(move |tx| -> ledger::Result<()> { living.iter().try_for_each(|it| insert_instance(tx, it)) }).await?;
    drop(ledger);

    let mut connection = Connection::open(file)?;
    // Nobody else has the file, and whoever finds it half written throws it away.
    connection.execute_batch(
        "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -1500000; pragma locking_mode = exclusive;",
    )?;
    let tx = connection.transaction()?;
    write_tasks(&tx, tasks, instances)?;
    tx.execute("insert into meta (name, number) values ('task-version', ?1)", [tasks as i64])?;
    tx.commit()?;
    connection.execute_batch("pragma locking_mode = normal; pragma journal_mode = wal;")?;
    Ok(())
}

/// The columns of a task that a history has; the others have what they have by themselves.
const COLUMNS: &str =
    "account, caller, instance, instance_name, project, type, flow, state, cursor, result, progress, code,
    message, started_at, ended_at, lease_until, size, fence, first_state";

fn write_tasks(connection: &Connection, tasks: u64, instances: u64) -> anyhow::Result<()> {
    let values = "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, 1, ?8";
    let mut insert = connection.prepare(&format!("insert into task ({COLUMNS}) values ({values})"))?;
    for (nth, row) in (1..).zip(rows(tasks, instances)) {
        insert.execute(params![
            row.account,
            row.caller,
            row.instance.as_str(),
            row.name,
            row.project,
            TASK_TYPES[row.kind].code,
            row.flow,
            row.state,
            row.cursor,
            row.result,
            row.progress,
            row.code,
            row.message,
            row.started_at,
            row.ended_at,
            row.lease_until,
            row.size,
        ])?;
        progress_of(nth, tasks);
    }
    Ok(())
}

/// How many rows are copied at a time.
const COPIED: usize = 1_000_000;

/// The same in a new ledger of a cluster's, into which it is copied.
pub(crate) async fn copy(url: &str, folder: &Path, tasks: u64, instances: u64) -> anyhow::Result<()> {
    let ledger = Ledger::postgres(PostgresAddress::parse(url, None)?, folder)?;
    let living: Vec<Instance> = (0..instances.min(LIVING)).map(living).collect();
    ledger.write(move |tx| -> ledger::Result<()> { living.iter().try_for_each(|it| insert_instance(tx, it)) }).await?;
    drop(ledger);

    let mut all = rows(tasks, instances);
    for from in (0..tasks).step_by(COPIED) {
        let mut file = tempfile::NamedTempFile::new()?;
        // The store's own user reads it.
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        let mut out = BufWriter::new(file.as_file_mut());
        for row in all.by_ref().take(COPIED) {
            row.write(&mut out)?;
        }
        out.flush()?;
        drop(out);
        Cluster::say_at(url, &format!("copy task ({COLUMNS}) from '{}'", file.path().display()));
        progress_of(tasks.min(from + COPIED as u64), tasks);
    }
    let version = format!("insert into meta (name, number, text) values ('task-version', {tasks}, 'seed')");
    // As the store does by itself after a while.
    for sql in [version.as_str(), "vacuum (analyze) task", "checkpoint"] {
        Cluster::say_at(url, sql);
    }
    Ok(())
}

/// A task of a history.
struct TaskRow {
    account: i64,
    caller: String,
    instance: InstanceId,
    name: String,
    project: i64,
    kind: usize,
    flow: String,
    state: String,
    cursor: String,
    result: i64,
    progress: f64,
    code: &'static str,
    message: &'static str,
    started_at: i64,
    ended_at: Option<i64>,
    lease_until: i64,
    size: i64,
}

impl TaskRow {
    /// As PostgreSQL copies it; nothing in it needs to be told from what separates.
    fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let TaskRow { account, caller, instance, name, project, flow, state, cursor, result, .. } = self;
        let (kind, ended_at) = (TASK_TYPES[self.kind].code, self.ended_at.map_or("\\N".into(), |at| at.to_string()));
        write!(
            out,
            "{account}\t{caller}\t{instance}\t{name}\t{project}\t{kind}\t{flow}\t{state}\t{cursor}\t{result}\t"
        )?;
        let TaskRow { progress, code, message, started_at, lease_until, size, .. } = self;
        writeln!(out, "{progress}\t{code}\t{message}\t{started_at}\t{ended_at}\t{lease_until}\t{size}\t1\t{state}")
    }
}

fn rows(tasks: u64, instances: u64) -> impl Iterator<Item = TaskRow> {
    let flows: Vec<String> = TASK_TYPES.iter().map(|kind| kind.title.0.replace(' ', "-")).collect();
    let mut random = SmallRng::seed_from_u64(tasks ^ instances << 32);
    let begin = SystemClock.now().0 - SPAN;
    (0..tasks).map(move |nth| {
        let of = Subject::random(&mut random, instances);
        let started_at = begin + (SPAN as f64 * by_day(nth as f64 / tasks as f64)) as i64;
        let took = random.random_range(30..8_000);
        let kind = kind(&mut random);
        let (result, progress, code, message) = match random.random_range(0..100) {
            _ if tasks - nth <= OPEN.min(tasks / 10) => (i64::from(random.random_bool(0.7)), 0.4, "", ""),
            0..4 => (4, 0.6, "FailedOperation.SystemError", "a node did not start within 30 s: address already in use"),
            _ => (2, 1.0, "", ""),
        };
        let (instance, since) = (of.id(), started_at + took * 9 / 10);
        // Of what ended well nothing is kept but the last step.
        let (state, cursor) = match result {
            2 => (String::new(), "publish_routes".to_owned()),
            _ => (
                format!(
                    "{{\"instance\":\"{instance}\",\"accepted_at\":{started_at},\"nodes\":[],\"before\":1024,\"after\":2048}}"
                ),
                format!("{{\"phase\":\"run\",\"step\":\"publish_routes\",\"since\":{since},\"tries\":0}}"),
            ),
        };
        TaskRow {
            account: of.account,
            caller: of.caller(&mut random),
            instance,
            name: of.name(),
            project: of.project(),
            kind,
            flow: flows[kind].clone(),
            state,
            cursor,
            result,
            progress,
            code,
            message,
            started_at,
            ended_at: (result >= 2).then_some(started_at + took),
            lease_until: since + 15_000,
            size: 1024 << (of.number % 4),
        }
    })
}

fn progress_of(done: u64, of: u64) {
    if !done.is_multiple_of(1_000_000) {
        return;
    }
    progress(&format!("{} of {} million tasks", done / 1_000_000, of / 1_000_000));
}

/// Nights have fewer tasks than days. Grows from 0 to 1.
fn by_day(part: f64) -> f64 {
    let days = std::f64::consts::TAU * 30.0;
    part + 0.6 / days * (days * part).sin()
}

/// The first types come most often, none never.
pub(crate) fn kind(random: &mut SmallRng) -> usize {
    let count = TASK_TYPES.len() as f64;
    ((count + 1.0).powf(random.random::<f64>()) - 1.0).min(count - 1.0) as usize
}

/// What a task is of.
pub(crate) struct Subject {
    pub(crate) account: i64,
    number: u64,
}

impl Subject {
    /// The first instances have far more tasks than the others. Every third one is another account's.
    pub(crate) fn random(random: &mut SmallRng, instances: u64) -> Self {
        let number = (instances as f64 * random.random::<f64>().powi(2)) as u64;
        let is_other = number % 3 == 2;
        Subject::of(match random.random_bool(SHARE) {
            true => number - u64::from(is_other),
            false if is_other => number,
            false => (number / 3 * 3 + 2).min((instances / 3 * 3).saturating_sub(1)),
        })
    }

    fn of(number: u64) -> Self {
        let account = if number % 3 == 2 { ACCOUNT + 1 + (number / 3 % OTHERS) as i64 } else { ACCOUNT };
        Subject { account, number }
    }

    pub(crate) fn id(&self) -> InstanceId {
        // Scattered, as ids are that come from chance.
        InstanceId::from_random((self.number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn name(&self) -> String {
        match NAMES.get(self.number as usize % 50) {
            Some(name) => (*name).to_owned(),
            None => format!("cache-{}", self.number),
        }
    }

    pub(crate) fn project(&self) -> i64 {
        if self.number % 5 < 3 { 0 } else { 1 + self.number as i64 % PROJECTS }
    }

    pub(crate) fn caller(&self, random: &mut SmallRng) -> String {
        match random.random_range(0..20) {
            0 => "expiry".into(),
            1..10 => (self.account + 1_000 * random.random_range(1..=CALLERS as i64)).to_string(),
            _ => self.account.to_string(),
        }
    }
}

fn living(nth: u64) -> Instance {
    let of = Subject::of(nth);
    Instance { id: of.id(), account: of.account, name: of.name(), project: of.project(), ..api::instance(nth) }
}
