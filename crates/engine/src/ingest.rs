//! Taking events: from the bytes of a request to their place in the log.

use std::collections::HashSet;

use annals_model::event::{Fault, NewEvent, read_event};
use annals_model::id::EventId;
use annals_model::json::Text;
use annals_model::limits::{
    BATCH_EVENTS_MAX, BODY_BYTES_MAX, EVENT_BYTES_MAX, EVENT_FAULTS_MAX, FAULTS_MAX, WARNINGS_MAX,
};
use annals_model::prepare::{Rules, Warning, prepare};
use annals_model::record::LeafKind;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::error::{EngineError, ForbiddenError};
use crate::license::UnlicensedError;
use crate::log::{AppendFailure, Placing, ReadyEvent, Urgency};
use crate::principal::Principal;
use crate::signing::Refusal;
use crate::{Engine, random};

/// What to do with a batch of which some events are bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialBatch {
    /// Refuse it whole.
    Refuse,
    /// Take the good ones and list the rest.
    Take,
}

/// Why events were not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The caller may not send events.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// The body is not JSON.
    #[error("the body is not JSON: {} (line {}, column {})", .0.detail, .0.line, .0.column)]
    Syntax(SyntaxFault),
    /// The body is larger than [`BODY_BYTES_MAX`].
    #[error("a body of {bytes} bytes exceeds the limit of {BODY_BYTES_MAX}")]
    BodyTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// More events than [`BATCH_EVENTS_MAX`].
    #[error("a batch of {count} events exceeds the limit of {BATCH_EVENTS_MAX}; split it")]
    BatchTooLarge {
        /// How many, or more.
        count: usize,
    },
    /// Events with faults; nothing was taken.
    #[error("{} of the events cannot be taken", plural(.bad_events))]
    Faults {
        /// The faults, [`FAULTS_MAX`] at most.
        faults: Vec<Fault>,
        /// How many more there are.
        more: usize,
        /// Events that have a fault.
        bad_events: usize,
    },
    /// Ids that stand in the log with other content; nothing was taken.
    #[error("event id `{}` is in the log with other content", .ids.first().map(ToString::to_string).unwrap_or_default())]
    Conflict {
        /// The ids.
        ids: Vec<EventId>,
    },
    /// Too much is waiting; try again after a second.
    #[error("the log is busy: too many events wait for their commit")]
    Backpressure,
    /// The server is stopping; nothing of this batch was taken.
    #[error("the log is stopping")]
    Stopping,
    /// The log was put back or cut, and the operator has not decided.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk is full.
    #[error("the disk of the log is full")]
    DiskFull,
    /// New events need a license.
    #[error(transparent)]
    Unlicensed(#[from] UnlicensedError),
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The log failed; the cause is in the operator's log.
    #[error("the events could not be written")]
    Failed,
}

fn plural(count: &usize) -> String {
    if *count == 1 { "1".to_owned() } else { count.to_string() }
}

/// Where JSON ends to be JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What was met.
    pub detail: String,
}

/// Events that were taken.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Appended {
    /// Events that are new in the log.
    pub accepted: usize,
    /// Events that were in the log already, with the same content.
    pub duplicates: usize,
    /// Where each event stands, in the order of the request; bad ones of a partial batch are left out.
    pub events: Vec<PlacedEvent>,
    /// Things that were recorded otherwise than the producer may expect.
    pub warnings: Vec<Warning>,
    /// Events that were not taken, of a partial batch.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// Where an event stands.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PlacedEvent {
    /// Its id.
    pub id: String,
    /// Its position.
    pub seq: u64,
    /// It was in the log already.
    #[serde(skip)]
    pub is_duplicate: bool,
    /// Its receipt, a C2SP tlog-proof, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// A batch on its way through the appending thread.
#[derive(Debug)]
pub struct Pending {
    receiver: Option<oneshot::Receiver<Result<Vec<Placing>, AppendFailure>>>,
    /// Index in the request of each event that was handed on.
    indexes: Vec<usize>,
    partial: PartialBatch,
    warnings: Vec<Warning>,
    faults: Vec<Fault>,
}

impl Pending {
    /// Waits until the events are durable.
    ///
    /// # Errors
    /// [`IngestError`] if they are not.
    pub async fn wait(mut self) -> Result<Appended, IngestError> {
        let answer = match self.receiver.take() {
            Some(receiver) => receiver.await.map_err(|_| IngestError::Stopping)?,
            None => Ok(Vec::new()),
        };
        self.finish(answer)
    }

    /// Waits on a thread that may block.
    ///
    /// # Errors
    /// [`IngestError`] if the events are not durable.
    pub fn wait_blocking(mut self) -> Result<Appended, IngestError> {
        let answer = match self.receiver.take() {
            Some(receiver) => receiver.blocking_recv().map_err(|_| IngestError::Stopping)?,
            None => Ok(Vec::new()),
        };
        self.finish(answer)
    }

    fn finish(self, answer: Result<Vec<Placing>, AppendFailure>) -> Result<Appended, IngestError> {
        let placings = answer.map_err(IngestError::from)?;
        let conflicts: Vec<EventId> = placings.iter().filter_map(|placing| placing.err()).collect();
        if !conflicts.is_empty() && self.partial == PartialBatch::Refuse {
            return Err(IngestError::Conflict { ids: conflicts });
        }
        let mut appended = Appended {
            accepted: 0,
            duplicates: 0,
            events: Vec::with_capacity(placings.len()),
            warnings: self.warnings,
            faults: self.faults,
        };
        for (placing, index) in placings.into_iter().zip(self.indexes) {
            match placing {
                Ok(placed) => {
                    appended.accepted += usize::from(!placed.is_duplicate);
                    appended.duplicates += usize::from(placed.is_duplicate);
                    appended.events.push(PlacedEvent {
                        id: placed.id.to_string(),
                        seq: placed.seq,
                        is_duplicate: placed.is_duplicate,
                        receipt: None,
                    });
                }
                Err(id) => {
                    let detail = format!("id `{id}` is in the log with other content");
                    appended.faults.push(Fault { index, pointer: "/id".to_owned(), detail, hint: None });
                }
            }
        }
        appended.faults.sort_by_key(|fault| fault.index);
        Ok(appended)
    }
}

impl From<AppendFailure> for IngestError {
    fn from(failure: AppendFailure) -> IngestError {
        match failure {
            AppendFailure::Backpressure => IngestError::Backpressure,
            AppendFailure::Stopping => IngestError::Stopping,
            AppendFailure::Refused(refusal) => IngestError::Refused(refusal),
            AppendFailure::Failed { is_full: true, .. } => IngestError::DiskFull,
            AppendFailure::Failed { is_busy: true, .. } => IngestError::Backpressure,
            AppendFailure::Failed { .. } => IngestError::Failed,
        }
    }
}

impl Engine {
    /// Checks the events of a request body and hands them to the appending thread: one event, a JSON array, or events
    /// line by line (NDJSON). What is returned is not durable until [`Pending::wait`] says so.
    ///
    /// # Errors
    /// [`IngestError`]; nothing was taken then.
    pub fn append(
        &self,
        principal: &Principal,
        body: &[u8],
        partial: PartialBatch,
    ) -> Result<Pending, IngestError> {
        principal.may_ingest()?;
        if body.len() > BODY_BYTES_MAX {
            return Err(IngestError::BodyTooLarge { bytes: body.len() });
        }
        let texts = split(body)?;
        if texts.len() > BATCH_EVENTS_MAX {
            return Err(IngestError::BatchTooLarge { count: texts.len() });
        }
        self.append_texts(principal, &texts, partial)
    }

    /// Counts the events of a request body, good or bad.
    ///
    /// # Errors
    /// [`IngestError`] if it is no JSON.
    pub fn count_texts(&self, body: &[u8]) -> Result<usize, IngestError> {
        Ok(split(body)?.len())
    }

    /// The same for event texts that stand apart already.
    pub(crate) fn append_texts(
        &self,
        principal: &Principal,
        texts: &[&str],
        partial: PartialBatch,
    ) -> Result<Pending, IngestError> {
        if !principal.is_system() {
            self.check_license()??;
        }
        self.registry.refresh(&self.store)?;
        let current = self.registry.current();
        let rules = Rules {
            registry: &current.registry,
            registry_version: current.version,
            allow_unknown: self.options.allow_unknown,
        };
        let received = self.now();
        let mut batch = CheckedBatch::default();
        for (index, text) in texts.iter().enumerate() {
            let read = if text.len() > EVENT_BYTES_MAX {
                Err(too_large(index, text.len()))
            } else {
                read_event(text)
            };
            let prepared = match read {
                Ok(event) if principal.token().is_some() && is_own_source(&event) => Err(vec![forged(index)]),
                Ok(event) => {
                    let kind = if principal.is_system() { own_kind(&event) } else { LeafKind::Event };
                    self.prepare_event(event, index, &rules, received, kind)
                }
                Err(mut fault) => {
                    fault.index = index;
                    Err(vec![*fault])
                }
            };
            batch.add(index, prepared);
        }
        if batch.bad_events > 0 && partial == PartialBatch::Refuse {
            let more = batch.faults.len().saturating_sub(FAULTS_MAX);
            batch.faults.truncate(FAULTS_MAX);
            return Err(IngestError::Faults { faults: batch.faults, more, bad_events: batch.bad_events });
        }
        let CheckedBatch { events, indexes, warnings, faults, .. } = batch;
        let receiver = match events.is_empty() {
            true => None,
            false => {
                let urgency = if principal.is_system() { Urgency::Own } else { Urgency::Producer };
                Some(self.log.submit(events, partial == PartialBatch::Refuse, urgency)?)
            }
        };
        Ok(Pending { receiver, indexes, partial, warnings, faults })
    }

    fn prepare_event(
        &self,
        event: NewEvent<'_>,
        index: usize,
        rules: &Rules<'_>,
        received: annals_model::time::Time,
        kind: LeafKind,
    ) -> Result<(ReadyEvent, Vec<Warning>), Vec<Fault>> {
        let mut prepared = prepare(event, index, rules, received, random::event_id(received))?;
        prepared.kind = kind;
        let warnings = std::mem::take(&mut prepared.warnings);
        Ok((ReadyEvent::new(prepared, &self.store), warnings))
    }
}

#[derive(Default)]
struct CheckedBatch {
    events: Vec<ReadyEvent>,
    indexes: Vec<usize>,
    warnings: Vec<Warning>,
    /// What has been warned of.
    warned: HashSet<String>,
    faults: Vec<Fault>,
    bad_events: usize,
}

impl CheckedBatch {
    /// Keeps the first of equal warnings: a field without a policy usually misses it in every event.
    fn warn(&mut self, warnings: Vec<Warning>) {
        for warning in warnings {
            let is_known = self.warned.contains(&warning.detail);
            if !is_known && self.warnings.len() < WARNINGS_MAX {
                self.warned.insert(warning.detail.clone());
                self.warnings.push(warning);
            }
        }
    }

    fn add(&mut self, index: usize, checked: Result<(ReadyEvent, Vec<Warning>), Vec<Fault>>) {
        match checked {
            Ok((event, warnings)) => {
                self.events.push(event);
                self.indexes.push(index);
                self.warn(warnings);
            }
            Err(mut faults) => {
                self.bad_events += 1;
                faults.truncate(EVENT_FAULTS_MAX);
                self.faults.extend(faults);
            }
        }
    }
}

/// Annals' own operations carry this source; no producer may claim it.
pub(crate) const OWN_SOURCE: &str = "annals";

/// What the log does to itself is told apart in the leaf from what anybody sends.
fn own_kind(event: &NewEvent<'_>) -> LeafKind {
    if event.status_code.is_some_and(|status| status >= 400) {
        // A refused attempt changed nothing.
        return LeafKind::Event;
    }
    match event.resource_type.as_ref().map(Text::as_str) {
        Some("erasure") => LeafKind::Erasure,
        Some("epoch") => LeafKind::Epoch,
        Some("legal_hold") => LeafKind::Hold,
        // Rules are events like others; that events were dropped must stay.
        Some("retention") if event.action.as_ref().map(Text::as_str) == Some("erase") => LeafKind::Retention,
        _ => LeafKind::Event,
    }
}

fn is_own_source(event: &NewEvent<'_>) -> bool {
    event.source.as_ref().is_some_and(|source| source.as_str().eq_ignore_ascii_case(OWN_SOURCE))
}

fn forged(index: usize) -> Fault {
    let detail = format!("the source `{OWN_SOURCE}` is that of the log's own operations");
    Fault {
        index,
        pointer: "/source".to_owned(),
        detail,
        hint: Some("name your producer otherwise".to_owned()),
    }
}

fn too_large(index: usize, bytes: usize) -> Box<Fault> {
    let detail = format!("an event of {bytes} bytes exceeds the limit of {EVENT_BYTES_MAX}");
    Box::new(Fault { index, pointer: String::new(), detail, hint: None })
}

/// Cuts a body into the texts of its events: a JSON array, or values each on a line of its own. One value that spans
/// lines is one event.
fn split(body: &[u8]) -> Result<Vec<&str>, IngestError> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let before = &body[..error.valid_up_to()];
        let (line, column) = place(before);
        IngestError::Syntax(SyntaxFault { line, column, detail: "invalid UTF-8".to_owned() })
    })?;
    let start = text.trim_ascii_start();
    if start.is_empty() {
        let detail = "it is empty; send one event, an array of events, or one event a line".to_owned();
        return Err(IngestError::Syntax(SyntaxFault { line: 1, column: 1, detail }));
    }
    if start.starts_with('[') {
        let events: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| syntax(&error))?;
        return Ok(events.into_iter().map(RawValue::get).collect());
    }
    let mut events = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut end_before = 0;
    while let Some(value) = values.next() {
        let value = value.map_err(|error| syntax(&error))?;
        let end = values.byte_offset();
        let gap = &text[end_before..end - value.get().len()];
        if !events.is_empty() && !gap.contains('\n') {
            let (line, column) = place(&body[..end - value.get().len()]);
            let detail =
                "a second value on one line; put events into an array or on lines of their own".to_owned();
            return Err(IngestError::Syntax(SyntaxFault { line, column, detail }));
        }
        events.push(value.get());
        if events.len() > BATCH_EVENTS_MAX {
            return Err(IngestError::BatchTooLarge { count: events.len() });
        }
        end_before = end;
    }
    Ok(events)
}

fn syntax(error: &serde_json::Error) -> IngestError {
    let text = error.to_string();
    let detail = text.split(" at line ").next().unwrap_or_default().to_owned();
    IngestError::Syntax(SyntaxFault { line: error.line(), column: error.column(), detail })
}

fn place(before: &[u8]) -> (usize, usize) {
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_one_event_an_array_and_lines() {
        let cases: [(&str, &[&str]); 6] = [
            ("{\n \"a\":1 }", &["{\n \"a\":1 }"]),
            ("[{}, {\"a\":[1]}]", &["{}", "{\"a\":[1]}"]),
            ("{\"a\":1}\n{\"b\":2}\r\n\n", &["{\"a\":1}", "{\"b\":2}"]),
            (" [] ", &[]),
            ("5", &["5"]),
            ("{}\n[]", &["{}", "[]"]),
        ];
        for (body, expect) in cases {
            assert_eq!(split(body.as_bytes()).unwrap(), expect, "{body}");
        }
    }

    #[test]
    fn names_the_place_of_bad_syntax() {
        let cases: [(&[u8], usize, usize); 7] = [
            (b"", 1, 1),
            (b" \n ", 1, 1),
            (b"{}{}", 1, 3),
            (b"{}\n{} {}", 2, 4),
            (b"[{},]", 1, 5),
            (b"{}\n{\"a\":}", 2, 6),
            (b"{\"a\":\"\xff\"}", 1, 7),
        ];
        for (body, line, column) in cases {
            let Err(IngestError::Syntax(fault)) = split(body) else { panic!("{body:?} was taken") };
            assert_eq!((fault.line, fault.column), (line, column), "{}", String::from_utf8_lossy(body));
        }
    }
}
