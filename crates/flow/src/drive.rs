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
/// How often it is asked whether a running step's task is to be cancelled.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How long a task that a probe holds is laid aside before the probe is asked again.
const HOLD_FOR: Duration = Duration::from_millis(200);

/// Why a flow was left before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// Another worker has the task now.
    #[error("another worker has the task")]
    Fenced,
    /// The journal names a step that this binary does not have.
    #[error("the journal names a step that this flow does not have")]
    UnknownStep,
    /// The task is laid aside until its moment has come.
    #[error("laid aside")]
    Parked,
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
    let began = cx.clock().passed();
    Driver { flow, cx, journal, probe, steps: flow.steps(), began, claimed }.run().await
}

struct Driver<'a, C: Context> {
    flow: &'a FlowEntry<C>,
    cx: &'a C,
    journal: &'a dyn Journal<C>,
    probe: &'a dyn Probe,
    steps: Vec<StepInfo>,
    /// When this worker took up the step that is next, by the clock that only passes: a step's deadline never counts the
    /// time in which nobody worked on it.
    began: Duration,
    claimed: Claimed,
}

/// Where one record leads.
enum Next {
    Step(Cursor),
    Park(Cursor, Millis),
    End(End),
}

/// What became of a record.
enum Recorded {
    /// It is written.
    Written,
    /// The task is at its end.
    Ended(End),
    /// It is not written: the task is to be cancelled instead.
    Cancelled,
}

impl<C: Context> Driver<'_, C> {
    async fn run(mut self) -> Result<End, Stopped> {
        loop {
            let cursor = self.claimed.cursor.clone();
            let index = self.steps.iter().position(|step| step.name == cursor.step).ok_or(Stopped::UnknownStep)?;
            let result = self.attempt(index, cursor.phase).await?;
            let mut recorded = self.pass(index, &cursor, result).await?;
            if matches!(recorded, Recorded::Cancelled) {
                recorded = self.pass(index, &cursor, Err(cancelled())).await?;
            }
            if let Recorded::Ended(end) = recorded {
                return Ok(end);
            }
        }
    }

    /// Records how an attempt ended, and pauses where it is to be followed by another one.
    async fn pass(&mut self, index: usize, cursor: &Cursor, result: StepResult<C>) -> Result<Recorded, Stopped> {
        let now = self.cx.clock().now();
        let (passed, next, write) = match result {
            Ok(write) => (Some(self.passed(cursor, now, String::new())), self.after_success(index, cursor, now), write),
            Err(error) => {
                // What a failed try changed of the state is kept: an undo may need it.
                let (passed, next) = self.after_failure(index, cursor, now, &error);
                (passed, next, None)
            }
        };
        let in_vain = passed.is_none();
        let can_be_cancelled = cursor.phase == Phase::Run && !self.is_past_pivot(index);
        let entry = |cursor: Cursor| Entry {
            passed,
            state: self.claimed.state.clone(),
            cursor,
            progress: 0.0,
            end: None,
            parked_until: None,
            can_be_cancelled,
            at: now,
        };
        match next {
            Next::Step(next) => {
                let pause = pause_after(next.tries);
                let turns = next.phase != cursor.phase;
                let entry = Entry { can_be_cancelled: can_be_cancelled && !turns, ..entry(next) };
                let recorded = self.record(entry, write).await?;
                if in_vain && matches!(recorded, Recorded::Written) {
                    self.cx.clock().sleep(pause).await;
                }
                Ok(recorded)
            }
            Next::Park(next, until) => {
                let entry = Entry { parked_until: Some(until), ..entry(next) };
                match self.record(entry, write).await? {
                    Recorded::Written => Err(Stopped::Parked),
                    other => Ok(other),
                }
            }
            Next::End(end) => self.record(Entry { end: Some(end), ..entry(cursor.clone()) }, write).await,
        }
    }

    fn is_past_pivot(&self, index: usize) -> bool {
        self.steps[..index].iter().any(|step| step.pivot)
    }

    /// Runs a step, or its undo, once, within what is left of its deadline, renewing the claim meanwhile.
    async fn attempt(&mut self, index: usize, phase: Phase) -> Result<StepResult<C>, Stopped> {
        let step = self.steps[index];
        let point = |moment| Point { flow: self.flow.name, step: step.name, phase, moment };
        let undo = phase == Phase::Undo;
        let left = step.deadline.saturating_sub(self.tried_for()).max(Duration::from_millis(100));
        match self.probe.at(point(Moment::Before)) {
            Verdict::Crash => return Err(Stopped::Crashed),
            Verdict::Hold => return Ok(Err(self.held())),
            _ => {}
        }
        let late = late(step.deadline, &self.claimed.cursor.waits_for);
        let can_cancel = !undo && !self.is_past_pivot(index);
        let (cx, flow, journal, claim) = (self.cx, self.flow, self.journal, self.claimed.claim);
        let within = Within { left, late: &late, can_cancel };
        let mut state = self.claimed.state.clone();
        let mut result = attempt_within(cx, journal, claim, &within, flow.run(cx, index, undo, &mut state)).await?;
        match self.probe.at(point(Moment::After)) {
            Verdict::Go | Verdict::Hold | Verdict::Cancel => {}
            Verdict::Crash => return Err(Stopped::Crashed),
            Verdict::Repeat => {
                result = attempt_within(cx, journal, claim, &within, flow.run(cx, index, undo, &mut state)).await?;
            }
            Verdict::Fail => {
                let message = "failed by a fault that was set".into();
                result = Err(StepError::Fail { code: "InternalError".into(), message });
            }
        }
        self.claimed.state = state;
        Ok(result)
    }

    fn tried_for(&self) -> Duration {
        self.cx.clock().passed().saturating_sub(self.began)
    }

    fn held(&self) -> StepError {
        StepError::Park { until: self.cx.clock().now() + HOLD_FOR, why: "held by a fault that was set".into() }
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
            waits_since: None,
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
        let waiting = |why: &str| Cursor {
            waits_since: if cursor.waits_for == why { cursor.waits_since } else { Some(now) },
            waits_for: why.to_owned(),
            ..cursor.clone()
        };
        let expired = self.tried_for() >= self.steps[index].deadline;
        let past_pivot = self.is_past_pivot(index);
        let final_now = match (cursor.phase, error) {
            (Phase::Run, StepError::Fail { .. }) if !past_pivot => true,
            (Phase::Run, StepError::Vain { .. }) => true,
            _ => expired,
        };
        let (code, why) = match error {
            StepError::Fail { code, message } | StepError::Vain { code, message } => (code.clone(), message.clone()),
            StepError::Retry(why) => ("FailedOperation.SystemError".to_owned(), why.clone()),
            StepError::Park { until, why } => return (None, Next::Park(waiting(why), *until)),
        };
        if !final_now {
            return (None, Next::Step(Cursor { tries: cursor.tries + 1, ..waiting(&why) }));
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
                waits_since: None,
                failure: Some((code, why)),
            }),
            Phase::Run if matches!(error, StepError::Vain { .. }) => Next::End(End::Undone { code, message: why }),
            Phase::Run => Next::End(End::Stuck { code, message: format!("stuck in step {step}: {why}") }),
            Phase::Undo => {
                let (code, first) = cursor.failure.clone().unwrap_or_default();
                Next::End(End::Stuck { code, message: format!("{first}; then stuck taking back step {step}: {why}") })
            }
        };
        (passed, next)
    }

    /// Writes one record durably; goes on trying while the ledger can't be written. What it will never take ends the task
    /// as stuck.
    async fn record(&mut self, mut entry: Entry, write: Outcome<C>) -> Result<Recorded, Stopped> {
        let turns = self.claimed.cursor.phase == Phase::Run && entry.cursor.phase == Phase::Undo;
        let settled = match &entry.end {
            Some(end) => self.flow.settle(&self.claimed.state, end, entry.at),
            None if turns => self.flow.turn(&self.claimed.state),
            None => Ok(None),
        };
        let settled = settled.unwrap_or_else(|error| {
            tracing::error!(task = %self.claimed.claim.task, %error, "a flow's state can't be read");
            None
        });
        entry.progress = self.progress(&entry.cursor, entry.end.as_ref());
        let mut writes: Vec<C::Write> = write.into_iter().chain(settled).collect();
        let begins_another = entry.passed.is_some();
        loop {
            // The lease, and the time of the next step, count from when the record can be written.
            entry.at = self.cx.clock().now();
            if begins_another {
                entry.cursor.since = entry.at;
            }
            match self.journal.append(self.claimed.claim, entry.clone(), writes.clone()).await {
                Ok(()) => break,
                Err(JournalError::Fenced) => return Err(Stopped::Fenced),
                Err(JournalError::Cancelled) => return Ok(Recorded::Cancelled),
                Err(JournalError::Rejected(why)) if !writes.is_empty() => {
                    tracing::error!(task = %self.claimed.claim.task, why, "the ledger rejects what a flow wants written");
                    // What the step wrote is not there, so it is not passed: tried again, the task goes on with it.
                    entry.cursor = self.claimed.cursor.clone();
                    if let Some(passed) = &mut entry.passed {
                        passed.message = "the ledger rejects what it wrote".into();
                    }
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
        if begins_another {
            self.began = self.cx.clock().passed();
        }
        self.claimed.cursor = entry.cursor;
        Ok(entry.end.map_or(Recorded::Written, Recorded::Ended))
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

/// What an attempt is bounded by.
struct Within<'a> {
    left: Duration,
    /// What is said where it takes longer.
    late: &'a str,
    can_cancel: bool,
}

/// Tried once, within its bounds; the claim is renewed meanwhile, and losing it stops the step where it is.
async fn attempt_within<C: Context>(
    cx: &C,
    journal: &dyn Journal<C>,
    claim: crate::Claim,
    within: &Within<'_>,
    step: impl Future<Output = StepResult<C>>,
) -> Result<StepResult<C>, Stopped> {
    if within.can_cancel && journal.is_cancelled(claim) {
        return Ok(Err(cancelled()));
    }
    // A panic fails the step: were it let through, every worker that takes the task would die of it in turn.
    let mut step = std::pin::pin!(AssertUnwindSafe(step).catch_unwind());
    let mut deadline = cx.clock().sleep(within.left);
    let mut renewal = cx.clock().sleep(RENEW_EVERY);
    loop {
        tokio::select! {
            biased;
            result = &mut step => return Ok(result.unwrap_or_else(|_| Err(panicked()))),
            () = &mut deadline => {
                return Ok(Err(StepError::Retry(within.late.to_owned())));
            }
            () = &mut renewal => {
                // Else the lease may run out; then another worker takes over and the next write is fenced off.
                if journal.renew(claim, cx.clock().now()).await == Err(JournalError::Fenced) {
                    return Err(Stopped::Fenced);
                }
                renewal = cx.clock().sleep(RENEW_EVERY);
            }
            () = cx.clock().sleep(ASK_EVERY), if within.can_cancel => {
                if journal.is_cancelled(claim) {
                    return Ok(Err(cancelled()));
                }
            }
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

fn cancelled() -> StepError {
    let message = "the task was cancelled; everything is as it was before".into();
    StepError::Fail { code: "FailedOperation".into(), message }
}

fn panicked() -> StepError {
    StepError::Fail { code: "InternalError".into(), message: "the step panicked; the server's log says where".into() }
}

fn pause_after(tries: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
