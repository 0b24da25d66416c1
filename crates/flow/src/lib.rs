//! Durable flows. A [`Flow`] is a serialisable state and a `const` list of named steps, each with its undo.
//! The [`Journal`] says durably which step is next; [`drive`] takes a task from wherever the journal says it is
//! to its end. Recovery is the same loop.
//!
//! What must stay true:
//! - A step is never run before the journal names it as the next one.
//! - What a step wants written into the ledger is written in the same transaction that records it as done.
//! - A step may run again after a crash, so it is idempotent; its undo is right whether the step ran fully,
//!   partly or never.
//! - A step that has been passed is not run again in the same attempt.

mod clock;
mod drive;
mod entry;
pub mod harness;
mod journal;
mod step;

pub use clock::{AdvancedClock, Clock, SystemClock, VirtualClock};
pub use drive::{Stopped, drive};
pub use entry::{FlowEntry, StepInfo};
pub use journal::{Claim, Claimed, Cursor, End, Entry, Journal, JournalError, Passed, Phase};
pub use step::{Context, Flow, Outcome, Step, StepError, StepFn, StepResult};
