use futures_util::future::BoxFuture;
use model::Millis;
use std::time::Duration;

use crate::{Context, End, Flow, Outcome, StepError, StepResult};

/// What the list of a flow's steps tells of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepInfo {
    /// As the journal keeps it.
    pub name: &'static str,
    /// Whether it has an undo.
    pub can_undo: bool,
    /// Whether it is the point of no return.
    pub pivot: bool,
    /// How long it is tried.
    pub deadline: Duration,
    /// What it waits for while all goes well.
    pub waits_for: &'static str,
}

type RunFn<C> = for<'a> fn(&'a C, usize, bool, &'a mut String) -> BoxFuture<'a, StepResult<C>>;

/// A flow without its type, as a row of the table of flows. Its state is JSON text.
pub struct FlowEntry<C: Context> {
    /// As the journal keeps it.
    pub name: &'static str,
    steps: fn() -> Vec<StepInfo>,
    run: RunFn<C>,
    begin: fn(&str) -> Result<Outcome<C>, serde_json::Error>,
    turn: fn(&str) -> Result<Outcome<C>, serde_json::Error>,
    settle: fn(&str, &End, Millis) -> Result<Outcome<C>, serde_json::Error>,
}

impl<C: Context> FlowEntry<C> {
    /// The row of a flow.
    pub const fn of<F: Flow<Cx = C>>() -> Self {
        FlowEntry {
            name: F::NAME,
            steps: || {
                F::STEPS
                    .iter()
                    .map(|step| StepInfo {
                        name: step.name,
                        can_undo: step.undo.is_some(),
                        pivot: step.pivot,
                        deadline: step.deadline,
                        waits_for: step.waits_for,
                    })
                    .collect()
            },
            run: |cx, index, undo, state| {
                Box::pin(async move {
                    let mut flow: F = serde_json::from_str(state).map_err(unreadable)?;
                    let step = &F::STEPS[index];
                    let result = match (undo, step.undo) {
                        (false, _) => (step.run)(cx, &mut flow).await,
                        (true, Some(undo)) => undo(cx, &mut flow).await,
                        (true, None) => Ok(None),
                    };
                    *state = serde_json::to_string(&flow).map_err(unreadable)?;
                    result
                })
            },
            begin: |state| Ok(serde_json::from_str::<F>(state)?.begin()),
            turn: |state| Ok(serde_json::from_str::<F>(state)?.turn()),
            settle: |state, end, now| Ok(serde_json::from_str::<F>(state)?.settle(end, now)),
        }
    }

    /// Its steps, in order.
    pub fn steps(&self) -> Vec<StepInfo> {
        (self.steps)()
    }

    /// What is written when a flow of this state begins.
    ///
    /// # Errors
    /// Where the state is not this flow's.
    pub fn begin(&self, state: &str) -> Result<Outcome<C>, serde_json::Error> {
        (self.begin)(state)
    }

    /// Whether a task that is at this step can still be cancelled: nothing that can't be taken back is done.
    pub fn can_cancel_at(&self, step: &str) -> bool {
        !self.steps().iter().take_while(|other| other.name != step).any(|other| other.pivot)
    }

    pub(crate) async fn run(&self, cx: &C, index: usize, undo: bool, state: &mut String) -> StepResult<C> {
        (self.run)(cx, index, undo, state).await
    }

    pub(crate) fn turn(&self, state: &str) -> Result<Outcome<C>, serde_json::Error> {
        (self.turn)(state)
    }

    pub(crate) fn settle(&self, state: &str, end: &End, now: Millis) -> Result<Outcome<C>, serde_json::Error> {
        (self.settle)(state, end, now)
    }
}

fn unreadable(error: serde_json::Error) -> StepError {
    StepError::Fail { code: "InternalError".into(), message: format!("the flow's saved state can't be read: {error}") }
}
