use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{GatewayReport, InstanceId, Millis, RoutingTable, Sight};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::control::{Answer, Request, read_line, write_line};
use crate::folder;

const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Why the gateway gave no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No gateway runs in this data folder.
    #[error("no gateway answers in {}", dir.display())]
    NotRunning {
        /// The data folder.
        dir: PathBuf,
        /// How that was noticed.
        source: io::Error,
    },
    /// It went away, or said what can't be understood. A table may or may not have come into force.
    #[error("could not speak with the gateway")]
    Broken(#[source] io::Error),
    /// It did not answer within ten seconds. A table may or may not have come into force.
    #[error("the gateway did not answer in time")]
    TimedOut,
    /// The table is wrong in itself, and nothing was changed.
    #[error("the gateway refused the table: {0}")]
    Refused(String),
}

/// How the control plane speaks with the gateway of a data folder. Holds no connection, so the gateway may come and
/// go; each request is bounded by ten seconds.
#[derive(Clone, Debug)]
pub struct Client {
    dir: PathBuf,
}

impl Client {
    /// For the gateway that runs, or will run, in the data folder `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Client {
        Client { dir: dir.into() }
    }

    /// Brings a table into force, or learns that a newer one is.
    ///
    /// Once it returns, each new address of the table listens or is named as a failure, each closed one refuses, and
    /// the connections that had led to a former target are gone: nothing more reaches it through the gateway.
    ///
    /// # Errors
    /// Where no gateway answers, or where the table names an address twice or differs from the one in force under
    /// the same version.
    pub async fn publish(&self, table: &RoutingTable) -> Result<GatewayReport, ClientError> {
        self.ask_report(&Request::Publish(table.clone())).await
    }

    /// Which table is in force, and how it fares.
    ///
    /// # Errors
    /// Where no gateway answers.
    pub async fn report(&self) -> Result<GatewayReport, ClientError> {
        self.ask_report(&Request::Report).await
    }

    /// What it has seen of an instance; [`Sight::default`] where it has none of it.
    ///
    /// # Errors
    /// Where no gateway answers.
    pub async fn sight(&self, instance: &InstanceId) -> Result<Sight, ClientError> {
        match self.ask(&Request::Sight { instance: instance.clone() }).await? {
            Answer::Sight(sight) => Ok(*sight),
            _ => Err(off_the_point()),
        }
    }

    /// What it has seen of each instance of which it has seen something after a moment of its own clock.
    ///
    /// # Errors
    /// Where no gateway answers.
    pub async fn sights(&self, after: Millis) -> Result<BTreeMap<InstanceId, Sight>, ClientError> {
        match self.ask(&Request::Sights { after }).await? {
            Answer::Sights(sights) => Ok(sights),
            _ => Err(off_the_point()),
        }
    }

    /// Has the gateway keep what clients of an instance ask for from now on, until a table names another primary, it is
    /// [released](Self::release), or the time is up; what is under way goes on. Answers whether the primary has answered
    /// all of that.
    ///
    /// # Errors
    /// Where no gateway answers.
    pub async fn hold(&self, instance: &InstanceId, at_most: Duration) -> Result<bool, ClientError> {
        let at_most_ms = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
        match self.ask(&Request::Hold { instance: instance.clone(), at_most_ms }).await? {
            Answer::Held { is_quiet } => Ok(is_quiet),
            _ => Err(off_the_point()),
        }
    }

    /// Has the gateway go on with what it has held.
    ///
    /// # Errors
    /// Where no gateway answers.
    pub async fn release(&self, instance: &InstanceId) -> Result<(), ClientError> {
        self.ask(&Request::Release { instance: instance.clone() }).await.map(drop)
    }

    async fn ask_report(&self, request: &Request) -> Result<GatewayReport, ClientError> {
        match self.ask(request).await? {
            Answer::Report(report) => Ok(report),
            _ => Err(off_the_point()),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, ClientError> {
        let asking = async {
            match self.ask_once(request).await {
                // As when a successor has taken its place meanwhile. To ask twice is to ask once.
                Err(ClientError::Broken(error)) if is_end(&error) => match self.ask_once(request).await {
                    Err(ClientError::NotRunning { .. }) => Err(ClientError::Broken(error)),
                    outcome => outcome,
                },
                outcome => outcome,
            }
        };
        timeout(ANSWER_WITHIN, asking).await.map_err(|_| ClientError::TimedOut)?
    }

    async fn ask_once(&self, request: &Request) -> Result<Answer, ClientError> {
        let connected = connect(&self.dir).await;
        let mut stream = connected.map_err(|source| ClientError::NotRunning { dir: self.dir.clone(), source })?;
        write_line(&mut stream, request).await.map_err(ClientError::Broken)?;
        match read_line(&mut stream).await.map_err(ClientError::Broken)? {
            Answer::Refused(reason) => Err(ClientError::Refused(reason)),
            answer => Ok(answer),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn off_the_point() -> ClientError {
    ClientError::Broken(io::Error::new(io::ErrorKind::InvalidData, "it answered another question"))
}

async fn connect(dir: &Path) -> io::Result<UnixStream> {
    let folder = folder::open_for_client(dir)?;
    UnixStream::connect(folder::socket_below(&folder)).await
}
