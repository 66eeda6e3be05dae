//! Events as one Parquet file, for engines that analyse them.

use annals_model::audit_log::{AuditLog, NIL_UUID, StoredEvent};
use annals_model::formats::EventFormat;
use annals_segment::{ExportFileError, ExportRow, ParquetExport};

use crate::error::EngineError;

/// Events after which a batch ends though no bytes are ready: some 30 ms of work, after which the caller sees whether its reader is still there.
const BATCH_EVENTS: usize = 4_096;

/// A file that is being made, and what of it is finished and not handed out.
#[derive(Debug)]
pub(super) struct ParquetFile {
    /// None when the last byte is made.
    file: Option<ParquetExport>,
    finished: Vec<u8>,
    /// How much of `finished` was handed out.
    handed_out: usize,
    /// Events since the batch began.
    events: usize,
    /// The event as JSON; kept for its memory.
    json: Vec<u8>,
}

impl ParquetFile {
    pub(super) fn new() -> Result<ParquetFile, EngineError> {
        let file = Some(ParquetExport::new()?);
        Ok(ParquetFile { file, finished: Vec::new(), handed_out: 0, events: 0, json: Vec::new() })
    }

    /// Hands out bytes that are ready, `most` at most, and says whether there were any.
    pub(super) fn hand_out(&mut self, out: &mut Vec<u8>, most: usize) -> bool {
        self.events = 0;
        let rest = &self.finished[self.handed_out..];
        let part = &rest[..rest.len().min(most)];
        out.extend_from_slice(part);
        self.handed_out += part.len();
        !part.is_empty()
    }

    /// Adds an event, and says whether the batch goes on.
    pub(super) fn push(
        &mut self,
        stored: &StoredEvent<'_>,
        event: &AuditLog<'_>,
    ) -> Result<bool, EngineError> {
        self.json.clear();
        EventFormat::Native.push(&mut self.json, event);
        let json = std::str::from_utf8(&self.json).expect("JSON is a text");
        if let Some(file) = &mut self.file {
            file.push(&row(stored, event, json))?;
            self.finished = file.take_finished()?;
            self.handed_out = 0;
        }
        self.events += 1;
        Ok(self.finished.is_empty() && self.events < BATCH_EVENTS)
    }

    /// Ends the file: what is left of it is ready then.
    pub(super) fn finish(&mut self) -> Result<(), EngineError> {
        if let Some(file) = self.file.take() {
            // Behind the row group that the last event may have filled.
            self.finished.extend(file.finish()?);
        }
        Ok(())
    }

    /// Everything was handed out.
    pub(super) fn is_done(&self) -> bool {
        self.file.is_none() && self.handed_out == self.finished.len()
    }
}

impl From<ExportFileError> for EngineError {
    fn from(error: ExportFileError) -> EngineError {
        EngineError::ExportFile(Box::new(error))
    }
}

fn row<'a>(stored: &StoredEvent<'_>, event: &'a AuditLog<'_>, json: &'a str) -> ExportRow<'a> {
    let user = event.user.as_ref();
    let organization = event.organization.as_ref();
    ExportRow {
        seq: event.seq,
        time_us: event.time.as_micros(),
        received_us: event.received.as_micros(),
        id: stored.id.uuid(),
        action: event.action,
        resource_type: event.resource_type,
        resource_id: or_none(event.resource_id),
        resource_target: event.resource_target,
        outcome: event.outcome,
        status_code: event.status_code,
        actor_type: event.actor_type,
        user_id: or_none(user.map_or("", |user| user.id)),
        username: user.map_or("", |user| user.username),
        email: user.map_or("", |user| user.email),
        organization_id: or_none(event.organization_id),
        organization: organization.map_or("", |organization| organization.name),
        ip: event.ip,
        user_agent: event.user_agent,
        build_reason: event.build_reason,
        request_id: or_none(event.request_id),
        source: event.source,
        source_seq: event.source_seq,
        is_deleted: event.is_deleted,
        description: &event.description,
        diff: event.diff.get(),
        additional_fields: event.additional_fields.get(),
        event: json,
    }
}

/// Coder's "no UUID" stands in JSON, whose readers expect one; in a column it would be a value that counts.
fn or_none(id: &str) -> &str {
    if id == NIL_UUID { "" } else { id }
}
