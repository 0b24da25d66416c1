use std::collections::BTreeMap;

use model::InstanceId;

use crate::{Reader, Result, args};

/// The parameters of an instance that were set, by the API's names; one that is not here has its default.
pub type Params = BTreeMap<String, String>;

/// The parameters of an instance.
pub fn params_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Params> {
    let rows = reader.rows("select name, value from param where instance = $1", args![instance])?;
    rows.into_iter().map(|mut row| Ok((row.text(0)?, row.text(1)?))).collect()
}
