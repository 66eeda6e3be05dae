//! Pruning: the oldest segments go whole, once nothing in them is kept any more.
//!
//! Events that are over go with their segment, without being written again first. What is left of them are the full tiles of the tree from level 1 on, and a
//! few hashes for each published checkpoint, so that every proof of later events, and from older checkpoints, stays as it is. It goes in bites: the segments
//! of 65,536 events, or a larger one. Of each bite everything is looked at first, and compared with the tree; then, in the order of the durable writes: the
//! hashes are kept; control records say what goes; one transaction takes the segments out of the manifest; their objects are deleted. Stopping
//! between leaves a whole log, and the next run goes on.

use std::collections::BTreeMap;

use annals_model::record::LeafKind;
use annals_query::Filter;
use annals_segment::{RowSet, matching};
use annals_store::{PRUNED_STEP, SealLease, SegmentRow, StoreError};
use annals_tlog::{
    Hash, Node, TILE_HASHES, TILE_HEIGHT, consistency_proof, empty_root, perfect_root, root_at,
};
use base64::Engine as _;
use serde_json::json;

use crate::Engine;
use crate::error::EngineError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::proof::node_error;
use crate::retention::{Due, Going, RetentionError, RetentionReport};
use crate::rewrite::OlderVersions;
use crate::sealed::SealedPart;

/// Rows of the tail that are deleted in one transaction.
const DISCARD_ROWS: usize = 16;
/// Checkpoints whose hashes are written in one transaction.
const CHECKPOINTS_AT_ONCE: usize = 1_000;

/// The oldest segments, in which nothing is kept, up to a multiple of what is pruned at once.
struct Bite {
    rows: Vec<SegmentRow>,
    /// Leaf hashes of all of them.
    leaves: Vec<Hash>,
    /// What goes by each rule.
    going: Vec<Going>,
}

impl Bite {
    fn begin(&self) -> u64 {
        self.rows[0].first_seq
    }

    fn end(&self) -> u64 {
        self.begin() + self.leaves.len() as u64
    }

    /// A node under one tile of level 0.
    fn node(&self, node: Node) -> Option<Hash> {
        let first = (node.index << node.level).checked_sub(self.begin())?;
        let first = usize::try_from(first).ok()?;
        self.leaves.get(first..first + (1 << node.level)).map(perfect_root)
    }
}

impl Engine {
    /// Takes the oldest segments out of the log as far as every event in them is over or dropped. The newest segment stays, and so does what no checkpoint
    /// covers.
    pub(crate) fn prune(
        &self,
        principal: &Principal,
        report: &mut RetentionReport,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RetentionError> {
        let mut older = None;
        loop {
            // Given back between bites, so that events are sealed meanwhile.
            let mut lease = self.wait_for_lease()?;
            // Asked anew for each bite: what was changed before is heeded.
            let (due, holds) = (self.due_filters()?, self.holds()?);
            let held = self.held_by(&holds);
            let Some(bite) = self.next_bite(&mut lease, &due, &held)? else {
                if report.segments_pruned > 0 {
                    report.forgotten.pages = lease.forget_old_pages()?;
                }
                return Ok(());
            };
            progress(bite.begin(), self.log_end()?);
            self.compare_tiles(&bite)?;
            let older = match &mut older {
                Some(older) => older,
                none => none.insert(OlderVersions::list(&self.objects)?),
            };
            self.keep_nodes(&mut lease, &bite)?;
            if self.holds()? != holds {
                continue;
            }
            for (due, going) in due.iter().zip(&bite.going) {
                if going.events > 0 {
                    self.record_drop(principal, due, *going)?;
                }
            }
            self.record_prune(principal, &due, &bite)?;
            self.forget(&mut lease, &bite, older)?;
            report.events += bite.going.iter().map(|going| going.events).sum::<u64>();
            report.segments_pruned += bite.rows.len() as u64;
            report.pruned = bite.end();
            report.forgotten.versions = older.are_forgotten();
        }
    }

    /// Reads the oldest segments up to a multiple of what is pruned at once; none if something in them is kept.
    fn next_bite(
        &self,
        lease: &mut SealLease,
        due: &[Due],
        held: &Filter,
    ) -> Result<Option<Bite>, EngineError> {
        let (_, rows) = lease.segments()?;
        let Some((_, rows)) = rows.split_last() else { return Ok(None) };
        let Some(count) = rows.iter().position(|row| row.end_seq().is_multiple_of(PRUNED_STEP)) else {
            return Ok(None);
        };
        let rows = &rows[..=count];
        let end = rows[count].end_seq();
        let is_covered = match self.store.last_checkpoint()? {
            Some(last) => last.size >= end,
            None => !self.is_signed()?,
        };
        if !is_covered {
            return Ok(None);
        }
        let going = vec![Going::default(); due.len()];
        let mut bite = Bite { rows: rows.to_vec(), leaves: Vec::new(), going };
        for row in rows {
            let parts = self.log.refresh()?;
            let Some(part) = parts.sealed_at(row.first_seq).filter(|part| part.end_seq() == row.end_seq())
            else {
                return Ok(None);
            };
            // By the index first: most segments are seen to stay without reading an event.
            let rows_of = |filter: Filter| {
                matching(part.segment(), &self.log.index().kept(filter))
                    .map_err(|source| part.damaged(source))
            };
            let not_held = Filter::Not(Box::new(held.clone()));
            let mut by_rule = Vec::new();
            for due in due {
                by_rule.push(rows_of(due.filter.clone().and(not_held.clone()))?);
            }
            let over: u64 = by_rule.iter().map(|rows| u64::from(rows.len())).sum();
            if over < u64::from(rows_of(Filter::all())?.len()) {
                return Ok(None);
            }
            if !self.take_whole(row, due, &by_rule, *held != Filter::Or(Vec::new()), &mut bite)? {
                return Ok(None);
            }
        }
        Ok(Some(bite))
    }

    /// Reads a segment into a bite. Returns false if something in it is kept after all: an event that came later than it happened, or a record of a hold
    /// while any hold stands.
    fn take_whole(
        &self,
        row: &SegmentRow,
        due: &[Due],
        by_rule: &[RowSet],
        is_any_hold: bool,
        bite: &mut Bite,
    ) -> Result<bool, EngineError> {
        let part = SealedPart::of_bytes(self.objects.read_all(&row.object)?, row.clone())?;
        let log_id = self.store.log_id();
        let mut leaves = vec![None; usize::try_from(row.event_count).unwrap_or(usize::MAX)];
        let (mut at, mut is_whole) = (0, true);
        let mut going = vec![Going::default(); due.len()];
        part.each_record(|seq, record| {
            let rule = by_rule.iter().position(|rows| rows.contains(at));
            at += 1;
            if let Some(leaf) =
                leaves.get_mut(usize::try_from(seq.wrapping_sub(row.first_seq)).unwrap_or(usize::MAX))
            {
                *leaf = Some(Hash::from_bytes(record.leaf_hash(log_id)));
            }
            if record.dropped.is_some() {
                return Ok(());
            }
            let is_over = rule.is_some_and(|rule| record.received.as_micros() < due[rule].cutoff);
            is_whole &= is_over && !(is_any_hold && record.kind == LeafKind::Hold);
            if let Some(rule) = rule.filter(|_| record.kind == LeafKind::Event) {
                going[rule].add(seq);
            }
            Ok(())
        })?;
        let leaves: Option<Vec<Hash>> = leaves.into_iter().collect();
        let Some(leaves) = leaves.filter(|leaves| perfect_root(leaves) == row.root) else {
            let what = "its events lead to another root than the manifest says".to_owned();
            return Err(part.damaged(annals_segment::SegmentError::Damaged { what }));
        };
        bite.leaves.extend(leaves);
        for (all, going) in bite.going.iter_mut().zip(going) {
            *all = all.and(going);
        }
        Ok(is_whole)
    }

    /// Compares the tiles that will stand for the events with them: nothing else will be left to make them from.
    fn compare_tiles(&self, bite: &Bite) -> Result<(), EngineError> {
        let steps = bite.leaves.chunks(usize::try_from(PRUNED_STEP).unwrap_or(usize::MAX));
        for (index, leaves) in (bite.begin() / PRUNED_STEP..).zip(steps) {
            let roots: Vec<u8> =
                leaves.chunks(TILE_HASHES).flat_map(|leaves| *perfect_root(leaves).as_bytes()).collect();
            if self.store.tile(1, index)? != roots {
                let what = format!("tile {index} of level 1 differs from its events");
                let source = annals_segment::SegmentError::Damaged { what };
                return Err(EngineError::Segment { object: bite.rows[0].object.clone(), source });
            }
        }
        Ok(())
    }

    /// Keeps what no tile gives but a proof from a published checkpoint needs: at most a few hashes for each.
    fn keep_nodes(&self, lease: &mut SealLease, bite: &Bite) -> Result<(), EngineError> {
        let sizes = self.store.checkpoint_sizes(bite.begin(), bite.end())?;
        for some in sizes.chunks(CHECKPOINTS_AT_ONCE) {
            let mut nodes = BTreeMap::new();
            let mut take = |node: Node| {
                // Full tiles of level 1 stand for all that is higher.
                if node.level >= TILE_HEIGHT {
                    return Ok(empty_root());
                }
                let hash = bite.node(node);
                let hash = hash.ok_or_else(|| StoreError::Damaged {
                    what: format!("a checkpoint needs a hash of level {} from elsewhere", node.level),
                })?;
                nodes.insert(node, hash);
                Ok::<_, EngineError>(hash)
            };
            for size in some {
                root_at(*size, &mut take)?;
                consistency_proof(*size, bite.end(), &mut take).map_err(node_error)?;
            }
            lease.keep_nodes(&nodes)?;
        }
        Ok(())
    }

    /// Says in the log where it begins from now on, and the root over what was before: `verify` compares both.
    fn record_prune(&self, principal: &Principal, due: &[Due], bite: &Bite) -> Result<(), RetentionError> {
        let root =
            base64::engine::general_purpose::STANDARD.encode(self.tree.root_at(bite.end())?.as_bytes());
        let rule = due.last().map(|due| due.rule.id.as_str());
        let event = OwnEvent::new("erase", "retention", &format!("all before seq {}", bite.end()))
            .resource_id(rule.unwrap_or_default())
            .after(json!({"from_seq": bite.begin(), "pruned_to": bite.end(), "root": root}));
        self.record_first(principal, event).map_err(RetentionError::Record)
    }

    fn forget(
        &self,
        lease: &mut SealLease,
        bite: &Bite,
        older: &mut OlderVersions,
    ) -> Result<(), EngineError> {
        // Rows that were sealed but not deleted yet.
        while lease.discard_sealed(DISCARD_ROWS)? {}
        older.delete(&self.objects, |seqs| seqs.start < bite.end())?;
        lease.prune(bite.end())?;
        self.log.refresh_manifest()?;
        for row in &bite.rows {
            older.delete_object(&self.objects, &row.object)?;
        }
        Ok(())
    }
}
