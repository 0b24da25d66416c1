//! `cargo xtask bench tasks`: task lists of a history of ten million tasks of 100,000 instances, one account with 70 % of
//! them, against one of 10,000 and against the same questions in SQL; the memory and the disk that it takes; and durable
//! tasks. Takes a quarter of an hour and 10 GB below `target/`. `--write` puts the table into `docs/tasks-bench.md`, `--tasks
//! N` takes another length for a look, `--keep` leaves the history there for the next time.

mod questions;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use flow::{Clock, Cursor, End, Entry, Journal, SystemClock};
use ledger::{Instance, Ledger, NewTask, TaskFilter, claim_tasks, open_task};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rusqlite::Connection;

use self::questions::{Question, SHAPES};
use crate::figures::{millis, progress};
use crate::service::Service;
use crate::table::Table;
use crate::tasks::Nothing;
use crate::{api, document, process, seed, tasks};

const TASKS: u64 = 10_000_000;
const SMALL: u64 = 10_000;
const QUESTIONS: usize = 1_000;
/// How many of them are asked in SQL too, where each takes a second.
const IN_SQL: usize = 60;
/// What is submitted and finished in a second while lists are asked for.
const RATE: u64 = 1_000;

struct Options {
    tasks: u64,
    is_written: bool,
    is_kept: bool,
}

impl Options {
    fn parse(args: &[String]) -> anyhow::Result<Self> {
        let mut options = Options { tasks: TASKS, is_written: false, is_kept: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--write" => options.is_written = true,
                "--keep" => options.is_kept = true,
                "--tasks" => options.tasks = args.next().context("--tasks needs a number")?.parse()?,
                _ => bail!("{arg} is none of --write, --keep, --tasks N"),
            }
        }
        ensure!(options.tasks == TASKS || !options.is_written, "what is written is the whole");
        Ok(options)
    }
}

pub(crate) async fn run(args: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(args)?;
    // Beside the binary, since a temporary folder may be in memory.
    let beside = std::env::current_exe()?.with_file_name("history");
    let (large, small) = (beside.join(format!("of-{}", options.tasks)), beside.join("small"));
    let mut table = Table::new();
    let outcome = measure(&mut table, &large, &small, options.tasks).await;
    drop(std::fs::remove_dir_all(&small));
    if !options.is_kept {
        drop(std::fs::remove_dir_all(&large));
    }
    outcome?;
    table.print();
    if options.is_written { document::write("tasks-bench.md", &table.text()) } else { Ok(()) }
}

async fn measure(table: &mut Table, large: &Path, small: &Path, tasks: u64) -> anyhow::Result<()> {
    let instances = (tasks / 100).max(1);
    for (folder, tasks, instances) in [(large, tasks, instances), (small, SMALL, SMALL / 100)] {
        let begin = Instant::now();
        if !file(folder).exists() {
            // Written beside its place: one that is half written has not come to it.
            let made = folder.with_extension("made");
            drop(std::fs::remove_dir_all(&made));
            std::fs::create_dir_all(&made)?;
            seed::write(&file(&made), tasks, instances).await?;
            std::fs::rename(&made, folder)?;
            progress(&format!("{tasks} tasks written after {:.0} s", begin.elapsed().as_secs_f64()));
        }
    }
    of_store(table, large, tasks)?;
    start(table, large)?;
    let ledger = Ledger::sqlite(&file(large))?;
    let bytes = ledger.index_bytes() as f64 / tasks as f64;
    table.bound("memory of the task index", &format!("{bytes:.1} bytes a task"), "at most 40", bytes <= 40.0);
    let few = Ledger::sqlite(&file(small))?;
    let base = ask(&few, SMALL / 100, 1)?;
    let own = ask(&ledger, instances, 2)?;
    let what = format!("a list of {tasks} tasks, {QUESTIONS} questions of all shapes");
    table.bound(&what, &own.show(), "p99 at most 5 ms", own.p99() <= 5.0);
    let most = (2.0 * base.p99()).max(base.p99() + 1.0);
    let (against, ratio) = (format!("{SMALL} tasks: {}", base.show()), own.p99() / base.p99());
    table.ratio(&what, &own.show(), &against, ratio, "p99 at most 2x, or 1 ms more", own.p99() <= most);
    for (shape, _) in SHAPES {
        progress(&format!("  {shape}: {} (of {SMALL}: {})", own.of(shape).show(), base.of(shape).show()));
    }
    against_sql(table, &ledger, large, instances)?;
    while_changing(table, &ledger, instances, own.p99()).await?;
    drop((ledger, few));
    tasks::run(table).await
}

fn file(folder: &Path) -> PathBuf {
    folder.join("ledger.db")
}

fn of_store(table: &mut Table, folder: &Path, tasks: u64) -> anyhow::Result<()> {
    let connection = Connection::open(file(folder))?;
    connection.execute_batch("pragma wal_checkpoint(truncate)")?;
    let sql = "select sum(pgsize) from dbstat where name glob 'task' or name glob 'task_*'";
    let size: i64 = connection.query_row(sql, [], |row| row.get(0)).or_else(|_| {
        // A library without this table: all that there is.
        connection
            .query_row("select page_count * page_size from pragma_page_count, pragma_page_size", [], |row| row.get(0))
    })?;
    let bytes = size as f64 / tasks as f64;
    table.bound("the store", &format!("{bytes:.0} bytes a task"), "at most 300", bytes <= 300.0);
    Ok(())
}

/// How long a server takes to start on it, first without a checkpoint of the index and then with one.
fn start(table: &mut Table, folder: &Path) -> anyhow::Result<()> {
    drop(std::fs::remove_file(folder.join("ledger.index")));
    for (what, target, most) in [
        ("from exec to serving, the index rebuilt from the rows", "at most 30 s", 30.0),
        ("from exec to serving", "at most 3 s", 3.0),
    ] {
        let begin = Instant::now();
        let service = Service::start(folder)?;
        let took = begin.elapsed().as_secs_f64();
        let resident = process::resident_kib(service.server.id())? / 1024.0;
        table.bound(what, &format!("{took:.2} s ({resident:.0} MiB resident)"), target, took <= most);
    }
    Ok(())
}

/// How long answers took, by shape.
struct Asked(Vec<(&'static str, f64)>);

impl Asked {
    fn of(&self, shape: &str) -> Asked {
        Asked(self.0.iter().filter(|(of, _)| *of == shape).copied().collect())
    }

    fn quantile(&self, part: f64) -> f64 {
        let mut sorted: Vec<f64> = self.0.iter().map(|(_, took)| *took).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get((sorted.len() as f64 * part) as usize).copied().unwrap_or_default()
    }

    fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    fn show(&self) -> String {
        format!("p50 {:.2} ms, p99 {:.2} ms", self.quantile(0.5), self.p99())
    }
}

fn questions(instances: u64, seed: u64, count: usize) -> Vec<Question> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..count).map(|nth| Question::random(&mut random, SHAPES[nth % SHAPES.len()].0, instances)).collect()
}

fn ask(ledger: &Ledger, instances: u64, seed: u64) -> anyhow::Result<Asked> {
    // Others before them, so that what is measured isn't the disk's first reads.
    for question in questions(instances, seed + 100, QUESTIONS) {
        ledger.list_tasks(&question.filter, question.limit, question.offset)?;
    }
    let mut asked = Vec::new();
    for question in questions(instances, seed, QUESTIONS) {
        let begin = Instant::now();
        ledger.list_tasks(&question.filter, question.limit, question.offset)?;
        asked.push((question.shape, millis(begin.elapsed())));
    }
    Ok(Asked(asked))
}

/// The questions that a whole account answers, in SQL on a copy that has an index for each.
fn against_sql(table: &mut Table, ledger: &Ledger, folder: &Path, instances: u64) -> anyhow::Result<()> {
    let copy = folder.join("copy.db");
    // Whole, and of one state: nobody writes now.
    Connection::open(file(folder))?.execute_batch("pragma wal_checkpoint(truncate)")?;
    std::fs::copy(file(folder), &copy)?;
    let outcome = ask_sql(table, ledger, &copy, instances);
    for suffix in ["", "-wal", "-shm"] {
        drop(std::fs::remove_file(format!("{}{suffix}", copy.display())));
    }
    outcome
}

fn ask_sql(table: &mut Table, ledger: &Ledger, copy: &Path, instances: u64) -> anyhow::Result<()> {
    let connection = Connection::open(copy)?;
    let begin = Instant::now();
    connection.execute_batch("pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -1000000;")?;
    for column in ["type", "result", "caller", "project", "instance_name"] {
        let rest = "type, result, caller, project";
        let sql = format!("create index by_{column} on task (account, {column}, started_at, id, {rest})");
        connection.execute_batch(&sql.replace(&format!(", {column}, {column}"), &format!(", {column}")))?;
    }
    let all = "create index by_time on task (account, started_at, id, type, result, caller, project)";
    connection.execute_batch(&format!("{all}; analyze;"))?;
    progress(&format!("indexes for SQL after {:.0} s", begin.elapsed().as_secs_f64()));
    let wide = |question: &Question| SHAPES.contains(&(question.shape, true));
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    for question in questions(instances, 3, IN_SQL).iter().filter(|question| wide(question)) {
        let (count, page) = question.sql();
        let begin = Instant::now();
        let counted: i64 = connection.query_row(&count, [], |row| row.get(0))?;
        let mut statement = connection.prepare(&page)?;
        let mut rows = statement.query([])?;
        let mut ids: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            ids.push(row.get("id")?);
        }
        theirs.push((question.shape, millis(begin.elapsed())));
        let begin = Instant::now();
        let (total, tasks) = ledger.list_tasks(&question.filter, question.limit, question.offset)?;
        own.push((question.shape, millis(begin.elapsed())));
        let same = total == counted && tasks.iter().map(|task| task.id.0).eq(ids);
        ensure!(same, "SQL counts {counted} where the index has {total}: {count}");
    }
    let (theirs, own) = (Asked(theirs), Asked(own));
    for (shape, _) in SHAPES {
        progress(&format!("  {shape}: {} (in SQL: {})", own.of(shape).show(), theirs.of(shape).show()));
    }
    let mean = |asked: &Asked| asked.0.iter().map(|(_, took)| took).sum::<f64>() / asked.0.len() as f64;
    let ratio = mean(&theirs) / mean(&own);
    let against = format!("in SQL, mean {:.1} ms, {}", mean(&theirs), theirs.show());
    let measured = format!("mean {:.2} ms, {}", mean(&own), own.show());
    table.ratio(
        "account-wide questions with their count",
        &measured,
        &against,
        ratio,
        "at least 20x faster",
        ratio >= 20.0,
    );
    Ok(())
}

/// Lists while tasks are submitted and finished. Each that was answered has to be listed.
async fn while_changing(table: &mut Table, ledger: &Ledger, instances: u64, alone: f64) -> anyhow::Result<()> {
    let is_over = Arc::new(AtomicBool::new(false));
    let finished = Arc::new(AtomicU64::new(0));
    let writing = tokio::spawn(change(ledger.clone(), is_over.clone(), finished.clone()));
    let begin = Instant::now();
    let asking = ledger.clone();
    let asked = tokio::task::spawn_blocking(move || ask(&asking, instances, 4)).await??;
    let per_second = finished.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    is_over.store(true, Ordering::Relaxed);
    let stale = writing.await??;
    let what = format!("the same while {per_second:.0} tasks a second are submitted and finished");
    let (against, ratio) = (format!("p99 {alone:.2} ms"), asked.p99() / alone);
    table.ratio(&what, &asked.show(), &against, ratio, "p99 at most 2x", ratio <= 2.0);
    table.bound("answers that lacked what had been answered before", &stale.to_string(), "0", stale == 0);
    Ok(())
}

/// Submits and finishes tasks at the rate; answers how many a list then did not have.
async fn change(ledger: Ledger, is_over: Arc<AtomicBool>, finished: Arc<AtomicU64>) -> anyhow::Result<u64> {
    const AT_ONCE: u64 = 20;
    let (begin, mut round, mut stale) = (Instant::now(), 0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let instance = Arc::new(Instance { id: model::InstanceId::from_random(round + 1), ..api::instance(round) });
        let now = SystemClock.now();
        let submits = (0..AT_ONCE).map(|_| {
            let instance = instance.clone();
            ledger.write(move |tx| open_task(tx, new_task(&instance), now))
        });
        let ids = futures_util::future::try_join_all(submits).await?;
        let newest = ids.iter().max().copied().context("there are some")?;
        let filter = TaskFilter {
            account: instance.account,
            instance: Some(instance.id.as_str().into()),
            results: vec![model::TaskResult::Waiting],
            ..TaskFilter::default()
        };
        let (count, page) = ledger.list_tasks(&filter, 1, 0)?;
        stale += u64::from(count != AT_ONCE as i64 || page.first().is_none_or(|task| task.id != newest));
        let until = now + ledger::LEASE;
        let claimed = ledger.write(move |tx| claim_tasks(tx, now, until, 1_000)).await?;
        let journal: &dyn Journal<Nothing> = &ledger;
        let ends = claimed.into_iter().map(|task| {
            let entry = Entry {
                passed: None,
                state: task.state,
                cursor: Cursor::start("first", now),
                progress: 1.0,
                end: Some(End::Done),
                parked_until: None,
                can_be_cancelled: true,
                at: now,
            };
            journal.append(task.claim, entry, vec![])
        });
        futures_util::future::try_join_all(ends).await?;
        let left = ledger.list_tasks(&filter, 1, 0)?.0;
        stale += u64::from(left != 0);
        finished.fetch_add(AT_ONCE, Ordering::Relaxed);
        round += 1;
        let due = Duration::from_millis(1000 * AT_ONCE * round / RATE);
        tokio::time::sleep(due.saturating_sub(begin.elapsed())).await;
    }
    Ok(stale)
}

fn new_task(instance: &Instance) -> NewTask<'_> {
    let (flow, first_step, state) = ("no-op", "first", "{\"passed\":0}".to_owned());
    NewTask { instance, caller: "1", kind: "007", flow, first_step, state, holds: false, partner: None }
}
