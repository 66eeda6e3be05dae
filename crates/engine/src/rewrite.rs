//! Writing events again with less in them: for erasures and for retention.
//!
//! Leaves, tree and checkpoints stay as they are, which is checked before anything replaces anything. The order of durable writes: tail rows in one
//! transaction; then for each sealed segment its new object, and the manifest in one transaction; then the old objects are deleted. What a bucket keeps
//! of objects that went before, by a merge, goes first. Stopping between leaves a whole log with more in it than was wanted, and the same call goes on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use annals_model::id::LogId;
use annals_model::record::{Group, Opening, Record};
use annals_segment::{SegmentError, SegmentWriter};
use annals_store::{ObjectError, ObjectVersion, Objects, SealLease, SegmentRow};
use annals_tlog::{Hash, perfect_root};
use tracing::info;

use crate::Engine;
use crate::error::EngineError;
use crate::seal::{crash_point, fingerprint_key, push_record, seqs_of};
use crate::sealed::SealedPart;

/// How long we wait for the right to seal, which the server has while it seals.
const LEASE_WAIT: Duration = Duration::from_secs(120);

/// What becomes of an event.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// It loses the values of these groups.
    Without(BTreeSet<Group>),
    /// Only its leaf hash is left.
    Dropped,
}

/// Changes by seq.
pub(crate) type Changes = BTreeMap<u64, Change>;

/// What was written again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rewritten {
    pub(crate) segments: u64,
    pub(crate) forgotten: Forgotten,
}

/// Whether what was replaced is gone where we do not write ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// The database's log of older pages could be emptied; false: a reader still holds it, and it is emptied when the last one closes.
    pub pages: bool,
    /// The bucket keeps no older versions of the objects, as far as it told; false: it did not let us list or delete them.
    pub versions: bool,
}

impl Default for Forgotten {
    fn default() -> Forgotten {
        Forgotten { pages: true, versions: true }
    }
}

impl Forgotten {
    pub(crate) fn and(self, other: Forgotten) -> Forgotten {
        Forgotten { pages: other.pages, versions: self.versions && other.versions }
    }
}

/// Older versions of segments that a bucket keeps.
pub(crate) struct OlderVersions {
    listed: Vec<ObjectVersion>,
    /// The bucket did not let us do something.
    is_refused: bool,
}

impl OlderVersions {
    pub(crate) fn list(objects: &Objects) -> Result<OlderVersions, EngineError> {
        match objects.older_versions() {
            Ok(mut listed) => {
                listed.retain(|version| seqs_of(&version.name).is_some());
                Ok(OlderVersions { listed, is_refused: false })
            }
            Err(ObjectError::Denied { .. }) => Ok(OlderVersions { listed: Vec::new(), is_refused: true }),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes those of segments whose seqs are touched.
    pub(crate) fn delete(
        &mut self,
        objects: &Objects,
        is_touched: impl Fn(Range<u64>) -> bool,
    ) -> Result<(), EngineError> {
        let is_touched = |version: &ObjectVersion| seqs_of(&version.name).is_some_and(&is_touched);
        let (touched, left) = std::mem::take(&mut self.listed).into_iter().partition(is_touched);
        self.listed = left;
        let touched: Vec<ObjectVersion> = touched;
        for version in &touched {
            match objects.delete_version(version) {
                Err(ObjectError::Denied { .. }) => self.is_refused = true,
                result => result?,
            }
        }
        Ok(())
    }

    /// Deletes an object with all its versions, and its cached index.
    pub(crate) fn delete_object(&mut self, objects: &Objects, name: &str) -> Result<(), EngineError> {
        match objects.delete_for_good(name) {
            Err(ObjectError::Denied { .. }) => {
                self.is_refused = true;
                Ok(objects.delete(name)?)
            }
            result => Ok(result?),
        }
    }

    /// As far as the bucket told, it keeps none of what was deleted.
    pub(crate) fn are_forgotten(&self) -> bool {
        !self.is_refused
    }
}

impl Change {
    fn of<'a>(&self, record: &Record<'a>, log: LogId) -> Record<'a> {
        let mut record = record.clone();
        match self {
            Change::Dropped => record = record.without_content(log),
            Change::Without(groups) => {
                for opening in &mut record.openings {
                    if groups.iter().any(|group| group.path() == opening.path()) {
                        *opening = Opening::Erased { path: opening.path(), commitment: opening.commitment() };
                    }
                }
            }
        }
        record
    }
}

/// A record as it will be.
fn changed<'a>(record: &Record<'a>, change: Option<&Change>, log: LogId) -> Record<'a> {
    change.map_or_else(|| record.clone(), |change| change.of(record, log))
}

impl Engine {
    /// Makes changes, and deletes whatever earlier ones replaced. `progress` hears the segments done and in all.
    pub(crate) fn rewrite_events(
        &self,
        changes: &Changes,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Rewritten, EngineError> {
        let mut lease = self.wait_for_lease()?;
        let mut rewritten = Rewritten::default();
        let mut older = OlderVersions::list(&self.objects)?;
        older.delete(&self.objects, |seqs| changes.range(seqs).next().is_some())?;
        self.rewrite_tail(&mut lease, changes)?;
        let (_, rows) = lease.segments()?;
        let is_touched = |row: &SegmentRow| changes.range(row.first_seq..row.end_seq()).next().is_some();
        let touched: Vec<SegmentRow> = rows.into_iter().filter(is_touched).collect();
        let mut failed = None;
        for (done, row) in touched.iter().enumerate() {
            progress(done as u64, touched.len() as u64);
            // A damaged segment keeps none of the others from losing what must go.
            match self.rewrite_segment(&mut lease, row, changes) {
                Ok(()) => rewritten.segments += 1,
                Err(error) if error.is_damage() => failed = failed.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        progress(touched.len() as u64, touched.len() as u64);
        rewritten.forgotten = self.forget_replaced(&mut lease, &mut older)?;
        failed.map_or(Ok(rewritten), Err)
    }

    pub(crate) fn wait_for_lease(&self) -> Result<SealLease, EngineError> {
        let until = Instant::now() + LEASE_WAIT;
        loop {
            if let Some(lease) = self.store.try_seal_lease()? {
                return Ok(lease);
            }
            if Instant::now() >= until {
                return Err(EngineError::SealingElsewhere);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Writes tail rows again, also those of sealed events that are not deleted yet.
    pub(crate) fn rewrite_tail(
        &self,
        lease: &mut SealLease,
        changes: &Changes,
    ) -> Result<usize, EngineError> {
        let seqs: Vec<u64> = changes.keys().copied().collect();
        let log_id = self.store.log_id();
        Ok(lease.rewrite_tail(&seqs, |seq, record| {
            let mut bytes = Vec::new();
            changed(record, changes.get(&seq), log_id).encode(&mut bytes);
            bytes
        })?)
    }

    /// Lets go of everything that was replaced.
    pub(crate) fn forget_replaced(
        &self,
        lease: &mut SealLease,
        older: &mut OlderVersions,
    ) -> Result<Forgotten, EngineError> {
        self.log.refresh_manifest()?;
        self.delete_unnamed(lease, older)?;
        Ok(Forgotten { pages: lease.forget_old_pages()?, versions: older.are_forgotten() })
    }

    /// Writes a segment again, and puts it in the place of the old one.
    pub(crate) fn rewrite_segment(
        &self,
        lease: &mut SealLease,
        row: &SegmentRow,
        changes: &Changes,
    ) -> Result<(), EngineError> {
        let log_id = self.store.log_id();
        let part = SealedPart::of_bytes(self.objects.read_all(&row.object)?, row.clone())?;
        let mut records = Vec::new();
        part.each_record(|seq, record| {
            let record = changed(record, changes.get(&seq), log_id);
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            records.push((seq, Hash::from_bytes(record.leaf_hash(log_id)), bytes));
            Ok(())
        })?;
        records.sort_unstable_by_key(|(seq, ..)| *seq);
        let leaves: Vec<Hash> = records.iter().map(|(_, leaf, _)| *leaf).collect();
        if !leaves.len().is_power_of_two() || perfect_root(&leaves) != row.root {
            let what = "its events lead to another root than the manifest says; nothing of it was changed"
                .to_owned();
            return Err(part.damaged(SegmentError::Damaged { what }));
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
        let file = writer.finish()?;
        let new = self.sealer.row_of(row.first_seq, row.event_count, row.root, &file);
        self.objects.put(&new.object, file.bytes.into())?;
        crash_point("rewrite: object written");
        self.sealer.read_back(&new)?;
        lease.replace(&new, &[row.first_seq])?;
        crash_point("rewrite: published");
        info!(segment = new.object, replaced = row.object, "written again with less in it");
        Ok(())
    }

    /// Deletes every object that the manifest does not name, at once: replaced ones hold what must go.
    pub(crate) fn delete_unnamed(
        &self,
        lease: &mut SealLease,
        older: &mut OlderVersions,
    ) -> Result<(), EngineError> {
        let listed = self.objects.list()?;
        let (state, rows) = lease.segments()?;
        let named: HashSet<&str> = rows.iter().map(|row| row.object.as_str()).collect();
        for object in listed {
            // Also those of an attempt to seal that was cut off: we hold the lease, and their events are in the tail.
            let is_ours = seqs_of(&object.name).is_some_and(|seqs| seqs.end <= state.head.size);
            if is_ours && !named.contains(object.name.as_str()) {
                older.delete_object(&self.objects, &object.name)?;
            }
        }
        Ok(())
    }
}
