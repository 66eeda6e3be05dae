//! The Parquet side of a segment: its schema, how each column is stored, and what the writer's headers say.

use std::sync::Arc;

use parquet::basic::{
    Compression, ConvertedType, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type, TypePtr};

use super::EVENT_PAGE_ROWS;

/// Columns by their number in the file: after seq, time and received comes the id, then the texts of [`TEXT_COLUMNS`].
pub(super) const ID: usize = 3;
const FIRST_TEXT: usize = 4;
pub(super) const RESOURCE_ID: usize = FIRST_TEXT + 1;
pub(super) const STATUS_CODE: usize = FIRST_TEXT + TEXT_COLUMNS.len();
pub(super) const BODY: usize = STATUS_CODE + 1;
pub(super) const ENVELOPE: usize = STATUS_CODE + 2;
pub(super) const COLUMN_COUNT: usize = STATUS_CODE + 3;

/// Columns of texts, null where the event lacks the key.
pub(super) const TEXT_COLUMNS: [&str; 15] = [
    "resource_type",
    "resource_id",
    "resource_target",
    "action",
    "actor_type",
    "user_id",
    "username",
    "email",
    "organization_id",
    "organization",
    "ip",
    "user_agent",
    "build_reason",
    "source",
    "outcome",
];

/// Bytes of a text column's dictionary at most; beyond it values are stored in full, which costs resource ids twice as much.
const DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// Balance of size and CPU: level 6 saves 4 % of the file for two and a half times the CPU.
const ZSTD_LEVEL: i32 = 3;

/// The schema. Texts say that they are texts, and the body does not say that it is JSON: some engines parse a column marked so
/// and lose its exact bytes.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    let text = Some(LogicalType::String);
    let time = Some(LogicalType::timestamp(true, TimeUnit::MICROS));
    let mut fields = vec![
        field("seq", Physical::INT64, None, Repetition::REQUIRED)?,
        field("time", Physical::INT64, time.clone(), Repetition::REQUIRED)?,
        field("received", Physical::INT64, time, Repetition::REQUIRED)?,
        field("id", Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), Repetition::REQUIRED)?,
    ];
    for name in TEXT_COLUMNS {
        fields.push(field(name, Physical::BYTE_ARRAY, text.clone(), Repetition::OPTIONAL)?);
    }
    fields.push(field("status_code", Physical::INT32, None, Repetition::OPTIONAL)?);
    fields.push(field("body", Physical::BYTE_ARRAY, text, Repetition::REQUIRED)?);
    fields.push(field("envelope", Physical::BYTE_ARRAY, None, Repetition::REQUIRED)?);
    Ok(Arc::new(Type::group_type_builder("event").with_fields(fields).build()?))
}

fn field(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
    repetition: Repetition,
) -> Result<TypePtr, ParquetError> {
    let builder = Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_converted_type(ConvertedType::NONE)
        .with_length(if physical == Physical::FIXED_LEN_BYTE_ARRAY { 16 } else { -1 })
        .with_logical_type(logical);
    Ok(Arc::new(builder.build()?))
}

pub(super) fn descriptor() -> Result<SchemaDescriptor, ParquetError> {
    Ok(SchemaDescriptor::new(schema()?))
}

/// How the columns are stored. Nothing here may depend on the version of a library: the same rows give the same bytes.
pub(super) fn properties() -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by("annals".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_data_page_row_count_limit(usize::MAX)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX);
    for name in ["seq", "time", "received"] {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["id", "body", "envelope"] {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::PLAIN)
            .set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None)
            .set_column_data_page_size_limit(ColumnPath::from(name), usize::MAX);
    }
    for name in ["body", "envelope"] {
        builder =
            builder.set_column_data_page_row_count_limit(ColumnPath::from(name), EVENT_PAGE_ROWS as usize);
    }
    // One page without compression, so that the id of a row lies at a place that can be computed.
    builder = builder.set_column_compression(ColumnPath::from("id"), Compression::UNCOMPRESSED);
    Ok(builder.build())
}

/// The header of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) header_bytes: usize,
    /// What follows the header.
    pub(super) stored_bytes: usize,
    /// What it becomes.
    pub(super) plain_bytes: usize,
    pub(super) is_dictionary: bool,
    /// Values of a data page.
    pub(super) value_count: u32,
}

/// Reads a page header, a struct in Thrift's compact protocol of which all numbers are 32-bit integers.
pub(super) fn page_header(bytes: &[u8]) -> Option<PageHeader> {
    let mut thrift = Thrift { bytes, at: 0 };
    let mut header =
        PageHeader { header_bytes: 0, stored_bytes: 0, plain_bytes: 0, is_dictionary: false, value_count: 0 };
    let mut field = 0;
    while let Some(kind) = thrift.field(&mut field)? {
        match (field, kind) {
            (1, Thrift::INT) => header.is_dictionary = thrift.int()? == 2,
            (2, Thrift::INT) => header.plain_bytes = usize::try_from(thrift.int()?).ok()?,
            (3, Thrift::INT) => header.stored_bytes = usize::try_from(thrift.int()?).ok()?,
            (4, Thrift::INT) => _ = thrift.int()?,
            (5 | 7, Thrift::STRUCT) => {
                let mut inner = 0;
                while let Some(kind) = thrift.field(&mut inner)? {
                    match (inner, kind) {
                        (1, Thrift::INT) => header.value_count = u32::try_from(thrift.int()?).ok()?,
                        (_, Thrift::INT) => _ = thrift.int()?,
                        (_, Thrift::TRUE | Thrift::FALSE) => {}
                        // Statistics; we write none.
                        _ => return None,
                    }
                }
            }
            _ => return None,
        }
    }
    header.header_bytes = thrift.at;
    Some(header)
}

struct Thrift<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Thrift<'_> {
    const TRUE: u8 = 1;
    const FALSE: u8 = 2;
    const INT: u8 = 5;
    const STRUCT: u8 = 12;

    /// The kind of the next field, whose number goes to `field`; nothing at the end of the struct.
    fn field(&mut self, field: &mut u8) -> Option<Option<u8>> {
        let head = *self.bytes.get(self.at)?;
        self.at += 1;
        if head == 0 {
            return Some(None);
        }
        // A step of 0 means that the number follows in full, which these structs never need.
        *field = field.checked_add(head >> 4).filter(|_| head >> 4 != 0)?;
        Some(Some(head & 0x0F))
    }

    /// A zigzag number.
    fn int(&mut self) -> Option<i32> {
        let number = super::bytes::varint(self.bytes, &mut self.at)?;
        Some((number >> 1) as i32 ^ -((number & 1) as i32))
    }
}
