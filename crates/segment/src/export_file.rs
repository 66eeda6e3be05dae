//! Exported events as one Parquet file that is made while it is sent.
//!
//! The file is for other engines alone: it has no index of ours, and we do not read it. What is finished can be taken away at any time, so that
//! memory holds one row group, however many events come. Without its footer, which comes last, a file cannot be read: a part is never taken for
//! the whole.

mod group;
mod schema;

use std::mem;
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use uuid::Uuid;

use group::Group;

pub use schema::EXPORT_COLUMNS;

/// Rows of a row group at most: about the size that DuckDB gives its own. The footer, which is kept until the end, grows by 27 columns a group: 3 kB in the
/// file, and some 15 kB in memory, which is 16 MB at a hundred million events of the usual size, whose groups end by bytes.
pub const EXPORT_GROUP_ROWS: usize = 131_072;
/// Compressed bytes after which a row group ends. Dictionaries, at most 1 MiB each of some twenty columns, and the pages that wait for them come on
/// top: measured are 70 MB for an export in all.
pub const EXPORT_GROUP_BYTES: usize = 16 * 1024 * 1024;

/// One event of an exported file. An empty text is written as NULL, besides the three that are JSON.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the names are those of the columns; docs/API.md describes them")]
pub struct ExportRow<'a> {
    pub seq: u64,
    /// Microseconds since 1970.
    pub time_us: i64,
    /// Microseconds since 1970.
    pub received_us: i64,
    pub id: Uuid,
    pub action: &'a str,
    pub resource_type: &'a str,
    pub resource_id: &'a str,
    pub resource_target: &'a str,
    pub outcome: &'a str,
    /// Zero is written as NULL.
    pub status_code: u16,
    pub actor_type: &'a str,
    pub user_id: &'a str,
    pub username: &'a str,
    pub email: &'a str,
    pub organization_id: &'a str,
    pub organization: &'a str,
    pub ip: &'a str,
    pub user_agent: &'a str,
    pub build_reason: &'a str,
    pub request_id: &'a str,
    pub source: &'a str,
    /// NULL where it is no number of 63 bits, the largest that the column holds.
    pub source_seq: Option<u64>,
    pub is_deleted: bool,
    pub description: &'a str,
    /// JSON.
    pub diff: &'a str,
    /// JSON.
    pub additional_fields: &'a str,
    /// The whole event, JSON.
    pub event: &'a str,
}

/// Why a file cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportFileError {
    /// The Parquet writer refused.
    #[error("the Parquet file cannot be written")]
    Parquet(#[from] ParquetError),
    /// The column holds numbers of 63 bits.
    #[error("seq {seq} is too large for a Parquet file")]
    Seq {
        /// Position in the log.
        seq: u64,
    },
}

/// Makes the file. Columns are encoded and compressed as rows come; a row group goes out when it is full.
#[derive(Debug)]
pub struct ParquetExport {
    file: SerializedFileWriter<Vec<u8>>,
    properties: WriterPropertiesPtr,
    group: Group,
}

impl ParquetExport {
    /// A file without rows.
    ///
    /// # Errors
    /// [`ExportFileError`]
    pub fn new() -> Result<ParquetExport, ExportFileError> {
        let properties = Arc::new(schema::properties()?);
        let file = SerializedFileWriter::new(Vec::new(), schema::schema()?, Arc::clone(&properties))?;
        let group = Group::new(file.schema_descr(), &properties);
        Ok(ParquetExport { file, properties, group })
    }

    /// Adds an event.
    ///
    /// # Errors
    /// [`ExportFileError`]; the file is lost then, unless it is only the seq.
    pub fn push(&mut self, row: &ExportRow<'_>) -> Result<(), ExportFileError> {
        if self.group.push(row)? { self.end_group() } else { Ok(()) }
    }

    /// Takes away the bytes that are finished: none, or whole row groups.
    ///
    /// # Errors
    /// [`ExportFileError`]
    pub fn take_finished(&mut self) -> Result<Vec<u8>, ExportFileError> {
        self.file.flush().map_err(ParquetError::from)?;
        // The writer counts what went through it, and looks at nothing it wrote before.
        Ok(mem::take(self.file.inner_mut()))
    }

    /// Ends the file and returns its last bytes.
    ///
    /// # Errors
    /// [`ExportFileError`]
    pub fn finish(mut self) -> Result<Vec<u8>, ExportFileError> {
        if self.group.row_count() > 0 {
            self.end_group()?;
        }
        Ok(self.file.into_inner()?)
    }

    fn end_group(&mut self) -> Result<(), ExportFileError> {
        let next = Group::new(self.file.schema_descr(), &self.properties);
        mem::replace(&mut self.group, next).append_to(&mut self.file)
    }
}
