//! Bitmaps in the portable format of roaring (<https://github.com/RoaringBitmap/RoaringFormatSpec>), read where they stand.
//!
//! A bitmap consists of containers for 2^16 rows each, of which a segment has at most four: a sorted array, bits, or runs.

use super::bytes::{damaged, u16_at, u32_at};
use crate::SegmentError;

const COOKIE_WITHOUT_RUNS: u32 = 12_346;
const COOKIE_WITH_RUNS: u32 = 12_347;
/// A run format of fewer containers has no table of offsets.
const CONTAINERS_WITH_OFFSETS: usize = 4;
const ARRAY_ROWS_MAX: usize = 4_096;
const BITS_BYTES: usize = 8_192;
pub(super) const CONTAINER_WORDS: usize = BITS_BYTES / 8;

/// One container of a bitmap.
pub(super) enum Container<'s> {
    Array(&'s [u8]),
    Bits(&'s [u8]),
    Runs(&'s [u8]),
}

impl Container<'_> {
    /// Its rows as bits.
    pub(super) fn words(&self) -> [u64; CONTAINER_WORDS] {
        let mut words = [0; CONTAINER_WORDS];
        match self {
            Container::Array(values) => {
                let rows = values.as_chunks().0.iter().map(|low| u32::from(u16::from_le_bytes(*low)));
                rows.for_each(|row| set(&mut words, row));
            }
            Container::Bits(bits) => {
                let both = words.iter_mut().zip(bits.as_chunks().0);
                both.for_each(|(word, bits)| *word = u64::from_le_bytes(*bits));
            }
            Container::Runs(runs) => for_runs(0, runs, &mut |first, last| set_range(&mut words, first, last)),
        }
        words
    }

    /// Whether a row is in it. Rows are asked for in rising order; `start` is how far earlier questions came.
    pub(super) fn contains(&self, low: u16, start: &mut usize) -> bool {
        match self {
            Container::Array(values) => {
                let values = values.as_chunks::<2>().0;
                // Doubling steps from the last place, then halving: few steps when the asked rows lie close.
                let mut step = 1;
                while values.get(*start + step).is_some_and(|value| u16::from_le_bytes(*value) <= low) {
                    *start += step;
                    step *= 2;
                }
                let end = values.len().min(*start + step);
                let rest = values.get(*start..end).unwrap_or_default();
                *start += rest.partition_point(|value| u16::from_le_bytes(*value) < low);
                values.get(*start).is_some_and(|value| u16::from_le_bytes(*value) == low)
            }
            Container::Bits(bits) => {
                bits.get(usize::from(low) / 8).is_some_and(|byte| byte >> (low % 8) & 1 == 1)
            }
            Container::Runs(runs) => {
                let runs = runs.as_chunks::<4>().0;
                let first = |run: &[u8; 4]| u16::from_le_bytes([run[0], run[1]]);
                let after = runs.partition_point(|run| first(run) <= low);
                let before = after.checked_sub(1).and_then(|at| runs.get(at));
                before.is_some_and(|run| low - first(run) <= u16::from_le_bytes([run[2], run[3]]))
            }
        }
    }
}

/// The bits of a row within its container.
pub(super) fn low_of(row: u32) -> u16 {
    u16::try_from(row & 0xFFFF).unwrap_or_default()
}

pub(super) fn wrong_list() -> SegmentError {
    damaged("postings: a list is not what was written")
}

pub(super) fn set(words: &mut [u64], row: u32) {
    if let Some(word) = words.get_mut(row as usize / 64) {
        *word |= 1 << (row % 64);
    }
}

pub(super) fn is_set(words: &[u64], row: u32) -> bool {
    words.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
}

/// Sets the bits of `first..=last`.
pub(super) fn set_range(words: &mut [u64], first: u32, last: u32) {
    let (from, to) = (first as usize / 64, last as usize / 64);
    for at in from..=to {
        let above = if at == from { u64::MAX << (first % 64) } else { u64::MAX };
        let below = if at == to { u64::MAX >> (63 - last % 64) } else { u64::MAX };
        if let Some(word) = words.get_mut(at) {
            *word |= above & below;
        }
    }
}

pub(super) fn for_runs(base: u32, runs: &[u8], each: &mut dyn FnMut(u32, u32)) {
    for [a, b, c, d] in runs.as_chunks().0 {
        let first = u16::from_le_bytes([*a, *b]);
        let last = first.saturating_add(u16::from_le_bytes([*c, *d]));
        each(base | u32::from(first), base | u32::from(last));
    }
}

/// Calls `each` with every container and its first possible row.
pub(super) fn for_containers<'s>(
    bytes: &'s [u8],
    each: &mut dyn FnMut(u32, Container<'s>),
) -> Result<(), SegmentError> {
    walk_containers(bytes, each).ok_or_else(wrong_list)
}

fn walk_containers<'s>(bytes: &'s [u8], each: &mut dyn FnMut(u32, Container<'s>)) -> Option<()> {
    let cookie = u32_at(bytes, 0)?;
    let (count, run_flags, mut at) = if cookie & 0xFFFF == COOKIE_WITH_RUNS {
        let count = (cookie >> 16) as usize + 1;
        let flags_bytes = count.div_ceil(8);
        (count, bytes.get(4..4 + flags_bytes)?, 4 + flags_bytes)
    } else if cookie == COOKIE_WITHOUT_RUNS {
        (u32_at(bytes, 4)? as usize, [].as_slice(), 8)
    } else {
        return None;
    };
    let descriptions = bytes.get(at..at.checked_add(count.checked_mul(4)?)?)?;
    at += descriptions.len();
    if run_flags.is_empty() || count >= CONTAINERS_WITH_OFFSETS {
        at += count * 4;
    }
    for (index, description) in descriptions.as_chunks::<4>().0.iter().enumerate() {
        let base = u32::from(u16::from_le_bytes([description[0], description[1]])) << 16;
        let rows = usize::from(u16::from_le_bytes([description[2], description[3]])) + 1;
        let is_run = run_flags.get(index / 8).is_some_and(|flags| flags >> (index % 8) & 1 == 1);
        let container_bytes = if is_run {
            let runs = usize::from(u16_at(bytes, at)?);
            at += 2;
            runs * 4
        } else if rows <= ARRAY_ROWS_MAX {
            rows * 2
        } else {
            BITS_BYTES
        };
        let body = bytes.get(at..at + container_bytes)?;
        at += container_bytes;
        each(
            base,
            match () {
                () if is_run => Container::Runs(body),
                () if rows <= ARRAY_ROWS_MAX => Container::Array(body),
                () => Container::Bits(body),
            },
        );
    }
    Some(())
}
