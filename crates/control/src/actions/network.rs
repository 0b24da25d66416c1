//! Where an instance is reached, and how much may come and go there.

pub(crate) mod allocate_wan_address;
pub(crate) mod close_ssl;
pub(crate) mod describe_instance_dts_info;
pub(crate) mod describe_ssl_status;
pub(crate) mod modify_connection_config;
pub(crate) mod modify_network_config;
pub(crate) mod open_ssl;
pub(crate) mod release_wan_address;
pub(crate) mod switch_instance_vip;
