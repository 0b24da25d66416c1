//! What was done, is being done, and how it ended.

pub(crate) mod describe_task_info;
pub(crate) mod describe_task_list;
