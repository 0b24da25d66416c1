use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use model::Millis;

use crate::harness::{Moment, Point, Probe, Verdict};
use crate::{
    Claimed, Context, Cursor, End, Entry, FlowEntry, Journal, JournalError, Outcome, Passed, Phase, StepError,
    StepInfo, StepResult,
};

/// The first pause after a step asked to be tried again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Pause before a record that could not be written is tried again.
const LEDGER_PAUSE: Duration = Duration::from_millis(500);
/// How often a claim is renewed while a step runs; leases are several times as long.
const RENEW_EVERY: Duration = Duration::from_secs(3);

/// Why a flow was left before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Another worker has the task now.
    #[error("another worker has the task")]
    Fenced,
    /// The journal names a step that this binary does not have.
    #[error("the journal names a step that this flow does not have")]
    UnknownStep,
    /// The harness stopped it, as a crash would.
    #[error("crashed by the harness")]
    Crashed,
}

/// Takes a task from where its journal says it is to its end.
pub async fn drive<C: Context>(
    flow: &FlowEntry<C>,
    cx: &C,
    journal: &dyn Journal<C>,
    probe: &dyn Probe,
    claimed: Claimed,
) -> Result<End, Stopped> {
    let taken_at = cx.clock().now();
    Driver { flow, cx, journal, probe, steps: flow.steps(), taken_at, claimed }.run().await
}

struct Driver<'a, C: Context> {
    flow: &'a FlowEntry<C>,
    cx: &'a C,
    journal: &'a dyn Journal<C>,
    probe: &'a dyn Probe,
    steps: Vec<StepInfo>,
    /// When this worker took the task: a step's deadline never counts the time in which nobody worked on it.
    taken_at: Millis,
    claimed: Claimed,
}

/// Where one record leads.
enum Next {
    Step(Cursor),
    End(End),
}

impl<C: Context> Driver<'_, C> {
    async fn run(mut self) -> Result<End, Stopped> {
        loop {
            let cursor = self.claimed.cursor.clone();
            let index = self.steps.iter().position(|step| step.name == cursor.step).ok_or(Stopped::UnknownStep)?;
            let result = self.attempt(index, cursor.phase).await?;
            let now = self.cx.clock().now();
            let (passed, next, write) = match result {
                Ok(write) => {
                    (Some(self.passed(&cursor, now, String::new())), self.after_success(index, &cursor, now), write)
                }
                Err(error) => {
                    // What a failed try changed of the state is kept: an undo may need it.
                    let (passed, next) = self.after_failure(index, &cursor, now, &error);
                    (passed, next, None)
                }
            };
            let tried_in_vain = passed.is_none();
            match next {
                Next::Step(next) => {
                    let pause = pause_after(next.tries);
                    if let Some(end) = self.record(passed, next, None, write, now).await? {
                        return Ok(end);
                    }
                    if tried_in_vain {
                        self.cx.clock().sleep(pause).await;
                    }
                }
                Next::End(end) => {
                    let ended = self.record(passed, cursor, Some(end.clone()), write, now).await?;
                    return Ok(ended.unwrap_or(end));
                }
            }
        }
    }

    /// Runs a step, or its undo, once, within what is left of its deadline, renewing the claim meanwhile.
    async fn attempt(&mut self, index: usize, phase: Phase) -> Result<StepResult<C>, Stopped> {
        let step = self.steps[index];
        let point = |moment| Point { flow: self.flow.name, step: step.name, phase, moment };
        let undo = phase == Phase::Undo;
        let now = self.cx.clock().now();
        let began = self.began(&self.claimed.cursor, now);
        let left = step.deadline.saturating_sub(now.since(began)).max(Duration::from_millis(100));
        if self.probe.at(point(Moment::Before)) == Verdict::Crash {
            return Err(Stopped::Crashed);
        }
        let late = late(step.deadline, &self.claimed.cursor.waits_for);
        let (cx, flow, journal, claim) = (self.cx, self.flow, self.journal, self.claimed.claim);
        let mut state = self.claimed.state.clone();
        let mut result =
            attempt_within(cx, journal, claim, (left, &late), flow.run(cx, index, undo, &mut state)).await?;
        match self.probe.at(point(Moment::After)) {
            Verdict::Go => {}
            Verdict::Crash => return Err(Stopped::Crashed),
            Verdict::Repeat => {
                result =
                    attempt_within(cx, journal, claim, (left, &late), flow.run(cx, index, undo, &mut state)).await?;
            }
            Verdict::Fail => {
                result = Err(StepError::Fail { code: "InternalError".into(), message: "failed by the harness".into() });
            }
        }
        self.claimed.state = state;
        Ok(result)
    }

    /// From when a step's deadline counts: never before this worker took the task, and never in the future, where a
    /// clock that was set back may put it.
    fn began(&self, cursor: &Cursor, now: Millis) -> Millis {
        cursor.since.max(self.taken_at).min(now)
    }

    fn passed(&self, cursor: &Cursor, now: Millis, message: String) -> Passed {
        let (step, phase, tries) = (cursor.step.clone(), cursor.phase, cursor.tries);
        Passed { step, phase, started_at: cursor.since, ended_at: now, tries, message }
    }

    fn after_success(&self, index: usize, cursor: &Cursor, now: Millis) -> Next {
        let step_to = |index: usize| Cursor {
            step: self.steps[index].name.to_owned(),
            since: now,
            tries: 0,
            waits_for: String::new(),
            ..cursor.clone()
        };
        match cursor.phase {
            Phase::Run if index + 1 < self.steps.len() => Next::Step(step_to(index + 1)),
            Phase::Run => Next::End(End::Done),
            Phase::Undo if index > 0 => Next::Step(step_to(index - 1)),
            Phase::Undo => {
                let (code, message) = cursor.failure.clone().unwrap_or_default();
                Next::End(End::Undone { code, message })
            }
        }
    }

    fn after_failure(&self, index: usize, cursor: &Cursor, now: Millis, error: &StepError) -> (Option<Passed>, Next) {
        let began = self.began(cursor, now);
        let expired = now.since(began) >= self.steps[index].deadline;
        let past_pivot = self.steps[..index].iter().any(|step| step.pivot);
        let final_now = match (cursor.phase, error) {
            (Phase::Run, StepError::Fail { .. }) if !past_pivot => true,
            _ => expired,
        };
        let (code, why) = match error {
            StepError::Fail { code, message } => (code.clone(), message.clone()),
            StepError::Retry(why) => ("FailedOperation.SystemError".to_owned(), why.clone()),
        };
        if !final_now {
            return (None, Next::Step(Cursor { tries: cursor.tries + 1, waits_for: why, ..cursor.clone() }));
        }
        let passed = Some(self.passed(cursor, now, why.clone()));
        let step = &cursor.step;
        let next = match cursor.phase {
            Phase::Run if !past_pivot => Next::Step(Cursor {
                phase: Phase::Undo,
                step: step.clone(),
                since: now,
                tries: 0,
                waits_for: String::new(),
                failure: Some((code, why)),
            }),
            Phase::Run => Next::End(End::Stuck { code, message: format!("stuck in step {step}: {why}") }),
            Phase::Undo => {
                let (code, first) = cursor.failure.clone().unwrap_or_default();
                Next::End(End::Stuck { code, message: format!("{first}; then stuck taking back step {step}: {why}") })
            }
        };
        (passed, next)
    }

    /// Writes one record durably; goes on trying while the ledger can't be written. What it will never take ends the task
    /// as stuck. Answers the end, where the task is at it.
    async fn record(
        &mut self,
        passed: Option<Passed>,
        cursor: Cursor,
        end: Option<End>,
        write: Outcome<C>,
        at: Millis,
    ) -> Result<Option<End>, Stopped> {
        let turns = self.claimed.cursor.phase == Phase::Run && cursor.phase == Phase::Undo;
        let settled = match &end {
            Some(end) => self.flow.settle(&self.claimed.state, end, at),
            None if turns => self.flow.turn(&self.claimed.state),
            None => Ok(None),
        };
        let settled = settled.unwrap_or_else(|error| {
            tracing::error!(task = %self.claimed.claim.task, %error, "a flow's state can't be read");
            None
        });
        let progress = self.progress(&cursor, end.as_ref());
        let mut writes: Vec<C::Write> = write.into_iter().chain(settled).collect();
        let begins_another = passed.is_some();
        let mut entry = Entry { passed, state: self.claimed.state.clone(), cursor, progress, end, at };
        loop {
            // The lease, and the time of the next step, count from when the record can be written.
            entry.at = self.cx.clock().now();
            if begins_another {
                entry.cursor.since = entry.at;
            }
            match self.journal.append(self.claimed.claim, entry.clone(), writes.clone()).await {
                Ok(()) => break,
                Err(JournalError::Fenced) => return Err(Stopped::Fenced),
                Err(JournalError::Rejected(why)) if !writes.is_empty() => {
                    tracing::error!(task = %self.claimed.claim.task, why, "the ledger rejects what a flow wants written");
                    let message = format!("stuck after step {}: the ledger rejects what it wrote", entry.cursor.step);
                    entry.end = Some(End::Stuck { code: "InternalError".into(), message });
                    writes.clear();
                }
                Err(JournalError::Rejected(why) | JournalError::Unavailable(why)) => {
                    tracing::warn!(task = %self.claimed.claim.task, why, "a flow waits for the ledger");
                    self.cx.clock().sleep(LEDGER_PAUSE).await;
                }
            }
        }
        self.claimed.cursor = entry.cursor;
        Ok(entry.end)
    }

    /// Steps done of all steps; nothing while undoing.
    fn progress(&self, next: &Cursor, end: Option<&End>) -> f64 {
        if end == Some(&End::Done) {
            return 1.0;
        }
        let done = self.steps.iter().position(|step| step.name == next.step).unwrap_or(0);
        match next.phase {
            Phase::Run => done as f64 / self.steps.len() as f64,
            Phase::Undo => 0.0,
        }
    }
}

/// Tried once, within `left`, and else `late`; the claim is renewed meanwhile, and losing it stops the step where it is.
async fn attempt_within<C: Context>(
    cx: &C,
    journal: &dyn Journal<C>,
    claim: crate::Claim,
    (left, late): (Duration, &str),
    step: impl Future<Output = StepResult<C>>,
) -> Result<StepResult<C>, Stopped> {
    // A panic fails the step: were it let through, every worker that takes the task would die of it in turn.
    let mut step = std::pin::pin!(AssertUnwindSafe(step).catch_unwind());
    let mut deadline = cx.clock().sleep(left);
    loop {
        tokio::select! {
            biased;
            result = &mut step => return Ok(result.unwrap_or_else(|_| Err(panicked()))),
            () = &mut deadline => {
                return Ok(Err(StepError::Retry(late.to_owned())));
            }
            () = cx.clock().sleep(RENEW_EVERY) => match journal.renew(claim, cx.clock().now()).await {
                Err(JournalError::Fenced) => return Err(Stopped::Fenced),
                // The lease may run out; then another worker takes over and the next write is fenced off.
                Err(JournalError::Unavailable(_) | JournalError::Rejected(_)) | Ok(()) => {}
            },
        }
    }
}

/// What is said of a step that its deadline cut short: what it was waiting for is worth more than that it did.
fn late(deadline: Duration, waits_for: &str) -> String {
    let seconds = deadline.as_secs();
    if waits_for.is_empty() {
        format!("not done within {seconds} s")
    } else {
        format!("{waits_for}; not done within {seconds} s")
    }
}

fn panicked() -> StepError {
    StepError::Fail { code: "InternalError".into(), message: "the step panicked; the server's log says where".into() }
}

fn pause_after(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
