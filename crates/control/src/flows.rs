//! Every flow, sorted by name, and those that several actions start. A flow that one action starts is in that
//! action's file.

pub(crate) mod add_nodes;
pub(crate) mod close_address;
pub(crate) mod isolate_instance;
pub(crate) mod remove_nodes;
pub(crate) mod replace_nodes;
pub(crate) mod restart_params;
pub(crate) mod rotate_password;
pub(crate) mod set_access;
pub(crate) mod set_account;
pub(crate) mod set_memory;
pub(crate) mod set_params;
pub(crate) mod set_replica_reads;
pub(crate) mod set_tls;
pub(crate) mod window;

use flow::{FlowEntry, StepResult};
use model::Millis;

use crate::actions::{lifecycle, network, roles, shape};
use crate::cx::FlowCx;

/// The table of contents. A row is never removed while a ledger may hold a task of it.
pub static FLOWS: &[FlowEntry<FlowCx>] = &[
    FlowEntry::of::<add_nodes::AddNodes>(),
    FlowEntry::of::<network::allocate_wan_address::OpenWan>(),
    FlowEntry::of::<roles::change_replica_to_master::PromoteReplica>(),
    FlowEntry::of::<lifecycle::clean_up_instance::DeleteInstance>(),
    FlowEntry::of::<lifecycle::clear_instance::ClearData>(),
    FlowEntry::of::<close_address::CloseAddress>(),
    FlowEntry::of::<lifecycle::create_instances::CreateInstance>(),
    FlowEntry::of::<isolate_instance::IsolateInstance>(),
    FlowEntry::of::<roles::kill_master_group::KillPrimary>(),
    FlowEntry::of::<remove_nodes::RemoveNodes>(),
    FlowEntry::of::<replace_nodes::ReplaceNodes>(),
    FlowEntry::of::<restart_params::RestartParams>(),
    FlowEntry::of::<rotate_password::RotatePassword>(),
    FlowEntry::of::<lifecycle::startup_instance::StartUp>(),
    FlowEntry::of::<set_access::SetAccess>(),
    FlowEntry::of::<set_account::SetAccount>(),
    FlowEntry::of::<set_memory::SetMemory>(),
    FlowEntry::of::<network::modify_connection_config::SetLimits>(),
    FlowEntry::of::<set_params::SetParams>(),
    FlowEntry::of::<roles::modify_instance_read_only::SetReadOnly>(),
    FlowEntry::of::<set_replica_reads::SetReplicaReads>(),
    FlowEntry::of::<set_tls::SetTls>(),
    FlowEntry::of::<network::modify_network_config::SetAddress>(),
    FlowEntry::of::<shape::switch_access_new_instance::CutOver>(),
    FlowEntry::of::<network::switch_instance_vip::SwapAddresses>(),
    FlowEntry::of::<shape::upgrade_proxy_version::RenewGateway>(),
];

/// The last step of a change whose clients insist on seeing the instance busy: it stays so until then.
async fn show_busy(cx: &FlowCx, until: Millis) -> StepResult<FlowCx> {
    // Never longer than a clock that was set back could ask for.
    let left = until.since(cx.clock.now()).min(cx.settings.busy_for);
    if !left.is_zero() {
        cx.clock.sleep(left).await;
    }
    Ok(None)
}
