//! How one gets in.

pub(crate) mod modfiy_instance_password;
pub(crate) mod modify_instance_password;
pub(crate) mod reset_password;
