//! Tags of instances, as the tag product sees them.

pub(crate) mod describe_resource_tags_by_resource_ids;
pub(crate) mod get_resources;
pub(crate) mod modify_resource_tags;
pub(crate) mod resources;
pub(crate) mod tag_resources;
pub(crate) mod un_tag_resources;
