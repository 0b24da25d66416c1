//! Tells which keys of an instance are asked for most often, as the gateway sees it.

use std::time::Duration;

use ledger::Instance;
use model::{HotKey, NodeRole};
use schemars::JsonSchema;
use serde::Serialize;

use super::{SpanRequest, TOP};
use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::Answer;
use crate::sight::{Span, seen};
use crate::spec;

/// The keys.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The first 20, the most frequent first; with SpanType 1 those of the last five to ten seconds.
    data: Vec<HotKeyInfo>,
}

/// A key.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HotKeyInfo {
    /// The key; of a long one the first 128 bytes.
    key: String,
    /// What it is now: string, hash and so on; empty where it is gone, or that can't be told.
    r#type: String,
    /// About how often it was asked for: where much is asked, a part of it is counted for all.
    count: i64,
}

pub(crate) struct DescribeInstanceMonitorHotKey;

/// How long the primary may take to tell the types.
const ASKED_FOR: Duration = Duration::from_secs(1);

impl Action for DescribeInstanceMonitorHotKey {
    const NAME: &'static str = "DescribeInstanceMonitorHotKey";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = SpanRequest;
    type Response = Response;

    async fn call(call: &Call, request: SpanRequest) -> Answer<Response> {
        let span = Span::read(request.span_type)?;
        let instance = call.instance(&request.instance_id)?;
        let mut hot = seen(call, &instance.id, span).await?.hot;
        hot.truncate(TOP);
        let mut types = types(call, &instance, &hot).await?.into_iter();
        let show = |hot: HotKey| HotKeyInfo {
            key: hot.key,
            r#type: types.next().filter(|name| name != "none").unwrap_or_default(),
            count: i64::try_from(hot.count).unwrap_or(i64::MAX),
        };
        Ok(Response { data: hot.into_iter().map(show).collect() })
    }
}

/// What the primary says that the keys are; nothing where it gives no answer.
async fn types(call: &Call, instance: &Instance, hot: &[HotKey]) -> Answer<Vec<String>> {
    let nodes = call.read(|reader| ledger::members_of(reader, &instance.id))?;
    let primary = nodes.iter().find(|node| node.role == NodeRole::Primary && node.runs);
    let Some(primary) = primary.filter(|_| !hot.is_empty()) else { return Ok(Vec::new()) };
    let peer = spec::peer(&call.cx.sealer, instance, primary)?;
    let keys: Vec<(u32, String)> = hot.iter().map(|hot| (hot.database, hot.key.clone())).collect();
    Ok(tokio::select! {
        said = call.cx.nodes.key_types(&peer, &keys) => said.unwrap_or_default(),
        () = call.cx.clock.sleep(ASKED_FOR) => Vec::new(),
    })
}
