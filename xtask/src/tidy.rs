//! The checks, each of which is a test too.

mod api;
mod crates;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A check returns what is wrong, each with the place where it is.
type Check = fn(&Repo) -> Result<Vec<String>>;

const CHECKS: &[Check] = &[
    crates::edges_are_allowed,
    crates::crates_say_what_they_are_for,
    crates::files_are_short,
    crates::an_action_is_a_file,
    crates::tables_of_contents_are_sorted,
    api::unbuilt_actions_are_known,
    api::the_catalogue_conforms,
    api::the_readme_lists_what_is_built,
    api::the_table_of_actions_is_fresh,
    text::nothing_names_a_workplace,
    text::links_resolve,
];

/// Runs every check.
pub(crate) fn run() -> Result<()> {
    let repo = Repo::open()?;
    let mut faults = Vec::new();
    for check in CHECKS {
        faults.extend(check(&repo)?);
    }
    if faults.is_empty() {
        return Ok(());
    }
    bail!("{}", faults.join("\n"))
}

/// Writes `docs/actions.md`.
pub(crate) fn write_table_of_actions() -> Result<()> {
    let repo = Repo::open()?;
    let path = repo.root.join(api::TABLE);
    fs::write(&path, api::table_of_actions(&repo)?).with_context(|| format!("write {}", path.display()))
}

/// The repository's files: all but those that are built, installed or made by running it.
struct Repo {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Repo {
    fn open() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask is in no repository")?;
        let mut files = Vec::new();
        walk(root, Path::new(""), &mut files)?;
        files.sort();
        Ok(Repo { root: root.to_owned(), files })
    }

    /// Paths from the root that a filter takes.
    fn files(&self, filter: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|path| path.to_str()).filter(move |path| filter(path))
    }

    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("read {path}"))
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(folder)).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let is_made = matches!(
            path.to_str(),
            Some(".git" | "target" | "data" | "fuzz/artifacts" | "fuzz/corpus" | "fuzz/target")
        ) || matches!(entry.file_name().to_str(), Some("node_modules" | "__pycache__"));
        match entry.file_type()? {
            _ if is_made => {}
            kind if kind.is_dir() => walk(root, &path, files)?,
            _ => files.push(path),
        }
    }
    Ok(())
}

#[cfg(test)]
fn assert_tidy(check: Check) {
    let faults = Repo::open().and_then(|repo| check(&repo)).expect("the check runs");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
