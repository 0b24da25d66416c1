//! Who takes the writes of an instance, and whether there are any.

pub(crate) mod change_replica_to_master;
pub(crate) mod disable_replica_readonly;
pub(crate) mod enable_replica_readonly;
pub(crate) mod kill_master_group;
pub(crate) mod modify_instance_read_only;
