//! How large an instance is, of how many nodes, where those are, and what they run.

pub(crate) mod modify_instance_availability_zones;
pub(crate) mod switch_access_new_instance;
pub(crate) mod switch_proxy;
pub(crate) mod upgrade_instance;
pub(crate) mod upgrade_instance_version;
pub(crate) mod upgrade_proxy_version;
pub(crate) mod upgrade_small_version;

use ledger::{Instance, Node, Tx, pending};
use model::{ApiError, EngineVersion, InstanceStatus, NodeId, code};

use crate::action::changeable;
use crate::cx::FlowCx;
use crate::errors::{Answer, bad_value};
use crate::fleet::Newcomer;

/// An instance whose nodes can be changed: running, free, and with no change of its nodes that waits for its window.
fn changeable_shape(tx: &mut dyn Tx, account: i64, id: &str) -> Answer<Instance> {
    let code = code::ResourceUnavailableInstanceStatusError;
    let instance = changeable(tx.reader(), account, id, &[InstanceStatus::Idle], code)?;
    refuse_while_pending(tx, &instance)?;
    Ok(instance)
}

/// Refuses while a change of the instance's nodes waits for its window.
pub(crate) fn refuse_while_pending(tx: &mut dyn Tx, instance: &Instance) -> Answer<()> {
    if let Some(waiting) = pending(tx.reader(), &instance.id)? {
        let (id, task) = (&instance.id, waiting.task);
        return Err(ApiError::new(
            code::ResourceUnavailableInstanceLockedError,
            format!(
                "The task {task} waits for the maintenance window to change the nodes of the instance `{id}`. Run it now \
                 (SwitchAccessNewInstance), or cancel it (ModifyInstanceEvent), and try again."
            ),
            format!(
                "实例 `{id}` 的任务 {task} 正在等待维护时间窗切换。请立即执行（SwitchAccessNewInstance）或取消\
                 （ModifyInstanceEvent）后重试。"
            ),
        )
        .into());
    }
    Ok(())
}

/// Reads whether the cut-over is to wait for the maintenance window.
fn read_switch(parameter: &str, value: i64, in_window: i64, now: i64) -> Answer<bool> {
    match value {
        value if value == in_window => Ok(true),
        value if value == now => Ok(false),
        _ => Err(bad_value(
            parameter,
            &format!("it must be {in_window} (in the maintenance window) or {now} (now)"),
            &format!("须为{in_window}（维护时间窗内）或{now}（立即）"),
        )),
    }
}

/// The version that a node must run at the least which is to get the data of these: no engine reads what a newer one has
/// written.
fn newest_of(instance: &Instance, nodes: &[Node]) -> EngineVersion {
    nodes.iter().filter_map(|node| node.observed_version).fold(instance.version, EngineVersion::max)
}

/// A node like the instance's others.
pub(crate) fn newcomer(
    cx: &FlowCx,
    instance: &Instance,
    nodes: &[Node],
    zone: i64,
    replaces: Option<NodeId>,
) -> Newcomer {
    let (type_id, version) = (instance.type_id, newest_of(instance, nodes));
    Newcomer { node: NodeId::from_random(cx.random.bytes()), replaces, zone, type_id, version }
}
