//! Merging: small neighbouring segments become one, so that logs that age seals do not end in thousands of files.
//!
//! Durable writes as in [`crate::seal`]: the object, then the manifest in one transaction, then, after a while in which
//! readers may still use them, the old objects are deleted.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use annals_model::record::Record;
use annals_segment::SegmentWriter;
use annals_store::{SealLease, SegmentRow};
use annals_tlog::Frontier;
use tracing::{info, warn};

use crate::error::EngineError;
use crate::seal::{Sealer, crash_point, fingerprint_key, object_name, push_record};
use crate::sealed::SealedPart;

/// Segments that become one, unless it is a full one: each event is written again once for each quadrupling.
const MERGED_MIN: usize = 4;
/// How long the objects of replaced segments stay: readers of other processes look at the manifest with every search, and
/// a backup copies what its snapshot names.
const KEEP_REPLACED: Duration = Duration::from_secs(3_600);
/// Events of 1 KB take about a third of their size in a segment, and are held in memory whole.
const PACKED: u64 = 3;

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
            self.merge(lease, some)?;
            made += 1;
        }
        self.delete_replaced();
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
                let bytes: u64 = block.iter().map(|row| row.bytes).sum();
                let least = if size == self.policy.events { 2 } else { MERGED_MIN };
                events == size && block.len() >= least && bytes * PACKED <= self.policy.bytes_max
            })
        })
    }

    fn merge(&self, lease: &mut SealLease, some: &[SegmentRow]) -> Result<(), EngineError> {
        let started = Instant::now();
        let from = some[0].first_seq;
        let count: u32 = some.iter().map(|row| row.event_count).sum();
        let mut writer: Option<SegmentWriter> = None;
        for row in some {
            let part = SealedPart::open(&self.objects, row.clone())?;
            // Rows stand by time, the writer takes them by seq.
            let mut records = Vec::new();
            part.each_record(|seq, record| {
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                records.push((seq, bytes));
                Ok(())
            })?;
            records.sort_unstable_by_key(|(seq, _)| *seq);
            for (seq, bytes) in &records {
                let (record, _) = Record::decode(bytes).map_err(crate::log::just_encoded)?;
                let writer = writer
                    .get_or_insert_with(|| SegmentWriter::new(from, fingerprint_key(&self.store, &record)));
                push_record(writer, *seq, &record)?;
            }
        }
        let Some(writer) = writer else { return Ok(()) };
        let file = writer.finish()?;
        let mut tree = Frontier::new();
        for row in some {
            tree.push_subtree(u64::from(row.event_count), row.root)?;
        }
        let row = self.row_of(from, count, object_name(from, count), tree.root(), &file);
        self.objects.put(&row.object, file.bytes.into())?;
        crash_point("merge: object written");
        self.read_back(&row)?;
        let first_seqs: Vec<u64> = some.iter().map(|row| row.first_seq).collect();
        lease.replace(&row, &first_seqs)?;
        crash_point("merge: published");
        self.index.refresh(&self.store)?;
        let now = Instant::now();
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.extend(some.iter().map(|row| (now, row.object.clone())));
        let seconds = started.elapsed().as_secs_f64();
        info!(segment = row.object, events = count, bytes = row.bytes, seconds, "merged");
        Ok(())
    }

    /// Deletes objects that were replaced long enough ago. What a crash leaves behind, `annals repair` deletes.
    fn delete_replaced(&self) {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.retain(|(since, object)| {
            if since.elapsed() < KEEP_REPLACED {
                return true;
            }
            match self.objects.delete(object) {
                Ok(()) => false,
                Err(error) => {
                    warn!(%error, object, "a replaced segment could not be deleted and is tried again");
                    true
                }
            }
        });
    }
}
