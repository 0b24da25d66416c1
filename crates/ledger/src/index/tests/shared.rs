//! What is listed where several servers have one store.

use super::*;

/// Each writes, and the other one lists it at once.
#[test]
fn what_one_server_was_answered_another_lists_while_both_write() {
    const ROUNDS: i64 = 120;
    let kept = Kept::in_database();
    let servers = [kept.open(), kept.open()];
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let both = [0, 1].map(|nth| {
        let (own, other) = (servers[nth].clone(), servers[1 - nth].clone());
        tokio.spawn(async move {
            let instance = Instance { account: 7, ..sample(nth as u64) };
            let of = |results: &[TaskResult]| TaskFilter {
                account: 7,
                instance: Some(instance.id.as_str().into()),
                results: results.to_vec(),
                ..TaskFilter::default()
            };
            for round in 1..=ROUNDS {
                let opened = open(&own, &instance, "001", "7", round).await.unwrap();
                let (count, page) = other.list_tasks(&of(&[]), 1, 0).unwrap();
                assert_eq!((count, page[0].id), (round, opened));
                // A task that the other one has opened may be claimed too.
                let claim = move |tx: &mut dyn Tx| claim_tasks(tx, Millis(1), Millis(20_000), 100);
                let claimed = own.write(claim).await.unwrap();
                assert_eq!(other.list_tasks(&of(&[TaskResult::Waiting]), 1, 0).unwrap().0, 0, "all are claimed");
                for task in claimed {
                    let journal: &dyn Journal<World> = &own;
                    journal.append(task.claim, entry(Some(End::Done), 2), vec![]).await.unwrap();
                    let done = TaskFilter { account: 7, results: vec![TaskResult::Done], ..TaskFilter::default() };
                    let (count, page) = other.list_tasks(&done, 1_000, 0).unwrap();
                    assert_eq!(page.len() as i64, count);
                    assert!(page.iter().any(|listed| listed.id == task.claim.task));
                }
            }
        })
    });
    tokio.block_on(join_all(both)).into_iter().for_each(|one| one.unwrap());
    let all = TaskFilter { account: 7, ..TaskFilter::default() };
    assert!(servers.iter().all(|server| server.list_tasks(&all, 1, 0).unwrap().0 == 2 * ROUNDS));
}

/// A standby that was behind has taken over: it is where it was once, and goes another way from there.
#[test]
fn a_store_that_has_lost_its_latest_transactions_is_listed_as_it_is() {
    const TABLES: [&str; 4] = ["task", "hold", "meta", "task_change"];
    let tokio = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // How many transactions come after the loss, before a server that knows of the lost ones is asked.
    for later in [0, 1, 2, 3, 9] {
        let mut history = History::new(later, Kept::in_database());
        tokio.block_on(async {
            history.submit().await;
            let keep = |tx: &mut dyn Tx| {
                TABLES.iter().try_for_each(|table| say(tx, &format!("create table kept_{table} as table {table}")))
            };
            history.servers[0].write(keep).await.unwrap();
            let before = history.tasks.clone();
            for _ in 0..3 {
                history.submit().await;
                history.claim().await;
                history.check();
            }
            history.servers[1].save_index();
            let lose = |tx: &mut dyn Tx| {
                for table in TABLES {
                    say(tx, &format!("delete from {table}"))?;
                    say(tx, &format!("insert into {table} select * from kept_{table}"))?;
                }
                // The same ids are given again.
                tx.rows("select setval('task_id_seq', (select max(id) from task))", &[]).map(drop)
            };
            history.servers[0].write(lose).await.unwrap();
            history.tasks = before;
            history.claims.clear();
            for nth in 0..later as usize {
                // The other one is not told of any.
                let server = history.servers.swap_remove(1);
                history.submit().await;
                history.servers.push(server);
                if nth == 0 {
                    history.ledger().list_tasks(&TaskFilter::default(), 1, 0).unwrap();
                }
            }
            history.servers.reverse();
            (0..50).for_each(|_| history.check());
            // One that starts on a checkpoint of what was lost.
            history.servers = vec![history.kept.open()];
            (0..50).for_each(|_| history.check());
        });
    }
}

fn say(tx: &mut dyn Tx, sql: &str) -> Result<()> {
    tx.exec(sql, &[]).map(drop)
}
