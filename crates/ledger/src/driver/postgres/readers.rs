//! Reads: connections that are lent, each read one state of the ledger.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeFlavor};

use super::address::PostgresAddress;
use super::session::{Session, Turn};
use crate::driver::Commits;
use crate::{Error, Reader, Result, Row, Value};

/// The most reads at once; more wait for one of them.
const MOST: usize = 8;
/// How long a read tries to reach the store, as it must when another takes its place.
const PATIENCE: Duration = Duration::from_secs(4);
/// How often it tries.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Readers {
    address: Arc<PostgresAddress>,
    driving: Handle,
    commits: Arc<Commits>,
    state: Mutex<State>,
    is_given_back: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// Connections that are lent, or being made.
    lent: usize,
    /// Since when the store can't be reached, and when that was seen last.
    down: Option<(Instant, Instant)>,
}

impl Readers {
    pub(super) fn new(address: Arc<PostgresAddress>, driving: Handle, commits: Arc<Commits>) -> Self {
        Readers { address, driving, commits, state: Mutex::default(), is_given_back: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is free, or a new one.
    fn lend(&self) -> Result<Session> {
        let until = Instant::now() + PATIENCE;
        let mut state = self.state();
        while state.lent >= MOST {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Unavailable("too many reads wait for it".into()));
            }
            state = self.is_given_back.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.lent += 1;
        while let Some(session) = state.idle.pop() {
            if !session.is_lost() {
                return Ok(session);
            }
        }
        drop(state);
        let opened = Session::open(&self.address, Turn::Beside(self.driving.clone()));
        let mut state = self.state();
        match &opened {
            Ok(_) => {
                state.down = None;
                drop(state);
                // It may be another store that has taken the place of the one that was read before.
                self.commits.count_unheard();
            }
            Err(_) => {
                let now = Instant::now();
                state.down = Some((state.down.map_or(now, |(since, _)| since), now));
                state.lent -= 1;
                self.is_given_back.notify_one();
            }
        }
        opened
    }

    fn give_back(&self, session: Session) {
        let mut state = self.state();
        state.lent -= 1;
        if !session.is_lost() {
            state.idle.push(session);
        }
        self.is_given_back.notify_one();
    }

    /// Whether others have tried in vain for long, and just now: then nobody waits for the same.
    fn is_known_to_be_down(&self) -> bool {
        self.state().down.is_some_and(|(since, seen)| since.elapsed() > PATIENCE && seen.elapsed() < PATIENCE / 8)
    }
}

/// A read. It begins with its first query, which is asked again where the connection turns out to be gone.
pub(super) struct PostgresReader<'a> {
    readers: &'a Readers,
    session: Option<Session>,
}

impl<'a> PostgresReader<'a> {
    pub(super) fn of(readers: &'a Readers) -> Self {
        PostgresReader { readers, session: None }
    }

    fn begin(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        let until = Instant::now() + PATIENCE;
        loop {
            if self.readers.is_known_to_be_down() {
                return Err(Error::Unavailable("it has not been reached for a while".into()));
            }
            let asked = self.readers.lend().and_then(|mut session| {
                session.say_unheard("begin isolation level repeatable read read only");
                let rows = session.rows(sql, args);
                self.session = Some(session);
                rows
            });
            match asked {
                Err(Error::Unavailable(why)) => {
                    self.end();
                    if Instant::now() >= until {
                        return Err(Error::Unavailable(why));
                    }
                    std::thread::park_timeout(RETRY_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn end(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.say_unheard("rollback");
            session.forget_unheard();
            self.readers.give_back(session);
        }
    }
}

impl Drop for PostgresReader<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

impl Reader for PostgresReader<'_> {
    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        match &mut self.session {
            Some(session) => session.rows(sql, args),
            None => self.begin(sql, args),
        }
    }
}

/// Runs what waits for the store, so that the other work of a runtime's thread goes on meanwhile.
pub(crate) fn aside<T>(body: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(body),
        _ => body(),
    }
}
