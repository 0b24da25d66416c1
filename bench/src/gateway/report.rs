//! The tables of the gateway, on paper.

use std::fmt::Write;

use super::Options;
use super::contender::{HAPROXY, Kind, TWEMPROXY, versions};
use super::load::{KEYS, Sample};
use super::row::Row;
use crate::document;
use crate::figures::{errors, lost, median, millis_of, progress, worst};
use crate::table::machine;
use crate::target::Outcome;

pub(super) struct Report {
    /// What the figures come from.
    head: String,
    throughput: String,
    latency: String,
    cpu: String,
    changes: String,
    bounds: String,
    /// Each run of what was done again and again.
    runs: String,
    /// What went wrong.
    notes: Vec<String>,
}

impl Report {
    pub(super) fn new(options: &Options) -> Self {
        let Options { rounds, span, is_quick, .. } = options;
        let look = if *is_quick { " A quick look: these figures are rough." } else { "" };
        let head = format!(
            "Release build, {}; {}; median of {rounds} rounds, each row some {} s without a proxy.{look}",
            machine(),
            versions(),
            span.as_secs_f64(),
        );
        Report {
            head,
            throughput: String::new(),
            latency: String::new(),
            cpu: String::new(),
            changes: String::new(),
            bounds: String::new(),
            runs: String::new(),
            notes: Vec::new(),
        }
    }

    /// A row of the tables of throughput, with the samples of each contender, and its bounds.
    pub(super) fn row(&mut self, row: Row, samples: [Vec<Sample>; 4]) {
        let (name, shape) = (row.name(), row.shape);
        let of = |kind: Kind, figure: fn(&Sample) -> f64| {
            let all: Vec<f64> = samples[kind as usize].iter().map(figure).collect();
            Figure::of(&all)
        };
        let cells = |figure: fn(&Sample) -> f64, show: fn(Figure) -> String| {
            Kind::ALL
                .map(|kind| if samples[kind as usize].is_empty() { "failed".into() } else { show(of(kind, figure)) })
        };
        let per_second = |kind| of(kind, |sample| sample.per_second).median;
        let (ours, haproxy, twemproxy) =
            (per_second(Kind::Gateway), per_second(Kind::Haproxy), per_second(Kind::Twemproxy));
        let (to_haproxy, to_twemproxy) = (ours / haproxy, ours / twemproxy);
        let line = format!(
            "| {name} | {} | {} | {} |\n",
            cells(|sample| sample.per_second, |figure| figure.with_spread(0)).join(" | "),
            times(to_haproxy),
            times(to_twemproxy),
        );
        progress(&line);
        self.throughput.push_str(&line);
        let p99 = |kind| of(kind, |sample| sample.p99).median;
        let line = format!("| {name} | {} |\n", cells(|sample| sample.p99, |figure| figure.with_spread(2)).join(" | "));
        self.latency.push_str(&line);
        let cpu = |kind| of(kind, |sample| sample.cpu).median;
        let [_, shown @ ..] = cells(|sample| sample.cpu, |figure| figure.with_spread(2));
        let line = format!("| {name} | {} |\n", shown.join(" | "));
        self.cpu.push_str(&line);

        let bound = shape.of_haproxy;
        let what = format!("{name}: requests/s to HAProxy's");
        self.bound(&what, &times(to_haproxy), &format!("at least {bound}x"), to_haproxy >= bound);
        if let Some(bound) = shape.of_twemproxy {
            let what = format!("{name}: requests/s to twemproxy's");
            self.bound(&what, &times(to_twemproxy), &format!("at least {bound}x"), to_twemproxy >= bound);
        }
        let (ours, theirs) = (p99(Kind::Gateway), p99(Kind::Haproxy));
        let against = format!("at most HAProxy's {theirs:.2} ms");
        self.bound(&format!("{name}: p99"), &format!("{ours:.2} ms"), &against, ours <= theirs);
        if shape.bounds_cpu {
            let (ours, theirs) = (cpu(Kind::Gateway), cpu(Kind::Haproxy));
            let against = format!("at most HAProxy's {theirs:.2} s");
            let what = format!("{name}: CPU for a million commands");
            self.bound(&what, &format!("{ours:.2} s"), &against, ours <= theirs);
        }
    }

    /// What a change that was made once or again and again did to clients.
    pub(super) fn change(&mut self, what: &str, outcomes: &[Outcome]) {
        let accounts = || outcomes.iter().map(|outcome| &outcome.account);
        let took = worst(&millis_of(outcomes.iter().map(|outcome| outcome.took)));
        let took = if took == 0.0 { String::new() } else { format!("{:.2} s", took / 1e3) };
        let gaps = millis_of(accounts().map(|account| account.longest_gap));
        let acknowledged: usize = accounts().map(|account| account.acknowledged).sum();
        let line = format!(
            "| {what} | {took} | {:.1} ms | {:.1} ms | {acknowledged} | {} | {} |\n",
            median(&gaps),
            worst(&gaps),
            lost(accounts()),
            errors(accounts()),
        );
        progress(&line);
        self.changes.push_str(&line);
    }

    pub(super) fn bound(&mut self, what: &str, measured: &str, bound: &str, is_reached: bool) {
        let verdict = if is_reached { "reached" } else { "**missed**" };
        self.add_bound(what, measured, bound, verdict);
    }

    pub(super) fn not_measured(&mut self, what: &str, bound: &str, why: &str) {
        self.add_bound(what, "", bound, &format!("not measured: {why}"));
    }

    fn add_bound(&mut self, what: &str, measured: &str, bound: &str, verdict: &str) {
        let line = format!("| {what} | {measured} | {bound} | {verdict} |\n");
        progress(&line);
        self.bounds.push_str(&line);
    }

    pub(super) fn runs(&mut self, what: &str, millis: &[f64]) {
        let each: Vec<_> = millis.iter().map(|millis| format!("{millis:.0}")).collect();
        let _ = writeln!(self.runs, "{what} in ms: {}.\n", each.join(", "));
    }

    pub(super) fn note(&mut self, note: String) {
        progress(&note);
        self.notes.push(note);
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.head);
        let mut table = |title: &str, columns: &str, lines: &str| {
            if !lines.is_empty() {
                let rule = "|---".repeat(columns.matches('|').count() - 1);
                let _ = writeln!(text, "{title}\n\n{columns}\n{rule}|\n{lines}");
            }
        };
        let kinds = Kind::ALL.map(Kind::name);
        let columns = format!("| row | {} | to HAProxy | to twemproxy |", kinds.join(" | "));
        table(
            "Requests a second, with half of what lies between the least and the most round:",
            &columns,
            &self.throughput,
        );
        table("p99, in ms:", &format!("| row | {} |", kinds.join(" | ")), &self.latency);
        let columns = format!("| row | {} |", kinds[1..].join(" | "));
        table("Seconds of CPU that the proxy takes for a million commands:", &columns, &self.cpu);
        let columns = "| change | task | longest gap of a client, median | worst | acknowledged | lost | errors that \
                       clients saw |";
        table("Under the load of 50 clients that write without pause:", columns, &self.changes);
        table("What must be reached:", "| what | measured | bound | |", &self.bounds);
        text.push_str(&self.runs);
        for note in &self.notes {
            let _ = writeln!(text, "{note}\n");
        }
        if !self.throughput.is_empty() {
            let _ = writeln!(
                text,
                "All are before the same engine, a node of the instance, whose {KEYS} keys are all there. HAProxy and \
                 twemproxy are told, besides addresses and the password:\n\n```\n{HAPROXY}```\n\n```\n{TWEMPROXY}```\n"
            );
        }
        text
    }

    #[expect(clippy::print_stdout, reason = "this is what the program is for")]
    pub(super) fn print(&self) {
        println!("{}", self.text());
    }

    /// Puts it into the document.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        document::write("gateway-bench.md", &self.text())
    }
}

/// A ratio; of what failed there is none.
fn times(ratio: f64) -> String {
    if ratio.is_nan() { "?".into() } else { format!("{ratio:.2}x") }
}

/// What the rounds come to. Of none it is no number, which reaches no bound.
#[derive(Clone, Copy)]
struct Figure {
    median: f64,
    /// Half of what lies between the least and the most.
    spread: f64,
}

impl Figure {
    fn of(all: &[f64]) -> Self {
        if all.is_empty() {
            return Figure { median: f64::NAN, spread: f64::NAN };
        }
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        Figure { median: median(all), spread: (worst(all) - least) / 2.0 }
    }

    fn with_spread(self, places: usize) -> String {
        format!("{:.places$} ± {:.places$}", self.median, self.spread)
    }
}
