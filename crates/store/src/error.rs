//! What can go wrong in the database.

use std::path::PathBuf;

use ::postgres::error::SqlState;
use rusqlite::ErrorCode;

use crate::batch::BatchError;
use crate::location::DatabaseLocation;

/// A failure of the database or of what it holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The named backup file exists.
    #[error("`{}` exists already; name a new file", file.display())]
    BackupExists {
        /// The file.
        file: PathBuf,
    },
    /// Backups of this database are not made here.
    #[error("a PostgreSQL database is backed up by its own tools, such as pg_dump (see docs/OPERATIONS.md)")]
    BackupOfPostgres,
    /// A stored value is not what this version writes.
    #[error("the database is damaged: {what}")]
    Damaged {
        /// Which value, and how.
        what: String,
    },
    /// A tail row is damaged.
    #[error("tail row at seq {first_seq} is damaged: {source}")]
    DamagedTail {
        /// First seq of the row.
        first_seq: u64,
        /// What is wrong.
        #[source]
        source: BatchError,
    },
    /// The data directory or a file in it cannot be made, read or written.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The database belongs to another program.
    #[error("`{database}` is not a database of Annals{hint}")]
    Foreign {
        /// The file, or the address without its password.
        database: String,
        /// What to do, if that is known.
        hint: &'static str,
    },
    /// The change would leave nobody who manages the site.
    #[error(
        "`{username}` is the last active site manager; make someone else one first: annals user role NAME site-manager"
    )]
    LastManager {
        /// Who that is.
        username: String,
    },
    /// A change of the segment table does not fit what is there: another process changed it, or the caller is wrong.
    #[error("the segments cannot be changed so: {what}")]
    ManifestConflict {
        /// What does not fit.
        what: String,
    },
    /// An organization, a group or a saved search of that name exists, or an organization of that id.
    #[error("{what} `{name}` exists already")]
    NameTaken {
        /// What has the name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is no log at the place, and creating one was not asked for.
    #[error("there is no log in `{location}`")]
    NoLog {
        /// The place; shown without its password.
        location: DatabaseLocation,
    },
    /// Every connection was in use for too long.
    #[error("all {connections_max} connections to the database were in use for {waited_s} seconds")]
    NoConnection {
        /// How many there are.
        connections_max: usize,
        /// How long was waited, seconds.
        waited_s: u64,
    },
    /// Somebody who is not in the organization cannot be in its groups.
    #[error("`{person_id}` is not a member of the organization; add them there first")]
    NotMember {
        /// Who that is.
        person_id: String,
    },
    /// PostgreSQL failed, or cannot be reached.
    #[error("the PostgreSQL database failed")]
    Postgres(#[from] ::postgres::Error),
    /// Events were sealed while the log was being checked.
    #[error("events up to seq {sealed} are sealed by now, the check began at {from_seq}; check again")]
    SealedMeanwhile {
        /// Where the check of the tail began.
        from_seq: u64,
        /// Seq up to which events are sealed now.
        sealed: u64,
    },
    /// SQLite failed.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The certificates to check a PostgreSQL server with cannot be used.
    #[error("the certificates for TLS cannot be used: {what}")]
    Tls {
        /// What is wrong.
        what: String,
    },
    /// A newer version wrote the database.
    #[error("the database has format {found}, this version reads up to {supported}; use a newer Annals")]
    TooNew {
        /// Format in the database.
        found: i64,
        /// Newest format that this version reads.
        supported: i64,
    },
    /// An older version wrote the database, and bringing it to our format was not asked for.
    #[error(
        "the database has format {found}, this version works on {needed}; start it once as a server (`annals serve`), \
         which brings the database there"
    )]
    TooOld {
        /// Format in the database.
        found: i64,
        /// The format that this version works on.
        needed: i64,
    },
    /// The PostgreSQL server lacks what Annals needs.
    #[error("the PostgreSQL server cannot hold a log: {what}")]
    UnsuitableServer {
        /// What is missing.
        what: String,
    },
    /// A person of that name exists.
    #[error("a person named `{username}` exists already")]
    UsernameTaken {
        /// The name.
        username: String,
    },
}

impl StoreError {
    /// Another process held a lock for too long: trying again helps.
    pub fn is_busy(&self) -> bool {
        match self {
            StoreError::NoConnection { .. } => true,
            StoreError::Postgres(error) => error.code().is_some_and(|code| {
                [
                    SqlState::LOCK_NOT_AVAILABLE,
                    SqlState::QUERY_CANCELED,
                    SqlState::T_R_DEADLOCK_DETECTED,
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                ]
                .contains(code)
            }),
            StoreError::Sqlite(error) => {
                has_code(error, &[ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked])
            }
            _ => false,
        }
    }

    /// A row of that key is there already.
    pub(crate) fn is_repetition(&self) -> bool {
        match self {
            StoreError::Postgres(error) => error.code() == Some(&SqlState::UNIQUE_VIOLATION),
            StoreError::Sqlite(error) => has_code(error, &[ErrorCode::ConstraintViolation]),
            _ => false,
        }
    }

    /// The disk or the quota is full: retrying helps only after room was made.
    pub fn is_full(&self) -> bool {
        match self {
            StoreError::Postgres(error) => error.code() == Some(&SqlState::DISK_FULL),
            StoreError::Sqlite(error) => has_code(error, &[ErrorCode::DiskFull]),
            _ => false,
        }
    }

    /// The database cannot be reached, or hung up: a new connection may succeed later. A write that fails so may have
    /// been done.
    pub fn is_unavailable(&self) -> bool {
        match self {
            StoreError::Postgres(error) => is_connection_lost(error),
            StoreError::Sqlite(error) => has_code(error, &[ErrorCode::CannotOpen]),
            _ => false,
        }
    }
}

fn has_code(error: &rusqlite::Error, codes: &[ErrorCode]) -> bool {
    error.sqlite_error_code().is_some_and(|code| codes.contains(&code))
}

/// Says whether the connection is of no use any more, or was never had, for a reason that may pass.
pub(crate) fn is_connection_lost(error: &::postgres::Error) -> bool {
    if let Some(code) = error.code() {
        // Class 08 is connection failures, class 57P shutdown and start-up of the server.
        return code.code().starts_with("08")
            || code.code().starts_with("57P")
            || [SqlState::TOO_MANY_CONNECTIONS, SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT]
                .contains(code);
    }
    if error.is_closed() {
        return true;
    }
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    match cause {
        // A certificate that does not fit is data that is not valid; waiting does not mend it.
        Some(cause) => cause.kind() != std::io::ErrorKind::InvalidData,
        // Waiting for a socket ended; this kind has neither code nor cause.
        None => error.to_string().starts_with("timeout"),
    }
}
