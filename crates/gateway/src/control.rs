use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use model::{GatewayReport, InstanceId, Millis, RoutingTable, Sight};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::warn;

use crate::event_loop::Of;
use crate::table::Gateway;

/// A table of a hundred thousand routes has some 25 MB.
const LONGEST_LINE: u64 = 256 << 20;
/// A caller that has connected and says nothing is not waited for longer.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// How long a hold waits for what is under way: a slow command is not worth keeping all others waiting for.
const QUIET_WITHIN: Duration = Duration::from_millis(200);

/// What the control plane asks, one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Publish(RoutingTable),
    Report,
    /// To send nothing new of an instance's clients on, for so long at most.
    Hold {
        instance: InstanceId,
        at_most_ms: u64,
    },
    /// To go on with what is held.
    Release {
        instance: InstanceId,
    },
    /// To hand everything over to the process that asks, of this release.
    Succeed {
        release: String,
    },
    /// What was seen of one instance.
    Sight {
        instance: InstanceId,
    },
    /// What was seen of each instance of which something was seen after that moment, by the gateway's clock.
    Sights {
        after: Millis,
    },
}

/// What the gateway answers, one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Report(GatewayReport),
    /// Whether the node has answered all that it was asked before.
    Held {
        is_quiet: bool,
    },
    Sight(Box<Sight>),
    Sights(BTreeMap<InstanceId, Sight>),
    /// The table can't be brought into force, for this reason.
    Refused(String),
}

/// Answers the one request of a control connection; with a successor in charge it ends it, and whoever asked asks again.
pub(crate) async fn answer(mut stream: UnixStream, gateway: Arc<Mutex<Gateway>>) {
    let request = match timeout(REQUEST_WITHIN, read_line::<Request>(&mut stream)).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => return warn!(%error, "could not read a control request"),
        Err(_) => return warn!("a control connection sent no request"),
    };
    // From here on it runs to its end whether or not the caller still waits.
    let shared = gateway;
    let mut gateway = shared.lock().await;
    if gateway.is_over() {
        return;
    }
    if let Request::Hold { instance, at_most_ms } = request {
        let at_most = Duration::from_millis(at_most_ms);
        let held = gateway.hold(&instance, at_most, QUIET_WITHIN.min(at_most));
        // Others may speak meanwhile: only the table must not change, and if it does the hold is over.
        drop(gateway);
        let is_quiet = held.await;
        if !shared.lock().await.is_over() {
            reply(&mut stream, &Answer::Held { is_quiet }).await;
        }
        return;
    }
    let answer = match request {
        Request::Succeed { release } => return gateway.hand_over(stream, &release).await,
        Request::Report => Answer::Report(gateway.report()),
        Request::Sight { instance } => {
            let mut sights = gateway.sights(Of::Instance(instance.clone())).await;
            Answer::Sight(Box::new(sights.remove(&instance).unwrap_or_default()))
        }
        Request::Sights { after } => Answer::Sights(gateway.sights(Of::SeenAfter(after)).await),
        Request::Publish(table) => match gateway.publish(table).await {
            Ok(report) => Answer::Report(report),
            Err(reason) => Answer::Refused(reason),
        },
        Request::Release { instance } | Request::Hold { instance, .. } => {
            gateway.release(&instance);
            Answer::Report(gateway.report())
        }
    };
    drop(gateway);
    reply(&mut stream, &answer).await;
}

async fn reply(stream: &mut UnixStream, answer: &Answer) {
    if let Err(error) = write_line(stream, answer).await {
        warn!(%error, "could not answer a control request");
    }
}

pub(crate) async fn read_line<T: DeserializeOwned>(stream: &mut UnixStream) -> io::Result<T> {
    let mut line = Vec::new();
    BufReader::new(stream).take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&line)?)
}

pub(crate) async fn write_line(stream: &mut UnixStream, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    stream.write_all(&line).await
}
