//! Epochs and signed checkpoints of the log. The notes are public texts; the key that signs them is never here.

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::store::Store;
use crate::value::{Row, Value, signed};

/// A stretch of the log's life under one origin. A log that was put back or cut begins a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch {
    /// From 1.
    pub number: u64,
    /// Origin of its checkpoints.
    pub origin: String,
    /// Key that checks them, as a vkey.
    pub verifier: String,
    /// Events of the log when it began.
    pub first_size: u64,
    /// When it began.
    pub started: Time,
    /// Why, in the operator's words; empty for the first.
    pub reason: String,
}

/// A signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// From 1, one by one: the #n that people see.
    pub number: u64,
    /// Number of its epoch.
    pub epoch: u64,
    /// Events that it covers.
    pub size: u64,
    /// When it was signed.
    pub signed: Time,
    /// The signed note.
    pub note: String,
}

const COLUMNS: &str = "number, epoch, size, signed_us, note";

fn checkpoint(row: Row<'_>) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        number: row.unsigned(0, "checkpoint.number")?,
        epoch: row.unsigned(1, "checkpoint.epoch")?,
        size: row.unsigned(2, "checkpoint.size")?,
        signed: Time::from_micros_saturating(row.int(3)?),
        note: row.text(4)?,
    })
}

fn epoch(row: Row<'_>) -> Result<Epoch, StoreError> {
    Ok(Epoch {
        number: row.unsigned(0, "epoch.number")?,
        origin: row.text(1)?,
        verifier: row.text(2)?,
        first_size: row.unsigned(3, "epoch.first_size")?,
        started: Time::from_micros_saturating(row.int(4)?),
        reason: row.text(5)?,
    })
}

fn last_checkpoint(connection: &mut Connection) -> Result<Option<StoredCheckpoint>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM checkpoint ORDER BY number DESC LIMIT 1");
    connection.query_optional(&sql, &[], checkpoint)
}

impl Store {
    /// Lists the epochs, the first one first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        let sql =
            "SELECT number, origin, verifier, first_size, started_us, reason FROM epoch ORDER BY number";
        self.read(|connection| connection.query_all(sql, &[], epoch))
    }

    /// Keeps a new epoch, unless one of its number is there already: then it says `false`.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_epoch(&self, epoch: &Epoch) -> Result<bool, StoreError> {
        self.write(|connection| {
            let added = connection.execute(
                "INSERT INTO epoch (number, origin, verifier, first_size, started_us, reason)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                &[
                    Value::Int(signed(epoch.number)?),
                    Value::Text(&epoch.origin),
                    Value::Text(&epoch.verifier),
                    Value::Int(signed(epoch.first_size)?),
                    Value::Int(epoch.started.as_micros()),
                    Value::Text(&epoch.reason),
                ],
            )?;
            Ok(added == 1)
        })
    }

    /// Lists all checkpoints, by rising number.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<StoredCheckpoint>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM checkpoint ORDER BY number");
        self.read(|connection| connection.query_all(&sql, &[], checkpoint))
    }

    /// Lists the sizes of the checkpoints of more than `from` and fewer than `to` events, rising, each once.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn checkpoint_sizes(&self, from: u64, to: u64) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT DISTINCT size FROM checkpoint WHERE size > $1 AND size < $2 ORDER BY size";
        let values = [Value::Int(signed(from)?), Value::Int(signed(to)?)];
        self.read(|connection| connection.query_all(sql, &values, |row| row.unsigned(0, "checkpoint.size")))
    }

    /// Returns the last checkpoint.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn last_checkpoint(&self) -> Result<Option<StoredCheckpoint>, StoreError> {
        self.read(last_checkpoint)
    }

    /// Returns the first checkpoint that covers the event of a seq.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn checkpoint_covering(&self, seq: u64) -> Result<Option<StoredCheckpoint>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM checkpoint WHERE size > $1 ORDER BY size, number LIMIT 1");
        self.read(|connection| connection.query_optional(&sql, &[Value::Int(signed(seq)?)], checkpoint))
    }

    /// Returns the last checkpoint of exactly so many events.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn checkpoint_of_size(&self, size: u64) -> Result<Option<StoredCheckpoint>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM checkpoint WHERE size = $1 ORDER BY number DESC LIMIT 1");
        self.read(|connection| connection.query_optional(&sql, &[Value::Int(signed(size)?)], checkpoint))
    }

    /// Keeps a signed checkpoint as the next one, if `last` is still the number of the last one: of two signers one is told
    /// `false` and must look again.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_checkpoint(&self, new: &StoredCheckpoint) -> Result<bool, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let last = last_checkpoint(&mut transaction)?;
            if last.as_ref().map_or(0, |last| last.number) + 1 != new.number
                || last.is_some_and(|last| last.size > new.size)
            {
                return Ok(false);
            }
            let added = transaction.execute(
                &format!(
                    "INSERT INTO checkpoint ({COLUMNS}) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
                ),
                &[
                    Value::Int(signed(new.number)?),
                    Value::Int(signed(new.epoch)?),
                    Value::Int(signed(new.size)?),
                    Value::Int(new.signed.as_micros()),
                    Value::Text(&new.note),
                ],
            )?;
            transaction.commit()?;
            Ok(added == 1)
        })
    }
}
