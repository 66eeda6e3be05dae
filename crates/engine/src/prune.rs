//! Pruning: the oldest segments go whole, once nothing in them is kept any more.
//!
//! Events that are over go with their segment, without being written again first. What is left of them are the full tiles of the tree from level 1 on, and a few hashes
//! for each published checkpoint, so that every proof of later events, and from older checkpoints, stays as it is. In the order of the durable writes: control records say what goes; one transaction takes the segments
//! out of the manifest; their objects are deleted. Stopping between leaves a whole log, and the next run goes on.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use annals_model::record::LeafKind;
use annals_query::Filter;
use annals_store::{PRUNED_STEP, SealLease, SegmentRow};
use annals_tlog::{Node, TILE_HEIGHT, consistency_proof, empty_root, root_at};
use base64::Engine as _;
use serde_json::json;

use crate::Engine;
use crate::error::EngineError;
use crate::own_event::OwnEvent;
use crate::principal::Principal;
use crate::proof::node_error;
use crate::retention::{Due, Going, RetentionError, RetentionReport};
use crate::rewrite::OlderVersions;
use crate::walk::{self, Walk};

/// Rows of the tail that are deleted in one transaction.
const DISCARD_ROWS: usize = 16;
/// Checkpoints whose hashes are written in one transaction.
const CHECKPOINTS_AT_ONCE: usize = 1_000;
/// What the log itself records.
const CONTROL_RECORDS: &str =
    "resource_type:erasure OR resource_type:retention OR resource_type:epoch OR resource_type:legal_hold";

/// A segment in which nothing is kept: by the rules in their order, what goes with it.
type GoingByRule = Vec<Going>;

impl Engine {
    /// Takes the oldest segments out of the log as far as every event in them is over or dropped, or a control record older than the rule for all
    /// events. The newest segment stays, and so does what no checkpoint covers.
    pub(crate) fn prune(
        &self,
        principal: &Principal,
        due: &[Due],
        report: &mut RetentionReport,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), RetentionError> {
        let mut lease = self.wait_for_lease()?;
        let (state, rows) = lease.segments()?;
        let covered = match self.store.last_checkpoint()? {
            Some(last) => last.size,
            None if self.is_signed()? => 0,
            None => u64::MAX,
        };
        // Asked under the lease: a hold that was added before is heeded.
        let held = self.held_filter()?;
        let mut going: Vec<(u64, GoingByRule)> = Vec::new();
        for row in rows.iter().take(rows.len().saturating_sub(1)).take_while(|row| row.end_seq() <= covered) {
            progress(row.first_seq, state.head.size);
            let Some(by_rule) = self.whole(row, due, &held)? else { break };
            going.push((row.end_seq(), by_rule));
        }
        while going.last().is_some_and(|(end, _)| !end.is_multiple_of(PRUNED_STEP)) {
            going.pop();
        }
        let Some((to, _)) = going.last() else { return Ok(()) };
        let (to, segments) = (*to, going.len() as u64);
        for (at, due) in due.iter().enumerate() {
            let of_rule = going.iter().map(|(_, by_rule)| by_rule[at]).reduce(Going::and);
            if let Some(of_rule) = of_rule.filter(|going| going.events > 0) {
                self.record_drop(principal, due, of_rule)?;
                report.events += of_rule.events;
            }
        }
        self.keep_nodes(&mut lease, state.pruned..to)?;
        self.record_prune(principal, due, state.pruned..to)?;
        self.forget_before(&mut lease, to, report)?;
        report.pruned = to;
        report.segments_pruned += segments;
        Ok(())
    }

    /// What goes with a segment; none if something in it is kept.
    fn whole(
        &self,
        row: &SegmentRow,
        due: &[Due],
        held: &Filter,
    ) -> Result<Option<GoingByRule>, EngineError> {
        let seqs = row.first_seq..row.end_seq();
        let parts = self.log.refresh()?;
        let kept = |filter: Filter| self.log.index().kept(filter);
        let count = |filter: Filter| walk::count(&parts, &kept(filter), &seqs);
        let not_held = Filter::Not(Box::new(held.clone()));
        // The rule for all events says how long control records are kept.
        let for_all = due.last().filter(|due| due.rule.query.is_empty());
        let controls =
            self.check_query(&Principal::operator(), CONTROL_RECORDS).map(|query| query.into_filter());
        let controls = controls.unwrap_or_else(|_| Filter::Or(Vec::new()));
        // By the indexes first: most segments are seen to stay without reading an event.
        let left = count(Filter::all())?;
        let mut may_go = match for_all {
            Some(_) => count(controls.clone())?,
            None => 0,
        };
        for due in due {
            may_go += count(due.filter.clone().and(not_held.clone()))?;
        }
        if may_go < left {
            return Ok(None);
        }
        let mut by_rule = Vec::new();
        for due in due {
            let changes =
                self.over(&kept(due.filter.clone().and(not_held.clone())), seqs.clone(), due.cutoff)?;
            by_rule.push(Going::of(&changes, seqs.start));
        }
        let mut gone = by_rule.iter().map(|going| going.events).sum::<u64>();
        if let Some(for_all) = for_all {
            gone += self.old_controls(controls, seqs, for_all.cutoff, *held != Filter::Or(Vec::new()))?;
        }
        Ok((gone == left).then_some(by_rule))
    }

    /// Control records of a range that are older than a moment; those of holds stay while any hold stands.
    fn old_controls(
        &self,
        controls: Filter,
        seqs: Range<u64>,
        cutoff: i64,
        is_any_hold: bool,
    ) -> Result<u64, EngineError> {
        let mut old = 0;
        Walk::new(self.log.index().kept(controls), seqs).go(self, &mut |_, record| {
            let is_control =
                record.kind != LeafKind::Event && !(is_any_hold && record.kind == LeafKind::Hold);
            let is_old = record.time.as_micros() < cutoff && record.received.as_micros() < cutoff;
            old += u64::from(is_control && is_old);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(old)
    }

    /// Keeps what no tile gives but a proof from a published checkpoint needs: at most a few hashes for each.
    fn keep_nodes(&self, lease: &mut SealLease, seqs: Range<u64>) -> Result<(), EngineError> {
        let sizes = self.store.checkpoint_sizes(seqs.start, seqs.end)?;
        // Nobody asks for these leaves again.
        let tree = self.tree.anew();
        for some in sizes.chunks(CHECKPOINTS_AT_ONCE) {
            let mut nodes = BTreeMap::new();
            let mut take = |node: Node| {
                // Full tiles of level 1 stand for all that is higher.
                if node.level >= TILE_HEIGHT {
                    return Ok(empty_root());
                }
                let hash = tree.node(node)?;
                nodes.insert(node, hash);
                Ok(hash)
            };
            for size in some {
                root_at(*size, &mut take)?;
                consistency_proof(*size, seqs.end, &mut take).map_err(node_error)?;
            }
            lease.keep_nodes(&nodes)?;
        }
        Ok(())
    }

    /// Says in the log where it begins from now on, and the root over what was before: `verify` compares both.
    fn record_prune(
        &self,
        principal: &Principal,
        due: &[Due],
        seqs: Range<u64>,
    ) -> Result<(), RetentionError> {
        let root = base64::engine::general_purpose::STANDARD.encode(self.tree.root_at(seqs.end)?.as_bytes());
        let rule = due.last().map(|due| &due.rule);
        let target = format!("all before seq {}", seqs.end);
        let event = OwnEvent::new("erase", "retention", &target)
            .resource_id(rule.map_or("", |rule| rule.id.as_str()))
            .after(json!({"from_seq": seqs.start, "pruned_to": seqs.end, "root": root}));
        self.record_first(principal, event).map_err(RetentionError::Record)
    }

    fn forget_before(
        &self,
        lease: &mut SealLease,
        to: u64,
        report: &mut RetentionReport,
    ) -> Result<(), EngineError> {
        // Rows that were sealed but not deleted yet.
        while lease.discard_sealed(DISCARD_ROWS)? {}
        let mut older = OlderVersions::list(&self.objects)?;
        older.delete(&self.objects, |seqs| seqs.start < to)?;
        lease.prune(to)?;
        let forgotten = self.forget_replaced(lease, &mut older)?;
        report.forgotten = report.forgotten.and(forgotten);
        Ok(())
    }
}
