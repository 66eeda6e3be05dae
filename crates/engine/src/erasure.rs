//! Erasing personal data: openings go out of the tail and out of sealed segments, the tree and every proof stay.
//!
//! First the log says what will go, by control records of their own kind; then it goes. If we stop between, the same call goes on: it finds
//! what is left. Sealed segments are written again without the openings and take the place of the old ones in one transaction;
//! the old objects are deleted at once.

mod subject;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use annals_model::id::EventId;
use annals_model::record::{Group, Opening, Record};
use annals_query::Filter;
use annals_segment::SegmentWriter;
use annals_store::{SealLease, SegmentRow};
use annals_tlog::{Hash, leaf_hash, perfect_root};
use serde_json::json;
use tracing::{info, warn};

use self::subject::Subject;
use crate::Engine;
use crate::error::{EngineError, ForbiddenError};
use crate::ingest::IngestError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::seal::{end_seq_of, fingerprint_key, push_record};
use crate::search::SearchError;
use crate::walk::Walk;

/// Events that one control record names.
const NAMED_MAX: usize = 2_000;
/// How long we wait for the right to seal, which the server has while it seals.
const LEASE_WAIT: Duration = Duration::from_secs(120);
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
    /// Events that were looked at.
    pub looked_at: u64,
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
    /// The database's log of older pages could be emptied too; false: a reader still holds it, and it is emptied when the last one closes.
    pub forgot_pages: bool,
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
    /// A subject is a name.
    #[error("the subject is empty; give a log-in name, an e-mail address or the id of a person")]
    NoSubject,
    /// It could not be recorded, so it did not happen.
    #[error("the erasure could not be recorded, so that nothing was erased: {0}")]
    Record(#[source] IngestError),
    /// The sealing process did not let go.
    #[error("another process is sealing and does not end; try again later")]
    SealingElsewhere,
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
            looked_at: 0,
        };
        match what {
            Erase::Field { id, group } => {
                let standing = self.standing(&Principal::operator(), id)?;
                let seq = standing.ok_or(ErasureError::UnknownEvent { id })?.seq;
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
                let end = self.log.refresh()?.next_seq();
                Walk::new(Filter::all(), from..end).go(self, &mut |seq, record| {
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
            let mut lease = self.wait_for_lease()?;
            self.delete_unnamed(&mut lease)?;
            report.forgot_pages = lease.forget_old_pages()?;
        }
        for _ in 0..ROUNDS_MAX {
            if plan.openings.is_empty() {
                break;
            }
            let seen = self.log.refresh()?.next_seq();
            self.record_erasure(principal, &plan, reason)?;
            let mut lease = self.wait_for_lease()?;
            self.erase_openings(&mut lease, &plan.openings, &mut report, progress)?;
            report.forgot_pages = lease.forget_old_pages()?;
            drop(lease);
            report.events += plan.openings.len() as u64;
            report.openings += plan.by_path.values().sum::<u64>();
            plan = match &plan.what {
                Erase::Subject(_) => self.plan_from(plan.what.clone(), seen, &mut |_, _| {})?,
                Erase::Field { .. } => break,
            };
        }
        Ok(report)
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

    fn wait_for_lease(&self) -> Result<SealLease, ErasureError> {
        let until = Instant::now() + LEASE_WAIT;
        loop {
            if let Some(lease) = self.store.try_seal_lease()? {
                return Ok(lease);
            }
            if Instant::now() >= until {
                return Err(ErasureError::SealingElsewhere);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn erase_openings(
        &self,
        lease: &mut SealLease,
        openings: &BTreeMap<u64, BTreeSet<Group>>,
        report: &mut ErasureReport,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), ErasureError> {
        let seqs: Vec<u64> = openings.keys().copied().collect();
        // Also rows of sealed events that are not deleted yet.
        lease.rewrite_tail(&seqs, |seq, record| {
            let mut bytes = Vec::new();
            without(record, openings.get(&seq)).encode(&mut bytes);
            bytes
        })?;
        let (_, rows) = lease.segments()?;
        let touched: Vec<SegmentRow> = rows
            .into_iter()
            .filter(|row| openings.range(row.first_seq..row.end_seq()).next().is_some())
            .collect();
        for (done, row) in touched.iter().enumerate() {
            progress(done as u64, touched.len() as u64);
            self.rewrite_segment(lease, row, openings)?;
            report.segments += 1;
        }
        progress(touched.len() as u64, touched.len() as u64);
        self.log.refresh_manifest()?;
        self.delete_unnamed(lease)?;
        Ok(())
    }

    /// Writes a segment again without some openings, and puts it in the place of the old one.
    fn rewrite_segment(
        &self,
        lease: &mut SealLease,
        row: &SegmentRow,
        openings: &BTreeMap<u64, BTreeSet<Group>>,
    ) -> Result<(), ErasureError> {
        let part = crate::sealed::SealedPart::of_bytes(
            self.objects.read_all(&row.object).map_err(EngineError::from)?,
            row.clone(),
        )?;
        let mut records = Vec::new();
        part.each_record(|seq, record| {
            let record = without(record, openings.get(&seq));
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            records.push((seq, leaf_hash(&record.leaf_bytes(self.store.log_id())), bytes));
            Ok(())
        })?;
        records.sort_unstable_by_key(|(seq, ..)| *seq);
        let leaves: Vec<Hash> = records.iter().map(|(_, leaf, _)| *leaf).collect();
        if !leaves.len().is_power_of_two() || perfect_root(&leaves) != row.root {
            let what =
                "its events lead to another root than the manifest says; nothing of it was erased".to_owned();
            return Err(part.damaged(annals_segment::SegmentError::Damaged { what }).into());
        }
        let mut writer: Option<SegmentWriter> = None;
        for (seq, _, bytes) in &records {
            let (record, _) = Record::decode(bytes).map_err(crate::log::just_encoded)?;
            let writer = writer.get_or_insert_with(|| {
                SegmentWriter::new(row.first_seq, fingerprint_key(&self.store, &record))
            });
            push_record(writer, *seq, &record)?;
        }
        let Some(writer) = writer else { return Ok(()) };
        let file = writer.finish().map_err(EngineError::from)?;
        let new = self.sealer.row_of(row.first_seq, row.event_count, row.root, &file);
        self.objects.put(&new.object, file.bytes.into()).map_err(EngineError::from)?;
        crate::seal::crash_point("erase: object written");
        self.sealer.read_back(&new)?;
        lease.replace(&new, &[row.first_seq])?;
        crate::seal::crash_point("erase: published");
        info!(segment = new.object, replaced = row.object, "rewritten for an erasure");
        Ok(())
    }

    /// Deletes every object that the manifest does not name, at once: replaced ones hold what was erased.
    fn delete_unnamed(&self, lease: &mut SealLease) -> Result<(), ErasureError> {
        let listed = self.objects.list().map_err(EngineError::from)?;
        let (state, rows) = lease.segments()?;
        let named: HashSet<&str> = rows.iter().map(|row| row.object.as_str()).collect();
        for object in listed {
            let is_ours = end_seq_of(&object.name).is_some_and(|end| end <= state.sealed);
            if is_ours && !named.contains(object.name.as_str()) {
                self.objects.delete(&object.name).map_err(EngineError::from)?;
                if let Err(error) = self.objects.remove_cached(&object.name) {
                    warn!(%error, object = object.name, "a cached index could not be deleted");
                }
            }
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

/// A record without the values of some groups; its leaf is the same.
fn without<'a>(record: &Record<'a>, groups: Option<&BTreeSet<Group>>) -> Record<'a> {
    let mut record = record.clone();
    let Some(groups) = groups else { return record };
    for opening in &mut record.openings {
        if groups.iter().any(|group| group.path() == opening.path()) {
            *opening = Opening::Erased { path: opening.path(), commitment: opening.commitment() };
        }
    }
    record
}

impl ErasurePlan {
    fn add(&mut self, seq: u64, group: Group) {
        if self.openings.entry(seq).or_default().insert(group) {
            *self.by_path.entry(group.path()).or_default() += 1;
        }
    }
}
