//! Comparing what a receiver has with what the log says it should have, and sending what is missing.

use std::collections::HashSet;
use std::ops::{ControlFlow, Range};

use annals_model::id::EventId;
use annals_store::{Stream, StreamId};

use super::reader::stream_filter;
use super::{StreamError, check_range, event_on};
use crate::Engine;
use crate::error::EngineError;
use crate::principal::Principal;
use crate::walk::{self, Walk};

/// Missing events that are sent again by one call: more are a case for a replay.
const RESENT_MAX: usize = 100_000;

/// What a receiver has.
#[derive(Debug, Clone)]
pub enum Received {
    /// So many events, each counted once.
    Count(u64),
    /// These ids, and how often one came again.
    Ids {
        /// Each once.
        ids: HashSet<EventId>,
        /// Repetitions.
        repeats: u64,
    },
}

/// An event that the receiver does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// Its position in the log.
    pub seq: u64,
    /// Its identity.
    pub id: EventId,
    /// The receiver refused it, and it waits among the dead letters.
    pub is_dead_letter: bool,
}

/// What a comparison found.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    /// The first seq that was compared.
    pub first_seq: u64,
    /// The seq before which the comparison ended: where the stream is, or less.
    pub end_seq: u64,
    /// Events that the receiver should have.
    pub expected: u64,
    /// Events that it has, of these; without ids as many as it says.
    pub received: u64,
    /// Ids that came more than once.
    pub repeats: u64,
    /// Ids that the stream did not send in this range.
    pub foreign: u64,
    /// What is missing, by seq; none are known where only a count was given.
    pub missing: Vec<Missing>,
}

impl Reconciliation {
    /// The receiver has everything.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.received >= self.expected
    }
}

impl Engine {
    /// Compares what a receiver has with what a stream took from a range of the log: by default everything that it sent so far.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not manage the site, there is no such stream, or it has not come so far.
    pub fn reconcile_stream(
        &self,
        principal: &Principal,
        id: &StreamId,
        from_seq: Option<u64>,
        end_seq: Option<u64>,
        received: &Received,
    ) -> Result<Reconciliation, StreamError> {
        let stream = self.stream(principal, id)?;
        let next_seq = stream.progress.next_seq;
        let end_seq = end_seq.unwrap_or(next_seq);
        if end_seq > next_seq {
            return Err(StreamError::NotSentYet { seq: end_seq - 1, next_seq });
        }
        if let Some(seq) = from_seq.filter(|seq| *seq < stream.query_seq && *seq >= stream.first_seq) {
            return Err(StreamError::OtherQuery { seq, query_seq: stream.query_seq });
        }
        let parts = self.log.refresh()?;
        let first_seq = from_seq.unwrap_or(stream.first_seq.max(stream.query_seq)).max(parts.first_seq());
        check_range(from_seq.unwrap_or(0), end_seq)?;
        let seqs = first_seq..end_seq.max(first_seq);
        let filter = stream_filter(self, &stream.sent_query, "")?;
        match received {
            Received::Count(count) => Ok(Reconciliation {
                first_seq,
                end_seq: seqs.end,
                expected: walk::count(&parts, &filter, &seqs)?,
                received: *count,
                repeats: 0,
                foreign: 0,
                missing: Vec::new(),
            }),
            Received::Ids { ids, repeats } => {
                drop(parts);
                Ok(Reconciliation { repeats: *repeats, ..self.compare_ids(&stream, seqs, ids)? })
            }
        }
    }

    fn compare_ids(
        &self,
        stream: &Stream,
        seqs: Range<u64>,
        ids: &HashSet<EventId>,
    ) -> Result<Reconciliation, StreamError> {
        let dead: HashSet<u64> = self
            .store
            .dead_letters(&stream.id, seqs.start, usize::MAX)?
            .into_iter()
            .map(|letter| letter.seq)
            .collect();
        let filter = stream_filter(self, &stream.sent_query, "")?;
        let (mut expected, mut received, mut missing) = (0, 0, Vec::new());
        Walk::new(filter, seqs.clone()).go(self, &mut |seq, record| {
            if record.dropped.is_some() {
                return Ok(ControlFlow::Continue(()));
            }
            expected += 1;
            if ids.contains(&record.id) {
                received += 1;
            } else {
                missing.push(Missing { seq, id: record.id, is_dead_letter: dead.contains(&seq) });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let foreign = (ids.len() as u64).saturating_sub(received);
        Ok(Reconciliation {
            first_seq: seqs.start,
            end_seq: seqs.end,
            expected,
            received,
            repeats: 0,
            foreign,
            missing,
        })
    }

    /// Has missing events sent again, through the stream's dead letters, and records it. Returns how many; at most 100,000 at once.
    ///
    /// # Errors
    /// [`StreamError`] if the caller may not, or there is no such stream.
    pub fn send_missing(
        &self,
        principal: &Principal,
        id: &StreamId,
        missing: &[Missing],
    ) -> Result<usize, StreamError> {
        let stream = self.managed(principal, id)?;
        // Dead letters are here already, with what the receiver said.
        let unknown = missing.iter().filter(|missing| !missing.is_dead_letter);
        let seqs: Vec<u64> = unknown.take(RESENT_MAX).map(|missing| missing.seq).collect();
        let dead: Vec<&Missing> = missing.iter().filter(|missing| missing.is_dead_letter).collect();
        for letter in &dead {
            self.store.resend_dead_letters(id, Some(letter.seq))?;
        }
        let count = seqs.len() + dead.len();
        if count == 0 {
            return Ok(0);
        }
        self.store.send_again(id, &seqs, "missing at the receiver", self.now()).map_err(EngineError::from)?;
        let event = event_on("write", &stream).additional("missing_events_resent", count as u64);
        self.record_own(principal, event);
        Ok(count)
    }
}
