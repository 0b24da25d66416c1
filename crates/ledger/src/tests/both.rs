//! What holds on either store.

use std::net::SocketAddr;

use flow::{Cursor, End, Entry, Journal, JournalError, Passed, Phase};
use model::*;

use super::Kept;
use crate::*;

pub(crate) struct World;
impl flow::Context for World {
    type Write = Write;
    fn clock(&self) -> &dyn flow::Clock {
        &flow::SystemClock
    }
}

/// An empty ledger of this module's store, and what keeps it.
fn fresh() -> (Kept, Ledger) {
    Kept::fresh(module_path!())
}

pub(crate) fn sample(number: u64) -> Instance {
    Instance {
        id: InstanceId::from_random(number),
        account: 7,
        name: format!("cache {number}"),
        project: 0,
        product_version: "local".into(),
        type_id: TypeId::parse(17).unwrap(),
        version: EngineVersion::new(7, 0, 0),
        memory_mb: 1024,
        shards: 1,
        replicas: 1,
        zone: 100001,
        vpc: "vpc-1".into(),
        subnet: "subnet-1".into(),
        vip: Vip(SocketAddr::from(([127, 88, 0, number as u8], 6379))),
        is_open: false,
        status: InstanceStatus::Idle,
        shows_node_set: false,
        no_auth: false,
        password: Some(vec![1, 0, 2]),
        admin: vec![3],
        billing: BillingMode::Postpaid,
        auto_renew: 0,
        delete_protection: false,
        read_only: false,
        window: (180, 240),
        created_at: Millis(1_000 + number as i64),
        old_password: None,
        client_limit: None,
        bandwidth_mbit: None,
        replica_reads: false,
        deadline_at: None,
        closed_at: None,
        offline_at: None,
    }
}

fn new_task(instance: &Instance) -> NewTask<'_> {
    NewTask {
        instance,
        caller: "7",
        kind: "004",
        flow: "f",
        first_step: "a",
        state: "{}".into(),
        holds: true,
        partner: None,
    }
}

async fn submit(ledger: &Ledger, instance: Instance, at: i64) -> Result<TaskId> {
    ledger.write(move |tx| open_task(tx, new_task(&instance), Millis(at))).await
}

#[tokio::test]
async fn an_instance_reads_back_as_it_was_written() {
    let (kept, ledger) = fresh();
    let written = sample(1);
    let it = written.clone();
    ledger.write(move |tx| insert_instance(tx, &it)).await.unwrap();
    drop(ledger);
    let ledger = kept.open();
    assert_eq!(ledger.read(|r| instance(r, &written.id)).unwrap(), Some(written));
}

#[tokio::test]
async fn two_instances_cannot_have_one_address() {
    let (_kept, ledger) = fresh();
    let (one, mut other) = (sample(1), sample(2));
    other.vip = one.vip;
    ledger.write(move |tx| insert_instance(tx, &one)).await.unwrap();
    let refused = ledger.write(move |tx| insert_instance(tx, &other)).await;
    assert!(matches!(refused, Err(error) if error.is_taken()));
}

#[tokio::test]
async fn what_a_body_refuses_is_not_kept_and_its_error_arrives_unchanged() {
    #[derive(Debug, PartialEq)]
    enum Refusal {
        Busy,
        Ledger,
    }
    impl From<Error> for Refusal {
        fn from(_: Error) -> Self {
            Refusal::Ledger
        }
    }
    let (_kept, ledger) = fresh();
    let refused: std::result::Result<(), _> = ledger
        .write(|tx| {
            set_meta_text(tx, "ghost", "boo")?;
            Err(Refusal::Busy)
        })
        .await;
    assert_eq!(refused, Err(Refusal::Busy));
    assert_eq!(ledger.read(|r| meta_text(r, "ghost")).unwrap(), None);
}

#[tokio::test]
async fn a_panic_in_a_body_is_that_callers_error_and_the_next_write_works() {
    let (_kept, ledger) = fresh();
    let panicked: Result<()> = ledger.write(|_| panic!("as asked")).await;
    assert!(panicked.is_err());
    ledger.write(|tx| set_meta_text(tx, "a", "b")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_in_contention_all_land() {
    let (_kept, ledger) = fresh();
    let writes = (0..400).map(|_| {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.write(|tx| count_on(tx, "n", 1)).await })
    });
    let mut seen: Vec<i64> = Vec::new();
    for write in writes.collect::<Vec<_>>() {
        seen.push(write.await.unwrap().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=400).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_second_task_on_a_busy_instance_is_refused_by_the_schema() {
    let (_kept, ledger) = fresh();
    submit(&ledger, sample(1), 10).await.unwrap();
    let refused = submit(&ledger, sample(1), 11).await;
    assert!(matches!(refused, Err(error) if error.is_taken()));
    submit(&ledger, sample(2), 12).await.unwrap();
}

#[tokio::test]
async fn start_times_follow_ids_even_when_the_clock_goes_back() {
    let (_kept, ledger) = fresh();
    let first = submit(&ledger, sample(1), 5_000).await.unwrap();
    let second = submit(&ledger, sample(2), 3_000).await.unwrap();
    assert!(second > first);
    let started = ledger.read(|r| task(r, second)).unwrap().unwrap().started_at;
    assert_eq!(started, Millis(5_000));
}

fn record(step: &str, end: Option<End>) -> Entry {
    Entry {
        passed: Some(Passed {
            step: step.into(),
            phase: Phase::Run,
            started_at: Millis(1),
            ended_at: Millis(2),
            tries: 0,
            message: String::new(),
        }),
        state: "{\"a\":1}".into(),
        cursor: Cursor::start("b", Millis(2)),
        progress: 0.5,
        end,
        parked_until: None,
        can_be_cancelled: true,
        at: Millis(20),
    }
}

#[tokio::test]
async fn a_claim_is_had_by_one_and_an_older_one_changes_nothing() {
    let (_kept, ledger) = fresh();
    let id = submit(&ledger, sample(1), 10).await.unwrap();
    let first = ledger.write(|tx| claim_tasks(tx, Millis(10), Millis(30), 9)).await.unwrap();
    assert_eq!(first.len(), 1);
    let none = ledger.write(|tx| claim_tasks(tx, Millis(20), Millis(40), 9)).await.unwrap();
    assert!(none.is_empty(), "leased");
    let second = ledger.write(|tx| claim_tasks(tx, Millis(31), Millis(60), 9)).await.unwrap();
    assert_eq!(second[0].claim.fence, first[0].claim.fence + 1);

    let journal: &dyn Journal<World> = &ledger;
    let ghost = vec![write(|tx| set_meta_text(tx, "ghost", "boo"))];
    let fenced = journal.append(first[0].claim, record("a", None), ghost).await;
    assert_eq!(fenced, Err(JournalError::Fenced));
    assert_eq!(ledger.read(|r| meta_text(r, "ghost")).unwrap(), None);

    let effect = vec![write(|tx| set_meta_text(tx, "effect", "yes"))];
    journal.append(second[0].claim, record("a", None), effect).await.unwrap();
    assert_eq!(ledger.read(|r| meta_text(r, "effect")).unwrap().as_deref(), Some("yes"));
    let listed = ledger.read(|r| task(r, id)).unwrap().unwrap();
    assert_eq!((listed.result, listed.progress), (TaskResult::Running, 0.5));

    journal.append(second[0].claim, record("b", Some(End::Done)), vec![]).await.unwrap();
    assert_eq!(ledger.read(|r| task(r, id)).unwrap().unwrap().result, TaskResult::Done);
    assert_eq!(ledger.read(|r| holder(r, &sample(1).id)).unwrap(), None, "the instance is free");
    let late = journal.append(second[0].claim, record("b", Some(End::Done)), vec![]).await;
    assert_eq!(late, Err(JournalError::Fenced), "a finished task is not written again");
}

#[tokio::test]
async fn a_task_that_was_woken_while_it_was_worked_on_does_not_lie_down() {
    let (_kept, ledger) = fresh();
    let id = submit(&ledger, sample(1), 10).await.unwrap();
    let journal: &dyn Journal<World> = &ledger;
    let claim =
        async |now: i64| ledger.write(move |tx| claim_tasks(tx, Millis(now), Millis(now + 10), 9)).await.unwrap();
    let parks = || Entry { parked_until: Some(Millis(1_000_000)), ..record("a", None) };

    let first = claim(10).await[0].claim;
    ledger.write(move |tx| wake_task(tx, id)).await.unwrap();
    journal.append(first, parks(), vec![]).await.unwrap();
    let second = claim(11).await[0].claim;
    journal.append(second, parks(), vec![]).await.unwrap();
    assert!(claim(500_000).await.is_empty(), "nobody has woken it again");
    ledger.write(move |tx| wake_task(tx, id)).await.unwrap();
    assert_eq!(claim(500_000).await.len(), 1);
}

#[tokio::test]
async fn tasks_are_listed_newest_first_with_an_exact_count() {
    let (_kept, ledger) = fresh();
    for number in 0..25 {
        submit(&ledger, sample(number), 1_000 * (number as i64 / 2)).await.unwrap();
    }
    let mut filter = TaskFilter { account: 7, from_second: Some(3), ..TaskFilter::default() };
    let (count, page) = ledger.list_tasks(&filter, 5, 2).unwrap();
    assert_eq!(count, 19);
    assert_eq!(page.iter().map(|task| task.id.0).collect::<Vec<_>>(), [23, 22, 21, 20, 19]);
    filter.results = vec![TaskResult::Waiting, TaskResult::Running];
    assert_eq!(ledger.list_tasks(&filter, 5, 0).unwrap().0, 19);
    filter.results = vec![TaskResult::Done];
    assert_eq!(ledger.list_tasks(&filter, 5, 0).unwrap(), (0, vec![]));
}

#[tokio::test]
async fn a_deal_is_delivered_with_its_last_task_and_failed_with_any() {
    let (_kept, ledger) = fresh();
    let deal = |name: &str| Deal {
        name: name.into(),
        account: 7,
        creator: "7".into(),
        description: String::new(),
        zone: 1,
        goods: 2,
        instances: vec![sample(1).id, sample(2).id],
        price: 250,
        status: DealStatus::Delivering,
        created_at: Millis(1),
        ended_at: None,
    };
    let (good, bad) = (deal("1"), deal("2"));
    ledger
        .write(move |tx| {
            insert_deal(tx, &good, 2)?;
            insert_deal(tx, &bad, 2)?;
            settle_deal(tx, "1", true, Millis(5))?;
            settle_deal(tx, "2", false, Millis(5))?;
            settle_deal(tx, "2", true, Millis(6))
        })
        .await
        .unwrap();
    let status = |name: &'static str| ledger.read(|r| deal_by_name(r, 7, name)).unwrap().unwrap();
    assert_eq!((status("1").status, status("1").ended_at), (DealStatus::Delivering, None));
    assert_eq!((status("2").status, status("2").ended_at), (DealStatus::Failed, Some(Millis(6))));
    ledger.write(|tx| settle_deal(tx, "1", true, Millis(7))).await.unwrap();
    assert_eq!((status("1").status, status("1").ended_at), (DealStatus::Delivered, Some(Millis(7))));
    ledger.write(|tx| settle_deal(tx, "2", true, Millis(8))).await.unwrap();
    assert_eq!((status("2").status, status("2").ended_at), (DealStatus::Delivered, Some(Millis(8))), "tried again");
    assert_eq!(status("1").price, 250);
}

#[tokio::test]
async fn a_panic_in_a_read_leaves_the_next_reads_working() {
    let (_kept, ledger) = fresh();
    for _ in 0..8 {
        let read = || ledger.read(|_| -> Result<()> { panic!("as asked") });
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(read)).is_err());
    }
    ledger.write(|tx| set_meta_text(tx, "a", "b")).await.unwrap();
    assert_eq!(ledger.read(|r| meta_text(r, "a")).unwrap().as_deref(), Some("b"));
}

#[tokio::test]
async fn a_task_that_is_opened_again_is_found_by_its_number_and_holds_its_instance() {
    let (_kept, ledger) = fresh();
    let id = submit(&ledger, sample(1), 10).await.unwrap();
    let claimed = ledger.write(|tx| claim_tasks(tx, Millis(10), Millis(30), 9)).await.unwrap();
    let journal: &dyn Journal<World> = &ledger;
    let stuck = End::Stuck { code: "c".into(), message: "m".into() };
    journal.append(claimed[0].claim, record("a", Some(stuck)), vec![]).await.unwrap();
    let before = ledger.read(|r| task_and_flow(r, id)).unwrap().unwrap();
    assert!(before.1.is_stuck && before.0.result == TaskResult::Failed);
    let since = ledger.read(accepted).unwrap();
    assert_eq!(ledger.read(|r| accepted_since(r, 7, since)).unwrap(), []);

    let cursor = before.1.cursor.clone();
    let reopen = |cursor: Cursor| ledger.write(move |tx| reopen_task(tx, id, "{\"a\":2}", &cursor));
    assert_eq!(reopen(cursor.clone()).await.unwrap(), Some(2));
    assert!(reopen(cursor).await.is_err_and(|error| error.is_taken()), "it has its instance already");
    let found = ledger.read(|r| accepted_since(r, 7, since)).unwrap();
    let (task, flow) = &found[0];
    assert_eq!((task.id, task.result, task.ended_at, task.progress), (id, TaskResult::Waiting, None, 0.0));
    assert_eq!((task.started_at, task.message.as_str()), (before.0.started_at, ""));
    assert_eq!((flow.attempt, flow.is_stuck, flow.is_cancelled), (2, false, false));
    assert_eq!(ledger.read(|r| holder(r, &sample(1).id)).unwrap(), Some(id));
    assert_eq!(ledger.read(accepted).unwrap(), Accepted { reopened: 1, ..since });
}

#[tokio::test]
async fn a_commit_is_told_to_whoever_asked_before_it() {
    let (_kept, ledger) = fresh();
    let changed = ledger.changed();
    let version = ledger.version();
    ledger.write(|tx| set_meta_text(tx, "a", "b")).await.unwrap();
    changed.await;
    assert_ne!(ledger.version(), version);
}

#[tokio::test]
async fn parameters_are_kept_by_name_and_their_changes_recorded() {
    let (_kept, ledger) = fresh();
    let instance = sample(1);
    let id = instance.id.clone();
    let record = |name: &str, template: &str| ParamRecord {
        name: name.into(),
        before: "10".into(),
        after: "20".into(),
        status: ParamStatus::Changing,
        template: template.into(),
        modified_at: Millis(5_000),
    };
    let records = [record("hz", ""), record("timeout", "crs-cfg-1")];
    let of = id.clone();
    let written = ledger.write(move |tx| -> Result<()> {
        insert_instance(tx, &instance)?;
        set_param(tx, &of, "hz", Some("20"))?;
        set_param(tx, &of, "hz", Some("30"))?;
        set_param(tx, &of, "timeout", Some("20"))?;
        set_param(tx, &of, "timeout", None)?;
        records.iter().try_for_each(|record| insert_param_record(tx, &of, record))
    });
    written.await.unwrap();
    assert_eq!(ledger.read(|reader| params_of(reader, &id)).unwrap(), Params::from([("hz".into(), "30".into())]));
    assert_eq!(ledger.read(|reader| changing_params(reader, &id)).unwrap(), ["hz", "timeout"]);
    assert_eq!(ledger.read(|reader| applied_to(reader, "crs-cfg-1")).unwrap(), Some(id.clone()));
    let of = id.clone();
    ledger.write(move |tx| end_param_records(tx, &of, ParamStatus::Done)).await.unwrap();
    assert_eq!(ledger.read(|reader| applied_to(reader, "crs-cfg-1")).unwrap(), None);
    let (count, page) = ledger.read(|reader| param_records(reader, &id, 1, 0)).unwrap();
    let newest = ParamRecord { status: ParamStatus::Done, ..record("timeout", "crs-cfg-1") };
    assert_eq!((count, page), (2, vec![newest]));
    ledger.write(move |tx| delete_instance(tx, &id)).await.unwrap();
}

#[tokio::test]
async fn parameters_that_the_gateway_keeps_to_count_the_routing_table_on() {
    let (_kept, ledger) = fresh();
    let instance = sample(1);
    let id = instance.id.clone();
    ledger.write(move |tx| insert_instance(tx, &instance)).await.unwrap();
    let before = ledger.read(routes_version).unwrap();
    let of = id.clone();
    ledger.write(move |tx| set_param(tx, &of, "hz", Some("20"))).await.unwrap();
    assert_eq!(ledger.read(routes_version).unwrap(), before);
    for (name, value) in [("UserPasswordSeparate", ":"), ("timeout", "60")] {
        let (before, of) = (ledger.read(routes_version).unwrap(), id.clone());
        ledger.write(move |tx| set_param(tx, &of, name, Some(value))).await.unwrap();
        assert!(ledger.read(routes_version).unwrap() > before, "{name}");
    }
    assert_eq!(ledger.read(timeouts).unwrap(), [(id, "60".to_owned())].into());
}

#[tokio::test]
async fn a_certificate_takes_the_place_of_the_one_that_was_seen_alone() {
    let (_kept, ledger) = fresh();
    let instance = sample(1);
    let id = instance.id.clone();
    let of = id.clone();
    let open = move |tx: &mut dyn Tx| {
        insert_instance(tx, &instance)?;
        set_tls(tx, &instance.id, true)
    };
    ledger.write(open).await.unwrap();
    assert_eq!(ledger.read(|reader| tls_of(reader, &id)).unwrap(), Some(Certified::default()));
    let certify = |before: i64, serial: i64| {
        let (of, by) = (of.clone(), Certified { serial, names: "127.0.0.1".into(), ..Certified::default() });
        ledger.write(move |tx| certify(tx, &of, before, &by))
    };
    assert!(certify(0, 1).await.unwrap());
    assert!(!certify(0, 2).await.unwrap(), "another was first");
    let (of, again) = (id.clone(), id.clone());
    ledger.write(move |tx| set_tls(tx, &of, true)).await.unwrap();
    assert_eq!(ledger.read(|reader| tls_of(reader, &id)).unwrap().map(|by| by.serial), Some(1), "it is kept");
    ledger.write(move |tx| set_tls(tx, &again, false)).await.unwrap();
    assert!(!certify(1, 3).await.unwrap(), "TLS is closed");
    assert_eq!(ledger.read(all_tls).unwrap(), []);

    let authority = |name: &str| Authority { certificate: name.into(), key: vec![1] };
    for name in ["first", "second"] {
        ledger.write(move |tx| keep_authority(tx, &authority(name))).await.unwrap();
    }
    assert_eq!(ledger.read(crate::authority).unwrap(), Some(authority("first")));
}

#[tokio::test]
async fn a_template_is_its_accounts_own_and_is_replaced_whole() {
    let (_kept, ledger) = fresh();
    let mut template = Template {
        id: "crs-cfg-12345678".into(),
        account: 7,
        name: "mine".into(),
        description: String::new(),
        type_id: TypeId::parse(17).unwrap(),
        created_at: Millis(1_000),
        params: Params::from([("hz".into(), "20".into()), ("timeout".into(), "60".into())]),
    };
    for _ in 0..2 {
        let put = template.clone();
        ledger.write(move |tx| put_template(tx, &put)).await.unwrap();
        let found = ledger.read(|reader| crate::template(reader, 7, "crs-cfg-12345678")).unwrap();
        assert_eq!(found.as_ref(), Some(&template));
        template.params = Params::from([("hz".into(), "30".into())]);
        template.name = "still mine".into();
    }
    assert_eq!(ledger.read(|reader| crate::template(reader, 8, "crs-cfg-12345678")).unwrap(), None);
    assert_eq!(ledger.read(|reader| templates_of(reader, 7)).unwrap().len(), 1);
    ledger.write(|tx| delete_template(tx, "crs-cfg-12345678")).await.unwrap();
    assert!(ledger.read(|reader| templates_of(reader, 7)).unwrap().is_empty());
}
