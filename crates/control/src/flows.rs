//! Every flow, sorted by name, and those that several actions start. A flow that one action starts is in that
//! action's file.

pub(crate) mod isolate_instance;
pub(crate) mod set_access;

use flow::FlowEntry;

use crate::actions::lifecycle;
use crate::cx::FlowCx;

/// The table of contents. A row is never removed while a ledger may hold a task of it.
pub static FLOWS: &[FlowEntry<FlowCx>] = &[
    FlowEntry::of::<lifecycle::clean_up_instance::DeleteInstance>(),
    FlowEntry::of::<lifecycle::clear_instance::ClearData>(),
    FlowEntry::of::<lifecycle::create_instances::CreateInstance>(),
    FlowEntry::of::<isolate_instance::IsolateInstance>(),
    FlowEntry::of::<lifecycle::startup_instance::StartUp>(),
    FlowEntry::of::<set_access::SetAccess>(),
];
