//! The manifest: which segments hold the sealed part of the log.

use annals_model::time::Time;
use annals_tlog::Hash;

use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::log::{Head, read_state};
use crate::store::Store;
use crate::value::{Row, Value, signed};

/// Head, sealed seq and number of the manifest, read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// How far the log goes.
    pub head: Head,
    /// Events before this seq are in segments; from it on they are in the tail. At most `head.size`.
    pub sealed: u64,
    /// Changes of the segments so far: a reader that knows this number knows the segments.
    pub manifest: u64,
    /// How often rows of the tail were rewritten: a reader that knows this number knows what is left in them.
    pub rewritten: u64,
    /// Events whose time was over, at most: 0 until the first is dropped.
    pub dropped: u64,
    /// Events before this seq are gone whole: the segments begin here. A multiple of 65,536, so that the full tiles of level 1 and above give every
    /// hash of them that a proof needs.
    pub pruned: u64,
}

/// One segment: a run of sealed events and the object that holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// Seq of its first event.
    pub first_seq: u64,
    /// Its events, at least one.
    pub event_count: u32,
    /// Name of the object.
    pub object: String,
    /// Bytes of the object.
    pub bytes: u64,
    /// SHA-256 of the object.
    pub sha256: [u8; 32],
    /// Where the index begins in the object, in bytes.
    pub index_at: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Root of the tree over its leaf hashes.
    pub root: Hash,
    /// Earliest time of its events, microseconds since 1970.
    pub min_time_us: i64,
    /// Latest time of its events, microseconds since 1970.
    pub max_time_us: i64,
    /// Earliest and latest time in ids of version 7, milliseconds since 1970; none if there is no such id.
    pub id_times_ms: Option<(u64, u64)>,
    /// Some ids are of another version, so `id_times_ms` does not cover them.
    pub has_other_ids: bool,
    /// When it was sealed.
    pub sealed: Time,
}

impl SegmentRow {
    /// Seq after its last event.
    pub fn end_seq(&self) -> u64 {
        self.first_seq + u64::from(self.event_count)
    }
}

impl Store {
    /// Reads the state of the log and all segments in order of their seqs, as they were at one moment.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn segments(&self) -> Result<(LogState, Vec<SegmentRow>), StoreError> {
        self.read(read_manifest)
    }
}

/// Reads state and segments of one moment.
pub(crate) fn read_manifest(connection: &mut Connection) -> Result<(LogState, Vec<SegmentRow>), StoreError> {
    let mut snapshot = connection.begin(Mode::Snapshot)?;
    let state = read_state(&mut snapshot, "")?;
    let segments = read_segments(&mut snapshot)?;
    snapshot.commit()?;
    Ok((state, segments))
}

const COLUMNS: &str = "first_seq, event_count, object, bytes, sha256, index_at, index_bytes, root, min_time_us, \
                       max_time_us, min_id_ms, max_id_ms, has_other_ids, sealed_us";

pub(crate) fn read_segments(connection: &mut Connection) -> Result<Vec<SegmentRow>, StoreError> {
    connection.query_all(&format!("SELECT {COLUMNS} FROM segment ORDER BY first_seq"), &[], segment)
}

fn segment(row: Row<'_>) -> Result<SegmentRow, StoreError> {
    let event_count = u32::try_from(row.int(1)?)
        .map_err(|_| StoreError::Damaged { what: "segment.event_count is out of range".to_owned() })?;
    let id_time = |column: usize| {
        let time = row.optional_int(column)?;
        time.map(|time| crate::value::unsigned(time, "an id's time")).transpose()
    };
    Ok(SegmentRow {
        first_seq: row.unsigned(0, "segment.first_seq")?,
        event_count,
        object: row.text(2)?,
        bytes: row.unsigned(3, "segment.bytes")?,
        sha256: row.array(4, "segment.sha256")?,
        index_at: row.unsigned(5, "segment.index_at")?,
        index_bytes: row.unsigned(6, "segment.index_bytes")?,
        root: row.hash(7, "segment.root")?,
        min_time_us: row.int(8)?,
        max_time_us: row.int(9)?,
        id_times_ms: id_time(10)?.zip(id_time(11)?),
        has_other_ids: row.int(12)? != 0,
        sealed: Time::from_micros_saturating(row.int(13)?),
    })
}

pub(crate) fn insert_segment(connection: &mut Connection, row: &SegmentRow) -> Result<(), StoreError> {
    let (min_id_ms, max_id_ms) = match row.id_times_ms {
        Some((min, max)) => (Some(signed(min)?), Some(signed(max)?)),
        None => (None, None),
    };
    connection.execute(
        &format!(
            "INSERT INTO segment ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        ),
        &[
            Value::Int(signed(row.first_seq)?),
            Value::Int(i64::from(row.event_count)),
            Value::Text(&row.object),
            Value::Int(signed(row.bytes)?),
            Value::Bytes(&row.sha256),
            Value::Int(signed(row.index_at)?),
            Value::Int(signed(row.index_bytes)?),
            Value::Bytes(row.root.as_bytes()),
            Value::Int(row.min_time_us),
            Value::Int(row.max_time_us),
            Value::optional_int(min_id_ms),
            Value::optional_int(max_id_ms),
            Value::Int(i64::from(row.has_other_ids)),
            Value::Int(row.sealed.as_micros()),
        ],
    )?;
    Ok(())
}
