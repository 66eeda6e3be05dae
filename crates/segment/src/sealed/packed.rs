//! Times and seqs of the rows, packed in blocks of 128 rows so that any of them is read at once.

use super::bytes::{damaged, i64_at, to_u32, u32_at};
use crate::SegmentError;

/// Rows of a block. Each has a header of 16 bytes, and its width is that of its widest value.
pub(super) const BLOCK_ROWS: usize = 128;
/// Base, place of the values, width.
const BLOCK_HEADER_BYTES: usize = 16;
/// Row and value of an exception.
const EXCEPTION_BYTES: usize = 8;
/// A value of 64 bits that begins within a byte ends in the ninth; values are read through a window of 16.
const PADDING_BYTES: usize = 16;

/// Packs values that hardly differ within a block: rising times, or seqs less their rows. A block stores each as the
/// difference to a base. With `allow_exceptions`, values far from the others (the seq of a late event) do not widen
/// their block but stand in a list of their own, which holds values of 32 bits.
pub(super) fn pack(values: &[i64], allow_exceptions: bool) -> Vec<u8> {
    let block_count = values.len().div_ceil(BLOCK_ROWS);
    let mut headers = Vec::with_capacity(block_count * BLOCK_HEADER_BYTES);
    let mut exceptions = Vec::new();
    let mut bits = Bits::default();
    for (block, chunk) in values.chunks(BLOCK_ROWS).enumerate() {
        let (base, width) = if allow_exceptions { cheapest(chunk) } else { whole(chunk) };
        bits.align();
        headers.extend(base.to_le_bytes());
        headers.extend(to_u32(bits.bytes.len()).to_le_bytes());
        headers.extend(width.to_le_bytes());
        let mark = mask(width);
        for (at, value) in chunk.iter().enumerate() {
            let difference = value.wrapping_sub(base) as u64;
            let fits =
                *value >= base && (difference < mark || !allow_exceptions || width == 0 && difference == 0);
            if fits {
                bits.push(difference, width);
            } else {
                bits.push(mark, width);
                exceptions.extend(to_u32(block * BLOCK_ROWS + at).to_le_bytes());
                exceptions
                    .extend(i32::try_from(*value).expect("a deviation of rows, below 2^18").to_le_bytes());
            }
        }
    }
    bits.bytes.extend([0; PADDING_BYTES]);
    let mut packed = Vec::with_capacity(8 + headers.len() + exceptions.len() + bits.bytes.len());
    packed.extend(to_u32(block_count).to_le_bytes());
    packed.extend(to_u32(exceptions.len() / EXCEPTION_BYTES).to_le_bytes());
    packed.extend(headers);
    packed.extend(exceptions);
    packed.extend(bits.bytes);
    packed
}

/// The base and the width that hold every value of a block.
fn whole(values: &[i64]) -> (i64, u32) {
    let base = values.iter().copied().min().unwrap_or_default();
    let widest = values.iter().map(|value| value.wrapping_sub(base) as u64).max().unwrap_or_default();
    (base, bits_of(widest))
}

/// The base and the width that cost least, exceptions included. The largest value of the width marks an exception.
fn cheapest(values: &[i64]) -> (i64, u32) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let mut best = whole(values);
    // One bit more than the values need, since the largest one is the mark.
    best.1 = if sorted.first() == sorted.last() {
        0
    } else {
        bits_of((sorted[sorted.len() - 1] - best.0) as u64 + 1)
    };
    let mut best_bits = values.len() * best.1 as usize;
    for width in 1..best.1 {
        let mut end = 0;
        for (start, base) in sorted.iter().enumerate() {
            while end < sorted.len() && ((sorted[end] - base) as u64) < mask(width) {
                end += 1;
            }
            let exceptions = sorted.len() - (end - start);
            let cost = values.len() * width as usize + exceptions * EXCEPTION_BYTES * 8;
            if cost < best_bits {
                (best, best_bits) = ((*base, width), cost);
            }
        }
    }
    best
}

fn bits_of(number: u64) -> u32 {
    64 - number.leading_zeros()
}

fn mask(width: u32) -> u64 {
    1u64.checked_shl(width).map_or(u64::MAX, |one| one - 1)
}

/// Values bit by bit, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; 0 when it is full.
    taken: u32,
}

impl Bits {
    fn align(&mut self) {
        self.taken = 0;
    }

    fn push(&mut self, mut value: u64, mut width: u32) {
        while width > 0 {
            if self.taken == 0 {
                self.bytes.push(0);
            }
            let room = (8 - self.taken).min(width);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (value & mask(room)).to_le_bytes()[0] << self.taken;
            }
            value = value.checked_shr(room).unwrap_or_default();
            self.taken = (self.taken + room) % 8;
            width -= room;
        }
    }
}

/// Packed values, read where they stand.
#[derive(Clone, Copy)]
pub(super) struct Packed<'s> {
    name: &'static str,
    headers: &'s [u8],
    exceptions: &'s [u8],
    bits: &'s [u8],
}

/// The header of a block.
pub(super) struct Block {
    pub(super) base: i64,
    at: usize,
    width: u32,
}

impl<'s> Packed<'s> {
    pub(super) fn read(name: &'static str, bytes: &'s [u8]) -> Result<Packed<'s>, SegmentError> {
        let parse = || {
            let headers_end = (u32_at(bytes, 0)? as usize).checked_mul(BLOCK_HEADER_BYTES)?.checked_add(8)?;
            let exceptions = (u32_at(bytes, 4)? as usize).checked_mul(EXCEPTION_BYTES)?;
            let exceptions_end = headers_end.checked_add(exceptions)?;
            Some(Packed {
                name,
                headers: bytes.get(8..headers_end)?,
                exceptions: bytes.get(headers_end..exceptions_end)?,
                bits: bytes.get(exceptions_end..)?,
            })
        };
        parse().ok_or_else(|| damaged(format!("{name}: cut off")))
    }

    /// The value of a row.
    pub(super) fn get(&self, row: u32) -> Result<i64, SegmentError> {
        let block = self.block(row as usize / BLOCK_ROWS)?;
        match self.in_block(&block, row as usize % BLOCK_ROWS) {
            Some(value) => Ok(value),
            None => self.exception(row).ok_or_else(|| self.wrong()),
        }
    }

    pub(super) fn block(&self, block: usize) -> Result<Block, SegmentError> {
        let at = block * BLOCK_HEADER_BYTES;
        let parse = || {
            let header = self.headers.get(at..at + BLOCK_HEADER_BYTES)?;
            Some(Block {
                base: i64_at(header, 0)?,
                at: u32_at(header, 8)? as usize,
                width: u32_at(header, 12)?,
            })
        };
        parse().filter(|block: &Block| block.width <= 64).ok_or_else(|| self.wrong())
    }

    /// The exceptions as (row, value), by row.
    pub(super) fn exceptions(&self) -> impl Iterator<Item = (u32, i32)> + 's {
        self.exceptions.as_chunks::<EXCEPTION_BYTES>().0.iter().map(split_exception)
    }

    /// A value of a block, unless it is an exception.
    pub(super) fn in_block(&self, block: &Block, at: usize) -> Option<i64> {
        let bit = at * block.width as usize;
        let window = self.bits.get(block.at + bit / 8..)?.first_chunk()?;
        let shifted = u128::from_le_bytes(*window) >> (bit % 8);
        let difference = u64::try_from(shifted & u128::from(mask(block.width))).ok()?;
        let is_mark = !self.exceptions.is_empty() && block.width > 0 && difference == mask(block.width);
        (!is_mark).then(|| block.base.wrapping_add_unsigned(difference))
    }

    /// How many values from the base a block can hold.
    pub(super) fn span(block: &Block) -> u64 {
        mask(block.width)
    }

    fn exception(&self, row: u32) -> Option<i64> {
        let exceptions = self.exceptions.as_chunks::<EXCEPTION_BYTES>().0;
        let at = exceptions.binary_search_by_key(&row, |exception| split_exception(exception).0).ok()?;
        Some(i64::from(split_exception(&exceptions[at]).1))
    }

    fn wrong(&self) -> SegmentError {
        damaged(format!("{}: not what was written", self.name))
    }
}

fn split_exception([a, b, c, d, e, f, g, h]: &[u8; EXCEPTION_BYTES]) -> (u32, i32) {
    (u32::from_le_bytes([*a, *b, *c, *d]), i32::from_le_bytes([*e, *f, *g, *h]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn reads_what_was_packed(
            mut times in prop::collection::vec(prop_oneof![any::<i64>(), 0i64..1_000], 1..400),
            deviations in prop::collection::vec(prop_oneof![9 => -3i64..3, 1 => -200_000i64..200_000], 1..400),
        ) {
            times.sort_unstable();
            for (values, allow_exceptions) in [(times, false), (deviations, true)] {
                let bytes = pack(&values, allow_exceptions);
                let packed = Packed::read("test", &bytes).unwrap();
                for (row, value) in (0..).zip(&values) {
                    prop_assert_eq!(packed.get(row).unwrap(), *value);
                }
                prop_assert!(packed.get(u32::MAX).is_err());
            }
        }
    }
}
