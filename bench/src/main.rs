//! `cargo xtask bench`: prints a table of what the service must reach, each figure beside what it is held against,
//! measured in the same run on the same machine. Rows can be named to run them alone: api, create, settings, no-op,
//! start. `cargo xtask bench switches` measures what changes do to clients, `cargo xtask bench gateway` what the gateway
//! costs beside other proxies, and `cargo xtask bench tasks` lists of a long history; these take minutes, and have tables of
//! their own. `seed` writes such a history.

mod api;
mod bare;
mod create;
mod document;
mod figures;
mod gateway;
mod history;
mod http;
mod process;
mod seed;
mod service;
mod settings;
mod start;
mod switches;
mod table;
mod target;
mod tasks;

use std::path::PathBuf;

use anyhow::Context;
use table::Table;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let [mode, body] = &args[..]
        && mode == "bare"
    {
        return tokio.block_on(bare::serve(&PathBuf::from(body)));
    }
    match &args[..] {
        [row] if row == "switches" => return tokio.block_on(switches::run(false)),
        [row, flag] if row == "switches" && flag == "--write" => return tokio.block_on(switches::run(true)),
        [row, options @ ..] if row == "gateway" => return tokio.block_on(gateway::run(options)),
        [row, options @ ..] if row == "tasks" => return tokio.block_on(history::run(options)),
        [row, options @ ..] if row == "seed" => return tokio.block_on(seed::run(options)),
        _ => {}
    }
    let wants = |row: &str| args.is_empty() || args.iter().any(|arg| arg == row);
    let mut table = Table::new();
    tokio.block_on(async {
        if wants("api") {
            api::run(&mut table).await.context("the row api")?;
        }
        if wants("create") {
            create::run(&mut table).await.context("the row create")?;
        }
        if wants("settings") {
            settings::run(&mut table).await.context("the row settings")?;
        }
        if wants("no-op") {
            tasks::run(&mut table).await.context("the row no-op")?;
        }
        if wants("start") {
            start::run(&mut table).await.context("the row start")?;
        }
        anyhow::Ok(())
    })?;
    table.print();
    Ok(())
}
