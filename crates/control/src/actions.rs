//! Every action, sorted by API and name. One action is one file.

pub(crate) mod catalogue;
pub(crate) mod inventory;
pub(crate) mod lifecycle;
pub(crate) mod maintenance;
pub(crate) mod network;
pub(crate) mod orders;
pub(crate) mod password;
pub(crate) mod roles;
pub(crate) mod shape;
pub(crate) mod steering;
pub(crate) mod tasks;
pub(crate) mod vpc;

use crate::action::{ActionEntry, entry, stream_entry};

/// The table of contents.
pub static ACTIONS: [ActionEntry; 59] = [
    // opencrs
    entry::<steering::advance_clock::AdvanceClock>(),
    entry::<steering::cancel_task::CancelTask>(),
    entry::<steering::describe_task_steps::DescribeTaskSteps>(),
    entry::<steering::retry_task::RetryTask>(),
    entry::<steering::set_fault::SetFault>(),
    stream_entry::<steering::watch_tasks::WatchTasks>(),
    // redis
    entry::<network::allocate_wan_address::AllocateWanAddress>(),
    entry::<roles::change_replica_to_master::ChangeReplicaToMaster>(),
    entry::<lifecycle::clean_up_instance::CleanUpInstance>(),
    entry::<lifecycle::clear_instance::ClearInstance>(),
    entry::<lifecycle::create_instances::CreateInstances>(),
    entry::<catalogue::describe_bandwidth_range::DescribeBandwidthRange>(),
    entry::<network::describe_instance_dts_info::DescribeInstanceDTSInfo>(),
    entry::<inventory::describe_instance_deal_detail::DescribeInstanceDealDetail>(),
    entry::<maintenance::describe_instance_events::DescribeInstanceEvents>(),
    entry::<inventory::describe_instance_node_info::DescribeInstanceNodeInfo>(),
    entry::<catalogue::describe_instance_spec_bandwidth::DescribeInstanceSpecBandwidth>(),
    entry::<inventory::describe_instance_zone_info::DescribeInstanceZoneInfo>(),
    entry::<inventory::describe_instances::DescribeInstances>(),
    entry::<maintenance::describe_maintenance_window::DescribeMaintenanceWindow>(),
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
    entry::<network::modify_connection_config::ModifyConnectionConfig>(),
    entry::<inventory::modify_instance::ModifyInstance>(),
    entry::<shape::modify_instance_availability_zones::ModifyInstanceAvailabilityZones>(),
    entry::<orders::modify_instance_charge_type::ModifyInstanceChargeType>(),
    entry::<maintenance::modify_instance_event::ModifyInstanceEvent>(),
    entry::<password::modify_instance_password::ModifyInstancePassword>(),
    entry::<roles::modify_instance_read_only::ModifyInstanceReadOnly>(),
    entry::<maintenance::modify_maintenance_window::ModifyMaintenanceWindow>(),
    entry::<network::modify_network_config::ModifyNetworkConfig>(),
    entry::<network::release_wan_address::ReleaseWanAddress>(),
    entry::<orders::renew_instance::RenewInstance>(),
    entry::<password::reset_password::ResetPassword>(),
    entry::<lifecycle::startup_instance::StartupInstance>(),
    entry::<shape::switch_access_new_instance::SwitchAccessNewInstance>(),
    entry::<network::switch_instance_vip::SwitchInstanceVip>(),
    entry::<shape::upgrade_instance::UpgradeInstance>(),
    entry::<shape::upgrade_instance_version::UpgradeInstanceVersion>(),
    entry::<shape::upgrade_proxy_version::UpgradeProxyVersion>(),
    entry::<shape::upgrade_small_version::UpgradeSmallVersion>(),
    // region
    entry::<catalogue::describe_zones::DescribeZones>(),
    // vpc
    entry::<vpc::create_subnet::CreateSubnet>(),
    entry::<vpc::create_vpc::CreateVpc>(),
    entry::<vpc::delete_subnet::DeleteSubnet>(),
    entry::<vpc::delete_vpc::DeleteVpc>(),
    entry::<vpc::describe_route_tables::DescribeRouteTables>(),
    entry::<vpc::describe_subnets::DescribeSubnets>(),
    entry::<vpc::describe_vpcs::DescribeVpcs>(),
    entry::<vpc::modify_subnet_attribute::ModifySubnetAttribute>(),
    entry::<vpc::modify_vpc_attribute::ModifyVpcAttribute>(),
];
