//! Taking matching events out of the log, all of them, by rising seq.
//!
//! An export is recorded before its first byte, whoever asks and wherever they work: it takes events to where the log no longer says
//! who reads them.

mod csv;
mod deletions;
mod parquet;

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use annals_model::audit_log::{AuditLog, StoredEvent};
use annals_model::formats::EventFormat;
use serde_json::json;

use crate::Engine;
use crate::error::EngineError;
use crate::follow::check_is_in;
use crate::ingest::IngestError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::reads::{AUDIT_LOG, target_of};
use crate::search::{Readable, SearchError};
use crate::walk::{self, Walk};
pub(crate) use deletions::Deletions;
use parquet::ParquetFile;

pub use csv::CSV_COLUMNS;

/// Bytes after which a batch of an export ends: a few writes to a socket, and little to hold for each of several exports.
const BATCH_BYTES: usize = 256 * 1024;

/// The form of exported events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// One line an event: [`EventFormat::Native`] is `ndjson`.
    Lines(EventFormat),
    /// Comma-separated values, RFC 4180, see [`CSV_COLUMNS`].
    Csv,
    /// One Parquet file with a column for each part of an event, see [`EXPORT_COLUMNS`](annals_segment::EXPORT_COLUMNS).
    Parquet,
}

impl ExportFormat {
    /// As the API shows events, one a line.
    pub const NDJSON: ExportFormat = ExportFormat::Lines(EventFormat::Native);

    /// Every form.
    pub fn all() -> impl Iterator<Item = ExportFormat> {
        let lines = EventFormat::ALL.into_iter().map(ExportFormat::Lines);
        [ExportFormat::NDJSON, ExportFormat::Csv, ExportFormat::Parquet].into_iter().chain(lines.skip(1))
    }

    /// The names of all forms, as a message lists them; `last` is the word before the last one.
    pub fn names(last: &str) -> String {
        let names: Vec<String> = ExportFormat::all().map(|format| format!("`{format}`")).collect();
        let (end, others) = names.split_last().expect("there are forms");
        format!("{} {last} {end}", others.join(", "))
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            ExportFormat::Lines(EventFormat::Native) => "ndjson",
            ExportFormat::Lines(format) => format.name(),
            ExportFormat::Csv => "csv",
            ExportFormat::Parquet => "parquet",
        }
    }

    /// The ending of a file.
    pub const fn ending(self) -> &'static str {
        match self {
            ExportFormat::Lines(format) if format.is_json() => "ndjson",
            ExportFormat::Lines(_) => "log",
            ExportFormat::Csv => "csv",
            ExportFormat::Parquet => "parquet",
        }
    }

    /// A file holds one event behind the other, so that it can be cut behind any of them and gone on with. Otherwise it is whole or of no use.
    pub const fn has_records(self) -> bool {
        !matches!(self, ExportFormat::Parquet)
    }
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a format; there are {}", ExportFormat::names("and"))]
pub struct ExportFormatError;

impl FromStr for ExportFormat {
    type Err = ExportFormatError;

    fn from_str(text: &str) -> Result<ExportFormat, ExportFormatError> {
        ExportFormat::all().find(|format| format.name() == text).ok_or(ExportFormatError)
    }
}

/// What to export.
#[derive(Debug, Clone, Copy)]
pub struct ExportRequest<'q> {
    /// The query text.
    pub query: &'q str,
    /// Go on behind this seq; from the first event on if absent.
    pub after_seq: Option<u64>,
    /// The form.
    pub format: ExportFormat,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The query cannot be answered.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The export could not be recorded, so it does not take place.
    #[error("the export could not be recorded in the log, so it did not begin: {0}")]
    Record(#[source] IngestError),
}

impl From<EngineError> for ExportError {
    fn from(error: EngineError) -> ExportError {
        ExportError::Search(error.into())
    }
}

/// An export that was recorded; its events are still to come, see [`Engine::export_batch`].
#[derive(Debug)]
pub struct Export {
    count: u64,
    last_seq: Option<u64>,
    format: ExportFormat,
    walk: Walk,
    /// A line of column names is to come.
    wants_head: bool,
    /// The file, where the form is one.
    file: Option<ParquetFile>,
    deletions: Deletions,
}

impl Export {
    /// How many events come, exactly.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The last event of the log when the export began: it ends there, and a later one goes on behind it. None in an empty log.
    pub fn last_seq(&self) -> Option<u64> {
        self.last_seq
    }

    /// The form of its events.
    pub fn format(&self) -> ExportFormat {
        self.format
    }

    fn is_done(&self) -> bool {
        self.walk.is_done() && self.file.as_ref().is_none_or(ParquetFile::is_done)
    }

    /// Lines of column names to come before the events: one for CSV that begins at the first event, so that parts of an export can
    /// be put together.
    pub fn has_head(&self) -> bool {
        self.wants_head
    }
}

impl Engine {
    /// Begins an export: counts the matching events up to the end of the log as it is now, and records who exports what. It is
    /// recorded for everyone, the operator too.
    ///
    /// # Errors
    /// [`ExportError`] if the caller may not read, the query has errors, the log does not go so far, it failed, or the export
    /// cannot be recorded.
    pub fn export(&self, principal: &Principal, request: &ExportRequest<'_>) -> Result<Export, ExportError> {
        let ExportRequest { query, after_seq, format } = *request;
        let Readable { filter, .. } = self.readable_filter(principal, query)?;
        let parts = self.log.refresh()?;
        let size = parts.next_seq();
        let from = match after_seq {
            Some(after_seq) => check_is_in(after_seq, size)? + 1,
            None => 0,
        };
        let seqs = from..size;
        let count = walk::count(&parts, &filter, &seqs)?;
        drop(parts);

        let file = (format == ExportFormat::Parquet).then(ParquetFile::new).transpose()?;
        let after = json!({"query": query.trim(), "format": format.name(), "event_count": count});
        let mut event = OwnEvent::new("export", AUDIT_LOG, &target_of(query)).after(after);
        if let Some(after_seq) = after_seq {
            event = event.additional("after_seq", after_seq);
        }
        self.record_first(principal, event).map_err(ExportError::Record)?;
        Ok(Export {
            count,
            last_seq: size.checked_sub(1),
            format,
            walk: Walk::new(filter, seqs),
            wants_head: format == ExportFormat::Csv && after_seq.is_none(),
            file,
            deletions: Deletions::for_events(self, count)?,
        })
    }

    /// Appends the next events to `out`, whole lines, and says whether there may be more. Where it failed, what was appended
    /// before is whole too. Of a Parquet file it appends the next bytes, none while a row group is being filled.
    ///
    /// # Errors
    /// [`EngineError`] if the log failed; trying again goes on behind the last event.
    pub fn export_batch(&self, export: &mut Export, out: &mut Vec<u8>) -> Result<bool, EngineError> {
        let begin = out.len();
        // A row group is larger than a batch: it goes out before the next one is begun.
        if export.file.as_mut().is_some_and(|file| file.hand_out(out, BATCH_BYTES)) {
            return Ok(!export.is_done());
        }
        if std::mem::take(&mut export.wants_head) {
            csv::push_head(out);
        }
        let registry = self.registry.current().registry;
        let Export { walk, deletions, format, file, .. } = export;
        walk.go(self, &mut |seq, record| {
            let stored = StoredEvent::read(record)?;
            let is_deleted =
                self.is_deleted(&registry, &stored, seq, |kind, id| deletions.deleted_at(self, kind, id))?;
            let added = self.added_to(&registry, &stored, seq, is_deleted);
            let event = AuditLog::new(&stored, added)?;
            let goes_on = match (&mut *file, &*format) {
                (Some(file), _) => file.push(&stored, &event)?,
                (None, ExportFormat::Lines(format)) => {
                    format.push(out, &event);
                    out.push(b'\n');
                    out.len() - begin < BATCH_BYTES
                }
                (None, _) => {
                    csv::push_row(out, &event);
                    out.len() - begin < BATCH_BYTES
                }
            };
            Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        if let Some(file) = export.file.as_mut().filter(|_| export.walk.is_done()) {
            file.finish()?;
        }
        Ok(!export.is_done())
    }
}
