//! The task index: what makes any filter of a task list, its exact count and any page of it cheap, however long the
//! history is. In memory; the rows themselves come from the store by their ids.
//!
//! What must stay true:
//! - Whoever writes a task notes it in the same transaction ([`Tx::note`](crate::Tx::note)). The writer applies what was noted when
//!   that is durable, and before anybody is told of it.
//! - Where several servers write one store each has an index of its own. What was noted is kept in the store, by the same
//!   transaction, and a list that finds the index behind has it follow first ([`feed`]): so none is older than any answer.
//! - An index and a state of the store have the same version only where they say the same. A list is made of these alone.
//! - Of a task that was accepted nothing changes but its result, and of one that has ended that only by its being
//!   opened again; and those that are removed are the oldest ones. So whatever has changed since an index was right was open then, is newer, or was opened again since:
//!   that is found without a log of changes ([`follow`]).

mod checkpoint;
mod content;
mod feed;
mod follow;
mod query;
mod set;
mod values;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use model::{Millis, TaskId, TaskResult};

use crate::driver::postgres::aside;
use crate::task::{self, Task, columns};
use crate::{Error, Reader, Result, Tx, Value, args, count_on, meta_text};
use content::Content;
use feed::Since;
pub(crate) use feed::statements;

/// Which tasks: all conditions hold, and of each list one value. An empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// Who owns them.
    pub account: i64,
    /// The instance.
    pub instance: Option<String>,
    /// What that was called when the task was accepted.
    pub instance_name: Option<String>,
    /// The project it belonged to then.
    pub projects: Vec<i64>,
    /// Codes of types.
    pub kinds: Vec<String>,
    /// Where they are.
    pub results: Vec<TaskResult>,
    /// Who started them.
    pub callers: Vec<String>,
    /// Accepted in this second or later.
    pub from_second: Option<i64>,
    /// Accepted in this second or earlier.
    pub to_second: Option<i64>,
}

/// What the index knows of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedTask {
    /// Its id.
    pub id: TaskId,
    /// Who owns it.
    pub account: i64,
    /// Who started it.
    pub caller: String,
    /// The instance that it changes.
    pub instance: String,
    /// What that was called.
    pub instance_name: String,
    /// The project it belonged to.
    pub project: i64,
    /// The type's code.
    pub kind: String,
    /// Where it is.
    pub result: TaskResult,
    /// When it was accepted.
    pub started_at: Millis,
}

/// What a transaction did to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskChange {
    /// It was accepted.
    Opened(Box<IndexedTask>),
    /// It is somewhere else.
    Moved(TaskId, TaskResult),
    /// It is no more.
    Removed(Box<IndexedTask>),
}

/// Which state of its tasks a store has. Of those that a ledger ever has no two are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// How many transactions have changed tasks.
    pub(crate) number: i64,
    /// What the latest of them is called where the store may lose some, as a standby does that was behind when it took over:
    /// the same numbers are then given again. Else empty.
    pub(crate) mark: String,
}

/// What an index says, and of which state of the store.
#[derive(Debug)]
struct State {
    content: Content,
    /// The store's.
    version: Version,
    /// The number of the latest task that was opened again, or an earlier one.
    reopened: i64,
}

/// The index of a store.
#[derive(Debug)]
pub(crate) struct TaskIndex {
    state: RwLock<State>,
    /// Had by whoever moves the index on, so that one that moves no more can be waited for. The writer of a store of its own
    /// has it from before a commit until that is applied.
    gate: Mutex<()>,
    /// What the store is called.
    store: String,
    /// Whether other servers write it too.
    is_shared: bool,
    /// Where its checkpoint is.
    checkpoint: PathBuf,
    /// How much has changed since that was begun.
    unsaved: AtomicU64,
    /// Had by whoever writes it.
    saving: Mutex<()>,
}

/// How often a list is tried beside the writer before that has to wait for it.
const TRIES: usize = 64;
/// How often where others write too: what it takes to know the store's version is long for a commit.
const TRIES_IF_SHARED: usize = 2;
/// So many changes are followed at a start within a second.
const SAVED_AFTER: u64 = 200_000;
/// The name under which the store has its version.
const VERSION: &str = "task-version";

/// The name under which the store has its own, which no other one has.
const STORE: &str = "store";

/// The file of a store's checkpoint, in the data folder of a server.
pub(crate) const CHECKPOINT: &str = "ledger.index";

/// Counts a transaction that has changed tasks; for the writer of a store of its own, last of all in it. Answers the versions
/// before and after it.
pub(crate) fn count_version(tx: &mut dyn Tx) -> Result<(Version, Version)> {
    let number = count_on(tx, VERSION, 1)?;
    let of = |number| Version { number, mark: String::new() };
    Ok((of(number - 1), of(number)))
}

/// Which state of its tasks a store has.
pub(crate) fn version(reader: &mut dyn Reader) -> Result<Version> {
    let row = reader.row("select coalesce(number, 0), coalesce(text, '') from meta where name = $1", args![VERSION])?;
    row.map_or(Ok(Version::default()), |mut row| Ok(Version { number: row.int(0)?, mark: row.text(1)? }))
}

impl TaskIndex {
    /// The index of a store, with its checkpoint in this file.
    pub(crate) fn open(reader: &mut dyn Reader, checkpoint: PathBuf, is_shared: bool) -> Result<Arc<Self>> {
        let store = meta_text(reader, STORE)?.ok_or_else(|| Error::Corrupt("the store has no name".into()))?;
        let (mut state, since) = match checkpoint::load(reader, &checkpoint, &store)? {
            Some(state) if is_shared => {
                let now = version(reader)?;
                let since = feed::since(reader, &state.version, &now)?;
                (state, since)
            }
            Some(state) => (state, Since::Unknown),
            None => (follow::empty(reader)?, Since::Unknown),
        };
        let from = state.content.end();
        state.follow(reader, since)?;
        let index = Arc::new(TaskIndex {
            unsaved: AtomicU64::new(state.content.end().saturating_sub(from).into()),
            state: RwLock::new(state),
            gate: Mutex::new(()),
            store,
            is_shared,
            checkpoint,
            saving: Mutex::new(()),
        });
        index.save_in_time();
        Ok(index)
    }

    /// Writes its checkpoint.
    pub(crate) fn save(&self) {
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if self.unsaved.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        if let Err(error) = checkpoint::save(self, &self.checkpoint) {
            // The next start takes longer.
            tracing::warn!(%error, "the task index has no new checkpoint");
        }
    }

    /// Has its checkpoint written where much has changed.
    fn save_in_time(self: &Arc<Self>) {
        if self.unsaved.load(Ordering::Relaxed) < SAVED_AFTER || self.saving.try_lock().is_err() {
            return;
        }
        let index = self.clone();
        // Where no thread can be had it is tried again at the next change.
        drop(std::thread::Builder::new().name("task-index".into()).spawn(move || index.save()));
    }

    /// Keeps the index where it is, for all but its holder.
    pub(crate) fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`TaskIndex::gate`], for one that does not wait for it.
    fn try_gate(&self) -> Option<MutexGuard<'_, ()>> {
        match self.gate.try_lock() {
            Err(TryLockError::WouldBlock) => None,
            Ok(gate) => Some(gate),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        }
    }

    /// Says what a commit has changed, which gave the store another version; for the holder of the gate. Where the index does
    /// not have the one before, something was missed (a commit that failed, and was there nevertheless; one of another
    /// server): the next list then looks after it.
    pub(crate) fn apply(self: &Arc<Self>, (before, after): (Version, Version), changes: Vec<TaskChange>) {
        self.count_unsaved(changes.len());
        let mut state = self.write();
        if state.version != before {
            return;
        }
        // A change that does not fit leaves the versions apart, and so is looked after too.
        if changes.into_iter().all(|change| state.content.apply(change)) {
            state.version = after;
        }
    }

    /// As [`TaskIndex::apply`], for whoever does not have the gate: where another one has, that one follows.
    pub(crate) fn try_apply(self: &Arc<Self>, versions: (Version, Version), changes: Vec<TaskChange>) {
        if let Some(_gate) = self.try_gate() {
            self.apply(versions, changes);
        }
    }

    fn count_unsaved(self: &Arc<Self>, changes: usize) {
        self.unsaved.fetch_add(changes as u64, Ordering::Relaxed);
        self.save_in_time();
    }

    /// A page of the tasks that fit, newest first, and how many fit in all. `None`: the reader's state of the store isn't
    /// the index's.
    pub(crate) fn try_list(
        self: &Arc<Self>,
        reader: &mut dyn Reader,
        filter: &TaskFilter,
        page: (i64, i64),
    ) -> Result<Option<(i64, Vec<Task>)>> {
        let version = version(reader)?;
        let mut found = self.find(&version, filter, page);
        if found.is_none()
            && self.is_shared
            && let Some(_gate) = self.try_gate()
        {
            // Where the index is ahead, the reader's state is an old one.
            let of = self.read().version.clone();
            if of.number < version.number {
                self.follow_from(reader, &of, &version)?;
            }
            found = self.find(&version, filter, page);
        }
        found.map(|(count, ids)| Ok((count, tasks_of(reader, &ids)?))).transpose()
    }

    /// The same for the holder of the gate, who had it before the reader's state was: that is the latest one.
    fn list(
        self: &Arc<Self>,
        reader: &mut dyn Reader,
        filter: &TaskFilter,
        page: (i64, i64),
        gate: MutexGuard<'_, ()>,
    ) -> Result<(i64, Vec<Task>)> {
        let version = self.follow(reader)?;
        let found = self.find_when_free(&version, filter, page);
        drop(gate);
        let (count, ids) = found.ok_or_else(|| Error::Corrupt("the task index can't follow the store".into()))?;
        Ok((count, tasks_of(reader, &ids)?))
    }

    /// How many tasks fit, and the ids of a page. `None`: the index is of another version, or is about to be.
    fn find(&self, version: &Version, filter: &TaskFilter, page: (i64, i64)) -> Option<(i64, Vec<i64>)> {
        // Whoever waited here would do so with a connection that others need.
        let state = match self.state.try_read() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        (state.version == *version).then(|| state.content.find(filter, page.0, page.1))
    }

    fn find_when_free(&self, version: &Version, filter: &TaskFilter, page: (i64, i64)) -> Option<(i64, Vec<i64>)> {
        let state = self.read();
        (state.version == *version).then(|| state.content.find(filter, page.0, page.1))
    }

    /// Brings the index to the latest state of the store, which is the reader's; for the holder of the gate, who had it before.
    pub(crate) fn follow(self: &Arc<Self>, reader: &mut dyn Reader) -> Result<Version> {
        let (of, version) = (self.read().version.clone(), version(reader)?);
        if of != version {
            self.follow_from(reader, &of, &version)?;
        }
        Ok(version)
    }

    fn follow_from(self: &Arc<Self>, reader: &mut dyn Reader, of: &Version, version: &Version) -> Result<()> {
        let since = if self.is_shared { feed::since(reader, of, version)? } else { Since::Unknown };
        if let Since::These(changes) = &since {
            self.count_unsaved(changes.len());
        }
        self.write().follow(reader, since)
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.read().content.bytes()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl crate::Ledger {
    /// A page of the tasks that fit, newest first, and how many fit in all: of one state of the ledger, the latest.
    pub fn list_tasks(&self, filter: &TaskFilter, limit: i64, offset: i64) -> Result<(i64, Vec<Task>)> {
        let (index, page) = (self.index(), (limit, offset));
        for _ in 0..if index.is_shared { TRIES_IF_SHARED } else { TRIES } {
            if let Some(found) = self.read(|reader| index.try_list(reader, filter, page))? {
                return Ok(found);
            }
            // A commit is between the store and the index, for some microseconds.
            std::thread::yield_now();
        }
        aside(|| {
            // Before the read, which has a connection.
            let gate = index.gate();
            self.read(|reader| index.list(reader, filter, page, gate))
        })
    }

    /// An id: the tasks that it and later ones have, and none before, were accepted in this second or later.
    pub fn first_task_from(&self, second: i64) -> TaskId {
        TaskId(self.index().read().content.first_from(second))
    }

    /// Writes the checkpoint of the task index, so that the next start is quick: for whoever is about to end.
    pub fn save_index(&self) {
        self.index().save();
    }

    /// The memory that the task index takes.
    pub fn index_bytes(&self) -> usize {
        self.index().bytes()
    }
}

/// Tasks by their ids, in the order of these, which is from the newest to the oldest.
fn tasks_of(reader: &mut dyn Reader, ids: &[i64]) -> Result<Vec<Task>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
    let sql =
        format!(concat!("select ", columns!(), " from task where id in ({}) order by id desc"), places.join(", "));
    let args: Vec<Value> = ids.iter().map(|id| Value::Int(*id)).collect();
    let rows = reader.rows(&sql, &args)?;
    if rows.len() != ids.len() {
        return Err(Error::Corrupt("the task index names tasks that are not there".into()));
    }
    rows.into_iter().map(task::read).collect()
}

#[cfg(test)]
mod tests;
