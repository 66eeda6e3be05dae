//! Streams of events to receivers: what they are, how far they are, and what they left behind.

mod dead_letters;
mod manifests;
mod replays;

use annals_model::time::Time;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::store::Store;
use crate::value::{Row, Value, signed};

pub use dead_letters::{DeadLetter, DeadLetterCount};
pub use manifests::StreamManifest;
pub use replays::Replay;

/// Identity of a stream: the text of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub String);

/// Who set a stream up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMaker {
    /// A site manager, on the page.
    Page,
    /// The operator, by the command line.
    Operator,
    /// The operator, in the configuration file.
    File,
}

/// A stream: which events go where, in which form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Identity.
    pub id: StreamId,
    /// What people call it; unique without regard to case.
    pub name: String,
    /// Kind of its receiver.
    pub kind: String,
    /// Text of the query whose events it takes.
    pub query: String,
    /// Form of an event.
    pub format: String,
    /// Batches on their way at the same time; 1 keeps the order.
    pub parallel: u64,
    /// Seconds without delivery, while events wait, after which that is an event; 0 for never.
    pub silence_seconds: u64,
    /// Settings of the receiver that are no secrets, as a JSON object.
    pub settings: String,
    /// Settings that are secrets, encrypted; empty if there are none.
    pub secrets: Vec<u8>,
    /// Who set it up.
    pub made_by: StreamMaker,
    /// Nothing is sent.
    pub is_paused: bool,
    /// It is paused because the configuration file has it no more, and goes on when that has it again.
    pub is_left_out: bool,
    /// Grows with every change of the above.
    pub revision: u64,
    /// When it was set up.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
    /// Where it began.
    pub first_seq: u64,
    /// From where on events were chosen by `sent_query`.
    pub query_seq: u64,
    /// The query that its last sender began with.
    pub sent_query: String,
    /// How far it is.
    pub progress: StreamProgress,
}

/// How far a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamProgress {
    /// Everything before was acknowledged, or lies among the dead letters.
    pub next_seq: u64,
    /// Events that were acknowledged, repetitions included.
    pub delivered: u64,
    /// When the receiver last acknowledged something.
    pub acknowledged: Option<Time>,
    /// Since when nothing gets through.
    pub failing: Option<Time>,
    /// Attempts that failed since then.
    pub attempts: u64,
    /// Why the last attempt failed.
    pub failure: String,
    /// That nothing gets through was recorded as an event.
    pub is_alerted: bool,
}

const COLUMNS: &str = "id, name, kind, query, format, parallel, silence_s, settings, secrets, made_by, is_paused, revision, \
    created_us, updated_us, first_seq, next_seq, delivered, acknowledged_us, failing_us, attempts, failure, is_alerted, \
    query_seq, sent_query";

fn stream(row: Row<'_>) -> Result<Stream, StoreError> {
    let time = |at| -> Result<Option<Time>, StoreError> {
        Ok(Some(row.int(at)?).filter(|micros| *micros != 0).map(Time::from_micros_saturating))
    };
    Ok(Stream {
        id: StreamId(row.text(0)?),
        name: row.text(1)?,
        kind: row.text(2)?,
        query: row.text(3)?,
        format: row.text(4)?,
        parallel: row.unsigned(5, "stream.parallel")?,
        silence_seconds: row.unsigned(6, "stream.silence_s")?,
        settings: row.text(7)?,
        secrets: row.bytes(8)?,
        made_by: match row.int(9)? {
            0 => StreamMaker::Page,
            1 => StreamMaker::Operator,
            _ => StreamMaker::File,
        },
        is_paused: row.int(10)? != 0,
        is_left_out: row.int(10)? == LEFT_OUT,
        revision: row.unsigned(11, "stream.revision")?,
        created: Time::from_micros_saturating(row.int(12)?),
        updated: Time::from_micros_saturating(row.int(13)?),
        first_seq: row.unsigned(14, "stream.first_seq")?,
        query_seq: row.unsigned(22, "stream.query_seq")?,
        sent_query: row.text(23)?,
        progress: StreamProgress {
            next_seq: row.unsigned(15, "stream.next_seq")?,
            delivered: row.unsigned(16, "stream.delivered")?,
            acknowledged: time(17)?,
            failing: time(18)?,
            attempts: row.unsigned(19, "stream.attempts")?,
            failure: row.text(20)?,
            is_alerted: row.int(21)? != 0,
        },
    })
}

fn read_locked(connection: &mut Connection, id: &StreamId) -> Result<Option<Stream>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM stream WHERE id = $1{}", connection.for_update());
    connection.query_optional(&sql, &[Value::Text(&id.0)], stream)
}

fn taken(stream: &Stream) -> StoreError {
    StoreError::NameTaken { what: "a stream", name: stream.name.clone() }
}

/// The column `is_paused` of a stream that the configuration file has no more.
const LEFT_OUT: i64 = 2;

fn pause_of(stream: &Stream) -> i64 {
    if stream.is_left_out { LEFT_OUT } else { stream.is_paused.into() }
}

fn micros(time: Option<Time>) -> Value<'static> {
    Value::Int(time.map_or(0, Time::as_micros))
}

impl Store {
    /// Sets a stream up, unless there are `max` already: then it says `false`.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if there is one of that name.
    pub fn add_stream(&self, stream: &Stream, max: usize) -> Result<bool, StoreError> {
        let maker = match stream.made_by {
            StreamMaker::Page => 0,
            StreamMaker::Operator => 1,
            StreamMaker::File => 2,
        };
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let count = transaction.query_one("SELECT count(*) FROM stream", &[], "a count", |row| {
                row.unsigned(0, "the count of streams")
            })?;
            if count >= max as u64 {
                return Ok(false);
            }
            let added = transaction.execute(
                "INSERT INTO stream (id, name, name_folded, kind, query, format, parallel, silence_s, settings, secrets, made_by,
                 is_paused, revision, created_us, updated_us, first_seq, query_seq, sent_query, sender, next_seq, delivered, acknowledged_us, failing_us,
                 attempts, failure, is_alerted)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14, $15, $15, $5, 0, $16, 0, 0, 0, 0, '', 0)
                 ON CONFLICT DO NOTHING",
                &[
                    Value::Text(&stream.id.0),
                    Value::Text(&stream.name),
                    Value::Text(&stream.name.to_lowercase()),
                    Value::Text(&stream.kind),
                    Value::Text(&stream.query),
                    Value::Text(&stream.format),
                    Value::Int(signed(stream.parallel)?),
                    Value::Int(signed(stream.silence_seconds)?),
                    Value::Text(&stream.settings),
                    Value::Bytes(&stream.secrets),
                    Value::Int(maker),
                    Value::Int(pause_of(stream)),
                    Value::Int(stream.created.as_micros()),
                    Value::Int(stream.updated.as_micros()),
                    Value::Int(signed(stream.first_seq)?),
                    Value::Int(signed(stream.progress.next_seq)?),
                ],
            )?;
            if added == 0 {
                return Err(taken(stream));
            }
            transaction.commit()?;
            Ok(true)
        })
    }

    /// Lists the streams by name.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn streams(&self) -> Result<Vec<Stream>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM stream ORDER BY name_folded");
        self.read(|connection| connection.query_all(&sql, &[], stream))
    }

    /// Finds a stream.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn stream(&self, id: &StreamId) -> Result<Option<Stream>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM stream WHERE id = $1");
        self.read(|connection| connection.query_optional(&sql, &[Value::Text(&id.0)], stream))
    }

    /// Changes what a stream is, not how far, as `change` does to what is stored now, and returns it before and after; none if there is no
    /// such stream, or `change` says `false`.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] if another one has that name.
    pub fn change_stream(
        &self,
        id: &StreamId,
        now: Time,
        change: impl FnOnce(&mut Stream) -> bool,
    ) -> Result<Option<(Stream, Stream)>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let Some(before) = read_locked(&mut transaction, id)? else { return Ok(None) };
            let mut after = before.clone();
            if !change(&mut after) {
                return Ok(None);
            }
            after.updated = now;
            after.revision = before.revision + 1;
            let changed = transaction.execute(
                "UPDATE stream SET name = $1, name_folded = $2, kind = $3, query = $4, format = $5, parallel = $6, silence_s = $7,
                 settings = $8, secrets = $9, is_paused = $10, revision = $11, updated_us = $12 WHERE id = $13",
                &[
                    Value::Text(&after.name),
                    Value::Text(&after.name.to_lowercase()),
                    Value::Text(&after.kind),
                    Value::Text(&after.query),
                    Value::Text(&after.format),
                    Value::Int(signed(after.parallel)?),
                    Value::Int(signed(after.silence_seconds)?),
                    Value::Text(&after.settings),
                    Value::Bytes(&after.secrets),
                    Value::Int(pause_of(&after)),
                    Value::Int(signed(after.revision)?),
                    Value::Int(now.as_micros()),
                    Value::Text(&id.0),
                ],
            );
            match changed {
                Err(error) if error.is_repetition() => return Err(taken(&after)),
                other => other.map(drop)?,
            }
            transaction.commit()?;
            Ok(Some((before, after)))
        })
    }

    /// Deletes a stream with its dead letters, replays and manifests, and returns it; none if there is no such stream.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn delete_stream(&self, id: &StreamId) -> Result<Option<Stream>, StoreError> {
        if id.0.contains('\0') {
            return Ok(None);
        }
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let Some(stream) = read_locked(&mut transaction, id)? else { return Ok(None) };
            transaction.execute("DELETE FROM stream WHERE id = $1", &[Value::Text(&id.0)])?;
            transaction.commit()?;
            Ok(Some(stream))
        })
    }

    /// Makes the caller the sender of a stream by its query as it is now, and returns its number: whoever sent before saves nothing any more. None if
    /// there is no such stream.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn begin_sending(&self, id: &StreamId) -> Result<Option<u64>, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let sql = format!("SELECT sender FROM stream WHERE id = $1{}", transaction.for_update());
            let id = Value::Text(&id.0);
            let before = transaction.query_optional(&sql, &[id], |row| row.unsigned(0, "stream.sender"))?;
            let Some(before) = before else { return Ok(None) };
            let number = before + 1;
            transaction.execute(
                "UPDATE stream SET sender = $1, query_seq = CASE WHEN sent_query = query THEN query_seq ELSE next_seq END,
                 sent_query = query WHERE id = $2",
                &[Value::Int(signed(number)?), id],
            )?;
            transaction.commit()?;
            Ok(Some(number))
        })
    }

    /// Saves how far a stream and its replay are, with the dead letters that lie before, and those that were delivered after all, in one
    /// transaction. Returns false if somebody else became its sender, or it is gone: then nothing was saved.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn save_progress(
        &self,
        id: &StreamId,
        sender: u64,
        progress: &StreamProgress,
        replay: Option<&Replay>,
        refused: &[DeadLetter],
        settled: &[u64],
    ) -> Result<bool, StoreError> {
        self.write(|connection| {
            let mut transaction = connection.begin(Mode::Write)?;
            let saved = transaction.execute(
                "UPDATE stream SET next_seq = $1, delivered = $2, acknowledged_us = $3, failing_us = $4, attempts = $5, failure = $6,
                 is_alerted = $7 WHERE id = $8 AND sender = $9",
                &[
                    Value::Int(signed(progress.next_seq)?),
                    Value::Int(signed(progress.delivered)?),
                    micros(progress.acknowledged),
                    micros(progress.failing),
                    Value::Int(signed(progress.attempts)?),
                    Value::Text(&progress.failure),
                    Value::Int(progress.is_alerted.into()),
                    Value::Text(&id.0),
                    Value::Int(signed(sender)?),
                ],
            )?;
            if saved == 0 {
                return Ok(false);
            }
            if let Some(replay) = replay {
                replays::save(&mut transaction, id, replay)?;
            }
            dead_letters::put(&mut transaction, id, refused)?;
            dead_letters::remove(&mut transaction, id, settled)?;
            transaction.commit()?;
            Ok(true)
        })
    }
}
