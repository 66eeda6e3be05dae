//! Collects the rows of a segment and makes the file.

use std::net::IpAddr;
use std::sync::Arc;

use annals_query::Document;
use parquet::data_type::ByteArray;
use uuid::{Uuid, Variant};

use super::bytes::to_u32;
use super::intern::Column;
use super::{EVENT_BYTES_MAX, SEALED_ROWS_MAX, build, footer, layout, parquet_file};

/// One event to seal.
#[derive(Debug, Clone, Copy)]
pub struct SealedRow<'a> {
    /// Everything that is searched.
    pub document: &'a Document<'a>,
    /// When the event arrived, microseconds since 1970.
    pub received_us: i64,
    /// JSON text of the event.
    pub body: &'a str,
    /// What stands beside the body; kept as it is.
    pub envelope: &'a [u8],
}

/// Makes the file of one segment. The same rows give the same bytes, so that a repeated attempt writes what is there already.
///
/// Bodies and envelopes stay in memory until [`SegmentWriter::finish`], since their order is known only then: a full segment
/// of events of 1 KB takes about 300 MB, and the file another 100 MB.
#[derive(Debug)]
pub struct SegmentWriter {
    rows: Rows,
}

/// A finished segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFile {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Where the index begins.
    pub index_at: u64,
    /// How long the index is.
    pub index_bytes: u64,
    /// Seq of the first event.
    pub first_seq: u64,
    /// How many events.
    pub row_count: u32,
    /// Earliest and latest time, microseconds since 1970.
    pub time_range: (i64, i64),
    /// Earliest and latest millisecond in ids of version 7.
    pub id_times_ms: Option<(u64, u64)>,
    /// Some id is not of version 7.
    pub has_other_ids: bool,
}

/// A segment cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentWriteError {
    /// A segment needs a row.
    #[error("a segment without events cannot be written")]
    Empty,
    /// A body or an envelope is too long for a page.
    #[error("the {what} of event {seq} has {bytes} bytes, more than {EVENT_BYTES_MAX}")]
    EventTooLarge {
        /// `body` or `envelope`.
        what: &'static str,
        /// Position in the log.
        seq: u64,
        /// Its length.
        bytes: usize,
    },
    /// The segment has all the rows it can hold.
    #[error("a segment takes {SEALED_ROWS_MAX} events")]
    Full,
    /// Searchable texts are too long together.
    #[error("the texts of the segment are too long for its index")]
    IndexTooLarge,
    /// The Parquet writer refused.
    #[error("the file cannot be written")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// A seq was left out or repeated.
    #[error("event {found} comes where {expected} should")]
    WrongSeq {
        /// The next seq.
        expected: u64,
        /// What came.
        found: u64,
    },
}

/// Texts of a row: first those of the Parquet text columns in their order (the address, which is no text here, is left
/// empty), then those that only the index needs.
pub(super) const TEXT_COUNT: usize = 22;
/// Where the address stands among the Parquet text columns.
pub(super) const IP_COLUMN: usize = 10;

fn texts<'a>(document: &Document<'a>) -> [&'a str; TEXT_COUNT] {
    let Document { user, impersonator, on_behalf_of, .. } = document;
    [
        document.resource_type,
        document.resource_id,
        document.resource_target,
        document.action,
        document.actor_type,
        user.id,
        user.username,
        user.email,
        document.organization_id,
        document.organization_name,
        "",
        document.user_agent,
        document.build_reason,
        document.source,
        document.outcome(),
        user.name,
        impersonator.id,
        impersonator.username,
        impersonator.email,
        on_behalf_of.id,
        on_behalf_of.username,
        on_behalf_of.email,
    ]
}

/// Everything that was pushed, by arrival: index 0 is the event of seq `first_seq`.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) first_seq: u64,
    pub(super) fingerprint_key: [u8; 16],
    pub(super) times: Vec<i64>,
    pub(super) received: Vec<i64>,
    pub(super) ids: Vec<Uuid>,
    /// Nil where the event lacks one.
    pub(super) request_ids: Vec<Uuid>,
    pub(super) statuses: Column<[u8; 2]>,
    pub(super) addresses: Column<[u8; 16]>,
    pub(super) texts: [Column<Arc<str>>; TEXT_COUNT],
    /// One value a changed field; where those of a row end stands in `changed_ends`.
    pub(super) changed: Column<Arc<str>>,
    pub(super) changed_ends: Vec<u32>,
    pub(super) bodies: Texts,
    pub(super) envelopes: Texts,
}

impl SegmentWriter {
    /// A writer for the events from seq `first_seq` on. The key should be random, and the same when the segment is written again.
    pub fn new(first_seq: u64, fingerprint_key: [u8; 16]) -> SegmentWriter {
        SegmentWriter { rows: Rows { first_seq, fingerprint_key, ..Rows::default() } }
    }

    /// How many events were added.
    pub fn row_count(&self) -> u32 {
        to_u32(self.rows.times.len())
    }

    /// Adds the next event by seq; its time may be any.
    ///
    /// # Errors
    /// [`SegmentWriteError`]; the writer is as it was.
    pub fn push(&mut self, row: &SealedRow<'_>) -> Result<(), SegmentWriteError> {
        let SealedRow { document, received_us, body, envelope } = row;
        if self.row_count() == SEALED_ROWS_MAX {
            return Err(SegmentWriteError::Full);
        }
        let expected = self.rows.first_seq + u64::from(self.row_count());
        if document.seq != expected {
            return Err(SegmentWriteError::WrongSeq { expected, found: document.seq });
        }
        for (what, bytes) in [("body", body.len()), ("envelope", envelope.len())] {
            if bytes > EVENT_BYTES_MAX {
                return Err(SegmentWriteError::EventTooLarge { what, seq: document.seq, bytes });
            }
        }
        let rows = &mut self.rows;
        rows.times.push(document.time_us);
        rows.received.push(*received_us);
        rows.ids.push(document.id);
        rows.request_ids.push(document.request_id.unwrap_or_default());
        let status = (document.status_code > 0).then(|| document.status_code.to_be_bytes());
        rows.statuses.push(status.as_ref(), |status| *status);
        let address = document.address().map(address_key);
        rows.addresses.push(address.as_ref(), |address| *address);
        for (column, text) in rows.texts.iter_mut().zip(texts(document)) {
            column.push((!text.is_empty()).then_some(text), |text: &str| Arc::from(text));
        }
        for field in document.changed.iter().filter(|field| !field.is_empty()) {
            rows.changed.push(Some(*field), |field: &str| Arc::from(field));
        }
        rows.changed_ends.push(to_u32(rows.changed.rows.len()));
        rows.bodies.push(body.as_bytes());
        rows.envelopes.push(envelope);
        Ok(())
    }

    /// Makes the file.
    ///
    /// # Errors
    /// [`SegmentWriteError`]
    pub fn finish(self) -> Result<SegmentFile, SegmentWriteError> {
        let rows = self.rows;
        let row_count = to_u32(rows.times.len());
        if row_count == 0 {
            return Err(SegmentWriteError::Empty);
        }
        // Stable, so that equal times stay in the order of their seqs.
        let mut order: Vec<u32> = (0..row_count).collect();
        order.sort_by_key(|arrival| rows.times[*arrival as usize]);
        let header = header(&rows, &order);
        let (sections, postings) = build::term_sections(&rows, &order)?;
        let mut file = parquet_file::write(rows, &order)?;
        let sections = build::all_sections(&header, &file, sections, postings);
        let index = layout::encode(&header, &sections);
        drop(sections);
        let index_at = file.push_index(&index.bytes)?;
        let index_bytes = index.bytes.len() as u64;
        let bytes = footer::finish(file, index_at, &index)?;
        Ok(SegmentFile {
            bytes,
            index_at,
            index_bytes,
            first_seq: header.first_seq,
            row_count,
            time_range: header.time_range,
            id_times_ms: header.id_times_ms,
            has_other_ids: header.has_other_ids,
        })
    }
}

fn header(rows: &Rows, order: &[u32]) -> layout::Header {
    let time_of = |arrival: Option<&u32>| arrival.map_or(0, |arrival| rows.times[*arrival as usize]);
    let mut id_times_ms: Option<(u64, u64)> = None;
    let mut has_other_ids = false;
    for id in rows.ids.iter().filter(|id| !id.is_nil()) {
        match id_time_ms(id) {
            Some(ms) => {
                let (first, last) = id_times_ms.unwrap_or((ms, ms));
                id_times_ms = Some((first.min(ms), last.max(ms)));
            }
            None => has_other_ids = true,
        }
    }
    layout::Header {
        first_seq: rows.first_seq,
        row_count: to_u32(order.len()),
        in_order: order.is_sorted(),
        has_other_ids,
        fingerprint_key: rows.fingerprint_key,
        time_range: (time_of(order.first()), time_of(order.last())),
        id_times_ms,
    }
}

/// Milliseconds since 1970 in an id of version 7; nothing for other ids, which are looked for in every segment that has any.
pub fn id_time_ms(id: &Uuid) -> Option<u64> {
    let is_timed = id.get_version_num() == 7 && id.get_variant() == Variant::RFC4122;
    is_timed.then(|| u64::try_from(id.as_u128() >> 80).unwrap_or_default())
}

/// An address as 16 bytes; those of IPv4 are mapped into IPv6, so that every network is a range.
pub(super) fn address_key(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Byte strings one behind the other, in pieces that never move.
#[derive(Debug, Default)]
pub(super) struct Texts {
    full: Vec<ByteArray>,
    open: Vec<u8>,
    places: Vec<(u32, u32, u32)>,
}

/// Large enough that few pieces are needed, small enough that the last one wastes little.
const PIECE_BYTES: usize = 1 << 20;

impl Texts {
    fn push(&mut self, bytes: &[u8]) {
        if self.open.len() + bytes.len() > PIECE_BYTES && !self.open.is_empty() {
            self.close();
        }
        if self.open.capacity() == 0 {
            self.open.reserve_exact(PIECE_BYTES.max(bytes.len()));
        }
        self.places.push((to_u32(self.full.len()), to_u32(self.open.len()), to_u32(bytes.len())));
        self.open.extend_from_slice(bytes);
    }

    /// Ends the last piece; before it, the last texts cannot be read.
    pub(super) fn close(&mut self) {
        self.full.push(ByteArray::from(std::mem::take(&mut self.open)));
    }

    pub(super) fn get(&self, index: u32) -> ByteArray {
        let (piece, start, len) = self.places[index as usize];
        self.full[piece as usize].slice(start as usize, len as usize)
    }
}
