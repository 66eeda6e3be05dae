//! Work that one process does at a time: sealing, and sending streams.

use std::fs::File;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::files::open_private_file;
use crate::store::{Database, Store};
use crate::value::Value;

/// What a lease is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseKind {
    /// Making, merging and rewriting segments.
    Seal = 0,
    /// Sending events to receivers.
    Streams = 1,
}

/// The right to a kind of work, which one process has at a time; dropping it gives it back.
///
/// In a directory it is a lock on a file there, which the kernel frees when the process ends, however it ends. In PostgreSQL it is an
/// advisory lock of the lease's connection: who lost the lock lost the connection too.
#[derive(Debug)]
pub struct Lease {
    pub(crate) connection: Connection,
    lock: Lock,
}

/// What makes a lease one of a kind.
#[derive(Debug)]
enum Lock {
    /// An advisory lock of the lease's connection, by its key.
    Advisory(i64),
    /// A locked file; closing it frees the lock.
    File { _file: File },
}

impl LeaseKind {
    fn file_name(self) -> &'static str {
        match self {
            LeaseKind::Seal => "seal.lock",
            LeaseKind::Streams => "streams.lock",
        }
    }
}

impl Store {
    /// Takes the right to send streams; none if another process, or another part of this one, has it.
    ///
    /// # Errors
    /// [`StoreError`] if the lock cannot be asked for.
    pub fn try_stream_lease(&self) -> Result<Option<Lease>, StoreError> {
        self.try_lease(LeaseKind::Streams)
    }

    pub(crate) fn try_lease(&self, kind: LeaseKind) -> Result<Option<Lease>, StoreError> {
        match self.database() {
            Database::Postgres(_) => {
                let mut connection = self.database().connect()?;
                // The log's id is random: its first half is a key that no other lock has, nor are those beside it.
                let log_id = self.log_id();
                let (key, _) = log_id.as_bytes().split_first_chunk().expect("16 bytes");
                let key = i64::from_be_bytes(*key).wrapping_add(kind as i64);
                let is_ours = connection.query_one(
                    "SELECT CASE WHEN pg_try_advisory_lock($1) THEN 1::bigint ELSE 0::bigint END",
                    &[Value::Int(key)],
                    "the answer to the lock",
                    |row| Ok(row.int(0)? == 1),
                )?;
                Ok(is_ours.then_some(Lease { connection, lock: Lock::Advisory(key) }))
            }
            Database::Sqlite { dir, .. } => {
                let path = dir.join(kind.file_name());
                let failed = |source| StoreError::File { path: path.clone(), source };
                let file = open_private_file(&path).map_err(failed)?;
                match file.try_lock() {
                    Ok(()) => {
                        let connection = self.database().connect()?;
                        Ok(Some(Lease { connection, lock: Lock::File { _file: file } }))
                    }
                    Err(std::fs::TryLockError::WouldBlock) => Ok(None),
                    Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
                }
            }
        }
    }
}

impl Lease {
    /// Asks whether the right is still had: what was begun under a lease that was lost must be given up, because
    /// another process may be at the same work. In a directory the lock stays until the lease is dropped.
    ///
    /// PostgreSQL is asked on the lease's own connection, so a connection that was lost does not answer; false means that
    /// somebody freed the lock but left the connection, as a pooler between them may.
    ///
    /// # Errors
    /// [`StoreError`] if the database does not answer; with [`StoreError::is_unavailable`] the lease is lost too.
    pub fn holds(&mut self) -> Result<bool, StoreError> {
        match self.lock {
            // The server shows a key of 64 bits as two halves, and marks it by the number 1.
            Lock::Advisory(key) => self.connection.query_one(
                "SELECT CASE WHEN EXISTS (
                     SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
                     AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = $1
                     AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 ) THEN 1::bigint ELSE 0::bigint END",
                &[Value::Int(key)],
                "the answer to the lock",
                |row| Ok(row.int(0)? == 1),
            ),
            Lock::File { .. } => Ok(true),
        }
    }
}
