//! Writing events again with less in them: for erasures and for retention.
//!
//! Leaves, tree and checkpoints stay as they are, which is checked before anything replaces anything. The order of durable writes: tail rows in one
//! transaction; then for each sealed segment its new object, and the manifest in one transaction; then the old objects are deleted. Stopping between
//! leaves a whole log with more in it than was wanted, and the same call goes on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use annals_model::id::LogId;
use annals_model::record::{Group, Opening, Record};
use annals_segment::{SegmentError, SegmentWriter};
use annals_store::{SealLease, SegmentRow};
use annals_tlog::{Hash, perfect_root};
use tracing::{info, warn};

use crate::Engine;
use crate::error::EngineError;
use crate::seal::{crash_point, end_seq_of, fingerprint_key, push_record};
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
    /// The database's log of older pages could be emptied.
    pub(crate) forgot_pages: bool,
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
        rewritten.forgot_pages = self.forget_replaced(&mut lease)?;
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

    /// Lets go of everything that was replaced. Says whether the database's log of older pages could be emptied.
    pub(crate) fn forget_replaced(&self, lease: &mut SealLease) -> Result<bool, EngineError> {
        self.log.refresh_manifest()?;
        self.delete_unnamed(lease)?;
        Ok(lease.forget_old_pages()?)
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
    pub(crate) fn delete_unnamed(&self, lease: &mut SealLease) -> Result<(), EngineError> {
        let listed = self.objects.list()?;
        let (state, rows) = lease.segments()?;
        let named: HashSet<&str> = rows.iter().map(|row| row.object.as_str()).collect();
        for object in listed {
            // Also those of an attempt to seal that was cut off: we hold the lease, and their events are in the tail.
            let is_ours = end_seq_of(&object.name).is_some_and(|end| end <= state.head.size);
            if is_ours && !named.contains(object.name.as_str()) {
                self.objects.delete(&object.name)?;
                if let Err(error) = self.objects.remove_cached(&object.name) {
                    warn!(%error, object = object.name, "a cached index could not be deleted");
                }
            }
        }
        Ok(())
    }
}
