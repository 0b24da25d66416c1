//! SQLite: one writer thread that commits what has come in together, and readers that never wait for it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, mpsc};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};
use tokio::sync::futures::Notified;

use super::{Commits, Error, Job, Reader, Result, Row, Tx, Value};
use crate::TaskChange;
use crate::index::{TaskIndex, count_version};

/// The most transactions that share one commit, and so one wait for the disk.
const BATCH: usize = 256;

pub(crate) struct Sqlite {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
    commits: Arc<Commits>,
    index: Arc<TaskIndex>,
    readers: Vec<Mutex<Connection>>,
}

impl Sqlite {
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let writer = Connection::open(file)?;
        // FULL: a commit has reached the disk before it is answered; the batch makes that one wait for many.
        writer.execute_batch(
            "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
             pragma wal_autocheckpoint = 4000; pragma journal_size_limit = 67108864;",
        )?;
        settle(&writer)?;
        let count = std::thread::available_parallelism().map_or(2, usize::from) + 1;
        let readers = (0..count).map(|_| open_reader(file)).collect::<Result<Vec<_>>>()?;
        let (jobs, inbox) = mpsc::channel();
        let commits = Arc::new(Commits::default());
        let index =
            reading_on(&lock(&readers[0]), |reader| TaskIndex::open(reader, file.with_extension("index"), false))?;
        let (counted, told) = (commits.clone(), index.clone());
        let writer = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || write_all(writer, inbox, &counted, &told))
            .map_err(|_| Error::Closed)?;
        Ok(Sqlite { jobs: Some(jobs), writer: Some(writer), commits, index, readers })
    }

    /// Counts commits; it has counted one before anybody is told of it.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.count()
    }

    /// What its tasks are found by.
    pub(crate) fn index(&self) -> &Arc<TaskIndex> {
        &self.index
    }

    /// Resolves at the next commit after it was called.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.commits.happened()
    }

    pub(crate) fn submit(&self, job: Box<dyn Job>) {
        let refused = match &self.jobs {
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            job.finish(Err(Error::Closed));
        }
    }

    /// Runs a read on a connection of its own. Everything in it sees one state of the ledger.
    pub(crate) fn read<T>(&self, body: impl FnOnce(&mut dyn Reader) -> Result<T>) -> Result<T> {
        reading_on(&self.free_reader(), body)
    }

    fn free_reader(&self) -> MutexGuard<'_, Connection> {
        for reader in &self.readers {
            match reader.try_lock() {
                Ok(guard) => return guard,
                Err(TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        lock(&self.readers[0])
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.jobs = None;
        // The writer itself may be the last to let go, with what a transaction held.
        if let Some(writer) = self.writer.take().filter(|writer| writer.thread().id() != std::thread::current().id()) {
            // A join error means that the writer panicked; it said so then.
            drop(writer.join());
        }
        self.index.save();
    }
}

fn lock(reader: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    reader.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs a read on a connection.
fn reading_on<T>(connection: &Connection, body: impl FnOnce(&mut dyn Reader) -> Result<T>) -> Result<T> {
    // As a cached statement: made anew for each read, it would cost more than many a read.
    connection.prepare_cached("begin")?.execute([])?;
    let _ended = EndRead(connection);
    body(&mut SqliteReader(connection))
}

/// Ends a read, also one that panics: the connection would else keep its state, and refuse the next.
struct EndRead<'a>(&'a Connection);

impl Drop for EndRead<'_> {
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("rollback").and_then(|mut rollback| rollback.execute([]));
        if let Err(error) = ended {
            tracing::error!(%error, "a read can't be ended");
        }
    }
}

fn open_reader(file: &Path) -> Result<Mutex<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(file, flags)?;
    settle(&reader)?;
    Ok(Mutex::new(reader))
}

/// Keeps statements prepared, and their plans whatever the arguments are: because of an index on some rows alone, SQLite
/// would look at the arguments and plan anew at every run.
fn settle(connection: &Connection) -> Result<()> {
    connection.set_prepared_statement_cache_capacity(256);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The writer's life: takes what has come in, runs it in one transaction, commits, answers.
fn write_all(
    mut connection: Connection,
    inbox: mpsc::Receiver<Box<dyn Job>>,
    commits: &Commits,
    index: &Arc<TaskIndex>,
) {
    while let Ok(first) = inbox.recv() {
        let mut batch = vec![first];
        batch.extend(inbox.try_iter().take(BATCH - 1));
        write_batch(&mut connection, batch, commits, index);
    }
}

fn write_batch(connection: &mut Connection, mut batch: Vec<Box<dyn Job>>, commits: &Commits, index: &Arc<TaskIndex>) {
    let outcome = run_batch(connection, &mut batch, index);
    // Whatever came of it: who counts on a count that has not changed must not be wrong.
    commits.count_one();
    match outcome {
        Ok(()) => {
            for job in batch {
                job.finish(Ok(()));
            }
        }
        Err(error) => match <[_; 1]>::try_from(batch) {
            Ok([alone]) => alone.finish(Err(error)),
            // One of them broke the shared transaction (a full disk, mostly): each stands for itself now.
            Err(batch) => batch.into_iter().for_each(|job| write_batch(connection, vec![job], commits, index)),
        },
    }
}

fn run_batch(connection: &mut Connection, batch: &mut [Box<dyn Job>], index: &Arc<TaskIndex>) -> Result<()> {
    let mut tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let mut changes = Vec::new();
    for job in batch.iter_mut() {
        let point = tx.savepoint()?;
        let noted = changes.len();
        let kept = job.run(&mut SqliteTx(&point, &mut changes));
        if point.is_autocommit() {
            return Err(Error::GaveUp);
        }
        if kept {
            point.commit()?;
        } else {
            // Dropping a savepoint rolls back to it.
            drop(point);
            changes.truncate(noted);
        }
    }
    if changes.is_empty() {
        return Ok(tx.commit()?);
    }
    let versions = count_version(&mut SqliteTx(&tx, &mut Vec::new()))?;
    let _gate = index.gate();
    tx.commit()?;
    index.apply(versions, changes);
    Ok(())
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(*value),
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Blob(value) => ValueRef::Blob(value),
        }))
    }
}

/// SQLite takes `$1` for a name; `?1` is its numbered form.
fn numbered(sql: &str) -> String {
    sql.replace('$', "?")
}

fn query(connection: &Connection, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&numbered(sql))?;
    let columns = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(args))?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(columns);
        for column in 0..columns {
            values.push(match row.get_ref(column)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Int(value),
                ValueRef::Real(value) => Value::Real(value),
                ValueRef::Text(value) => Value::Text(String::from_utf8_lossy(value).into_owned()),
                ValueRef::Blob(value) => Value::Blob(value.to_vec()),
            });
        }
        out.push(Row(values));
    }
    Ok(out)
}

struct SqliteReader<'a>(&'a Connection);

impl Reader for SqliteReader<'_> {
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        query(self.0, sql, args)
    }
}

/// With the changes of tasks that were noted.
struct SqliteTx<'a>(&'a Connection, &'a mut Vec<TaskChange>);

impl Reader for SqliteTx<'_> {
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        query(self.0, sql, args)
    }
}

impl Tx for SqliteTx<'_> {
    fn exec(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        let mut statement = self.0.prepare_cached(&numbered(sql))?;
        Ok(statement.execute(rusqlite::params_from_iter(args))? as u64)
    }

    fn reader(&mut self) -> &mut dyn Reader {
        self
    }

    fn note(&mut self, change: TaskChange) {
        self.1.push(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ledger, args};

    /// A body that fills the file up to its limit shares a batch with bodies that fit.
    #[test]
    fn a_transaction_that_finds_the_disk_full_takes_no_other_with_it() {
        struct Insert(&'static str, usize, mpsc::Sender<(&'static str, bool)>);
        impl Job for Insert {
            fn run(&mut self, tx: &mut dyn Tx) -> bool {
                let text = "x".repeat(self.1);
                tx.exec("insert into meta (name, text) values ($1, $2)", args![self.0, text]).is_ok()
            }
            fn finish(self: Box<Self>, committed: Result<()>) {
                self.2.send((self.0, committed.is_ok())).expect("the test listens");
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ledger.db");
        drop(Ledger::sqlite(&file).unwrap());
        let mut connection = Connection::open(&file).unwrap();
        let pages: i64 = connection.query_row("pragma page_count", [], |row| row.get(0)).unwrap();
        connection.execute_batch(&format!("pragma max_page_count = {}", pages + 20)).unwrap();
        let (answers, answered) = mpsc::channel();
        let batch: Vec<Box<dyn Job>> = vec![
            Box::new(Insert("small", 10, answers.clone())),
            Box::new(Insert("huge", 10_000_000, answers.clone())),
            Box::new(Insert("little", 10, answers)),
        ];
        let index =
            reading_on(&connection, |reader| TaskIndex::open(reader, file.with_extension("index"), false)).unwrap();
        write_batch(&mut connection, batch, &Commits::default(), &index);
        assert_eq!(
            answered.try_iter().filter(|(name, _)| *name != "huge").collect::<Vec<_>>(),
            [("small", true), ("little", true)]
        );
        let kept: Vec<Row> =
            query(&connection, "select name from meta where name <> 'store' order by name", &[]).unwrap();
        assert_eq!(kept, [Row(vec!["little".into()]), Row(vec!["small".into()])]);
    }
}
