//! PostgreSQL: a line of writers that all servers stand in, readers with connections of their own, and word of what others
//! commit.

mod address;
mod feed;
mod readers;
mod session;
mod value;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::sync::futures::Notified;

pub use address::PostgresAddress;
pub(crate) use session::{Session, Turn};
pub(crate) use writer::TAKE_TURN;

pub(crate) use self::readers::aside;
use self::readers::{PostgresReader, Readers};
use self::writer::{Waiting, Writer};
use super::{Commits, Error, Job, Reader, Result};
use crate::index::{CHECKPOINT, TaskIndex};

pub(crate) struct Postgres {
    jobs: Option<mpsc::Sender<Waiting>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
    index: Arc<TaskIndex>,
    /// Counts on whenever the ledger may have changed, as far as is known here.
    commits: Arc<Commits>,
    /// The store's own number of the latest commit that was seen.
    seen: Mutex<i64>,
    /// Drives all connections but the writer's.
    driving: Option<Runtime>,
}

impl Postgres {
    /// Makes or upgrades the ledger, and opens it. Blocks.
    pub(crate) fn open(address: PostgresAddress, folder: &Path) -> Result<Self> {
        aside(|| {
            let address = Arc::new(address);
            let no_thread = |error: std::io::Error| Error::Unavailable(format!("no thread for it: {error}"));
            let mut driving = tokio::runtime::Builder::new_multi_thread();
            let driving = driving.worker_threads(1).thread_name("ledger-io").enable_all().build().map_err(no_thread)?;
            let handle = driving.handle().clone();
            let commits = Arc::new(Commits::default());
            let readers = Arc::new(Readers::new(address.clone(), handle.clone(), commits.clone()));
            let mut session = Session::open(&address, Turn::Beside(handle.clone()))?;
            crate::migrations::run_on_postgres(&mut session)?;
            let name = writer::name(&mut session)?;
            drop(session);
            let index = TaskIndex::open(&mut PostgresReader::of(&readers), folder.join(CHECKPOINT), true)?;
            let (seen, driving) = (Mutex::new(-1), Some(driving));
            let mut store = Postgres { jobs: None, writer: None, readers, index, commits, seen, driving };
            let (jobs, inbox) = mpsc::channel();
            let writer = Writer::new(address.clone(), name, store.commits.clone(), store.index.clone());
            let writing = std::thread::Builder::new().name("ledger".into()).spawn(move || writer.write_all(&inbox));
            store.writer = Some(writing.map_err(no_thread)?);
            store.jobs = Some(jobs);
            handle.spawn(feed::listen(address, store.commits.clone()));
            handle.spawn(feed::follow(store.readers.clone(), store.commits.clone(), store.index.clone()));
            Ok(store)
        })
    }

    /// A number that is another one whenever the ledger may be another one than it was. The store is asked for it, since a
    /// commit of another server may not have been heard of yet.
    pub(crate) fn version(&self) -> u64 {
        let asked = self.read(|reader| reader.row("select number from commits", &[])?.map_or(Ok(-1), |row| row.int(0)));
        // Under a lock: whoever sees that number next must not be told the count of before.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Ok(number) if *seen == number => self.commits.count(),
            asked => {
                *seen = asked.unwrap_or(-1);
                self.commits.count_unheard()
            }
        }
    }

    /// Resolves at the next commit after it was called that is heard of, of this server or another.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.commits.happened()
    }

    /// What its tasks are found by.
    pub(crate) fn index(&self) -> &Arc<TaskIndex> {
        &self.index
    }

    pub(crate) fn submit(&self, job: Box<dyn Job>) {
        let waiting = Waiting { job, since: Instant::now() };
        let refused = match &self.jobs {
            Some(jobs) => jobs.send(waiting).err().map(|refused| refused.0),
            None => Some(waiting),
        };
        if let Some(waiting) = refused {
            waiting.job.finish(Err(Error::Closed));
        }
    }

    /// Runs a read on a connection of its own. Everything in it sees one state of the ledger.
    pub(crate) fn read<T>(&self, body: impl FnOnce(&mut dyn Reader) -> Result<T>) -> Result<T> {
        aside(|| body(&mut PostgresReader::of(&self.readers)))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.jobs = None;
        // The writer itself may be the last to let go, with what a transaction held.
        if let Some(writer) = self.writer.take().filter(|writer| writer.thread().id() != std::thread::current().id()) {
            // A join error means that the writer panicked; it said so then.
            drop(aside(|| writer.join()));
        }
        if let Some(driving) = self.driving.take() {
            driving.shutdown_background();
        }
        self.index.save();
    }
}
