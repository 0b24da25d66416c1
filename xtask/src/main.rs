//! Chores of the repository. `cargo xtask tidy` checks what neither the compiler nor Clippy knows about it;
//! `cargo xtask codegen` writes `api/catalogue.json`, what the binary offers.

mod tidy;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};

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
        ["codegen"] => write_catalogue(),
        _ => bail!("usage: cargo xtask tidy|codegen"),
    }
}

fn write_catalogue() -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--package", "opencrs", "--", "catalogue"]);
    let output = command.output().context("run opencrs catalogue")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "opencrs catalogue ended with {}: {said}", output.status);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("api").join("catalogue.json");
    fs::write(&path, output.stdout).with_context(|| format!("write {}", path.display()))
}
