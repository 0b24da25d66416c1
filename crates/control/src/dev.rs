//! What `opencrs dev` alone has: faults on demand, and a clock that can be set forward.

use std::sync::{Arc, Mutex, PoisonError};

use flow::harness::{Moment, Point, Probe, Verdict};
use flow::{AdvancedClock, Phase};

/// Held by the context of a service that is for tests.
#[derive(Clone, Default)]
pub struct Dev {
    /// What is to go wrong.
    pub faults: Arc<Faults>,
    /// The service's clock.
    pub clock: Arc<AdvancedClock>,
}

/// Faults at steps of flows, set while the service runs. Whoever drives flows asks it at every step.
#[derive(Default)]
pub struct Faults(Mutex<Vec<StepFault>>);

/// What goes wrong at one step of a flow, whichever task comes there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StepFault {
    pub(crate) flow: &'static str,
    pub(crate) step: &'static str,
    pub(crate) phase: Phase,
    pub(crate) kind: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The step fails, so many times more.
    Fail(u64),
    /// The step does not begin.
    Hold,
}

impl Faults {
    /// Sets a fault, in place of one at the same step and phase.
    pub(crate) fn set(&self, fault: StepFault) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| (other.flow, other.step, other.phase) != (fault.flow, fault.step, fault.phase));
        all.push(fault);
    }

    /// Takes the faults away that fit.
    pub(crate) fn clear(&self, fits: impl Fn(&StepFault) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|fault| !fits(fault));
    }

    /// What is set now.
    pub(crate) fn all(&self) -> Vec<StepFault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Probe for Faults {
    fn at(&self, point: Point) -> Verdict {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = |fault: &StepFault| (fault.flow, fault.step, fault.phase) == (point.flow, point.step, point.phase);
        let Some(index) = all.iter().position(here) else { return Verdict::Go };
        match (&mut all[index].kind, point.moment) {
            (FaultKind::Hold, Moment::Before) => Verdict::Hold,
            (FaultKind::Fail(left), Moment::After) => {
                *left -= 1;
                if *left == 0 {
                    all.remove(index);
                }
                Verdict::Fail
            }
            _ => Verdict::Go,
        }
    }
}
