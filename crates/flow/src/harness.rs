//! Where tests stop, repeat or fail a flow; in production every verdict is `Go`. The harness runs every flow through
//! every fault at every step: it is a loop over the flow's list of steps, not a choice of cases.

use std::sync::Arc;

use crate::Phase;

/// When, in the life of one step, a probe is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The journal names the step as next; it has not run.
    Before,
    /// It has run; the journal does not know yet.
    After,
}

/// One place of a flow at which something may happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// The flow's name.
    pub flow: &'static str,
    /// The step's name.
    pub step: &'static str,
    /// Doing or taking back.
    pub phase: Phase,
    /// Before or after it ran.
    pub moment: Moment,
}

/// What a probe wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Go,
    /// Stop here as if the process had been killed.
    Crash,
    /// Run the step a second time (asked after it ran).
    Repeat,
    /// Treat the step as failed for good (asked after it ran).
    Fail,
    /// Lay the task aside for a moment, and ask again then (asked before it runs).
    Hold,
    /// Go on, and ask for the task's end meanwhile: whoever made the script does that, since a flow can't.
    Cancel,
}

/// Asked at every point of every flow.
pub trait Probe: Send + Sync {
    /// What is to happen at this point. A real crash point does not return.
    fn at(&self, point: Point) -> Verdict;
}

/// Nothing ever happens: production.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn at(&self, _: Point) -> Verdict {
        Verdict::Go
    }
}

/// Two probes: the second is asked where the first has nothing to say.
pub struct Both(pub Arc<dyn Probe>, pub Arc<dyn Probe>);

impl Probe for Both {
    fn at(&self, point: Point) -> Verdict {
        match self.0.at(point) {
            Verdict::Go => self.1.at(point),
            other => other,
        }
    }
}

/// One verdict at one point, the first time it is passed; and, for undoing, a failure at another.
#[derive(Debug, Default)]
pub struct Script {
    events: Vec<(Point, Verdict, std::sync::atomic::AtomicBool)>,
}

impl Script {
    /// Nothing happens yet.
    pub fn new() -> Self {
        Script::default()
    }

    /// Adds a verdict for the first time that a point is passed.
    pub fn once(mut self, point: Point, verdict: Verdict) -> Self {
        self.events.push((point, verdict, false.into()));
        self
    }

    /// Whether everything that was to happen has happened.
    pub fn is_spent(&self) -> bool {
        self.events.iter().all(|(_, _, spent)| spent.load(std::sync::atomic::Ordering::SeqCst))
    }
}

impl Probe for Script {
    fn at(&self, point: Point) -> Verdict {
        for (at, verdict, spent) in &self.events {
            if *at == point && !spent.swap(true, std::sync::atomic::Ordering::SeqCst) {
                return *verdict;
            }
        }
        Verdict::Go
    }
}

/// One run of a flow through the harness.
#[derive(Debug)]
pub struct Case {
    /// What it does, in words, for the failure message.
    pub name: String,
    /// The faults.
    pub script: Script,
    /// Whether the flow must come out as done; else as undone.
    pub ends_done: bool,
    /// Whether the task, once it is undone, is to be tried again: that must come out as done.
    pub is_retried: bool,
}

/// Every fault at every step of a flow: each step repeated; a crash before and after each; the task cancelled before and
/// after each, which past the pivot is too late; each step failed, with its undo run once, run twice, and crashed before
/// and after each undo; and the task tried again after that. Failing after the pivot is left to the caller: there the flow
/// must end stuck, which is for its own tests to judge.
pub fn every_case(flow: &'static str, steps: &[crate::StepInfo]) -> Vec<Case> {
    let point = |step: usize, phase, moment| Point { flow, step: steps[step].name, phase, moment };
    let case = |name: String, script, ends_done| Case { name, script, ends_done, is_retried: false };
    let mut cases = vec![case("undisturbed".into(), Script::new(), true)];
    for (index, step) in steps.iter().enumerate() {
        let (before, after) = (point(index, Phase::Run, Moment::Before), point(index, Phase::Run, Moment::After));
        let is_past_pivot = steps[..index].iter().any(|step| step.pivot);
        let mut one = |what: &str, at: Point, verdict, ends_done| {
            cases.push(case(format!("{what} {}", step.name), Script::new().once(at, verdict), ends_done));
        };
        one("repeat", after, Verdict::Repeat, true);
        one("crash before", before, Verdict::Crash, true);
        one("crash after", after, Verdict::Crash, true);
        one("cancel before", before, Verdict::Cancel, is_past_pivot);
        one("cancel after", after, Verdict::Cancel, is_past_pivot);
        if is_past_pivot {
            continue;
        }
        let mut undone = |what: String, script: Script| {
            cases.push(case(format!("fail {}, {what}", step.name), script, false));
        };
        undone("undo".into(), Script::new().once(after, Verdict::Fail));
        for back in (0..=index).rev() {
            let name = steps[back].name;
            for (what, moment, verdict) in [
                ("crash before undo of", Moment::Before, Verdict::Crash),
                ("crash after undo of", Moment::After, Verdict::Crash),
                ("repeat undo of", Moment::After, Verdict::Repeat),
            ] {
                let script = Script::new().once(after, Verdict::Fail).once(point(back, Phase::Undo, moment), verdict);
                undone(format!("{what} {name}"), script);
            }
        }
        let (name, script) = (format!("fail {}, undo, try again", step.name), Script::new().once(after, Verdict::Fail));
        cases.push(Case { name, script, ends_done: false, is_retried: true });
    }
    cases
}
