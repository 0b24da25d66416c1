//! The tables of switches, on paper.

use std::fmt::Write;
use std::iter;
use std::time::Duration;

use e2e::Account;

use crate::document;
use crate::figures::{errors, lost, median, millis, millis_of, progress, worst};
use crate::table::machine;
use crate::target::Outcome;

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
        self.change(&format!(
            "| {what} | {took} | {gap:.1} ms | {silence:.1} ms | {acknowledged} | {lost} | {errors} |"
        ));
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

    /// Puts it into the document.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        document::write("switches.md", &self.text())
    }
}
