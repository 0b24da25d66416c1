//! What the index says of tasks. A task's position is its id, counted from the base: ids grow in the order in which tasks
//! were accepted, so nothing else is needed to list the newest first, and a time is a range of positions.

use std::ops::Range;
use std::sync::Arc;

use model::{TaskId, TaskResult};

use super::query::{Page, find};
use super::set::Set;
use super::values::Values;
use super::{IndexedTask, TaskChange, TaskFilter};

#[derive(Debug, Default)]
pub(super) struct Content {
    /// The id of position 0.
    pub(super) base: i64,
    /// By position, the second in which a task was accepted. Where there is no task, that of the one before.
    pub(super) seconds: Vec<u32>,
    pub(super) accounts: Values<i64>,
    pub(super) instances: Values<Arc<str>>,
    pub(super) names: Values<Arc<str>>,
    pub(super) projects: Values<i64>,
    pub(super) kinds: Values<Arc<str>>,
    pub(super) results: Values<i64>,
    pub(super) callers: Values<Arc<str>>,
}

/// By how much the list of seconds grows when it is full: doubled, half of it would be empty for long.
const GROWTH: usize = 1 << 16;

impl Content {
    /// Says nothing yet; for tasks from this id on.
    pub(super) fn new(base: i64) -> Self {
        Content { base, ..Content::default() }
    }

    /// The position after the latest task's.
    pub(super) fn end(&self) -> u32 {
        self.seconds.len() as u32
    }

    /// The id after the latest task's.
    pub(super) fn next_id(&self) -> i64 {
        self.base + self.seconds.len() as i64
    }

    /// The tasks that are open, oldest first.
    pub(super) fn open(&self) -> Vec<i64> {
        let sets = self.results.of([&TaskResult::Waiting.number(), &TaskResult::Running.number()]);
        let mut open: Vec<u32> = sets.into_iter().flat_map(Set::positions).collect();
        open.sort_unstable();
        open.into_iter().map(|position| self.id(position)).collect()
    }

    /// Answers whether the change fits what was said so far.
    pub(super) fn apply(&mut self, change: TaskChange) -> bool {
        match change {
            TaskChange::Opened(task) => self.add(&task),
            TaskChange::Moved(id, result) => self.set_result(id, result),
            TaskChange::Removed(task) => self.remove(&task),
        }
    }

    /// Forgets a task; answers whether it was known.
    fn remove(&mut self, task: &IndexedTask) -> bool {
        let Some(position) = self.position(task.id) else { return false };
        // What a checkpoint has of a task that was removed while it was written is not of one moment; its result is of the
        // first one.
        self.accounts.remove(&task.account, position);
        self.instances.remove(task.instance.as_str(), position);
        self.names.remove(task.instance_name.as_str(), position);
        self.projects.remove(&task.project, position);
        self.kinds.remove(task.kind.as_str(), position);
        self.callers.remove(task.caller.as_str(), position);
        self.results.remove(&task.result.number(), position)
    }

    /// Forgets the tasks up to an id, but for those that are named, in their order.
    pub(super) fn forget_up_to(&mut self, last: i64, but: &[i64]) {
        let base = self.base;
        let end = u32::try_from((last + 1 - base).max(0)).unwrap_or(u32::MAX);
        let is_wanted = |position: u32| but.binary_search(&(base + i64::from(position))).is_ok();
        let retain = |set: &mut Set| set.retain_before(end, is_wanted);
        [&mut self.instances, &mut self.names, &mut self.kinds, &mut self.callers]
            .into_iter()
            .flat_map(Values::sets_mut)
            .for_each(retain);
        [&mut self.accounts, &mut self.projects, &mut self.results]
            .into_iter()
            .flat_map(Values::sets_mut)
            .for_each(retain);
    }

    /// An id: the tasks that it and later ones have, and none before, were accepted in this second or later.
    pub(super) fn first_from(&self, second: i64) -> i64 {
        self.base + self.seconds.partition_point(|at| i64::from(*at) < second) as i64
    }

    /// Adds a task: the latest one.
    pub(super) fn add(&mut self, task: &IndexedTask) -> bool {
        let Some(position) = self.position(task.id).filter(|position| *position as usize >= self.seconds.len()) else {
            return false;
        };
        let length = position as usize + 1;
        if self.seconds.capacity() < length {
            self.seconds.reserve_exact(length - self.seconds.len() + GROWTH);
        }
        let before = self.seconds.last().copied().unwrap_or(0);
        let second = u32::try_from(task.started_at.seconds().max(0)).unwrap_or(u32::MAX);
        self.seconds.resize(length - 1, before);
        self.seconds.push(second.max(before));

        self.accounts.insert(&task.account, position);
        self.instances.insert(task.instance.as_str(), position);
        self.names.insert(task.instance_name.as_str(), position);
        self.projects.insert(&task.project, position);
        self.kinds.insert(task.kind.as_str(), position);
        self.results.insert(&task.result.number(), position);
        self.callers.insert(task.caller.as_str(), position);
        true
    }

    /// Says where a task is now; answers whether it is known.
    pub(super) fn set_result(&mut self, id: TaskId, result: TaskResult) -> bool {
        let Some(position) = self.position(id) else { return false };
        let is_known = self.results.sets_mut().any(|set| set.remove(position));
        if is_known {
            self.results.insert(&result.number(), position);
        }
        is_known
    }

    /// How many tasks fit, and the ids of a page of them, newest first.
    pub(super) fn find(&self, filter: &TaskFilter, limit: i64, offset: i64) -> (i64, Vec<i64>) {
        let mut conditions = vec![self.accounts.of([&filter.account])];
        conditions.extend(filter.instance.iter().map(|instance| self.instances.of([instance.as_str()])));
        conditions.extend(filter.instance_name.iter().map(|name| self.names.of([name.as_str()])));
        let results: Vec<i64> = filter.results.iter().map(|result| result.number()).collect();
        let lists = [
            (filter.projects.is_empty(), self.projects.of(&filter.projects)),
            (filter.kinds.is_empty(), self.kinds.of(filter.kinds.iter().map(String::as_str))),
            (results.is_empty(), self.results.of(&results)),
            (filter.callers.is_empty(), self.callers.of(filter.callers.iter().map(String::as_str))),
        ];
        conditions.extend(lists.into_iter().filter(|(is_empty, _)| !is_empty).map(|(_, sets)| sets));
        let page = Page { offset: offset.max(0) as u64, limit: limit.max(0) as u64 };
        let found = find(&conditions, self.range(filter), page);
        (found.total as i64, found.page.into_iter().map(|position| self.id(position)).collect())
    }

    /// The positions of the tasks that were accepted when a filter says.
    fn range(&self, filter: &TaskFilter) -> Range<u32> {
        let place = |is_before: &dyn Fn(i64) -> bool| {
            self.seconds.partition_point(|second| is_before(i64::from(*second))) as u32
        };
        let from = filter.from_second.map_or(0, |from| place(&|second| second < from));
        let end = filter.to_second.map_or(self.seconds.len() as u32, |to| place(&|second| second <= to));
        from..end.max(from)
    }

    fn position(&self, id: TaskId) -> Option<u32> {
        // The last one has to be counted too.
        u32::try_from(id.0 - self.base).ok().filter(|position| *position < u32::MAX)
    }

    fn id(&self, position: u32) -> i64 {
        self.base + i64::from(position)
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.instances, &self.names, &self.kinds, &self.callers];
        let numbers = [&self.accounts, &self.projects, &self.results];
        self.seconds.capacity() * size_of::<u32>()
            + texts.iter().map(|values| values.bytes()).sum::<usize>()
            + numbers.iter().map(|values| values.bytes()).sum::<usize>()
    }
}
