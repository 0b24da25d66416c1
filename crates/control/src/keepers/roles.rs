//! Looks after the roles of instances that no task has: what a switch that was broken off has left is put right, and how
//! far each primary is, is noted, against which a successor is judged.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ledger::{all_instances, all_nodes};
use model::{InstanceId, NodeRole};

use crate::cx::FlowCx;
use crate::fleet;

/// How often primaries are asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// At every so many of those looks replicas are asked too.
const REPLICAS_AT: u64 = 10;
/// How many instances are looked at side by side.
const AT_ONCE: usize = 8;
/// How long a look may take.
const LOOK_FOR: Duration = Duration::from_secs(5);

pub(super) async fn keep(cx: Arc<FlowCx>) {
    for look in 0_u64.. {
        let ids = match replicated(&cx) {
            Ok(ids) => ids,
            Err(error) => {
                tracing::warn!(%error, "the instances can't be read");
                Vec::new()
            }
        };
        let with_replicas = look % REPLICAS_AT == 0;
        for some in ids.chunks(AT_ONCE) {
            join_all(some.iter().map(|id| look_at(&cx, id, with_replicas))).await;
        }
        cx.roles.forget(&|id| ids.contains(id));
        cx.clock.sleep(LOOK_EVERY).await;
    }
}

async fn look_at(cx: &FlowCx, id: &InstanceId, with_replicas: bool) {
    let looked = tokio::select! {
        looked = fleet::keep_roles(cx, id, with_replicas) => looked,
        () = cx.clock.sleep(LOOK_FOR) => return,
    };
    if let Err(error) = looked {
        tracing::debug!(instance = %id, %error, "the roles can't be looked at now");
    }
}

/// Open instances with more than one node.
fn replicated(cx: &FlowCx) -> ledger::Result<Vec<InstanceId>> {
    let (instances, nodes) = cx.ledger.read(|reader| Ok((all_instances(reader)?, all_nodes(reader)?)))?;
    let followed: std::collections::HashSet<&InstanceId> =
        nodes.iter().filter(|node| node.role == NodeRole::Replica && node.runs).map(|node| &node.instance).collect();
    let open = instances.iter().filter(|instance| instance.is_open && followed.contains(&instance.id));
    Ok(open.map(|instance| instance.id.clone()).collect())
}
