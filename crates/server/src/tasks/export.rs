//! Prints all tasks of a time.

use std::io::{self, BufWriter, Write};

use anyhow::{Context, bail, ensure};
use clap::ArgMatches;
use serde_json::{Value, json};

use super::client::Client;
use super::read_time;

pub(super) async fn run(client: &Client, matches: &ArgMatches) -> anyhow::Result<()> {
    let mut params = json!({});
    for (name, parameter) in [("from", "BeginTime"), ("to", "EndTime")] {
        if let Some(text) = read_time(matches, name)? {
            params[parameter] = text.into();
        }
    }
    let mut events = client.events(control::OPENCRS, "ExportTasks", &params).await?;
    let (mut out, mut count) = (BufWriter::with_capacity(1 << 16, io::stdout().lock()), 0_u64);
    let missing =
        |count| format!("{count} tasks were printed, and more are missing: export from there on, or once more");
    while let Some((name, data)) = events.next().await? {
        if name == "task" {
            writeln!(out, "{data}")?;
            count += 1;
            continue;
        }
        out.flush()?;
        let data: Value = serde_json::from_str(&data).context("read what the server says at the end")?;
        if name == "failed" {
            bail!("the server can't go on: {}\n{}", data["Message"].as_str().unwrap_or_default(), missing(count));
        }
        ensure!(data["TotalCount"] == count, missing(count));
        return Ok(());
    }
    out.flush()?;
    bail!("the server has ended, or the connection broke; {}", missing(count))
}
