//! Reading a stream's events from the log, by seq, as its receiver wants them.

use std::ops::ControlFlow;

use annals_model::audit_log::{AuditLog, StoredEvent};
use annals_model::formats::EventFormat;
use annals_model::record::Record;
use annals_query::Filter;
use annals_sink::{Outcome, Outgoing};

use crate::Engine;
use crate::error::EngineError;
use crate::export::Deletions;
use crate::principal::Principal;
use crate::search::SearchError;
use crate::walk::Walk;

/// How much is read at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    pub(super) events: usize,
    /// Bytes of lines.
    pub(super) bytes: usize,
}

/// A walk through the events of a stream.
#[derive(Debug)]
pub(super) struct Reader {
    /// The stream's query.
    query: String,
    /// Of a replay: which of them; empty for all.
    within: String,
    format: EventFormat,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    walk: Walk,
    deletions: Deletions,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) events: Vec<Outgoing>,
    /// Where to go on: everything before was looked at.
    pub(super) next_seq: u64,
}

impl Reader {
    pub(super) fn new(query: &str, within: &str, format: EventFormat) -> Reader {
        Reader { query: query.to_owned(), within: within.to_owned(), format, open: None }
    }

    /// Forgets what was read ahead: the log was written again since.
    pub(super) fn look_again(&mut self) {
        self.open = None;
    }

    /// Reads on at `from`, up to `end` or the end of the log as it is now. Nothing is there if the events are empty and `next_seq` is `from`.
    pub(super) fn read(
        &mut self,
        engine: &Engine,
        from: u64,
        end: Option<u64>,
        limits: ReadLimits,
    ) -> Result<Read, SearchError> {
        let is_right = |open: &Open| open.walk.next_seq() == from && !open.walk.is_done();
        let mut open = match self.open.take().filter(is_right) {
            Some(open) => open,
            None => match self.open_at(engine, from, end)? {
                Some(open) => open,
                None => return Ok(Read { events: Vec::new(), next_seq: from }),
            },
        };
        let registry = engine.registry.current().registry;
        let (mut events, mut bytes) = (Vec::new(), 0);
        let Open { walk, deletions } = &mut open;
        walk.go(engine, &mut |seq, record| {
            if record.dropped.is_some() {
                // Dropped since the walk looked at the index.
                return Ok(ControlFlow::Continue(()));
            }
            let event = StoredEvent::read(record)?;
            let is_deleted = engine
                .is_deleted(&registry, &event, seq, |kind, id| deletions.deleted_at(engine, kind, id))?;
            let added = engine.added_to(&registry, &event, seq, is_deleted);
            let event = outgoing(seq, self.format, &AuditLog::new(&event, added)?);
            bytes += event.line.len();
            events.push(event);
            let goes_on = events.len() < limits.events && bytes < limits.bytes;
            Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let next_seq = walk.next_seq();
        self.open = Some(open);
        Ok(Read { events, next_seq })
    }

    fn open_at(&self, engine: &Engine, from: u64, end: Option<u64>) -> Result<Option<Open>, SearchError> {
        let size = engine.log.refresh()?.next_seq();
        let end = end.unwrap_or(size).min(size);
        if from >= end {
            return Ok(None);
        }
        let filter = stream_filter(engine, &self.query, &self.within)?;
        let deletions = Deletions::for_events(engine, end - from)?;
        Ok(Some(Open { walk: Walk::new(filter, from..end), deletions }))
    }
}

/// What a stream takes: as a search by somebody who sees everything would find it.
pub(super) fn stream_filter(engine: &Engine, query: &str, within: &str) -> Result<Filter, SearchError> {
    let system = Principal::system();
    let filter = engine.readable_filter(&system, query)?.filter;
    if within.is_empty() {
        return Ok(filter);
    }
    let within = engine.check_query(&system, within).map_err(SearchError::Query)?;
    Ok(filter.and(within.into_filter()))
}

/// Reads single events, whatever the query, as many as the limits allow, and returns the seqs that it looked at; those that are gone are left
/// out.
pub(super) fn read_seqs(
    engine: &Engine,
    seqs: &[u64],
    format: EventFormat,
    limits: ReadLimits,
) -> Result<(Vec<Outgoing>, Vec<u64>), EngineError> {
    let (mut events, mut looked_at, mut bytes) = (Vec::new(), Vec::new(), 0);
    let registry = engine.registry.current().registry;
    let size = engine.log.refresh()?.next_seq();
    let filter = engine.log.index().kept(Filter::all());
    for seq in seqs.iter().copied() {
        looked_at.push(seq);
        if seq >= size {
            continue;
        }
        Walk::new(filter.clone(), seq..seq + 1).go(engine, &mut |seq, record: &Record<'_>| {
            if record.dropped.is_some() {
                return Ok(ControlFlow::Continue(()));
            }
            let event = StoredEvent::read(record)?;
            let added = engine.added(&registry, &event, seq)?;
            let event = outgoing(seq, format, &AuditLog::new(&event, added)?);
            bytes += event.line.len();
            events.push(event);
            Ok(ControlFlow::Continue(()))
        })?;
        if events.len() >= limits.events || bytes >= limits.bytes {
            break;
        }
    }
    Ok((events, looked_at))
}

fn outgoing(seq: u64, format: EventFormat, event: &AuditLog<'_>) -> Outgoing {
    let mut line = Vec::with_capacity(1024);
    format.push(&mut line, event);
    Outgoing {
        seq,
        id: event.id.clone(),
        time_us: event.time.as_micros(),
        received_us: event.received.as_micros(),
        action: event.action.to_owned(),
        resource_type: event.resource_type.to_owned(),
        outcome: match event.outcome {
            "denied" => Outcome::Denied,
            "failure" => Outcome::Failure,
            _ => Outcome::Success,
        },
        line: String::from_utf8(line).expect("every form is text"),
    }
}
