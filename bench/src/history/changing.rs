//! Lists while tasks change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use flow::{Clock, Cursor, End, Entry, Journal, SystemClock};
use ledger::{Instance, Ledger, NewTask, TaskFilter, claim_tasks, open_task};

use super::asked::{Asked, ask};
use crate::api;
use crate::table::Table;
use crate::tasks::Nothing;

/// What is submitted and finished in a second while lists are asked for.
const RATE: u64 = 1_000;
/// How long that goes on at least.
const LASTS: Duration = Duration::from_secs(5);

/// Who lists, and who changes tasks: the same server, or two.
#[derive(Clone)]
pub(super) struct Servers {
    pub(super) lists: Ledger,
    pub(super) changes: Ledger,
}

/// Lists while tasks are submitted and finished. Each that was answered has to be listed.
pub(super) async fn while_changing(
    table: &mut Table,
    what: &str,
    servers: &Servers,
    instances: u64,
    alone: f64,
) -> anyhow::Result<()> {
    let is_over = Arc::new(AtomicBool::new(false));
    let finished = Arc::new(AtomicU64::new(0));
    let writing = tokio::spawn(change(servers.clone(), is_over.clone(), finished.clone()));
    let (begin, asking) = (Instant::now(), servers.lists.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        for seed in 4.. {
            all.extend(ask(&asking, instances, seed)?.0);
            if begin.elapsed() >= LASTS {
                break;
            }
        }
        anyhow::Ok(Asked(all))
    });
    let asked = asked.await??;
    let per_second = finished.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    is_over.store(true, Ordering::Relaxed);
    let stale = writing.await??;
    let what = format!("{what} while {per_second:.0} tasks a second are submitted and finished");
    let (against, ratio) = (format!("p99 {alone:.2} ms"), asked.p99() / alone);
    // What was asked while less happened says nothing.
    let is_reached = ratio <= 2.0 && per_second >= 0.95 * RATE as f64;
    table.ratio(&what, &asked.show(), &against, ratio, "p99 at most 2x", is_reached);
    table.bound("answers that lacked what had been answered before", &stale.to_string(), "0", stale == 0);
    Ok(())
}

/// Submits and finishes tasks at the rate; answers how many a list then did not have.
async fn change(servers: Servers, is_over: Arc<AtomicBool>, finished: Arc<AtomicU64>) -> anyhow::Result<u64> {
    const AT_ONCE: u64 = 20;
    let Servers { lists, changes: ledger } = servers;
    let (begin, mut round, mut stale) = (Instant::now(), 0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let instance = Arc::new(Instance { id: model::InstanceId::from_random(round + 1), ..api::instance(round) });
        let now = SystemClock.now();
        let submits = (0..AT_ONCE).map(|_| {
            let instance = instance.clone();
            ledger.write(move |tx| open_task(tx, new_task(&instance), now))
        });
        let ids = futures_util::future::try_join_all(submits).await?;
        let newest = ids.iter().max().copied().context("there are some")?;
        let filter = TaskFilter {
            account: instance.account,
            instance: Some(instance.id.as_str().into()),
            results: vec![model::TaskResult::Waiting],
            ..TaskFilter::default()
        };
        let (count, page) = lists.list_tasks(&filter, 1, 0)?;
        stale += u64::from(count != AT_ONCE as i64 || page.first().is_none_or(|task| task.id != newest));
        let until = now + ledger::LEASE;
        let claimed = ledger.write(move |tx| claim_tasks(tx, now, until, 1_000)).await?;
        let journal: &dyn Journal<Nothing> = &ledger;
        let ends = claimed.into_iter().map(|task| {
            let entry = Entry {
                passed: None,
                state: task.state,
                cursor: Cursor::start("first", now),
                progress: 1.0,
                end: Some(End::Done),
                parked_until: None,
                can_be_cancelled: true,
                at: now,
            };
            journal.append(task.claim, entry, vec![])
        });
        futures_util::future::try_join_all(ends).await?;
        let left = lists.list_tasks(&filter, 1, 0)?.0;
        stale += u64::from(left != 0);
        finished.fetch_add(AT_ONCE, Ordering::Relaxed);
        round += 1;
        let due = Duration::from_millis(1000 * AT_ONCE * round / RATE);
        tokio::time::sleep(due.saturating_sub(begin.elapsed())).await;
    }
    Ok(stale)
}

fn new_task(instance: &Instance) -> NewTask<'_> {
    let (flow, first_step, state) = ("no-op", "first", "{\"passed\":0}".to_owned());
    NewTask { instance, caller: "1", kind: "007", flow, first_step, state, holds: false, partner: None }
}
