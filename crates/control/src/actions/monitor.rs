//! What was asked of instances, and how long it took: seen by the gateway, and by nodes in their slow logs.

pub(crate) mod describe_instance_monitor_big_key;
pub(crate) mod describe_instance_monitor_big_key_size_dist;
pub(crate) mod describe_instance_monitor_big_key_type_dist;
pub(crate) mod describe_instance_monitor_hot_key;
pub(crate) mod describe_instance_monitor_sip;
pub(crate) mod describe_instance_monitor_took_dist;
pub(crate) mod describe_instance_monitor_top_n_cmd;
pub(crate) mod describe_instance_monitor_top_n_cmd_took;
pub(crate) mod describe_proxy_slow_log;
pub(crate) mod describe_slow_log;
pub(crate) mod describe_tendis_slow_log;

use std::cmp::Reverse;

use model::{ApiError, CommandCounts, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::errors::Fault;
use crate::sight::Seen;

/// How many rows are shown at the most.
const TOP: usize = 20;

/// Of which instance, and how far back.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SpanRequest {
    /// The instance.
    instance_id: String,
    /// 1: now, which is the last minute or two; 2: the last 30 minutes; 3: the last 6 hours; 4: the last 24 hours.
    span_type: i64,
}

/// A step of a ladder.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DelayDistribution {
    /// The longest time that belongs to the step, in milliseconds; -1 is whatever is longer than the others.
    ladder: i64,
    /// How many commands belong to it.
    size: i64,
    /// The end of the time that was counted, in Unix seconds.
    updatetime: i64,
}

/// The commands of which there was most of something, most first.
fn top(seen: &Seen, of: fn(&CommandCounts) -> u64) -> impl Iterator<Item = (String, i64)> {
    let mut all: Vec<(String, u64)> = seen.counts.commands.iter().map(|(name, c)| (name.clone(), of(c))).collect();
    all.sort_by_key(|(_, much)| Reverse(*much));
    all.into_iter().take(TOP).map(|(name, much)| (name, i64::try_from(much).unwrap_or(i64::MAX)))
}

/// Big keys are not looked for: the API has given that up.
fn big_keys_are_offline() -> Fault {
    let (en, zh) = (
        "Big keys are not analysed any more by this API. MEMORY USAGE and `redis-cli --bigkeys` find them.",
        "该接口已下线，不再提供大Key分析，可使用 MEMORY USAGE 或 redis-cli --bigkeys。",
    );
    ApiError::new(code::ActionOffline, en, zh).into()
}
