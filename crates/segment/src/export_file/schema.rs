//! The columns of an exported file, and how they are stored.

use std::sync::Arc;

use parquet::basic::{
    Compression, ConvertedType, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

/// The columns, in this order. Those that segments have too are named and typed as there.
pub const EXPORT_COLUMNS: [&str; 27] = [
    "seq",
    "time",
    "received",
    "id",
    "status_code",
    "source_seq",
    "is_deleted",
    "action",
    "resource_type",
    "resource_id",
    "resource_target",
    "outcome",
    "actor_type",
    "user_id",
    "username",
    "email",
    "organization_id",
    "organization",
    "ip",
    "user_agent",
    "build_reason",
    "request_id",
    "source",
    "description",
    "diff",
    "additional_fields",
    "event",
];
/// The first column of texts that may be NULL, and how many there are.
pub(super) const FIRST_TEXT: usize = 7;
pub(super) const TEXT_COUNT: usize = 17;
/// The last columns are JSON and never NULL.
pub(super) const JSON_COUNT: usize = 3;

/// Of the events of the benchmarks level 3 makes files that are 5 % larger, at a sixth fewer events a second.
const ZSTD_LEVEL: i32 = 1;

/// The schema. JSON is declared as a text, for the reason that segments have: some engines parse a column marked as JSON and lose its exact bytes.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    let fields = EXPORT_COLUMNS.into_iter().enumerate().map(|(at, name)| field(at, name));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Type::group_type_builder("event").with_fields(fields).build()?))
}

fn field(at: usize, name: &str) -> Result<TypePtr, ParquetError> {
    let text = Some(LogicalType::String);
    let time = Some(LogicalType::timestamp(true, TimeUnit::MICROS));
    let (physical, logical, repetition) = match name {
        "seq" => (Physical::INT64, None, Repetition::REQUIRED),
        "time" | "received" => (Physical::INT64, time, Repetition::REQUIRED),
        "id" => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), Repetition::REQUIRED),
        "status_code" => (Physical::INT32, None, Repetition::OPTIONAL),
        "source_seq" => (Physical::INT64, None, Repetition::OPTIONAL),
        "is_deleted" => (Physical::BOOLEAN, None, Repetition::REQUIRED),
        _ if at < FIRST_TEXT + TEXT_COUNT => (Physical::BYTE_ARRAY, text, Repetition::OPTIONAL),
        _ => (Physical::BYTE_ARRAY, text, Repetition::REQUIRED),
    };
    let builder = Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_converted_type(ConvertedType::NONE)
        .with_length(if physical == Physical::FIXED_LEN_BYTE_ARRAY { 16 } else { -1 })
        .with_logical_type(logical);
    Ok(Arc::new(builder.build()?))
}

/// How the columns are stored.
pub(super) fn properties() -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by("annals".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // Places of pages would be kept in memory until the end of the file.
        .set_offset_index_disabled(true);
    for name in ["seq", "time", "received", "source_seq"] {
        builder = builder
            .set_column_dictionary_enabled(ColumnPath::from(name), false)
            .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["id", "request_id", "event"] {
        // Hardly a value comes twice.
        builder = builder.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    for name in ["id", "request_id", "user_agent", "description", "diff", "additional_fields", "event"] {
        builder = builder.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
    }
    Ok(builder.build())
}
