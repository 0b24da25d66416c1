use model::{InstanceId, Millis};

use crate::{Reader, Result, Row, args};

/// A user of an instance besides the default one. (The default one is the API's `root`; it is part of the instance.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceAccount {
    /// The name to sign in with.
    pub name: String,
    /// `#` and the SHA-256 of its password, sealed; `None`: one gets in without.
    pub password: Option<Vec<u8>>,
    /// What it may: `r` or `rw`.
    pub privilege: String,
    /// Where it reads: `master`, `replication`, or both with a comma.
    pub reads_from: String,
    /// What its owner says of it.
    pub remark: String,
    /// 1 while it changes, 2 as it is wanted, 4 while it goes.
    pub status: i64,
    /// When it was accepted.
    pub created_at: Millis,
    /// When its password was last set.
    pub password_changed_at: Millis,
}

fn read(mut row: Row) -> Result<InstanceAccount> {
    Ok(InstanceAccount {
        name: row.text(0)?,
        password: row.blob_opt(1)?,
        privilege: row.text(2)?,
        reads_from: row.text(3)?,
        remark: row.text(4)?,
        status: row.int(5)?,
        created_at: Millis(row.int(6)?),
        password_changed_at: Millis(row.int(7)?),
    })
}

/// The users of an instance besides the default one, in the order of their making.
pub fn accounts_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<InstanceAccount>> {
    let sql = "select name, password, privilege, reads_from, remark, status, created_at, password_changed_at
               from instance_account where instance = $1 order by created_at, name";
    reader.rows(sql, args![instance])?.into_iter().map(read).collect()
}
