//! Kills the server at one point of one flow, for the tests that prove that it does not matter.

use anyhow::{Context, bail};
use flow::Phase;
use flow::harness::{Moment, Point, Probe, Verdict};
use rustix::process::{Signal, getpid, kill_process};

/// The point at which the process kills itself.
pub(crate) struct CrashPoint {
    flow: String,
    step: String,
    phase: Phase,
    moment: Moment,
}

impl CrashPoint {
    /// Reads `flow/step/run|undo/before|after`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<CrashPoint> {
        let parts: Vec<&str> = text.split('/').collect();
        let [flow, step, phase, moment] = parts[..] else { bail!("a crash point is flow/step/run|undo/before|after") };
        let phase = match phase {
            "run" => Phase::Run,
            "undo" => Phase::Undo,
            _ => bail!("a phase is run or undo"),
        };
        let moment = match moment {
            "before" => Moment::Before,
            "after" => Moment::After,
            _ => bail!("a moment is before or after"),
        };
        Ok(CrashPoint { flow: flow.into(), step: step.into(), phase, moment })
    }
}

impl Probe for CrashPoint {
    fn at(&self, point: Point) -> Verdict {
        let is_here = point.flow == self.flow && point.step == self.step;
        if is_here && point.phase == self.phase && point.moment == self.moment {
            // SIGKILL to oneself: nothing is flushed, dropped or answered, as with any other kill -9.
            let killed = kill_process(getpid(), Signal::KILL).context("kill this process");
            tracing::error!(?killed, "the crash point was passed alive");
        }
        Verdict::Go
    }
}
