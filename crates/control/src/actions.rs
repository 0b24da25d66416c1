//! Every action, sorted by API and name. One action is one file.

pub(crate) mod accounts;
pub(crate) mod catalogue;
pub(crate) mod inventory;
pub(crate) mod lifecycle;
pub(crate) mod maintenance;
pub(crate) mod monitor;
pub(crate) mod network;
pub(crate) mod orders;
pub(crate) mod parameters;
pub(crate) mod password;
pub(crate) mod projects;
pub(crate) mod roles;
pub(crate) mod security;
pub(crate) mod shape;
pub(crate) mod steering;
pub(crate) mod tags;
pub(crate) mod tasks;
pub(crate) mod vpc;

use crate::action::{ActionEntry, entry, stream_entry};

/// The table of contents.
pub static ACTIONS: [ActionEntry; 119] = [
    // opencrs
    entry::<steering::advance_clock::AdvanceClock>(),
    entry::<steering::cancel_task::CancelTask>(),
    entry::<steering::describe_task_steps::DescribeTaskSteps>(),
    stream_entry::<steering::export_tasks::ExportTasks>(),
    entry::<password::finish_rotation::FinishRotation>(),
    entry::<steering::retry_task::RetryTask>(),
    entry::<password::rotate_password::RotatePassword>(),
    entry::<steering::set_fault::SetFault>(),
    stream_entry::<steering::watch_tasks::WatchTasks>(),
    // redis
    entry::<network::allocate_wan_address::AllocateWanAddress>(),
    entry::<parameters::apply_params_template::ApplyParamsTemplate>(),
    entry::<security::associate_security_groups::AssociateSecurityGroups>(),
    entry::<roles::change_replica_to_master::ChangeReplicaToMaster>(),
    entry::<lifecycle::clean_up_instance::CleanUpInstance>(),
    entry::<lifecycle::clear_instance::ClearInstance>(),
    entry::<network::close_ssl::CloseSSL>(),
    entry::<accounts::create_instance_account::CreateInstanceAccount>(),
    entry::<lifecycle::create_instances::CreateInstances>(),
    entry::<parameters::create_param_template::CreateParamTemplate>(),
    entry::<accounts::delete_instance_account::DeleteInstanceAccount>(),
    entry::<parameters::delete_param_template::DeleteParamTemplate>(),
    entry::<catalogue::describe_bandwidth_range::DescribeBandwidthRange>(),
    entry::<security::describe_db_security_groups::DescribeDBSecurityGroups>(),
    entry::<accounts::describe_instance_account::DescribeInstanceAccount>(),
    entry::<network::describe_instance_dts_info::DescribeInstanceDTSInfo>(),
    entry::<inventory::describe_instance_deal_detail::DescribeInstanceDealDetail>(),
    entry::<maintenance::describe_instance_events::DescribeInstanceEvents>(),
    entry::<monitor::describe_instance_monitor_big_key::DescribeInstanceMonitorBigKey>(),
    entry::<monitor::describe_instance_monitor_big_key_size_dist::DescribeInstanceMonitorBigKeySizeDist>(),
    entry::<monitor::describe_instance_monitor_big_key_type_dist::DescribeInstanceMonitorBigKeyTypeDist>(),
    entry::<monitor::describe_instance_monitor_hot_key::DescribeInstanceMonitorHotKey>(),
    entry::<monitor::describe_instance_monitor_sip::DescribeInstanceMonitorSIP>(),
    entry::<monitor::describe_instance_monitor_took_dist::DescribeInstanceMonitorTookDist>(),
    entry::<monitor::describe_instance_monitor_top_n_cmd::DescribeInstanceMonitorTopNCmd>(),
    entry::<monitor::describe_instance_monitor_top_n_cmd_took::DescribeInstanceMonitorTopNCmdTook>(),
    entry::<inventory::describe_instance_node_info::DescribeInstanceNodeInfo>(),
    entry::<parameters::describe_instance_param_records::DescribeInstanceParamRecords>(),
    entry::<parameters::describe_instance_params::DescribeInstanceParams>(),
    entry::<password::describe_instance_password_policy::DescribeInstancePasswordPolicy>(),
    entry::<security::describe_instance_security_group::DescribeInstanceSecurityGroup>(),
    entry::<catalogue::describe_instance_spec_bandwidth::DescribeInstanceSpecBandwidth>(),
    entry::<inventory::describe_instance_zone_info::DescribeInstanceZoneInfo>(),
    entry::<inventory::describe_instances::DescribeInstances>(),
    entry::<maintenance::describe_maintenance_window::DescribeMaintenanceWindow>(),
    entry::<parameters::describe_param_template_info::DescribeParamTemplateInfo>(),
    entry::<parameters::describe_param_templates::DescribeParamTemplates>(),
    entry::<catalogue::describe_product_info::DescribeProductInfo>(),
    entry::<security::describe_project_security_group::DescribeProjectSecurityGroup>(),
    entry::<security::describe_project_security_groups::DescribeProjectSecurityGroups>(),
    entry::<monitor::describe_proxy_slow_log::DescribeProxySlowLog>(),
    entry::<network::describe_ssl_status::DescribeSSLStatus>(),
    entry::<monitor::describe_slow_log::DescribeSlowLog>(),
    entry::<tasks::describe_task_info::DescribeTaskInfo>(),
    entry::<tasks::describe_task_list::DescribeTaskList>(),
    entry::<monitor::describe_tendis_slow_log::DescribeTendisSlowLog>(),
    entry::<lifecycle::destroy_postpaid_instance::DestroyPostpaidInstance>(),
    entry::<lifecycle::destroy_prepaid_instance::DestroyPrepaidInstance>(),
    entry::<roles::disable_replica_readonly::DisableReplicaReadonly>(),
    entry::<security::disassociate_security_groups::DisassociateSecurityGroups>(),
    entry::<roles::enable_replica_readonly::EnableReplicaReadonly>(),
    entry::<orders::inquiry_price_create_instance::InquiryPriceCreateInstance>(),
    entry::<orders::inquiry_price_renew_instance::InquiryPriceRenewInstance>(),
    entry::<orders::inquiry_price_upgrade_instance::InquiryPriceUpgradeInstance>(),
    entry::<roles::kill_master_group::KillMasterGroup>(),
    entry::<password::modfiy_instance_password::ModfiyInstancePassword>(),
    entry::<network::modify_connection_config::ModifyConnectionConfig>(),
    entry::<security::modify_db_instance_security_groups::ModifyDBInstanceSecurityGroups>(),
    entry::<inventory::modify_instance::ModifyInstance>(),
    entry::<accounts::modify_instance_account::ModifyInstanceAccount>(),
    entry::<shape::modify_instance_availability_zones::ModifyInstanceAvailabilityZones>(),
    entry::<orders::modify_instance_charge_type::ModifyInstanceChargeType>(),
    entry::<maintenance::modify_instance_event::ModifyInstanceEvent>(),
    entry::<parameters::modify_instance_params::ModifyInstanceParams>(),
    entry::<password::modify_instance_password::ModifyInstancePassword>(),
    entry::<password::modify_instance_password_policy::ModifyInstancePasswordPolicy>(),
    entry::<roles::modify_instance_read_only::ModifyInstanceReadOnly>(),
    entry::<maintenance::modify_maintenance_window::ModifyMaintenanceWindow>(),
    entry::<network::modify_network_config::ModifyNetworkConfig>(),
    entry::<parameters::modify_param_template::ModifyParamTemplate>(),
    entry::<network::open_ssl::OpenSSL>(),
    entry::<network::release_wan_address::ReleaseWanAddress>(),
    entry::<orders::renew_instance::RenewInstance>(),
    entry::<password::reset_password::ResetPassword>(),
    entry::<lifecycle::startup_instance::StartupInstance>(),
    entry::<shape::switch_access_new_instance::SwitchAccessNewInstance>(),
    entry::<network::switch_instance_vip::SwitchInstanceVip>(),
    entry::<shape::switch_proxy::SwitchProxy>(),
    entry::<shape::upgrade_instance::UpgradeInstance>(),
    entry::<shape::upgrade_instance_version::UpgradeInstanceVersion>(),
    entry::<shape::upgrade_proxy_version::UpgradeProxyVersion>(),
    entry::<shape::upgrade_small_version::UpgradeSmallVersion>(),
    // region
    entry::<catalogue::describe_zones::DescribeZones>(),
    // tag
    entry::<projects::add_project::AddProject>(),
    entry::<projects::create_project::CreateProject>(),
    entry::<projects::describe_projects::DescribeProjects>(),
    entry::<tags::describe_resource_tags_by_resource_ids::DescribeResourceTagsByResourceIds>(),
    entry::<tags::get_resources::GetResources>(),
    entry::<tags::modify_resource_tags::ModifyResourceTags>(),
    entry::<tags::tag_resources::TagResources>(),
    entry::<tags::un_tag_resources::UnTagResources>(),
    entry::<projects::update_project::UpdateProject>(),
    // vpc
    entry::<security::create_security_group::CreateSecurityGroup>(),
    entry::<security::create_security_group_policies::CreateSecurityGroupPolicies>(),
    entry::<vpc::create_subnet::CreateSubnet>(),
    entry::<vpc::create_vpc::CreateVpc>(),
    entry::<security::delete_security_group::DeleteSecurityGroup>(),
    entry::<security::delete_security_group_policies::DeleteSecurityGroupPolicies>(),
    entry::<vpc::delete_subnet::DeleteSubnet>(),
    entry::<vpc::delete_vpc::DeleteVpc>(),
    entry::<vpc::describe_route_tables::DescribeRouteTables>(),
    entry::<security::describe_security_group_policies::DescribeSecurityGroupPolicies>(),
    entry::<security::describe_security_groups::DescribeSecurityGroups>(),
    entry::<vpc::describe_subnets::DescribeSubnets>(),
    entry::<vpc::describe_vpcs::DescribeVpcs>(),
    entry::<security::modify_security_group_attribute::ModifySecurityGroupAttribute>(),
    entry::<security::modify_security_group_policies::ModifySecurityGroupPolicies>(),
    entry::<vpc::modify_subnet_attribute::ModifySubnetAttribute>(),
    entry::<vpc::modify_vpc_attribute::ModifyVpcAttribute>(),
    entry::<security::replace_security_group_policies::ReplaceSecurityGroupPolicies>(),
];
