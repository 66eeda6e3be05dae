//! Fingerprint tables: exact look-ups of identifiers, of which nearly every event has its own.
//!
//! A table holds 62 bits of a keyed SHA-256 instead of the identifier. The key is drawn for each segment, so nobody can make
//! two identifiers meet. With 2^18 identifiers a look-up of an unknown one finds a row with probability 2^-44; with
//! fewer, 2^-43 at most.

use sha2::{Digest as _, Sha256};

use super::bytes::{damaged, to_u32, u32_at, u32_of};
use super::layout::{Section, Sections};
use super::postings::{NO_ROWS, ONE_ROW, PostingsWriter};
use crate::SegmentError;

/// Count of entries, bits of a bucket number, reference to the rows that have any, count of lists.
const HEADER_BYTES: usize = 16;
/// Six bytes of the fingerprint and three of the reference.
const ENTRY_BYTES: usize = 9;
const STORED_BITS: u32 = 48;
/// A bucket holds 2^4 to 2^5 entries, which are two or three cache lines.
const BUCKET_ENTRIES_LOG2: u32 = 4;
/// Marks a reference that is the number of a list rather than a row.
const LIST: u32 = 1 << 23;

/// The fingerprint of an identifier in one segment.
pub(super) fn fingerprint(key: &[u8; 16], identifier: &[u8]) -> u64 {
    let digest = Sha256::new().chain_update(key).chain_update(identifier).finalize();
    u64::from_be_bytes(*digest.first_chunk().expect("SHA-256 gives 32 bytes"))
}

/// Writes a table of (fingerprint, row), in any order.
pub(super) fn encode(mut entries: Vec<(u64, u32)>, postings: &mut PostingsWriter) -> Vec<u8> {
    entries.sort_unstable();
    let mut present: Vec<u32> = entries.iter().map(|(_, row)| *row).collect();
    present.sort_unstable();
    present.dedup();
    let distinct = to_u32(entries.chunk_by(|left, right| left.0 == right.0).count());
    let bucket_bits = distinct.checked_ilog2().unwrap_or_default().saturating_sub(BUCKET_ENTRIES_LOG2);
    // What is not stored must not tell entries apart: a look-up would find the first of two and miss the other.
    entries
        .iter_mut()
        .for_each(|(fingerprint, _)| *fingerprint &= u64::MAX << (64 - STORED_BITS - bucket_bits));
    let mut counts = vec![0u32; (1 << bucket_bits) + 1];
    let mut stored = Vec::with_capacity(distinct as usize * ENTRY_BYTES);
    let mut lists: Vec<u32> = Vec::new();
    let mut rows = Vec::new();
    for same in entries.chunk_by(|left, right| left.0 == right.0) {
        let (bucket, low) = split(same[0].0, bucket_bits);
        counts[bucket as usize + 1] += 1;
        rows.clear();
        rows.extend(same.iter().map(|(_, row)| *row));
        rows.sort_unstable();
        rows.dedup();
        let reference = match rows.as_slice() {
            [row] => *row,
            rows => {
                lists.push(postings.push(rows));
                LIST | (to_u32(lists.len()) - 1)
            }
        };
        stored.extend_from_slice(&low.to_le_bytes()[..6]);
        stored.extend_from_slice(&reference.to_le_bytes()[..3]);
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + counts.len() * 4 + lists.len() * 4 + stored.len());
    let present = postings.push(&present);
    for number in [distinct, bucket_bits, present, to_u32(lists.len())] {
        bytes.extend(number.to_le_bytes());
    }
    let mut start = 0u32;
    for count in counts {
        start += count;
        bytes.extend(start.to_le_bytes());
    }
    lists.iter().for_each(|list| bytes.extend(list.to_le_bytes()));
    bytes.extend(stored);
    bytes
}

/// The number of the bucket, and the bits that its entries hold.
fn split(fingerprint: u64, bucket_bits: u32) -> (u32, u64) {
    let [a, b, c, d, ..] = fingerprint.to_be_bytes();
    let bucket = u32::from_be_bytes([a, b, c, d]).checked_shr(32 - bucket_bits).unwrap_or_default();
    (bucket, (fingerprint << bucket_bits) >> (64 - STORED_BITS))
}

/// Reference to the rows that have any identifier.
pub(super) fn present<B: AsRef<[u8]>>(sections: &Sections<B>, section: Section) -> Result<u32, SegmentError> {
    let header = sections.piece(section, 0..HEADER_BYTES)?;
    u32_at(header, 8).ok_or_else(|| wrong(section))
}

/// Reference to the rows of one identifier.
pub(super) fn find<B: AsRef<[u8]>>(
    sections: &Sections<B>,
    section: Section,
    identifier: &[u8],
) -> Result<u32, SegmentError> {
    let header = sections.piece(section, 0..HEADER_BYTES)?;
    let number = |at| u32_at(header, at).ok_or_else(|| wrong(section));
    let (count, bucket_bits, lists) = (number(0)?, number(4)?, number(12)? as usize);
    if bucket_bits > 18 {
        return Err(wrong(section));
    }
    let (bucket, low) = split(fingerprint(&sections.header.fingerprint_key, identifier), bucket_bits);
    let bounds_at = HEADER_BYTES + bucket as usize * 4;
    let bounds = sections.piece(section, bounds_at..bounds_at + 8)?;
    let bound = |at| u32_of(bounds, at).filter(|bound| *bound <= count).ok_or_else(|| wrong(section));
    let (start, end) = (bound(0)? as usize, bound(1)? as usize);
    let lists_at = HEADER_BYTES + ((1 << bucket_bits) + 1) * 4;
    let entries_at = lists_at + lists * 4;
    let entries = sections
        .piece(section, entries_at + start * ENTRY_BYTES..entries_at + end.max(start) * ENTRY_BYTES)?;
    let low = low.to_le_bytes();
    let Some(entry) = entries.as_chunks::<ENTRY_BYTES>().0.iter().find(|entry| entry[..6] == low[..6]) else {
        return Ok(NO_ROWS);
    };
    let reference = u32::from_le_bytes([entry[6], entry[7], entry[8], 0]);
    if reference & LIST == 0 {
        return Ok(ONE_ROW | reference);
    }
    let list_at = lists_at + (reference & !LIST) as usize * 4;
    u32_at(sections.piece(section, list_at..list_at + 4)?, 0).ok_or_else(|| wrong(section))
}

fn wrong(section: Section) -> SegmentError {
    damaged(format!("{}: not what was written", section.name()))
}
