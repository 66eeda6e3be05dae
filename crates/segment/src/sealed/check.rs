//! Checks a whole file.

use bytes::Bytes;
use parquet::file::metadata::ParquetMetaDataReader;

use super::bytes::damaged;
use super::columns::{BODY, COLUMN_COUNT, ENVELOPE, ID, schema};
use super::footer::{find_index, parquet_footer};
use super::layout::{Section, Sections};
use super::segment::SealedSegment;
use crate::SegmentError;
use crate::recover::RecoveredEvent;

/// Bytes before the first column.
const MAGIC_BYTES: u64 = 4;

/// Checks every byte of a segment's file: footer, index, columns, and every page of events.
///
/// # Errors
/// [`SegmentError::Damaged`], naming the first part that is damaged.
pub fn check_file(file: &[u8]) -> Result<(), SegmentError> {
    check_events(file, &mut |_| {}).map(drop)
}

/// The same, and hands on every event as its page is checked, in the order of the rows: each page is read once. What was handed on is to be believed
/// only when this returns. Returns where the index lies.
///
/// # Errors
/// [`SegmentError::Damaged`], naming the first part that is damaged.
pub fn check_events(
    file: &[u8],
    each: &mut dyn FnMut(RecoveredEvent<'_>),
) -> Result<std::ops::Range<u64>, SegmentError> {
    let place = find_index(file)?;
    let index_range = range(place.at, place.at + place.bytes)?;
    let index = file.get(index_range).ok_or_else(|| damaged("footer: the index lies outside of the file"))?;
    let segment = SealedSegment::open(index)?;
    if segment.sections.directory_crc != place.directory_crc {
        return Err(damaged("index directory: not the one that the footer names"));
    }
    segment.check_all()?;
    check_columns(file, &segment, place.at)?;
    check_footer(file, &segment)?;
    check_pages(file, &segment, each)?;
    check_order(&segment)?;
    Ok(place.at..place.at + place.bytes)
}

fn range(start: u64, end: u64) -> Result<std::ops::Range<usize>, SegmentError> {
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) => Ok(start..end),
        _ => Err(damaged("a place outside of the file")),
    }
}

/// Columns stand without gaps between the magic and the index.
fn check_columns(file: &[u8], segment: &SealedSegment<&[u8]>, index_at: u64) -> Result<(), SegmentError> {
    let mut at = MAGIC_BYTES;
    let schema = schema().map_err(|error| damaged(format!("schema: {error}")))?;
    for (number, field) in schema.get_fields().iter().enumerate() {
        let (place, crc) = segment.column(number)?;
        let bytes = range(place.start, place.end).ok().and_then(|range| file.get(range));
        if place.start != at || bytes.is_none_or(|bytes| crc32fast::hash(bytes) != crc) {
            return Err(damaged(format!("column {}: wrong checksum or place", field.name())));
        }
        at = place.end;
    }
    if at != index_at {
        return Err(damaged("column table: the columns do not reach to the index"));
    }
    Ok(())
}

/// The footer, whose checksum is right already, says the same as the index.
fn check_footer(file: &[u8], segment: &SealedSegment<&[u8]>) -> Result<(), SegmentError> {
    let (footer, _) = parquet_footer(file).ok_or_else(|| damaged("footer: not the end of a Parquet file"))?;
    let metadata = ParquetMetaDataReader::decode_metadata(footer)
        .map_err(|error| damaged(format!("footer: it cannot be read: {error}")))?;
    let group = match metadata.row_groups() {
        [group]
            if group.num_rows() == i64::from(segment.row_count()) && group.num_columns() == COLUMN_COUNT =>
        {
            group
        }
        _ => return Err(damaged("footer: rows or columns differ from those of the index")),
    };
    for (number, chunk) in group.columns().iter().enumerate() {
        let (start, bytes) = chunk.byte_range();
        if segment.column(number)?.0 != (start..start.saturating_add(bytes)) {
            return Err(damaged(format!("footer: column {} lies elsewhere", chunk.column_path())));
        }
    }
    Ok(())
}

fn check_pages(
    file: &[u8],
    segment: &SealedSegment<&[u8]>,
    each: &mut dyn FnMut(RecoveredEvent<'_>),
) -> Result<(), SegmentError> {
    let columns = [segment.column(BODY)?.0, segment.column(ENVELOPE)?.0, segment.column(ID)?.0];
    let mut ends = [columns[0].start, columns[1].start, 0];
    for page in 0..segment.pages()?.page_count() {
        let ranges = segment.page_ranges(page)?;
        if page == 0 {
            ends[2] = ranges[2].start;
        }
        let mut parts = [Bytes::new(), Bytes::new(), Bytes::new()];
        for (at, place) in ranges.into_iter().enumerate() {
            let bytes = range(place.start, place.end).ok().and_then(|range| file.get(range));
            parts[at] = match bytes {
                Some(bytes) if place.start == ends[at] => Bytes::copy_from_slice(bytes),
                _ => return Err(damaged(format!("page table: page {page} lies elsewhere"))),
            };
            ends[at] = place.end;
        }
        let decoded = segment.decode_page(page, &parts)?;
        for row in decoded.rows() {
            let event = decoded.get(row).ok_or_else(|| damaged(format!("row {row} is missing")))?;
            each(RecoveredEvent {
                seq: segment.seq_of(row)?,
                time_us: segment.time_of(row)?,
                id: event.id,
                body: event.body,
                envelope: event.envelope,
            });
        }
    }
    if ends != columns.map(|column| column.end) {
        return Err(damaged("page table: the pages do not fill their columns"));
    }
    Ok(())
}

/// Rows rise by (time, seq), and every seq occurs once.
fn check_order(segment: &SealedSegment<&[u8]>) -> Result<(), SegmentError> {
    let mut before = None;
    let mut is_seen = vec![false; segment.row_count() as usize];
    for row in 0..segment.row_count() {
        let (time_us, seq) = (segment.time_of(row)?, segment.seq_of(row)?);
        if before.is_some_and(|before| before >= (time_us, seq)) {
            return Err(damaged(format!("times: row {row} is out of order")));
        }
        before = Some((time_us, seq));
        let place = usize::try_from(seq - segment.first_seq()).ok().and_then(|at| is_seen.get_mut(at));
        if place.is_none_or(|place| std::mem::replace(place, true)) {
            return Err(damaged(format!("seqs: {seq} occurs twice")));
        }
    }
    let (first, last) = (segment.time_of(0)?, segment.time_of(segment.row_count() - 1)?);
    if (first, last) != segment.time_range() {
        return Err(damaged("index directory: the range of times is not that of the rows"));
    }
    Ok(())
}

/// Names the first section in which an index says something else than one that was made anew from the same events. Where pages
/// and columns lie in the file is left out: that depends on how their bytes were compressed, and every read checks it.
///
/// # Errors
/// [`SegmentError`] if one of them is damaged.
pub fn differing_section(index: &[u8], anew: &[u8]) -> Result<Option<&'static str>, SegmentError> {
    let (index, anew) = (Sections::open(index)?, Sections::open(anew)?);
    for (section, name) in Section::ALL {
        let is_place = matches!(section, Section::Pages | Section::Columns);
        if !is_place && index.all(section)? != anew.all(section)? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
