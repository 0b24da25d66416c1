//! Numbered SQL files, applied in order, each in one transaction with the version row that says so.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::{Error, Result};

const ON_SQLITE: &[&str] = &[
    include_str!("migrations/sqlite/0001_spine.sql"),
    include_str!("migrations/sqlite/0002_plans.sql"),
    include_str!("migrations/sqlite/0003_shape.sql"),
    include_str!("migrations/sqlite/0004_settings.sql"),
    include_str!("migrations/sqlite/0005_gateway.sql"),
    include_str!("migrations/sqlite/0006_index.sql"),
];

pub(crate) fn run_on_sqlite(file: &Path) -> Result<()> {
    let mut connection = Connection::open(file)?;
    connection.execute_batch("pragma journal_mode = wal; pragma synchronous = full;")?;
    connection.execute_batch("create table if not exists schema (version integer not null)")?;
    loop {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found: i64 = tx.query_row("select coalesce(max(version), 0) from schema", [], |row| row.get(0))?;
        let known = ON_SQLITE.len() as i64;
        if found > known {
            return Err(Error::TooNew { found, known });
        }
        let Some(next) = ON_SQLITE.get(found as usize) else { return Ok(()) };
        tx.execute_batch(next)?;
        tx.execute("insert into schema (version) values (?1)", [found + 1])?;
        tx.commit()?;
    }
}
