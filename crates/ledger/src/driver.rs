//! What a store must offer. A query is written once, in SQL that SQLite and PostgreSQL both read: 64-bit integers,
//! text and bytes, times in Unix milliseconds, `$1` for the first argument.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::TaskChange;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A value in a row, or an argument of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// A whole number; booleans are 0 and 1.
    Int(i64),
    /// A fraction.
    Real(f64),
    /// A text without NUL.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Int(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Real(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Value::Blob(value)
    }
}

impl From<model::Millis> for Value {
    fn from(value: model::Millis) -> Self {
        Value::Int(value.0)
    }
}

impl From<model::TaskId> for Value {
    fn from(value: model::TaskId) -> Self {
        Value::Int(value.0)
    }
}

impl From<model::Epoch> for Value {
    fn from(value: model::Epoch) -> Self {
        Value::Int(value.0)
    }
}

impl From<&model::InstanceId> for Value {
    fn from(value: &model::InstanceId) -> Self {
        Value::Text(value.as_str().to_owned())
    }
}

impl From<&model::NodeId> for Value {
    fn from(value: &model::NodeId) -> Self {
        Value::Text(value.as_str().to_owned())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// One row of an answer. Columns are taken by their place in the query.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Value>);

impl Row {
    /// A whole number.
    pub fn int(&self, column: usize) -> Result<i64> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Ok(*value),
            other => Err(unexpected(column, "a number", other)),
        }
    }

    /// A whole number, or none.
    pub fn int_opt(&self, column: usize) -> Result<Option<i64>> {
        if let Some(Value::Null) = self.0.get(column) { Ok(None) } else { self.int(column).map(Some) }
    }

    /// A fraction.
    pub fn real(&self, column: usize) -> Result<f64> {
        match self.0.get(column) {
            Some(Value::Real(value)) => Ok(*value),
            Some(Value::Int(value)) => Ok(*value as f64),
            other => Err(unexpected(column, "a fraction", other)),
        }
    }

    /// A text, taken out of the row.
    pub fn text(&mut self, column: usize) -> Result<String> {
        match self.0.get_mut(column) {
            Some(Value::Text(value)) => Ok(std::mem::take(value)),
            other => Err(unexpected(column, "a text", other.as_deref())),
        }
    }

    /// A text that may be absent. It is taken out of the row.
    pub fn text_opt(&mut self, column: usize) -> Result<Option<String>> {
        if matches!(self.0.get(column), Some(Value::Null)) { Ok(None) } else { self.text(column).map(Some) }
    }

    /// Bytes, taken out of the row, or none.
    pub fn blob_opt(&mut self, column: usize) -> Result<Option<Vec<u8>>> {
        match self.0.get_mut(column) {
            Some(Value::Null) => Ok(None),
            Some(Value::Blob(value)) => Ok(Some(std::mem::take(value))),
            other => Err(unexpected(column, "bytes", other.as_deref())),
        }
    }

    /// A text that `parse` can read.
    pub fn parsed<T>(&mut self, column: usize, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let text = self.text(column)?;
        parse(&text).ok_or_else(|| Error::Corrupt(format!("column {column} holds {text:?}")))
    }

    /// A number that `parse` can read.
    pub fn numbered<T>(&self, column: usize, parse: impl FnOnce(i64) -> Option<T>) -> Result<T> {
        let number = self.int(column)?;
        parse(number).ok_or_else(|| Error::Corrupt(format!("column {column} holds {number}")))
    }
}

fn unexpected(column: usize, wanted: &str, got: Option<&Value>) -> Error {
    Error::Corrupt(format!("column {column} should be {wanted} and is {got:?}"))
}

/// Why the ledger could not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// SQLite said no: disk full, file damaged, a constraint.
    #[error("sqlite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL said no: a constraint, a value that it can't hold.
    #[error("postgres: {message} ({code})")]
    Postgres {
        /// As PostgreSQL numbers what can happen.
        code: String,
        /// What it says, without the values that it says it of.
        message: String,
    },
    /// The store can't be reached, or gives no answer. Nothing was written, or it can't be known.
    #[error("the store can't be used now: {0}")]
    Unavailable(String),
    /// How the store is to be reached does not make sense.
    #[error("the store's address: {0}")]
    Address(String),
    /// A row is not what this binary wrote.
    #[error("the ledger holds what it should not: {0}")]
    Corrupt(String),
    /// The ledger was written by a newer binary.
    #[error("the ledger has schema {found}, this binary knows {known}: start the newer binary")]
    TooNew {
        /// The version in the file.
        found: i64,
        /// The newest that this binary can read.
        known: i64,
    },
    /// What is to be given to one is somebody else's.
    #[error("{0} is taken")]
    Taken(String),
    /// A worker's claim is no longer the newest.
    #[error("another worker has the task")]
    Fenced,
    /// The task is to be cancelled.
    #[error("the task is to be cancelled")]
    Cancelled,
    /// The store ended the transaction by itself, as it does when its disk is full.
    #[error("the store gave up the transaction")]
    GaveUp,
    /// The ledger is being closed.
    #[error("the ledger is closed")]
    Closed,
}

impl Error {
    /// Whether the same write will never succeed: what it says contradicts what is there.
    pub fn is_final(&self) -> bool {
        match self {
            Error::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation),
            // Integrity, and values that can't be held; all else may pass.
            Error::Postgres { code, .. } => code.starts_with("23") || code.starts_with("22"),
            Error::Corrupt(_) | Error::TooNew { .. } | Error::Taken(_) | Error::Address(_) => true,
            Error::Fenced | Error::Cancelled | Error::GaveUp | Error::Closed | Error::Unavailable(_) => false,
        }
    }

    /// Whether a unique key was already there: somebody else was first.
    pub fn is_taken(&self) -> bool {
        match self {
            Error::Sqlite(rusqlite::Error::SqliteFailure(e, _)) => {
                e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                    || e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            }
            Error::Postgres { code, .. } => code == "23505",
            Error::Taken(_) => true,
            _ => false,
        }
    }
}

/// What ledger functions answer.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be read, inside a transaction or outside.
pub trait Reader {
    /// All rows of a query.
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>>;

    /// The first row of a query.
    fn row(&mut self, sql: &str, args: &[Value]) -> Result<Option<Row>> {
        Ok(self.rows(sql, args)?.into_iter().next())
    }
}

/// A write transaction. What is read in it is what is written on.
pub trait Tx: Reader {
    /// Runs a statement; answers how many rows it changed.
    fn exec(&mut self, sql: &str, args: &[Value]) -> Result<u64>;

    /// Runs a statement whose outcome nothing in the transaction depends on. A store that has to be asked over a network
    /// need not be waited for: what goes wrong then is the transaction's error, at its end at the latest.
    fn later(&mut self, sql: &str, args: &[Value]) -> Result<()> {
        self.exec(sql, args).map(drop)
    }

    /// The transaction as a reader.
    fn reader(&mut self) -> &mut dyn Reader;

    /// Notes what the transaction has done to a task; the task index is told once that is durable. Whoever writes `result`
    /// of a task, or a new one, has to.
    fn note(&mut self, change: TaskChange);
}

/// A write transaction on its way: run (again, if the store asks for it), then told how the commit went.
pub(crate) trait Job: Send {
    /// Runs the body; `false` where it wants nothing of it kept.
    fn run(&mut self, tx: &mut dyn Tx) -> bool;
    /// Tells the caller. An error means that nothing was kept.
    fn finish(self: Box<Self>, committed: Result<()>);
}

/// The commits so far, and word of the next one.
#[derive(Default)]
pub(crate) struct Commits {
    count: AtomicU64,
    happened: Notify,
}

impl Commits {
    /// Counts one, before anybody is told of it.
    fn count_one(&self) {
        self.count_unheard();
        self.happened.notify_waiters();
    }

    /// Counts one that nobody need be told of: whoever sees the count asks by itself.
    fn count_unheard(&self) -> u64 {
        self.count.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    fn happened(&self) -> Notified<'_> {
        self.happened.notified()
    }
}

/// Writes `[a, b]` for a query's arguments, each turned into a [`Value`].
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::Value::from($value)),*] };
}
