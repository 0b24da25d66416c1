//! Every flow through every fault at every step: repeated, failed, cancelled, killed before and after it is journalled,
//! its undo repeated and killed; tried again when it was undone. Whatever happens, the task ends, the instance is free,
//! the world is what the ledger wants, and a failed change has changed nothing.

mod checks;

use std::sync::atomic::{AtomicUsize, Ordering};

use flow::End;
use flow::harness::{Case, NoProbe, Point, Probe, Script, Verdict, every_case};
use ledger::{Instance, Ledger};
use model::{InstanceId, TaskId};
use serde_json::{Value, json};

use self::checks::*;
use super::site::{PASSWORD, Site};
use crate::flows::FLOWS;

/// One flow: what comes before it, what starts it, and how one sees whether it was done.
pub(super) struct Subject {
    pub(super) flow: &'static str,
    prepare: &'static [Request],
    pub(super) start: Request,
    check: fn(&Site, &Before, bool, &str),
}

/// An action, and its parameters besides the instance.
pub(super) type Request = (&'static str, fn(&Before) -> Value);

/// An instance with two replicas, as it was before the change.
pub(super) struct Before {
    id: InstanceId,
    instance: Instance,
    /// The primary, then its replicas.
    nodes: Vec<ledger::Node>,
}

impl Before {
    fn of(site: &Site, id: &InstanceId) -> Before {
        let (instance, nodes) = crate::fleet::load(&site.cx.ledger, id).unwrap();
        Before { id: id.clone(), instance, nodes }
    }
}

const NEW_PASSWORD: &str = "Staple-horse-2";

fn nothing(_: &Before) -> Value {
    json!({})
}

/// Sorted as the table of flows is.
pub(super) static SUBJECTS: &[Subject] = &[
    Subject {
        flow: "add-nodes",
        prepare: &[],
        start: ("UpgradeInstance", |_| json!({"MemSize": 1024, "RedisReplicasNum": 4})),
        check: |site, before, done, context| {
            let now = Before::of(site, &before.id);
            assert_eq!(now.instance.replicas, if done { 4 } else { 2 }, "{context}");
        },
    },
    Subject {
        flow: "open-wan",
        prepare: &[],
        start: ("AllocateWanAddress", nothing),
        check: |site, before, done, context| {
            assert_eq!(public_addresses(site, before), i64::from(done), "{context}: public addresses");
        },
    },
    Subject {
        flow: "promote-replica",
        prepare: &[],
        start: ("ChangeReplicaToMaster", |before| json!({"GroupId": before.nodes[2].group})),
        check: |site, before, done, context| check_primary(site, before, if done { 2 } else { 0 }, context),
    },
    Subject {
        flow: "delete-instance",
        prepare: &[("DestroyPostpaidInstance", nothing)],
        start: ("CleanUpInstance", nothing),
        check: |site, before, done, context| check_status(site, before, if done { None } else { Some(-3) }, context),
    },
    Subject {
        flow: "clear-data",
        prepare: &[],
        start: ("ClearInstance", |_| json!({"Password": PASSWORD})),
        check: |site, before, done, context| {
            let keys = site.world.data(&site.primary(&before.id)).unwrap();
            assert_eq!(keys.contains("kept"), !done, "{context}: the data");
        },
    },
    Subject {
        flow: "close-address",
        prepare: &[("AllocateWanAddress", nothing)],
        start: ("ReleaseWanAddress", nothing),
        check: |site, before, done, context| {
            assert_eq!(public_addresses(site, before), i64::from(!done), "{context}: public addresses");
        },
    },
    Subject { flow: "create-instance", prepare: &[], start: ("CreateInstances", nothing), check: |_, _, _, _| {} },
    Subject {
        flow: "isolate-instance",
        prepare: &[],
        start: ("DestroyPostpaidInstance", nothing),
        check: |site, before, done, context| {
            check_status(site, before, Some(if done { -3 } else { 2 }), context);
        },
    },
    Subject {
        flow: "kill-primary",
        prepare: &[],
        start: ("KillMasterGroup", |_| json!({"Password": PASSWORD})),
        check: |site, before, done, context| {
            let is_old = site.primary(&before.id) == before.nodes[0].id;
            assert_eq!(is_old, !done, "{context}: the primary");
        },
    },
    Subject {
        flow: "remove-nodes",
        prepare: &[],
        start: (
            "UpgradeInstance",
            |before| json!({"MemSize": 1024, "RedisReplicasNum": 1, "NodeSet": [{"NodeType": 1, "NodeId": before.nodes[2].number}]}),
        ),
        check: |site, before, done, context| {
            check_primary(site, before, 0, context);
            assert_eq!(Before::of(site, &before.id).nodes.len(), if done { 2 } else { 3 }, "{context}");
        },
    },
    Subject {
        flow: "remove-nodes",
        prepare: &[],
        start: ("UpgradeInstance", |before| {
            let leaving = [0, 1].map(|index| json!({"NodeType": 1, "NodeId": before.nodes[index].number}));
            json!({"MemSize": 1024, "RedisReplicasNum": 1, "NodeSet": [leaving[0]]})
        }),
        check: |site, before, done, context| {
            let now = Before::of(site, &before.id);
            let is_there = now.nodes.iter().any(|node| node.id == before.nodes[0].id);
            assert_eq!(is_there, !done, "{context}: the old primary");
            assert_eq!(site.primary(&before.id) == before.nodes[0].id, !done, "{context}: the primary");
        },
    },
    Subject {
        flow: "replace-nodes",
        prepare: &[],
        start: ("UpgradeInstanceVersion", |_| json!({"TargetInstanceType": "19", "SwitchOption": 2})),
        check: check_version,
    },
    Subject {
        flow: "replace-nodes",
        prepare: &[],
        start: ("UpgradeInstanceVersion", |_| json!({"TargetInstanceType": "19", "SwitchOption": 1})),
        check: check_version,
    },
    Subject {
        flow: "replace-nodes",
        prepare: &[],
        start: ("ModifyInstanceAvailabilityZones", |_| {
            json!({"SwitchOption": 2, "NodeSet": [
                {"NodeType": 0, "ZoneId": 100_002}, {"NodeType": 1, "ZoneId": 100_001}, {"NodeType": 1, "ZoneId": 100_003},
            ]})
        }),
        check: |site, before, done, context| {
            let now = Before::of(site, &before.id);
            let mut zones: Vec<_> = now.nodes.iter().map(|node| (node.number, node.zone)).collect();
            zones.sort_unstable();
            let wanted = if done { [100_002, 100_001, 100_003] } else { [100_001; 3] };
            let mut wanted: Vec<_> = before.nodes.iter().zip(wanted).map(|(node, zone)| (node.number, zone)).collect();
            wanted.sort_unstable();
            assert_eq!(zones, wanted, "{context}: the zones by the nodes' numbers");
            assert_eq!(now.instance.zone, if done { 100_002 } else { 100_001 }, "{context}");
        },
    },
    Subject {
        flow: "restart-params",
        prepare: &[],
        start: (
            "ModifyInstanceParams",
            |_| json!({"InstanceParams": [{"Key": "io-threads", "Value": "4"}, {"Key": "disable-command-list", "Value": "keys"}]}),
        ),
        check: |site, before, done, context| {
            check_param(site, before, "io-threads", if done { "4" } else { "1" }, context);
            let now = Before::of(site, &before.id);
            assert_eq!(now.nodes[0].id == before.nodes[0].id, !done, "{context}: the primary");
            assert_eq!(now.nodes.len(), 3, "{context}: the nodes");
        },
    },
    Subject {
        flow: "rotate-password",
        prepare: &[],
        start: ("RotatePassword", |_| json!({"Password": NEW_PASSWORD, "OverlapSeconds": 600})),
        check: |site, before, done, context| {
            for (password, works) in [(NEW_PASSWORD, done), (PASSWORD, !done)] {
                assert_eq!(site.has_password(&before.id, password), works, "{context}: {password}");
            }
        },
    },
    Subject {
        flow: "start-up",
        prepare: &[("DestroyPostpaidInstance", nothing)],
        start: ("StartupInstance", nothing),
        check: |site, before, done, context| {
            check_status(site, before, Some(if done { 2 } else { -3 }), context);
        },
    },
    Subject {
        flow: "set-access",
        prepare: &[],
        start: ("ResetPassword", |_| json!({"Password": NEW_PASSWORD})),
        check: |site, before, done, context| {
            let wanted = if done { NEW_PASSWORD } else { PASSWORD };
            assert!(site.has_password(&before.id, wanted), "{context}: the password");
        },
    },
    Subject {
        flow: "set-access",
        prepare: &[],
        start: ("ModifyInstanceAccount", |_| json!({"AccountName": "root", "NoAuth": true, "Remark": "everybody's"})),
        check: |site, before, done, context| {
            assert_eq!(Before::of(site, &before.id).instance.no_auth, done, "{context}");
            let root = site.cx.ledger.read(|reader| ledger::root(reader, &before.id)).unwrap().unwrap();
            assert_eq!(root.remark, if done { "everybody's" } else { "" }, "{context}");
        },
    },
    Subject {
        flow: "set-account",
        prepare: &[],
        start: ("CreateInstanceAccount", |_| account("rw")),
        check: |site, before, done, context| check_account(site, before, done.then_some("rw"), context),
    },
    Subject {
        flow: "set-account",
        prepare: &[("CreateInstanceAccount", |_| account("rw"))],
        start: (
            "ModifyInstanceAccount",
            |_| json!({"AccountName": "ann", "AccountPassword": NEW_PASSWORD, "Privilege": "r"}),
        ),
        check: |site, before, done, context| {
            check_account(site, before, Some(if done { "r" } else { "rw" }), context);
        },
    },
    Subject {
        flow: "set-account",
        prepare: &[("CreateInstanceAccount", |_| account("r"))],
        start: ("DeleteInstanceAccount", |_| json!({"AccountName": "ann"})),
        check: |site, before, done, context| check_account(site, before, (!done).then_some("r"), context),
    },
    Subject {
        flow: "set-memory",
        prepare: &[],
        start: ("UpgradeInstance", |_| json!({"MemSize": 4096})),
        check: |site, before, done, context| {
            let now = Before::of(site, &before.id).instance.memory_mb;
            assert_eq!(now, if done { 4096 } else { 1024 }, "{context}: the memory");
        },
    },
    Subject {
        flow: "set-limits",
        prepare: &[],
        start: ("ModifyConnectionConfig", |_| json!({"ClientLimit": 20000, "Bandwidth": 100})),
        check: |site, before, done, context| {
            let now = Before::of(site, &before.id).instance;
            let wanted = if done { (Some(20_000), Some(800)) } else { (None, None) };
            assert_eq!((now.client_limit, now.bandwidth_mbit), wanted, "{context}");
        },
    },
    Subject {
        flow: "set-params",
        prepare: &[],
        start: ("ModifyInstanceParams", |_| {
            json!({"InstanceParams": [
                {"Key": "hz", "Value": "50"},
                {"Key": "disable-command-list", "Value": "keys"},
                {"Key": "UserPasswordSeparate", "Value": ":"},
            ]})
        }),
        check: |site, before, done, context| {
            check_param(site, before, "hz", if done { "50" } else { "10" }, context);
            check_primary(site, before, 0, context);
        },
    },
    Subject {
        flow: "set-read-only",
        prepare: &[],
        start: ("ModifyInstanceReadOnly", |_| json!({"InputMode": "1"})),
        check: |site, before, done, context| {
            assert_eq!(Before::of(site, &before.id).instance.read_only, done, "{context}");
        },
    },
    Subject {
        flow: "set-replica-reads",
        prepare: &[],
        start: ("EnableReplicaReadonly", nothing),
        check: |site, before, done, context| check_readers(site, before, if done { 2 } else { 0 }, context),
    },
    Subject {
        flow: "set-replica-reads",
        prepare: &[("EnableReplicaReadonly", nothing)],
        start: ("DisableReplicaReadonly", nothing),
        check: |site, before, done, context| check_readers(site, before, if done { 0 } else { 2 }, context),
    },
    Subject {
        flow: "set-tls",
        prepare: &[],
        start: ("OpenSSL", nothing),
        check: |site, before, done, context| check_tls(site, before, done, context),
    },
    Subject {
        flow: "set-tls",
        prepare: &[("OpenSSL", nothing)],
        start: ("CloseSSL", nothing),
        check: |site, before, done, context| check_tls(site, before, !done, context),
    },
    Subject {
        flow: "set-address",
        prepare: &[],
        start: ("ModifyNetworkConfig", |_| json!({"Operation": "changeVip", "Vip": "127.88.9.9", "Recycle": 7})),
        check: |site, before, done, context| check_moved(site, before, done, done, context),
    },
    Subject {
        flow: "set-address",
        prepare: &[],
        start: ("ModifyNetworkConfig", |_| json!({"Operation": "changeVip", "Vip": "127.88.9.9"})),
        check: |site, before, done, context| check_moved(site, before, done, false, context),
    },
    Subject {
        flow: "cut-over",
        prepare: &[("UpgradeInstanceVersion", |_| json!({"TargetInstanceType": "19", "SwitchOption": 1}))],
        start: ("SwitchAccessNewInstance", nothing),
        // The task that looks on may fail; the change itself goes on.
        check: |site, before, _, context| check_version(site, before, true, context),
    },
    Subject {
        flow: "swap-addresses",
        prepare: &[("CreateInstances", |_| super::site::order())],
        start: ("SwitchInstanceVip", nothing),
        check: |site, before, done, context| {
            let now = Before::of(site, &before.id).instance;
            assert_eq!(now.vip != before.instance.vip, done, "{context}: the address");
            let all = site.cx.ledger.read(ledger::all_instances).unwrap();
            assert_eq!(all.len(), 2, "{context}");
            assert!(all.iter().any(|other| other.vip == before.instance.vip), "{context}: it is nobody's");
        },
    },
    Subject {
        flow: "renew-gateway",
        prepare: &[],
        start: ("UpgradeProxyVersion", |_| {
            let release = crate::cx::GATEWAY_RELEASE;
            json!({"CurrentProxyVersion": FORMER, "UpgradeProxyVersion": release, "InstanceTypeUpgradeNow": 1})
        }),
        check: |site, _, done, context| {
            let is_former = site.gateway.former.lock().unwrap().is_some();
            // A step that fails after its work, before the pivot, leaves it done.
            assert!(!(done && is_former), "{context}: the gateway");
        },
    },
    Subject {
        flow: "renew-gateway",
        prepare: &[],
        start: ("SwitchProxy", nothing),
        check: |site, _, done, context| {
            let replaced = site.gateway.replaced.load(Ordering::Relaxed);
            assert!(!done || replaced > 0, "{context}: the gateway was not replaced");
        },
    },
];

/// A release of the gateway before this one.
const FORMER: &str = "0.0.9";

fn account(privilege: &str) -> Value {
    json!({
        "AccountName": "ann", "AccountPassword": PASSWORD, "Privilege": privilege, "ReadonlyPolicy": ["master"],
    })
}

#[test]
fn every_flow_is_a_subject() {
    let mut subjects: Vec<_> = SUBJECTS.iter().map(|subject| subject.flow).collect();
    subjects.dedup();
    assert_eq!(subjects, FLOWS.iter().map(|flow| flow.name).collect::<Vec<_>>());
}

/// A thread for each processor: it takes a minute of one.
#[test]
fn whatever_happens_at_any_step_of_any_flow_it_is_all_or_nothing() {
    let (next, cases) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        while let Some(subject) = SUBJECTS.get(next.fetch_add(1, Ordering::Relaxed)) {
            cases.fetch_add(tokio.block_on(check_all(subject)), Ordering::Relaxed);
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(work);
        }
    });
    let cases = cases.into_inner();
    assert!(cases > 600, "only {cases} cases: does the harness still see every step?");
}

async fn check_all(subject: &'static Subject) -> usize {
    let flow = FLOWS.iter().find(|flow| flow.name == subject.flow).unwrap();
    let cases = every_case(flow.name, &flow.steps());
    for case in &cases {
        let context = format!("{} by {}: {}", flow.name, subject.start.0, case.name);
        check(subject, case, &context).await;
    }
    cases.len()
}

async fn check(subject: &'static Subject, case: &Case, context: &str) {
    let started = Started::of(subject).await;
    let (site, task) = (&started.site, started.task);
    let end = started.settle(&Cancelling { script: &case.script, ledger: &site.cx.ledger, task }, context).await;
    assert!(case.script.is_spent(), "{context}: the fault did not happen");
    assert_eq!(end == End::Done, case.ends_done, "{context}: {end:?}");
    started.check(case.ends_done, context);
    if !case.is_retried {
        return;
    }
    let retried = site.call("RetryTask", json!({"TaskId": task.0})).await;
    if site.status(&started.id).is_none() {
        assert_eq!(retried.unwrap_err().code, "ResourceUnavailable.InstanceDeleted", "{context}");
        return;
    }
    assert_eq!(retried.unwrap()["Attempt"], 2, "{context}");
    assert_eq!(started.settle(&NoProbe, context).await, End::Done, "{context}, tried again");
    started.check(true, &format!("{context}, tried again"));
}

/// A site on which the task of a subject has been accepted.
pub(super) struct Started {
    subject: &'static Subject,
    pub(super) site: Site,
    pub(super) id: InstanceId,
    pub(super) task: TaskId,
    /// None where the instance is only being made.
    before: Option<Before>,
}

impl Started {
    pub(super) async fn of(subject: &'static Subject) -> Started {
        let site = Site::new();
        if subject.start.0 == "CreateInstances" {
            let id = site.order().await;
            return Started { subject, task: site.last_task(), site, id, before: None };
        }
        let id = site.create_with(2).await;
        site.world.write_key(&site.primary(&id), "kept").unwrap();
        let before = Before::of(&site, &id);
        for (action, params) in subject.prepare {
            start(&site, action, params(&before), &id).await;
            site.settle(&NoProbe).await;
        }
        site.open_window(&id).await;
        *site.gateway.former.lock().unwrap() = Some(FORMER);
        start(&site, subject.start.0, (subject.start.1)(&before), &id).await;
        Started { subject, task: site.last_task(), site, id, before: Some(before) }
    }

    /// Drives all tasks to their ends, and answers that of the subject's own.
    pub(super) async fn settle(&self, probe: &dyn Probe, context: &str) -> End {
        let mut ends = self.site.settle(probe).await;
        if ends.is_empty() {
            // What it waits for comes.
            self.site.call("AdvanceClock", json!({"Seconds": 3600})).await.unwrap();
            ends = self.site.settle(probe).await;
        }
        if self.subject.flow == "cut-over" && ends.len() > 1 {
            // That of the task that does the work.
            let done = ends.iter().position(|end| *end == End::Done);
            ends.remove(done.unwrap_or_else(|| panic!("{context}: {ends:?}")));
        }
        assert_eq!(ends.len(), 1, "{context}: {ends:?}");
        ends.remove(0)
    }

    /// What must be true at the end.
    pub(super) fn check(&self, done: bool, context: &str) {
        let (site, subject) = (&self.site, self.subject);
        site.assert_settled(context);
        let Some(before) = &self.before else {
            assert_eq!(site.status(&self.id), done.then_some(2), "{context}");
            return;
        };
        let is_cleared = subject.flow == "clear-data" || site.status(&self.id).is_none();
        if !is_cleared {
            let keys = site.world.data(&site.primary(&self.id)).unwrap();
            assert!(keys.contains("kept"), "{context}: the data is lost");
        }
        (subject.check)(site, before, done, context);
    }
}

/// A script whose cancellations reach the ledger.
struct Cancelling<'a> {
    script: &'a Script,
    ledger: &'a Ledger,
    task: TaskId,
}

impl Probe for Cancelling<'_> {
    fn at(&self, point: Point) -> Verdict {
        let verdict = self.script.at(point);
        if verdict == Verdict::Cancel {
            let task = self.task;
            let written = self.ledger.write(move |tx| ledger::cancel_task(tx, task));
            // The ledger has a thread of its own, so that one may wait for it here.
            let waited = std::thread::scope(|scope| scope.spawn(|| block_on(written)).join());
            waited.unwrap().unwrap();
        }
        verdict
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

async fn start(site: &Site, action: &str, mut params: Value, id: &InstanceId) {
    if action == "SwitchInstanceVip" {
        let all = site.cx.ledger.read(ledger::all_instances).unwrap();
        let other = all.iter().find(|other| other.id != *id).unwrap();
        params = json!({"SrcInstanceId": id.as_str(), "DstInstanceId": other.id.as_str()});
    } else if action != "CreateInstances" {
        params["InstanceId"] = json!(id.as_str());
    }
    site.call(action, params).await.unwrap_or_else(|error| panic!("{action}: {error}"));
}

/// A ledger may hold tasks of an older binary: a step that such a task may be at is never renamed or taken away.
#[test]
fn the_golden_list_of_steps_is_the_table_of_flows() {
    let golden = include_str!("../../../../api/flows.txt");
    let mut lines =
        vec!["# Flows and their steps, as journals keep them. Lines are added, never changed or removed.".to_owned()];
    for flow in FLOWS {
        for step in flow.steps() {
            let undo = if step.can_undo { " undo" } else { "" };
            let pivot = if step.pivot { " pivot" } else { "" };
            lines.push(format!("{}/{}{undo}{pivot}", flow.name, step.name));
        }
    }
    let now = lines.join("\n") + "\n";
    assert!(golden == now, "api/flows.txt should be:\n{now}");
}
