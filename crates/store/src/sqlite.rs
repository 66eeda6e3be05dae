//! SQLite: the file, its schema and its format.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals_model::id::LogId;
use annals_model::time::Time;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{OpenFlags, TransactionBehavior};

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::files::{make_private_dir, open_private_file};
use crate::store::{FORMAT, insert_head};

/// "ANLS" in ASCII: says in the file's header whose database it is.
const APPLICATION_ID: i64 = 0x414E_4C53;
/// How long a writer waits for another process's commit, which takes milliseconds, before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Prepared statements that a connection keeps: all that the crate has.
const STATEMENTS_MAX: usize = 128;

/// Characters of paths that stand in an address of SQLite as they are.
const URI_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

const SCHEMA: &str = include_str!("schema/sqlite.sql");
const SCHEMA_1_TO_2: &str = include_str!("schema/sqlite-1-to-2.sql");
const SCHEMA_2_TO_3: &str = include_str!("schema/sqlite-2-to-3.sql");
/// What formats 4 to 6 add; a new file gets it in the same way.
const SCHEMA_3_TO_4: &str = include_str!("schema/sqlite-3-to-4.sql");
const SCHEMA_4_TO_5: &str = include_str!("schema/sqlite-4-to-5.sql");
const SCHEMA_5_TO_6: &str = include_str!("schema/sqlite-5-to-6.sql");

/// Name of the database in a data directory.
pub(crate) fn file_in(dir: &Path) -> PathBuf {
    dir.join("annals.db")
}

/// Opens a connection to a file of the newest format; `is_immutable` says that nobody can write to it.
pub(crate) fn connect(file: &Path, is_immutable: bool) -> Result<Connection, StoreError> {
    let connection = if is_immutable { open_immutable(file)? } else { open(file)? };
    match check_format(&connection, file)? {
        FORMAT => Ok(Connection::Sqlite(connection)),
        found => Err(StoreError::TooOld { found, needed: FORMAT }),
    }
}

/// Says whether a file is on a read-only medium and whole without a WAL: then it may be read without locks, which could
/// not be had there. A file that is merely write-protected does not count, since somebody else may write to it.
pub(crate) fn is_immutable(file: &Path) -> bool {
    let is_read_only = OpenOptions::new()
        .write(true)
        .open(file)
        .is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem);
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    is_read_only && std::fs::metadata(wal).map_or(0, |meta| meta.len()) == 0
}

/// Brings an older file to the newest format, in one transaction. An older Annals must not run meanwhile: one of format 1
/// knows nothing of sealed events, and one of format 2 can log nobody in any more.
pub(crate) fn migrate(file: &Path) -> Result<(), StoreError> {
    let mut connection = open(file)?;
    if check_format(&connection, file)? == FORMAT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited for the lock.
    let found = check_format(&transaction, file)?;
    for (older, script) in
        [(1, SCHEMA_1_TO_2), (2, SCHEMA_2_TO_3), (3, SCHEMA_3_TO_4), (4, SCHEMA_4_TO_5), (5, SCHEMA_5_TO_6)]
    {
        if found <= older {
            transaction.execute_batch(script)?;
        }
    }
    transaction.pragma_update(None, "user_version", FORMAT)?;
    Ok(transaction.commit()?)
}

fn open(file: &Path) -> Result<rusqlite::Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    set_up(rusqlite::Connection::open_with_flags(file, flags)?)
}

fn open_immutable(file: &Path) -> Result<rusqlite::Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file =
        std::path::absolute(file).map_err(|source| StoreError::File { path: file.to_owned(), source })?;
    let path = percent_encode(file.as_os_str().as_encoded_bytes(), URI_PATH);
    set_up(rusqlite::Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)?)
}

fn set_up(connection: rusqlite::Connection) -> Result<rusqlite::Connection, StoreError> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // FULL: the WAL is synced before each commit returns; NORMAL may lose the last commits with the power.
    // The WAL is copied back every 4,096 pages (32 MB): rarely enough to batch writes, early enough to stay small.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 4096;
         PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;",
    )?;
    Ok(connection)
}

/// Returns the format, which is at most [`FORMAT`].
fn check_format(connection: &rusqlite::Connection, file: &Path) -> Result<i64, StoreError> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign { database: file.display().to_string(), hint: "" });
    }
    if format > FORMAT {
        return Err(StoreError::TooNew { found: format, supported: FORMAT });
    }
    Ok(format)
}

/// Creates directory, file and tables as far as they are missing. Stopping here at any point leaves either an empty
/// file, which the next start fills, or the whole schema with its head: both stand in one transaction.
pub(crate) fn create(dir: &Path, log_id: LogId, now: Time) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { path: dir.to_owned(), source };
    if !dir.exists() {
        make_private_dir(dir).map_err(failed)?;
    }
    let file = file_in(dir);
    if !file.exists() {
        open_private_file(&file).map_err(failed)?;
    }
    let new = rusqlite::Connection::open(&file)?;
    new.busy_timeout(BUSY_TIMEOUT)?;
    new.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let mut connection = Connection::Sqlite(new);
    let mut transaction = connection.begin(Mode::Write)?;
    let sql = "SELECT count(*) FROM sqlite_schema";
    if transaction.query_one(sql, &[], "the schema", |row| row.int(0))? == 0 {
        if let Connection::Sqlite(sqlite) = &mut *transaction {
            sqlite.execute_batch(SCHEMA)?;
            sqlite.execute_batch(SCHEMA_3_TO_4)?;
            sqlite.execute_batch(SCHEMA_4_TO_5)?;
            sqlite.execute_batch(SCHEMA_5_TO_6)?;
            sqlite.pragma_update(None, "application_id", APPLICATION_ID)?;
            sqlite.pragma_update(None, "user_version", FORMAT)?;
        }
        insert_head(&mut transaction, log_id, now)?;
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_immutable_file_is_read_without_any_file_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("50% of a/log?");
        create(&dir, LogId::from_bytes([1; 16]), Time::EPOCH).unwrap();
        let names = || std::fs::read_dir(&dir).unwrap().count();
        assert_eq!((names(), is_immutable(&file_in(&dir))), (1, false));
        let mut connection = connect(&file_in(&dir), true).unwrap();
        let size = connection.query_one("SELECT size FROM head", &[], "the head", |row| row.int(0));
        assert_eq!((size.unwrap(), names()), (0, 1));
        assert!(connection.execute("UPDATE head SET size = 1", &[]).is_err());
    }
}
