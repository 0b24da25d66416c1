use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use toml::Table;

use super::Repo;

/// Which crate may depend on which of the others: the arrows of ARCHITECTURE.md. A new one is a reviewed change.
/// Crates that nothing ships (bench, e2e, xtask) may depend on any.
const ALLOWED: &[(&str, &[&str])] = &[
    ("control", &["flow", "ledger", "model", "runtime"]),
    ("flow", &["model"]),
    ("gateway", &["model"]),
    ("ledger", &["flow", "model"]),
    ("model", &[]),
    ("opencrs", &["control", "flow", "gateway", "ledger", "model", "runtime"]),
    ("runtime", &["model"]),
];

const MOST_LINES: usize = 600;

pub(super) fn edges_are_allowed(repo: &Repo) -> Result<Vec<String>> {
    let mut manifests = BTreeMap::new();
    for path in repo.files(|path| path.starts_with("crates/") && path.ends_with("Cargo.toml")) {
        let manifest: Table = repo.read(path)?.parse().with_context(|| format!("parse {path}"))?;
        let name = manifest["package"]["name"].as_str().with_context(|| format!("{path} names no package"))?;
        manifests.insert(name.to_owned(), manifest);
    }
    let mut faults = Vec::new();
    for (name, manifest) in &manifests {
        let Some((_, allowed)) = ALLOWED.iter().find(|(from, _)| from == name) else {
            faults.push(format!("{name} has no row in the table of allowed dependencies"));
            continue;
        };
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let dependencies =
                manifest.get(section).and_then(|section| section.as_table()).into_iter().flat_map(Table::keys);
            let inner = dependencies.filter(|dependency| manifests.contains_key(*dependency));
            let forbidden = inner.filter(|dependency| !allowed.contains(&dependency.as_str()));
            faults.extend(forbidden.map(|dependency| format!("{name} may not depend on {dependency}")));
        }
    }
    Ok(faults)
}

pub(super) fn crates_say_what_they_are_for(repo: &Repo) -> Result<Vec<String>> {
    let is_root = |path: &str| path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
    let mut faults = Vec::new();
    for path in repo.files(is_root) {
        if !repo.read(path)?.starts_with("//! ") {
            faults.push(format!("{path}: the first line does not say what the crate is for (`//! ...`)"));
        }
    }
    Ok(faults)
}

pub(super) fn files_are_short(repo: &Repo) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in repo.files(|path| path.starts_with("crates/") && path.contains("/src/") && path.ends_with(".rs")) {
        let lines = repo.read(path)?.lines().count();
        if lines > MOST_LINES {
            faults.push(format!("{path}: {lines} lines are more than {MOST_LINES}; which second thing is in it?"));
        }
    }
    Ok(faults)
}

pub(super) fn an_action_is_a_file(repo: &Repo) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in action_files(repo).filter(|path| !is_table_of_contents(repo, path)) {
        let text = repo.read(path)?;
        let actions = text.lines().filter(|line| line.starts_with("impl") && line.contains("Action for ")).count();
        if actions != 1 {
            faults.push(format!("{path}: a file of an action holds one `impl Action`, not {actions}"));
        }
    }
    Ok(faults)
}

pub(super) fn tables_of_contents_are_sorted(repo: &Repo) -> Result<Vec<String>> {
    let contents = |path: &str| path == "crates/control/src/actions.rs";
    let files = repo.files(contents).chain(action_files(repo).filter(|path| is_table_of_contents(repo, path)));
    let mut faults = Vec::new();
    for path in files {
        let text = repo.read(path)?;
        let lines = || text.lines().map(str::trim);
        let modules: Vec<_> = lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';')).collect();
        let entries: Vec<_> = lines().filter_map(|line| line.strip_prefix("entry::<")).collect();
        for (what, list) in [("modules", modules), ("entries", entries)] {
            if let Some(pair) = list.windows(2).find(|pair| pair[0] >= pair[1]) {
                faults.push(format!("{path}: the {what} are not sorted: {} stands before {}", pair[0], pair[1]));
            }
        }
    }
    Ok(faults)
}

fn action_files(repo: &Repo) -> impl Iterator<Item = &str> {
    repo.files(|path| path.starts_with("crates/control/src/actions/") && path.ends_with(".rs"))
}

/// `group.rs` beside a folder `group`.
fn is_table_of_contents(repo: &Repo, path: &str) -> bool {
    repo.root.join(Path::new(path).with_extension("")).is_dir()
}

#[cfg(test)]
mod tests {
    use super::super::assert_tidy;

    #[test]
    fn edges_are_allowed() {
        assert_tidy(super::edges_are_allowed);
    }

    #[test]
    fn crates_say_what_they_are_for() {
        assert_tidy(super::crates_say_what_they_are_for);
    }

    #[test]
    fn files_are_short() {
        assert_tidy(super::files_are_short);
    }

    #[test]
    fn an_action_is_a_file() {
        assert_tidy(super::an_action_is_a_file);
    }

    #[test]
    fn tables_of_contents_are_sorted() {
        assert_tidy(super::tables_of_contents_are_sorted);
    }
}
