//! `opencrs tasks`: lists tasks in the terminal, follows them, and exports them. It asks a server as any client does, so it
//! shows what the API answers, whatever the store is and wherever the server runs.

mod client;
mod export;
mod list;
mod row;
mod watch;

use std::io::{self, Write};

use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use client::Client;

/// The subcommand with its flags.
pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let many = |name, value, help| text(name, value, help).action(ArgAction::Append).value_delimiter(',');
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let number = |name, help| text(name, "N", help).value_parser(value_parser!(u64));
    let from =
        || text("from", "TIME", "accepted then or later: 2026-11-24, or '2026-11-24 08:00:00' in the service's zone");
    let to = || text("to", "TIME", "accepted then or earlier, as --from; a day belongs to it whole");
    let server = || {
        [
            text("endpoint", "URL", "where the API is served, as http://127.0.0.1:8800 (also by OPENCRS_ENDPOINT)"),
            text(
                "data",
                "DIR",
                "the data folder of a server on this host: it says where that listens, and has its key pair",
            ),
        ]
    };
    Command::new("tasks")
        .about("Lists tasks, follows them, or exports them")
        .long_about(
            "Lists tasks, newest first, of the last 30 days; `export` prints older ones too. The key pair is \
             TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or what the data folder has.",
        )
        .args(server())
        .args([
            text("instance-id", "ID", "of this instance"),
            text("instance-name", "NAME", "of instances that were called so"),
            many("project", "N", "of instances in one of these projects").value_parser(value_parser!(i64)),
            many("type", "TYPE", "of one of these types: 001, or FLOW_CREATE"),
            many("result", "RESULT", "waiting, running, done or failed")
                .value_parser(["waiting", "running", "done", "failed"]),
            many("operator", "UIN", "started by one of these callers, as OperateUin has them"),
            from(),
            to(),
            number("limit", "how many are shown").default_value("20"),
            number("offset", "how many of the newest are left out").default_value("0"),
            flag(
                "watch",
                "shows the tasks that are open and goes on as they change; with --instance-id and --type alone",
            ),
            flag("json", "an object of JSON a line"),
        ])
        .args_conflicts_with_subcommands(true)
        .subcommand(
            Command::new("export")
                .about(
                    "Prints all tasks of a time, also those that have left the ledger, as lines of JSON, oldest first",
                )
                .args(server())
                .args([from(), to()]),
        )
}

/// Does what the subcommand says.
///
/// # Errors
/// For the person at the terminal: what went wrong, and what can be done.
pub fn run(matches: &ArgMatches) -> anyhow::Result<()> {
    let (name, matches) = matches.subcommand().unwrap_or(("list", matches));
    let client = Client::of(matches)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let done = runtime.block_on(async {
        match name {
            "export" => export::run(&client, matches).await,
            _ if matches.get_flag("watch") => watch::run(&client, matches).await,
            _ => list::run(&client, matches).await,
        }
    });
    match done {
        // Who reads has enough, as `head` does.
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        done => done,
    }
}

/// Reads a moment as the API writes it, or a day, of which it is the first or the last second.
fn read_time(matches: &ArgMatches, name: &str) -> anyhow::Result<Option<String>> {
    let Some(text) = matches.get_one::<String>(name).map(|text| text.trim().replace('T', " ")) else { return Ok(None) };
    let is_like = |shape: &str| {
        let fits = |(got, shape): (u8, u8)| got == shape || (shape == b'0' && got.is_ascii_digit());
        text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
    };
    if is_like("0000-00-00") {
        return Ok(Some(format!("{text} {}", if name == "from" { "00:00:00" } else { "23:59:59" })));
    }
    if !is_like("0000-00-00 00:00:00") {
        bail!("--{name} {text:?} is no time: write a day (2026-11-24) or a moment ('2026-11-24 08:00:00')");
    }
    Ok(Some(text))
}

/// The values of a flag that can be given more than once.
fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<T> {
    matches.get_many(name).into_iter().flatten().cloned().collect()
}

fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_meant_from_its_first_second_to_its_last() {
        let read = |name: &str, text: &str| {
            let matches = command().get_matches_from(["tasks", &format!("--{name}"), text]);
            read_time(&matches, name)
        };
        assert_eq!(read("from", "2026-11-24").unwrap().unwrap(), "2026-11-24 00:00:00");
        assert_eq!(read("to", "2026-11-24").unwrap().unwrap(), "2026-11-24 23:59:59");
        assert_eq!(read("to", "2026-11-24T08:00:01").unwrap().unwrap(), "2026-11-24 08:00:01");
        assert!(read("to", "yesterday").unwrap_err().to_string().contains("2026-11-24"));
    }

    #[test]
    fn the_flags_are_as_clap_wants_them() {
        command().debug_assert();
    }
}
