//! SQLite with rows and B-tree indexes.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use rusqlite::Connection;

use crate::Generator;
use crate::log::{SEED, bench_data};
use crate::measure::{disk_bytes, own_cpu_seconds};
use crate::peers::{Answer, Peer};
use crate::results::Results;
use crate::row::Row;
use crate::shapes::{Query, Test};

/// SQLite.
pub struct Sqlite {
    connection: Connection,
    path: PathBuf,
}

impl Sqlite {
    /// Opens the database; loads the events unless they are there.
    ///
    /// # Errors
    /// If SQLite fails.
    pub fn open(events: u64, results: &mut Results) -> anyhow::Result<Sqlite> {
        let path = bench_data()?.join(format!("sqlite-{events}.db"));
        if !path.exists() {
            load(&path, events, results)?;
        }
        let connection = Connection::open(&path)?;
        // One GiB, of the memory that PostgreSQL has two of: the page cache of the system holds the rest.
        connection.execute_batch("PRAGMA cache_size = -1048576; PRAGMA mmap_size = 0")?;
        Ok(Sqlite { connection, path })
    }
}

fn load(path: &Path, events: u64, results: &mut Results) -> anyhow::Result<()> {
    println!("loading {events} events into SQLite");
    let (started, cpu) = (Instant::now(), own_cpu_seconds());
    let unfinished = path.with_extension("part");
    drop(std::fs::remove_file(&unfinished));
    let mut connection = Connection::open(&unfinished)?;
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1048576;
         CREATE TABLE audit_logs (id TEXT NOT NULL, time INTEGER NOT NULL, user_id TEXT NOT NULL, username TEXT NOT NULL,
             email TEXT NOT NULL, organization TEXT NOT NULL, ip TEXT, user_agent TEXT, resource_type TEXT NOT NULL,
             resource_id TEXT NOT NULL, resource_target TEXT NOT NULL, action TEXT NOT NULL, diff TEXT NOT NULL,
             status_code INTEGER NOT NULL, additional_fields TEXT NOT NULL, request_id TEXT NOT NULL)",
    )?;
    let transaction = connection.transaction()?;
    let mut generator = Generator::new(SEED);
    let mut line = String::new();
    {
        let mut insert = transaction.prepare(
            "INSERT INTO audit_logs VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16)",
        )?;
        for _ in 0..events {
            line.clear();
            generator.push_event(&mut line);
            let row = Row::read(&line)?;
            insert.execute(rusqlite::params![
                row.id,
                row.time_us,
                row.user_id,
                row.username,
                row.email,
                row.organization,
                row.ip,
                row.user_agent,
                row.resource_type,
                row.resource_id,
                row.resource_target,
                row.action,
                row.diff,
                row.status_code,
                row.additional_fields,
                row.request_id
            ])?;
        }
    }
    transaction.commit()?;
    connection.execute_batch(
        "CREATE UNIQUE INDEX by_id ON audit_logs (id);
         CREATE INDEX by_time ON audit_logs (time);
         CREATE INDEX by_type ON audit_logs (resource_type, action, time);
         CREATE INDEX by_action ON audit_logs (action, time);
         CREATE INDEX by_user ON audit_logs (username, time);
         CREATE INDEX by_resource ON audit_logs (resource_id, time);
         CREATE INDEX by_target ON audit_logs (resource_target, time);
         CREATE INDEX by_request ON audit_logs (request_id);
         ANALYZE",
    )?;
    drop(connection);
    std::fs::rename(unfinished, path)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), (own_cpu_seconds() - cpu) * 1e6 / events as f64);
    println!("loaded in {seconds:.0} s, {cpu:.1} us of CPU an event with making it");
    results.put("load", &events.to_string(), "sqlite", &[("seconds", seconds), ("cpu_us_per_event", cpu)]);
    Ok(())
}

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn answer(&mut self, query: &Query) -> anyhow::Result<Answer> {
        let filter = filter(query);
        let sql = format!("SELECT count(*) FROM audit_logs WHERE {filter}");
        let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        let sql = format!(
            "SELECT * FROM audit_logs WHERE {filter} ORDER BY time DESC LIMIT 25 OFFSET {}",
            query.offset
        );
        let mut statement = self.connection.prepare(&sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let (mut times_us, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            times_us.push(row.get("time")?);
            for at in 0..columns {
                bytes += match row.get_ref(at)? {
                    rusqlite::types::ValueRef::Text(text) => text.len(),
                    _ => 8,
                };
            }
        }
        std::hint::black_box(bytes);
        Ok(Answer { count: u64::try_from(count).context("a count")?, times_us })
    }

    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        Ok(own_cpu_seconds())
    }

    fn is_inside(&self) -> bool {
        true
    }

    fn disk_bytes(&mut self) -> anyhow::Result<u64> {
        Ok(disk_bytes(&self.path))
    }
}

fn filter(query: &Query) -> String {
    let mut parts = vec!["true".to_owned()];
    for test in &query.tests {
        parts.push(match test {
            Test::Is(column, value) => format!("{} = '{value}'", column.key()),
            Test::IsNot(column, value) => format!("{} <> '{value}'", column.key()),
            Test::Begins(column, value) => format!("{} GLOB '{value}*'", column.key()),
            Test::Holds(column, value) => format!("instr({}, '{value}') > 0", column.key()),
            Test::Between(from, to) => format!("time >= {from} AND time < {to}"),
        });
    }
    parts.join(" AND ")
}
