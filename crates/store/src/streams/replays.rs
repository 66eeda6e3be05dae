//! Replays: a part of the log that a stream sends once more, beside what is new.

use annals_model::time::Time;

use super::StreamId;
use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::store::Store;
use crate::value::{Row, Value, signed};

/// A part of the log that is sent once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its number among those of the stream.
    pub number: u64,
    /// Which of the stream's events; empty for all.
    pub query: String,
    /// Where it began.
    pub first_seq: u64,
    /// Everything before was acknowledged.
    pub next_seq: u64,
    /// Where it ends, exclusive.
    pub end_seq: u64,
    /// Events that were acknowledged.
    pub delivered: u64,
    /// When it was asked for.
    pub created: Time,
}

const COLUMNS: &str = "number, query, first_seq, next_seq, end_seq, delivered, created_us";

fn replay(row: Row<'_>) -> Result<Replay, StoreError> {
    Ok(Replay {
        number: row.unsigned(0, "stream_replay.number")?,
        query: row.text(1)?,
        first_seq: row.unsigned(2, "stream_replay.first_seq")?,
        next_seq: row.unsigned(3, "stream_replay.next_seq")?,
        end_seq: row.unsigned(4, "stream_replay.end_seq")?,
        delivered: row.unsigned(5, "stream_replay.delivered")?,
        created: Time::from_micros_saturating(row.int(6)?),
    })
}

/// Saves how far a replay is; one that is done goes. One that was given up meanwhile stays so, also if another one has its number now.
pub(super) fn save(connection: &mut Connection, id: &StreamId, replay: &Replay) -> Result<(), StoreError> {
    let (stream, number) = (Value::Text(&id.0), Value::Int(signed(replay.number)?));
    let created = Value::Int(replay.created.as_micros());
    if replay.next_seq >= replay.end_seq {
        let sql = "DELETE FROM stream_replay WHERE stream_id = $1 AND number = $2 AND created_us = $3";
        return connection.execute(sql, &[stream, number, created]).map(drop);
    }
    let sql = "UPDATE stream_replay SET next_seq = $1, delivered = $2 WHERE stream_id = $3 AND number = $4 AND created_us = $5";
    let (next_seq, delivered) = (Value::Int(signed(replay.next_seq)?), Value::Int(signed(replay.delivered)?));
    connection.execute(sql, &[next_seq, delivered, stream, number, created]).map(drop)
}

impl Store {
    /// Asks for a replay; its number is chosen here. Says `false` if the stream has `max` waiting, or is gone.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_replay(&self, id: &StreamId, replay: &Replay, max: u64) -> Result<bool, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            // The lock on the stream makes two that ask at once get two numbers.
            let sql = format!("SELECT created_us FROM stream WHERE id = $1{}", transaction.for_update());
            let id = Value::Text(&id.0);
            if transaction.query_optional(&sql, &[id], |row| row.int(0))?.is_none() {
                return Ok(false);
            }
            let sql = "SELECT count(*), coalesce(max(number), 0) FROM stream_replay WHERE stream_id = $1";
            let (count, last) = transaction.query_one(sql, &[id], "a count", |row| {
                Ok((row.unsigned(0, "the count of replays")?, row.unsigned(1, "stream_replay.number")?))
            })?;
            if count >= max {
                return Ok(false);
            }
            transaction.execute(
                "INSERT INTO stream_replay (stream_id, number, query, first_seq, next_seq, end_seq, delivered, created_us)
                 VALUES ($1, $2, $3, $4, $5, $6, 0, $7)",
                &[
                    id,
                    Value::Int(signed(last + 1)?),
                    Value::Text(&replay.query),
                    Value::Int(signed(replay.first_seq)?),
                    Value::Int(signed(replay.next_seq)?),
                    Value::Int(signed(replay.end_seq)?),
                    Value::Int(replay.created.as_micros()),
                ],
            )?;
            transaction.commit()?;
            Ok(true)
        })
    }

    /// Lists the replays of a stream that are not done, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn replays(&self, id: &StreamId) -> Result<Vec<Replay>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM stream_replay WHERE stream_id = $1 ORDER BY number");
        self.read(|connection| connection.query_all(&sql, &[Value::Text(&id.0)], replay))
    }

    /// Gives up the replays of a stream, and returns how many.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn discard_replays(&self, id: &StreamId) -> Result<u64, StoreError> {
        self.write(|connection| {
            connection.execute("DELETE FROM stream_replay WHERE stream_id = $1", &[Value::Text(&id.0)])
        })
    }
}
