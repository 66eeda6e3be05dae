//! Merging: small neighbouring segments become one, so that logs that age seals do not end in thousands of files; and
//! sweeping away the objects that nothing names any more.
//!
//! Durable writes as in [`crate::seal`]: the object, then the manifest in one transaction. The old objects are deleted after a while
//! in which readers may still use them.

use std::collections::{HashMap, HashSet};
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use annals_model::record::Record;
use annals_segment::SegmentWriter;
use annals_store::{SealLease, SegmentRow};
use annals_tlog::Frontier;
use tracing::info;

use crate::error::EngineError;
use crate::seal::{Sealer, crash_point, fingerprint_key, push_record, seqs_of};
use crate::sealed::SealedPart;

/// Segments that become one, unless it is a full one: each event is written again once for each quadrupling.
const MERGED_MIN: usize = 4;
/// How long an object that nothing names stays: readers of other processes look at the manifest with every search, and a
/// backup copies what its snapshot names.
const KEEP_UNNAMED: Duration = Duration::from_secs(3_600);
/// How often objects are listed.
const SWEEP_EVERY: Duration = Duration::from_secs(900);

/// What the sealing process remembers between its rounds.
#[derive(Debug, Default)]
pub(crate) struct Leftovers {
    /// Objects that no manifest named, and since when.
    unnamed: HashMap<String, Instant>,
    swept: Option<Instant>,
    /// First seq and count of blocks whose events are too many bytes for one segment.
    too_large: HashSet<(u64, u32)>,
}

impl Sealer {
    /// Merges all that is due.
    pub(crate) fn merge_due(
        &self,
        lease: &mut SealLease,
        go_on: &dyn Fn() -> bool,
    ) -> Result<usize, EngineError> {
        let mut made = 0;
        while go_on() {
            let (_, rows) = self.store.segments()?;
            let Some(some) = self.mergeable(&rows) else { break };
            made += usize::from(self.merge(lease, some, go_on)?);
        }
        Ok(made)
    }

    /// Segments that are the parts of one perfect subtree that is not too large, the largest such first.
    fn mergeable<'r>(&self, rows: &'r [SegmentRow]) -> Option<&'r [SegmentRow]> {
        let sizes =
            std::iter::successors(Some(self.policy.events), |size| Some(size / 4).filter(|size| *size > 0));
        sizes.into_iter().find_map(|size| {
            let blocks = rows.chunk_by(|left, right| {
                left.first_seq / u64::from(size) == right.first_seq / u64::from(size)
            });
            blocks.into_iter().find(|block| {
                let events: u32 = block.iter().map(|row| row.event_count).sum();
                let least = if size == self.policy.events { 2 } else { MERGED_MIN };
                let is_too_large = self.leftovers().too_large.contains(&(block[0].first_seq, size));
                events == size && block.len() >= least && !is_too_large
            })
        })
    }

    /// Returns false if the events are too many bytes, or the log stops.
    fn merge(
        &self,
        lease: &mut SealLease,
        some: &[SegmentRow],
        go_on: &dyn Fn() -> bool,
    ) -> Result<bool, EngineError> {
        let started = Instant::now();
        let from = some[0].first_seq;
        let count: u32 = some.iter().map(|row| row.event_count).sum();
        let mut writer: Option<SegmentWriter> = None;
        let mut bytes_held = 0;
        for row in some {
            let part = SealedPart::of_bytes(self.objects.read_all(&row.object)?, row.clone())?;
            // Rows stand by time, the writer takes them by seq.
            let mut records = Vec::new();
            part.each_record(|seq, record| {
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                bytes_held += bytes.len() as u64;
                if bytes_held <= self.policy.bytes_max {
                    records.push((seq, bytes));
                }
                Ok(())
            })?;
            if bytes_held > self.policy.bytes_max {
                self.leftovers().too_large.insert((from, count));
                return Ok(false);
            }
            if !go_on() {
                return Ok(false);
            }
            records.sort_unstable_by_key(|(seq, _)| *seq);
            for (seq, bytes) in &records {
                let (record, _) = Record::decode(bytes).map_err(crate::log::just_encoded)?;
                let writer = writer
                    .get_or_insert_with(|| SegmentWriter::new(from, fingerprint_key(&self.store, &record)));
                push_record(writer, *seq, &record)?;
            }
        }
        let Some(writer) = writer else { return Ok(false) };
        let file = writer.finish()?;
        let mut tree = Frontier::new();
        for row in some {
            tree.push_subtree(u64::from(row.event_count), row.root)?;
        }
        let row = self.row_of(from, count, tree.root(), &file);
        self.objects.put(&row.object, file.bytes.into())?;
        crash_point("merge: object written");
        self.read_back(&row)?;
        let first_seqs: Vec<u64> = some.iter().map(|row| row.first_seq).collect();
        lease.replace(&row, &first_seqs)?;
        crash_point("merge: published");
        self.index.refresh(&self.store)?;
        let seconds = started.elapsed().as_secs_f64();
        info!(segment = row.object, events = count, bytes = row.bytes, seconds, "merged");
        Ok(true)
    }

    pub(crate) fn is_sweep_due(&self) -> bool {
        self.leftovers().swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY)
    }

    /// Deletes segments that no manifest names, an hour after they were first seen: replaced ones, and those of attempts
    /// that were cut off. Only names that are ours, and only events that are sealed: what lies beyond may be all that is left
    /// of events that the database forgot.
    pub(crate) fn sweep(&self, lease: &mut SealLease) -> Result<(), EngineError> {
        if !self.is_sweep_due() {
            return Ok(());
        }
        // Listed before the manifest is read: what is published between the two is named.
        let listed = self.objects.list()?;
        let (state, rows) = lease.segments()?;
        let named: HashSet<&str> = rows.iter().map(|row| row.object.as_str()).collect();
        let is_ours = |name: &str| seqs_of(name).is_some_and(|seqs| seqs.end <= state.sealed);
        let unnamed = listed.into_iter().map(|object| object.name);
        let unnamed: Vec<String> =
            unnamed.filter(|name| !named.contains(name.as_str()) && is_ours(name)).collect();
        let mut leftovers = self.leftovers();
        leftovers.swept = Some(Instant::now());
        leftovers.unnamed.retain(|name, _| unnamed.contains(name));
        for name in unnamed {
            let since = *leftovers.unnamed.entry(name.clone()).or_insert_with(Instant::now);
            if since.elapsed() >= KEEP_UNNAMED && lease.holds()? {
                self.objects.delete(&name)?;
                leftovers.unnamed.remove(&name);
                info!(object = name, "deleted a segment that nothing names any more");
            }
        }
        Ok(())
    }

    fn leftovers(&self) -> MutexGuard<'_, Leftovers> {
        self.leftovers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
