//! From the order of an instance to its end.

pub(crate) mod clean_up_instance;
pub(crate) mod clear_instance;
pub(crate) mod create_instances;
pub(crate) mod create_request;
pub(crate) mod destroy_postpaid_instance;
pub(crate) mod destroy_prepaid_instance;
pub(crate) mod startup_instance;
