//! Rows of one term, read where they stand: counted from headers, tested, joined and copied without building a bitmap.

use super::bytes::{damaged, u32_at, varint};
use super::containers::{
    CONTAINER_WORDS, Container, for_containers, for_runs, is_set, low_of, set, set_range, wrong_list,
};
use super::layout::{Section, Sections};
use super::postings::{NO_ROWS, ONE_ROW, SHORT_ROWS_MAX};
use crate::{RowBits, RowSet, SegmentError};

/// Longer sets are bits.
const LIST_ROWS_MAX: usize = 4_096;
/// Marker, count and length before a bitmap.
const BITMAP_HEADER_BYTES: usize = 9;

/// Rows of one term.
pub(super) enum Posting<'s> {
    None,
    One(u32),
    /// Differences as numbers of seven bits a byte.
    Short {
        count: u32,
        bytes: &'s [u8],
    },
    Bitmap {
        count: u32,
        bytes: &'s [u8],
    },
}

impl<'s> Posting<'s> {
    /// Finds the rows behind a reference.
    pub(super) fn read<B: AsRef<[u8]>>(
        sections: &'s Sections<B>,
        reference: u32,
    ) -> Result<Posting<'s>, SegmentError> {
        if reference == NO_ROWS {
            return Ok(Posting::None);
        }
        if reference & ONE_ROW != 0 {
            return Ok(Posting::One(reference & !ONE_ROW));
        }
        let at = reference as usize;
        let section_bytes = sections.section_bytes(Section::Postings);
        let head = sections
            .piece(Section::Postings, at..section_bytes.min(at.saturating_add(BITMAP_HEADER_BYTES)))?;
        let wrong = || damaged("postings: a reference leads to no list");
        match head.first().ok_or_else(wrong)? {
            0 => {
                let count = u32_at(head, 1).ok_or_else(wrong)?;
                let bytes = u32_at(head, 5).ok_or_else(wrong)? as usize;
                let start = at + BITMAP_HEADER_BYTES;
                Ok(Posting::Bitmap { count, bytes: sections.piece(Section::Postings, start..start + bytes)? })
            }
            count if usize::from(*count) <= SHORT_ROWS_MAX => {
                // A row below 2^18 takes three bytes at most.
                let end = section_bytes.min(at + 1 + usize::from(*count) * 3);
                let bytes = sections.piece(Section::Postings, at + 1..end)?;
                Ok(Posting::Short { count: u32::from(*count), bytes })
            }
            _ => Err(wrong()),
        }
    }

    pub(super) fn count(&self) -> u32 {
        match self {
            Posting::None => 0,
            Posting::One(_) => 1,
            Posting::Short { count, .. } | Posting::Bitmap { count, .. } => *count,
        }
    }

    /// Calls `each` with every row, rising.
    pub(super) fn for_each(&self, mut each: impl FnMut(u32)) -> Result<(), SegmentError> {
        match self {
            Posting::None => {}
            Posting::One(row) => each(*row),
            Posting::Short { count, bytes } => {
                let (mut at, mut row) = (0, 0u32);
                for _ in 0..*count {
                    row = varint(bytes, &mut at)
                        .and_then(|step| row.checked_add(step))
                        .ok_or_else(wrong_list)?;
                    each(row);
                }
            }
            Posting::Bitmap { bytes, .. } => for_containers(bytes, &mut |base, container| match container {
                Container::Array(values) => {
                    values
                        .as_chunks()
                        .0
                        .iter()
                        .for_each(|low| each(base | u32::from(u16::from_le_bytes(*low))));
                }
                Container::Bits(bits) => {
                    for (word, at) in bits.as_chunks().0.iter().zip((base..).step_by(64)) {
                        let mut rest = u64::from_le_bytes(*word);
                        while rest != 0 {
                            each(at + rest.trailing_zeros());
                            rest &= rest - 1;
                        }
                    }
                }
                Container::Runs(runs) => {
                    for_runs(base, runs, &mut |first, last| (first..=last).for_each(&mut each))
                }
            })?,
        }
        Ok(())
    }

    /// Sets the bits of the rows; rows beyond the words are not there.
    pub(super) fn add_to(&self, words: &mut [u64]) -> Result<(), SegmentError> {
        let Posting::Bitmap { bytes, .. } = self else { return self.for_each(|row| set(words, row)) };
        for_containers(bytes, &mut |base, container| match container {
            Container::Array(values) => {
                let words = words.get_mut(base as usize / 64..).unwrap_or_default();
                values.as_chunks().0.iter().for_each(|low| set(words, u32::from(u16::from_le_bytes(*low))));
            }
            Container::Bits(bits) => {
                let words = words.get_mut(base as usize / 64..).unwrap_or_default();
                for (word, bits) in words.iter_mut().zip(bits.as_chunks().0) {
                    *word |= u64::from_le_bytes(*bits);
                }
            }
            Container::Runs(runs) => for_runs(base, runs, &mut |first, last| set_range(words, first, last)),
        })
    }

    /// The rows as a set.
    pub(super) fn rows(&self, row_count: u32) -> Result<RowSet, SegmentError> {
        if self.count() as usize <= LIST_ROWS_MAX {
            let mut rows = Vec::with_capacity(self.count() as usize);
            self.for_each(|row| rows.push(row))?;
            return sorted(rows, row_count);
        }
        let mut words = vec![0; row_count.div_ceil(64) as usize];
        self.add_to(&mut words)?;
        Ok(RowSet::from_words(words))
    }

    /// How many of the rows have their bit set.
    pub(super) fn count_in(&self, words: &[u64]) -> Result<u32, SegmentError> {
        let mut count = 0;
        if let Posting::Bitmap { bytes, .. } = self {
            for_containers(bytes, &mut |base, container| {
                let words = words.get(base as usize / 64..).unwrap_or_default();
                match container {
                    Container::Array(values) => {
                        let rows = values.as_chunks().0.iter().map(|low| u32::from(u16::from_le_bytes(*low)));
                        count += rows.map(|row| u32::from(is_set(words, row))).sum::<u32>();
                    }
                    Container::Bits(bits) => {
                        let both = words.iter().zip(bits.as_chunks().0);
                        count += both
                            .map(|(word, bits)| (word & u64::from_le_bytes(*bits)).count_ones())
                            .sum::<u32>();
                    }
                    Container::Runs(runs) => for_runs(0, runs, &mut |first, last| {
                        count += (first..=last).map(|row| u32::from(is_set(words, row))).sum::<u32>();
                    }),
                }
            })?;
        } else {
            self.for_each(|row| count += u32::from(is_set(words, row)))?;
        }
        Ok(count)
    }

    /// The rows of a set that are here too.
    pub(super) fn rows_within(&self, rows: &RowSet, row_count: u32) -> Result<RowSet, SegmentError> {
        match self {
            Posting::Bitmap { bytes, count } if rows.len() as usize <= LIST_ROWS_MAX => {
                list_within(bytes, rows, rows.len().saturating_mul(LOOKUPS_A_ROW) < *count)
            }
            Posting::Bitmap { bytes, count } if *count as usize > LIST_ROWS_MAX => {
                bits_within(bytes, rows, row_count)
            }
            _ => {
                let mut kept = Vec::with_capacity(self.count() as usize);
                self.for_each(|row| {
                    if rows.contains(row) {
                        kept.push(row);
                    }
                })?;
                sorted(kept, row_count)
            }
        }
    }
}

/// Looking a row up in a sorted array costs as much as setting this many bits.
const LOOKUPS_A_ROW: u32 = 8;

/// The rows of a short list that are in a bitmap: each looked up, or, if the bitmap is not much longer, tested in bits.
fn list_within(bytes: &[u8], rows: &RowSet, is_looked_up: bool) -> Result<RowSet, SegmentError> {
    let rows: Vec<u32> = rows.iter().collect();
    // Written always and counted when it stays: no branch that the processor could guess wrong.
    let mut kept = vec![0; rows.len() + 1];
    let mut kept_count = 0;
    let mut keep = |row: u32, stays: bool| {
        kept[kept_count] = row;
        kept_count += usize::from(stays);
    };
    let mut rest = rows.as_slice();
    for_containers(bytes, &mut |base, container| {
        rest = &rest[rest.partition_point(|row| *row < base)..];
        let (here, after) = rest.split_at(rest.partition_point(|row| row >> 16 == base >> 16));
        rest = after;
        match container {
            Container::Array(_) if !is_looked_up => {
                let words = container.words();
                here.iter().for_each(|row| keep(*row, is_set(&words, row & 0xFFFF)));
            }
            _ => {
                let mut start = 0;
                here.iter().for_each(|row| keep(*row, container.contains(low_of(*row), &mut start)));
            }
        }
    })?;
    kept.truncate(kept_count);
    Ok(RowSet::from_sorted(kept))
}

/// The rows of a long set that are in a bitmap.
fn bits_within(bytes: &[u8], rows: &RowSet, row_count: u32) -> Result<RowSet, SegmentError> {
    let mut bits = RowBits::new(row_count);
    bits.insert_rows(rows);
    let words = bits.words_mut();
    let mut done = 0;
    for_containers(bytes, &mut |base, container| {
        let start = words.len().min(base as usize / 64);
        let end = words.len().min(start + CONTAINER_WORDS);
        words[done.min(start)..start].fill(0);
        done = end;
        match container {
            Container::Bits(bits) => {
                let both = words[start..end].iter_mut().zip(bits.as_chunks().0);
                both.for_each(|(word, bits)| *word &= u64::from_le_bytes(*bits));
            }
            _ => {
                let both = words[start..end].iter_mut().zip(container.words());
                both.for_each(|(word, bits)| *word &= bits);
            }
        }
    })?;
    words[done..].fill(0);
    Ok(bits.into_rows())
}

fn sorted(rows: Vec<u32>, row_count: u32) -> Result<RowSet, SegmentError> {
    if rows.last().is_some_and(|row| *row >= row_count) || !rows.is_sorted_by(|left, right| left < right) {
        return Err(wrong_list());
    }
    Ok(RowSet::from_sorted(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::postings::PostingsWriter;
    use proptest::prelude::*;

    /// Two containers and a bit.
    const ROWS: u32 = 140_000;

    fn lists() -> impl Strategy<Value = Vec<u32>> {
        let few = prop::collection::btree_set(0..ROWS, 1..300).prop_map(|rows| rows.into_iter().collect());
        let dense = (2u32..40, 0..ROWS).prop_map(|(step, to)| (0..to).filter(|row| row % step < 2).collect());
        let runs = (1u32..5_000, 0..ROWS)
            .prop_map(|(step, to)| (0..to).filter(|row| row / step % 2 == 0).collect::<Vec<u32>>());
        prop_oneof![few, dense, runs]
    }

    /// A posting as it stands in a section, without the section around it.
    fn posting(bytes: &[u8]) -> Posting<'_> {
        match bytes[0] {
            0 => Posting::Bitmap { count: u32_at(bytes, 1).unwrap(), bytes: &bytes[BITMAP_HEADER_BYTES..] },
            count => Posting::Short { count: u32::from(count), bytes: &bytes[1..] },
        }
    }

    #[test]
    fn reads_four_containers_of_different_kinds() {
        let array = (0..65_536).step_by(100);
        let bits = (65_536..131_072).step_by(3);
        let runs = 131_072..190_000;
        let one = [262_143];
        let rows: Vec<u32> = array.chain(bits).chain(runs).chain(one).collect();
        let mut writer = PostingsWriter::default();
        writer.push(&rows);
        let bytes = writer.into_bytes();
        let posting = posting(&bytes);
        let expect = RowSet::from_sorted(rows);
        assert_eq!(posting.rows(1 << 18).unwrap(), expect);
        for rows in [RowSet::range(65_000..140_000), RowSet::from_sorted((0..1 << 18).step_by(77).collect())]
        {
            assert_eq!(posting.rows_within(&rows, 1 << 18).unwrap(), expect.intersection(&rows));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn reads_what_was_written(rows in lists(), other in lists()) {
            prop_assume!(rows.len() > 1);
            let mut writer = PostingsWriter::default();
            prop_assert_eq!(writer.push(&rows), writer.push(&rows));
            let bytes = writer.into_bytes();
            let posting = posting(&bytes);
            prop_assert_eq!(posting.count() as usize, rows.len());
            let expect = RowSet::from_sorted(rows.clone());
            prop_assert_eq!(&posting.rows(ROWS).unwrap(), &expect);
            let mut walked = Vec::new();
            posting.for_each(|row| walked.push(row)).unwrap();
            prop_assert_eq!(&walked, &rows);
            let other_set = RowSet::from_sorted(other.clone());
            let both = expect.intersection(&other_set);
            prop_assert_eq!(&posting.rows_within(&other_set, ROWS).unwrap(), &both);
            let mut words = vec![0; ROWS.div_ceil(64) as usize];
            other.iter().for_each(|row| set(&mut words, *row));
            prop_assert_eq!(posting.count_in(&words).unwrap(), both.len());
        }
    }
}
