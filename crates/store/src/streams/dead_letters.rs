//! Events that a receiver refused, and events that are to be sent once more.

use annals_model::time::Time;

use super::StreamId;
use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::store::Store;
use crate::value::{Row, Value, signed};

/// An event that a receiver refused. The event itself stays in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Position of the event in the log.
    pub seq: u64,
    /// Why it lies here: what the receiver said.
    pub reason: String,
    /// How often it was refused.
    pub attempts: u64,
    /// When it was refused last.
    pub refused: Time,
    /// It is to be sent again.
    pub is_due: bool,
}

/// How many dead letters a stream has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeadLetterCount {
    /// All.
    pub all: u64,
    /// Those that are to be sent again.
    pub due: u64,
}

const COLUMNS: &str = "seq, reason, attempts, refused_us, is_due";

fn dead_letter(row: Row<'_>) -> Result<DeadLetter, StoreError> {
    Ok(DeadLetter {
        seq: row.unsigned(0, "dead_letter.seq")?,
        reason: row.text(1)?,
        attempts: row.unsigned(2, "dead_letter.attempts")?,
        refused: Time::from_micros_saturating(row.int(3)?),
        is_due: row.int(4)? != 0,
    })
}

/// Keeps dead letters; of one that is here already the attempts are added up.
pub(super) fn put(
    connection: &mut Connection,
    id: &StreamId,
    letters: &[DeadLetter],
) -> Result<(), StoreError> {
    for letter in letters {
        connection.execute(
            "INSERT INTO dead_letter (stream_id, seq, reason, attempts, refused_us, is_due) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (stream_id, seq) DO UPDATE SET reason = excluded.reason,
             attempts = dead_letter.attempts + excluded.attempts, refused_us = excluded.refused_us, is_due = excluded.is_due",
            &[
                Value::Text(&id.0),
                Value::Int(signed(letter.seq)?),
                Value::Text(&letter.reason),
                Value::Int(signed(letter.attempts)?),
                Value::Int(letter.refused.as_micros()),
                Value::Int(letter.is_due.into()),
            ],
        )?;
    }
    Ok(())
}

pub(super) fn remove(connection: &mut Connection, id: &StreamId, seqs: &[u64]) -> Result<(), StoreError> {
    for seq in seqs {
        let values = [Value::Text(&id.0), Value::Int(signed(*seq)?)];
        connection.execute("DELETE FROM dead_letter WHERE stream_id = $1 AND seq = $2", &values)?;
    }
    Ok(())
}

impl Store {
    /// Counts the dead letters of a stream.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn count_dead_letters(&self, id: &StreamId) -> Result<DeadLetterCount, StoreError> {
        let all = "SELECT count(*) FROM dead_letter WHERE stream_id = $1";
        let due = "SELECT count(*) FROM dead_letter WHERE stream_id = $1 AND is_due = 1";
        self.read(|connection| {
            let mut count = |sql| {
                connection.query_one(sql, &[Value::Text(&id.0)], "a count", |row| {
                    row.unsigned(0, "the count of dead letters")
                })
            };
            Ok(DeadLetterCount { all: count(all)?, due: count(due)? })
        })
    }

    /// Lists the dead letters of a stream from a seq on, by seq, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn dead_letters(
        &self,
        id: &StreamId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM dead_letter WHERE stream_id = $1 AND seq >= $2 ORDER BY seq LIMIT $3"
        );
        self.list(&sql, id, from_seq, limit)
    }

    /// Lists those that are to be sent again.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn due_dead_letters(&self, id: &StreamId, limit: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM dead_letter WHERE stream_id = $1 AND is_due = 1 AND seq >= $2 ORDER BY seq LIMIT $3"
        );
        self.list(&sql, id, 0, limit)
    }

    fn list(
        &self,
        sql: &str,
        id: &StreamId,
        from_seq: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let from_seq = i64::try_from(from_seq).unwrap_or(i64::MAX);
        self.read(|connection| {
            let values = [Value::Text(&id.0), Value::Int(from_seq), Value::Int(limit)];
            connection.query_all(sql, &values, dead_letter)
        })
    }

    /// Has all dead letters of a stream sent again, or the one of a seq, and returns how many.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn resend_dead_letters(&self, id: &StreamId, seq: Option<u64>) -> Result<u64, StoreError> {
        let seq = seq.map(signed).transpose()?;
        self.write(|connection| {
            connection.execute(
                "UPDATE dead_letter SET is_due = 1 WHERE stream_id = $1 AND (seq = $2 OR $2 < 0)",
                &[Value::Text(&id.0), Value::Int(seq.unwrap_or(-1))],
            )
        })
    }

    /// Has events sent again that the receiver does not have.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn send_again(&self, id: &StreamId, seqs: &[u64], reason: &str, now: Time) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            for seq in seqs {
                let letter = DeadLetter {
                    seq: *seq,
                    reason: reason.to_owned(),
                    attempts: 0,
                    refused: now,
                    is_due: true,
                };
                put(&mut transaction, id, &[letter])?;
            }
            transaction.commit()
        })
    }

    /// Forgets what receivers said, which may quote the events that they refused: after an erasure.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn forget_reasons(&self) -> Result<(), StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let reason = Value::Text("forgotten with an erasure");
            transaction.execute("UPDATE dead_letter SET reason = $1", &[reason])?;
            transaction.execute("UPDATE stream SET failure = $1 WHERE failure <> ''", &[reason])?;
            transaction.commit()
        })
    }

    /// Gives up the dead letters of a stream, or the one of a seq, and returns how many.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn discard_dead_letters(&self, id: &StreamId, seq: Option<u64>) -> Result<u64, StoreError> {
        let seq = seq.map(signed).transpose()?;
        self.write(|connection| {
            connection.execute(
                "DELETE FROM dead_letter WHERE stream_id = $1 AND (seq = $2 OR $2 < 0)",
                &[Value::Text(&id.0), Value::Int(seq.unwrap_or(-1))],
            )
        })
    }
}
