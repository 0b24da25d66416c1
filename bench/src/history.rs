//! `cargo xtask bench tasks`: task lists of a history of ten million tasks of 100,000 instances, one account with 70 % of
//! them, against one of 10,000 and against the same questions in SQL; the memory and the disk that it takes; and durable
//! tasks. On SQLite, and on PostgreSQL with two servers. Takes half an hour and 10 GB below `target/` and as much in the
//! folder for temporary files. `--write` puts the table into `docs/tasks-bench.md`, `--tasks N` takes another length for a
//! look, `--on sqlite` or `--on postgres` one store, `--keep` leaves the history on SQLite there for the next time.

mod asked;
mod changing;
mod questions;
mod store;

use std::time::Instant;

use anyhow::{Context, bail, ensure};
use ledger::Ledger;
use ledger::harness::Cluster;

use self::asked::{Asked, QUESTIONS, ask, questions};
use self::changing::{Servers, while_changing};
use self::questions::{Question, SHAPES};
use self::store::Store;
use crate::figures::{millis, progress};
use crate::table::Table;
use crate::{document, process, tasks};

const TASKS: u64 = 10_000_000;
const SMALL: u64 = 10_000;
/// How many questions are asked in SQL too, where each takes a second.
const IN_SQL: usize = 60;

struct Options {
    tasks: u64,
    on: Option<String>,
    is_written: bool,
    is_kept: bool,
}

impl Options {
    fn parse(args: &[String]) -> anyhow::Result<Self> {
        let mut options = Options { tasks: TASKS, on: None, is_written: false, is_kept: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--write" => options.is_written = true,
                "--keep" => options.is_kept = true,
                "--tasks" => options.tasks = args.next().context("--tasks needs a number")?.parse()?,
                "--on" => options.on = args.next().filter(|on| ["sqlite", "postgres"].contains(&on.as_str())).cloned(),
                _ => bail!("{arg} is none of --write, --keep, --tasks N, --on sqlite, --on postgres"),
            }
        }
        let is_whole = options.tasks == TASKS && options.on.is_none();
        ensure!(is_whole || !options.is_written, "what is written is the whole");
        Ok(options)
    }
}

pub(crate) async fn run(args: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(args)?;
    let is_on = |store: &str| options.on.as_deref().is_none_or(|on| on == store);
    // Beside the binary, since a temporary folder may be in memory.
    let beside = std::env::current_exe()?.with_file_name("history");
    let (large, small) = (beside.join(format!("of-{}", options.tasks)), beside.join("small"));
    let mut table = Table::new();
    let mut outcome = Ok(());
    if is_on("sqlite") {
        let stores = [Store::Sqlite(large.clone()), Store::Sqlite(small.clone())];
        outcome = measure(&mut table, &stores, options.tasks, 5.0).await;
        drop(std::fs::remove_dir_all(&small));
        if !options.is_kept {
            drop(std::fs::remove_dir_all(&large));
        }
    }
    outcome?;
    if is_on("postgres") && Cluster::is_installed() {
        let cluster = Cluster::start_durable();
        let folder = tempfile::tempdir_in(beside.parent().unwrap_or(&beside))?;
        let stores = ["large", "small"].map(|name| Store::Postgres(cluster.url(), folder.path().join(name)));
        measure(&mut table, &stores, options.tasks, 12.0).await?;
    }
    tasks::run(&mut table).await?;
    table.print();
    if options.is_written { document::write("tasks-bench.md", &table.text()) } else { Ok(()) }
}

/// Of a large history and a small one; a list may take so many milliseconds.
async fn measure(table: &mut Table, [large, small]: &[Store; 2], tasks: u64, most: f64) -> anyhow::Result<()> {
    let (name, instances) = (large.name(), (tasks / 100).max(1));
    large.make(tasks, instances).await?;
    small.make(SMALL, SMALL / 100).await?;
    let bytes = large.bytes()? as f64 / tasks as f64;
    table.bound(&format!("{name}: the store"), &format!("{bytes:.0} bytes a task"), "at most 300", bytes <= 300.0);
    start(table, large)?;
    let ledger = large.open()?;
    let bytes = ledger.index_bytes() as f64 / tasks as f64;
    table.bound("memory of the task index", &format!("{bytes:.1} bytes a task"), "at most 40", bytes <= 40.0);
    let few = small.open()?;
    let base = ask(&few, SMALL / 100, 1)?;
    let own = ask(&ledger, instances, 2)?;
    let what = format!("{name}: a list of {tasks} tasks, {QUESTIONS} questions of all shapes");
    table.bound(&what, &own.show(), &format!("p99 at most {most} ms"), own.p99() <= most);
    let most = (2.0 * base.p99()).max(base.p99() + 1.0);
    let (against, ratio) = (format!("{SMALL} tasks: {}", base.show()), own.p99() / base.p99());
    table.ratio(&what, &own.show(), &against, ratio, "p99 at most 2x, or 1 ms more", own.p99() <= most);
    for (shape, _) in SHAPES {
        progress(&format!("  {shape}: {} (of {SMALL}: {})", own.of(shape).show(), base.of(shape).show()));
    }
    let (what, changes) = match large {
        Store::Sqlite(_) => (format!("{name}: the same"), ledger.clone()),
        Store::Postgres(..) => (format!("{name}: the same, of one server, and by another"), large.open()?),
    };
    let servers = Servers { lists: ledger.clone(), changes };
    while_changing(table, &what, &servers, instances, own.p99()).await?;
    against_sql(table, &ledger, large, instances)
}

/// How long a server takes to start on it, first without a checkpoint of the index and then with one.
fn start(table: &mut Table, store: &Store) -> anyhow::Result<()> {
    drop(std::fs::remove_file(store.folder().join("ledger.index")));
    let name = store.name();
    for (what, target, most) in [
        ("from exec to serving, the index rebuilt from the rows", "at most 30 s", 30.0),
        ("from exec to serving", "at most 3 s", 3.0),
    ] {
        let begin = Instant::now();
        let service = store.serve()?;
        let took = begin.elapsed().as_secs_f64();
        let resident = process::resident_kib(service.server.id())? / 1024.0;
        let measured = format!("{took:.2} s ({resident:.0} MiB resident)");
        table.bound(&format!("{name}: {what}"), &measured, target, took <= most);
    }
    Ok(())
}

/// The questions that a whole account answers, in SQL on the same store with an index for each.
fn against_sql(table: &mut Table, ledger: &Ledger, store: &Store, instances: u64) -> anyhow::Result<()> {
    let in_sql = store.in_sql()?;
    let wide = |question: &Question| SHAPES.contains(&(question.shape, true));
    let (mut theirs, mut own) = (Vec::new(), Vec::new());
    for question in questions(instances, 3, IN_SQL).iter().filter(|question| wide(question)) {
        let begin = Instant::now();
        let (counted, ids) = in_sql.ask(question)?;
        theirs.push((question.shape, millis(begin.elapsed())));
        let begin = Instant::now();
        let (total, tasks) = ledger.list_tasks(&question.filter, question.limit, question.offset)?;
        own.push((question.shape, millis(begin.elapsed())));
        let same = total == counted && tasks.iter().map(|task| task.id.0).eq(ids);
        ensure!(same, "SQL counts {counted} where the index has {total}: {}", question.sql().0);
    }
    let (theirs, own) = (Asked(theirs), Asked(own));
    for (shape, _) in SHAPES {
        progress(&format!("  {shape}: {} (in SQL: {})", own.of(shape).show(), theirs.of(shape).show()));
    }
    let ratio = theirs.mean() / own.mean();
    let against = format!("in SQL, mean {:.1} ms, {}", theirs.mean(), theirs.show());
    let measured = format!("mean {:.2} ms, {}", own.mean(), own.show());
    let what = format!("{}: account-wide questions with their count", store.name());
    table.ratio(&what, &measured, &against, ratio, "at least 20x faster", ratio >= 20.0);
    Ok(())
}
