//! Writes: of all servers one at a time, and many transactions in one commit.
//!
//! A batch takes the advisory lock that all writers of the ledger take, and keeps it until it is committed. So
//! transactions are serial as they are on SQLite, without one that has to be tried again because of another; tasks get
//! their ids in the order in which they are committed; and since what is in a batch waits for the disk together, the lock
//! costs nothing that concurrent writers would not pay: they would wait for the same rows.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::address::PostgresAddress;
use super::session::{IN_FAILED_TRANSACTION, Session, Turn};
use crate::driver::{Commits, Job};
use crate::index::{TaskIndex, Version, statements, version};
use crate::{Error, Reader, Result, Row, TaskChange, Tx, Value, args};

/// The most transactions that share one commit, and so one wait for the disk.
const BATCH: usize = 256;
/// How long a write waits for a store that can't be reached, as it does when another takes its place.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long one waits when others have waited in vain for so long.
const SHORT_PATIENCE: Duration = Duration::from_millis(500);
/// How long to wait before the store is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Takes the lock that makes writers of one ledger take turns; another ledger of the same database has another.
pub(crate) const TAKE_TURN: &str = "select pg_advisory_xact_lock(4871, hashtext(current_schema()))";

/// What is written is found by an index, and is a few rows. A plan that is made once and says so is right whatever the tables
/// have grown to, and whenever they were last counted.
const FEW_ROWS: &str = "set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_hashjoin = off;
    set enable_mergejoin = off";

/// A name that no writer ever had; those who have written nothing for long are forgotten.
pub(super) fn name(session: &mut Session) -> Result<String> {
    session.say("delete from writer where at < extract(epoch from clock_timestamp()) - 86400")?;
    let named = session.rows("select cast(gen_random_uuid() as text)", &[])?;
    named.into_iter().next().ok_or_else(|| Error::Corrupt("a query returned nothing".into()))?.text(0)
}

/// A transaction, and since when it waits.
pub(super) struct Waiting {
    pub(super) job: Box<dyn Job>,
    pub(super) since: Instant,
}

/// Why a batch was not kept.
enum Failure {
    /// One of it broke what it shares with the others: each stands for itself now.
    Broken(Error),
    /// The store was lost before the commit: nothing was written.
    Lost(Error),
    /// The store was lost while it committed: if it did, this was kept.
    Unsure(Error, Box<Kept>),
}

/// What a batch that was committed has of each transaction, as that wanted or not, and what they did to tasks: what gave the
/// store its later version of these two.
struct Kept {
    each: Vec<Result<()>>,
    changes: Vec<TaskChange>,
    versions: (Version, Version),
}

pub(super) struct Writer {
    address: Arc<PostgresAddress>,
    /// By what the store knows this writer of all that ever were.
    name: String,
    /// The number of the latest batch that was tried. Each leaves its own in the store, beside what it writes.
    batch: i64,
    session: Option<Session>,
    commits: Arc<Commits>,
    index: Arc<TaskIndex>,
    /// Since when the store can't be reached.
    down_since: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        address: Arc<PostgresAddress>,
        name: String,
        commits: Arc<Commits>,
        index: Arc<TaskIndex>,
    ) -> Self {
        Writer { address, name, batch: 0, session: None, commits, index, down_since: None }
    }

    /// The writer's life: takes what has come in, runs it in one transaction, commits, answers.
    pub(super) fn write_all(mut self, inbox: &Receiver<Waiting>) {
        while let Ok(first) = inbox.recv() {
            let mut batch = vec![first];
            batch.extend(inbox.try_iter().take(BATCH - 1));
            self.write_batch(batch, inbox);
        }
    }

    fn write_batch(&mut self, mut batch: Vec<Waiting>, inbox: &Receiver<Waiting>) {
        while !batch.is_empty() {
            let failure = match self.connect() {
                Ok(()) => match self.attempt(&mut batch) {
                    Ok(kept) => return self.answer(batch, kept),
                    Err(failure) => failure,
                },
                Err(error) => Failure::Lost(error),
            };
            let error = match failure {
                Failure::Broken(error) => {
                    let alone = <[_; 1]>::try_from(batch);
                    return match alone {
                        Ok([alone]) => alone.job.finish(Err(error)),
                        Err(batch) => batch.into_iter().for_each(|waiting| self.write_batch(vec![waiting], inbox)),
                    };
                }
                Failure::Lost(error) => error,
                Failure::Unsure(error, kept) => match self.was_committed() {
                    Some(true) => return self.answer(batch, *kept),
                    Some(false) => error,
                    // Nobody can know. What reads the ledger again finds out.
                    None => return batch.into_iter().for_each(|waiting| waiting.job.finish(Err(again(&error)))),
                },
            };
            self.session = None;
            batch = self.wait_and_refuse(batch, &error, inbox);
        }
    }

    fn connect(&mut self) -> Result<()> {
        if self.session.as_ref().is_some_and(|session| !session.is_lost()) {
            return Ok(());
        }
        self.session = None;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::Unavailable(format!("no runtime: {error}")))?;
        let mut session = Session::open(&self.address, Turn::Own(runtime))?;
        session.say(FEW_ROWS)?;
        self.session = Some(session);
        Ok(())
    }

    /// Answers those that have waited long enough; the others, with those that came meanwhile, are tried again.
    fn wait_and_refuse(&mut self, batch: Vec<Waiting>, error: &Error, inbox: &Receiver<Waiting>) -> Vec<Waiting> {
        let down_since = *self.down_since.get_or_insert_with(|| {
            tracing::warn!(%error, "the store can't be used; writes wait");
            Instant::now()
        });
        let patience = if down_since.elapsed() > PATIENCE { SHORT_PATIENCE } else { PATIENCE };
        let (refused, mut waiting): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|waiting| waiting.since.elapsed() >= patience);
        refused.into_iter().for_each(|waiting| waiting.job.finish(Err(again(error))));
        let until = Instant::now() + RETRY_PAUSE;
        loop {
            match inbox.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(newcomer) => waiting.push(newcomer),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    waiting.drain(..).for_each(|waiting| waiting.job.finish(Err(Error::Closed)));
                    break;
                }
            }
        }
        waiting
    }

    fn answer(&mut self, batch: Vec<Waiting>, kept: Kept) {
        if let Some(since) = self.down_since.take() {
            tracing::warn!(after = ?since.elapsed(), "the store can be used again");
        }
        if !kept.changes.is_empty() {
            self.index.try_apply(kept.versions, kept.changes);
        }
        // Whatever came of it: who counts on a count that has not changed must not be wrong.
        self.commits.count_one();
        for (waiting, kept) in batch.into_iter().zip(kept.each) {
            waiting.job.finish(kept);
        }
    }

    /// Runs and commits a batch; answers of each transaction whether it was kept as it wanted.
    fn attempt(&mut self, batch: &mut [Waiting]) -> std::result::Result<Kept, Failure> {
        let session = self.session.as_mut().ok_or_else(|| Failure::Lost(Error::Closed))?;
        self.batch += 1;
        let outcome = run_batch(session, batch, (&self.name, self.batch));
        if outcome.is_err() && !session.is_lost() {
            session.forget_unheard();
            if session.say("rollback").is_err() {
                session.lose();
            }
        }
        outcome
    }

    /// Whether the latest batch was committed, once the store can be asked again; `None` where it can't be in time. It is known
    /// by what the batch has left there, and not by its transaction's number: a store that crashes may give that to another.
    fn was_committed(&mut self) -> Option<bool> {
        self.session = None;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.connect().is_ok()
                && let Some(session) = &mut self.session
                && let Ok(latest) = latest_batch(session, &self.name)
            {
                return Some(latest == Some(self.batch));
            }
            self.session = None;
            std::thread::park_timeout(RETRY_PAUSE);
        }
        None
    }
}

/// The latest batch of a writer that was committed. Its turn has come, so none of it is under way any more.
fn latest_batch(session: &mut Session, name: &str) -> Result<Option<i64>> {
    session.say("begin isolation level read committed")?;
    session.rows(TAKE_TURN, &[])?;
    let rows = session.rows("select batch from writer where name = $1", args![name])?;
    session.say("rollback")?;
    rows.first().map(|row| row.int(0)).transpose()
}

/// An error for one more of those that it is to be said to.
fn again(error: &Error) -> Error {
    Error::Unavailable(match error {
        Error::Unavailable(why) => why.clone(),
        other => other.to_string(),
    })
}

fn run_batch(
    session: &mut Session,
    batch: &mut [Waiting],
    (name, number): (&str, i64),
) -> std::result::Result<Kept, Failure> {
    let lost_or_broken = |error| match error {
        error @ Error::Unavailable(_) => Failure::Lost(error),
        error => Failure::Broken(error),
    };
    session.say_unheard("begin isolation level read committed");
    let before = take_turn(session).map_err(Failure::Lost)?;
    let after = Version { number: before.number + 1, mark: format!("{name}/{number}") };
    let is_alone = batch.len() == 1;
    let (mut kept_any, mut each) = (false, Vec::with_capacity(batch.len()));
    let mut changes = Vec::new();
    for waiting in batch.iter_mut() {
        let noted = changes.len();
        let mut tx = PostgresTx { session, has_point: false, failed: None, is_aborted: false, changes: &mut changes };
        let wants = waiting.job.run(&mut tx);
        let (has_point, failed, is_aborted) = (tx.has_point, tx.failed.take(), tx.is_aborted);
        if session.is_lost() {
            return Err(Failure::Lost(failed.unwrap_or_else(|| Error::Unavailable("the connection broke off".into()))));
        }
        if is_aborted {
            // By one that nobody waited for, of this transaction or of one before it.
            let why = session.hear().err().unwrap_or(Error::GaveUp);
            return Err(lost_or_broken(why));
        }
        match (wants, failed) {
            (true, None) => {
                kept_any |= has_point;
                if has_point {
                    session.say_unheard("release savepoint one");
                }
                each.push(Ok(()));
            }
            // A statement that failed has taken all of the transaction with it, whatever its body made of that.
            (wants, failed) => {
                changes.truncate(noted);
                if has_point {
                    session.say_unheard("rollback to savepoint one; release savepoint one");
                } else if let Some(error) = &failed {
                    if !is_alone {
                        return Err(Failure::Broken(again(error)));
                    }
                    session.say_unheard("rollback");
                    session.say_unheard("begin isolation level read committed");
                }
                each.push(if wants { failed.map_or(Ok(()), Err) } else { Ok(()) });
            }
        }
    }
    if !kept_any {
        session.say_unheard("rollback");
        session.hear().map_err(lost_or_broken)?;
        return Ok(Kept { each, changes, versions: (before, after) });
    }
    if !changes.is_empty() {
        for (sql, args) in statements(&after, &changes).map_err(Failure::Broken)? {
            session.exec_unheard(sql, &args).map_err(lost_or_broken)?;
        }
    }
    let noted = session.exec_unheard(
        "insert into writer (name, batch, at) values ($1, $2, cast(extract(epoch from clock_timestamp()) as bigint))
         on conflict (name) do update set batch = excluded.batch, at = excluded.at",
        args![name, number],
    );
    noted.map_err(lost_or_broken)?;
    session.exec_unheard("update commits set number = number + 1", &[]).map_err(lost_or_broken)?;
    session.say_unheard("notify opencrs_ledger");
    // Where one of those has failed that nobody has waited for, this takes all of it back.
    session.say_unheard("commit");
    let (committed, kept) = (session.hear(), Kept { each, changes, versions: (before, after) });
    match committed {
        Ok(()) => Ok(kept),
        Err(error @ Error::Unavailable(_)) => Err(Failure::Unsure(error, Box::new(kept))),
        Err(error) => Err(Failure::Broken(error)),
    }
}

/// Waits for the writer's turn; answers the version that its tasks have then.
fn take_turn(session: &mut Session) -> Result<Version> {
    session.exec_unheard(TAKE_TURN, &[])?;
    // Asked without waiting for the turn first, and answered after it.
    let version = version(&mut Asking(session));
    if version.is_err() {
        session.hear()?;
    }
    version
}

/// A session in a transaction, as a reader.
struct Asking<'a>(&'a mut Session);

impl Reader for Asking<'_> {
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        self.0.rows(sql, args)
    }
}

/// A transaction that shares a commit with others. What it writes is behind a savepoint, which is set with its first write:
/// most that are refused have written nothing.
struct PostgresTx<'a> {
    session: &'a mut Session,
    has_point: bool,
    /// The first statement that failed: nothing after it is done.
    failed: Option<Error>,
    /// Whether it found the whole transaction failed already.
    is_aborted: bool,
    /// What all of the batch have noted.
    changes: &'a mut Vec<TaskChange>,
}

impl PostgresTx<'_> {
    fn heed<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome {
            let is_of_before = matches!(error, Error::Postgres { code, .. } if code == IN_FAILED_TRANSACTION);
            if self.failed.is_none() {
                self.is_aborted |= is_of_before;
                self.failed = Some(match error {
                    Error::Postgres { code, message } => {
                        Error::Postgres { code: code.clone(), message: message.clone() }
                    }
                    other => again(other),
                });
            }
        }
        outcome
    }

    fn set_point(&mut self) {
        if !self.has_point {
            self.session.say_unheard("savepoint one");
            self.has_point = true;
        }
    }
}

impl Reader for PostgresTx<'_> {
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        // A query may write too: `insert ... returning`.
        if !sql.trim_start().starts_with("select") {
            self.set_point();
        }
        let outcome = self.session.rows(sql, args);
        self.heed(outcome)
    }
}

impl Tx for PostgresTx<'_> {
    fn exec(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        self.set_point();
        let outcome = self.session.exec(sql, args);
        self.heed(outcome)
    }

    fn later(&mut self, sql: &str, args: &[Value]) -> Result<()> {
        self.set_point();
        let outcome = self.session.exec_unheard(sql, args);
        self.heed(outcome)
    }

    fn reader(&mut self) -> &mut dyn Reader {
        self
    }

    fn note(&mut self, change: TaskChange) {
        self.changes.push(change);
    }
}
