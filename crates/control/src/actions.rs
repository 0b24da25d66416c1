//! Every action, sorted by API and name. One action is one file.

pub(crate) mod catalogue;
pub(crate) mod inventory;
pub(crate) mod lifecycle;
pub(crate) mod maintenance;
pub(crate) mod orders;
pub(crate) mod parameters;
pub(crate) mod password;
pub(crate) mod roles;
pub(crate) mod shape;
pub(crate) mod steering;
pub(crate) mod tasks;

use crate::action::{ActionEntry, entry, stream_entry};

/// The table of contents.
pub static ACTIONS: [ActionEntry; 53] = [
    // opencrs
    entry::<steering::advance_clock::AdvanceClock>(),
    entry::<steering::cancel_task::CancelTask>(),
    entry::<steering::describe_task_steps::DescribeTaskSteps>(),
    entry::<steering::retry_task::RetryTask>(),
    entry::<steering::set_fault::SetFault>(),
    stream_entry::<steering::watch_tasks::WatchTasks>(),
    // redis
    entry::<parameters::apply_params_template::ApplyParamsTemplate>(),
    entry::<roles::change_replica_to_master::ChangeReplicaToMaster>(),
    entry::<lifecycle::clean_up_instance::CleanUpInstance>(),
    entry::<lifecycle::clear_instance::ClearInstance>(),
    entry::<lifecycle::create_instances::CreateInstances>(),
    entry::<parameters::create_param_template::CreateParamTemplate>(),
    entry::<parameters::delete_param_template::DeleteParamTemplate>(),
    entry::<catalogue::describe_bandwidth_range::DescribeBandwidthRange>(),
    entry::<inventory::describe_instance_deal_detail::DescribeInstanceDealDetail>(),
    entry::<maintenance::describe_instance_events::DescribeInstanceEvents>(),
    entry::<inventory::describe_instance_node_info::DescribeInstanceNodeInfo>(),
    entry::<parameters::describe_instance_param_records::DescribeInstanceParamRecords>(),
    entry::<parameters::describe_instance_params::DescribeInstanceParams>(),
    entry::<catalogue::describe_instance_spec_bandwidth::DescribeInstanceSpecBandwidth>(),
    entry::<inventory::describe_instance_zone_info::DescribeInstanceZoneInfo>(),
    entry::<inventory::describe_instances::DescribeInstances>(),
    entry::<maintenance::describe_maintenance_window::DescribeMaintenanceWindow>(),
    entry::<parameters::describe_param_template_info::DescribeParamTemplateInfo>(),
    entry::<parameters::describe_param_templates::DescribeParamTemplates>(),
    entry::<catalogue::describe_product_info::DescribeProductInfo>(),
    entry::<tasks::describe_task_info::DescribeTaskInfo>(),
    entry::<tasks::describe_task_list::DescribeTaskList>(),
    entry::<lifecycle::destroy_postpaid_instance::DestroyPostpaidInstance>(),
    entry::<lifecycle::destroy_prepaid_instance::DestroyPrepaidInstance>(),
    entry::<orders::inquiry_price_create_instance::InquiryPriceCreateInstance>(),
    entry::<orders::inquiry_price_renew_instance::InquiryPriceRenewInstance>(),
    entry::<orders::inquiry_price_upgrade_instance::InquiryPriceUpgradeInstance>(),
    entry::<roles::kill_master_group::KillMasterGroup>(),
    entry::<password::modfiy_instance_password::ModfiyInstancePassword>(),
    entry::<inventory::modify_instance::ModifyInstance>(),
    entry::<shape::modify_instance_availability_zones::ModifyInstanceAvailabilityZones>(),
    entry::<orders::modify_instance_charge_type::ModifyInstanceChargeType>(),
    entry::<maintenance::modify_instance_event::ModifyInstanceEvent>(),
    entry::<parameters::modify_instance_params::ModifyInstanceParams>(),
    entry::<password::modify_instance_password::ModifyInstancePassword>(),
    entry::<roles::modify_instance_read_only::ModifyInstanceReadOnly>(),
    entry::<maintenance::modify_maintenance_window::ModifyMaintenanceWindow>(),
    entry::<parameters::modify_param_template::ModifyParamTemplate>(),
    entry::<orders::renew_instance::RenewInstance>(),
    entry::<password::reset_password::ResetPassword>(),
    entry::<lifecycle::startup_instance::StartupInstance>(),
    entry::<shape::switch_access_new_instance::SwitchAccessNewInstance>(),
    entry::<shape::upgrade_instance::UpgradeInstance>(),
    entry::<shape::upgrade_instance_version::UpgradeInstanceVersion>(),
    entry::<shape::upgrade_proxy_version::UpgradeProxyVersion>(),
    entry::<shape::upgrade_small_version::UpgradeSmallVersion>(),
    // region
    entry::<catalogue::describe_zones::DescribeZones>(),
];
