//! What there is: instances, their nodes, their orders.

pub(crate) mod describe_instance_deal_detail;
pub(crate) mod describe_instance_node_info;
pub(crate) mod describe_instance_zone_info;
pub(crate) mod describe_instances;
mod instance_set;
pub(crate) mod modify_instance;
