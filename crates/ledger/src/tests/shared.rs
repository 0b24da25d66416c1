//! What holds where several servers share a ledger, and where their store dies beneath them.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::join;
use model::*;

use super::Kept;
use crate::harness::Cluster;
use crate::*;

fn open(url: &str, folder: &Path) -> Ledger {
    Ledger::postgres(PostgresAddress::parse(url, None).unwrap(), folder).unwrap()
}

fn servers(count: usize) -> Vec<Ledger> {
    let (kept, _) = Kept::fresh("on_postgres");
    (0..count).map(|_| kept.open()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_one_server_has_written_the_others_read_and_know_of_by_the_version() {
    let servers = servers(3);
    for round in 0_usize..30 {
        let (writer, reader) = (&servers[round % 3], &servers[(round + 1) % 3]);
        let before = reader.version();
        let text = round.to_string();
        writer.write(move |tx| set_meta_text(tx, "round", &text)).await.unwrap();
        assert_ne!(reader.version(), before);
        assert_eq!(reader.read(|r| meta_text(r, "round")).unwrap(), Some(round.to_string()));
    }
    // Once all commits have been heard of, it stays what it is.
    let until = Instant::now() + Duration::from_secs(10);
    while servers[0].version() != servers[0].version() {
        assert!(Instant::now() < until, "the version changes all the time");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_of_another_server_is_heard_of() {
    let servers = servers(2);
    // From when it listens on.
    while servers[1].version() == 0 {
        servers[1].changed().await;
    }
    let heard = servers[1].changed();
    servers[0].write(|tx| set_meta_text(tx, "a", "b")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn servers_that_write_at_once_lose_nothing_and_number_tasks_in_the_order_of_their_commits() {
    let servers = servers(3);
    let seen = Arc::new(AtomicI64::new(0));
    let writes = (0..600_usize).map(|nth| {
        let (ledger, seen) = (servers[nth % 3].clone(), seen.clone());
        tokio::spawn(async move {
            // Whoever begins after another was answered gets a later number.
            let before = seen.load(Ordering::SeqCst);
            let accepted = ledger.write(|tx| {
                let id = tx.row(
                    "insert into event (account, instance, instance_name, type, grade, status, effect, start_at,
                    end_at, latest_at, initial_at) values (1, '', '', '', '', '', '', 0, 0, 0, 0) returning id",
                    &[],
                )?;
                count_on(tx, "n", 1)?;
                id.map_or(Ok(0), |row| row.int(0))
            });
            let id = accepted.await.unwrap();
            seen.fetch_max(id, Ordering::SeqCst);
            assert!(id > before);
        })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
    assert_eq!(servers[0].read(|r| counter(r, "n")).unwrap(), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_transaction_that_breaks_takes_no_other_with_it() {
    let ledger = servers(1).remove(0);
    let writes = (0..200_i64).map(|nth| {
        let ledger = ledger.clone();
        tokio::spawn(async move {
            ledger
                .write(move |tx| {
                    count_on(tx, "n", 1)?;
                    match nth % 4 {
                        // One that nobody waits for.
                        0 => tx.later("insert into hold (instance, task) values ('one', null)", &[]),
                        1 => tx.exec("insert into hold (instance, task) values ('one', null)", &[]).map(drop),
                        2 => tx.rows("select 1 / 0", &[]).map(drop),
                        _ => Ok(()),
                    }
                })
                .await
        })
    });
    for (nth, write) in writes.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(write.await.unwrap().is_ok(), nth % 4 == 3, "{nth}");
    }
    assert_eq!(ledger.read(|r| counter(r, "n")).unwrap(), 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lease_is_had_by_one_until_it_runs_out() {
    let servers = servers(2);
    let take = async |server: usize, now: i64| {
        let name = server.to_string();
        servers[server].write(move |tx| take_lease(tx, "all", &name, Millis(now), Millis(now + 10))).await.unwrap()
    };
    assert!(take(0, 0).await);
    assert!(!take(1, 5).await);
    assert!(take(0, 9).await, "it is renewed");
    assert!(!take(1, 15).await);
    assert!(take(1, 19).await, "it has run out");
    assert!(!take(0, 20).await);
}

/// Each write counts on, so that one that is done twice, or not at all, is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_the_store_crashes_under_load_what_was_answered_is_there_once_and_writes_go_on() {
    let mut cluster = Cluster::start();
    let url = cluster.url();
    // What one of them left unfinished another's transactions come after.
    let folder = tempfile::tempdir().unwrap();
    let servers = [open(&url, folder.path()), open(&url, folder.path())];
    let answered = Arc::new(AtomicI64::new(0));
    let (failed, until) = (Arc::new(AtomicI64::new(0)), Instant::now() + Duration::from_secs(6));
    let writers = (0..8).map(|nth: usize| {
        let (ledger, answered, failed) = (servers[nth % 2].clone(), answered.clone(), failed.clone());
        tokio::spawn(async move {
            while Instant::now() < until {
                match ledger.write(|tx| count_on(tx, "n", 1)).await {
                    Ok(_) => answered.fetch_add(1, Ordering::SeqCst),
                    Err(_) => failed.fetch_add(1, Ordering::SeqCst),
                };
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        tokio::task::block_in_place(|| {
            cluster.crash();
            cluster.resume();
        });
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let (answered, failed) = (answered.load(Ordering::SeqCst), failed.load(Ordering::SeqCst));
    servers[0].write(|tx| count_on(tx, "n", 1)).await.unwrap();
    let counted = servers[1].read(|r| counter(r, "n")).unwrap() - 1;
    // On a busy host the store may take longer to come back than a write waits for it.
    assert!(answered > 100 && failed <= 16, "{answered} answered, {failed} failed");
    assert!(
        (answered..=answered + failed).contains(&counted),
        "{counted} counted, {answered} answered, {failed} failed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_the_store_is_away_whoever_asks_is_told_in_time_and_soon_when_it_is_away_for_long() {
    let mut cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&cluster.url(), folder.path());
    ledger.write(|tx| set_meta_text(tx, "a", "b")).await.unwrap();
    tokio::task::block_in_place(|| cluster.crash());
    let timed = async || {
        let began = Instant::now();
        let (read, written) =
            tokio::join!(async { ledger.read(|r| meta_text(r, "a")) }, ledger.write(|tx| set_meta_text(tx, "a", "c")));
        assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
        assert!(matches!(written, Err(Error::Unavailable(_))), "{written:?}");
        began.elapsed()
    };
    assert!(timed().await < Duration::from_secs(10));
    assert!(timed().await < Duration::from_secs(2));
    tokio::task::block_in_place(|| cluster.resume());
    ledger.write(|tx| set_meta_text(tx, "a", "d")).await.unwrap();
    assert_eq!(ledger.read(|r| meta_text(r, "a")).unwrap().as_deref(), Some("d"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_hangs_in_a_transaction_holds_the_others_up_for_seconds_alone() {
    let servers = servers(2);
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let (hanging, other) = (servers[0].clone(), servers[1].clone());
    let hung = tokio::spawn(async move {
        hanging
            .write(move |tx| {
                let tried = count_on(tx, "n", 1);
                if let Some(begun) = begun.take() {
                    begun.send(()).unwrap();
                    std::thread::park_timeout(Duration::from_secs(8));
                }
                tried
            })
            .await
    });
    has_begun.await.unwrap();
    let began = Instant::now();
    let first = loop {
        match other.write(|tx| count_on(tx, "n", 1)).await {
            Ok(number) => break number,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error}"),
        }
    };
    assert_eq!(first, 1, "what hung wrote nothing");
    match hung.await.unwrap() {
        Ok(number) => assert_eq!(number, 2, "it is done again"),
        Err(error) => assert!(matches!(error, Error::Unavailable(_)), "{error}"),
    }
}

/// One of a batch has failed where the others have not, and the store is lost after it has committed and before it says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_nobody_heard_that_a_batch_was_committed_each_of_it_is_told_what_became_of_it() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&cluster.url(), folder.path());
    let say = |sql: &str| tokio::task::block_in_place(|| cluster.say(sql));
    // A commit waits for a standby that never comes: until its connection is ended, and is kept.
    say("alter system set synchronous_standby_names = 'nobody'");
    say("select pg_reload_conf()");
    let until = Instant::now() + Duration::from_secs(20);
    while !cluster.log().contains("canceling the wait for synchronous replication and terminating connection") {
        assert!(Instant::now() < until, "{}", cluster.log());
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go, may_go) = std::sync::mpsc::channel::<()>();
        let mut begun = Some(begun);
        let holding = ledger.clone();
        let holding = tokio::spawn(async move {
            let hold = move |_: &mut dyn Tx| -> Result<()> {
                if let Some(begun) = begun.take() {
                    begun.send(()).unwrap();
                    may_go.recv().unwrap_err();
                }
                Ok(())
            };
            holding.write(hold).await
        });
        has_begun.await.unwrap();
        // Together in one batch, then.
        let heedless = |tx: &mut dyn Tx| -> Result<()> {
            drop(tx.exec("insert into hold (instance, task) values ('one', null)", &[]));
            Ok(())
        };
        let mut writing = pin!(join(ledger.write(|tx| count_on(tx, "n", 1)), ledger.write(heedless)));
        assert!((&mut writing).now_or_never().is_none(), "they wait for the first");
        drop(go);
        let (heedful, heedless) = loop {
            say("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'");
            if let Some(answers) = (&mut writing).now_or_never() {
                break answers;
            }
        };
        holding.await.unwrap().unwrap();
        assert!(heedful.is_ok(), "{heedful:?}");
        assert!(heedless.is_err(), "its statement had failed");
    }
    say("alter system reset synchronous_standby_names");
    say("select pg_reload_conf()");
    assert!(ledger.read(|r| counter(r, "n")).unwrap() > 0);
}
