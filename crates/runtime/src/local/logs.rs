//! A node's log: its last lines, and its rotation. Redis opens its log anew for every line, so a log can be moved away
//! beneath it.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Rotated logs that are kept: `.1`, the newest, to `.3`.
const KEPT: u32 = 3;

/// Moves the log away where it has grown beyond `limit` bytes.
pub(super) fn rotate(log: &Path, limit: u64) -> io::Result<()> {
    if length(log)? <= limit {
        return Ok(());
    }
    for number in (1..KEPT).rev() {
        unless_missing(fs::rename(numbered(log, number), numbered(log, number + 1)))?;
    }
    unless_missing(fs::rename(log, numbered(log, 1)))
}

/// Its size in bytes; zero where there is none yet.
pub(super) fn length(log: &Path) -> io::Result<u64> {
    match fs::metadata(log) {
        Ok(file) => Ok(file.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// The last lines that were written from a position on, as one line.
pub(super) fn tail(log: &Path, from: u64) -> String {
    const LINES: usize = 6;
    let Ok(content) = read_end(log, from) else { return "it left no log".into() };
    let text = String::from_utf8_lossy(&content);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "it wrote nothing to its log".into();
    }
    lines[lines.len().saturating_sub(LINES)..].join("; ")
}

fn read_end(log: &Path, from: u64) -> io::Result<Vec<u8>> {
    const BYTES: u64 = 4096;
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(BYTES)).min(length)))?;
    let mut content = Vec::new();
    file.take(BYTES).read_to_end(&mut content)?;
    Ok(content)
}

fn numbered(log: &Path, number: u32) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn unless_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_grown_is_moved_away_and_three_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("redis.log");
        for n in 1..=5 {
            fs::write(&log, format!("log {n}")).unwrap();
            rotate(&log, 4).unwrap();
            assert!(!log.exists());
        }
        for (number, text) in [(1, "log 5"), (2, "log 4"), (3, "log 3")] {
            assert_eq!(fs::read_to_string(numbered(&log, number)).unwrap(), text);
        }
        assert!(!numbered(&log, 4).exists());
    }

    #[test]
    fn a_log_that_is_small_or_missing_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("redis.log");
        rotate(&log, 4).unwrap();
        fs::write(&log, "log").unwrap();
        rotate(&log, 4).unwrap();
        assert!(log.exists() && !numbered(&log, 1).exists());
    }

    #[test]
    fn the_tail_is_of_this_start_alone() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("redis.log");
        assert_eq!(tail(&log, 0), "it left no log");
        fs::write(&log, "old\n").unwrap();
        assert_eq!(tail(&log, 4), "it wrote nothing to its log");
        fs::write(&log, "old\n 1\n\n2\n3\n4\n5\n6\n7\n").unwrap();
        assert_eq!(tail(&log, 4), "2; 3; 4; 5; 6; 7");
    }
}
