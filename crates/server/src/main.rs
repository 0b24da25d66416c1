//! `opencrs`: a managed Redis service, with the API of TencentDB for Redis.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Arg, ArgMatches, Command};
use opencrs::{Config, flags};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match run(command().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "this is for the person at the terminal")]
            {
                eprintln!("opencrs: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn command() -> Command {
    let data = || Arg::new("data").long("data").value_name("DIR").required(true).help("the data folder");
    let crash = || Arg::new("crash-at").long("crash-at").value_name("POINT").hide(true);
    Command::new("opencrs")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A managed Redis service that you run yourself, with the API of TencentDB for Redis")
        .subcommand_required(true)
        .subcommand(Command::new("serve").about("Runs the service").args(flags()).arg(crash()))
        .subcommand(
            Command::new("dev")
                .about("Runs the service for tests: in a temporary folder, gone when it ends")
                .args(flags())
                .arg(crash()),
        )
        .subcommand(Command::new("stop").about("Ends server, gateway and instances; data is kept").arg(data()))
        .subcommand(Command::new("ca").about("Prints the certificate that clients by TLS must trust").arg(data()))
        .subcommand(opencrs::tasks_command())
        .subcommand(
            Command::new("config").about("Prints the settings that hold, and where each came from").args(flags()),
        )
        .subcommand(
            Command::new("gateway")
                .about("Runs the gateway; `serve` does so by itself")
                .arg(data())
                .arg(
                    Arg::new("metrics")
                        .long("metrics")
                        .value_name("ADDR")
                        .value_parser(clap::value_parser!(std::net::SocketAddr))
                        .help("where Prometheus is answered"),
                )
                .arg(
                    Arg::new("succeed")
                        .long("succeed")
                        .action(clap::ArgAction::SetTrue)
                        .help("takes the place of the one that runs, with all its connections"),
                ),
        )
        .subcommand(Command::new("catalogue").hide(true))
        .subcommand(Command::new("reap").hide(true).arg(data()))
}

fn run(matches: ArgMatches) -> anyhow::Result<()> {
    // What is written is for the owner alone, by this process and by those that it starts, whoever made the folder.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let (name, matches) = matches.subcommand().context("a subcommand is needed")?;
    let data = || PathBuf::from(matches.get_one::<String>("data").map_or("", String::as_str));
    let read = |defaults| Config::read(matches, std::env::vars_os(), defaults);
    let crash_at = || matches.get_one::<String>("crash-at").map(String::as_str);
    match name {
        "serve" => {
            let config = read(&[])?;
            log(config.get("log"))?;
            opencrs::run_serve(&config, crash_at())
        }
        "dev" => {
            // It would be gone when this ends.
            let named = matches.value_source("data") == Some(clap::parser::ValueSource::CommandLine);
            anyhow::ensure!(!named, "`dev` has a temporary folder of its own; `serve --data` keeps one");
            let config = read(opencrs::DEV_DEFAULTS)?;
            log(config.get("log"))?;
            opencrs::run_dev(&config, crash_at())
        }
        "gateway" => {
            // Its log is kept by nobody: what goes on all the time does not belong there.
            log("warn")?;
            opencrs::on_tokio(async {
                let stop = opencrs::stop_signal()?;
                let metrics = matches.get_one("metrics").copied();
                let relays = if matches.get_flag("succeed") {
                    gateway::succeed(&data(), metrics, stop).await?
                } else {
                    gateway::run_with_metrics(&data(), metrics, stop).await?
                };
                if !relays.are_over() {
                    // The gateway of this folder is another.
                    std::env::set_current_dir("/").context("leave the gateway's folder")?;
                    relays.run(opencrs::stop_signal()?).await;
                }
                Ok(())
            })
        }
        "config" => {
            opencrs::say(read(&[])?.to_string().trim_end());
            Ok(())
        }
        "ca" => {
            let file = data().join(opencrs::AUTHORITY_FILE);
            let why = || format!("read {}; `opencrs serve` makes it at its start", file.display());
            opencrs::say(std::fs::read_to_string(&file).with_context(why)?.trim_end());
            Ok(())
        }
        "catalogue" => {
            opencrs::say(&opencrs::print_catalogue());
            Ok(())
        }
        "tasks" => opencrs::run_tasks(matches),
        "stop" => opencrs::run_stop(&data()),
        "reap" => opencrs::reap(&data()),
        _ => unreachable!("clap knows the subcommands"),
    }
}

fn log(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("read the log setting {filter:?}"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    Ok(())
}
