//! Erasing personal data: openings go out of the tail and out of sealed segments, the tree and every proof stay.
//!
//! First the log says what will go, by control records of their own kind; then it goes. If we stop between, the same call goes on: it finds
//! what is left. Sealed segments are written again without the openings and take the place of the old ones in one transaction;
//! the old objects are deleted at once.

mod subject;

use std::collections::{BTreeMap, BTreeSet};

use annals_model::id::EventId;
use annals_model::record::{Group, LeafKind, Opening};
use annals_query::Filter;
use serde_json::json;

use self::subject::Subject;
use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::ingest::IngestError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::rewrite::{Change, Changes, Forgotten};
use crate::search::SearchError;
use crate::walk::Walk;

/// Events that one control record names.
const NAMED_MAX: usize = 2_000;
/// Rounds over events that came meanwhile.
const ROUNDS_MAX: usize = 5;

/// What to erase.
#[derive(Debug, Clone)]
pub enum Erase {
    /// All that names a person: by log-in name, e-mail address, or the id that producers give them.
    Subject(String),
    /// One group of one event.
    Field {
        /// The event.
        id: EventId,
        /// The group.
        group: Group,
    },
}

/// What would go.
#[derive(Debug, Clone)]
pub struct ErasurePlan {
    what: Erase,
    /// Names by which the subject is known in the log: what is looked for.
    pub identifiers: Vec<String>,
    /// Openings to erase, by seq.
    openings: BTreeMap<u64, BTreeSet<Group>>,
    /// Openings by their path.
    pub by_path: BTreeMap<&'static str, u64>,
    /// Events whose other parts, which cannot be erased, hold one of the names.
    pub left_in_bodies: u64,
    /// Events that a legal hold keeps as they are.
    pub held: u64,
    /// Events that were looked at.
    pub looked_at: u64,
    /// The seq behind the last of them.
    until: u64,
}

impl ErasurePlan {
    /// Events that lose something.
    pub fn events(&self) -> u64 {
        self.openings.len() as u64
    }
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ErasureReport {
    /// Events that lost something.
    pub events: u64,
    /// Openings that went.
    pub openings: u64,
    /// Segments that were written again.
    pub segments: u64,
    /// What is left of it elsewhere.
    pub forgotten: Forgotten,
}

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErasureError {
    /// The caller may not.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// There is no such event.
    #[error("there is no event {id}")]
    UnknownEvent {
        /// What was asked for.
        id: EventId,
    },
    /// A name that several people had.
    #[error("that name belongs to several people; give the id of one: {}", ids.join(", "))]
    SeveralPeople {
        /// Their ids.
        ids: Vec<String>,
    },
    /// A subject is a name.
    #[error("the subject is empty; give a log-in name, an e-mail address or the id of a person")]
    NoSubject,
    /// It could not be recorded, so it did not happen.
    #[error("the erasure could not be recorded, so that nothing was erased: {0}")]
    Record(#[source] IngestError),
    /// The log failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<SearchError> for ErasureError {
    fn from(error: SearchError) -> ErasureError {
        match error {
            SearchError::Forbidden(error) => ErasureError::Forbidden(error),
            SearchError::Engine(error) => ErasureError::Engine(error),
            // The queries are our own.
            error => {
                ErasureError::Engine(annals_store::StoreError::Damaged { what: error.to_string() }.into())
            }
        }
    }
}

impl From<annals_store::StoreError> for ErasureError {
    fn from(error: annals_store::StoreError) -> ErasureError {
        ErasureError::Engine(error.into())
    }
}

impl Engine {
    /// Finds what an erasure would take, and changes nothing. Every event is looked at: actors, targets, both sides of diffs, and additional
    /// fields. `progress` hears the events done and in all.
    ///
    /// # Errors
    /// [`ErasureError`] if the caller may not, or the log failed.
    pub fn plan_erasure(
        &self,
        principal: &Principal,
        what: Erase,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ErasurePlan, ErasureError> {
        self.manage(principal, || OwnEvent::new("erase", "erasure", target_of(&what)))?;
        self.plan_from(what, 0, progress)
    }

    fn plan_from(
        &self,
        what: Erase,
        from: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ErasurePlan, ErasureError> {
        let mut plan = ErasurePlan {
            what: what.clone(),
            identifiers: Vec::new(),
            openings: BTreeMap::new(),
            by_path: BTreeMap::new(),
            left_in_bodies: 0,
            held: 0,
            looked_at: 0,
            until: 0,
        };
        match what {
            Erase::Field { id, group } => {
                let standing = self.standing(&Principal::operator(), id)?;
                let seq = standing.ok_or(ErasureError::UnknownEvent { id })?.seq;
                if self.held_seqs(seq..seq + 1)?.keeps(seq, LeafKind::Event) {
                    plan.held = 1;
                    return Ok(plan);
                }
                self.tree.each_record(seq..seq + 1, |seq, record| {
                    if matches!(record.opening(group), Some(Opening::Present { .. })) {
                        plan.add(seq, group);
                    }
                    Ok(())
                })?;
                plan.looked_at = 1;
            }
            Erase::Subject(name) => {
                let subject = Subject::known_as(self, &name)?;
                plan.identifiers = subject.names();
                let end = self.log_end()?;
                plan.until = end;
                let held = self.held_seqs(from..end)?;
                Walk::new(Filter::all(), from..end).go(self, &mut |seq, record| {
                    if held.keeps(seq, record.kind) && !subject.groups_in(record).is_empty() {
                        plan.held += 1;
                        return Ok(std::ops::ControlFlow::Continue(()));
                    }
                    for group in subject.groups_in(record) {
                        plan.add(seq, group);
                    }
                    plan.left_in_bodies += u64::from(subject.is_in_body(record));
                    plan.looked_at += 1;
                    if plan.looked_at.is_multiple_of(4_096) {
                        progress(plan.looked_at, end - from);
                    }
                    Ok(std::ops::ControlFlow::Continue(()))
                })?;
                progress(plan.looked_at, plan.looked_at);
            }
        }
        Ok(plan)
    }

    /// Erases what was planned, and what came since. `progress` hears the parts of the log done and in all.
    ///
    /// # Errors
    /// [`ErasureError`] if the caller may not, it cannot be recorded, or the log failed: then the same call goes on.
    pub fn erase(
        &self,
        principal: &Principal,
        plan: ErasurePlan,
        reason: &str,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<ErasureReport, ErasureError> {
        self.manage(principal, || OwnEvent::new("erase", "erasure", target_of(&plan.what)))?;
        let mut report = ErasureReport::default();
        let mut plan = plan;
        if plan.openings.is_empty() {
            // An erasure that was cut off may have left what it replaced.
            report.forgotten = self.rewrite_events(&Changes::new(), progress)?.forgotten;
        }
        for _ in 0..ROUNDS_MAX {
            if plan.openings.is_empty() {
                break;
            }
            // Once more, as a hold may have come while somebody thought about it.
            let (first, last) = (plan.openings.keys().next(), plan.openings.keys().next_back());
            if let (Some(first), Some(last)) = (first, last) {
                let held = self.held_seqs(*first..*last + 1)?;
                plan.openings.retain(|seq, _| !held.keeps(*seq, LeafKind::Event));
            }
            if plan.openings.is_empty() {
                break;
            }
            self.record_erasure(principal, &plan, reason)?;
            let changes = plan.openings.iter().map(|(seq, groups)| (*seq, Change::Without(groups.clone())));
            let rewritten = self.rewrite_events(&changes.collect(), progress)?;
            report.segments += rewritten.segments;
            report.forgotten = report.forgotten.and(rewritten.forgotten);
            report.events += plan.openings.len() as u64;
            report.openings += plan.openings.values().map(|groups| groups.len() as u64).sum::<u64>();
            plan = match &plan.what {
                Erase::Subject(_) => self.plan_from(plan.what.clone(), plan.until, &mut |_, _| {})?,
                Erase::Field { .. } => break,
            };
        }
        // A receiver may have quoted what it refused.
        self.store.forget_reasons().map_err(EngineError::from)?;
        Ok(report)
    }

    /// The seq behind the last event.
    pub(crate) fn log_end(&self) -> Result<u64, EngineError> {
        Ok(self.log.refresh()?.next_seq())
    }

    /// Says in the log what will go: how it was found, never the data.
    fn record_erasure(
        &self,
        principal: &Principal,
        plan: &ErasurePlan,
        reason: &str,
    ) -> Result<(), ErasureError> {
        let id = uuid::Uuid::from_bytes(crate::random::bytes()).to_string();
        let all: Vec<(u64, &BTreeSet<Group>)> =
            plan.openings.iter().map(|(seq, groups)| (*seq, groups)).collect();
        for some in all.chunks(NAMED_MAX) {
            let named: Vec<_> = some
                .iter()
                .map(|(seq, groups)| {
                    json!([seq, groups.iter().map(|group| group.path()).collect::<Vec<_>>()])
                })
                .collect();
            let openings: usize = some.iter().map(|(_, groups)| groups.len()).sum();
            let (from, to) =
                (some.first().map_or(0, |(seq, _)| *seq), some.last().map_or(0, |(seq, _)| *seq));
            let event = OwnEvent::new("erase", "erasure", target_of(&plan.what))
                .resource_id(&id)
                .after(
                    json!({"id": id, "reason": reason, "event_count": some.len(), "opening_count": openings,
                    "from_seq": from, "to_seq": to}),
                )
                .additional("erased", named);
            self.record_first(principal, event).map_err(ErasureError::Record)?;
        }
        Ok(())
    }
}

/// How it was found, as the target of the event.
fn target_of(what: &Erase) -> &'static str {
    match what {
        Erase::Subject(_) => "all that names a person",
        Erase::Field { .. } => "one field of one event",
    }
}

impl ErasurePlan {
    fn add(&mut self, seq: u64, group: Group) {
        if self.openings.entry(seq).or_default().insert(group) {
            *self.by_path.entry(group.path()).or_default() += 1;
        }
    }
}
