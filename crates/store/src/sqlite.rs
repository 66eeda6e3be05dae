//! Opening the embedded database and sharing its connections.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use annals_model::id::LogId;
use annals_model::time::Time;
use annals_tlog::Frontier;
use rusqlite::{Connection, OpenFlags, params};

use crate::error::StoreError;
use crate::log::LogWriter;

/// "ANLS" in ASCII: says in the file's header whose database it is.
const APPLICATION_ID: i64 = 0x414E_4C53;
/// Format of the database; raised with every change of the schema.
const FORMAT: i64 = 1;
/// How long a writer waits for another process's commit, which takes milliseconds, before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections that are kept: one for each reader that two cores can keep busy, and spare ones.
const IDLE_CONNECTIONS_MAX: usize = 8;

const SCHEMA: &str = "
CREATE TABLE head (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    log_id      BLOB    NOT NULL,
    created_us  INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    root        BLOB    NOT NULL,
    frontier    BLOB    NOT NULL
) STRICT;
CREATE TABLE tail (
    first_seq   INTEGER PRIMARY KEY,
    event_count INTEGER NOT NULL,
    batch       BLOB    NOT NULL
) STRICT;
CREATE TABLE tile (
    level       INTEGER NOT NULL,
    tile_index  INTEGER NOT NULL,
    hashes      BLOB    NOT NULL,
    UNIQUE (level, tile_index)
) STRICT;
CREATE TABLE deleted (
    resource_type TEXT    NOT NULL,
    resource_id   TEXT    NOT NULL,
    time_us       INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    PRIMARY KEY (resource_type, resource_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE person (
    id              TEXT    PRIMARY KEY,
    username        TEXT    NOT NULL,
    username_folded TEXT    NOT NULL UNIQUE,
    email           TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    role            TEXT    NOT NULL,
    password_hash   TEXT    NOT NULL,
    created_us      INTEGER NOT NULL
) STRICT;
CREATE TABLE session (
    secret_hash BLOB    PRIMARY KEY,
    person_id   TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_us  INTEGER NOT NULL,
    expires_us  INTEGER NOT NULL
) STRICT;
CREATE TABLE token (
    id          TEXT    PRIMARY KEY,
    secret_hash BLOB    NOT NULL UNIQUE,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    owner_id    TEXT    REFERENCES person (id),
    created_us  INTEGER NOT NULL,
    revoked_us  INTEGER
) STRICT;
CREATE TABLE registry_document (
    version     INTEGER PRIMARY KEY,
    received_us INTEGER NOT NULL,
    authority   TEXT    NOT NULL CHECK (authority IN ('application', 'operator')),
    source      TEXT    NOT NULL,
    document    TEXT    NOT NULL
) STRICT;
CREATE TABLE secret (
    name        TEXT    PRIMARY KEY,
    secret_hash BLOB    NOT NULL
) STRICT;
";

/// The database of one log, for any number of threads and processes.
#[derive(Debug)]
pub struct Store {
    file: PathBuf,
    log_id: LogId,
    /// Connections that nobody uses now. Taken for one read or small write, then put back.
    idle: Mutex<Vec<Connection>>,
}

impl Store {
    /// Opens the log in a directory.
    ///
    /// # Errors
    /// [`StoreError::NoLog`] if there is none; others if it cannot be used.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        let file = dir.join("annals.db");
        if !file.exists() {
            return Err(StoreError::NoLog { dir: dir.to_owned() });
        }
        Store::with_file(file)
    }

    /// Opens the log in a directory, or creates both. `log_id` is used only for a new log.
    ///
    /// # Errors
    /// [`StoreError`] if the directory or the database cannot be used.
    pub fn create_or_open(dir: &Path, log_id: LogId, now: Time) -> Result<Store, StoreError> {
        let failed = |source| StoreError::Directory { dir: dir.to_owned(), source };
        if !dir.exists() {
            make_private_dir(dir).map_err(failed)?;
        }
        let file = dir.join("annals.db");
        if !file.exists() {
            make_private_file(&file).map_err(failed)?;
        }
        create_schema(&file, log_id, now)?;
        Store::with_file(file)
    }

    fn with_file(file: PathBuf) -> Result<Store, StoreError> {
        let connection = connect(&file)?;
        let log_id = read_log_id(&connection)?;
        Ok(Store { file, log_id, idle: Mutex::new(vec![connection]) })
    }

    /// Identity of the log.
    pub fn log_id(&self) -> LogId {
        self.log_id
    }

    /// Opens a connection for appending. One per process is enough; others would wait for it.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be opened again.
    pub fn log_writer(&self) -> Result<LogWriter, StoreError> {
        Ok(LogWriter::new(connect(&self.file)?, self.log_id))
    }

    /// Runs one piece of work on a connection of the pool.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => connect(&self.file)?,
        };
        let result = work(&mut connection);
        let mut idle = self.idle();
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(connection);
        }
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // A panic between pop and push loses one connection, never half a state.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn connect(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // FULL: the WAL is synced before each commit returns; NORMAL may lose the last commits with the power.
    // The WAL is copied back every 4,096 pages (32 MB): rarely enough to batch writes, early enough to stay small.
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 4096;
         PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384;",
    )?;
    check_format(&connection, file)?;
    Ok(connection)
}

fn check_format(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if application != APPLICATION_ID {
        return Err(StoreError::Foreign { file: file.to_owned() });
    }
    if format > FORMAT {
        return Err(StoreError::TooNew { found: format, supported: FORMAT });
    }
    Ok(())
}

/// Creates the tables if the file is empty. Stopping here at any point leaves either an empty file, which the next
/// start fills, or the whole schema with its head: both stand in one transaction.
fn create_schema(file: &Path, log_id: LogId, now: Time) -> Result<(), StoreError> {
    let mut connection = Connection::open(file)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection
        .execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;")?;
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        let frontier = Frontier::new();
        transaction.execute(
            "INSERT INTO head (id, log_id, created_us, size, root, frontier) VALUES (1, ?, ?, 0, ?, ?)",
            params![log_id.as_bytes(), now.as_micros(), frontier.root().as_bytes(), frontier.to_bytes()],
        )?;
    }
    transaction.commit()?;
    Ok(())
}

fn read_log_id(connection: &Connection) -> Result<LogId, StoreError> {
    let bytes: Vec<u8> =
        connection.query_row("SELECT log_id FROM head WHERE id = 1", [], |row| row.get(0))?;
    let bytes = bytes
        .try_into()
        .map_err(|_| StoreError::Damaged { what: "the log id has not 16 bytes".to_owned() })?;
    Ok(LogId::from_bytes(bytes))
}

/// Events hold personal data: only the owner of the process may read them.
#[cfg(unix)]
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

#[cfg(not(unix))]
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(unix)]
fn make_private_file(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file).map(drop)
}

#[cfg(not(unix))]
fn make_private_file(file: &Path) -> std::io::Result<()> {
    fs::OpenOptions::new().write(true).create(true).truncate(false).open(file).map(drop)
}
