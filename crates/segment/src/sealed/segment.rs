//! An opened segment: rows, times, seqs and pages. What it answers to filters stands in `answer.rs`.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::bytes::damaged;
use super::layout::{Section, Sections};
use super::packed::{BLOCK_ROWS, Packed};
use super::pages::PageTable;
use super::posting::Posting;
use super::terms::{Keys, Texts};
use super::{EVENT_PAGE_ROWS, EventPage, EventPlace, PageSource, fingerprints, scan};
use crate::{RowSet, SegmentError};

/// A sealed segment that answers from its index. The index may be mapped or in memory; nothing of it is copied.
#[derive(Debug)]
pub struct SealedSegment<B> {
    pub(super) sections: Sections<B>,
    pub(super) source: Option<Arc<dyn PageSource>>,
}

impl<B: AsRef<[u8]> + Send + Sync> SealedSegment<B> {
    /// Opens an index, checking its header and directory; every other part is checked when it is first used.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`]; [`SegmentError::UnknownVersion`] if a newer version wrote it.
    pub fn open(index: B) -> Result<SealedSegment<B>, SegmentError> {
        Ok(SealedSegment { sections: Sections::open(index)?, source: None })
    }

    /// Lets the segment read its file, which wildcards in resource ids need.
    #[must_use]
    pub fn with_source(mut self, source: Arc<dyn PageSource>) -> SealedSegment<B> {
        self.source = Some(source);
        self
    }

    /// Seq of the first event; those of the segment follow without a gap.
    pub fn first_seq(&self) -> u64 {
        self.sections.header.first_seq
    }

    /// How many rows.
    pub fn row_count(&self) -> u32 {
        self.sections.header.row_count
    }

    /// Earliest and latest time, microseconds since 1970.
    pub fn time_range(&self) -> (i64, i64) {
        self.sections.header.time_range
    }

    /// Earliest and latest millisecond in ids of version 7.
    pub fn id_times_ms(&self) -> Option<(u64, u64)> {
        self.sections.header.id_times_ms
    }

    /// Some id is not of version 7.
    pub fn has_other_ids(&self) -> bool {
        self.sections.header.has_other_ids
    }

    /// Time of a row, microseconds since 1970.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`], also if there is no such row.
    pub fn time_of(&self, row: u32) -> Result<i64, SegmentError> {
        self.check_row(row)?;
        self.times()?.get(row)
    }

    /// Seq of a row.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`], also if there is no such row.
    pub fn seq_of(&self, row: u32) -> Result<u64, SegmentError> {
        self.check_row(row)?;
        let deviation = if self.sections.header.in_order { 0 } else { self.seqs()?.get(row)? };
        let place = i64::from(row).saturating_add(deviation);
        let place = u64::try_from(place).ok().filter(|place| *place < u64::from(self.row_count()));
        Ok(self.first_seq() + place.ok_or_else(|| damaged("seqs: not what was written"))?)
    }

    /// The row of a seq; nothing if the segment lacks it.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`]
    pub fn row_of_seq(&self, seq: u64) -> Result<Option<u32>, SegmentError> {
        let rows = self.rows_of_seqs(seq..seq.saturating_add(1))?;
        Ok(rows.iter().next())
    }

    /// The rows of a range of seqs.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`]
    pub fn rows_of_seqs(&self, seqs: Range<u64>) -> Result<RowSet, SegmentError> {
        let place =
            |seq: u64| i64::try_from(seq.saturating_sub(self.first_seq()).min(u64::from(self.row_count())));
        let (Ok(from), Ok(to)) = (place(seqs.start), place(seqs.end)) else { return Ok(RowSet::empty()) };
        if from >= to {
            return Ok(RowSet::empty());
        }
        if self.sections.header.in_order {
            let row = |place: i64| u32::try_from(place).unwrap_or(self.row_count());
            return Ok(RowSet::range(row(from)..row(to)));
        }
        let packed = self.seqs()?;
        let mut words = vec![0u64; self.row_count().div_ceil(64) as usize];
        let mut set = |row: i64, is_in: bool| {
            if let Some(word) = usize::try_from(row / 64).ok().and_then(|at| words.get_mut(at)) {
                let bit = 1 << (row % 64);
                *word = if is_in { *word | bit } else { *word & !bit };
            }
        };
        // Nearly all seqs lie close to their rows, so that most blocks lie wholly inside or outside of the range.
        let block_rows = BLOCK_ROWS as i64;
        for first_row in (0..i64::from(self.row_count())).step_by(BLOCK_ROWS) {
            let block = packed.block(usize::try_from(first_row / block_rows).unwrap_or(usize::MAX))?;
            let rows = block_rows.min(i64::from(self.row_count()) - first_row);
            let least = first_row.saturating_add(block.base);
            let most = least.saturating_add(rows - 1).saturating_add_unsigned(Packed::span(&block));
            if least >= to || most < from {
                continue;
            }
            let is_inside = least >= from && most < to;
            for at in 0..rows {
                let row = first_row + at;
                let is_in = is_inside
                    || packed
                        .in_block(&block, usize::try_from(at).unwrap_or_default())
                        .is_some_and(|deviation| (from..to).contains(&row.saturating_add(deviation)));
                set(row, is_in);
            }
        }
        for (row, deviation) in packed.exceptions() {
            let row = i64::from(row);
            set(row, (from..to).contains(&row.saturating_add(i64::from(deviation))));
        }
        Ok(RowSet::from_words(words))
    }

    /// The rows that may have an id: one, or none. An unknown id finds a row with a probability of 2^-43 at most.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`]
    pub fn rows_with_id(&self, id: Uuid) -> Result<Vec<u32>, SegmentError> {
        if id.is_nil() {
            return Ok(Vec::new());
        }
        let reference = fingerprints::find(&self.sections, Section::Ids, id.as_bytes())?;
        let mut rows = Vec::new();
        self.posting(reference)?.for_each(|row| rows.push(row))?;
        Ok(rows)
    }

    /// First row whose time is not before `time_us`; the row count if there is none.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`]
    pub fn first_row_at(&self, time_us: i64) -> Result<u32, SegmentError> {
        let times = self.times()?;
        let (mut low, mut high) = (0, self.row_count());
        // Blocks by their first time, then rows of one block.
        let block_rows = super::bytes::to_u32(BLOCK_ROWS);
        let (mut low_block, mut high_block) = (0, self.row_count().div_ceil(block_rows));
        while low_block < high_block {
            let middle = low_block + (high_block - low_block) / 2;
            if times.block(middle as usize)?.base < time_us {
                low_block = middle + 1;
            } else {
                high_block = middle;
            }
        }
        low = low.max(low_block.saturating_sub(1) * block_rows);
        high = high.min(low_block * block_rows);
        while low < high {
            let middle = low + (high - low) / 2;
            if times.get(middle)? < time_us {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Where the event of a row lies.
    pub fn place(&self, row: u32) -> EventPlace {
        EventPlace { page: row / EVENT_PAGE_ROWS, row }
    }

    /// The ranges of the file that hold a page: bodies, envelopes, ids.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`], also if there is no such page.
    pub fn page_ranges(&self, page: u32) -> Result<[Range<u64>; 3], SegmentError> {
        Ok(self.pages()?.stored(page)?.map(|stored| stored.range))
    }

    /// Checks and decodes a page from the bytes of its three ranges.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`] if they are not what was written.
    pub fn decode_page(&self, page: u32, parts: &[Bytes; 3]) -> Result<EventPage, SegmentError> {
        self.pages()?.decode(page, parts)
    }

    /// Checks every section of the index.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`], naming the first damaged section.
    pub fn check_all(&self) -> Result<(), SegmentError> {
        for (section, _) in Section::ALL {
            self.sections.all(section)?;
        }
        Ok(())
    }

    pub(super) fn posting(&self, reference: u32) -> Result<Posting<'_>, SegmentError> {
        Posting::read(&self.sections, reference)
    }

    pub(super) fn texts(&self, section: Section) -> Result<Texts<'_>, SegmentError> {
        Texts::read(section.name(), self.sections.all(section)?)
    }

    pub(super) fn keys<const N: usize>(&self, section: Section) -> Result<Keys<'_, N>, SegmentError> {
        Keys::read(section.name(), self.sections.all(section)?)
    }

    /// Where a column lies in the file, and its checksum.
    pub(super) fn column(&self, column: usize) -> Result<(Range<u64>, u32), SegmentError> {
        scan::column(self.sections.all(Section::Columns)?, column)
    }

    pub(super) fn pages(&self) -> Result<PageTable<'_>, SegmentError> {
        PageTable::read(self.sections.all(Section::Pages)?, self.row_count())
    }

    fn times(&self) -> Result<Packed<'_>, SegmentError> {
        Packed::read(Section::Times.name(), self.sections.all(Section::Times)?)
    }

    fn seqs(&self) -> Result<Packed<'_>, SegmentError> {
        Packed::read(Section::Seqs.name(), self.sections.all(Section::Seqs)?)
    }

    fn check_row(&self, row: u32) -> Result<(), SegmentError> {
        if row < self.row_count() {
            return Ok(());
        }
        Err(damaged(format!("row {row}: the segment has {} rows", self.row_count())))
    }
}
