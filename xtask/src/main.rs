//! Chores of the repository. `cargo xtask tidy` checks what neither the compiler nor Clippy knows about it;
//! `cargo xtask codegen` writes what the binary offers, `api/catalogue.json` and `docs/actions.md`; `cargo xtask bench`
//! prints the figures, and `cargo xtask seed` writes a long history to look at; `cargo xtask suites` runs whole test suites
//! through the gateway.

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
        ["codegen"] => write_catalogue().and_then(|()| tidy::write_table_of_actions()),
        ["bench", rows @ ..] => bench(rows),
        ["suites", words @ ..] => suites(words),
        ["seed", ..] => run_bench(arguments),
        _ => bail!(
            "usage: cargo xtask tidy|codegen|bench [row ...]|suites [--write] [suite ...]\
             |seed --tasks N [--instances M] [--data DIR]"
        ),
    }
}

/// Builds as a release is built, and measures that.
fn bench(rows: &[&str]) -> Result<()> {
    build_release(&["--package", "opencrs", "--package", "bench"])?;
    run_bench(rows)
}

fn run_bench<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Result<()> {
    let mut run = Command::new(env!("CARGO"));
    let ran = run.args(["run", "--release", "--quiet", "--package", "bench", "--"]).args(arguments).status();
    ensure!(ran.context("run it")?.success(), "that failed");
    Ok(())
}

/// Builds as a release is built, and lets the test suites of others loose on that.
fn suites(words: &[&str]) -> Result<()> {
    build_release(&["--package", "opencrs"])?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
    let ran = Command::new("python3").arg(folder).args(words).status().context("run the suites by python3")?;
    ensure!(ran.success(), "the gateway makes a difference that is not known");
    Ok(())
}

fn build_release(packages: &[&str]) -> Result<()> {
    let mut build = Command::new(env!("CARGO"));
    let built = build.args(["build", "--release", "--locked"]).args(packages).status().context("build")?;
    ensure!(built.success(), "the build failed");
    Ok(())
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
