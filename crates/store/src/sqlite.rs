//! SQLite: the file, its schema and its format.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals_model::id::LogId;
use annals_model::time::Time;
use rusqlite::{OpenFlags, TransactionBehavior};

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::store::{FORMAT, insert_head};

/// "ANLS" in ASCII: says in the file's header whose database it is.
const APPLICATION_ID: i64 = 0x414E_4C53;
/// How long a writer waits for another process's commit, which takes milliseconds, before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Prepared statements that a connection keeps: all that the crate has.
const STATEMENTS_MAX: usize = 64;

const SCHEMA: &str = include_str!("schema/sqlite.sql");
const SCHEMA_1_TO_2: &str = include_str!("schema/sqlite-1-to-2.sql");

/// Name of the database in a data directory.
pub(crate) fn file_in(dir: &Path) -> PathBuf {
    dir.join("annals.db")
}

/// Opens a connection to a file of the newest format.
pub(crate) fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connection = open(file)?;
    check_format(&connection, file)?;
    Ok(Connection::Sqlite(connection))
}

/// Brings an older file to the newest format, in one transaction. An older Annals must not run meanwhile: it knows
/// nothing of sealed events.
pub(crate) fn migrate(file: &Path) -> Result<(), StoreError> {
    let mut connection = open(file)?;
    if check_format(&connection, file)? == FORMAT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it while this one waited for the lock.
    if check_format(&transaction, file)? == 1 {
        transaction.execute_batch(SCHEMA_1_TO_2)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    Ok(transaction.commit()?)
}

fn open(file: &Path) -> Result<rusqlite::Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = rusqlite::Connection::open_with_flags(file, flags)?;
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
            sqlite.pragma_update(None, "application_id", APPLICATION_ID)?;
            sqlite.pragma_update(None, "user_version", FORMAT)?;
        }
        insert_head(&mut transaction, log_id, now)?;
    }
    transaction.commit()
}

/// Events hold personal data: only the owner of the process may read them.
pub(crate) fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Opens a file for writing, and makes it if it is missing, readable for the owner of the process only.
pub(crate) fn open_private_file(file: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)
}
