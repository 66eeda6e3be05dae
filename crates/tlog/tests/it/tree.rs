//! The frontier and the tiles against the definition of RFC 6962, and against published vectors.

use annals_tlog::{
    Frontier, Hash, TILE_HASHES, Tile, TileBuilder, empty_root, leaf_hash, node_hash, perfect_root,
};
use proptest::prelude::*;

/// The definition: split at the largest power of two below the size.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [only] => *only,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|n| leaf_hash(&n.to_be_bytes())).collect()
}

#[test]
fn every_size_has_the_root_of_the_definition() {
    let leaves = leaves(600);
    let mut frontier = Frontier::new();
    for (size, leaf) in leaves.iter().enumerate() {
        assert_eq!(frontier.root(), naive_root(&leaves[..size]), "size {size}");
        frontier.push(*leaf);
    }
}

#[test]
fn a_frontier_survives_its_bytes_and_refuses_others() {
    let mut frontier = Frontier::new();
    leaves(77).into_iter().for_each(|leaf| frontier.push(leaf));
    assert_eq!(Frontier::from_bytes(77, &frontier.to_bytes()).unwrap(), frontier);
    assert!(Frontier::from_bytes(78, &frontier.to_bytes()[..96]).is_err());
    assert!(Frontier::from_bytes(0, &[0; 32]).is_err());
}

#[test]
fn whole_subtrees_lead_to_the_same_frontier() {
    let leaves = leaves(600);
    let mut whole = Frontier::new();
    leaves.iter().for_each(|leaf| whole.push(*leaf));
    let mut joined = Frontier::new();
    for (from, count) in [(0, 256), (256, 256), (512, 64), (576, 16), (592, 8)] {
        joined.push_subtree(count as u64, perfect_root(&leaves[from..from + count])).unwrap();
    }
    assert_eq!(joined, whole);
    assert!(joined.clone().push_subtree(16, leaves[0]).is_err(), "600 is no multiple of 16");
    assert!(joined.push_subtree(3, leaves[0]).is_err());
}

fn tiles(leaves: &[Hash]) -> Vec<Tile> {
    let mut builder = TileBuilder::default();
    let mut tiles = Vec::new();
    leaves.iter().for_each(|leaf| builder.push(*leaf, |tile| tiles.push(tile)));
    tiles
}

#[test]
fn tiles_hold_the_leaves_and_the_roots_below() {
    let leaves = leaves(TILE_HASHES * TILE_HASHES + 300);
    let tiles = tiles(&leaves);
    assert_eq!(tiles.len(), 256 + 1 + 1);
    let upper = tiles.iter().find(|tile| tile.level == 1).unwrap();
    for (n, root) in upper.hashes.chunks_exact(32).enumerate() {
        assert_eq!(root, perfect_root(&leaves[n * 256..(n + 1) * 256]).as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Stopping anywhere and resuming from stored tiles gives the tiles of a run that never stopped.
    #[test]
    fn resuming_gives_the_same_tiles(stop in 0usize..1500, total in 1500usize..2000) {
        let leaves = leaves(total);
        let mut stored = tiles(&leaves[..stop]);
        let resumed = TileBuilder::resume(stop as u64, |level, index, count| -> Result<Vec<Hash>, ()> {
            if level == 0 {
                let from = index as usize * TILE_HASHES;
                return Ok(leaves[from..from + count].to_vec());
            }
            let first = index * TILE_HASHES as u64;
            Ok((first..first + count as u64).map(|below| {
                let tile = stored.iter().find(|tile| tile.level == level - 1 && tile.index == below).unwrap();
                let hashes: Vec<Hash> = tile.hashes.as_chunks::<32>().0.iter().map(|h| Hash::from_bytes(*h)).collect();
                perfect_root(&hashes)
            }).collect())
        });
        let mut builder = resumed.unwrap();
        leaves[stop..].iter().for_each(|leaf| builder.push(*leaf, |tile| stored.push(tile)));
        prop_assert_eq!(stored, tiles(&leaves));
    }
}
