//! Checking a whole log offline: checksums, structure, and the tree recomputed from every event. Writes nothing.

use std::collections::HashSet;

use annals_model::audit_log::StoredEvent;
use annals_model::id::LogId;
use annals_segment::check_file;
use annals_store::{Objects, SegmentRow, Store, StoreError};
use annals_tlog::{Frontier, Hash, leaf_hash, perfect_root};
use sha2::{Digest, Sha256};

use crate::error::EngineError;
use crate::location::Location;
use crate::sealed::SealedPart;

/// What is wrong with one part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The part: an object's name, or `database`.
    pub part: String,
    /// What is wrong with it.
    pub what: String,
    /// What would help.
    pub remedy: &'static str,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Events in the log, as the head says.
    pub events: u64,
    /// Events in segments.
    pub sealed: u64,
    /// Segments of the manifest.
    pub segments: usize,
    /// Root of the tree, if every event is there and leads to it.
    pub root: Option<Hash>,
    /// Everything that is wrong.
    pub findings: Vec<Finding>,
}

const REPAIR: &str = "`annals repair` says what it can be rebuilt from";

/// Checks every byte of a log. `progress` hears the events done and in all.
///
/// # Errors
/// [`EngineError`] if the log cannot be opened at all; what is damaged inside stands in the report.
pub fn verify(location: &Location, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport, EngineError> {
    let store = Store::open_as_is(&location.database)?;
    let objects = Objects::open(&location.objects, &location.cache_dir())?;
    verify_parts(&store, &objects, progress)
}

pub(crate) fn verify_parts(
    store: &Store,
    objects: &Objects,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<VerifyReport, EngineError> {
    let mut checked = HashSet::new();
    let mut findings = Vec::new();
    loop {
        let (state, rows) = store.segments()?;
        let mut frontier = Frontier::new();
        for row in &rows {
            if row.first_seq != frontier.size() {
                let what = format!("the manifest has no segment for seq {}", frontier.size());
                findings.push(finding("database", what));
                break;
            }
            // Where the log was sealed or merged meanwhile, only what is new is read.
            if checked.insert(row.object.clone())
                && let Err(error) = check_segment(objects, row, store.log_id())
            {
                if !error.is_damage() {
                    return Err(error);
                }
                findings.push(finding(&row.object, error.to_string()));
            }
            if let Err(error) = frontier.push_subtree(u64::from(row.event_count), row.root) {
                findings.push(finding("database", error.to_string()));
                break;
            }
            progress(frontier.size(), state.head.size);
        }
        let sealed = frontier.size();
        let mut report = VerifyReport {
            events: state.head.size,
            sealed: state.sealed,
            segments: rows.len(),
            ..VerifyReport::default()
        };
        if sealed == state.sealed {
            match store.check(frontier) {
                Ok(head) => {
                    report.events = head.size;
                    report.root = findings.is_empty().then_some(head.root);
                }
                Err(StoreError::SealedMeanwhile { .. }) => continue,
                Err(error @ (StoreError::Damaged { .. } | StoreError::DamagedTail { .. })) => {
                    findings.push(finding("database", error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        } else if findings.is_empty() {
            let what = format!("the segments end at seq {sealed}, the sealed bound is {}", state.sealed);
            findings.push(finding("database", what));
        }
        progress(state.head.size, state.head.size);
        report.findings = findings;
        return Ok(report);
    }
}

fn finding(part: &str, what: String) -> Finding {
    Finding { part: part.to_owned(), what, remedy: REPAIR }
}

/// Checks one segment against the manifest: its bytes, its structure, and its events against the root.
pub(crate) fn check_segment(objects: &Objects, row: &SegmentRow, log_id: LogId) -> Result<(), EngineError> {
    let damaged = |what: String| EngineError::Segment {
        object: row.object.clone(),
        source: annals_segment::SegmentError::Damaged { what },
    };
    let bytes = objects.read_all(&row.object)?;
    if bytes.len() as u64 != row.bytes {
        return Err(damaged(format!("{} bytes instead of {}", bytes.len(), row.bytes)));
    }
    let by_name = |source| EngineError::Segment { object: row.object.clone(), source };
    // The structure first: it names the part that is damaged, the hash of the whole does not.
    check_file(&bytes).map_err(by_name)?;
    if <[u8; 32]>::from(Sha256::digest(&bytes)) != row.sha256 {
        return Err(damaged("its SHA-256 differs from the manifest".to_owned()));
    }
    let part = SealedPart::of_bytes(bytes, row.clone())?;
    let count = usize::try_from(row.event_count).expect("at most 2^18 events");
    let mut leaves = vec![None; count];
    part.each_record(|seq, record| {
        StoredEvent::read(record)?;
        let at = usize::try_from(seq.wrapping_sub(row.first_seq)).unwrap_or(usize::MAX);
        match leaves.get_mut(at) {
            Some(leaf @ None) => *leaf = Some(leaf_hash(&record.leaf_bytes(log_id))),
            _ => return Err(damaged(format!("seq {seq} stands twice or does not belong here"))),
        }
        Ok(())
    })?;
    let leaves: Option<Vec<Hash>> = leaves.into_iter().collect();
    let leaves = leaves.ok_or_else(|| damaged("an event is missing".to_owned()))?;
    if !leaves.len().is_power_of_two() || perfect_root(&leaves) != row.root {
        return Err(damaged("its events lead to another root than the manifest says".to_owned()));
    }
    Ok(())
}
