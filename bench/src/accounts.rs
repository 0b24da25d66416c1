//! How long an account takes to change on all nodes of an instance.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::http::Connection;
use crate::service::Service;
use crate::table::Table;

const RUNS: usize = 20;
const REPLICAS: usize = 5;
const BOUND: Duration = Duration::from_millis(60);
/// The pause between two looks at a task.
const LOOK: Duration = Duration::from_micros(500);

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
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut took = Vec::new();
    // Made once, and then changed.
    for turn in 0..=RUNS {
        let (action, privilege) =
            if turn == 0 { ("CreateInstanceAccount", "rw") } else { ("ModifyInstanceAccount", ["r", "rw"][turn % 2]) };
        let change = json!({
            "InstanceId": id, "AccountName": "bench", "AccountPassword": format!("Bench-Passw0rd-{turn}"),
            "Privilege": privilege, "ReadonlyPolicy": ["master"],
        });
        let begin = Instant::now();
        let task = json!({ "TaskId": connection.call(service.addr, action, &change).await?["TaskId"] });
        loop {
            let shown = connection.call(service.addr, "DescribeTaskInfo", &task).await?;
            let status = shown["Status"].as_str().context("a status")?.to_owned();
            ensure!(["preparing", "running", "succeed"].contains(&status.as_str()), "{action}: {shown}");
            if status == "succeed" {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        if turn > 0 {
            took.push(begin.elapsed());
        }
    }
    took.sort_unstable();
    let (median, worst) = (took[RUNS / 2], took[RUNS - 1]);
    let millis = |time: Duration| 1e3 * time.as_secs_f64();
    table.bound(
        "ModifyInstanceAccount, five replicas, from the call to the finished task",
        &format!("median {:.1} ms, worst {:.1} ms", millis(median), millis(worst)),
        "median at most 60 ms",
        median <= BOUND,
    );
    Ok(())
}
