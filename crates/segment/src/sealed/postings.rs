//! Rows of terms, as written: equal lists once, short lists as differences, long ones as roaring bitmaps.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use roaring::RoaringBitmap;

use super::bytes::{push_varint, to_u32};

/// Marks a reference that is the one row itself rather than a place among the postings.
pub(super) const ONE_ROW: u32 = 1 << 31;
/// The reference of no rows; the row in it would be beyond any segment.
pub(super) const NO_ROWS: u32 = u32::MAX;
/// Longer lists become bitmaps. A bitmap's header costs 12 to 40 bytes, and this many differences are read in 100 ns.
pub(super) const SHORT_ROWS_MAX: usize = 64;

/// Grows the section of postings.
#[derive(Default)]
pub(super) struct PostingsWriter {
    bytes: Vec<u8>,
    /// Hash of a posting's bytes to its places. The username, email, id and name of one person have the same rows.
    written: HashMap<u64, Vec<(u32, u32)>>,
    scratch: Vec<u8>,
}

impl PostingsWriter {
    /// Writes the rows of one term, which rise strictly, and returns the reference to them.
    pub(super) fn push(&mut self, rows: &[u32]) -> u32 {
        match rows {
            [] => return NO_ROWS,
            [row] => return ONE_ROW | row,
            _ => {}
        }
        self.scratch.clear();
        if rows.len() <= SHORT_ROWS_MAX {
            encode_short(rows, &mut self.scratch);
        } else {
            encode_bitmap(rows, &mut self.scratch);
        }
        let mut hasher = DefaultHasher::new();
        self.scratch.hash(&mut hasher);
        let places = self.written.entry(hasher.finish()).or_default();
        for (at, len) in places.iter() {
            if self.bytes.get(*at as usize..(*at + *len) as usize) == Some(&self.scratch) {
                return *at;
            }
        }
        // 27 sections of 2^18 rows, at most 2 bytes a row in the worst shape, stay far below 2^31.
        let at = to_u32(self.bytes.len());
        places.push((at, to_u32(self.scratch.len())));
        self.bytes.extend_from_slice(&self.scratch);
        at
    }

    pub(super) fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

fn encode_short(rows: &[u32], into: &mut Vec<u8>) {
    push_varint(into, to_u32(rows.len()));
    let mut before = 0;
    for row in rows {
        push_varint(into, row - before);
        before = *row;
    }
}

fn encode_bitmap(rows: &[u32], into: &mut Vec<u8>) {
    let mut bitmap = RoaringBitmap::from_sorted_iter(rows.iter().copied()).expect("rows rise strictly");
    bitmap.optimize();
    into.push(0);
    into.extend(to_u32(rows.len()).to_le_bytes());
    into.extend(to_u32(bitmap.serialized_size()).to_le_bytes());
    bitmap.serialize_into(into).expect("writing to memory");
}
