//! Every action, sorted by API and name. One action is one file.

pub(crate) mod catalogue;
pub(crate) mod inventory;
pub(crate) mod lifecycle;
pub(crate) mod password;
pub(crate) mod steering;
pub(crate) mod tasks;

use crate::action::{ActionEntry, entry, stream_entry};

/// The table of contents.
pub static ACTIONS: [ActionEntry; 24] = [
    // opencrs
    entry::<steering::advance_clock::AdvanceClock>(),
    entry::<steering::cancel_task::CancelTask>(),
    entry::<steering::describe_task_steps::DescribeTaskSteps>(),
    entry::<steering::retry_task::RetryTask>(),
    entry::<steering::set_fault::SetFault>(),
    stream_entry::<steering::watch_tasks::WatchTasks>(),
    // redis
    entry::<lifecycle::clean_up_instance::CleanUpInstance>(),
    entry::<lifecycle::clear_instance::ClearInstance>(),
    entry::<lifecycle::create_instances::CreateInstances>(),
    entry::<inventory::describe_instance_deal_detail::DescribeInstanceDealDetail>(),
    entry::<inventory::describe_instance_node_info::DescribeInstanceNodeInfo>(),
    entry::<inventory::describe_instance_zone_info::DescribeInstanceZoneInfo>(),
    entry::<inventory::describe_instances::DescribeInstances>(),
    entry::<catalogue::describe_product_info::DescribeProductInfo>(),
    entry::<tasks::describe_task_info::DescribeTaskInfo>(),
    entry::<tasks::describe_task_list::DescribeTaskList>(),
    entry::<lifecycle::destroy_postpaid_instance::DestroyPostpaidInstance>(),
    entry::<lifecycle::destroy_prepaid_instance::DestroyPrepaidInstance>(),
    entry::<password::modfiy_instance_password::ModfiyInstancePassword>(),
    entry::<inventory::modify_instance::ModifyInstance>(),
    entry::<password::modify_instance_password::ModifyInstancePassword>(),
    entry::<password::reset_password::ResetPassword>(),
    entry::<lifecycle::startup_instance::StartupInstance>(),
    // region
    entry::<catalogue::describe_zones::DescribeZones>(),
];
