//! What goes beyond the API: looking into tasks, steering them, watching them; and, for tests, disturbing them.

pub(crate) mod advance_clock;
pub(crate) mod cancel_task;
pub(crate) mod describe_task_steps;
pub(crate) mod export_tasks;
pub(crate) mod retry_task;
pub(crate) mod set_fault;
pub(crate) mod view;
pub(crate) mod watch_tasks;
