//! The table that is printed.

use std::process::Command;

struct Line {
    what: String,
    measured: String,
    against: String,
    ratio: String,
    target: String,
    is_reached: bool,
}

/// Figures, each with its target.
#[derive(Default)]
pub(crate) struct Table(Vec<Line>);

impl Table {
    pub(crate) fn new() -> Self {
        Table::default()
    }

    /// A figure that is held against another one of the same run.
    pub(crate) fn ratio(
        &mut self,
        what: &str,
        measured: &str,
        against: &str,
        ratio: f64,
        target: &str,
        is_reached: bool,
    ) {
        self.add(what, measured, against, format!("{ratio:.2}x"), target, is_reached);
    }

    /// A figure with a bound of its own.
    pub(crate) fn bound(&mut self, what: &str, measured: &str, target: &str, is_reached: bool) {
        self.add(what, measured, "", String::new(), target, is_reached);
    }

    fn add(&mut self, what: &str, measured: &str, against: &str, ratio: String, target: &str, is_reached: bool) {
        let (what, measured, against, target) = (what.into(), measured.into(), against.into(), target.into());
        self.0.push(Line { what, measured, against, ratio, target, is_reached });
    }

    #[expect(clippy::print_stdout, reason = "this is what the program is for")]
    pub(crate) fn print(&self) {
        print!("{}", self.text());
    }

    /// As it is printed, in Markdown.
    pub(crate) fn text(&self) -> String {
        let head = "| what | measured | against | ratio | target | |\n|---|---|---|---|---|---|";
        let mut text = format!("{}\n\n{head}\n", machine());
        for line in &self.0 {
            let verdict = if line.is_reached { "reached" } else { "**missed**" };
            let Line { what, measured, against, ratio, target, .. } = line;
            text += &format!("| {what} | {measured} | {against} | {ratio} | {target} | {verdict} |\n");
        }
        text
    }
}

/// What it was measured on.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let redis = Command::new("redis-server").arg("--version").output();
    let redis = redis.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let redis = redis.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("?").to_owned();
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!("{cores} cores, Linux {}, redis-server {redis}, load {load}", read("/proc/sys/kernel/osrelease"))
}
