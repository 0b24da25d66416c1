//! All tasks of a time, in the order in which they were accepted, each once, from the ledger and from what was moved out of it.
//!
//! A task may leave the ledger meanwhile. So a page of the ledger is read first, and only then what the archive has up to the
//! page's end: what had left before the page was read is in the archive by then.

use std::collections::VecDeque;
use std::io;

use ledger::{Ledger, WholeTask, whole_tasks};
use model::{Millis, TaskId};

use crate::archive::{Archive, Month, MonthFile, Place, TaskRecord};

/// How many tasks are read at a time.
const PAGE: usize = 500;

/// An export that is under way.
pub(crate) struct Export {
    ledger: Ledger,
    archive: Archive,
    account: i64,
    /// The last place that was shown, or passed.
    at: Place,
    /// The last place that is wanted.
    end: Place,
    /// What of the ledger's page is not shown yet.
    page: VecDeque<WholeTask>,
    /// Up to where the page goes; `None` where one is to be read.
    page_to: Option<Place>,
    /// After which task the ledger is read on.
    after: TaskId,
    month: Option<MonthFile>,
    /// How many lines of months that were passed can't be read.
    unread: u64,
}

/// Why it can't go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error("the tasks that were moved out of the ledger can't be read: {0}")]
    Archive(#[from] io::Error),
    #[error("{0} lines of the tasks that were moved out of the ledger can't be read; the log says where they are")]
    Unread(u64),
    #[error("a task can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Export {
    /// Of an account's tasks that were accepted from a second on to another one, which belongs to it whole.
    pub(crate) fn new(ledger: Ledger, archive: Archive, account: i64, from_second: i64, to_second: i64) -> Self {
        let begin = Millis::from_seconds(from_second);
        let after = TaskId(ledger.first_task_from(from_second).0 - 1);
        let end = Millis::from_seconds(to_second.saturating_add(1));
        Export {
            ledger,
            archive,
            account,
            at: (Millis(begin.0.saturating_sub(1)), i64::MAX),
            end: (Millis(end.0.saturating_sub(1)), i64::MAX),
            page: VecDeque::new(),
            page_to: None,
            after,
            month: None,
            unread: 0,
        }
    }

    /// The next lines; `None` at the end, unless something was left out that could not be read. Blocks.
    pub(crate) fn next(&mut self) -> Result<Option<Vec<String>>, Broken> {
        while self.at < self.end {
            let page_to = match self.page_to {
                Some(page_to) => page_to,
                None => self.read_page()?,
            };
            let lines = self.merge(page_to)?;
            if self.at >= page_to {
                self.page_to = None;
            }
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
        let unread = self.unread + self.month.take().map_or(0, |month| month.unread);
        if unread == 0 { Ok(None) } else { Err(Broken::Unread(unread)) }
    }

    fn read_page(&mut self) -> Result<Place, Broken> {
        let after = self.after;
        let page = self.ledger.read(|reader| whole_tasks(reader, after, PAGE as i64))?;
        let is_last = page.len() < PAGE;
        self.after = page.last().map_or(after, |whole| whole.task.id);
        let page_to = page.last().map(place).filter(|last| !is_last && *last < self.end).unwrap_or(self.end);
        let (first, end, account) = (self.at, self.end, self.account);
        let is_wanted = |whole: &WholeTask| {
            let place = place(whole);
            whole.task.account == account && place > first && place <= end
        };
        self.page = page.into_iter().filter(is_wanted).collect();
        if let Some(month) = &mut self.month {
            month.read_on()?;
        }
        self.page_to = Some(page_to);
        Ok(page_to)
    }

    /// What comes next of both, at most up to the page's end.
    fn merge(&mut self, page_to: Place) -> Result<Vec<String>, Broken> {
        let mut to = page_to;
        let mut kept = Vec::new();
        // The last place of a month is behind all of its tasks.
        let next = Month::of(if self.at.1 == i64::MAX { Millis(self.at.0.0.saturating_add(1)) } else { self.at.0 });
        if let Some(month) = self.archive.first_month(next)?.filter(|month| *month <= Month::of(page_to.0)) {
            if self.month.as_ref().is_none_or(|file| file.month != month) {
                let mut file = self.archive.month(month, self.account);
                file.read_on()?;
                self.unread += self.month.replace(file).map_or(0, |former| former.unread);
            }
            to = page_to.min(month.last_place());
            if let Some(file) = &mut self.month {
                kept = file.lines(self.at, to, PAGE)?;
            }
            if kept.len() == PAGE {
                to = kept.last().map_or(to, |(place, _)| *place);
            }
        }
        let mut lines = Vec::new();
        let mut kept = kept.into_iter().peekable();
        while let Some(whole) = self.page.pop_front_if(|whole| place(whole) <= to) {
            let here = place(&whole);
            lines.extend(std::iter::from_fn(|| kept.next_if(|(place, _)| *place < here)).map(|(_, line)| line));
            // It was kept, and has not left yet; the ledger is right.
            drop(kept.next_if(|(place, _)| *place == here));
            lines.push(serde_json::to_string(&TaskRecord::of(&whole))?);
        }
        lines.extend(kept.map(|(_, line)| line));
        self.at = to;
        Ok(lines)
    }
}

fn place(whole: &WholeTask) -> Place {
    (whole.task.started_at, whole.task.id.0)
}
