//! What can be bought here, and where.

pub(crate) mod describe_product_info;
pub(crate) mod describe_zones;
