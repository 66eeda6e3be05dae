//! One connection to either database, and the few things that are done with it.
//!
//! The SQL of the crate is written once, for both: parameters are numbered `$1`, `$2` in the order of their first
//! appearance, because SQLite numbers them so.

use std::ops::{Deref, DerefMut};

use crate::error::StoreError;
use crate::postgres::PostgresConnection;
use crate::value::{Row, Value};

/// An open connection. The databases are a closed set, so this is an enum and not a trait.
pub(crate) enum Connection {
    Postgres(Box<PostgresConnection>),
    Sqlite(rusqlite::Connection),
}

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reads one state of the database, however long it takes.
    Snapshot,
    /// Writes. In SQLite the lock is taken at the start; in PostgreSQL by `FOR UPDATE` on the head, where that matters.
    Write,
}

/// An `INSERT` of any number of rows.
pub(crate) struct Insert {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// What follows the values, such as `ON CONFLICT ...`; may be empty.
    pub(crate) suffix: &'static str,
}

/// Kind of a column of an [`Insert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Bytes; a text in SQLite may be bytes in PostgreSQL.
    Bytes,
    Int,
}

impl Insert {
    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

impl Connection {
    /// Runs a statement and returns the rows that it changed.
    pub(crate) fn execute(&mut self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        match self {
            Connection::Postgres(connection) => connection.execute(sql, values),
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let changed = statement.execute(rusqlite::params_from_iter(values))?;
                Ok(changed as u64)
            }
        }
    }

    /// Hands each row of the result to `each`, which ends it by an error.
    pub(crate) fn query(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut each: impl FnMut(Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Connection::Postgres(connection) => connection.query(sql, values, |row| each(Row::Postgres(row))),
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    each(Row::Sqlite(row))?;
                }
                Ok(())
            }
        }
    }

    /// Reads all rows of the result.
    pub(crate) fn query_all<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.query(sql, values, |row| {
            all.push(read(row)?);
            Ok(())
        })?;
        Ok(all)
    }

    /// Reads a result of at most one row.
    pub(crate) fn query_optional<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut found = None;
        self.query(sql, values, |row| {
            found = Some(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Reads a result of exactly one row; `what` is what is damaged when there is none.
    pub(crate) fn query_one<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        what: &str,
        read: impl FnMut(Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.query_optional(sql, values, read)?
            .ok_or_else(|| StoreError::Damaged { what: format!("{what} is missing") })
    }

    /// Inserts rows: in SQLite one by one, in PostgreSQL in one round trip.
    pub(crate) fn insert(&mut self, insert: &Insert, rows: &[Vec<Value<'_>>]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        match self {
            Connection::Postgres(connection) => connection.insert(insert, rows),
            Connection::Sqlite(connection) => {
                let places: Vec<String> = (1..=insert.columns.len()).map(|at| format!("${at}")).collect();
                let sql = format!(
                    "INSERT INTO {} ({}) VALUES ({}) {}",
                    insert.table,
                    insert.column_list(),
                    places.join(", "),
                    insert.suffix
                );
                let mut statement = connection.prepare_cached(&sql)?;
                for row in rows {
                    statement.execute(rusqlite::params_from_iter(row))?;
                }
                Ok(())
            }
        }
    }

    /// Begins a transaction, which is rolled back unless it is committed.
    pub(crate) fn begin(&mut self, mode: Mode) -> Result<Transaction<'_>, StoreError> {
        match self {
            Connection::Postgres(connection) => connection.begin(mode)?,
            Connection::Sqlite(connection) => connection.execute_batch(match mode {
                Mode::Snapshot => "BEGIN DEFERRED",
                Mode::Write => "BEGIN IMMEDIATE",
            })?,
        }
        Ok(Transaction { connection: self, is_open: true })
    }

    /// Goes on with a transaction that was left open.
    pub(crate) fn resume(&mut self) -> Transaction<'_> {
        Transaction { connection: self, is_open: true }
    }

    /// What locks a row that is read in a write transaction. In SQLite the transaction itself is the lock.
    pub(crate) fn for_update(&self) -> &'static str {
        match self {
            Connection::Postgres(_) => " FOR UPDATE",
            Connection::Sqlite(_) => "",
        }
    }

    /// The connection may serve again: nothing is left open and the server was not seen to leave.
    pub(crate) fn is_reusable(&mut self) -> bool {
        match self {
            Connection::Postgres(connection) => connection.is_reusable(),
            Connection::Sqlite(connection) => connection.is_autocommit(),
        }
    }

    fn finish(&mut self, sql: &str) -> Result<(), StoreError> {
        match self {
            Connection::Postgres(connection) => connection.batch(sql),
            Connection::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Connection::Postgres(_) => "Postgres",
            Connection::Sqlite(_) => "Sqlite",
        })
    }
}

/// An open transaction; what is done through it is in it.
#[derive(Debug)]
pub(crate) struct Transaction<'c> {
    connection: &'c mut Connection,
    is_open: bool,
}

impl Transaction<'_> {
    pub(crate) fn commit(mut self) -> Result<(), StoreError> {
        self.connection.finish("COMMIT")?;
        self.is_open = false;
        Ok(())
    }

    /// Ends the guard, not the transaction; for [`Connection::resume`].
    pub(crate) fn leave_open(mut self) {
        self.is_open = false;
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // If this fails, the connection is not reusable and the database rolls back when it closes.
            drop(self.connection.finish("ROLLBACK"));
        }
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}
