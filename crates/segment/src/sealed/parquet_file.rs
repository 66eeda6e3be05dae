//! Writes the Parquet columns of a segment.

use std::net::Ipv6Addr;
use std::ops::Range;
use std::sync::Arc;

use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::columns::{self, BODY, ENVELOPE, ID, PageHeader, TEXT_COLUMNS, page_header};
use super::pages::StoredPage;
use super::writer::{IP_COLUMN, Rows, Texts};
use super::{EVENT_PAGE_ROWS, SegmentWriteError};

/// Rows handed to a column's writer at once.
const BATCH_ROWS: usize = 4_096;

/// A file whose rows are written and whose footer is not.
pub(super) struct OpenFile {
    writer: SerializedFileWriter<Vec<u8>>,
}

/// Writes all rows in the order given.
pub(super) fn write(mut rows: Rows, order: &[u32]) -> Result<OpenFile, SegmentWriteError> {
    rows.bodies.close();
    rows.envelopes.close();
    let properties = Arc::new(columns::properties()?);
    let mut writer = SerializedFileWriter::new(Vec::new(), columns::schema()?, properties)?;
    let mut group = writer.next_row_group()?;
    let in_order =
        |values: &[i64]| order.iter().map(|arrival| values[*arrival as usize]).collect::<Vec<i64>>();
    let first_seq =
        i64::try_from(rows.first_seq).map_err(|_| ParquetError::General("a seq beyond 2^63".into()))?;
    let seqs: Vec<i64> = order.iter().map(|arrival| first_seq + i64::from(*arrival)).collect();
    required::<Int64Type>(&mut group, &seqs)?;
    required::<Int64Type>(&mut group, &in_order(&rows.times))?;
    required::<Int64Type>(&mut group, &in_order(&rows.received))?;
    let ids: Vec<FixedLenByteArray> = ids(&rows, order);
    required::<FixedLenByteArrayType>(&mut group, &ids)?;
    drop(ids);
    for (at, column) in rows.texts.iter_mut().enumerate().take(TEXT_COLUMNS.len()) {
        if at == IP_COLUMN {
            let addresses =
                rows.addresses.values.iter().map(|address| {
                    ByteArray::from(Ipv6Addr::from(*address).to_canonical().to_string().as_str())
                });
            optional::<ByteArrayType>(
                &mut group,
                &addresses.collect::<Vec<_>>(),
                &rows.addresses.rows,
                order,
            )?;
        } else {
            let values: Vec<ByteArray> =
                column.values.iter().map(|text| ByteArray::from(text.as_ref())).collect();
            optional::<ByteArrayType>(&mut group, &values, &column.rows, order)?;
        }
        *column = super::intern::Column::default();
    }
    let statuses: Vec<i32> =
        rows.statuses.values.iter().map(|status| i32::from(u16::from_be_bytes(*status))).collect();
    optional::<Int32Type>(&mut group, &statuses, &rows.statuses.rows, order)?;
    events(&mut group, &rows.bodies, order)?;
    events(&mut group, &rows.envelopes, order)?;
    group.close()?;
    writer.flush().map_err(ParquetError::from)?;
    Ok(OpenFile { writer })
}

/// The ids as slices of one piece of memory.
fn ids(rows: &Rows, order: &[u32]) -> Vec<FixedLenByteArray> {
    let bytes: Vec<u8> = order.iter().flat_map(|arrival| rows.ids[*arrival as usize].into_bytes()).collect();
    let bytes = ByteArray::from(bytes);
    (0..order.len()).map(|row| FixedLenByteArray::from(bytes.slice(row * 16, 16))).collect()
}

type Group<'w> = SerializedRowGroupWriter<'w, Vec<u8>>;

fn required<T: DataType>(group: &mut Group<'_>, values: &[T::T]) -> Result<(), ParquetError> {
    column::<T>(group, &mut |write| write(values, None).map(|_| ()))
}

/// Writes values by their numbers; number 0 is null.
fn optional<T: DataType>(
    group: &mut Group<'_>,
    values: &[T::T],
    numbers: &[u32],
    order: &[u32],
) -> Result<(), ParquetError> {
    column::<T>(group, &mut |write| {
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        let mut levels = Vec::with_capacity(BATCH_ROWS);
        for rows in order.chunks(BATCH_ROWS) {
            batch.clear();
            levels.clear();
            for arrival in rows {
                let value =
                    (numbers[*arrival as usize] as usize).checked_sub(1).and_then(|index| values.get(index));
                levels.push(i16::from(value.is_some()));
                batch.extend(value.cloned());
            }
            write(&batch, Some(&levels))?;
        }
        Ok(())
    })
}

/// Writes bodies or envelopes, a page at a time.
fn events(group: &mut Group<'_>, texts: &Texts, order: &[u32]) -> Result<(), ParquetError> {
    column::<ByteArrayType>(group, &mut |write| {
        for rows in order.chunks(EVENT_PAGE_ROWS as usize) {
            let page: Vec<ByteArray> = rows.iter().map(|arrival| texts.get(*arrival)).collect();
            write(&page, None)?;
        }
        Ok(())
    })
}

/// What writes values and, for a column that can be null, whether each row has one.
type WriteBatch<'w, T> = dyn FnMut(&[T], Option<&[i16]>) -> Result<(), ParquetError> + 'w;

/// What hands all values of a column to its argument.
type Fill<'f, T> = dyn FnMut(&mut WriteBatch<'_, T>) -> Result<(), ParquetError> + 'f;

fn column<T: DataType>(group: &mut Group<'_>, fill: &mut Fill<'_, T::T>) -> Result<(), ParquetError> {
    let mut column =
        group.next_column()?.ok_or_else(|| ParquetError::General("the schema has too few columns".into()))?;
    let typed = column.typed::<T>();
    fill(&mut |values, levels| typed.write_batch(values, levels, None).map(|_| ()))?;
    column.close()
}

impl OpenFile {
    /// What is written so far.
    pub(super) fn bytes(&self) -> &[u8] {
        self.writer.inner()
    }

    /// Where a column lies.
    pub(super) fn column_range(&self, column: usize) -> Range<usize> {
        let group = self.writer.flushed_row_groups().first();
        let (start, bytes) = group.map_or((0, 0), |group| group.column(column).byte_range());
        let place = |number: u64| usize::try_from(number).expect("a place in a file in memory");
        place(start)..place(start + bytes)
    }

    /// The pages of the bodies or of the envelopes.
    pub(super) fn event_pages(&self, column: usize) -> Vec<StoredPage> {
        debug_assert!(column == BODY || column == ENVELOPE);
        let Range { start: mut at, end } = self.column_range(column);
        let mut pages = Vec::new();
        while let Some(header) =
            self.bytes().get(at..end).filter(|rest| !rest.is_empty()).and_then(page_header)
        {
            let next = at + page_bytes(&header);
            let crc = crc32fast::hash(&self.bytes()[at..next]);
            pages.push(StoredPage { range: at as u64..next as u64, crc });
            at = next;
        }
        pages
    }

    /// Where the ids stand one behind the other.
    pub(super) fn ids_range(&self) -> Range<usize> {
        let column = self.column_range(ID);
        let header = page_header(&self.bytes()[column.clone()]).map_or(0, |header| header.header_bytes);
        column.start + header..column.end
    }

    /// Writes the index behind the rows and returns its place.
    pub(super) fn push_index(&mut self, index: &[u8]) -> Result<u64, SegmentWriteError> {
        let at = self.writer.bytes_written() as u64;
        self.writer.write_all(index).map_err(ParquetError::from)?;
        Ok(at)
    }

    /// Writes the footer with an entry that leads to the index.
    pub(super) fn finish(mut self, key: &str, value: String) -> Result<Vec<u8>, SegmentWriteError> {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        Ok(self.writer.into_inner()?)
    }
}

fn page_bytes(header: &PageHeader) -> usize {
    header.header_bytes + header.stored_bytes
}
