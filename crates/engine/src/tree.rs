//! The tree of the log as it is stored: hashes of any perfect subtree, and the proofs made of them.
//!
//! Full tiles stand in the database, but for level-0 tiles of sealed events: their hashes are made again from the events. What
//! is incomplete follows from the level below. A proof reads only what
//! is complete at its size, so it stays right however much is appended meanwhile.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use annals_model::record::Record;
use annals_segment::EventPage;
use annals_store::{Store, StoreError};
use annals_tlog::{HASH_BYTES, Hash, Node, TILE_HASHES, perfect_root, root_at};

use crate::error::EngineError;
use crate::index::Index;
use crate::sealed::SealedPart;

/// Level-0 tiles of sealed events that are kept once they were made: 4 MiB.
const KEPT_TILES_MAX: usize = 512;
/// Roots of full tiles that are kept: some 10 MiB, for the open tiles of a log of any size.
const KEPT_ROOTS_MAX: u64 = 100_000;
/// How often the place of an event is looked for again, when it was sealed or merged meanwhile.
const LOOKS_MAX: usize = 4;

/// Reads hashes of the tree.
#[derive(Debug, Clone)]
pub(crate) struct TreeReader {
    store: Arc<Store>,
    index: Arc<Index>,
    /// Leaf hashes by number of their tile.
    kept: Arc<Mutex<HashMap<u64, Arc<Vec<Hash>>>>>,
    /// Roots of full tiles, by level and number.
    roots: moka::sync::Cache<(u8, u64), Hash>,
}

impl TreeReader {
    pub(crate) fn new(store: Arc<Store>, index: Arc<Index>) -> TreeReader {
        let roots = moka::sync::Cache::new(KEPT_ROOTS_MAX);
        TreeReader { store, index, kept: Arc::default(), roots }
    }

    /// The same reader, which remembers nothing.
    pub(crate) fn anew(&self) -> TreeReader {
        TreeReader::new(Arc::clone(&self.store), Arc::clone(&self.index))
    }

    /// The root of a perfect subtree that is complete.
    pub(crate) fn node(&self, node: Node) -> Result<Hash, EngineError> {
        let (level, index, hashes) = node.in_tile();
        match self.hashes(level, index, hashes) {
            // The events are gone; what published checkpoints need was kept.
            Err(error @ EngineError::Pruned { .. }) => self.store.kept_node(node)?.ok_or(error),
            hashes => Ok(perfect_root(&hashes?)),
        }
    }

    /// The root of the tree when it had so many events.
    pub(crate) fn root_at(&self, size: u64) -> Result<Hash, EngineError> {
        root_at(size, |node| self.node(node))
    }

    /// Some hashes of a tile, all of them complete.
    pub(crate) fn hashes(
        &self,
        level: u8,
        index: u64,
        range: Range<usize>,
    ) -> Result<Vec<Hash>, EngineError> {
        let stored = self.store.tile_if_kept(level, index)?;
        let first = index * TILE_HASHES as u64;
        match (stored, level.checked_sub(1)) {
            (Some(bytes), _) => {
                let hashes =
                    bytes.as_chunks::<HASH_BYTES>().0.get(range).ok_or_else(|| missing(level, index))?;
                Ok(hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect())
            }
            // Of an open tile only what is asked for, each hash the root of a full tile below.
            (None, Some(below)) => range.map(|at| self.tile_root(below, first + at as u64)).collect(),
            (None, None) => {
                if let Some(tile) = self.kept().get(&index) {
                    return tile.get(range).map(<[Hash]>::to_vec).ok_or_else(|| missing(level, index));
                }
                let leaves = self.leaves(first..first + range.end as u64)?;
                if leaves.len() == TILE_HASHES {
                    let mut kept = self.kept();
                    if kept.len() >= KEPT_TILES_MAX {
                        kept.clear();
                    }
                    kept.insert(index, Arc::new(leaves.clone()));
                }
                leaves.get(range).map(<[Hash]>::to_vec).ok_or_else(|| missing(level, index))
            }
        }
    }

    /// The root of a full tile, which never changes.
    fn tile_root(&self, level: u8, index: u64) -> Result<Hash, EngineError> {
        if let Some(root) = self.roots.get(&(level, index)) {
            return Ok(root);
        }
        let root = perfect_root(&self.hashes(level, index, 0..TILE_HASHES)?);
        self.roots.insert((level, index), root);
        Ok(root)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Vec<Hash>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaf hashes made again from the events.
    fn leaves(&self, seqs: Range<u64>) -> Result<Vec<Hash>, EngineError> {
        let log_id = self.store.log_id();
        let mut leaves = Vec::with_capacity(TILE_HASHES);
        self.each_record(seqs, |_, record| {
            leaves.push(Hash::from_bytes(record.leaf_hash(log_id)));
            Ok(())
        })?;
        Ok(leaves)
    }

    /// Hands on the records of consecutive seqs, all of which are in the log.
    pub(crate) fn each_record(
        &self,
        seqs: Range<u64>,
        mut each: impl FnMut(u64, &Record<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut at = seqs.start;
        let mut looks = 0;
        while at < seqs.end {
            let before = at;
            let parts = self.index.parts();
            if at < parts.first_seq() {
                return Err(EngineError::Pruned { before: parts.first_seq() });
            }
            let read = match parts.sealed_at(at) {
                Some(part) => sealed_records(part, at..seqs.end.min(part.end_seq()), &mut at, &mut each),
                None => self.tail_records(at..seqs.end, &mut at, &mut each),
            };
            looks = if at > before { 0 } else { looks + 1 };
            match read {
                Ok(()) if at > before => {}
                // Sealed or merged since: look where it is now.
                Ok(()) if looks < LOOKS_MAX => self.index.refresh_manifest(&self.store)?,
                Ok(()) => return Err(EngineError::NotOpenYet { seq: at }),
                Err(error) if error.is_damage() && looks < LOOKS_MAX => {
                    self.index.refresh_manifest(&self.store)?
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn tail_records(
        &self,
        seqs: Range<u64>,
        at: &mut u64,
        each: &mut dyn FnMut(u64, &Record<'_>) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let Some(row) = self.store.row_of(seqs.start)? else { return Ok(()) };
        for record in row.records() {
            let (seq, record) = record?;
            if seqs.contains(&seq) {
                each(seq, &record)?;
                *at = seq + 1;
            }
        }
        Ok(())
    }
}

fn sealed_records(
    part: &SealedPart,
    seqs: Range<u64>,
    at: &mut u64,
    each: &mut dyn FnMut(u64, &Record<'_>) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    // Rows stand by time; of events that came in order, one page holds many that follow each other.
    let mut page: Option<EventPage> = None;
    for seq in seqs {
        let row = part.row_of_seq(seq)?;
        let page = match &mut page {
            Some(page) if page.rows().contains(&row) => page,
            other => other.insert(part.page_of(row)?),
        };
        each(seq, &part.record(page, row)?)?;
        *at = seq + 1;
    }
    Ok(())
}

fn missing(level: u8, index: u64) -> EngineError {
    StoreError::Damaged { what: format!("tile {index} of level {level} has too few hashes") }.into()
}
