//! The tables of switches, on paper.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, iter};

use anyhow::Context;
use e2e::Account;

use super::Outcome;
use crate::table::machine;

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

pub(super) struct Report {
    changes: String,
    bounds: String,
    runs: String,
}

impl Report {
    pub(super) fn new() -> Self {
        let changes = "\
            | change | task | longest gap of a client | longest time without any write | acknowledged | lost | errors that \
            clients saw |\n|---|---|---|---|---|---|---|\n";
        let bounds = "| switch | | median | worst | bound | |\n|---|---|---|---|---|---|\n";
        Report { changes: changes.into(), bounds: bounds.into(), runs: String::new() }
    }

    pub(super) fn outcome(&mut self, what: &str, Outcome { took, account }: Outcome) {
        let took = if took.is_zero() { String::new() } else { format!("{:.2} s", took.as_secs_f64()) };
        let (gap, silence) = (millis(account.longest_gap), millis(account.longest_silence));
        let (lost, errors) = (lost(iter::once(&account)), errors(iter::once(&account)));
        let acknowledged = account.acknowledged;
        self.change(&format!("| {what} | {took} | {gap} ms | {silence} ms | {acknowledged} | {lost} | {errors} |"));
    }

    pub(super) fn skipped(&mut self, what: &str, why: &str) {
        self.change(&format!("| {what} | | | | | | not measured: {why} |"));
    }

    fn change(&mut self, line: &str) {
        self.changes.push_str(line);
        self.changes.push('\n');
        // It takes minutes, and who waits may know what is done.
        progress(line);
    }

    /// Runs of one switch, each with what is held against a bound.
    pub(super) fn runs(
        &mut self,
        what: &str,
        measure: &str,
        bound: Duration,
        outcomes: &[Outcome],
        held: impl Fn(&Account) -> Duration,
    ) {
        let accounts = || outcomes.iter().map(|outcome| &outcome.account);
        let acknowledged: usize = accounts().map(|account| account.acknowledged).sum();
        let took = millis_of(outcomes.iter().map(|outcome| outcome.took));
        let (gaps, silences) = (
            millis_of(accounts().map(|account| account.longest_gap)),
            millis_of(accounts().map(|account| account.longest_silence)),
        );
        self.change(&format!(
            "| {what}, worst of {} | {:.2} s | {:.1} ms | {:.1} ms | {acknowledged} | {} | {} |",
            outcomes.len(),
            worst(&took) / 1e3,
            worst(&gaps),
            worst(&silences),
            lost(accounts()),
            errors(accounts()),
        ));
        let held = millis_of(accounts().map(held));
        let bound = 1e3 * bound.as_secs_f64();
        let verdict = if worst(&held) <= bound { "reached" } else { "**missed**" };
        let line = format!(
            "| {what} | {measure} | {:.1} ms | {:.1} ms | {bound} ms | {verdict} |\n",
            median(&held),
            worst(&held)
        );
        progress(&line);
        self.bounds.push_str(&line);
        let each: Vec<_> = held.iter().map(|millis| format!("{millis:.0}")).collect();
        let _ = writeln!(self.runs, "{what}, each run in ms: {}.\n", each.join(", "));
    }

    fn text(&self) -> String {
        format!("Release build, {}.\n\n{}\n{}\n{}", machine(), self.changes, self.bounds, self.runs)
    }

    #[expect(clippy::print_stdout, reason = "this is what the program is for")]
    pub(super) fn print(&self) {
        println!("{}", self.text());
    }

    /// Puts it into the document, in the place of what was there.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let path = document();
        let before = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let (head, rest) = before.split_once(BEGIN).context("the document has no place for figures")?;
        let (_, tail) = rest.split_once(END).context("the document's place for figures has no end")?;
        let after = format!("{head}{BEGIN}\n{}{END}{tail}", self.text());
        fs::write(&path, after).with_context(|| format!("write {}", path.display()))
    }
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("switches.md")
}

fn lost<'a>(accounts: impl Iterator<Item = &'a Account>) -> String {
    let (mut missing, mut repeated) = (0, 0);
    for account in accounts {
        missing += account.missing;
        repeated += account.repeated;
    }
    if repeated == 0 { missing.to_string() } else { format!("{missing}, and {repeated} were done twice") }
}

fn errors<'a>(accounts: impl Iterator<Item = &'a Account>) -> String {
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, count) in accounts.flat_map(|account| &account.errors) {
        *all.entry(kind).or_default() += count;
    }
    let all: Vec<_> = all.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

fn millis(time: Duration) -> String {
    format!("{:.1}", 1e3 * time.as_secs_f64())
}

fn millis_of(times: impl Iterator<Item = Duration>) -> Vec<f64> {
    times.map(|time| 1e3 * time.as_secs_f64()).collect()
}

fn worst(millis: &[f64]) -> f64 {
    millis.iter().copied().fold(0.0, f64::max)
}

fn median(millis: &[f64]) -> f64 {
    let mut sorted = millis.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[expect(clippy::print_stderr, reason = "for who waits; the tables are what is printed")]
fn progress(line: &str) {
    eprintln!("{}", line.trim_end());
}
