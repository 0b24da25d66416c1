//! From a call that changes how an instance is set to the end of its task, on an instance with five replicas.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::http::Connection;
use crate::service::Service;
use crate::table::Table;

const RUNS: usize = 20;
const REPLICAS: usize = 5;
/// What the median may take.
const BOUND: Duration = Duration::from_millis(60);
/// The pause between two looks at a task.
const LOOK: Duration = Duration::from_micros(300);

pub(crate) async fn run(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let mut connection = Connection::open(service.addr).await?;
    let order = json!({
        "TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0, "RedisReplicasNum": REPLICAS,
        "Password": "Bench-Passw0rd",
    });
    let answer = connection.call(service.addr, "CreateInstances", &order).await?;
    let id = answer["InstanceIds"][0].clone();
    let running = json!({ "InstanceId": id });
    while connection.call(service.addr, "DescribeInstances", &running).await?["InstanceSet"][0]["Status"] != 2 {
        tokio::time::sleep(LOOK).await;
    }
    let mut target = Target { service, connection, id };
    target.change("CreateInstanceAccount", account(0)).await?;
    target.row(table, "ModifyInstanceAccount", account).await?;
    target.row(table, "ModifyInstanceParams", params).await
}

/// Another password and privilege at each turn.
fn account(turn: usize) -> Value {
    let privilege = ["r", "rw"][turn % 2];
    json!({
        "AccountName": "bench", "AccountPassword": format!("Bench-Passw0rd-{turn}"),
        "Privilege": privilege, "ReadonlyPolicy": ["master"],
    })
}

/// A setting of the engine, and one that is users' rules.
fn params(turn: usize) -> Value {
    let (hz, commands) = [("10", "\"\""), ("50", "keys")][turn % 2];
    json!({ "InstanceParams": [{"Key": "hz", "Value": hz}, {"Key": "disable-command-list", "Value": commands}] })
}

struct Target {
    service: Service,
    connection: Connection,
    id: Value,
}

impl Target {
    async fn row(&mut self, table: &mut Table, action: &str, change: fn(usize) -> Value) -> anyhow::Result<()> {
        let mut took = Vec::new();
        for turn in 1..=RUNS {
            took.push(self.change(action, change(turn)).await?);
        }
        took.sort_unstable();
        let (median, worst) = (took[RUNS / 2], took[RUNS - 1]);
        let millis = |time: Duration| 1e3 * time.as_secs_f64();
        let measured = format!("median {:.1} ms, worst {:.1} ms", millis(median), millis(worst));
        let what = format!("{action}, five replicas, from the call to the end of its task");
        table.bound(&what, &measured, "median at most 60 ms", median <= BOUND);
        Ok(())
    }

    /// How long a change takes. It has to change something, and to succeed.
    async fn change(&mut self, action: &str, mut change: Value) -> anyhow::Result<Duration> {
        change["InstanceId"] = self.id.clone();
        let begin = Instant::now();
        let answer = self.connection.call(self.service.addr, action, &change).await?;
        ensure!(answer["Changed"] != false, "{action} changed nothing: {answer}");
        let task = json!({ "TaskId": answer["TaskId"] });
        loop {
            let shown = self.connection.call(self.service.addr, "DescribeTaskInfo", &task).await?;
            if shown["Status"] == "succeed" {
                return Ok(begin.elapsed());
            }
            ensure!(shown["Status"] == "preparing" || shown["Status"] == "running", "{action}: {shown}");
            tokio::time::sleep(LOOK).await;
        }
    }
}
