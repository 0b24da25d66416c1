//! What the end-to-end tests stand on: a real `opencrs serve` with real engines, and the public clients, unmodified.

mod client;
mod conformance;
mod instance;
mod load;
mod service;
mod writers;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub use client::{Client, Method, Refusal, Settings, Sign, Stream, paste};
pub use instance::{Connection, Instance, run, wait_for_task};
pub use ledger::harness::Cluster;
pub use load::Load;
pub use service::{Process, Server, Service, is_on_postgres};
pub use writers::{Account, Writers};

/// How long a test waits for anything: far above what it takes, so that a busy machine fails no test.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Asks until there is an answer. It is for what the outside of the service can't be told of, only ask.
///
/// # Panics
/// When there is none after `LONGEST_WAIT`.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(start.elapsed() < LONGEST_WAIT, "waited {LONGEST_WAIT:?} for {what}");
        pause(Duration::from_millis(20));
    }
}

/// Lets some time go by: between two questions, or to die at a moment that nothing marks.
#[expect(clippy::disallowed_methods, reason = "the tests are another process than the one whose time this is")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Runs a subcommand of the binary that ends by itself, and returns what it prints.
pub fn run_opencrs(arguments: &[&str]) -> String {
    let output =
        Command::new(opencrs()).args(arguments).env_clear().stdin(Stdio::null()).output().expect("run opencrs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("what it prints is text")
}

/// Cargo's target folder, that of this test's build.
fn target_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(3).expect("a test is at target/PROFILE/deps/TEST").to_owned()
}

/// The binary under test, of the same profile as the test.
fn opencrs() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let binary = test.ancestors().nth(2).expect("a test is at target/PROFILE/deps/TEST").join("opencrs");
    assert!(binary.exists(), "{} is missing: `cargo build --package opencrs` makes it", binary.display());
    binary
}
