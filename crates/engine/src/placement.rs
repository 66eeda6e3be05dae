//! Giving seqs to the events of one commit, and telling repetitions from new events.

use std::collections::HashMap;

use annals_model::id::EventId;
use annals_model::prepare::Prepared;
use annals_model::record::Record;
use annals_store::{Append, StoreError};

use crate::error::EngineError;
use crate::index::Parts;
use crate::log::{Placed, Placing, ReadyEvent, just_encoded};

/// Events of a batch whose ids stand in sealed segments: their seqs, and whether they are the same events.
pub(crate) type Found = HashMap<EventId, (u64, bool)>;

/// What was found of one batch before the head was locked.
pub(crate) struct Repeated(Result<Found, EngineError>);

impl Repeated {
    /// Looks for the ids of a batch in sealed segments.
    pub(crate) fn find(events: &[ReadyEvent], parts: &Parts) -> Repeated {
        Repeated(find(events, parts))
    }
}

fn find(events: &[ReadyEvent], parts: &Parts) -> Result<Found, EngineError> {
    let mut found = Found::new();
    for event in events.iter().filter(|event| event.prepared.has_own_id) {
        let id = event.prepared.id;
        // Repetitions are nearly always recent.
        for part in parts.all_sealed().iter().rev() {
            let same = part.with_id(id, |seq, record| (seq, event.prepared.is_same_as(record)))?;
            if let Some(same) = same {
                found.insert(id, same);
                break;
            }
        }
    }
    Ok(found)
}

/// Gives seqs to the events of one commit.
pub(crate) struct Placement<'g> {
    first_seq: u64,
    parts: &'g Parts,
    /// Of each batch, in order.
    repeated: std::vec::IntoIter<Repeated>,
    pub(crate) new: Vec<&'g ReadyEvent>,
    new_ids: HashMap<EventId, usize>,
}

impl<'g> Placement<'g> {
    pub(crate) fn new(first_seq: u64, parts: &'g Parts, repeated: Vec<Repeated>) -> Placement<'g> {
        Placement {
            first_seq,
            parts,
            repeated: repeated.into_iter(),
            new: Vec::new(),
            new_ids: HashMap::new(),
        }
    }

    /// Places the events of the next batch. If it fails, or one conflicts and the batch is to be taken whole, none is
    /// placed.
    pub(crate) fn place(
        &mut self,
        events: &'g [ReadyEvent],
        is_whole: bool,
        append: &mut Append<'_>,
    ) -> Result<Vec<Placing>, EngineError> {
        let repeated = self.repeated.next().map_or_else(|| Ok(Found::new()), |repeated| repeated.0)?;
        let new_before = self.new.len();
        let placings: Result<Vec<Placing>, EngineError> =
            events.iter().map(|event| self.place_event(event, &repeated, append)).collect();
        let is_refused = match &placings {
            Err(_) => true,
            Ok(placings) => is_whole && placings.iter().any(Result::is_err),
        };
        if is_refused {
            for event in self.new.drain(new_before..) {
                self.new_ids.remove(&event.prepared.id);
            }
        }
        placings
    }

    fn place_event(
        &mut self,
        event: &'g ReadyEvent,
        repeated: &Found,
        append: &mut Append<'_>,
    ) -> Result<Placing, EngineError> {
        let id = event.prepared.id;
        if event.prepared.has_own_id {
            let stored = match (self.new_ids.get(&id), repeated.get(&id)) {
                (Some(at), _) => {
                    let (earlier, _) = Record::decode(&self.new[*at].record.bytes).map_err(just_encoded)?;
                    Some((self.first_seq + *at as u64, event.prepared.is_same_as(&earlier)))
                }
                (None, Some(found)) => Some(*found),
                (None, None) => match self.parts.tail_seq_of(id) {
                    Some(seq) => Some((seq, stored_is_same(append, seq, &event.prepared)?)),
                    None => None,
                },
            };
            match stored {
                Some((seq, true)) => return Ok(Ok(Placed { id, seq, is_duplicate: true })),
                Some((_, false)) => return Ok(Err(id)),
                None => self.new_ids.insert(id, self.new.len()),
            };
        }
        let seq = self.first_seq + self.new.len() as u64;
        self.new.push(event);
        Ok(Ok(Placed { id, seq, is_duplicate: false }))
    }
}

fn stored_is_same(append: &mut Append<'_>, seq: u64, prepared: &Prepared) -> Result<bool, EngineError> {
    // Not in the tail of the database any more: another process sealed it, and its segment is not open here.
    let row = append.row_of(seq)?.ok_or(EngineError::NotOpenYet { seq })?;
    for record in row.records() {
        let (at, record) = record?;
        if at == seq {
            return Ok(prepared.is_same_as(&record));
        }
    }
    Err(StoreError::Damaged { what: format!("seq {seq} is indexed but not in its tail row") }.into())
}
