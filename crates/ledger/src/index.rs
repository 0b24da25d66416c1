//! The task index: what makes any filter of a task list, its exact count and any page of it cheap, however long the
//! history is. In memory; the rows themselves come from the store by their ids.
//!
//! What must stay true:
//! - Whoever writes a task notes it in the same transaction ([`Tx::note`](crate::Tx::note)). The writer applies what was noted when
//!   that is durable, and before anybody is told of it.
//! - An index and a state of the store have the same version only where they say the same. A list is made of these alone.
//! - Of a task that was accepted nothing changes but its result, and of one that has ended that only by its being
//!   opened again. So whatever has changed since an index was right was open then, is newer, or was opened again since:
//!   that is found without a log of changes ([`follow`]).

mod checkpoint;
mod content;
mod follow;
mod query;
mod set;
mod values;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use model::{Millis, TaskId, TaskResult};

use crate::task::{self, Task, columns};
use crate::{Error, Reader, Result, Select, Tx, Value, count_on, counter};
use content::Content;

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

impl TaskFilter {
    /// A page of the tasks that fit, newest first, and how many fit in all, where there is no index.
    fn list_by_sql(&self, reader: &mut dyn Reader, limit: i64, offset: i64) -> Result<(i64, Vec<Task>)> {
        let mut select = Select::new();
        select.and("account = $", self.account);
        if let Some(instance) = &self.instance {
            select.and("instance = $", instance.as_str());
        }
        if let Some(second) = self.from_second {
            select.and("started_at >= $", Millis::from_seconds(second));
        }
        if let Some(second) = self.to_second {
            select.and("started_at < $", Millis::from_seconds(second.saturating_add(1)));
        }
        if let Some(name) = &self.instance_name {
            select.and("instance_name = $", name.as_str());
        }
        if !self.projects.is_empty() {
            select.and_in("project", self.projects.iter().copied());
        }
        if !self.kinds.is_empty() {
            select.and_in("type", self.kinds.iter().map(String::as_str));
        }
        if !self.results.is_empty() {
            select.and_in("result", self.results.iter().map(|result| result.number()));
        }
        if !self.callers.is_empty() {
            select.and_in("caller", self.callers.iter().map(String::as_str));
        }
        let count = select.count(reader, "task")?;
        let order = "started_at desc, id desc";
        let rows = select.page(reader, concat!(columns!(), " from task"), order, limit, offset)?;
        Ok((count, rows.into_iter().map(task::read).collect::<Result<_>>()?))
    }
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
}

/// What an index says, and of which state of the store.
#[derive(Debug)]
struct State {
    content: Content,
    /// The store's; see [`version`].
    version: i64,
    /// The number of the latest task that was opened again, or an earlier one.
    reopened: i64,
}

/// The index of a store.
#[derive(Debug)]
pub(crate) struct TaskIndex {
    state: RwLock<State>,
    /// Had by the writer from before a commit until that is applied.
    gate: Mutex<()>,
    /// Where its checkpoint is.
    checkpoint: PathBuf,
    /// How much has changed since that was begun.
    unsaved: AtomicU64,
    /// Had by whoever writes it.
    saving: Mutex<()>,
}

/// How often a list is tried beside the writer before that has to wait for it.
const TRIES: usize = 64;
/// So many changes are followed at a start within a second.
const SAVED_AFTER: u64 = 200_000;
/// The name under which the store counts the transactions that changed tasks.
const VERSION: &str = "task-version";

/// Counts a transaction that has changed tasks; for the writer, last of all in it. Answers the store's next version.
pub(crate) fn next_version(tx: &mut dyn Tx) -> Result<i64> {
    count_on(tx, VERSION, 1)
}

/// Which state of its tasks a store has.
fn version(reader: &mut dyn Reader) -> Result<i64> {
    counter(reader, VERSION)
}

impl TaskIndex {
    /// The index of a store in a file.
    pub(crate) fn open(reader: &mut dyn Reader, store: &Path) -> Result<Arc<Self>> {
        let checkpoint = checkpoint::path_of(store);
        let mut state = match checkpoint::load(reader, &checkpoint)? {
            Some(state) => state,
            None => follow::empty(reader)?,
        };
        let from = state.content.end();
        state.follow(reader)?;
        let index = Arc::new(TaskIndex {
            unsaved: AtomicU64::new((state.content.end() - from).into()),
            state: RwLock::new(state),
            gate: Mutex::new(()),
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

    /// Keeps lists that do not wait for the writer from being tried for ever: taken by it around commit and
    /// [`TaskIndex::apply`].
    pub(crate) fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what a commit has changed, which gave the store this version. Where it isn't the one after the index's own,
    /// something was missed (a commit that failed, and was there nevertheless): the next list then looks after it.
    pub(crate) fn apply(self: &Arc<Self>, version: i64, changes: Vec<TaskChange>) {
        self.unsaved.fetch_add(changes.len() as u64, Ordering::Relaxed);
        self.save_in_time();
        let mut state = self.write();
        if state.version + 1 != version {
            return;
        }
        // A change that does not fit leaves the versions apart, and so is looked after too.
        if changes.into_iter().all(|change| state.content.apply(change)) {
            state.version = version;
        }
    }

    /// A page of the tasks that fit, newest first, and how many fit in all. `None`: the reader's state of the store isn't
    /// the index's.
    pub(crate) fn try_list(
        &self,
        reader: &mut dyn Reader,
        filter: &TaskFilter,
        page: (i64, i64),
    ) -> Result<Option<(i64, Vec<Task>)>> {
        let version = version(reader)?;
        let state = self.read();
        if state.version != version {
            return Ok(None);
        }
        let (count, ids) = state.content.find(filter, page.0, page.1);
        drop(state);
        Ok(Some((count, tasks_of(reader, &ids)?)))
    }

    /// The same beside a writer that waits: for the holder of the gate. What was missed is looked after.
    fn list(&self, reader: &mut dyn Reader, filter: &TaskFilter, page: (i64, i64)) -> Result<(i64, Vec<Task>)> {
        if self.read().version != version(reader)? {
            self.write().follow(reader)?;
        }
        let found = self.try_list(reader, filter, page)?;
        found.ok_or_else(|| Error::Corrupt("the task index can't follow the store".into()))
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
        let Some(index) = self.index() else { return self.read(|reader| filter.list_by_sql(reader, limit, offset)) };
        for _ in 0..TRIES {
            if let Some(found) = self.read(|reader| index.try_list(reader, filter, (limit, offset)))? {
                return Ok(found);
            }
            // A commit is between the store and the index, for some microseconds.
            std::thread::yield_now();
        }
        let _gate = index.gate();
        self.read(|reader| index.list(reader, filter, (limit, offset)))
    }

    /// Writes the checkpoint of the task index, so that the next start is quick: for whoever is about to end.
    pub fn save_index(&self) {
        if let Some(index) = self.index() {
            index.save();
        }
    }

    /// The memory that the task index takes.
    pub fn index_bytes(&self) -> usize {
        self.index().map_or(0, TaskIndex::bytes)
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
