use futures_util::future::BoxFuture;
use model::{Millis, TaskId};
use serde::{Deserialize, Serialize};

use crate::Context;

/// A worker's right to a task: every write carries it, and one with an older fence changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which task.
    pub task: TaskId,
    /// Grows with every worker that takes the task.
    pub fence: i64,
}

/// Whether the steps are being done or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Doing the steps, first to last.
    Run,
    /// Taking back what was begun, last to first.
    Undo,
}

/// Where a task is: the step that comes next, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Doing or taking back.
    pub phase: Phase,
    /// The step, by name.
    pub step: String,
    /// When it became the next one.
    pub since: Millis,
    /// How often it has been tried without success.
    pub tries: u32,
    /// What it waits for, in words; empty before the first try has failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub waits_for: String,
    /// Since when it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_since: Option<Millis>,
    /// Why the flow is being undone: the API's code and a message. Set with `Phase::Undo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<(String, String)>,
}

impl Cursor {
    /// The cursor of a task that has just been accepted.
    pub fn start(first_step: &str, now: Millis) -> Self {
        Cursor {
            phase: Phase::Run,
            step: first_step.to_owned(),
            since: now,
            tries: 0,
            waits_for: String::new(),
            waits_since: None,
            failure: None,
        }
    }
}

/// A task in a worker's hands.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The right to it.
    pub claim: Claim,
    /// Which flow it runs.
    pub flow: String,
    /// The flow's state as JSON.
    pub state: String,
    /// Where it is.
    pub cursor: Cursor,
}

/// A step that has been passed: done, taken back, or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The step.
    pub step: String,
    /// Whether it was done or taken back.
    pub phase: Phase,
    /// When it became the next one.
    pub started_at: Millis,
    /// When it was passed.
    pub ended_at: Millis,
    /// Tries that failed before.
    pub tries: u32,
    /// Empty where all went well, else what went wrong.
    pub message: String,
}

/// How a task ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All steps are done.
    Done,
    /// Failed, and everything is as it was before.
    Undone {
        /// A code of the API.
        code: String,
        /// Why it failed.
        message: String,
    },
    /// Failed where it could go neither forth nor back. Somebody has to look at it.
    Stuck {
        /// A code of the API.
        code: String,
        /// The step that blocks, and why.
        message: String,
    },
}

/// One durable record of a flow's progress: written whole, or not at all.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The step that was passed with it; `None` when a try failed and the same step stays next.
    pub passed: Option<Passed>,
    /// The state from here on.
    pub state: String,
    /// The next step; at the end, the last one.
    pub cursor: Cursor,
    /// Steps done of all steps, 0 to 1. A journal keeps the largest that it was given, since undoing names none.
    pub progress: f64,
    /// Set with the last record.
    pub end: Option<End>,
    /// Set where the task is laid aside: when it is to be taken up again.
    pub parked_until: Option<Millis>,
    /// Whether it is refused with [`JournalError::Cancelled`] where the task is to be cancelled.
    pub can_be_cancelled: bool,
    /// When it was written.
    pub at: Millis,
}

/// Why a record was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Another worker has the task: whoever sees this must stop at once and touch nothing.
    #[error("another worker has the task")]
    Fenced,
    /// The task is to be cancelled, and nothing that can't be taken back is done yet.
    #[error("the task is to be cancelled")]
    Cancelled,
    /// The ledger can be written, but not with this: trying again changes nothing.
    #[error("the ledger rejects it: {0}")]
    Rejected(String),
    /// The ledger can't be written now: the flow pauses.
    #[error("the ledger can't be written: {0}")]
    Unavailable(String),
}

/// The durable memory of flows.
pub trait Journal<C: Context>: Send + Sync {
    /// Writes a record and `writes`, in one transaction, if the claim still holds. On return it is durable.
    fn append(&self, claim: Claim, entry: Entry, writes: Vec<C::Write>) -> BoxFuture<'_, Result<(), JournalError>>;

    /// Whether somebody wants the task cancelled. Asked several times a second while a step runs that could be undone.
    fn is_cancelled(&self, claim: Claim) -> bool;

    /// Keeps the claim alive while a step takes its time. Called every few seconds.
    fn renew(&self, claim: Claim, now: Millis) -> BoxFuture<'_, Result<(), JournalError>>;
}
