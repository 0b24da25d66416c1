//! The index is held against a plain list of what was done, over random histories with restarts and kills. A history is
//! made of its seed: `OPENCRS_TASK_SEEDS=0-4999` runs so many.

mod shared;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use flow::{Claim, Cursor, End, Entry, Journal};
use futures_util::future::join_all;
use model::InstanceId;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::*;
use crate::tests::Kept;
use crate::tests::on_sqlite::{World, sample};
use crate::{
    Instance, Ledger, NewTask, WholeTask, claim_tasks, latest_tasks, open_task, remove_tasks, reopen_task, whole_tasks,
};

const KINDS: [&str; 4] = ["001", "007", "034", "901"];
const CALLERS: [&str; 3] = ["7", "70", "expiry"];
const RESULTS: [TaskResult; 4] = [TaskResult::Waiting, TaskResult::Running, TaskResult::Done, TaskResult::Failed];
const STEPS: usize = 60;

/// A ledger, which two servers have where it can be shared, and what has to be in it. Whatever is done, and each question, is
/// one server's that chance has chosen.
struct History {
    random: StdRng,
    kept: Kept,
    servers: Vec<Ledger>,
    tasks: BTreeMap<i64, Plain>,
    claims: Vec<Claim>,
    now: i64,
}

/// A task as the plain list has it.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    account: i64,
    caller: String,
    instance: String,
    instance_name: String,
    project: i64,
    kind: String,
    result: TaskResult,
    second: i64,
}

impl From<&Task> for Plain {
    fn from(task: &Task) -> Self {
        Plain {
            account: task.account,
            caller: task.caller.clone(),
            instance: task.instance.as_str().into(),
            instance_name: task.instance_name.clone(),
            project: task.project,
            kind: task.kind.clone(),
            result: task.result,
            second: task.started_at.seconds(),
        }
    }
}

impl Plain {
    fn fits(&self, filter: &TaskFilter) -> bool {
        fn one<T: PartialEq>(of: &[T], value: &T) -> bool {
            of.is_empty() || of.contains(value)
        }
        self.account == filter.account
            && filter.instance.as_ref().is_none_or(|it| *it == self.instance)
            && filter.instance_name.as_ref().is_none_or(|it| *it == self.instance_name)
            && one(&filter.projects, &self.project)
            && one(&filter.kinds, &self.kind)
            && one(&filter.results, &self.result)
            && one(&filter.callers, &self.caller)
            && filter.from_second.is_none_or(|from| self.second >= from)
            && filter.to_second.is_none_or(|to| self.second <= to)
    }
}

impl History {
    fn new(seed: u64, kept: Kept) -> Self {
        let count = if matches!(kept, Kept::File(_)) { 1 } else { 2 };
        let servers = (0..count).map(|_| kept.open()).collect();
        let random = StdRng::seed_from_u64(seed);
        History { random, kept, servers, tasks: BTreeMap::new(), claims: Vec::new(), now: 1_000_000 }
    }

    fn ledger(&mut self) -> Ledger {
        self.servers.choose(&mut self.random).unwrap().clone()
    }

    fn checkpoint(&self) -> PathBuf {
        self.kept.folder().join(CHECKPOINT)
    }

    fn instance(&mut self) -> Instance {
        let number = self.random.random_range(0..6);
        let name = *["cache", "shop", "cache-2"].choose(&mut self.random).unwrap();
        let account = if number < 4 { 7 } else { 8 };
        Instance { name: name.into(), account, project: self.random.random_range(0..3), ..sample(number) }
    }

    async fn step(&mut self) {
        // The clock also goes back.
        self.now += self.random.random_range(-700..3_000);
        match self.random.random_range(0..100) {
            0..40 => self.submit().await,
            40..55 => self.claim().await,
            55..70 => self.finish().await,
            70..75 => self.reopen().await,
            75..78 => self.restart(),
            78..82 => self.be_killed_amid_writes().await,
            82..86 => self.fail().await,
            86..88 => self.ledger().save_index(),
            90..95 => self.remove().await,
            88..90 => self.lose_feed().await,
            _ => {}
        }
        self.check();
    }

    /// Some at once, so that they share commits.
    async fn submit(&mut self) {
        let mut submitted = Vec::new();
        for _ in 0..self.random.random_range(1..6) {
            submitted.push((
                self.instance(),
                *KINDS.choose(&mut self.random).unwrap(),
                *CALLERS.choose(&mut self.random).unwrap(),
            ));
        }
        let ledger = self.ledger();
        let ids =
            join_all(submitted.iter().map(|(instance, kind, caller)| open(&ledger, instance, kind, caller, self.now)));
        let ids = ids.await;
        let mut opened: Vec<_> = ids.into_iter().map(Result::unwrap).zip(submitted).collect();
        opened.sort_by_key(|(id, _)| *id);
        for (id, (instance, kind, caller)) in opened {
            let before = self.tasks.last_key_value().map_or(0, |(_, task)| task.second);
            let task = Plain {
                account: instance.account,
                caller: caller.into(),
                instance: instance.id.as_str().into(),
                instance_name: instance.name,
                project: instance.project,
                kind: kind.into(),
                result: TaskResult::Waiting,
                second: before.max(Millis(self.now).seconds()),
            };
            self.tasks.insert(id.0, task);
        }
    }

    async fn claim(&mut self) {
        let (now, most) = (self.now, self.random.random_range(1..5));
        let until = Millis(now + 20_000);
        let claimed = self.ledger().write(move |tx| claim_tasks(tx, Millis(now), until, most)).await.unwrap();
        for task in claimed {
            // Its lease may have run out.
            self.claims.retain(|claim| claim.task != task.claim.task);
            self.claims.push(task.claim);
            self.tasks.get_mut(&task.claim.task.0).unwrap().result = TaskResult::Running;
        }
    }

    async fn finish(&mut self) {
        if self.claims.is_empty() {
            return;
        }
        let claim = self.claims.swap_remove(self.random.random_range(0..self.claims.len()));
        let failed = || ("c".to_owned(), "m".to_owned());
        let (end, result) = match self.random.random_range(0..4) {
            0 => (Some(End::Undone { code: failed().0, message: failed().1 }), TaskResult::Failed),
            1 => (Some(End::Stuck { code: failed().0, message: failed().1 }), TaskResult::Failed),
            2 => (Some(End::Done), TaskResult::Done),
            _ => (None, TaskResult::Running),
        };
        if end.is_none() {
            self.claims.push(claim);
        }
        let entry = entry(end, self.now);
        let ledger = self.ledger();
        let journal: &dyn Journal<World> = &ledger;
        journal.append(claim, entry, vec![]).await.unwrap();
        self.tasks.get_mut(&claim.task.0).unwrap().result = result;
    }

    async fn reopen(&mut self) {
        let failed = self.tasks.iter().filter(|(_, task)| task.result == TaskResult::Failed).map(|(id, _)| *id);
        let Some(id) = failed.collect::<Vec<_>>().choose(&mut self.random).copied() else { return };
        let again = move |tx: &mut dyn Tx| reopen_task(tx, TaskId(id), "{}", &Cursor::start("a", Millis(0)));
        self.ledger().write(again).await.unwrap().unwrap();
        self.tasks.get_mut(&id).unwrap().result = TaskResult::Waiting;
    }

    /// With its checkpoint, with an older one, with a damaged one, or without.
    fn restart(&mut self) {
        let (path, older) = (self.checkpoint(), self.kept.folder().join("older"));
        let server = self.random.random_range(0..self.servers.len());
        drop(self.servers.swap_remove(server));
        match self.random.random_range(0..6) {
            0 => drop(std::fs::remove_file(&path)),
            1 => drop(std::fs::rename(&older, &path)),
            2 => {
                if let Ok(mut bytes) = std::fs::read(&path) {
                    let place = self.random.random_range(0..bytes.len());
                    bytes[place] ^= 1 << self.random.random_range(0..8);
                    bytes.truncate(if self.random.random_bool(0.5) { bytes.len() } else { place });
                    std::fs::write(&path, bytes).unwrap();
                }
            }
            3 => drop(std::fs::copy(&path, &older)),
            _ => {}
        }
        self.servers.push(self.kept.open());
    }

    /// Of the oldest, those that have ended, but for the latest of all; as they were read a moment ago.
    async fn remove(&mut self) {
        let most = self.random.random_range(1..12);
        let read = self.ledger().read(|reader| whole_tasks(reader, TaskId(0), most)).unwrap();
        if self.random.random_bool(0.3) {
            self.reopen().await;
        }
        let ended: Vec<_> = read.into_iter().filter(WholeTask::has_ended).collect();
        let latest = self.tasks.last_key_value().map_or(0, |(id, _)| *id);
        let is_open = |task: &Plain| matches!(task.result, TaskResult::Waiting | TaskResult::Running);
        let gone = ended.iter().map(|whole| whole.task.id.0).filter(|id| *id != latest && !is_open(&self.tasks[id]));
        let gone: Vec<i64> = gone.collect();
        let removed = self.ledger().write(move |tx| remove_tasks(tx, &ended)).await.unwrap();
        assert_eq!(removed as usize, gone.len());
        gone.iter().for_each(|id| drop(self.tasks.remove(id)));
    }

    /// As it is after the store has crashed, where it is shared.
    async fn lose_feed(&mut self) {
        if matches!(self.kept, Kept::Database(..)) {
            self.ledger().write(|tx| tx.exec("truncate task_change", &[])).await.unwrap();
        }
    }

    /// What a transaction did that then fails is nowhere.
    async fn fail(&mut self) {
        let (instance, now) = (self.instance(), self.now);
        let body = move |tx: &mut dyn Tx| -> Result<()> {
            open_task(tx, new_task(&instance, "001", "7"), Millis(now))?;
            claim_tasks(tx, Millis(now), Millis(now + 1), 10)?;
            Err(Error::Fenced)
        };
        assert!(self.ledger().write(body).await.is_err());
    }

    /// The files as they are at some moment while much is written are what a kill would leave behind.
    async fn be_killed_amid_writes(&mut self) {
        let left = tempfile::tempdir().unwrap();
        let (from, to) = (self.kept.folder().to_owned(), left.path().to_owned());
        let pause = self.random.random_range(0..2_000);
        let copying = tokio::task::spawn_blocking(move || {
            let begin = std::time::Instant::now();
            while begin.elapsed().as_micros() < pause {
                std::thread::yield_now();
            }
            for name in ["ledger.db", "ledger.db-wal", CHECKPOINT] {
                // There is no log right after a start, and no checkpoint before the first one.
                drop(std::fs::copy(from.join(name), to.join(name)));
            }
        });
        for _ in 0..3 {
            self.submit().await;
            self.claim().await;
            self.finish().await;
        }
        copying.await.unwrap();
        let ledger = self.kept.open_in(left.path());
        let tasks = all(&ledger);
        let random = &mut self.random;
        for _ in 0..10 {
            let filter = random_filter(random, self.now);
            check(&ledger, &tasks, &filter, (random.random_range(1..30), random.random_range(0..20)));
        }
    }

    fn check(&mut self) {
        let filter = random_filter(&mut self.random, self.now);
        let page = (self.random.random_range(1..30), self.random.random_range(0..20));
        check(&self.ledger(), &self.tasks, &filter, page);
    }
}

fn entry(end: Option<End>, at: i64) -> Entry {
    Entry {
        passed: None,
        state: "{}".into(),
        cursor: Cursor::start("a", Millis(0)),
        progress: 0.5,
        end,
        parked_until: None,
        can_be_cancelled: true,
        at: Millis(at),
    }
}

fn new_task<'a>(instance: &'a Instance, kind: &'static str, caller: &'a str) -> NewTask<'a> {
    let (flow, first_step, state) = ("f", "a", "{}".to_owned());
    NewTask { instance, caller, kind, flow, first_step, state, holds: false, partner: None }
}

async fn open(
    ledger: &Ledger,
    instance: &Instance,
    kind: &'static str,
    caller: &'static str,
    at: i64,
) -> Result<TaskId> {
    let instance = instance.clone();
    ledger.write(move |tx| open_task(tx, new_task(&instance, kind, caller), Millis(at))).await
}

fn all(ledger: &Ledger) -> BTreeMap<i64, Plain> {
    let tasks = ledger.read(|reader| latest_tasks(reader, i64::MAX)).unwrap();
    tasks.iter().map(|task| (task.id.0, Plain::from(task))).collect()
}

/// Whether a page and its count are as the plain list says.
fn check(ledger: &Ledger, tasks: &BTreeMap<i64, Plain>, filter: &TaskFilter, (limit, offset): (i64, i64)) {
    let (count, page) = ledger.list_tasks(filter, limit, offset).unwrap();
    let fitting: Vec<_> = tasks.iter().rev().filter(|(_, task)| task.fits(filter)).collect();
    assert_eq!(count as usize, fitting.len(), "{filter:?}");
    let wanted = fitting.into_iter().skip(offset as usize).take(limit as usize);
    let wanted: Vec<_> = wanted.map(|(id, task)| (*id, task.clone())).collect();
    let page: Vec<_> = page.iter().map(|task| (task.id.0, Plain::from(task))).collect();
    assert_eq!(page, wanted, "{filter:?}");
}

fn random_filter(random: &mut StdRng, now: i64) -> TaskFilter {
    fn some<T: Clone>(random: &mut StdRng, of: &[T]) -> Vec<T> {
        let most = if random.random_bool(0.6) { 0 } else { random.random_range(1..3) };
        (0..most).map(|_| of.choose(random).unwrap().clone()).collect()
    }
    fn maybe<T>(random: &mut StdRng, value: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
        random.random_bool(0.2).then(|| value(random))
    }
    let names = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    TaskFilter {
        account: if random.random_bool(0.8) { 7 } else { random.random_range(7..10) },
        instance: maybe(random, |random| InstanceId::from_random(random.random_range(0..7)).as_str().to_owned()),
        instance_name: maybe(random, |random| names(&["cache", "shop", "none"]).choose(random).unwrap().clone()),
        projects: some(random, &[0, 1, 2, 9]),
        kinds: some(random, &names(&["001", "007", "034", "901", "037"])),
        results: some(random, &RESULTS),
        callers: some(random, &names(&["7", "70", "expiry", "nobody"])),
        from_second: maybe(random, |random| Millis(random.random_range(1_000_000..=now.max(1_000_000))).seconds()),
        to_second: maybe(random, |random| Millis(random.random_range(1_000_000..=now.max(1_000_000))).seconds()),
    }
}

fn check_histories(fresh: fn() -> Kept) {
    let seeds = std::env::var("OPENCRS_TASK_SEEDS").unwrap_or_else(|_| "0-23".into());
    let (first, last) = seeds.split_once('-').expect("a range of seeds: 0-4999");
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in first.parse().unwrap()..=last.parse::<u64>().unwrap() {
        let ran = std::panic::catch_unwind(|| {
            let mut history = History::new(seed, fresh());
            tokio.block_on(async {
                for _ in 0..STEPS {
                    history.step().await;
                }
            });
            assert_eq!(all(&history.ledger()), history.tasks);
        });
        assert!(ran.is_ok(), "seed {seed}: OPENCRS_TASK_SEEDS={seed}-{seed} shows it alone");
    }
}

#[test]
fn any_history_is_listed_as_a_plain_list_of_it_says() {
    check_histories(Kept::in_file);
}

#[test]
fn any_history_of_two_servers_is_listed_by_both_as_a_plain_list_of_it_says() {
    check_histories(Kept::in_database);
}

/// Of one state each: what is counted is what the pages have, and each row is as the filter wants it.
fn check_counts_while_tasks_change(kept: Kept, least: u32) {
    let mut history = History::new(1, kept);
    let servers = history.servers.clone();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading: Vec<_> = (0..2)
            .map(|seed| {
                let (ledger, is_over) = (&servers[seed % servers.len()], &is_over);
                scope.spawn(move || {
                    let (mut random, mut lists) = (StdRng::seed_from_u64(seed as u64), 0);
                    while !is_over.load(Ordering::Relaxed) {
                        let filter = random_filter(&mut random, 3_000_000);
                        let (limit, offset) = (random.random_range(1..2_000), random.random_range(0..40));
                        let (count, page) = ledger.list_tasks(&filter, limit, offset).unwrap();
                        assert_eq!(page.len() as i64, (count - offset).clamp(0, limit), "{filter:?}");
                        assert!(page.iter().all(|task| Plain::from(task).fits(&filter)), "{filter:?}");
                        assert!(page.windows(2).all(|pair| pair[0].id > pair[1].id));
                        lists += 1;
                    }
                    lists
                })
            })
            .collect();
        tokio.block_on(async {
            for _ in 0..150 {
                history.submit().await;
                history.claim().await;
                history.finish().await;
                history.reopen().await;
                history.remove().await;
                // What was answered is listed at once, by any.
                history.check();
            }
        });
        is_over.store(true, Ordering::Relaxed);
        let lists: Vec<u32> = reading.into_iter().map(|reading| reading.join().unwrap()).collect();
        assert!(lists.iter().all(|lists| *lists >= least), "{lists:?}");
    });
}

#[test]
fn a_count_is_that_of_the_rows_while_tasks_change() {
    check_counts_while_tasks_change(Kept::in_file(), 50);
}

#[test]
fn a_count_is_that_of_the_rows_while_several_servers_change_tasks() {
    check_counts_while_tasks_change(Kept::in_database(), 50);
}

/// Its pieces are of different moments.
fn check_checkpoints_of_changing_tasks(kept: Kept) {
    let mut history = History::new(2, kept);
    let (ledger, is_over) = (history.ledger(), AtomicBool::new(false));
    let (path, copies) = (history.checkpoint(), history.kept.folder().join("copies"));
    std::fs::create_dir(&copies).unwrap();
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let count = std::thread::scope(|scope| {
        let saving = scope.spawn(|| {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                ledger.save_index();
                count += usize::from(std::fs::copy(&path, copies.join(count.to_string())).is_ok());
            }
            count
        });
        tokio.block_on(async {
            for _ in 0..100 {
                history.submit().await;
                history.claim().await;
                history.finish().await;
                history.reopen().await;
                history.remove().await;
            }
        });
        is_over.store(true, Ordering::Relaxed);
        saving.join().unwrap()
    });
    drop(ledger);
    assert!(count > 3, "{count}");
    for nth in (0..count).step_by(count / 20 + 1) {
        history.servers.clear();
        std::fs::rename(copies.join(nth.to_string()), &path).unwrap();
        history.servers.push(history.kept.open());
        (0..50).for_each(|_| history.check());
    }
}

#[test]
fn a_checkpoint_that_was_written_while_tasks_changed_is_followed() {
    check_checkpoints_of_changing_tasks(Kept::in_file());
    check_checkpoints_of_changing_tasks(Kept::in_database());
}
