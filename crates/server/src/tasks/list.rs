//! Lists tasks, newest first.

use anyhow::Context;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::client::Client;
use super::row::{Row, header};
use super::{all, read_time, say};

/// The most that are answered at a time.
const PAGE: u64 = 100;

pub(super) async fn run(client: &Client, matches: &ArgMatches) -> anyhow::Result<()> {
    let mut params = filter(matches)?;
    let count = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or_default();
    let (limit, offset, is_json) = (count("limit"), count("offset"), matches.get_flag("json"));
    let (mut shown, mut total) = (0, 0);
    // Tasks that came meanwhile move the others on: those are not shown twice.
    let mut last = i64::MAX;
    while shown < limit {
        params["Limit"] = PAGE.min(limit - shown).into();
        params["Offset"] = (offset + shown).into();
        let answer = client.call(control::REDIS, "DescribeTaskList", &params).await?;
        total = answer["TotalCount"].as_u64().context("the server tells no TotalCount")?;
        let tasks = answer["Tasks"].as_array().context("the server tells no Tasks")?;
        if tasks.is_empty() {
            break;
        }
        shown += tasks.len() as u64;
        for task in tasks {
            let row: Row = serde_json::from_value(task.clone()).context("read a task of the answer")?;
            if row.task_id >= last {
                continue;
            }
            if last == i64::MAX && !is_json {
                say(&header())?;
            }
            last = row.task_id;
            say(&if is_json { task.to_string() } else { row.line() })?;
        }
    }
    if !is_json {
        let next = offset + shown;
        let more = if next < total { format!("; --offset {next} shows the next ones") } else { String::new() };
        say(&format!("{shown} of {total} tasks of the last 30 days{more}"))?;
    }
    Ok(())
}

fn filter(matches: &ArgMatches) -> anyhow::Result<Value> {
    let mut params = json!({});
    for (name, parameter) in [("instance-id", "InstanceId"), ("instance-name", "InstanceName")] {
        if let Some(text) = matches.get_one::<String>(name) {
            params[parameter] = text.as_str().into();
        }
    }
    for (name, parameter) in [("from", "BeginTime"), ("to", "EndTime")] {
        if let Some(text) = read_time(matches, name)? {
            params[parameter] = text.into();
        }
    }
    let results: Vec<i64> = all::<String>(matches, "result").iter().map(|result| number_of(result)).collect();
    let lists = [
        ("ProjectIds", json!(all::<i64>(matches, "project"))),
        ("TaskTypes", json!(all::<String>(matches, "type"))),
        ("Result", json!(results)),
        ("OperateUin", json!(all::<String>(matches, "operator"))),
    ];
    for (parameter, list) in lists {
        if list != json!([]) {
            params[parameter] = list;
        }
    }
    Ok(params)
}

fn number_of(result: &str) -> i64 {
    match result {
        "waiting" => 0,
        "running" => 1,
        "done" => 2,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_the_filters_of_the_api() {
        let flags = [
            "tasks",
            "--instance-id",
            "crs-1",
            "--project",
            "1,2",
            "--type",
            "001",
            "--type",
            "FLOW_CLEAN",
            "--result",
            "running,failed",
            "--operator",
            "7",
            "--from",
            "2026-11-24",
        ];
        let matches = super::super::command().get_matches_from(flags);
        let wanted = json!({ "InstanceId": "crs-1", "ProjectIds": [1, 2], "TaskTypes": ["001", "FLOW_CLEAN"],
            "Result": [1, 4], "OperateUin": ["7"], "BeginTime": "2026-11-24 00:00:00" });
        assert_eq!(filter(&matches).unwrap(), wanted);
    }
}
