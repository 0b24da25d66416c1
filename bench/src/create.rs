//! From the order of an instance to its first PONG, against starting the same engines by hand.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::Connection;
use crate::service::Service;
use crate::table::Table;

const RUNS: usize = 20;
const PASSWORD: &str = "Bench-Passw0rd";
const LOOK: Duration = Duration::from_micros(300);

pub(crate) async fn run(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    for (replicas, bound, what) in [
        (0, 2.0, "CreateInstances, one node, to the first PONG"),
        (1, 2.5, "CreateInstances, one replica, link up, to the first PONG"),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            theirs.push(by_hand(replicas).await.context("by hand")?);
            ours.push(by_order(&service, replicas).await.context("by order")?);
        }
        ours.sort_unstable();
        theirs.sort_unstable();
        let show = |times: &[Duration]| {
            let millis = |time: Duration| 1e3 * time.as_secs_f64();
            format!("median {:.1} ms, worst {:.1} ms", millis(times[RUNS / 2]), millis(times[RUNS - 1]))
        };
        let ratio = ours[RUNS / 2].as_secs_f64() / theirs[RUNS / 2].as_secs_f64();
        let (measured, against) = (show(&ours), format!("by hand: {}", show(&theirs)));
        table.ratio(what, &measured, &against, ratio, &format!("at most {bound}x"), ratio <= bound);
    }
    Ok(())
}

async fn by_order(service: &Service, replicas: i64) -> anyhow::Result<Duration> {
    let mut connection = Connection::open(service.addr).await?;
    let order = json!({
        "TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0,
        "RedisReplicasNum": replicas, "Password": PASSWORD,
    });
    let begin = Instant::now();
    let answer = connection.call(service.addr, "CreateInstances", &order).await?;
    let id = json!({"InstanceId": answer["InstanceIds"][0]});
    let row = connection.call(service.addr, "DescribeInstances", &id).await?["InstanceSet"][0].clone();
    let ip = row["WanIp"].as_str().context("an address")?;
    let addr: SocketAddr = format!("{ip}:{}", row["Port"]).parse()?;
    // The address opens when all replicas are attached, so a PONG means that all of it is there.
    while !pongs(addr, &format!("AUTH {PASSWORD}\r\nPING\r\n")).await {
        tokio::time::sleep(LOOK).await;
    }
    let took = begin.elapsed();
    wait_for_status(&mut connection, service.addr, &id, 2).await?;
    connection.call(service.addr, "DestroyPostpaidInstance", &id).await?;
    wait_for_status(&mut connection, service.addr, &id, -3).await?;
    connection.call(service.addr, "CleanUpInstance", &id).await?;
    while connection.call(service.addr, "DescribeInstances", &id).await?["TotalCount"] != 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(took)
}

async fn wait_for_status(
    connection: &mut Connection,
    addr: SocketAddr,
    id: &serde_json::Value,
    status: i64,
) -> anyhow::Result<()> {
    while connection.call(addr, "DescribeInstances", id).await?["InstanceSet"][0]["Status"] != status {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn pongs(addr: SocketAddr, say: &str) -> bool {
    answers(addr, say, "+PONG").await.unwrap_or(false)
}

async fn answers(addr: SocketAddr, say: &str, wanted: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(say.as_bytes()).await?;
    let mut seen = Vec::new();
    let enough = |seen: &[u8]| String::from_utf8_lossy(seen).contains(wanted);
    while !enough(&seen) {
        // An INFO that does not hold what is wanted is told from one that is not there yet by its end.
        if stream.read_buf(&mut seen).await? == 0 || seen.ends_with(b"\r\n") && !enough(&seen) {
            return Ok(enough(&seen));
        }
    }
    Ok(true)
}

async fn by_hand(replicas: i64) -> anyhow::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let ports: Vec<u16> = (0..=replicas).map(|_| free_port()).collect::<anyhow::Result<_>>()?;
    let begin = Instant::now();
    let servers: Vec<Engine> =
        ports.iter().map(|port| Engine::start(*port, folder.path())).collect::<anyhow::Result<_>>()?;
    for port in &ports {
        while !pongs(SocketAddr::from(([127, 0, 0, 1], *port)), "PING\r\n").await {
            tokio::time::sleep(LOOK).await;
        }
    }
    for port in &ports[1..] {
        let replica = SocketAddr::from(([127, 0, 0, 1], *port));
        let follow = format!("REPLICAOF 127.0.0.1 {}\r\n", ports[0]);
        ensure!(answers(replica, &follow, "+OK").await?, "REPLICAOF was refused");
        while !answers(replica, "INFO replication\r\n", "master_link_status:up").await.unwrap_or(false) {
            tokio::time::sleep(LOOK).await;
        }
    }
    let took = begin.elapsed();
    drop(servers);
    Ok(took)
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// An engine that is started with the persistence of the service's nodes.
struct Engine(Child);

impl Engine {
    fn start(port: u16, folder: &Path) -> anyhow::Result<Self> {
        let dir = folder.join(port.to_string());
        std::fs::create_dir(&dir)?;
        let settings = [
            ("--port", port.to_string()),
            ("--dir", dir.display().to_string()),
            ("--appendonly", "yes".into()),
            ("--appendfsync", "everysec".into()),
            ("--save", String::new()),
            ("--repl-diskless-sync-delay", "0".into()),
            ("--logfile", "redis.log".into()),
        ];
        let mut command = Command::new("redis-server");
        for (name, value) in &settings {
            command.arg(name).arg(value);
        }
        let child = command.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Engine(child.context("start redis-server")?))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
