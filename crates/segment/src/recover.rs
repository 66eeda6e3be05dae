//! Reading the events of a segment as any Parquet reader would, when our index cannot be used.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};

use crate::SegmentError;

/// One event as it stands in a segment.
#[derive(Debug, Clone, Copy)]
pub struct RecoveredEvent<'e> {
    /// Position in the log.
    pub seq: u64,
    /// Microseconds since 1970.
    pub time_us: i64,
    /// UUID.
    pub id: [u8; 16],
    /// Exact JSON text.
    pub body: &'e str,
    /// What the caller stored beside it.
    pub envelope: &'e [u8],
}

/// Reads every event of a file through its Parquet footer, in the order of its rows. No checksum is looked at: whoever calls
/// compares the events with the root of their tree.
///
/// # Errors
/// [`SegmentError::Damaged`] if the columns of the events cannot be read.
pub fn each_event(file: Bytes, each: &mut dyn FnMut(RecoveredEvent<'_>)) -> Result<(), SegmentError> {
    let damaged = |what: String| SegmentError::Damaged { what: format!("Parquet: {what}") };
    // The library takes some damage for a fault of its own and panics, such as for a page that names a dictionary which is not there.
    let columns = catch_unwind(AssertUnwindSafe(|| Columns::read(file)));
    let columns = columns.map_err(|_| damaged("its pages contradict each other".to_owned()))?;
    columns.and_then(|columns| columns.each(each)).map_err(|error| damaged(error.to_string()))
}

/// Returns every page of every column one behind the other, decompressed, dictionaries too: to see that a text stands nowhere in a
/// file.
///
/// # Errors
/// [`SegmentError::Damaged`] if a page cannot be read.
pub fn decoded_pages(file: Bytes) -> Result<Vec<u8>, SegmentError> {
    let read = || -> Result<Vec<u8>, ParquetError> {
        let reader = SerializedFileReader::new(file)?;
        let group = reader.get_row_group(0)?;
        let mut bytes = Vec::new();
        for column in 0..group.num_columns() {
            for page in group.get_column_page_reader(column)? {
                bytes.extend_from_slice(page?.buffer());
            }
        }
        Ok(bytes)
    };
    read().map_err(|error| SegmentError::Damaged { what: format!("Parquet: {error}") })
}

/// The columns of the events, as long as each other.
struct Columns {
    seqs: Vec<i64>,
    times: Vec<i64>,
    ids: Vec<FixedLenByteArray>,
    bodies: Vec<ByteArray>,
    envelopes: Vec<ByteArray>,
}

impl Columns {
    fn read(file: Bytes) -> Result<Columns, ParquetError> {
        let reader = SerializedFileReader::new(file)?;
        let group = reader.get_row_group(0)?;
        Ok(Columns {
            seqs: column::<Int64Type>(&*group, "seq", Type::INT64)?,
            times: column::<Int64Type>(&*group, "time", Type::INT64)?,
            ids: column::<FixedLenByteArrayType>(&*group, "id", Type::FIXED_LEN_BYTE_ARRAY)?,
            bodies: column::<ByteArrayType>(&*group, "body", Type::BYTE_ARRAY)?,
            envelopes: column::<ByteArrayType>(&*group, "envelope", Type::BYTE_ARRAY)?,
        })
    }

    fn each(&self, each: &mut dyn FnMut(RecoveredEvent<'_>)) -> Result<(), ParquetError> {
        let wrong = |what: &str| ParquetError::General(what.to_owned());
        for row in 0..self.seqs.len() {
            let id: &ByteArray = &self.ids[row];
            each(RecoveredEvent {
                seq: u64::try_from(self.seqs[row]).map_err(|_| wrong("a seq is negative"))?,
                time_us: self.times[row],
                id: id.data().try_into().map_err(|_| wrong("an id has not 16 bytes"))?,
                body: self.bodies[row].as_utf8()?,
                envelope: self.envelopes[row].data(),
            });
        }
        Ok(())
    }
}

/// Reads a column whose every row has a value.
fn column<T: DataType>(
    group: &dyn RowGroupReader,
    name: &str,
    physical: Type,
) -> Result<Vec<T::T>, ParquetError> {
    let rows = usize::try_from(group.metadata().num_rows())?;
    let columns = group.metadata().columns();
    let at = columns.iter().position(|column| column.column_path().string() == name);
    let missing = || ParquetError::General(format!("there is no column `{name}` of its type"));
    let at = at.filter(|at| columns[*at].column_type() == physical).ok_or_else(missing)?;
    let mut reader = get_typed_column_reader::<T>(group.get_column_reader(at)?);
    let mut values = Vec::new();
    while values.len() < rows {
        let (records, _, _) = reader.read_records(rows - values.len(), None, None, &mut values)?;
        if records == 0 {
            return Err(ParquetError::General(format!("column `{name}` ends early")));
        }
    }
    Ok(values)
}
