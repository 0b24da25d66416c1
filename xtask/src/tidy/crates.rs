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

/// A file that declares an action is the action's alone, and has its name.
pub(super) fn an_action_is_a_file(repo: &Repo) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in action_files(repo) {
        let text = repo.read(path)?;
        let names: Vec<_> = text.lines().filter_map(action_name).collect();
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if names.len() > 1 {
            faults.push(format!("{path}: an action is a file of its own, and here are {}", names.join(", ")));
        } else if names.first().is_some_and(|name| snake_case(name) != stem) {
            faults.push(format!("{path}: the file of {} is {}.rs", names[0], snake_case(names[0])));
        }
    }
    Ok(faults)
}

/// Every list of modules, and of what is in them, is sorted; a comment or an empty line begins a new list.
pub(super) fn tables_of_contents_are_sorted(repo: &Repo) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in repo.files(|path| path.starts_with("crates/control/src/") && path.ends_with(".rs")) {
        let text = repo.read(path)?;
        for list in
            text.lines().collect::<Vec<_>>().chunk_by(|a, b| listed_name(a).is_some() && listed_name(b).is_some())
        {
            let unsorted = list.windows(2).find(|pair| listed_name(pair[0]) >= listed_name(pair[1]));
            faults.extend(
                unsorted.map(|pair| format!("{path}: `{}` stands before `{}`", pair[0].trim(), pair[1].trim())),
            );
        }
    }
    Ok(faults)
}

/// What a line of a table of contents lists: `mod name;`, or the last part of `entry::<path::Name>(),`.
fn listed_name(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(entry) = line.strip_prefix("entry::<").or(line.strip_prefix("stream_entry::<")) {
        return entry.split_once('>')?.0.rsplit("::").next();
    }
    let (visibility, name) = line.strip_suffix(';')?.split_once("mod ")?;
    (visibility.is_empty() || visibility.starts_with("pub")).then_some(name)
}

/// `Name` of `impl Action for Name {`, or of one that answers a stream.
fn action_name(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl Action for ").or(line.strip_prefix("impl StreamAction for "));
    rest?.split([' ', '<']).next()
}

/// Several capitals in a row are one word: `DBInstance` is `db_instance`.
fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let is_upper = |index: usize| letters.get(index).is_some_and(char::is_ascii_uppercase);
    let mut snake = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let ends_a_word = index > 0 && !is_upper(index - 1);
        let begins_a_word = index + 1 < letters.len() && !is_upper(index + 1);
        if is_upper(index) && index > 0 && (ends_a_word || begins_a_word) {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn action_files(repo: &Repo) -> impl Iterator<Item = &str> {
    repo.files(|path| path.starts_with("crates/control/src/actions/") && path.ends_with(".rs"))
}

#[cfg(test)]
mod tests {
    use super::super::assert_tidy;
    use super::*;

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

    #[test]
    fn lines_of_tables_of_contents_are_read() {
        assert_eq!(listed_name("    entry::<lifecycle::clear_instance::ClearInstance>(),"), Some("ClearInstance"));
        assert_eq!(listed_name("    stream_entry::<steering::watch_tasks::WatchTasks>(),"), Some("WatchTasks"));
        assert_eq!(listed_name("pub(crate) mod tasks;"), Some("tasks"));
        assert_eq!(listed_name("// mod tasks;"), None);
        assert_eq!(listed_name("}"), None);
    }

    #[test]
    fn the_file_of_an_action_has_its_name() {
        let check = |line, file: &str| assert_eq!(action_name(line).map(snake_case).as_deref(), Some(file));
        check("impl Action for ModfiyInstancePassword {", "modfiy_instance_password");
        check("impl StreamAction for WatchTasks {", "watch_tasks");
        check("impl Action for DescribeInstanceDTSInfo {", "describe_instance_dts_info");
        check("impl Action for OpenSSL {", "open_ssl");
    }
}
