//! What can be bought here, and where.

pub(crate) mod describe_bandwidth_range;
pub(crate) mod describe_instance_spec_bandwidth;
pub(crate) mod describe_product_info;
pub(crate) mod describe_zones;
