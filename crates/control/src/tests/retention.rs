//! Tasks that leave the ledger for the archive, and how all are exported meanwhile.

use std::time::Duration;

use flow::Clock;
use futures_util::StreamExt;
use ledger::{NewTask, TaskChange, remove_tasks};
use model::{InstanceId, Millis, TaskId, TaskResult};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::site::Site;
use crate::export::Export;
use crate::keepers::retention::{keep_tasks, move_old, old_tasks};

const DAY: Duration = Duration::from_secs(24 * 3600);

impl Site {
    /// Accepts a task at a moment, which ends at once, or not.
    async fn task_at(&self, instance: &InstanceId, at: Millis, ends: bool) -> TaskId {
        let id = instance.clone();
        let body = move |tx: &mut dyn ledger::Tx| -> ledger::Result<TaskId> {
            let instance = ledger::instance(tx.reader(), &id)?.unwrap();
            let (caller, kind, flow, first_step, state) = ("7", "004", "f", "a", "{}".to_owned());
            let new =
                NewTask { instance: &instance, caller, kind, flow, first_step, state, holds: false, partner: None };
            let task = ledger::open_task(tx, new, at)?;
            if ends {
                end(tx, task)?;
            }
            Ok(task)
        };
        self.cx.ledger.write(body).await.unwrap()
    }

    async fn export(&self, params: Value) -> Vec<(&'static str, Value)> {
        let events = self.watch("ExportTasks", params).await.unwrap();
        events.map(|event| (event.name, serde_json::from_str(&event.data).unwrap())).collect().await
    }

    async fn exported(&self, params: Value) -> Vec<i64> {
        let events = self.export(params).await;
        let (last, tasks) = events.split_last().unwrap();
        assert_eq!((last.0, &last.1["TotalCount"]), ("end", &json!(tasks.len())));
        tasks.iter().map(|(_, task)| task["TaskId"].as_i64().unwrap()).collect()
    }

    fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path().join("vault/tasks")).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn end(tx: &mut dyn ledger::Tx, task: TaskId) -> ledger::Result<()> {
    tx.exec("update task set result = 2, progress = 1, ended_at = started_at + 5 where id = $1", ledger::args![task])?;
    tx.note(TaskChange::Moved(task, TaskResult::Done));
    Ok(())
}

#[tokio::test]
async fn tasks_of_long_ago_are_moved_to_files_by_month_and_exported_with_the_others() {
    let site = Site::new();
    let instance = site.create_with(0).await;
    let first = site.exported(json!({})).await;
    assert_eq!(first, [1]);
    assert_eq!(move_old(&site.cx).await, Ok(0));
    site.cx.dev.as_ref().unwrap().clock.advance(DAY * 401);
    let open = site.task_at(&instance, site.clock.now() - DAY * 400 - Duration::from_secs(3600), false).await;
    let late = site.task_at(&instance, site.clock.now() - DAY * 10, true).await;
    assert_eq!(move_old(&site.cx).await, Ok(1), "neither one that goes on nor one that is wanted");
    assert_eq!(site.files().len(), 1);
    assert_eq!(site.exported(json!({})).await, [1, open.0, late.0]);

    let events = site.export(json!({})).await;
    let (kept, fresh) = (&events[0].1, &events[2].1);
    let names = |task: &Value| task.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(kept), names(fresh));
    assert_eq!(
        (&kept["TaskType"], &kept["Result"], &kept["Flow"]),
        (&json!("001"), &json!(2), &json!("create-instance"))
    );
    assert!(kept["Steps"][0]["Name"].is_string() && kept["EndTime"].as_str().unwrap().ends_with('Z'), "{kept}");

    let answer = site.call("DescribeTaskList", json!({})).await.unwrap();
    assert_eq!(answer["TotalCount"], 1);
    site.cx.dev.as_ref().unwrap().clock.advance(DAY * 400);
    site.cx.ledger.write(move |tx| end(tx, open)).await.unwrap();
    assert_eq!(move_old(&site.cx).await, Ok(1), "the latest stays");
    assert_eq!(site.exported(json!({})).await, [1, open.0, late.0]);

    let file = site.folder.path().join("vault/tasks").join(&site.files()[0]);
    let mut file = std::fs::File::options().append(true).open(file).unwrap();
    std::io::Write::write_all(&mut file, b"what a disk has left of a line\n").unwrap();
    let events = site.export(json!({})).await;
    assert_eq!(events.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["task", "task", "task", "failed"]);
    assert!(events[3].1["Message"].as_str().unwrap().starts_with("1 lines of the tasks"), "{:?}", events[3]);
}

#[tokio::test]
async fn a_time_is_exported_from_its_first_second_to_its_last() {
    let site = Site::new();
    let instance = site.create_with(0).await;
    // In the service's zone these are the first hours of a year.
    let new_year = Millis("2030-12-31T16:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond());
    for millis in [-1, 0, 999, 1_000, 3_600_000] {
        site.task_at(&instance, Millis(new_year.0 + millis), true).await;
    }
    site.task_at(&instance, new_year + DAY * 500, true).await;
    let of = |from: &str, to: &str| json!({ "BeginTime": from, "EndTime": to });
    for _ in 0..2 {
        assert_eq!(site.exported(of("2031-01-01 00:00:00", "2031-01-01 00:00:00")).await, [3, 4]);
        assert_eq!(site.exported(of("2030-12-31 23:59:59", "2031-01-01 00:00:01")).await, [2, 3, 4, 5]);
        assert_eq!(site.exported(of("2031-01-01 00:00:01", "")).await, [5, 6, 7]);
        assert_eq!(site.exported(of("", "2030-12-31 23:59:59")).await, [1, 2]);
        assert_eq!(site.exported(of("2031-01-02 00:00:00", "2031-01-03 00:00:00")).await, [0; 0]);
        site.cx.dev.as_ref().unwrap().clock.advance(DAY * 365 * 8);
        move_old(&site.cx).await.unwrap();
    }
    assert_eq!(site.files()[1..], ["2030-12.ndjson"], "months are those of UTC");
    for (from, to, name) in [
        ("yesterday", "", "BeginTime"),
        ("", "2031", "EndTime"),
        ("2031-01-01 00:00:00", "2030-01-01 00:00:00", "BeginTime"),
    ] {
        let refused = site.watch("ExportTasks", of(from, to)).await.map(drop).unwrap_err();
        assert!(format!("{refused:?}").contains(name), "{refused:?}");
    }
}

#[tokio::test]
async fn a_task_whose_move_was_broken_off_is_in_both_and_exported_once() {
    let site = Site::new();
    let instance = site.create_with(0).await;
    for nth in 0..5 {
        site.task_at(&instance, site.clock.now() + Duration::from_secs(nth), true).await;
    }
    site.cx.dev.as_ref().unwrap().clock.advance(DAY * 401);
    let before = site.clock.now() - DAY * 400;
    let (old, next) = old_tasks(&site.cx, before, TaskId(0)).unwrap();
    assert_eq!((old.len(), next), (5, None));
    // Killed between the file and the ledger, twice.
    for _ in 0..2 {
        keep_tasks(&site.cx, old.clone()).await.unwrap();
        assert_eq!(site.exported(json!({})).await, [1, 2, 3, 4, 5, 6]);
    }
    // Killed while it wrote the file.
    let path = site.folder.path().join("vault/tasks").join(&site.files()[0]);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() - 9).unwrap();
    assert_eq!(site.exported(json!({})).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(move_old(&site.cx).await, Ok(5));
    assert_eq!(site.exported(json!({})).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(move_old(&site.cx).await, Ok(0));
}

#[tokio::test]
async fn an_export_has_each_task_once_and_in_order_whatever_is_moved_meanwhile() {
    for seed in 0..4 {
        let mut random = StdRng::seed_from_u64(seed);
        let site = Site::new();
        let instance = site.create_with(0).await;
        let count = 1_700;
        let begin = site.clock.now();
        let body = move |tx: &mut dyn ledger::Tx| -> ledger::Result<()> {
            let instance = ledger::instance(tx.reader(), &instance)?.unwrap();
            for nth in 1..count {
                let (caller, kind, flow, first_step, state) = ("7", "004", "f", "a", "{}".to_owned());
                let new =
                    NewTask { instance: &instance, caller, kind, flow, first_step, state, holds: false, partner: None };
                let task = ledger::open_task(tx, new, begin + DAY * (nth / 20))?;
                // Some go on.
                if nth % 50 != 7 {
                    end(tx, task)?;
                }
            }
            Ok(())
        };
        site.cx.ledger.write(body).await.unwrap();
        let mut export =
            Export::new(site.cx.ledger.clone(), site.cx.archive.clone(), 100_000_000_001, 0, 9_000_000_000);
        let (mut seen, mut after) = (Vec::new(), TaskId(0));
        loop {
            for _ in 0..random.random_range(0..5) {
                let (old, next) = old_tasks(&site.cx, begin + DAY * 1_000, after).unwrap();
                let old = keep_tasks(&site.cx, old).await.unwrap();
                if random.random_bool(0.8) {
                    site.cx.ledger.write(move |tx| remove_tasks(tx, &old)).await.unwrap();
                    after = next.unwrap_or(after);
                }
                // One that went on ends, and is moved long after its neighbours.
                let open = ledger::TaskFilter {
                    account: 100_000_000_001,
                    results: vec![TaskResult::Waiting],
                    ..Default::default()
                };
                let (_, open) = site.cx.ledger.list_tasks(&open, 1, random.random_range(0..20)).unwrap();
                if let Some(task) = open.first().map(|task| task.id) {
                    site.cx.ledger.write(move |tx| end(tx, task)).await.unwrap();
                    after = TaskId(random.random_range(0..=after.0));
                }
            }
            let Some(lines) = export.next().unwrap() else { break };
            seen.extend(
                lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["TaskId"].as_i64().unwrap()),
            );
        }
        assert_eq!(seen, (1..=i64::from(count)).collect::<Vec<_>>(), "seed {seed}");
    }
}
