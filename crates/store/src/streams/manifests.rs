//! Manifests: what a stream delivered in a window of the log, for its receiver to compare with.

use annals_model::time::Time;

use super::StreamId;
use crate::error::StoreError;
use crate::store::Store;
use crate::value::{Row, Value, signed};

/// What a stream delivered in a window of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamManifest {
    /// Identity of the stream.
    pub stream_id: StreamId,
    /// Its number among those of the stream, from 1.
    pub number: u64,
    /// The first seq of the window.
    pub first_seq: u64,
    /// The last seq of the window.
    pub last_seq: u64,
    /// Events in it that the stream takes.
    pub event_count: u64,
    /// The text that is signed.
    pub body: String,
    /// Text and signature; empty until it is signed.
    pub note: String,
    /// The receiver has it, where it has a place for it.
    pub is_sent: bool,
    /// When the window was closed.
    pub created: Time,
}

const COLUMNS: &str = "stream_id, number, first_seq, last_seq, event_count, body, note, is_sent, created_us";

fn manifest(row: Row<'_>) -> Result<StreamManifest, StoreError> {
    Ok(StreamManifest {
        stream_id: StreamId(row.text(0)?),
        number: row.unsigned(1, "stream_manifest.number")?,
        first_seq: row.unsigned(2, "stream_manifest.first_seq")?,
        last_seq: row.unsigned(3, "stream_manifest.last_seq")?,
        event_count: row.unsigned(4, "stream_manifest.event_count")?,
        body: row.text(5)?,
        note: row.text(6)?,
        is_sent: row.int(7)? != 0,
        created: Time::from_micros_saturating(row.int(8)?),
    })
}

impl Store {
    /// Keeps a manifest that is not signed yet, unless somebody else closed a window of that number.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_stream_manifest(&self, manifest: &StreamManifest) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "INSERT INTO stream_manifest (stream_id, number, first_seq, last_seq, event_count, body, note, is_sent, created_us)
                 VALUES ($1, $2, $3, $4, $5, $6, '', 0, $7) ON CONFLICT DO NOTHING",
                &[
                    Value::Text(&manifest.stream_id.0),
                    Value::Int(signed(manifest.number)?),
                    Value::Int(signed(manifest.first_seq)?),
                    Value::Int(signed(manifest.last_seq)?),
                    Value::Int(signed(manifest.event_count)?),
                    Value::Text(&manifest.body),
                    Value::Int(manifest.created.as_micros()),
                ],
            )
        })?;
        Ok(())
    }

    /// Lists the manifests of a stream, the newest first, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn stream_manifests(&self, id: &StreamId, limit: usize) -> Result<Vec<StreamManifest>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM stream_manifest WHERE stream_id = $1 ORDER BY number DESC LIMIT $2"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [Value::Text(&id.0), Value::Int(limit)];
        self.read(|connection| connection.query_all(&sql, &values, manifest))
    }

    /// Finds a manifest by its number.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn stream_manifest(&self, id: &StreamId, number: u64) -> Result<Option<StreamManifest>, StoreError> {
        let Ok(number) = signed(number) else { return Ok(None) };
        let sql = format!("SELECT {COLUMNS} FROM stream_manifest WHERE stream_id = $1 AND number = $2");
        let values = [Value::Text(&id.0), Value::Int(number)];
        self.read(|connection| connection.query_optional(&sql, &values, manifest))
    }

    /// Lists manifests of all streams that nobody signed yet, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn unsigned_manifests(&self, limit: usize) -> Result<Vec<StreamManifest>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM stream_manifest WHERE note = '' ORDER BY stream_id, number LIMIT $1"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read(|connection| connection.query_all(&sql, &[Value::Int(limit)], manifest))
    }

    /// Lists the signed manifests of a stream that its receiver does not have yet, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn unsent_manifests(&self, id: &StreamId, limit: usize) -> Result<Vec<StreamManifest>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM stream_manifest WHERE stream_id = $1 AND is_sent = 0 AND note <> '' ORDER BY number LIMIT $2"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [Value::Text(&id.0), Value::Int(limit)];
        self.read(|connection| connection.query_all(&sql, &values, manifest))
    }

    /// Adds the signature.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn sign_stream_manifest(&self, id: &StreamId, number: u64, note: &str) -> Result<(), StoreError> {
        self.change_manifest(
            "UPDATE stream_manifest SET note = $1 WHERE stream_id = $2 AND number = $3 AND note = ''",
            &[Value::Text(note), Value::Text(&id.0), Value::Int(signed(number)?)],
        )
    }

    /// Notes that the receiver has it.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn mark_manifest_sent(&self, id: &StreamId, number: u64) -> Result<(), StoreError> {
        self.change_manifest(
            "UPDATE stream_manifest SET is_sent = 1 WHERE stream_id = $1 AND number = $2",
            &[Value::Text(&id.0), Value::Int(signed(number)?)],
        )
    }

    fn change_manifest(&self, sql: &str, values: &[Value<'_>]) -> Result<(), StoreError> {
        self.write(|connection| connection.execute(sql, values).map(drop))
    }
}
