//! The engine against a small world: two lamps and a door, and a journal in memory.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use model::{Millis, TaskId};
use serde::{Deserialize, Serialize};

use crate::harness::{Moment, NoProbe, Point, Probe, Script, Verdict, every_case};
use crate::*;

#[derive(Default)]
struct Things {
    left: bool,
    right: bool,
    door_opened: u32,
    /// Fails that many tries of `light_right`.
    stubborn: u32,
    panics: bool,
    /// Has `report` say that all was in vain.
    in_vain: bool,
    /// The same of `light_right`, which is before the pivot.
    in_vain_before: bool,
}

#[derive(Default)]
struct Book {
    fence: i64,
    cursor: Option<Cursor>,
    state: String,
    passed: Vec<Passed>,
    progress: f64,
    end: Option<End>,
    notes: Vec<&'static str>,
    unavailable: u32,
    rejects: Option<&'static str>,
    cancelled: bool,
}

#[derive(Clone)]
struct World {
    things: Arc<Mutex<Things>>,
    book: Arc<Mutex<Book>>,
    clock: VirtualClock,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::starting_at(Millis(1_000_000));
        World { things: Arc::default(), book: Arc::default(), clock }
    }

    /// Takes the task from the journal, as a worker does after a start.
    fn claim<F: Flow<Cx = World> + Default>(&self) -> Claimed {
        let mut book = self.book.lock().unwrap();
        book.fence += 1;
        let first = Cursor::start(F::STEPS[0].name, self.clock.now());
        let cursor = book.cursor.get_or_insert(first).clone();
        if book.state.is_empty() {
            book.state = serde_json::to_string(&F::default()).unwrap();
        }
        let claim = Claim { task: TaskId(1), fence: book.fence };
        Claimed { claim, flow: F::NAME.into(), state: book.state.clone(), cursor }
    }

    /// Opens the task again, as it was at its beginning.
    fn reopen<F: Flow<Cx = World> + Default>(&self) {
        let mut book = self.book.lock().unwrap();
        let (fence, notes) = (book.fence, std::mem::take(&mut book.notes));
        let state = serde_json::to_string(&F::default()).unwrap();
        *book = Book { fence, notes, state, ..Book::default() };
    }

    /// Drives to the end, taking the task again after each crash.
    async fn run<F: Flow<Cx = World> + Default>(&self, probe: &dyn Probe) -> End {
        let entry = FlowEntry::of::<F>();
        loop {
            match drive(&entry, self, self, probe, self.claim::<F>()).await {
                Ok(end) => return end,
                Err(Stopped::Crashed) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

impl Context for World {
    type Write = &'static str;
    fn clock(&self) -> &dyn Clock {
        &self.clock
    }
}

impl Journal<World> for World {
    fn append(&self, claim: Claim, entry: Entry, writes: Vec<&'static str>) -> BoxFuture<'_, Result<(), JournalError>> {
        Box::pin(async move {
            let mut book = self.book.lock().unwrap();
            if book.unavailable > 0 {
                book.unavailable -= 1;
                return Err(JournalError::Unavailable("disk full".into()));
            }
            if writes.iter().any(|write| book.rejects == Some(*write)) {
                return Err(JournalError::Rejected("as asked".into()));
            }
            if book.fence != claim.fence {
                return Err(JournalError::Fenced);
            }
            assert!(book.end.is_none(), "nothing is written after the end");
            if book.cancelled && entry.can_be_cancelled {
                return Err(JournalError::Cancelled);
            }
            book.progress = book.progress.max(entry.progress);
            book.cursor = Some(entry.cursor);
            book.state = entry.state;
            book.passed.extend(entry.passed);
            book.end = entry.end;
            book.notes.extend(writes);
            Ok(())
        })
    }

    fn is_cancelled(&self, _: Claim) -> bool {
        self.book.lock().unwrap().cancelled
    }

    fn renew(&self, claim: Claim, _: Millis) -> BoxFuture<'_, Result<(), JournalError>> {
        let held = self.book.lock().unwrap().fence == claim.fence;
        Box::pin(async move { if held { Ok(()) } else { Err(JournalError::Fenced) } })
    }
}

/// A script whose cancellations reach the book.
struct Asking<'a>(&'a Script, Arc<Mutex<Book>>);

impl Probe for Asking<'_> {
    fn at(&self, point: Point) -> Verdict {
        let verdict = self.0.at(point);
        if verdict == Verdict::Cancel {
            self.1.lock().unwrap().cancelled = true;
        }
        verdict
    }
}

#[derive(Default, Serialize, Deserialize)]
struct Evening {
    lit: u32,
}

impl Flow for Evening {
    type Cx = World;
    const NAME: &'static str = "evening";
    const STEPS: &'static [Step<World, Self>] = steps![light_left undo darken_left, light_right undo darken_right within 30, open_door as pivot, report within 5];
    fn turn(&self) -> Outcome<World> {
        Some("turned")
    }
    fn settle(&self, end: &End, _: Millis) -> Outcome<World> {
        Some(match end {
            End::Done => "done",
            End::Undone { .. } => "undone",
            End::Stuck { .. } => "stuck",
        })
    }
}

async fn light_left(cx: &World, flow: &mut Evening) -> StepResult<World> {
    cx.things.lock().unwrap().left = true;
    flow.lit = 1;
    Ok(Some("left is lit"))
}

async fn darken_left(cx: &World, _: &mut Evening) -> StepResult<World> {
    cx.things.lock().unwrap().left = false;
    Ok(None)
}

async fn light_right(cx: &World, flow: &mut Evening) -> StepResult<World> {
    let mut things = cx.things.lock().unwrap();
    assert!(!things.panics, "as asked");
    if things.in_vain_before {
        return Err(vain());
    }
    if things.stubborn > 0 {
        things.stubborn -= 1;
        return Err(StepError::Retry("the lamp is cold".into()));
    }
    things.right = true;
    flow.lit = 2;
    Ok(None)
}

async fn darken_right(cx: &World, _: &mut Evening) -> StepResult<World> {
    cx.things.lock().unwrap().right = false;
    Ok(None)
}

async fn open_door(cx: &World, _: &mut Evening) -> StepResult<World> {
    cx.things.lock().unwrap().door_opened += 1;
    Ok(None)
}

async fn report(cx: &World, _: &mut Evening) -> StepResult<World> {
    if cx.things.lock().unwrap().in_vain { Err(vain()) } else { Ok(None) }
}

fn vain() -> StepError {
    StepError::Vain { code: "FailedOperation".into(), message: "nobody came".into() }
}

fn at(step: &'static str, phase: Phase, moment: Moment) -> Point {
    Point { flow: Evening::NAME, step, phase, moment }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_at_any_step_the_world_is_all_or_nothing() {
    for case in every_case(Evening::NAME, &FlowEntry::of::<Evening>().steps()) {
        let world = World::new();
        let mut end = world.run::<Evening>(&Asking(&case.script, world.book.clone())).await;
        assert!(case.script.is_spent(), "{}: the fault did not happen", case.name);
        assert_eq!(end == End::Done, case.ends_done, "{}: {end:?}", case.name);
        if case.is_retried {
            world.reopen::<Evening>();
            end = world.run::<Evening>(&NoProbe).await;
            assert_eq!(end, End::Done, "{}", case.name);
        }
        let is_done = end == End::Done;
        let things = world.things.lock().unwrap();
        let book = world.book.lock().unwrap();
        assert_eq!((things.left, things.right), (is_done, is_done), "{}", case.name);
        assert_eq!(book.notes.last(), Some(if is_done { &"done" } else { &"undone" }), "{}", case.name);
        let noted = |what| book.notes.iter().filter(|note| **note == what).count();
        assert!(noted("left is lit") <= 1 + usize::from(case.is_retried), "{}", case.name);
        assert_eq!(noted("turned"), usize::from(!case.ends_done), "{}", case.name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_asks_to_be_tried_again_is_and_says_what_it_waits_for() {
    let world = World::new();
    world.things.lock().unwrap().stubborn = 3;
    assert_eq!(world.run::<Evening>(&NoProbe).await, End::Done);
    let book = world.book.lock().unwrap();
    let passed = book.passed.iter().find(|passed| passed.step == "light_right").unwrap();
    assert_eq!(passed.tries, 3);
    assert!(passed.ended_at > passed.started_at);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_never_succeeds_is_given_up_at_its_deadline_and_undone() {
    let world = World::new();
    world.things.lock().unwrap().stubborn = u32::MAX;
    let End::Undone { message, .. } = world.run::<Evening>(&NoProbe).await else { panic!("not undone") };
    assert_eq!(message, "the lamp is cold");
    assert!(!world.things.lock().unwrap().left);
    let spent = world.clock.now().since(Millis(1_000_000)).as_secs();
    assert!((30..40).contains(&spent), "{spent} s");
}

#[tokio::test(start_paused = true)]
async fn past_the_pivot_a_failure_is_tried_until_the_deadline_and_then_stuck() {
    struct AlwaysFails;
    impl Probe for AlwaysFails {
        fn at(&self, point: Point) -> Verdict {
            if point == at("report", Phase::Run, Moment::After) { Verdict::Fail } else { Verdict::Go }
        }
    }
    let world = World::new();
    let End::Stuck { message, .. } = world.run::<Evening>(&AlwaysFails).await else { panic!("not stuck") };
    assert!(message.starts_with("stuck in step report: "), "{message}");
    assert!(world.things.lock().unwrap().left, "nothing is undone past the pivot");
    assert_eq!(world.book.lock().unwrap().notes.last(), Some(&"stuck"));
}

#[tokio::test(start_paused = true)]
async fn what_was_in_vain_ends_at_once_past_the_pivot_and_is_undone_before_it() {
    let end = End::Undone { code: "FailedOperation".into(), message: "nobody came".into() };
    let world = World::new();
    world.things.lock().unwrap().in_vain = true;
    assert_eq!(world.run::<Evening>(&NoProbe).await, end);
    assert_eq!(world.clock.now(), Millis(1_000_000), "it was not tried again");
    assert!(world.things.lock().unwrap().left, "nothing is undone past the pivot");

    let world = World::new();
    world.things.lock().unwrap().in_vain_before = true;
    assert_eq!(world.run::<Evening>(&NoProbe).await, end);
    assert!(!world.things.lock().unwrap().left);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_cannot_is_stuck_and_keeps_the_first_reason() {
    struct NeitherWay;
    impl Probe for NeitherWay {
        fn at(&self, point: Point) -> Verdict {
            let forth = point == at("light_right", Phase::Run, Moment::After);
            let back = point == at("light_left", Phase::Undo, Moment::After);
            if forth || back { Verdict::Fail } else { Verdict::Go }
        }
    }
    let world = World::new();
    let End::Stuck { message, .. } = world.run::<Evening>(&NeitherWay).await else { panic!("not stuck") };
    assert_eq!(
        message,
        "failed by a fault that was set; then stuck taking back step light_left: failed by a fault that was set"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_step_and_no_more() {
    let world = World::new();
    world.things.lock().unwrap().panics = true;
    // The lock is poisoned by the panic; take it out of the way before the undo needs it.
    let things = world.things.clone();
    let script = Script::new().once(at("light_right", Phase::Run, Moment::After), Verdict::Go);
    let entry = FlowEntry::of::<Evening>();
    let claimed = world.claim::<Evening>();
    let cleared = tokio::spawn(async move {
        while !things.is_poisoned() {
            tokio::task::yield_now().await;
        }
        things.clear_poison();
    });
    let world_too = world.clone();
    let driven = tokio::spawn(async move { drive(&entry, &world_too, &world_too, &script, claimed).await });
    cleared.await.unwrap();
    let end = driven.await.expect("the driver itself lives");
    assert!(matches!(end, Ok(End::Undone { .. } | End::Stuck { .. })), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_lost_its_claim_stops_and_writes_nothing() {
    let world = World::new();
    let claimed = world.claim::<Evening>();
    let _newer = world.claim::<Evening>();
    let entry = FlowEntry::of::<Evening>();
    assert_eq!(drive(&entry, &world, &world, &NoProbe, claimed).await, Err(Stopped::Fenced));
    assert!(world.book.lock().unwrap().passed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_the_ledger_cannot_be_written_the_flow_waits_and_then_goes_on() {
    let world = World::new();
    world.book.lock().unwrap().unavailable = 20;
    assert_eq!(world.run::<Evening>(&NoProbe).await, End::Done);
    assert_eq!(world.book.lock().unwrap().progress, 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_time_in_which_nobody_worked_does_not_count_against_a_deadline() {
    let world = World::new();
    let crash = Script::new().once(at("light_right", Phase::Run, Moment::Before), Verdict::Crash);
    let entry = FlowEntry::of::<Evening>();
    let crashed = drive(&entry, &world, &world, &crash, world.claim::<Evening>()).await;
    assert_eq!(crashed, Err(Stopped::Crashed));
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    world.things.lock().unwrap().stubborn = 2;
    assert_eq!(world.run::<Evening>(&NoProbe).await, End::Done);
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_will_never_take_ends_the_task_as_stuck() {
    for (rejected, step) in [("left is lit", "light_left"), ("done", "report")] {
        let world = World::new();
        world.book.lock().unwrap().rejects = Some(rejected);
        let End::Stuck { message, .. } = world.run::<Evening>(&NoProbe).await else { panic!("not stuck") };
        assert!(message.starts_with(&format!("stuck after step {step}: ")), "{message}");
        let book = world.book.lock().unwrap();
        assert!(matches!(book.end, Some(End::Stuck { .. })));
        assert_eq!(book.cursor.as_ref().unwrap().step, step, "tried again, it begins with that step");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_is_undone_also_when_it_waits_or_has_run_its_pivot_and_not_recorded_it() {
    /// Cancels when a point is passed.
    struct CancelAt(Point, Arc<Mutex<Book>>);
    impl Probe for CancelAt {
        fn at(&self, point: Point) -> Verdict {
            if point == self.0 {
                self.1.lock().unwrap().cancelled = true;
            }
            Verdict::Go
        }
    }
    for step in ["light_left", "light_right", "open_door", "report"] {
        for moment in [Moment::Before, Moment::After] {
            let world = World::new();
            let probe = CancelAt(at(step, Phase::Run, moment), world.book.clone());
            let end = world.run::<Evening>(&probe).await;
            if step == "report" {
                assert_eq!(end, End::Done, "past the pivot it is too late");
                continue;
            }
            let End::Undone { message, .. } = end else { panic!("{step}: not undone") };
            assert!(message.contains("cancelled"), "{message}");
            let things = world.things.lock().unwrap();
            assert!(!things.left && !things.right, "{step}");
        }
    }
    let world = World::new();
    world.things.lock().unwrap().stubborn = u32::MAX;
    let book = world.book.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        book.lock().unwrap().cancelled = true;
    });
    assert!(matches!(world.run::<Evening>(&NoProbe).await, End::Undone { .. }));
    assert!(world.clock.now().since(Millis(1_000_000)).as_secs() < 9);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_held_is_laid_aside_with_what_it_waits_for_and_no_deadline_counts() {
    struct Held(Mutex<u32>);
    impl Probe for Held {
        fn at(&self, point: Point) -> Verdict {
            let mut left = self.0.lock().unwrap();
            if point != at("light_right", Phase::Run, Moment::Before) || *left == 0 {
                return Verdict::Go;
            }
            *left -= 1;
            Verdict::Hold
        }
    }
    let world = World::new();
    let held = Held(Mutex::new(3));
    let entry = FlowEntry::of::<Evening>();
    for _ in 0..3 {
        let driven = drive(&entry, &world, &world, &held, world.claim::<Evening>()).await;
        assert_eq!(driven, Err(Stopped::Parked));
        let cursor = world.book.lock().unwrap().cursor.clone().unwrap();
        assert_eq!((cursor.step.as_str(), cursor.tries), ("light_right", 0));
        assert!(cursor.waits_for.contains("held") && cursor.waits_since.is_some());
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
    assert_eq!(world.run::<Evening>(&held).await, End::Done);
}
