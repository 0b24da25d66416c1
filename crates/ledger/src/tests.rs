//! What holds on either store is in `both.rs`, which is a module for each.

use std::path::Path;
use std::sync::LazyLock;

use model::{InstanceId, Millis, TaskId};

use crate::harness::Cluster;
use crate::*;

mod retention;
mod shared;

#[path = "tests/both.rs"]
pub(crate) mod on_sqlite;

#[path = "tests/both.rs"]
#[expect(clippy::duplicate_mod, reason = "the same tests, on the other store")]
mod on_postgres;

/// What keeps a ledger that a test has.
pub(crate) enum Kept {
    File(tempfile::TempDir),
    Database(String, tempfile::TempDir),
}

/// One for all tests of a process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(Cluster::start);

impl Kept {
    /// An empty ledger, of the store that a module is named after.
    fn fresh(module: &str) -> (Kept, Ledger) {
        let kept = if module.ends_with("on_postgres") { Kept::in_database() } else { Kept::in_file() };
        let ledger = kept.open();
        (kept, ledger)
    }

    pub(crate) fn in_file() -> Kept {
        Kept::File(tempfile::tempdir().unwrap())
    }

    pub(crate) fn in_database() -> Kept {
        Kept::Database(CLUSTER.url(), tempfile::tempdir().unwrap())
    }

    pub(crate) fn folder(&self) -> &Path {
        let (Kept::File(folder) | Kept::Database(_, folder)) = self;
        folder.path()
    }

    pub(crate) fn open(&self) -> Ledger {
        self.open_in(self.folder())
    }

    /// With what belongs to it in another folder.
    pub(crate) fn open_in(&self, folder: &Path) -> Ledger {
        match self {
            Kept::File(_) => Ledger::sqlite(&folder.join("ledger.db")).unwrap(),
            Kept::Database(url, _) => Ledger::postgres(PostgresAddress::parse(url, None).unwrap(), folder).unwrap(),
        }
    }
}

fn fresh() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::sqlite(&folder.path().join("ledger.db")).unwrap();
    (folder, ledger)
}

#[tokio::test]
async fn a_ledger_of_a_newer_binary_is_refused() {
    let (folder, ledger) = fresh();
    ledger
        .write(|tx| -> Result<()> { tx.exec("insert into schema (version) values (99)", &[]).map(drop) })
        .await
        .unwrap();
    drop(ledger);
    let refused = Ledger::sqlite(&folder.path().join("ledger.db"));
    assert!(matches!(refused, Err(Error::TooNew { found: 99, .. })));
}

/// Asks how queries would be answered, instead of asking them.
struct Explaining<'a>(&'a mut dyn Reader, Vec<String>);

impl Reader for Explaining<'_> {
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        let plan = self.0.rows(&format!("explain query plan {sql}"), args)?;
        self.1.extend(plan.into_iter().map(|mut row| row.text(3)).collect::<Result<Vec<_>>>()?);
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn whoever_watches_or_steers_tasks_never_reads_their_whole_history() {
    let (_folder, ledger) = fresh();
    let (id, instance) = (TaskId(1), InstanceId::from_random(1));
    let plans = ledger.read(|reader| {
        let mut reader = Explaining(reader, Vec::new());
        open_tasks(&mut reader, 7)?;
        has_claimable_task(&mut reader, Millis(1))?;
        open_flows(&mut reader, 7)?;
        accepted(&mut reader)?;
        accepted_since(&mut reader, 7, Accepted::NONE)?;
        task_and_flow(&mut reader, id)?;
        passed_since(&mut reader, id, 3)?;
        whole_tasks(&mut reader, id, 10)?;
        durations(&mut reader, ("001", "f"), 1024, 20)?;
        has_later_task(&mut reader, 7, &instance, id)?;
        last_failure(&mut reader, &instance, "001")?;
        has_open_task(&mut reader, &instance, "001")?;
        last_failure(&mut reader, &instance, "001")?;
        has_open_task(&mut reader, &instance, "001")?;
        Ok(reader.1)
    });
    let plans = plans.unwrap();
    assert!(plans.len() >= 8);
    for plan in &plans {
        let is_read_whole = plan.starts_with("SCAN task") && !plan.contains("task_open");
        assert!(!is_read_whole && !plan.contains("TEMP"), "{plans:#?}");
    }
}
