//! Numbered SQL files, applied in order, each in one transaction with the version row that says so.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::driver::postgres::{Session, TAKE_TURN};
use crate::{Error, Result, args};

const ON_SQLITE: &[&str] = &[
    include_str!("migrations/sqlite/0001_spine.sql"),
    include_str!("migrations/sqlite/0002_plans.sql"),
    include_str!("migrations/sqlite/0003_shape.sql"),
    include_str!("migrations/sqlite/0004_settings.sql"),
    include_str!("migrations/sqlite/0005_gateway.sql"),
    include_str!("migrations/sqlite/0006_index.sql"),
    include_str!("migrations/sqlite/0007_feed.sql"),
    include_str!("migrations/sqlite/0008_retention.sql"),
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

/// The step that the first file of PostgreSQL's brings the schema to; it is one file for all before.
const FIRST_ON_POSTGRES: i64 = 5;

/// From [`FIRST_ON_POSTGRES`] on; the numbers are those of SQLite's.
const ON_POSTGRES: &[&str] = &[
    include_str!("migrations/postgres/0005_gateway.sql"),
    include_str!("migrations/postgres/0006_index.sql"),
    include_str!("migrations/postgres/0007_feed.sql"),
    include_str!("migrations/postgres/0008_retention.sql"),
];

/// Of several servers that start together one does it, and the others wait.
pub(crate) fn run_on_postgres(session: &mut Session) -> Result<()> {
    session.be_patient()?;
    let known = FIRST_ON_POSTGRES + ON_POSTGRES.len() as i64 - 1;
    loop {
        session.say("begin")?;
        session.rows(TAKE_TURN, &[])?;
        session.say("create table if not exists schema (version bigint not null)")?;
        let found = session.rows("select coalesce(max(version), 0) from schema", &[])?;
        let found = found.first().map_or(Ok(0), |row| row.int(0))?;
        if found > known {
            return Err(Error::TooNew { found, known });
        }
        if found == known {
            return session.say("commit");
        }
        let next = FIRST_ON_POSTGRES.max(found + 1);
        session.say(ON_POSTGRES[(next - FIRST_ON_POSTGRES) as usize])?;
        session.rows("insert into schema (version) values ($1) returning version", args![next])?;
        session.say("commit")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_stores_have_come_to_the_same_step() {
        assert_eq!(ON_SQLITE.len() as i64, FIRST_ON_POSTGRES + ON_POSTGRES.len() as i64 - 1);
    }
}
