//! The row group that is open: all its columns are written side by side, into memory.
//!
//! The library's own writer of a row group takes one column after the other, and would need all rows in full before the first. Here each column has a
//! writer and a place for its pages, which are compressed; when the group is full they are put one behind the other.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::column::page::{CompressedPage, PageWriteSpec, PageWriter};
use parquet::column::writer::{ColumnWriter, get_column_writer, get_typed_column_writer_mut};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use parquet::schema::types::SchemaDescriptor;

use super::schema::{JSON_COUNT, TEXT_COUNT};
use super::{EXPORT_GROUP_BYTES, EXPORT_GROUP_ROWS, ExportFileError, ExportRow};

/// Rows and bytes of text that are handed to the writers at once: few enough that a page, which is looked at once for each, ends near its size.
const BATCH_ROWS: usize = 1_024;
const BATCH_BYTES: usize = 1024 * 1024;

/// An open row group.
pub(super) struct Group {
    columns: Vec<OpenColumn>,
    row_count: usize,
    batch: Batch,
}

/// A column whose pages lie in memory.
struct OpenColumn {
    writer: ColumnWriter<'static>,
    pages: Pages,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").field("row_count", &self.row_count).finish_non_exhaustive()
    }
}

impl Group {
    pub(super) fn new(schema: &SchemaDescriptor, properties: &WriterPropertiesPtr) -> Group {
        let columns = schema.columns().iter().map(|column| {
            let pages = Pages::default();
            let sink = Box::new(PageSink { pages: TrackedWrite::new(pages.clone()) });
            let writer = get_column_writer(Arc::clone(column), Arc::clone(properties), sink);
            OpenColumn { writer, pages }
        });
        Group { columns: columns.collect(), row_count: 0, batch: Batch::default() }
    }

    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    /// Adds a row and says whether the group is full.
    pub(super) fn push(&mut self, row: &ExportRow<'_>) -> Result<bool, ExportFileError> {
        self.batch.push(row)?;
        self.row_count += 1;
        if self.batch.row_count() < BATCH_ROWS && self.batch.bytes < BATCH_BYTES {
            return Ok(self.row_count >= EXPORT_GROUP_ROWS);
        }
        self.write_batch()?;
        let stored: usize = self.columns.iter().map(|column| column.pages.lock().len()).sum();
        Ok(self.row_count >= EXPORT_GROUP_ROWS || stored >= EXPORT_GROUP_BYTES)
    }

    /// Writes the group behind those that the file has.
    pub(super) fn append_to(
        mut self,
        file: &mut SerializedFileWriter<Vec<u8>>,
    ) -> Result<(), ExportFileError> {
        self.write_batch()?;
        let mut group = file.next_row_group()?;
        for OpenColumn { writer, pages } in self.columns {
            let closed = writer.close()?;
            let pages = Bytes::from(mem::take(&mut *pages.lock()));
            group.append_column(&pages, closed)?;
        }
        group.close()?;
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), ParquetError> {
        let Batch { seqs, times, received, ids, statuses, source_seqs, are_deleted, texts, json, bytes } =
            &mut self.batch;
        let mut columns = self.columns.iter_mut();
        // In the order of the schema.
        seqs.write::<Int64Type>(next(&mut columns)?)?;
        times.write::<Int64Type>(next(&mut columns)?)?;
        received.write::<Int64Type>(next(&mut columns)?)?;
        ids.write::<FixedLenByteArrayType>(next(&mut columns)?)?;
        statuses.write::<Int32Type>(next(&mut columns)?)?;
        source_seqs.write::<Int64Type>(next(&mut columns)?)?;
        are_deleted.write::<BoolType>(next(&mut columns)?)?;
        for column in texts {
            column.write(next(&mut columns)?)?;
        }
        for column in json {
            column.write(next(&mut columns)?)?;
        }
        *bytes = 0;
        Ok(())
    }
}

fn next<'c>(
    columns: &mut impl Iterator<Item = &'c mut OpenColumn>,
) -> Result<&'c mut ColumnWriter<'static>, ParquetError> {
    let column =
        columns.next().ok_or_else(|| ParquetError::General("the schema has too few columns".into()))?;
    Ok(&mut column.writer)
}

/// Rows that were not handed to the writers yet, by column.
#[derive(Default)]
struct Batch {
    seqs: Values<i64>,
    times: Values<i64>,
    received: Values<i64>,
    ids: Values<FixedLenByteArray>,
    statuses: Values<i32>,
    source_seqs: Values<i64>,
    are_deleted: Values<bool>,
    texts: [Texts; TEXT_COUNT],
    json: [Texts; JSON_COUNT],
    /// Bytes of all texts.
    bytes: usize,
}

impl Batch {
    fn row_count(&self) -> usize {
        self.seqs.values.len()
    }

    fn push(&mut self, row: &ExportRow<'_>) -> Result<(), ExportFileError> {
        self.seqs.push(i64::try_from(row.seq).map_err(|_| ExportFileError::Seq { seq: row.seq })?);
        self.times.push(row.time_us);
        self.received.push(row.received_us);
        self.ids.push(FixedLenByteArray::from(ByteArray::from(row.id.as_bytes().to_vec())));
        self.statuses.push_optional((row.status_code > 0).then(|| i32::from(row.status_code)));
        self.source_seqs.push_optional(row.source_seq.and_then(|seq| i64::try_from(seq).ok()));
        self.are_deleted.push(row.is_deleted);
        for (column, text) in self.texts.iter_mut().zip(texts(row)) {
            column.push_optional(text);
            self.bytes += text.len();
        }
        for (column, text) in self.json.iter_mut().zip([row.diff, row.additional_fields, row.event]) {
            column.push(text);
            self.bytes += text.len();
        }
        Ok(())
    }
}

/// The texts that may be NULL, in the order of the schema.
fn texts<'a>(row: &ExportRow<'a>) -> [&'a str; TEXT_COUNT] {
    [
        row.action,
        row.resource_type,
        row.resource_id,
        row.resource_target,
        row.outcome,
        row.actor_type,
        row.user_id,
        row.username,
        row.email,
        row.organization_id,
        row.organization,
        row.ip,
        row.user_agent,
        row.build_reason,
        row.request_id,
        row.source,
        row.description,
    ]
}

/// Values of a column and, for one that may be NULL, whether each row has one.
#[derive(Default)]
struct Values<T> {
    values: Vec<T>,
    levels: Vec<i16>,
}

impl<T> Values<T> {
    fn push(&mut self, value: T) {
        self.values.push(value);
    }

    fn push_optional(&mut self, value: Option<T>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    fn write<K: DataType<T = T>>(&mut self, writer: &mut ColumnWriter<'static>) -> Result<(), ParquetError> {
        let levels = (!self.levels.is_empty()).then_some(self.levels.as_slice());
        get_typed_column_writer_mut::<K>(writer).write_batch(&self.values, levels, None)?;
        self.values.clear();
        self.levels.clear();
        Ok(())
    }
}

/// Texts of a column, in one piece of memory.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    levels: Vec<i16>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(self.bytes.len());
    }

    fn push_optional(&mut self, text: &str) {
        self.levels.push(i16::from(!text.is_empty()));
        if !text.is_empty() {
            self.push(text);
        }
    }

    fn write(&mut self, writer: &mut ColumnWriter<'static>) -> Result<(), ParquetError> {
        let bytes = ByteArray::from(mem::take(&mut self.bytes));
        let mut from = 0;
        let values = self.ends.drain(..).map(|end| {
            let value = bytes.slice(from, end - from);
            from = end;
            value
        });
        let mut column = Values { values: values.collect(), levels: mem::take(&mut self.levels) };
        column.write::<ByteArrayType>(writer)
    }
}

/// The finished pages of a column, in memory. The lock is held while a page is added and while they are taken, by the thread that exports; it is
/// there because the writer of a column must be able to go from thread to thread.
#[derive(Clone, Default)]
struct Pages(Arc<Mutex<Vec<u8>>>);

impl Pages {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes pages as the library does, which has a writer of pages only for a sink that it borrows.
struct PageSink {
    pages: TrackedWrite<Pages>,
}

impl PageWriter for PageSink {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        SerializedPageWriter::new(&mut self.pages).write_page(page)
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        SerializedPageWriter::new(&mut self.pages).close()
    }
}
