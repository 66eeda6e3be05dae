//! What can go wrong in the database.

use std::path::PathBuf;

use crate::batch::BatchError;

/// A failure of the database or of what it holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no log in the directory, and creating one was not asked for.
    #[error("there is no log in `{}`", dir.display())]
    NoLog {
        /// The data directory.
        dir: PathBuf,
    },
    /// The data directory cannot be made or read.
    #[error("cannot use the data directory `{}`", dir.display())]
    Directory {
        /// The data directory.
        dir: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The file is another program's database.
    #[error("`{}` is not a database of Annals", file.display())]
    Foreign {
        /// The file.
        file: PathBuf,
    },
    /// A newer version wrote the database.
    #[error("the database has format {found}, this version reads up to {supported}; use a newer Annals")]
    TooNew {
        /// Format in the file.
        found: i64,
        /// Newest format that this version reads.
        supported: i64,
    },
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
    /// A person of that name exists.
    #[error("a person named `{username}` exists already")]
    UsernameTaken {
        /// The name.
        username: String,
    },
    /// SQLite failed.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
}

impl StoreError {
    /// Another process held the lock for too long: trying again helps.
    pub fn is_busy(&self) -> bool {
        matches!(self, StoreError::Sqlite(rusqlite::Error::SqliteFailure(error, _))
            if matches!(error.code, rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked))
    }

    /// The disk or the quota is full: retrying helps only after room was made.
    pub fn is_full(&self) -> bool {
        matches!(self, StoreError::Sqlite(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::DiskFull)
    }
}
