//! Security groups: who may connect to instances.

pub(crate) mod associate_security_groups;
pub(crate) mod create_security_group;
pub(crate) mod create_security_group_policies;
pub(crate) mod delete_security_group;
pub(crate) mod delete_security_group_policies;
pub(crate) mod describe_db_security_groups;
pub(crate) mod describe_instance_security_group;
pub(crate) mod describe_project_security_group;
pub(crate) mod describe_project_security_groups;
pub(crate) mod describe_security_group_policies;
pub(crate) mod describe_security_groups;
pub(crate) mod disassociate_security_groups;
pub(crate) mod groups;
pub(crate) mod modify_db_instance_security_groups;
pub(crate) mod modify_security_group_attribute;
pub(crate) mod modify_security_group_policies;
pub(crate) mod policies;
pub(crate) mod replace_security_group_policies;
