//! Pages of events: where they lie in the file, and how they are read without the Parquet footer.
//!
//! A page holds body and envelope of 16 rows, each column a Parquet page of its own, and the ids of these rows lie together. To
//! show an event, three ranges of the file are read, 20 KB in all.

use std::cell::RefCell;
use std::ops::Range;

use bytes::Bytes;

use super::bytes::{damaged, u32_at, u64_at};
use super::columns::page_header;
use super::{EVENT_BYTES_MAX, EVENT_PAGE_ROWS};
use crate::SegmentError;

/// Count of pages, then the place of the first id.
const HEADER_BYTES: usize = 16;
/// Places of body and envelope; checksums of body, envelope and ids.
const ENTRY_BYTES: usize = 28;
pub(super) const ID_BYTES: usize = 16;
/// A page cannot become longer than this.
const PLAIN_BYTES_MAX: usize = EVENT_PAGE_ROWS as usize * (EVENT_BYTES_MAX + 4);

thread_local! {
    /// Making one costs as much as decompressing a page with it.
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
        RefCell::new(zstd::bulk::Decompressor::new().ok());
}

/// Where an event lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPlace {
    /// Number of the page.
    pub page: u32,
    /// Row in the segment.
    pub row: u32,
}

/// One page of a column in the file.
pub(super) struct StoredPage {
    pub(super) range: Range<u64>,
    pub(super) crc: u32,
}

/// Writes the page table. The pages of a column lie one behind the other.
pub(super) fn encode(
    bodies: &[StoredPage],
    envelopes: &[StoredPage],
    ids_at: u64,
    id_crcs: impl Iterator<Item = u32>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + ENTRY_BYTES * (bodies.len() + 1));
    bytes.extend((bodies.len() as u64).to_le_bytes());
    bytes.extend(ids_at.to_le_bytes());
    for ((body, envelope), id_crc) in bodies.iter().zip(envelopes).zip(id_crcs) {
        bytes.extend(body.range.start.to_le_bytes());
        bytes.extend(envelope.range.start.to_le_bytes());
        for crc in [body.crc, envelope.crc, id_crc] {
            bytes.extend(crc.to_le_bytes());
        }
    }
    // Where the last ones end.
    for pages in [bodies, envelopes] {
        bytes.extend(pages.last().map_or(0, |page| page.range.end).to_le_bytes());
    }
    bytes
}

/// The page table, read where it stands.
pub(super) struct PageTable<'s> {
    bytes: &'s [u8],
    row_count: u32,
}

impl<'s> PageTable<'s> {
    pub(super) fn read(bytes: &'s [u8], row_count: u32) -> Result<PageTable<'s>, SegmentError> {
        let table = PageTable { bytes, row_count };
        let expected = HEADER_BYTES + table.page_count() as usize * ENTRY_BYTES + 16;
        if bytes.len() != expected || u64_at(bytes, 0) != Some(u64::from(table.page_count())) {
            return Err(wrong_table());
        }
        Ok(table)
    }

    pub(super) fn page_count(&self) -> u32 {
        self.row_count.div_ceil(EVENT_PAGE_ROWS)
    }

    /// The rows of a page.
    pub(super) fn rows(&self, page: u32) -> Result<Range<u32>, SegmentError> {
        if page >= self.page_count() {
            return Err(damaged(format!("page {page}: the segment has {} pages", self.page_count())));
        }
        let first = page * EVENT_PAGE_ROWS;
        Ok(first..self.row_count.min(first + EVENT_PAGE_ROWS))
    }

    /// Where body, envelope and ids of a page lie in the file, and their checksums.
    pub(super) fn stored(&self, page: u32) -> Result<[StoredPage; 3], SegmentError> {
        let rows = self.rows(page)?;
        let parse = || {
            let at = HEADER_BYTES + page as usize * ENTRY_BYTES;
            let is_last = page + 1 == self.page_count();
            // The end of a page is where the next begins; behind the last entry, the ends stand in the same order.
            let next = at + ENTRY_BYTES;
            let ids_at = u64_at(self.bytes, 8)?;
            let first_id = ids_at.checked_add(u64::from(rows.start) * ID_BYTES as u64)?;
            let id_bytes = u64::from(rows.end - rows.start) * ID_BYTES as u64;
            debug_assert!(!is_last || next + 16 == self.bytes.len());
            Some([
                StoredPage {
                    range: u64_at(self.bytes, at)?..u64_at(self.bytes, next)?,
                    crc: u32_at(self.bytes, at + 16)?,
                },
                StoredPage {
                    range: u64_at(self.bytes, at + 8)?..u64_at(self.bytes, next + 8)?,
                    crc: u32_at(self.bytes, at + 20)?,
                },
                StoredPage {
                    range: first_id..first_id.checked_add(id_bytes)?,
                    crc: u32_at(self.bytes, at + 24)?,
                },
            ])
        };
        parse()
            .filter(|parts| parts.iter().all(|part| part.range.start <= part.range.end))
            .ok_or_else(wrong_table)
    }

    /// Checks and decodes a page from the bytes of its three ranges.
    pub(super) fn decode(&self, page: u32, parts: &[Bytes; 3]) -> Result<EventPage, SegmentError> {
        let rows = self.rows(page)?;
        for ((stored, bytes), what) in self.stored(page)?.iter().zip(parts).zip(["body", "envelope", "ids"]) {
            let expected = stored.range.end - stored.range.start;
            if bytes.len() as u64 != expected || crc32fast::hash(bytes) != stored.crc {
                return Err(damaged(format!("{what} of page {page}: wrong checksum")));
            }
        }
        let values = |part: &Bytes, what: &str| {
            Values::decode(part, rows.len())
                .ok_or_else(|| damaged(format!("{what} of page {page}: not what was written")))
        };
        let (bodies, envelopes) = (values(&parts[0], "body")?, values(&parts[1], "envelope")?);
        let are_texts =
            (0..rows.len()).all(|at| bodies.get(at).is_some_and(|body| std::str::from_utf8(body).is_ok()));
        if !are_texts {
            return Err(damaged(format!("body of page {page}: not UTF-8")));
        }
        Ok(EventPage { first_row: rows.start, ids: parts[2].clone(), bodies, envelopes })
    }
}

fn wrong_table() -> SegmentError {
    damaged("page table: not what was written")
}

/// The events of one page, decoded.
#[derive(Debug, Clone)]
pub struct EventPage {
    first_row: u32,
    ids: Bytes,
    bodies: Values,
    envelopes: Values,
}

/// One event of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageEvent<'p> {
    /// Id of the event.
    pub id: [u8; 16],
    /// JSON text of the event.
    pub body: &'p str,
    /// What stands beside the body, opaque here.
    pub envelope: &'p [u8],
}

impl EventPage {
    /// The rows that it holds.
    pub fn rows(&self) -> Range<u32> {
        self.first_row..self.first_row + super::bytes::to_u32(self.ids.len() / ID_BYTES)
    }

    /// Bytes that it takes in memory, roughly.
    pub fn memory_bytes(&self) -> usize {
        self.ids.len() + self.bodies.bytes.len() + self.envelopes.bytes.len()
    }

    /// Returns an event by its row in the segment; nothing if the row is on another page.
    pub fn get(&self, row: u32) -> Option<PageEvent<'_>> {
        let at = row.checked_sub(self.first_row)? as usize;
        Some(PageEvent {
            id: *self.ids.as_chunks().0.get(at)?,
            body: std::str::from_utf8(self.bodies.get(at)?).ok()?,
            envelope: self.envelopes.get(at)?,
        })
    }
}

/// Values of one page in Parquet's plain form: each four bytes of length, then the value.
#[derive(Debug, Clone)]
struct Values {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Values {
    fn decode(page: &[u8], row_count: usize) -> Option<Values> {
        let header = page_header(page)?;
        let stored = page.get(header.header_bytes..)?;
        let is_possible = stored.len() == header.stored_bytes && header.value_count as usize == row_count;
        if !is_possible || header.is_dictionary || header.plain_bytes > PLAIN_BYTES_MAX {
            return None;
        }
        let bytes = DECOMPRESSOR.with_borrow_mut(|decompressor| match decompressor {
            Some(decompressor) => decompressor.decompress(stored, header.plain_bytes).ok(),
            None => zstd::bulk::decompress(stored, header.plain_bytes).ok(),
        })?;
        let mut ranges = Vec::with_capacity(row_count);
        let mut at = 0usize;
        for _ in 0..row_count {
            let start = at + 4;
            at = start.checked_add(u32_at(&bytes, at)? as usize)?;
            ranges.push(start..at);
        }
        (at == bytes.len()).then_some(Values { bytes, ranges })
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        self.bytes.get(self.ranges.get(at)?.clone())
    }
}
