//! Tasks that leave the ledger, on either store.

use flow::{Claim, Cursor, End, Entry, Journal, Passed, Phase};
use model::{TaskResult, *};

use super::Kept;
use super::on_sqlite::{World, sample};
use crate::*;

fn both() -> [Kept; 2] {
    [Kept::in_file(), Kept::in_database()]
}

async fn open(ledger: &Ledger, at: i64) -> TaskId {
    let body = move |tx: &mut dyn Tx| {
        let (caller, kind, flow, first_step, state) = ("7", "004", "f", "a", "{}".to_owned());
        let instance = sample(1);
        let new = NewTask { instance: &instance, caller, kind, flow, first_step, state, holds: false, partner: None };
        open_task(tx, new, Millis(at))
    };
    ledger.write(body).await.unwrap()
}

/// Takes all that is open and ends it, with a step.
async fn end_all(ledger: &Ledger, end: End, at: i64) {
    let claim = move |tx: &mut dyn Tx| claim_tasks(tx, Millis(at), Millis(at + 20_000), 100);
    for task in ledger.write(claim).await.unwrap() {
        let (message, tries) = ("as planned".to_owned(), 1);
        let (started_at, ended_at) = (Millis(at), Millis(at + 1));
        let entry = Entry {
            passed: Some(Passed { step: "a".into(), phase: Phase::Run, started_at, ended_at, tries, message }),
            state: "{}".into(),
            cursor: Cursor::start("a", Millis(at)),
            progress: 1.0,
            end: Some(end.clone()),
            parked_until: None,
            can_be_cancelled: false,
            at: Millis(at + 1),
        };
        let journal: &dyn Journal<World> = ledger;
        journal.append(Claim { ..task.claim }, entry, vec![]).await.unwrap();
    }
}

fn failed() -> End {
    End::Undone { code: "c".into(), message: "m".into() }
}

async fn reopen(ledger: &Ledger, id: TaskId) {
    let again = move |tx: &mut dyn Tx| reopen_task(tx, id, "{}", &Cursor::start("a", Millis(0)));
    ledger.write(again).await.unwrap().unwrap();
}

async fn remove(ledger: &Ledger, tasks: &[WholeTask]) -> i64 {
    let tasks = tasks.to_vec();
    ledger.write(move |tx| remove_tasks(tx, &tasks)).await.unwrap()
}

fn whole(ledger: &Ledger) -> Vec<WholeTask> {
    ledger.read(|reader| whole_tasks(reader, TaskId(0), 100)).unwrap()
}

fn listed(ledger: &Ledger, results: &[TaskResult]) -> (i64, Vec<i64>) {
    let filter = TaskFilter { account: 7, results: results.to_vec(), ..TaskFilter::default() };
    let (count, page) = ledger.list_tasks(&filter, 100, 0).unwrap();
    (count, page.iter().map(|task| task.id.0).collect())
}

fn rows(ledger: &Ledger, table: &str) -> i64 {
    let sql = format!("select count(*) from {table}");
    ledger.read(|reader| reader.row(&sql, &[])).unwrap().unwrap().int(0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_what_was_read_and_all_of_it_and_lists_are_exact_from_then_on() {
    for kept in both() {
        let ledger = kept.open();
        for at in 1..=5 {
            open(&ledger, 1_000 * at).await;
        }
        end_all(&ledger, failed(), 10_000).await;
        let open = open(&ledger, 11_000).await;
        let read = whole(&ledger);
        assert_eq!((read.len(), read[0].steps.len(), read[0].steps[0].passed.message.as_str()), (6, 1, "as planned"));
        // One has changed since, one goes on, and one is the latest.
        reopen(&ledger, TaskId(2)).await;
        assert_eq!(remove(&ledger, &read).await, 4);
        assert_eq!(listed(&ledger, &[]), (2, vec![open.0, 2]));
        assert_eq!(listed(&ledger, &[TaskResult::Failed]), (0, vec![]));
        assert_eq!((rows(&ledger, "task"), rows(&ledger, "step")), (2, 1));
        // Done once more, as after a crash, it changes nothing.
        assert_eq!(remove(&ledger, &read).await, 0);

        end_all(&ledger, End::Done, 20_000).await;
        let read = whole(&ledger);
        assert!(read.iter().all(WholeTask::has_ended) && read[0].steps.len() == 2);
        assert_eq!(remove(&ledger, &read).await, 1, "the latest stays");
        assert_eq!(listed(&ledger, &[]), (1, vec![open.0]));
        drop(ledger);
        let ledger = kept.open();
        assert_eq!(listed(&ledger, &[]), (1, vec![open.0]));
        assert!(ledger.read(|reader| task(reader, TaskId(2))).unwrap().is_none());
        assert_eq!(ledger.first_task_from(11), open);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_from_a_checkpoint_of_before_the_removal_lists_what_is_left() {
    for kept in both() {
        let ledger = kept.open();
        for at in 1..=4_000 {
            open(&ledger, 1_000 * at).await;
        }
        end_all(&ledger, End::Done, 5_000_000).await;
        ledger.save_index();
        let (file, older) = (kept.folder().join("ledger.index"), kept.folder().join("older"));
        std::fs::copy(&file, &older).unwrap();
        let read = whole(&ledger);
        assert_eq!(remove(&ledger, &read).await, 100);
        if matches!(kept, Kept::Database(..)) {
            // What was done to tasks is not known any more.
            ledger.write(|tx| tx.exec("truncate task_change", &[])).await.unwrap();
        }
        drop(ledger);
        std::fs::copy(&older, &file).unwrap();
        let ledger = kept.open();
        assert_eq!(listed(&ledger, &[]).0, 3_900);
        assert_eq!(listed(&ledger, &[TaskResult::Done]), (0, vec![]));
        assert_eq!(listed(&ledger, &[]).1, (3_901..=4_000).rev().collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_finds_what_is_opened_again_after_the_last_such_task_was_removed() {
    for kept in both() {
        let ledger = kept.open();
        let (first, second) = (open(&ledger, 1_000).await, open(&ledger, 2_000).await);
        open(&ledger, 3_000).await;
        end_all(&ledger, failed(), 4_000).await;
        reopen(&ledger, first).await;
        end_all(&ledger, failed(), 5_000).await;
        let since = ledger.read(accepted).unwrap();
        assert_eq!(since.reopened, 1);
        assert_eq!(remove(&ledger, &whole(&ledger)[..1]).await, 1);
        assert_eq!(ledger.read(accepted).unwrap(), since);
        reopen(&ledger, second).await;
        let found = ledger.read(|reader| accepted_since(reader, 7, since)).unwrap();
        assert_eq!(found.iter().map(|(task, _)| task.id).collect::<Vec<_>>(), [second]);
        assert_eq!(listed(&ledger, &[TaskResult::Waiting]), (1, vec![second.0]));
    }
}
