use std::time::Duration;

use futures_util::future::BoxFuture;
use model::Millis;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Clock, End};

/// What steps act through.
pub trait Context: Send + Sync + 'static {
    /// Something to be written into the ledger, in the transaction that records a step.
    /// It may be carried out more than once before one of the tries is durable.
    type Write: Clone + Send + Sync + 'static;

    /// The clock of this world.
    fn clock(&self) -> &dyn Clock;
}

/// What a step wants written along with its being done; `None` where it changes nothing there.
pub type Outcome<C> = Option<<C as Context>::Write>;

/// How a step ends.
pub type StepResult<C> = Result<Outcome<C>, StepError>;

/// Why a step did not do what it is for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// It may work later: tried again, with growing pauses, until the step's deadline.
    #[error("{0}")]
    Retry(String),
    /// It will not work: undone before the pivot, tried until the deadline after it.
    #[error("{message}")]
    Fail {
        /// A code of the API, for programs.
        code: String,
        /// For the person who reads the task's message.
        message: String,
    },
    /// It did not work, and past the pivot everything is as it was before all the same: there the task ends as failed, at
    /// once. Before the pivot it is as [`Fail`](Self::Fail).
    #[error("{message}")]
    Vain {
        /// A code of the API, for programs.
        code: String,
        /// For the person who reads the task's message.
        message: String,
    },
    /// Its moment has not come: the task is laid aside until then, or until somebody wakes it, and the time in between
    /// counts for no deadline.
    #[error("{why}")]
    Park {
        /// When it is to be taken up again.
        until: Millis,
        /// What it waits for.
        why: String,
    },
}

/// The function of a step, or of its undo. It may change the state; the change is saved with the record.
pub type StepFn<C, S> = for<'a> fn(&'a C, &'a mut S) -> BoxFuture<'a, StepResult<C>>;

/// One named step of a flow. The name is what the journal keeps: it is never changed or reused.
pub struct Step<C: Context, S> {
    /// Unique within the flow.
    pub name: &'static str,
    /// Does it.
    pub run: StepFn<C, S>,
    /// Takes it back, whether it ran fully, partly or never.
    pub undo: Option<StepFn<C, S>>,
    /// Once this step is done, nothing is undone any more.
    pub pivot: bool,
    /// How long the step, or its undo, is tried by one worker.
    pub deadline: Duration,
    /// What the step waits for while all goes well; empty where it waits for nothing.
    pub waits_for: &'static str,
}

/// A durable change. The value is what the flow remembers between its steps.
pub trait Flow: Serialize + DeserializeOwned + Send + 'static {
    /// What its steps act through.
    type Cx: Context;
    /// What the journal keeps: never changed or reused.
    const NAME: &'static str;
    /// In order.
    const STEPS: &'static [Step<Self::Cx, Self>];

    /// What is written when the flow is accepted, and again when one that was undone is tried again: what is wanted from
    /// now on.
    fn begin(&self) -> Outcome<Self::Cx> {
        None
    }

    /// What is written in the record that turns the flow round, before anything is taken back: what is wanted is made
    /// again what it was. The undo of each step then only brings the world to what the ledger wants, as its run did.
    fn turn(&self) -> Outcome<Self::Cx> {
        None
    }

    /// What is written in the record that ends the task: the instance's status, most of all.
    fn settle(&self, end: &End, now: Millis) -> Outcome<Self::Cx>;
}

/// Writes a list of steps: `steps![start_nodes undo remove_nodes within 30 "nodes to serve", flush as pivot, report]`.
/// `within` is the deadline in seconds, 60 where it is not given; the text says what the step waits for.
#[macro_export]
macro_rules! steps {
    ($($run:ident $(undo $undo:ident)? $(as $pivot:ident)? $(within $secs:literal $($waits:literal)?)?),+ $(,)?) => {
        &[$($crate::Step {
            name: stringify!($run),
            run: |cx, state| Box::pin($run(cx, state)),
            undo: $crate::steps!(@undo $($undo)?),
            pivot: $crate::steps!(@pivot $($pivot)?),
            deadline: ::std::time::Duration::from_secs($crate::steps!(@secs $($secs)?)),
            waits_for: $crate::steps!(@waits $($($waits)?)?),
        }),+]
    };
    (@undo) => { None };
    (@undo $undo:ident) => { Some(|cx, state| Box::pin($undo(cx, state))) };
    (@pivot) => { false };
    (@pivot pivot) => { true };
    (@waits) => { "" };
    (@waits $waits:literal) => { $waits };
    (@secs) => { 60 };
    (@secs $secs:literal) => { $secs };
}
