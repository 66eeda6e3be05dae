//! The tree of events that are gone, out of the full tiles that stand for them.

use std::collections::HashMap;

use annals_store::{PRUNED_STEP, Store, StoreError};
use annals_tlog::{Frontier, Hash, Node, TILE_HEIGHT, Tile, TileBuilder, perfect_root};

use super::{Finding, finding};
use crate::error::EngineError;

/// Levels of tiles below one full tile of level 1.
const LEVELS_BELOW: u8 = 2;

/// Makes the tree of the events before a seq out of its tiles of level 1, and compares those of the levels above with it. `each` hears the tree behind
/// each tile. What stands there is right if the tree that goes on from it leads to the root that was signed.
pub(super) fn tree_before(
    store: &Store,
    pruned: u64,
    each: &mut dyn FnMut(&Frontier),
    findings: &mut Vec<Finding>,
) -> Result<Frontier, EngineError> {
    let (mut tree, mut above) = (Frontier::new(), TileBuilder::default());
    for index in 0..pruned / PRUNED_STEP {
        let root = match hashes(store, 1, index) {
            Ok(hashes) => perfect_root(&hashes),
            Err(EngineError::Store(error @ StoreError::Damaged { .. })) => {
                findings.push(finding("database", error.to_string()));
                Hash::from_bytes([0; 32])
            }
            Err(error) => return Err(error),
        };
        let mut full = Vec::new();
        above.push(root, |tile| full.push(tile));
        for Tile { level, index, hashes } in full {
            let level = level + LEVELS_BELOW;
            let stored = match store.tile_if_kept(level, index) {
                Err(StoreError::Damaged { .. }) => None,
                stored => stored?,
            };
            if stored.is_none_or(|stored| stored != hashes) {
                let what =
                    format!("tile {index} of level {level} is missing, or differs from those below it");
                findings.push(finding("database", what));
            }
        }
        tree.push_subtree(PRUNED_STEP, root)?;
        each(&tree);
    }
    Ok(tree)
}

/// The hashes of the tree of events that are gone: tiles, and what was kept beside them.
pub(super) struct Kept<'s> {
    store: &'s Store,
    /// Roots over whole tiles, which many checkpoints share.
    known: HashMap<Node, Hash>,
    /// What was kept under one full tile of level 1, by its number: checkpoints are asked for in their order.
    below: (u64, HashMap<Node, Hash>),
}

impl<'s> Kept<'s> {
    pub(super) fn new(store: &'s Store) -> Kept<'s> {
        Kept { store, known: HashMap::new(), below: (u64::MAX, HashMap::new()) }
    }

    /// The root of the tree of so many events, all of them gone; none if what it takes was not kept.
    pub(super) fn root_at(&mut self, size: u64) -> Result<Option<Hash>, EngineError> {
        match annals_tlog::root_at(size, |node| self.node(node)) {
            Ok(root) => Ok(Some(root)),
            Err(EngineError::Store(StoreError::Damaged { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn node(&mut self, node: Node) -> Result<Hash, EngineError> {
        if let Some(known) = self.known.get(&node) {
            return Ok(*known);
        }
        let missing = || StoreError::Damaged { what: "a hash was not kept".to_owned() };
        if node.level < TILE_HEIGHT {
            let tile = (node.index << node.level) / PRUNED_STEP;
            if self.below.0 != tile {
                let kept = self.store.kept_nodes(tile * PRUNED_STEP..(tile + 1) * PRUNED_STEP)?;
                self.below = (tile, kept.into_iter().collect());
            }
            return Ok(self.below.1.get(&node).copied().ok_or_else(missing)?);
        }
        let (level, index, range) = node.in_tile();
        let hash = match self.store.tile_if_kept(level, index)? {
            Some(_) => perfect_root(hashes(self.store, level, index)?.get(range).ok_or_else(missing)?),
            None if node.level == TILE_HEIGHT => return Err(missing().into()),
            // Of open tiles the hashes are roots of the tiles below.
            None => {
                let left = self.node(Node { level: node.level - 1, index: 2 * node.index })?;
                let right = self.node(Node { level: node.level - 1, index: 2 * node.index + 1 })?;
                perfect_root(&[left, right])
            }
        };
        self.known.insert(node, hash);
        Ok(hash)
    }
}

/// The tiles that are open behind the events before a seq.
pub(super) fn tiles_at(store: &Store, pruned: u64) -> Result<TileBuilder, EngineError> {
    TileBuilder::resume(pruned, |level, index, count| {
        // A seq that is pruned to is a multiple of the events under a tile of level 1: nothing is open below.
        let first = index * annals_tlog::TILE_HASHES as u64;
        let roots =
            (first..first + count as u64).map(|below| match hashes(store, level.saturating_sub(1), below) {
                Ok(hashes) => Ok(perfect_root(&hashes)),
                // Named before.
                Err(EngineError::Store(StoreError::Damaged { .. })) => Ok(Hash::from_bytes([0; 32])),
                Err(error) => Err(error),
            });
        roots.collect()
    })
}

fn hashes(store: &Store, level: u8, index: u64) -> Result<Vec<Hash>, EngineError> {
    let bytes = store.tile(level, index)?;
    Ok(bytes.as_chunks().0.iter().map(|hash| Hash::from_bytes(*hash)).collect())
}
