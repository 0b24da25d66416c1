use std::path::Path;

use anyhow::Result;

use super::Repo;

/// Paths of the place where someone works, which mean nothing to anyone else. (In two halves, so as not to be found.)
const WORKPLACES: &[&str] = &[concat!("/wo", "rk/"), concat!("../sha", "red")];

pub(super) fn nothing_names_a_workplace(repo: &Repo) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in repo.files(|_| true) {
        // What is not text holds no path that a reader could follow.
        let Ok(text) = repo.read(path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let named = WORKPLACES.iter().filter(|place| line.contains(*place));
            faults.extend(named.map(|place| format!("{path}:{}: names {place}", number + 1)));
        }
    }
    Ok(faults)
}

pub(super) fn links_resolve(repo: &Repo) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for path in repo.files(|path| path.ends_with(".md")) {
        let folder = Path::new(path).parent().unwrap_or(Path::new(""));
        for (number, line) in repo.read(path)?.lines().enumerate() {
            for target in links(line) {
                if !repo.root.join(folder).join(target).exists() {
                    faults.push(format!("{path}:{}: nothing is at {target}", number + 1));
                }
            }
        }
    }
    Ok(faults)
}

/// The files that a line of Markdown links to: `[text](file#section)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .filter_map(|(target, _)| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
}

#[cfg(test)]
mod tests {
    use super::super::assert_tidy;
    use super::links;

    #[test]
    fn nothing_names_a_workplace() {
        assert_tidy(super::nothing_names_a_workplace);
    }

    #[test]
    fn links_resolve() {
        assert_tidy(super::links_resolve);
    }

    #[test]
    fn links_to_files_are_found() {
        let line = "[a](a.md), ![b](img/b.png) and [c](c.md#part), not [d](https://d.example) nor [e](#e)";
        assert_eq!(links(line).collect::<Vec<_>>(), ["a.md", "img/b.png", "c.md"]);
    }
}
