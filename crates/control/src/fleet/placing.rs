//! Nodes that come and go while an instance lives on.

use ledger::{Node, Write, count_on, write};
use model::{EngineVersion, Epoch, InstanceId, NodeId, NodeRole, TypeId};
use serde::{Deserialize, Serialize};

use super::FleetError;
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault};
use crate::placement::{Pools, choose_node_addr};

/// A node that is to join an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Newcomer {
    /// Its id.
    pub(crate) node: NodeId,
    /// The member whose place it takes in the end.
    pub(crate) replaces: Option<NodeId>,
    /// Where it is to be.
    pub(crate) zone: i64,
    /// The engine that it is to run.
    pub(crate) type_id: TypeId,
    /// The oldest version of that engine that may run it.
    pub(crate) version: EngineVersion,
}

impl Newcomer {
    pub(crate) fn ids(all: &[Newcomer]) -> Vec<NodeId> {
        all.iter().map(|newcomer| newcomer.node.clone()).collect()
    }
}

/// Gives newcomers a place. Those that have one keep it.
pub(crate) async fn place(cx: &FlowCx, id: &InstanceId, newcomers: &[Newcomer]) -> Result<(), FleetError> {
    let (pools, id, newcomers) = (Pools::of(cx), id.clone(), newcomers.to_vec());
    let placed = cx.ledger.write(move |tx| -> Answer<()> {
        let nodes = ledger::nodes_of(tx.reader(), &id)?;
        for newcomer in &newcomers {
            if nodes.iter().any(|node| node.id == newcomer.node) {
                continue;
            }
            let number = count_on(tx, "node_number", 1)?;
            let replaced = nodes.iter().find(|node| Some(&node.id) == newcomer.replaces.as_ref());
            let node = Node {
                id: newcomer.node.clone(),
                instance: id.clone(),
                number,
                group: replaced.map_or(number, |node| node.group),
                role: NodeRole::Replica,
                joins: true,
                type_id: newcomer.type_id,
                version: newcomer.version,
                zone: newcomer.zone,
                addr: choose_node_addr(&pools, tx)?,
                epoch: Epoch(1),
                runs: true,
                observed_epoch: None,
                observed_up: false,
                observed_version: None,
                observed_stream: None,
                streamed_epoch: Epoch(0),
                unsaid: 0,
            };
            ledger::insert_node(tx, &node)?;
        }
        Ok(())
    });
    placed.await.map_err(|fault| match fault {
        Fault::Ledger(error) => FleetError::Ledger(error),
        Fault::Api(error) => FleetError::Placement(error.to_string()),
    })
}

/// Nodes are not wanted any more: nobody starts them again, and nobody promotes them.
pub(crate) async fn stop_wanting(cx: &FlowCx, ids: &[NodeId]) -> Result<(), FleetError> {
    let ids = ids.to_vec();
    let unwanted = cx.ledger.write(move |tx| -> ledger::Result<()> {
        ids.iter().try_for_each(|id| {
            ledger::set_node_joining(tx, id)?;
            ledger::set_node_running(tx, id, false)
        })
    });
    Ok(unwanted.await?)
}

/// Nodes are forgotten, once they are gone from their host.
pub(crate) fn forgotten(ids: Vec<NodeId>) -> Write {
    write(move |tx| ids.iter().try_for_each(|id| ledger::delete_node(tx, id)))
}
