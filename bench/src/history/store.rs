//! A history on either store.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ledger::harness::Cluster;
use ledger::{Ledger, PostgresAddress, Value};
use rusqlite::Connection;

use super::questions::Question;
use crate::figures::progress;
use crate::seed;
use crate::service::Service;

/// Where a history is: in a file in a folder, or in a cluster of PostgreSQL, with a server's folder.
pub(super) enum Store {
    Sqlite(PathBuf),
    Postgres(String, PathBuf),
}

impl Store {
    pub(super) fn name(&self) -> &'static str {
        if let Store::Sqlite(_) = self { "SQLite" } else { "PostgreSQL" }
    }

    /// Writes a history, where it isn't there from an earlier time.
    pub(super) async fn make(&self, tasks: u64, instances: u64) -> anyhow::Result<()> {
        let begin = Instant::now();
        match self {
            Store::Sqlite(folder) if folder.join("ledger.db").exists() => return Ok(()),
            Store::Sqlite(folder) => {
                // Written beside its place: one that is half written has not come to it.
                let made = folder.with_extension("made");
                drop(std::fs::remove_dir_all(&made));
                std::fs::create_dir_all(&made)?;
                seed::write(&made.join("ledger.db"), tasks, instances).await?;
                std::fs::rename(&made, folder)?;
            }
            Store::Postgres(url, folder) => {
                std::fs::create_dir_all(folder)?;
                seed::copy(url, folder, tasks, instances).await?;
            }
        }
        progress(&format!("{tasks} tasks written after {:.0} s", begin.elapsed().as_secs_f64()));
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        let (Store::Sqlite(folder) | Store::Postgres(_, folder)) = self;
        folder
    }

    pub(super) fn open(&self) -> anyhow::Result<Ledger> {
        Ok(match self {
            Store::Sqlite(folder) => Ledger::sqlite(&folder.join("ledger.db"))?,
            Store::Postgres(url, folder) => Ledger::postgres(PostgresAddress::parse(url, None)?, folder)?,
        })
    }

    pub(super) fn serve(&self) -> anyhow::Result<Service> {
        match self {
            Store::Sqlite(folder) => Service::start(folder),
            Store::Postgres(url, folder) => Service::start_on(folder, &[("OPENCRS_STORE", url)]),
        }
    }

    /// What the table of tasks takes with its indexes.
    pub(super) fn bytes(&self) -> anyhow::Result<i64> {
        let Store::Sqlite(folder) = self else {
            let size = "select pg_total_relation_size('task')";
            return Ok(self.open()?.read(|reader| reader.row(size, &[])?.map_or(Ok(0), |row| row.int(0)))?);
        };
        let connection = Connection::open(folder.join("ledger.db"))?;
        connection.execute_batch("pragma wal_checkpoint(truncate)")?;
        let sql = "select sum(pgsize) from dbstat where name glob 'task' or name glob 'task_*'";
        Ok(connection.query_row(sql, [], |row| row.get(0)).or_else(|_| {
            // A library without this table: all that there is.
            connection.query_row("select page_count * page_size from pragma_page_count, pragma_page_size", [], |row| {
                row.get(0)
            })
        })?)
    }

    /// The same tasks with an index for each question that a whole account answers.
    pub(super) fn in_sql(&self) -> anyhow::Result<InSql> {
        let begin = Instant::now();
        let indexes = ["type", "result", "caller", "project", "instance_name"].map(|column| {
            let rest = "type, result, caller, project";
            let sql = format!("create index by_{column} on task (account, {column}, started_at, id, {rest})");
            sql.replace(&format!(", {column}, {column}"), &format!(", {column}"))
        });
        let all = "create index by_time on task (account, started_at, id, type, result, caller, project)".to_owned();
        let indexes = indexes.into_iter().chain([all]);
        let asked = match self {
            Store::Sqlite(folder) => {
                let (file, copy) = (folder.join("ledger.db"), folder.join("copy.db"));
                // Whole, and of one state: nobody writes now.
                Connection::open(&file)?.execute_batch("pragma wal_checkpoint(truncate)")?;
                std::fs::copy(file, &copy)?;
                let connection = Connection::open(&copy)?;
                connection.execute_batch(
                    "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -1000000;",
                )?;
                indexes.into_iter().chain(["analyze".into()]).try_for_each(|sql| connection.execute_batch(&sql))?;
                InSql::Sqlite(connection, copy)
            }
            Store::Postgres(url, _) => {
                // The last that is measured of it: nothing else is held against what these cost.
                indexes.chain(["vacuum (analyze) task".into()]).for_each(|sql| Cluster::say_at(url, &sql));
                InSql::Postgres(self.open()?)
            }
        };
        progress(&format!("indexes for SQL after {:.0} s", begin.elapsed().as_secs_f64()));
        Ok(asked)
    }
}

/// What is asked in SQL.
pub(super) enum InSql {
    Sqlite(Connection, PathBuf),
    Postgres(Ledger),
}

impl InSql {
    /// How many tasks fit, and the ids of a page of them, of which all is read.
    pub(super) fn ask(&self, question: &Question) -> anyhow::Result<(i64, Vec<i64>)> {
        let (count, page) = question.sql();
        match self {
            InSql::Sqlite(connection, _) => {
                let counted = connection.query_row(&count, [], |row| row.get(0))?;
                let mut statement = connection.prepare(&page)?;
                let ids = statement.query_map([], |row| row.get("id"))?.collect::<Result<_, _>>()?;
                Ok((counted, ids))
            }
            InSql::Postgres(ledger) => Ok(ledger.read(|reader| {
                let counted = first(reader.rows(&count, &[])?)[0];
                Ok((counted, first(reader.rows(&page, &[])?)))
            })?),
        }
    }
}

/// The first column.
fn first(rows: Vec<ledger::Row>) -> Vec<i64> {
    rows.iter()
        .filter_map(|row| if let Some(Value::Int(value)) = row.0.first() { Some(*value) } else { None })
        .collect()
}

impl Drop for InSql {
    fn drop(&mut self) {
        if let InSql::Sqlite(_, copy) = self {
            for suffix in ["", "-wal", "-shm"] {
                drop(std::fs::remove_file(format!("{}{suffix}", copy.display())));
            }
        }
    }
}
