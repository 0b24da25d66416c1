//! Tasks that the ledger does not have any more: a line of JSON each, in a file for each month (of StartTime, in UTC) in the
//! vault's folder.
//!
//! What must stay true:
//! - A line is on the disk before its task leaves the ledger. So whatever kills the service, a task is in the ledger, in the
//!   archive, or in both; and one that a crash cut short is of a task that is still in the ledger.
//! - Nothing but a last line that was cut short is ever taken from a file. A task may so have two lines, the later of which is
//!   right; who reads shows one of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flow::Phase;
use jiff::Timestamp;
use jiff::tz::Offset;
use ledger::{PassedStep, WholeTask};
use model::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A task as it is kept and exported: what an event `task` tells. Where all were told `end` follows, with TotalCount, and where
/// some can't be read `failed`, with Message.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskRecord {
    /// Its id.
    task_id: i64,
    /// The account that owns it.
    owner_uin: i64,
    /// Who started it.
    operate_uin: String,
    /// The instance; it may be gone.
    instance_id: String,
    /// What that was called when the task was accepted.
    instance_name: String,
    /// The project of the instance then.
    project_id: i64,
    /// The code of its type.
    task_type: String,
    /// The list of steps that it goes through.
    flow: String,
    /// 1, and one more with each RetryTask.
    attempt: i64,
    /// 0 waiting, 1 running, 2 done, 4 failed.
    result: i64,
    /// 0 to 1.
    progress: f64,
    /// The code of a failure; else empty.
    code: String,
    /// Why it failed; else empty.
    message: String,
    /// When it was accepted: `2026-11-24T08:00:00.5Z`.
    start_time: String,
    /// When it ended; empty while it has not.
    end_time: String,
    /// What it has passed.
    steps: Vec<StepRecord>,
}

/// A step that a task has passed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
struct StepRecord {
    /// In which attempt.
    attempt: i64,
    /// The step.
    name: String,
    /// run where it was done, undo where it was taken back.
    phase: &'static str,
    /// When it became the next one.
    start_time: String,
    /// When it was passed.
    end_time: String,
    /// Tries that failed before.
    tries: u32,
    /// Empty where all went well, else what went wrong.
    message: String,
}

impl TaskRecord {
    pub(crate) fn of(whole: &WholeTask) -> Self {
        let task = &whole.task;
        TaskRecord {
            task_id: task.id.0,
            owner_uin: task.account,
            operate_uin: task.caller.clone(),
            instance_id: task.instance.to_string(),
            instance_name: task.instance_name.clone(),
            project_id: task.project,
            task_type: task.kind.clone(),
            flow: whole.flow.clone(),
            attempt: whole.attempt,
            result: task.result.number(),
            progress: task.progress,
            code: task.code.clone(),
            message: task.message.clone(),
            start_time: write_time(task.started_at),
            end_time: task.ended_at.map_or_else(String::new, write_time),
            steps: whole.steps.iter().map(StepRecord::of).collect(),
        }
    }
}

impl StepRecord {
    fn of(step: &PassedStep) -> Self {
        let passed = &step.passed;
        StepRecord {
            attempt: step.attempt,
            name: passed.step.clone(),
            phase: if passed.phase == Phase::Run { "run" } else { "undo" },
            start_time: write_time(passed.started_at),
            end_time: write_time(passed.ended_at),
            tries: passed.tries,
            message: passed.message.clone(),
        }
    }
}

/// What is read of a line to place it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Head {
    task_id: i64,
    owner_uin: i64,
    start_time: String,
}

/// Where a task is among all: they are listed by this.
pub(crate) type Place = (Millis, i64);

/// A month of the calendar, as 2026-11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Month(i16, i8);

impl Month {
    pub(crate) fn of(at: Millis) -> Month {
        let moment =
            Timestamp::from_millisecond(at.0).unwrap_or(if at.0 < 0 { Timestamp::MIN } else { Timestamp::MAX });
        let date = Offset::UTC.to_datetime(moment);
        Month(date.year(), date.month())
    }

    /// The last place that there can be in it.
    pub(crate) fn last_place(self) -> Place {
        let next = if self.1 == 12 { (self.0.saturating_add(1), 1) } else { (self.0, self.1 + 1) };
        let begin = jiff::civil::DateTime::new(next.0, next.1, 1, 0, 0, 0, 0).ok();
        let begin = begin.and_then(|begin| Offset::UTC.to_timestamp(begin).ok()).unwrap_or(Timestamp::MAX);
        (Millis(begin.as_millisecond() - 1), i64::MAX)
    }

    fn file(self) -> String {
        format!("{:04}-{:02}.{ENDING}", self.0, self.1)
    }

    fn read(file: &str) -> Option<Month> {
        let (year, month) = file.strip_suffix(ENDING)?.strip_suffix('.')?.split_once('-')?;
        let month = Month(year.parse().ok()?, month.parse().ok().filter(|month| (1..=12).contains(month))?);
        (month.file() == file).then_some(month)
    }
}

const ENDING: &str = "ndjson";

/// The folder of those files.
#[derive(Clone, Debug)]
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// In a data folder. It is made when there is something to be kept.
    pub fn of(data: &Path) -> Archive {
        Archive { folder: data.join("vault").join("tasks") }
    }

    /// Keeps tasks: they are on the disk when it returns. Blocks.
    pub(crate) fn keep(&self, tasks: &[WholeTask]) -> io::Result<()> {
        let mut months: BTreeMap<Month, Vec<u8>> = BTreeMap::new();
        for whole in tasks {
            let lines = months.entry(Month::of(whole.task.started_at)).or_default();
            serde_json::to_writer(&mut *lines, &TaskRecord::of(whole))?;
            lines.push(b'\n');
        }
        if months.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        for (month, lines) in months {
            append(&self.folder.join(month.file()), &lines)?;
        }
        // So that the files themselves, and their folders, are found after a power failure.
        for folder in self.folder.ancestors().take(3) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// The first month from this one on of which there are tasks.
    pub(crate) fn first_month(&self, from: Month) -> io::Result<Option<Month>> {
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            files => files?,
        };
        let mut first = None;
        for file in files {
            let month = file?.file_name().to_str().and_then(Month::read).filter(|month| *month >= from);
            first = first.into_iter().chain(month).min();
        }
        Ok(first)
    }

    /// The tasks of a month that an account has.
    pub(crate) fn month(&self, month: Month, account: i64) -> MonthFile {
        let path = self.folder.join(month.file());
        MonthFile { month, path, account, read_to: 0, lines: BTreeMap::new(), unread: 0, file: None }
    }
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = File::options().read(true).append(true).create(true).open(path)?;
    // A server that does not know yet that it does not lead any more may keep the same tasks.
    file.lock()?;
    let whole = length_of_lines(&mut file)?;
    if whole < file.metadata()?.len() {
        file.set_len(whole)?;
    }
    file.write_all(lines)?;
    file.sync_all()
}

/// How long a file is up to the end of its last whole line.
fn length_of_lines(file: &mut File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut piece = [0; 4096];
    while end > 0 {
        let begin = end.saturating_sub(piece.len() as u64);
        let piece = &mut piece[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(piece)?;
        if let Some(place) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + place as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// A month as it is read: where each line is, so that they can be shown in order though they were kept as they ended.
pub(crate) struct MonthFile {
    pub(crate) month: Month,
    path: PathBuf,
    account: i64,
    /// Up to where its lines are known.
    read_to: u64,
    lines: BTreeMap<Place, (u64, usize)>,
    /// How many lines are no task's, as a disk leaves them that fails.
    pub(crate) unread: u64,
    file: Option<BufReader<File>>,
}

impl MonthFile {
    /// Learns of the lines that have come since.
    pub(crate) fn read_on(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                file => self.file.insert(BufReader::with_capacity(1 << 16, file?)),
            },
        };
        if file.get_ref().metadata()?.len() <= self.read_to {
            return Ok(());
        }
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut line = Vec::new();
        loop {
            line.clear();
            file.read_until(b'\n', &mut line)?;
            // The last one may have been cut short, or be written just now.
            if line.pop() != Some(b'\n') {
                return Ok(());
            }
            let at = self.read_to;
            self.read_to += line.len() as u64 + 1;
            match place(&line) {
                Some((place, account)) if account == self.account => drop(self.lines.insert(place, (at, line.len()))),
                Some(_) => {}
                None => {
                    self.unread += 1;
                    tracing::warn!(file = %self.path.display(), at, "a line of the tasks that are kept can't be read");
                }
            }
        }
    }

    /// The lines after a place up to another one, in order; at most `most`.
    pub(crate) fn lines(&mut self, after: Place, to: Place, most: usize) -> io::Result<Vec<(Place, String)>> {
        let Some(file) = self.file.as_mut().filter(|_| after < to) else { return Ok(Vec::new()) };
        let range = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(to));
        let mut found = Vec::new();
        for (place, (at, length)) in self.lines.range(range).take(most) {
            let here = file.stream_position()?;
            file.seek_relative(*at as i64 - here as i64)?;
            let mut line = vec![0; *length];
            file.read_exact(&mut line)?;
            found.push((*place, String::from_utf8(line).map_err(io::Error::other)?));
        }
        Ok(found)
    }
}

fn place(line: &[u8]) -> Option<(Place, i64)> {
    let head: Head = serde_json::from_slice(line).ok()?;
    let at: Timestamp = head.start_time.parse().ok()?;
    Some(((Millis(at.as_millisecond()), head.task_id), head.owner_uin))
}

fn write_time(at: Millis) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| String::new(), |moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use ledger::Task;
    use model::{InstanceId, TaskId, TaskResult};

    use super::*;

    fn task(id: i64, started_at: &str, message: &str) -> WholeTask {
        let started_at = Millis(started_at.parse::<Timestamp>().unwrap().as_millisecond());
        let task = Task {
            id: TaskId(id),
            account: 7,
            caller: "7".into(),
            instance: InstanceId::from_random(1),
            instance_name: "cache".into(),
            project: 0,
            kind: "001".into(),
            result: TaskResult::Failed,
            progress: 0.5,
            code: "FailedOperation".into(),
            message: message.into(),
            started_at,
            ended_at: Some(started_at),
        };
        WholeTask { task, flow: "f".into(), attempt: 1, steps: Vec::new() }
    }

    const FIRST: Place = (Millis(i64::MIN), 0);

    fn ids(archive: &Archive, month: Month) -> Vec<i64> {
        let mut file = archive.month(month, 7);
        file.read_on().unwrap();
        let lines = file.lines(FIRST, month.last_place(), usize::MAX).unwrap();
        lines.into_iter().map(|((_, id), _)| id).collect()
    }

    #[test]
    fn tasks_are_kept_by_the_month_in_which_they_began_and_read_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::of(folder.path());
        assert_eq!(archive.first_month(Month(0, 1)).unwrap(), None);
        let last = "2025-12-31T23:59:59.999Z";
        archive.keep(&[task(2, last, ""), task(3, "2026-01-01T00:00:00Z", "")]).unwrap();
        archive.keep(&[task(1, "2025-12-01T00:00:00Z", "")]).unwrap();
        assert_eq!(archive.first_month(Month(0, 1)).unwrap(), Some(Month(2025, 12)));
        assert_eq!(archive.first_month(Month(2026, 1)).unwrap(), Some(Month(2026, 1)));
        assert_eq!(archive.first_month(Month(2026, 2)).unwrap(), None);
        assert_eq!(ids(&archive, Month(2025, 12)), [1, 2]);
        assert_eq!(ids(&archive, Month(2026, 1)), [3]);
        assert!(folder.path().join("vault/tasks/2025-12.ndjson").is_file());
        assert_eq!(Month(2025, 12).last_place().0, Millis(last.parse::<Timestamp>().unwrap().as_millisecond()));
    }

    #[test]
    fn a_line_that_was_cut_short_is_not_read_and_nothing_is_written_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::of(folder.path());
        let (month, at) = (Month(2026, 1), "2026-01-05T00:00:00Z");
        archive.keep(&[task(1, at, "")]).unwrap();
        let path = folder.path().join("vault/tasks/2026-01.ndjson");
        let whole = fs::read(&path).unwrap();
        archive.keep(&[task(2, at, &"x".repeat(9_000)), task(3, at, "")]).unwrap();
        let both = fs::read(&path).unwrap();
        for cut in [whole.len() + 1, whole.len() + 5_000, both.len() - 1] {
            fs::write(&path, &both[..cut]).unwrap();
            let seen = ids(&archive, month);
            assert!(!seen.contains(&3) && seen.contains(&1), "{seen:?}");
            archive.keep(&[task(2, at, ""), task(3, at, "")]).unwrap();
            assert_eq!(ids(&archive, month), [1, 2, 3]);
        }
        fs::write(&path, &whole[..20]).unwrap();
        archive.keep(&[task(4, at, "")]).unwrap();
        assert_eq!(ids(&archive, month), [4]);
    }

    #[test]
    fn of_a_task_that_was_kept_twice_the_later_line_is_shown_also_to_whoever_has_read_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::of(folder.path());
        let at = "2026-01-05T00:00:00Z";
        archive.keep(&[task(1, at, "first")]).unwrap();
        let mut file = archive.month(Month(2026, 1), 7);
        file.read_on().unwrap();
        archive.keep(&[task(1, at, "second"), task(2, at, "")]).unwrap();
        file.read_on().unwrap();
        let lines = file.lines(FIRST, Month(2026, 1).last_place(), 10).unwrap();
        assert!(lines.len() == 2 && lines[0].1.contains("second"), "{lines:?}");
        assert_eq!(file.lines(lines[0].0, lines[1].0, 10).unwrap(), lines[1..]);
        assert_eq!(archive.month(Month(2026, 1), 8).lines.len(), 0);
    }
}
