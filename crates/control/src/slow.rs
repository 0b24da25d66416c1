//! Slow commands: those that nodes have in their logs now, those that the keeper of sights has put into the ledger, and how
//! both are asked for and shown.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use ledger::{Instance, Node, SlowRow};
use model::{InstanceId, Millis, NodeRole};

use crate::action::Call;
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value};
use crate::nodes::SlowEntry;
use crate::sight::{SlowBody, read_body, write_body};
use crate::{spec, when};

/// How long a node may take to tell its slow log.
const ASKED_FOR: Duration = Duration::from_secs(2);
/// The longest time that can be asked for.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// More hits are counted, and not shown.
const SHOWN: usize = 10_000;

/// Commands that customers can't run: what the service itself says to nodes, and nodes to each other; and sign-ins, which
/// are of both, and hold a secret.
const LEFT_OUT: [&str; 21] = [
    "acl",
    "auth",
    "bgrewriteaof",
    "bgsave",
    "cluster",
    "config",
    "debug",
    "failover",
    "hello",
    "lastsave",
    "latency",
    "migrate",
    "module",
    "monitor",
    "psync",
    "replconf",
    "replicaof",
    "save",
    "shutdown",
    "slowlog",
    "sync",
];

/// Which slow commands are asked for.
pub(crate) struct Query {
    pub(crate) from: Millis,
    pub(crate) before: Millis,
    least_micros: i64,
    limit: usize,
    offset: usize,
}

impl Query {
    /// Reads the parameters that the actions share.
    pub(crate) fn read(
        call: &Call,
        begin: &str,
        end: &str,
        least_ms: Option<i64>,
        limit: Option<i64>,
        offset: Option<i64>,
    ) -> Answer<Query> {
        let time = |parameter: &str, text: &str| {
            when::read(text, call.cx.settings.utc_offset_seconds).ok_or_else(|| {
                bad_value(parameter, "a time is written as 2026-11-24 08:00:00", "时间格式为 2026-11-24 08:00:00")
            })
        };
        let (from, end) = (time("BeginTime", begin)?, time("EndTime", end)?);
        if from > end {
            return Err(bad_value("BeginTime", "it is after EndTime", "晚于 EndTime"));
        }
        if end.since(from) > LONGEST {
            return Err(bad_value("EndTime", "it is more than 30 days after BeginTime", "与 BeginTime 的间隔超过30天"));
        }
        let least_ms @ 0.. = least_ms.unwrap_or(0) else {
            return Err(bad_value("MinQueryTime", "it must be 0 or more", "不能小于0"));
        };
        let Ok(limit @ 1..=100) = usize::try_from(limit.unwrap_or(20)) else {
            return Err(bad_value("Limit", "it must be 1 to 100", "须为1至100"));
        };
        let Ok(offset) = usize::try_from(offset.unwrap_or(0)) else {
            return Err(bad_value("Offset", "it must be 0 or more", "不能小于0"));
        };
        // Times are whole seconds to the outside: the second of EndTime belongs to it whole.
        let before = end + Duration::from_secs(1);
        Ok(Query { from, before, least_micros: least_ms.saturating_mul(1000), limit, offset })
    }

    /// What fits of all these, each once: how many there are, and the page, the newest first.
    pub(crate) fn page(
        &self,
        rows: impl IntoIterator<Item = SlowRow>,
        fits: impl Fn(&SlowBody) -> bool,
    ) -> ledger::Result<(i64, Vec<(SlowRow, SlowBody)>)> {
        let mut all = BTreeMap::new();
        for row in rows {
            let is_asked_for = row.at >= self.from && row.at < self.before && row.micros >= self.least_micros;
            if is_asked_for {
                all.insert((row.source.clone(), row.run, row.number), row);
            }
        }
        let mut found = Vec::new();
        for row in all.into_values() {
            let body: SlowBody = read_body(&row.body)?;
            if fits(&body) {
                found.push((row, body));
            }
        }
        found.sort_by_key(|(row, _)| std::cmp::Reverse((row.at, row.run, row.number)));
        let count = found.len();
        let shown =
            if count > SHOWN { Vec::new() } else { found.into_iter().skip(self.offset).take(self.limit).collect() };
        Ok((i64::try_from(count).unwrap_or(i64::MAX), shown))
    }
}

/// A slow command, as answers show it.
pub(crate) struct Shown {
    /// In milliseconds.
    pub(crate) duration: i64,
    pub(crate) client: String,
    pub(crate) command: String,
    pub(crate) command_line: String,
    pub(crate) execute_time: String,
    pub(crate) node: String,
}

/// Shows a slow command.
pub(crate) fn show(call: &Call, (row, body): (SlowRow, SlowBody)) -> Shown {
    Shown {
        duration: row.micros / 1000,
        client: body.client,
        command: body.arguments.first().cloned().unwrap_or_default(),
        command_line: body.arguments.join(" "),
        execute_time: when::write(row.at, call.cx.settings.utc_offset_seconds),
        node: row.source,
    }
}

/// What the logs of an instance's nodes have now. A node that gives no answer is left out.
pub(crate) async fn slow_of_nodes(cx: &FlowCx, id: &InstanceId) -> ledger::Result<Vec<SlowRow>> {
    let (instance, nodes) =
        cx.ledger.read(|reader| Ok((ledger::instance(reader, id)?, ledger::nodes_of(reader, id)?)))?;
    let Some(instance) = instance else { return Ok(Vec::new()) };
    let asked = nodes.iter().filter(|node| node.runs && !node.joins).map(|node| ask(cx, &instance, node));
    let mut rows = Vec::new();
    for said in join_all(asked).await.into_iter().flatten() {
        rows.extend(said?);
    }
    Ok(rows)
}

async fn ask(cx: &FlowCx, instance: &Instance, node: &Node) -> Option<ledger::Result<Vec<SlowRow>>> {
    let peer = spec::peer(&cx.sealer, instance, node).ok()?;
    let said = tokio::select! {
        said = cx.nodes.slow_log(&peer) => said,
        () = cx.clock.sleep(ASKED_FOR) => return None,
    };
    match said {
        Ok(entries) => Some(entries.into_iter().filter(is_customers).map(|entry| row(cx, node, entry)).collect()),
        Err(error) => {
            tracing::info!(node = %node.id, %error, "a node does not tell its slow log");
            None
        }
    }
}

fn is_customers(entry: &SlowEntry) -> bool {
    let command = entry.arguments.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    !LEFT_OUT.contains(&command.as_str())
}

fn row(cx: &FlowCx, node: &Node, entry: SlowEntry) -> ledger::Result<SlowRow> {
    let primary = node.role == NodeRole::Primary;
    let body = SlowBody { client: entry.client, primary, account: String::new(), arguments: entry.arguments };
    Ok(SlowRow {
        source: node.id.to_string(),
        run: node.epoch.0,
        number: entry.id,
        at: entry.at + cx.ahead(),
        micros: entry.micros,
        body: write_body(&body)?,
    })
}
