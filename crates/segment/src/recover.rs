//! Reading the events of a segment as any Parquet reader would, when our index cannot be used.

use bytes::Bytes;
use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, FixedLenByteArrayType, Int64Type};
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
    read(file, each).map_err(|error| SegmentError::Damaged { what: format!("Parquet: {error}") })
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

fn read(file: Bytes, each: &mut dyn FnMut(RecoveredEvent<'_>)) -> Result<(), ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let group = reader.get_row_group(0)?;
    let seqs = column::<Int64Type>(&*group, "seq", Type::INT64)?;
    let times = column::<Int64Type>(&*group, "time", Type::INT64)?;
    let ids = column::<FixedLenByteArrayType>(&*group, "id", Type::FIXED_LEN_BYTE_ARRAY)?;
    let bodies = column::<ByteArrayType>(&*group, "body", Type::BYTE_ARRAY)?;
    let envelopes = column::<ByteArrayType>(&*group, "envelope", Type::BYTE_ARRAY)?;
    let wrong = |what: &str| ParquetError::General(what.to_owned());
    for row in 0..seqs.len() {
        let id: &ByteArray = &ids[row];
        each(RecoveredEvent {
            seq: u64::try_from(seqs[row]).map_err(|_| wrong("a seq is negative"))?,
            time_us: times[row],
            id: id.data().try_into().map_err(|_| wrong("an id has not 16 bytes"))?,
            body: bodies[row].as_utf8()?,
            envelope: envelopes[row].data(),
        });
    }
    Ok(())
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
