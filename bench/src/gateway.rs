//! What the gateway costs, beside no proxy, HAProxy and twemproxy before the very same engine, and what of itself its
//! clients see. Takes a quarter of an hour, so it runs when it is named: `gateway`, with `--quick` for a look, `--only
//! NAME` (again for more) for some of its rows, `--rounds N`, and `--write` for the document.

mod contender;
mod idle;
mod load;
mod report;
mod row;
mod switch;

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::report::Report;
use self::row::{Row, rows};
use self::switch::Runs;

/// The parts that are no rows of the tables of throughput.
const PARTS: [&str; 3] = ["idle", "switch", "replace"];
/// How many files to be able to open: a splicing gateway takes two for each connection.
const FILES: u64 = 65_536;

struct Options {
    write: bool,
    is_quick: bool,
    /// Of these rows and parts alone; empty: of all.
    only: Vec<String>,
    rounds: usize,
    /// How long a row lasts without a proxy.
    span: Duration,
    runs: Runs,
}

impl Options {
    fn parse(args: &[String]) -> anyhow::Result<Self> {
        let is_quick = args.iter().any(|arg| arg == "--quick");
        let (rounds, span) = if is_quick { (1, 400) } else { (5, 1500) };
        let runs =
            if is_quick { Runs { switches: 5, replacements: 2 } } else { Runs { switches: 50, replacements: 10 } };
        let span = Duration::from_millis(span);
        let mut options = Options { write: false, is_quick, only: Vec::new(), rounds, span, runs };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => {}
                "--write" => options.write = true,
                "--only" => options.only.push(args.next().context("--only needs a name")?.clone()),
                "--rounds" => options.rounds = args.next().context("--rounds needs a number")?.parse()?,
                _ => bail!("{arg} is none of --write, --quick, --only NAME, --rounds N"),
            }
        }
        let is_whole = options.rounds >= 5 && !is_quick && options.only.is_empty();
        ensure!(
            is_whole || !options.write,
            "what is written is the whole: --write goes with none of the other options"
        );
        let names: Vec<String> = rows().iter().map(Row::name).chain(PARTS.map(str::to_owned)).collect();
        for only in &options.only {
            ensure!(names.iter().any(|name| is_of(name, only)), "{only} is none of {}", names.join(", "));
        }
        Ok(options)
    }

    /// Whether a row or part is to be measured.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| is_of(name, only))
    }
}

/// Whether a row is the named one, or one of the named set: `p1-50-64-set` is of `p1-50-64`, and of `p1`.
fn is_of(name: &str, set: &str) -> bool {
    name.strip_prefix(set).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Runs all of it, prints it, and writes it into the document where that is asked for.
pub(crate) async fn run(args: &[String]) -> anyhow::Result<()> {
    let options = Options::parse(args)?;
    raise_file_limit();
    let mut report = Report::new(&options);
    if rows().iter().any(|row| options.wants(&row.name())) {
        contender::require_installed()?;
        load::run(&options, &mut report).await.context("the tables of throughput")?;
    }
    if options.wants("idle") {
        idle::run(&mut report).await.context("idle connections")?;
    }
    if options.wants("switch") {
        switch::switches(options.runs.switches, &mut report).await.context("planned switches")?;
    }
    if options.wants("replace") {
        switch::replacements(options.runs.replacements, &mut report).await.context("the gateway replaced")?;
    }
    report.print();
    if options.write { report.write() } else { Ok(()) }
}

/// For this process and all that it starts.
fn raise_file_limit() {
    let most = getrlimit(Resource::Nofile).maximum;
    // Only root may raise what others are held to. Where it fails, what lacks files is seen by its errors.
    let more = most.map(|most| most.max(FILES));
    if setrlimit(Resource::Nofile, Rlimit { current: more, maximum: more }).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    }
}
