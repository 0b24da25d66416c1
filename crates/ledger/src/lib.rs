//! The durable truth: what is wanted, what has been seen, and every task. A file per noun; each query once.
//!
//! What must stay true:
//! - An answer of [`Ledger::write`] has reached the disk.
//! - A write is a retriable closure: it reads and writes the ledger and nothing else.
//! - An answer of [`Ledger::list_tasks`] is of the latest state, whole: the index ([`index`]) is changed by each commit, and
//!   follows those of other servers.
//! - Reads have connections of their own and never wait for a writer.
//! - Secrets come in sealed; nothing here can open them.

mod account;
mod address;
mod deal;
mod driver;
mod event;
#[cfg(any(test, feature = "harness"))]
pub mod harness;
mod index;
mod instance;
mod journal;
mod lease;
mod meta;
mod migrations;
mod network;
mod node;
mod param;
mod pending;
mod project;
mod retention;
mod rotation;
mod routes;
mod security;
mod select;
mod sight;
mod tag;
mod task;
mod task_flow;
mod template;
mod tls;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::futures::Notified;
use tokio::sync::oneshot;

pub use account::*;
pub use address::*;
pub use deal::*;
pub use driver::postgres::PostgresAddress;
pub use driver::{Error, Reader, Result, Row, Tx, Value};
pub use event::*;
pub use index::{IndexedTask, TaskChange, TaskFilter};
pub use instance::*;
pub use journal::{LEASE, Write, write};
pub use lease::*;
pub use meta::*;
pub use network::*;
pub use node::*;
pub use param::*;
pub use pending::*;
pub use project::*;
pub use retention::*;
pub use rotation::*;
pub use routes::*;
pub(crate) use security::read_rules;
pub use security::*;
pub use select::Select;
pub use sight::*;
pub use tag::*;
pub use task::*;
pub use task_flow::*;
pub use template::*;
pub use tls::*;

/// The ledger: cheap to clone.
#[derive(Clone)]
pub struct Ledger(Arc<Store>);

enum Store {
    Sqlite(driver::sqlite::Sqlite),
    Postgres(driver::postgres::Postgres),
}

impl Ledger {
    /// Opens the ledger in a file, making or upgrading it first.
    pub fn sqlite(file: &Path) -> Result<Ledger> {
        migrations::run_on_sqlite(file)?;
        Ok(Ledger(Arc::new(Store::Sqlite(driver::sqlite::Sqlite::open(file)?))))
    }

    /// Opens the ledger in a database of PostgreSQL, making or upgrading it first. Blocks until that is done. What makes the
    /// next start quicker is kept in a folder, which may be shared, or lost.
    pub fn postgres(address: PostgresAddress, folder: &Path) -> Result<Ledger> {
        Ok(Ledger(Arc::new(Store::Postgres(driver::postgres::Postgres::open(address, folder)?))))
    }

    /// Whether other servers may read and write the same ledger.
    pub fn is_shared(&self) -> bool {
        matches!(*self.0, Store::Postgres(_))
    }

    /// Runs `body` in one write transaction, and answers once that is durable. Where `body` returns an error, nothing
    /// of it is kept and the error reaches the caller unchanged. `body` may run more than once.
    pub async fn write<T, E, F>(&self, body: F) -> std::result::Result<T, E>
    where
        F: FnMut(&mut dyn Tx) -> std::result::Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(Transaction { body, result: None, answer });
        match &*self.0 {
            Store::Sqlite(store) => store.submit(job),
            Store::Postgres(store) => store.submit(job),
        }
        answered.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    /// A number that is another one whenever the ledger may hold something else than it did: what was read under the
    /// same number, from before the read until now, is still so, whoever writes. A shared ledger is asked for it.
    pub fn version(&self) -> u64 {
        match &*self.0 {
            Store::Sqlite(store) => store.commits(),
            Store::Postgres(store) => store.version(),
        }
    }

    /// Resolves when something is written after it was called. Called before a look at [`Ledger::version`], it misses
    /// nothing.
    pub fn changed(&self) -> Notified<'_> {
        match &*self.0 {
            Store::Sqlite(store) => store.changed(),
            Store::Postgres(store) => store.changed(),
        }
    }

    /// What lists of tasks are answered by.
    pub(crate) fn index(&self) -> &Arc<index::TaskIndex> {
        match &*self.0 {
            Store::Sqlite(store) => store.index(),
            Store::Postgres(store) => store.index(),
        }
    }

    /// Reads one state of the ledger. Short: it runs on the caller's thread.
    pub fn read<T>(&self, body: impl FnOnce(&mut dyn Reader) -> Result<T>) -> Result<T> {
        match &*self.0 {
            Store::Sqlite(store) => store.read(body),
            Store::Postgres(store) => store.read(body),
        }
    }
}

struct Transaction<F, T, E> {
    body: F,
    result: Option<std::result::Result<T, E>>,
    answer: oneshot::Sender<std::result::Result<T, E>>,
}

impl<F, T, E> driver::Job for Transaction<F, T, E>
where
    F: FnMut(&mut dyn Tx) -> std::result::Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, tx: &mut dyn Tx) -> bool {
        // A panic takes its own transaction back and no other, and leaves the writer alive.
        self.result = std::panic::catch_unwind(AssertUnwindSafe(|| (self.body)(tx))).ok();
        matches!(self.result, Some(Ok(_)))
    }

    fn finish(self: Box<Self>, committed: Result<()>) {
        let result = match (self.result, committed) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(Error::Corrupt("a transaction panicked; the log says where".into()).into()),
        };
        // The caller may have gone away; what is written stays written.
        drop(self.answer.send(result));
    }
}

#[cfg(test)]
mod tests;
