//! Chores of the repository. `cargo xtask tidy` checks what neither the compiler nor Clippy knows about it.

mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

#[expect(clippy::print_stderr, reason = "a command line tool")]
fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect::<Vec<_>>().as_slice()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy::run(),
        _ => bail!("usage: cargo xtask tidy"),
    }
}
