//! One connection to PostgreSQL: its prepared statements, statements that nobody has waited for yet, and how to wait.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::{Handle, Runtime};
use tokio_postgres::{AsyncMessage, Client, Statement};

use super::address::PostgresAddress;
use super::value::type_of;
use crate::{Error, Result, Row, Value};

/// How long a statement may take as a rule.
const ANSWERS_WITHIN: Duration = Duration::from_secs(12);
/// The most statements that are kept prepared.
const MOST_PREPARED: usize = 256;

/// What is set for every connection: a server that hangs in a transaction, or is cut off in one, holds up the others for
/// seconds at the most, and an answer is never sent before what it says is on disk.
const SETTINGS: &str = "set idle_in_transaction_session_timeout = '5s'; set lock_timeout = '6s';
    set statement_timeout = '10s'; set jit = off; set client_connection_check_interval = '1s';
    select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'";

/// The transaction has failed before; nothing is done in it any more.
pub(super) const IN_FAILED_TRANSACTION: &str = "25P02";

/// Who drives a connection.
pub(crate) enum Turn {
    /// The thread that uses it, while it waits: nobody else has to be woken.
    Own(Runtime),
    /// Threads of its own; whoever waits is parked meanwhile, since it may be a worker of another runtime.
    Beside(Handle),
}

/// Whose outcome nobody has looked at yet.
type Unheard = Pin<Box<dyn Future<Output = std::result::Result<(), tokio_postgres::Error>> + Send>>;

pub(crate) struct Session {
    client: Arc<Client>,
    turn: Turn,
    statements: HashMap<String, Statement>,
    unheard: Vec<Unheard>,
    is_lost: bool,
    /// How long a statement may take; then the store is held to be gone.
    patience: Duration,
}

impl Session {
    /// Connects. Blocks, for seconds at the most.
    pub(crate) fn open(address: &PostgresAddress, turn: Turn) -> Result<Session> {
        let opened = match &turn {
            Turn::Own(runtime) => runtime.block_on(connect(address.clone())),
            Turn::Beside(handle) => {
                let (answer, answered) = mpsc::channel();
                let connecting = connect(address.clone());
                handle.spawn(async move {
                    // Whoever asked may have given up.
                    drop(answer.send(connecting.await));
                });
                let late = || Err(Error::Unavailable("it does not let anybody in".into()));
                answered.recv_timeout(ANSWERS_WITHIN).unwrap_or_else(|_| late())
            }
        };
        let (client, mut messages) = opened?;
        let driven = async move { while let Some(Ok(_)) = messages.next().await {} };
        match &turn {
            Turn::Own(runtime) => drop(runtime.spawn(driven)),
            Turn::Beside(handle) => drop(handle.spawn(driven)),
        }
        Ok(Session {
            client: Arc::new(client),
            turn,
            statements: HashMap::new(),
            unheard: Vec::new(),
            is_lost: false,
            patience: ANSWERS_WITHIN,
        })
    }

    /// Has statements take as long as they do.
    pub(crate) fn be_patient(&mut self) -> Result<()> {
        self.patience = Duration::from_secs(24 * 3600);
        self.say("set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0")
    }

    /// Whether it can be used no more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost || self.client.is_closed()
    }

    /// Takes it for lost.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
    }

    /// All rows of a query.
    pub(crate) fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>> {
        let statement = self.prepared(sql, args)?;
        let client = self.client.clone();
        let args = args.to_vec();
        self.wait(async move {
            let rows = client.query_raw(&statement, args).await?;
            let width = statement.columns().len();
            let read = rows.map(|row| {
                let row = row?;
                (0..width).map(|column| row.try_get(column)).collect::<std::result::Result<_, _>>().map(Row)
            });
            read.try_collect().await
        })
    }

    /// Runs a statement; answers how many rows it changed.
    pub(super) fn exec(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        let statement = self.prepared(sql, args)?;
        let client = self.client.clone();
        let args = args.to_vec();
        self.wait(async move { client.execute_raw(&statement, args).await })
    }

    /// Has a statement run before whatever comes next, without waiting for it.
    pub(super) fn exec_unheard(&mut self, sql: &str, args: &[Value]) -> Result<()> {
        let statement = self.prepared(sql, args)?;
        let client = self.client.clone();
        let args = args.to_vec();
        self.send(Box::pin(async move { client.execute_raw(&statement, args).await.map(drop) }));
        Ok(())
    }

    /// As [`Session::exec_unheard`], for a fixed text: what begins and ends transactions.
    pub(super) fn say_unheard(&mut self, sql: &'static str) {
        let client = self.client.clone();
        self.send(Box::pin(async move { client.batch_execute(sql).await }));
    }

    /// Runs a text of several statements.
    pub(crate) fn say(&mut self, sql: &str) -> Result<()> {
        let (client, sql) = (self.client.clone(), sql.to_owned());
        self.wait(async move { client.batch_execute(&sql).await })
    }

    /// Waits for all that nobody has waited for; the first error of them.
    pub(super) fn hear(&mut self) -> Result<()> {
        let all = std::mem::take(&mut self.unheard);
        if all.is_empty() {
            return Ok(());
        }
        self.wait(async move {
            let mut heard = Ok(());
            for one in all {
                let one = one.await;
                heard = heard.and(one);
            }
            heard
        })
    }

    /// Forgets those whose outcome nobody will ask for.
    pub(super) fn forget_unheard(&mut self) {
        self.unheard.clear();
    }

    fn send(&mut self, mut statement: Unheard) {
        // The first look at it sends it.
        match statement.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.unheard.push(statement),
            Poll::Ready(outcome) => self.unheard.push(Box::pin(std::future::ready(outcome))),
        }
    }

    fn prepared(&mut self, sql: &str, args: &[Value]) -> Result<Statement> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let (client, text) = (self.client.clone(), sql.to_owned());
        let types: Vec<_> = args.iter().map(type_of).collect();
        let statement = self.wait(async move { client.prepare_typed(&text, &types).await })?;
        if self.statements.len() >= MOST_PREPARED {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    fn wait<T>(&mut self, what: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>) -> Result<T> {
        let outcome = match &self.turn {
            Turn::Own(runtime) => runtime.block_on(async { tokio::time::timeout(self.patience, what).await.ok() }),
            Turn::Beside(_) => park_on(what, Instant::now() + self.patience),
        };
        match outcome {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => {
                let error = read_error(&error);
                self.is_lost |= matches!(error, Error::Unavailable(_));
                Err(error)
            }
            None => {
                self.is_lost = true;
                Err(Error::Unavailable("it gives no answer".into()))
            }
        }
    }
}

/// What PostgreSQL says without being asked; the connection lives as long as somebody takes it.
type Messages = stream::BoxStream<'static, std::result::Result<AsyncMessage, tokio_postgres::Error>>;

/// Connects, and sets what is to be set.
pub(super) async fn connect(address: PostgresAddress) -> Result<(Client, Messages)> {
    let (client, mut connection) = address.config.connect(address.tls).await.map_err(|error| read_error(&error))?;
    let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx)).boxed();
    let setting = client.batch_execute(SETTINGS);
    let set = {
        let mut setting = pin!(setting);
        loop {
            tokio::select! {
                set = &mut setting => break set,
                message = messages.next() => {
                    if !matches!(message, Some(Ok(_))) {
                        break (&mut setting).await;
                    }
                }
            }
        }
    };
    set.map_err(|error| read_error(&error))?;
    Ok((client, messages))
}

/// What PostgreSQL says, without the values that it says it of: an error is logged.
pub(super) fn read_error(error: &tokio_postgres::Error) -> Error {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        return Error::Unavailable(format!("{error}{cause}"));
    };
    let (code, message) = (said.code().code().to_owned(), said.message().to_owned());
    // The connection, who may come in, what there is enough of, what an operator or a timeout has ended, what is shutting
    // down, and a primary that has become a standby.
    let passes = ["08", "28", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        || ["25006", "25P03", "3D000", "55P03", "XX000"].contains(&code.as_str());
    if passes { Error::Unavailable(format!("{message} ({code})")) } else { Error::Postgres { code, message } }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread, whatever runtime it belongs to.
fn park_on<T>(what: impl Future<Output = T>, until: Instant) -> Option<T> {
    let mut what = pin!(what);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = what.as_mut().poll(&mut cx) {
            return Some(value);
        }
        let left = until.checked_duration_since(Instant::now())?;
        std::thread::park_timeout(left);
    }
}
