//! Tells nodes what they were not told when they gave no answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ledger::all_nodes;
use model::NodeId;

use crate::cx::FlowCx;
use crate::fleet;

const LOOK_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    loop {
        match untold(&cx) {
            Ok(nodes) => drop(join_all(nodes.iter().map(|node| tell(&cx, node))).await),
            Err(error) => tracing::warn!(%error, "the nodes can't be read"),
        }
        cx.clock.sleep(LOOK_EVERY).await;
    }
}

fn untold(cx: &FlowCx) -> ledger::Result<Vec<NodeId>> {
    let nodes = cx.ledger.read(all_nodes)?;
    Ok(nodes.into_iter().filter(|node| node.unsaid > 0 && node.runs).map(|node| node.id).collect())
}

async fn tell(cx: &FlowCx, node: &NodeId) {
    match fleet::tell_again(cx, node).await {
        Ok(true) => tracing::info!(%node, "a node that had given no answer has been told how it is to be"),
        // It takes all from the ledger when it starts.
        Ok(false) => {}
        Err(error) => tracing::debug!(%node, %error, "a node can't be told yet"),
    }
}
