//! Wildcards in resource ids: the one question that the index does not answer, since a fingerprint has no beginning and no
//! parts. It is answered from the Parquet column.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use annals_query::{Pattern, fold};
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::reader::{get_column_reader, get_typed_column_reader};
use parquet::data_type::ByteArrayType;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;

use super::bytes::{damaged, u32_at, u64_at};
use super::columns::{RESOURCE_ID, descriptor, page_header};
use crate::{RowBits, RowSet, SegmentError};

/// Bytes of an entry of the column table: place, length, checksum.
pub(super) const COLUMN_ENTRY_BYTES: usize = 20;
/// Rows read at once.
const BATCH_ROWS: usize = 8_192;

/// Reads ranges of the segment's file.
pub trait PageSource: Send + Sync + Debug {
    /// Returns the bytes of a range.
    ///
    /// # Errors
    /// [`SegmentError::Unreadable`]
    fn read(&self, range: Range<u64>) -> Result<Bytes, SegmentError>;
}

/// Where a column lies in the file, and its checksum.
pub(super) fn column(table: &[u8], column: usize) -> Result<(Range<u64>, u32), SegmentError> {
    let at = column * COLUMN_ENTRY_BYTES;
    let parse = || {
        let start = u64_at(table, at)?;
        Some((start..start.checked_add(u64_at(table, at + 8)?)?, u32_at(table, at + 16)?))
    };
    parse().ok_or_else(|| damaged("column table: not what was written"))
}

/// Returns the rows whose resource id matches a pattern.
pub(super) fn resource_ids(
    table: &[u8],
    row_count: u32,
    source: &dyn PageSource,
    patterns: &[Pattern],
) -> Result<RowSet, SegmentError> {
    let (range, crc) = column(table, RESOURCE_ID)?;
    let bytes = source.read(range.clone())?;
    if bytes.len() as u64 != range.end - range.start || crc32fast::hash(&bytes) != crc {
        return Err(damaged("column resource_id: wrong checksum"));
    }
    let is_match = |text: &str| {
        let folded = fold(text);
        patterns.iter().any(|pattern| pattern.matches(&folded))
    };
    match matching_rows(bytes, row_count, &is_match) {
        Ok(Some(rows)) => Ok(rows),
        Ok(None) => Err(damaged("column resource_id: it ends early")),
        Err(error) => Err(damaged(format!("column resource_id: {error}"))),
    }
}

fn matching_rows(
    bytes: Bytes,
    row_count: u32,
    is_match: &dyn Fn(&str) -> bool,
) -> Result<Option<RowSet>, ParquetError> {
    let column = descriptor()?.column(RESOURCE_ID);
    let first = page_header(&bytes).ok_or_else(|| ParquetError::General("no page header".into()))?;
    let first_bytes = i64::try_from(first.header_bytes + first.stored_bytes)?;
    let dictionary = first.is_dictionary.then_some(0);
    let metadata = ColumnChunkMetaData::builder(Arc::clone(&column))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_num_values(i64::from(row_count))
        .set_total_compressed_size(i64::try_from(bytes.len())?)
        .set_data_page_offset(if first.is_dictionary { first_bytes } else { 0 })
        .set_dictionary_page_offset(dictionary)
        .build()?;
    let pages = SerializedPageReader::new(Arc::new(bytes), &metadata, row_count as usize, None)?;
    let mut reader = get_typed_column_reader::<ByteArrayType>(get_column_reader(column, Box::new(pages)));
    let mut bits = RowBits::new(row_count);
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let mut row = 0;
    while row < row_count {
        values.clear();
        levels.clear();
        let (records, _, _) = reader.read_records(BATCH_ROWS, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Ok(None);
        }
        let mut values = values.iter();
        for level in &levels {
            if *level > 0 && values.next().is_some_and(|value| value.as_utf8().is_ok_and(is_match)) {
                if row >= row_count {
                    return Ok(None);
                }
                bits.insert(row);
            }
            row += 1;
        }
    }
    Ok(Some(bits.into_rows()))
}
