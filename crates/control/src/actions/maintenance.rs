//! When an instance may be disturbed, and what is planned for it.

pub(crate) mod describe_instance_events;
pub(crate) mod describe_maintenance_window;
pub(crate) mod modify_instance_event;
pub(crate) mod modify_maintenance_window;
