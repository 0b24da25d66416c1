//! What many runs come to.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::Account;

/// What was acknowledged and isn't there, over all of them.
pub(crate) fn lost<'a>(accounts: impl Iterator<Item = &'a Account>) -> String {
    let (mut missing, mut repeated) = (0, 0);
    for account in accounts {
        missing += account.missing;
        repeated += account.repeated;
    }
    if repeated == 0 { missing.to_string() } else { format!("{missing}, and {repeated} were done twice") }
}

/// What went wrong for clients, over all of them.
pub(crate) fn errors<'a>(accounts: impl Iterator<Item = &'a Account>) -> String {
    let mut all: BTreeMap<&str, usize> = BTreeMap::new();
    for (kind, count) in accounts.flat_map(|account| &account.errors) {
        *all.entry(kind).or_default() += count;
    }
    let all: Vec<_> = all.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

pub(crate) fn millis(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

pub(crate) fn millis_of(times: impl Iterator<Item = Duration>) -> Vec<f64> {
    times.map(millis).collect()
}

pub(crate) fn worst(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}

/// The middle one of them.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Tells who waits what is done.
#[expect(clippy::print_stderr, reason = "for who waits; the tables are what is printed")]
pub(crate) fn progress(line: &str) {
    eprintln!("{}", line.trim_end());
}
