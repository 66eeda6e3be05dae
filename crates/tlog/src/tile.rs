//! Full tiles: 256 hashes of one level of the tree, written once.

use crate::hash::{HASH_BYTES, Hash, node_hash};

/// Hashes of a full tile: the C2SP tile height is 8.
pub const TILE_HASHES: usize = 256;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = TILE_HASHES * HASH_BYTES;

/// A full tile. Tile `index` of `level` holds the roots of the perfect subtrees of `256^level` leaves, from number
/// `256 * index`.
///
/// # Source
/// C2SP tlog-tiles, "Merkle tree".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Level of tiles, from 0 at the leaves.
    pub level: u8,
    /// Number of the tile in its level.
    pub index: u64,
    /// The hashes in order, 8,192 bytes.
    pub hashes: Vec<u8>,
}

/// Collects leaf hashes into tiles and gives out each tile when it is full.
#[derive(Debug, Clone, Default)]
pub struct TileBuilder {
    /// Per level: number of the open tile and its hashes so far, fewer than 256.
    levels: Vec<(u64, Vec<Hash>)>,
}

impl TileBuilder {
    /// Takes up the work at `size` leaves. `partial_hashes(level, index, count)` returns the first `count` hashes of an open tile:
    /// leaf hashes at level 0, roots of full tiles of the level below elsewhere.
    ///
    /// # Errors
    /// Whatever `partial_hashes` fails with.
    pub fn resume<E>(
        size: u64,
        mut partial_hashes: impl FnMut(u8, u64, usize) -> Result<Vec<Hash>, E>,
    ) -> Result<TileBuilder, E> {
        let mut levels = Vec::new();
        let mut hashes_of_level = size;
        let mut level = 0u8;
        while hashes_of_level > 0 {
            let index = hashes_of_level / TILE_HASHES as u64;
            let count = usize::try_from(hashes_of_level % TILE_HASHES as u64).expect("a remainder under 256");
            levels.push((index, if count == 0 { Vec::new() } else { partial_hashes(level, index, count)? }));
            hashes_of_level = index;
            level += 1;
        }
        Ok(TileBuilder { levels })
    }

    /// Appends one leaf hash and hands every tile that it completes to `full`.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile)) {
        let mut hash = leaf;
        for level in 0u8.. {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push((0, Vec::with_capacity(TILE_HASHES)));
            }
            let (index, hashes) = &mut self.levels[at];
            hashes.push(hash);
            if hashes.len() < TILE_HASHES {
                return;
            }
            let bytes = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
            full(Tile { level, index: *index, hashes: bytes });
            hash = perfect_root(hashes);
            hashes.clear();
            *index += 1;
        }
    }
}

/// Returns the root over a power of two of hashes.
pub fn perfect_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two(), "a perfect subtree has a power of two of leaves");
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row[0]
}
