use model::InstanceId;

use crate::{Reader, Result, Select, Tx, args};

/// A label that a customer put on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Unique for an instance.
    pub key: String,
    /// May be empty.
    pub value: String,
}

/// Replaces the tags of an instance.
pub fn set_tags(tx: &mut dyn Tx, instance: &InstanceId, tags: &[Tag]) -> Result<()> {
    tx.exec("delete from tag where instance = $1", args![instance])?;
    for tag in tags {
        tx.exec(
            "insert into tag (instance, key, value) values ($1, $2, $3)",
            args![instance, tag.key.as_str(), tag.value.as_str()],
        )?;
    }
    Ok(())
}

/// The tags of an instance, by key.
pub fn tags_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<Tag>> {
    reader
        .rows("select key, value from tag where instance = $1 order by key", args![instance])?
        .into_iter()
        .map(|mut row| Ok(Tag { key: row.text(0)?, value: row.text(1)? }))
        .collect()
}

/// The ids of instances that fit, by id.
pub fn list_instance_ids(reader: &mut dyn Reader, filter: &Select, limit: i64) -> Result<Vec<InstanceId>> {
    let rows = filter.page(reader, "id from instance", "id", limit, 0)?;
    rows.into_iter().map(|mut row| row.parsed(0, InstanceId::parse)).collect()
}
