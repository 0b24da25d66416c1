//! What clients see of a planned switch, and of another gateway that takes the place of the one that runs.

use std::time::Duration;

use anyhow::Context;
use e2e::{Account, Writers};
use serde_json::json;

use super::report::Report;
use crate::figures::{errors, lost, millis_of, worst};
use crate::http::{Connection, REDIS};
use crate::service::Service;
use crate::target::{Outcome, Target};

/// Clients that write, each without any pause.
const WRITERS: usize = 50;
/// The longest time that one of them may have no answer.
const GAP_BOUND: f64 = 50.0;
/// What is answered to an action that is not built.
const NOT_BUILT: [&str; 2] = ["UnsupportedOperation", "InvalidAction"];

/// How often each change is made.
pub(super) struct Runs {
    pub(super) switches: usize,
    pub(super) replacements: usize,
}

pub(super) async fn switches(runs: usize, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let mut target = loaded(&service).await?;
    report.change("nothing, for 3 s", &[target.rest(Duration::from_secs(3)).await?]);
    let mut outcomes = Vec::new();
    for run in 1..=runs {
        let group = target.group_of_a_replica().await?;
        let request = json!({ "InstanceId": target.instance.id, "GroupId": group });
        let outcome = target.change(("ChangeReplicaToMaster", request)).await;
        outcomes.push(outcome.with_context(|| format!("ChangeReplicaToMaster, run {run}"))?);
    }
    let what = format!("planned switch, worst of {runs}");
    report.change(&what, &outcomes);
    unharmed("planned switch", &outcomes, report);
    let gaps = millis_of(accounts(&outcomes).map(|account| account.longest_gap));
    let is_reached = worst(&gaps) <= GAP_BOUND;
    let measured = format!("{:.1} ms", worst(&gaps));
    report.bound(&format!("{what}: the longest gap"), &measured, &format!("at most {GAP_BOUND} ms"), is_reached);
    report.runs("Planned switch, the longest gap of each run", &gaps);
    Ok(())
}

pub(super) async fn replacements(runs: usize, report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = Service::start(folder.path())?;
    let mut target = loaded(&service).await?;
    let request = json!({ "InstanceId": target.instance.id });
    let answer = Connection::open(service.addr).await?.answer_of(REDIS, service.addr, "SwitchProxy", &request).await?;
    let code = answer["Error"]["Code"].as_str().unwrap_or_default();
    if NOT_BUILT.iter().any(|not_built| code.starts_with(not_built)) {
        report.not_measured("gateway replaced: errors that clients saw", "0", "SwitchProxy is not built");
        report.not_measured("gateway replaced: acknowledged writes that are lost", "0", "SwitchProxy is not built");
        return Ok(());
    }
    target.settled().await.context("the first SwitchProxy, without load")?;
    let mut outcomes = Vec::new();
    for run in 1..=runs {
        let outcome = target.change(("SwitchProxy", request.clone())).await;
        outcomes.push(outcome.with_context(|| format!("SwitchProxy, run {run}"))?);
    }
    report.change(&format!("gateway replaced, worst of {runs}"), &outcomes);
    unharmed("gateway replaced", &outcomes, report);
    Ok(())
}

async fn loaded(service: &Service) -> anyhow::Result<Target<'_>> {
    let mut target = Target::create(service, 17).await?;
    target.load = |instance| Writers::start_many(instance, WRITERS, Duration::ZERO);
    Ok(target)
}

/// Holds them against none: no error of any kind, which a connection that has to be opened again is too, and no loss.
fn unharmed(what: &str, outcomes: &[Outcome], report: &mut Report) {
    let has_no_error = accounts(outcomes).all(|account| account.errors.is_empty());
    report.bound(&format!("{what}: errors that clients saw"), &errors(accounts(outcomes)), "0", has_no_error);
    let has_no_loss = accounts(outcomes).all(|account| account.missing == 0 && account.repeated == 0);
    let what = format!("{what}: acknowledged writes that are lost");
    report.bound(&what, &lost(accounts(outcomes)), "0", has_no_loss);
}

fn accounts(outcomes: &[Outcome]) -> impl Iterator<Item = &Account> {
    outcomes.iter().map(|outcome| &outcome.account)
}
