//! What the gateway has seen of instances, now and before: the sums of minutes and hours that the keeper of sights puts
//! into the ledger, and what the gateway tells when it is asked.
//!
//! The gateway counts on from its start. What it had counted when it was last asked is kept too, so that the difference is
//! what has happened since, whoever was restarted in between.

use std::time::Duration;

use ledger::{Reader, SightKind, SlowRow};
use model::{ApiError, Counts, HOT_KEYS, HotKey, InstanceId, LATENCY_STEPS, Millis, Sight, code, hottest};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::action::Call;
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
/// How long the sums of minutes are kept, those of hours, and slow commands.
pub(crate) const MINUTES_KEPT: Duration = Duration::from_secs(24 * 3600);
pub(crate) const HOURS_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many slow commands of an instance are kept, of the gateway and of its nodes each. More than are shown one by one.
pub(crate) const SLOW_KEPT: i64 = 12_000;

/// What was seen of an instance in some time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    #[serde(default)]
    pub(crate) counts: Counts,
    #[serde(default)]
    pub(crate) hot: Vec<HotKey>,
}

/// What the gateway had counted when it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Last {
    /// Which of its starts that was.
    pub(crate) since: Millis,
    pub(crate) counts: Counts,
    /// The last minute of which hot keys were kept.
    pub(crate) minute: i64,
}

/// A slow command, as its row in the ledger has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlowBody {
    pub(crate) client: String,
    /// Of a node: whether it was the primary then.
    #[serde(default)]
    pub(crate) primary: bool,
    /// As whom the client had signed in, where that is known.
    #[serde(default)]
    pub(crate) account: String,
    pub(crate) arguments: Vec<String>,
}

/// How far back one looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// The last minute or two.
    Now,
    HalfAnHour,
    SixHours,
    Day,
}

impl Span {
    /// Reads a SpanType.
    pub(crate) fn read(number: i64) -> Answer<Span> {
        match number {
            1 => Ok(Span::Now),
            2 => Ok(Span::HalfAnHour),
            3 => Ok(Span::SixHours),
            4 => Ok(Span::Day),
            _ => Err(bad_value(
                "SpanType",
                "it is 1 (now), 2 (the last 30 minutes), 3 (6 hours) or 4 (24 hours)",
                "须为1（实时）、2（近30分钟）、3（近6小时）或4（近24小时）",
            )),
        }
    }

    pub(crate) fn length(self) -> Duration {
        match self {
            Span::Now => MINUTE,
            Span::HalfAnHour => 30 * MINUTE,
            Span::SixHours => 6 * HOUR,
            Span::Day => 24 * HOUR,
        }
    }
}

impl Seen {
    pub(crate) fn add(&mut self, other: &Seen) {
        self.counts.add(&other.counts);
        self.hot = hottest(std::mem::take(&mut self.hot).into_iter().chain(other.hot.iter().cloned()), HOT_KEYS);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hot.is_empty() && self.counts == Counts::default()
    }

    /// How many commands took so many milliseconds or less, and more than the step before; the last is all others.
    pub(crate) fn ladder(&self, steps: &[u32]) -> Vec<u64> {
        let mut sums = vec![0; steps.len() + 1];
        let ends = LATENCY_STEPS.iter().copied().chain([u32::MAX]);
        for (end, count) in ends.zip(&self.counts.latency) {
            sums[steps.partition_point(|step| step * 1000 < end)] += count;
        }
        sums
    }
}

impl Last {
    /// What has been counted since, by what is counted now.
    pub(crate) fn until(&self, sight: &Sight) -> Counts {
        let counts = if self.since == sight.since { sight.counts.after(&self.counts) } else { sight.counts.clone() };
        // Nothing is no steps.
        let latency = if counts.latency.iter().all(|count| *count == 0) { Vec::new() } else { counts.latency };
        Counts { latency, ..counts }
    }
}

/// What the gateway has seen of an instance, by its own clock.
pub(crate) async fn ask(cx: &FlowCx, instance: &InstanceId) -> Answer<Sight> {
    cx.gateway.sight(instance).await.map_err(|error| {
        tracing::info!(%instance, error, "the gateway can't be asked what it has seen");
        ApiError::new(
            code::FailedOperationRedoFlowFailed,
            "The gateway gives no answer now. Try again in a while.",
            "代理暂时无应答，请稍后重试。",
        )
        .into()
    })
}

/// What was seen of an instance in the span before now.
pub(crate) async fn seen(call: &Call, instance: &InstanceId, span: Span) -> Answer<Seen> {
    let sight = ask(&call.cx, instance).await?;
    let from = call.now - span.length();
    // A minute belongs to the span if any of it does.
    let (last, mut seen) = call.read(|reader| {
        Ok((last(reader, instance)?, kept(reader, instance, SightKind::Minute, from - MINUTE, call.now + MINUTE)?))
    })?;
    seen.counts.add(&last.until(&sight));
    seen.hot = match span {
        Span::Now => sight.hot,
        _ => hottest(seen.hot.into_iter().chain(sight.hot), HOT_KEYS),
    };
    Ok(seen)
}

/// What was seen of an instance in the span before a moment that is over.
pub(crate) fn seen_before(call: &Call, instance: &InstanceId, span: Span, end: Millis) -> Answer<Seen> {
    let from = end - span.length();
    let is_kept_by_minutes = from >= call.now - MINUTES_KEPT;
    let (kind, step) = if is_kept_by_minutes { (SightKind::Minute, MINUTE) } else { (SightKind::Hour, HOUR) };
    let first = begin_of(from, step);
    call.read(|reader| kept(reader, instance, kind, first, end))
}

/// The sum of what was kept from one moment on and before another.
fn kept(
    reader: &mut dyn Reader,
    instance: &InstanceId,
    kind: SightKind,
    from: Millis,
    before: Millis,
) -> ledger::Result<Seen> {
    let mut sum = Seen::default();
    for (_, body) in ledger::sights(reader, instance, kind, from, before)? {
        sum.add(&read_body(&body)?);
    }
    Ok(sum)
}

/// What the gateway had counted of an instance when it was last asked.
pub(crate) fn last(reader: &mut dyn Reader, instance: &InstanceId) -> ledger::Result<Last> {
    let body = ledger::sight_at(reader, instance, SightKind::Last, Millis(0))?;
    body.map_or_else(|| Ok(Last::default()), |body| read_body(&body))
}

pub(crate) fn read_body<T: for<'a> Deserialize<'a>>(body: &str) -> ledger::Result<T> {
    serde_json::from_str(body).map_err(|error| ledger::Error::Corrupt(error.to_string()))
}

pub(crate) fn write_body<T: Serialize>(body: &T) -> ledger::Result<String> {
    serde_json::to_string(body).map_err(|error| ledger::Error::Corrupt(error.to_string()))
}

/// The beginning of the minute, hour and the like that a moment is in.
pub(crate) fn begin_of(at: Millis, step: Duration) -> Millis {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    Millis(at.0.div_euclid(step) * step)
}

/// The slow commands that the gateway tells of, by the service's clock.
pub(crate) fn slow_of_gateway(cx: &FlowCx, sight: &Sight) -> ledger::Result<Vec<SlowRow>> {
    let (source, ahead) = (gateway_id(cx), cx.ahead());
    let row = |slow: &model::SlowCommand| {
        let body = SlowBody {
            client: slow.client.clone(),
            primary: false,
            account: slow.account.clone(),
            arguments: slow.arguments.clone(),
        };
        Ok(SlowRow {
            source: source.clone(),
            run: sight.since.0,
            number: i64::try_from(slow.id).unwrap_or(i64::MAX),
            at: slow.at + ahead,
            micros: i64::try_from(slow.micros).unwrap_or(i64::MAX),
            body: write_body(&body)?,
        })
    };
    sight.slow.iter().map(row).collect()
}

/// There is one gateway for all, under an id that this service keeps.
pub(crate) fn gateway_id(cx: &FlowCx) -> String {
    hex::encode(&Sha256::digest(format!("gateway {}", cx.pool_offset))[..20])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_of_milliseconds_is_made_of_finer_steps() {
        let latency = (1..=LATENCY_STEPS.len() as u64 + 1).collect();
        let seen = Seen { counts: Counts { latency, ..Counts::default() }, hot: Vec::new() };
        // Up to 1, 5, 10, 50 and 200 ms there are 5, 2, 1, 2 and 2 steps; 3 are beyond.
        assert_eq!(seen.ladder(&[1, 5, 10, 50, 200]), [15, 6 + 7, 8, 9 + 10, 11 + 12, 13 + 14 + 15]);
        assert_eq!(Seen::default().ladder(&[1]), [0, 0]);
    }

    #[test]
    fn a_gateway_that_was_restarted_has_counted_from_nothing() {
        let of = |since, inbound| Sight {
            since: Millis(since),
            counts: Counts { inbound, ..Counts::default() },
            ..Sight::default()
        };
        let last = Last { since: Millis(1), counts: of(1, 10).counts, minute: 0 };
        assert_eq!(last.until(&of(1, 15)).inbound, 5);
        assert_eq!(last.until(&of(2, 15)).inbound, 15);
        assert_eq!(last.until(&of(1, 3)).inbound, 0);
    }
}
