//! From a call of ModifyInstanceParams to the end of its task, on an instance with five replicas.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use crate::http::Connection;
use crate::service::Service;
use crate::table::Table;

const RUNS: usize = 20;
const LOOK: Duration = Duration::from_micros(300);
/// What it may take.
const BOUND: Duration = Duration::from_millis(60);

pub(crate) async fn run(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let mut connection = Connection::open(service.addr).await?;
    let order = json!({
        "TypeId": 17, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0,
        "RedisReplicasNum": 5, "Password": "Bench-Passw0rd",
    });
    let answer = connection.call(service.addr, "CreateInstances", &order).await?;
    let id = answer["InstanceIds"][0].clone();
    let row = json!({ "InstanceId": id });
    while connection.call(service.addr, "DescribeInstances", &row).await?["InstanceSet"][0]["Status"] != 2 {
        tokio::time::sleep(LOOK).await;
    }
    let mut times = Vec::new();
    for run in 0..RUNS {
        // A setting of the engine, and one that is users' rules.
        let (hz, commands) = if run % 2 == 0 { ("50", "keys") } else { ("10", "\"\"") };
        let params = json!([{"Key": "hz", "Value": hz}, {"Key": "disable-command-list", "Value": commands}]);
        let begin = Instant::now();
        let request = json!({ "InstanceId": id, "InstanceParams": params });
        let task = connection.call(service.addr, "ModifyInstanceParams", &request).await?;
        ensure!(task["Changed"] == true, "nothing was changed: {task}");
        let task = json!({ "TaskId": task["TaskId"] });
        loop {
            let info = connection.call(service.addr, "DescribeTaskInfo", &task).await?;
            match info["Status"].as_str().context("a status")? {
                "succeed" => break,
                "failed" | "error" => anyhow::bail!("the task failed: {info}"),
                _ => tokio::time::sleep(LOOK).await,
            }
        }
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    let millis = |time: Duration| 1e3 * time.as_secs_f64();
    let (median, worst) = (times[RUNS / 2], times[RUNS - 1]);
    let measured = format!("median {:.1} ms, worst {:.1} ms", millis(median), millis(worst));
    let (what, bound) = ("ModifyInstanceParams, five replicas, to the end of its task", "at most 60 ms");
    table.bound(what, &measured, bound, median <= BOUND);
    Ok(())
}
