//! Opening the database and sharing its connections.

use std::path::PathBuf;

use annals_model::id::LogId;
use annals_model::time::Time;
use annals_tlog::Frontier;

use crate::append::LogWriter;
use crate::connection::Connection;
use crate::error::StoreError;
use crate::location::DatabaseLocation;
use crate::pool::Pool;
use crate::postgres::{self, PostgresUrl};
use crate::sqlite;
use crate::value::Value;

/// Format of the database, in SQLite and PostgreSQL alike; raised with every change of the schema.
///
/// 1: SQLite, the whole log in the tail. 2: PostgreSQL too, sealed segments. 3: organizations, groups, settings, licenses. 4: epochs, checkpoints, sources, dropped
/// events. 5: pruned segments. 6: streams.
pub(crate) const FORMAT: i64 = 6;

/// The database of one log, for any number of threads and processes.
///
/// Every call blocks until it is done, and a PostgreSQL connection drives its own runtime while it does: calls from
/// async code panic there. Call from a thread that may block.
#[derive(Debug)]
pub struct Store {
    database: Database,
    log_id: LogId,
    pool: Pool,
}

/// Which database; opens connections to it.
#[derive(Debug, Clone)]
pub(crate) enum Database {
    Postgres(PostgresUrl),
    Sqlite {
        dir: PathBuf,
        file: PathBuf,
        /// Nobody can write to the file, so it is read without locks.
        is_immutable: bool,
    },
}

impl Database {
    fn new(location: &DatabaseLocation) -> Database {
        match location {
            DatabaseLocation::Directory(dir) => {
                Database::Sqlite { dir: dir.clone(), file: sqlite::file_in(dir), is_immutable: false }
            }
            DatabaseLocation::Postgres(url) => Database::Postgres(url.clone()),
        }
    }

    pub(crate) fn connect(&self) -> Result<Connection, StoreError> {
        match self {
            Database::Postgres(url) => postgres::connect(url),
            Database::Sqlite { file, is_immutable, .. } => sqlite::connect(file, *is_immutable),
        }
    }
}

impl Store {
    /// Opens an existing log. A database of an older format is brought to the newest one.
    ///
    /// # Errors
    /// [`StoreError::NoLog`] if there is none; others if it cannot be used.
    pub fn open(location: &DatabaseLocation) -> Result<Store, StoreError> {
        let database = Database::new(location);
        match &database {
            Database::Sqlite { file, .. } => {
                if !file.exists() {
                    return Err(StoreError::NoLog { location: location.clone() });
                }
                sqlite::migrate(file)?;
            }
            Database::Postgres(url) => match Store::with_database(database.clone()) {
                Err(StoreError::TooOld { .. }) => postgres::migrate(url)?,
                other => return other,
            },
        }
        Store::with_database(database)
    }

    /// Opens an existing log for work that must not change what an older version made: verifying, copying, repairing.
    /// Works on a read-only medium too, if the database was closed before it went there.
    ///
    /// # Errors
    /// [`StoreError::NoLog`] if there is none; [`StoreError::TooOld`] if it has an older format; others if it cannot be
    /// used.
    pub fn open_as_is(location: &DatabaseLocation) -> Result<Store, StoreError> {
        let mut database = Database::new(location);
        if let Database::Sqlite { file, is_immutable, .. } = &mut database {
            if !file.exists() {
                return Err(StoreError::NoLog { location: location.clone() });
            }
            *is_immutable = sqlite::is_immutable(file);
        }
        Store::with_database(database)
    }

    fn with_database(database: Database) -> Result<Store, StoreError> {
        let pool = Pool::default();
        let log_id = read_log_id(pool.take(|| database.connect())?.connection())?;
        Ok(Store { database, log_id, pool })
    }

    /// Opens a log, or creates it. `log_id` is used only for a new log; `now` is when that one was created.
    ///
    /// # Errors
    /// [`StoreError`] if the database cannot be used.
    pub fn create_or_open(
        location: &DatabaseLocation,
        log_id: LogId,
        now: Time,
    ) -> Result<Store, StoreError> {
        match location {
            DatabaseLocation::Directory(dir) => sqlite::create(dir, log_id, now)?,
            DatabaseLocation::Postgres(url) => postgres::create(url, log_id, now)?,
        }
        Store::open(location)
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
        LogWriter::new(self.database.clone(), self.log_id)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Reads on a connection of the pool. If that had grown stale, the work is done once more on a new one; so it must
    /// not have handed out anything before it fails.
    pub(crate) fn read<T>(
        &self,
        mut work: impl FnMut(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut taken = self.pool.take(|| self.database.connect())?;
        match work(taken.connection()) {
            Err(error) if error.is_unavailable() && !taken.is_new => {
                drop(taken);
                self.pool.close_idle();
                work(self.pool.take(|| self.database.connect())?.connection())
            }
            result => result,
        }
    }

    /// Writes on a connection of the pool, once: a write that failed may have been done.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(self.pool.take(|| self.database.connect())?.connection())
    }
}

fn read_log_id(connection: &mut Connection) -> Result<LogId, StoreError> {
    let sql = "SELECT log_id FROM head WHERE id = 1";
    let bytes = connection.query_one(sql, &[], "the head", |row| row.array(0, "the log id"))?;
    Ok(LogId::from_bytes(bytes))
}

/// Writes the head of an empty log.
pub(crate) fn insert_head(connection: &mut Connection, log_id: LogId, now: Time) -> Result<(), StoreError> {
    let frontier = Frontier::new();
    connection.execute(
        "INSERT INTO head (id, log_id, created_us, size, root, frontier) VALUES (1, $1, $2, 0, $3, $4)",
        &[
            Value::Bytes(log_id.as_bytes()),
            Value::Int(now.as_micros()),
            Value::Bytes(frontier.root().as_bytes()),
            Value::Bytes(&frontier.to_bytes()),
        ],
    )?;
    Ok(())
}
