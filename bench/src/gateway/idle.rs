//! What a client that does nothing costs the gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::contender::{ask, open};
use super::report::Report;
use crate::process;
use crate::service::Service;
use crate::target::Target;

const CONNECTIONS: usize = 10_000;
/// What the instance is set to take.
const CLIENT_LIMIT: usize = 12_000;
/// Of each source address: the ports of one would run out.
const A_SOURCE: usize = 1000;
/// How many come at once.
const AT_ONCE: usize = 64;
/// How long one may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the gateway has to give back what only the opening took.
const REST: Duration = Duration::from_secs(2);
/// The gateway's growth, in KiB a connection.
const BOUND: f64 = 12.0;

/// With a service of its own: what memory a load had left behind would be used again, and seem to cost nothing.
pub(super) async fn run(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let mut target = Target::order(&service, 17, 0).await?;
    let limit = json!({ "InstanceId": target.instance.id, "ClientLimit": CLIENT_LIMIT });
    target.set("ModifyConnectionConfig", &limit).await?;
    let vip = SocketAddr::new(target.instance.host.parse()?, target.instance.port);
    let gateway = process::gateway(folder.path())?;
    let files = process::open_files_limit(gateway)?;
    ensure!(files > CONNECTIONS as u64 + 100, "the gateway may open {files} files alone: raise the limit (ulimit -Hn)");

    drop(open(TcpStream::connect(vip)).await?);
    sleep(REST).await;
    let before = process::resident_kib(gateway)?;
    let opened: Vec<anyhow::Result<TcpStream>> =
        stream::iter(0..CONNECTIONS).map(|number| open_from(number, vip)).buffer_unordered(AT_ONCE).collect().await;
    let (mut clients, mut fault) = (Vec::new(), None);
    for client in opened {
        match client {
            Ok(client) => clients.push(client),
            Err(error) => fault = Some(error),
        }
    }
    sleep(REST).await;
    let growth = process::resident_kib(gateway)? - before;
    let each = growth / clients.len().max(1) as f64;
    // They are all alive.
    let mut answering = 0;
    for client in &mut clients {
        let answers = timeout(PATIENCE, ask(client, &["SET", "opened", "2"])).await;
        match answers.context("no answer").and_then(|answer| answer) {
            Ok(()) => answering += 1,
            Err(error) => fault = Some(error),
        }
    }
    if let Some(fault) = fault {
        report.note(format!("Idle connections: {answering} of {CONNECTIONS} held; one failed by: {fault:#}."));
    }
    let measured = format!(
        "{each:.2} KiB ({answering} connections, {:.1} MiB and {:.1} MiB more)",
        before / 1024.0,
        growth / 1024.0
    );
    let is_reached = answering == CONNECTIONS && each <= BOUND;
    let what = format!("the gateway's memory for each of {CONNECTIONS} idle connections");
    report.bound(&what, &measured, &format!("at most {BOUND} KiB"), is_reached);
    Ok(())
}

async fn open_from(number: usize, vip: SocketAddr) -> anyhow::Result<TcpStream> {
    let source = Ipv4Addr::new(127, 1, 0, u8::try_from(1 + number / A_SOURCE)?);
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    timeout(PATIENCE, open(socket.connect(vip))).await.context("no answer")?
}
