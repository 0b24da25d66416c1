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

/// CRC-32 of each file, as it was released.
#[cfg(test)]
const SQLITE_SUMS: [u32; 8] =
    [0x7c45b8f6, 0xb4e20774, 0xa7055ac3, 0x4617d336, 0x21302eaf, 0x3268d7bc, 0x7bbf33fa, 0x4371b9b6];
#[cfg(test)]
const POSTGRES_SUMS: [u32; 4] = [0x81c22d8f, 0xacec0df5, 0x5e3e6308, 0x4371b9b6];

#[cfg(test)]
mod tests {
    use model::{TaskId, TaskResult};

    use super::*;
    use crate::harness::Cluster;
    use crate::{Ledger, PostgresAddress, TaskFilter, task_flow};

    #[test]
    fn both_stores_have_come_to_the_same_step() {
        assert_eq!(ON_SQLITE.len() as i64, FIRST_ON_POSTGRES + ON_POSTGRES.len() as i64 - 1);
    }

    /// Ledgers have run it: what is to be otherwise is another file.
    #[test]
    fn a_file_that_was_released_stays_as_it_is() {
        let sums = |files: &[&str]| files.iter().map(|file| crc32fast::hash(file.as_bytes())).collect::<Vec<_>>();
        assert_eq!(sums(ON_SQLITE), SQLITE_SUMS);
        assert_eq!(sums(ON_POSTGRES), POSTGRES_SUMS);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tasks_of_the_first_schema_on_postgresql_come_along() {
        let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
        let url = cluster.url();
        let say = |sql: &str| Cluster::say_at(&url, sql);
        say("create table schema (version bigint not null); insert into schema (version) values (5)");
        say(ON_POSTGRES[0]);
        let cursor = r#"{"phase":"run","step":"told","since":1,"tries":0}"#;
        for (id, result, ended) in [(7, 2, "5"), (8, 4, "6"), (9, 1, "null")] {
            say(&format!(
                "insert into task (id, account, caller, instance, instance_name, project, type, flow, state, cursor, result,
                    progress, started_at, ended_at, reopened) values ({id}, 1, 'ann', 'crs-00000001', 'one', 0, '001', 'create', '{{}}',
                    '{cursor}', {result}, 1, 1, {ended}, {result})"
            ));
        }
        say("insert into pending (instance, task, due_at, event) values ('crs-00000001', 9, 0, 0)");
        say("select setval('task_id_seq', 11)");

        let ledger = Ledger::postgres(PostgresAddress::parse(&url, None).unwrap(), folder.path()).unwrap();
        let filter = TaskFilter { account: 1, ..TaskFilter::default() };
        let (count, tasks) = ledger.list_tasks(&filter, 10, 0).unwrap();
        let seen: Vec<_> = tasks.iter().map(|task| (task.id.0, task.result)).collect();
        assert_eq!((count, seen), (3, vec![(9, TaskResult::Running), (8, TaskResult::Failed), (7, TaskResult::Done)]));
        for id in [7, 8, 9] {
            let flow = ledger.read(|reader| task_flow(reader, TaskId(id))).unwrap().unwrap();
            assert_eq!(flow.cursor.step, "told");
        }
        let next = ledger.read(|reader| reader.row("select last_value from task_id_seq", &[])).unwrap().unwrap().int(0);
        assert_eq!(next.unwrap(), 11, "no id is given twice");
        let again = ledger.read(|reader| crate::counter(reader, "task-reopened")).unwrap();
        assert_eq!(again, 4);
    }
}
