//! Asks the gateway once a minute what it has seen, and keeps the sums of minutes and hours, and slow commands. An
//! instance that nothing was asked of since costs nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ledger::{SightKind, Tx};
use model::{HOT_KEYS, InstanceId, Millis, Sight, hottest};

use crate::cx::FlowCx;
use crate::sight::{
    HOUR, HOURS_KEPT, Last, MINUTE, MINUTES_KEPT, SLOW_KEPT, Seen, begin_of, last, read_body, slow_of_gateway,
    write_body,
};
use crate::slow::slow_of_nodes;

/// How long after the minute is over it is asked: by then every loop has seen that it is.
const AFTER_THE_MINUTE: Duration = Duration::from_secs(2);
/// The gateway looks at its clock about once a second: what it saw just before it was asked is asked for again.
const ONCE_MORE: Duration = Duration::from_secs(5);
/// Of how many instances the nodes are asked at a time, and is written in one transaction.
const AT_ONCE: usize = 16;

pub(super) async fn keep(cx: Arc<FlowCx>) {
    let mut after = Millis(0);
    loop {
        let now = cx.clock.now();
        let next = begin_of(now, MINUTE) + MINUTE + AFTER_THE_MINUTE;
        cx.clock.sleep(next.since(now)).await;
        match look(&cx, after).await {
            Ok(taken_at) => after = taken_at.max(after + ONCE_MORE) - ONCE_MORE,
            Err(error) => tracing::info!(error, "what the gateway has seen can't be kept now"),
        }
    }
}

/// Looks once at what was seen after a moment, and answers when that was told; both by the gateway's clock.
pub(crate) async fn look(cx: &Arc<FlowCx>, after: Millis) -> Result<Millis, String> {
    let sights = cx.gateway.sights(after).await?;
    let taken_at = sights.values().map(|sight| sight.taken_at).max().unwrap_or(after);
    let now = cx.clock.now();
    let all: Vec<(InstanceId, Sight)> = sights.into_iter().collect();
    for some in all.chunks(AT_ONCE) {
        let asked = join_all(some.iter().map(|(instance, _)| slow_of_nodes(cx, instance))).await;
        let mut told = Vec::with_capacity(some.len());
        for ((instance, sight), of_nodes) in some.iter().zip(asked) {
            let slow = slow_of_gateway(cx, sight).map_err(|error| error.to_string())?;
            let of_nodes = of_nodes.map_err(|error| error.to_string())?;
            told.push((instance.clone(), sight.clone(), slow, of_nodes));
        }
        let written = cx.ledger.write(move |tx| -> ledger::Result<()> {
            for (instance, sight, slow, of_nodes) in &told {
                // It may be gone by now.
                if ledger::instance(tx.reader(), instance)?.is_some() {
                    note(tx, instance, sight, now)?;
                    for (of_gateway, rows) in [(true, slow), (false, of_nodes)] {
                        ledger::put_slow(tx, instance, of_gateway, rows)?;
                        ledger::cap_slow(tx, instance, of_gateway, SLOW_KEPT)?;
                    }
                }
            }
            Ok(())
        });
        written.await.map_err(|error| error.to_string())?;
    }
    let forgotten = cx.ledger.write(move |tx| {
        // A minute more, since one that began before a span may have ended in it.
        ledger::forget_sights(tx, now - MINUTES_KEPT - MINUTE, now - HOURS_KEPT, now - HOURS_KEPT)
    });
    forgotten.await.map_err(|error| error.to_string())?;
    Ok(taken_at)
}

/// Adds what was seen since the last look to the minute that is just over, and to its hour.
fn note(tx: &mut dyn Tx, instance: &InstanceId, sight: &Sight, now: Millis) -> ledger::Result<()> {
    let last = last(tx.reader(), instance)?;
    let minutes = sight.hot_minutes.iter().filter(|minute| last.since != sight.since || minute.minute > last.minute);
    let newest = minutes.clone().map(|minute| minute.minute).max();
    let seen = Seen {
        counts: last.until(sight),
        hot: hottest(minutes.flat_map(|minute| minute.keys.iter().cloned()), HOT_KEYS),
    };
    if seen.is_empty() {
        return Ok(());
    }
    let over = now - MINUTE / 2;
    for (kind, step) in [(SightKind::Minute, MINUTE), (SightKind::Hour, HOUR)] {
        let at = begin_of(over, step);
        let mut sum: Seen = match ledger::sight_at(tx.reader(), instance, kind, at)? {
            Some(body) => read_body(&body)?,
            None => Seen::default(),
        };
        sum.add(&seen);
        ledger::put_sight(tx, instance, kind, at, &write_body(&sum)?)?;
    }
    let is_same = last.since == sight.since;
    let minute = newest.unwrap_or(if is_same { last.minute } else { 0 });
    let last = Last { since: sight.since, counts: sight.counts.clone(), minute };
    ledger::put_sight(tx, instance, SightKind::Last, Millis(0), &write_body(&last)?)
}
