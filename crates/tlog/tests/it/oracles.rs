//! Proofs against those of two other libraries: what they make, and how they judge.

use std::convert::Infallible;

use annals_tlog::{
    Frontier, Hash, Node, consistency_proof, inclusion_proof, leaf_hash, root_at, verify_consistency,
    verify_inclusion,
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::Sha256;
use tlog_tiles::HashReader;

use crate::trees::{Endless, Tree, leaf_bytes};

const SIZE_MAX: u64 = 300;

/// Stored nodes as `tlog_tiles` asks for them.
struct Reader<F>(F);

impl<F: Fn(Node) -> Result<Hash, Infallible>> HashReader for Reader<F> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let nodes = indexes.iter().map(|at| tlog_tiles::split_stored_hash_index(*at));
        Ok(nodes.map(|(level, index)| theirs(&self.0(Node { level, index }).unwrap())).collect())
    }
}

fn theirs(hash: &Hash) -> tlog_tiles::Hash {
    tlog_tiles::Hash(*hash.as_bytes())
}

fn all_theirs(proof: &[Hash]) -> Vec<tlog_tiles::Hash> {
    proof.iter().map(theirs).collect()
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn roots(tree: &Tree) -> Vec<Hash> {
    let mut frontier = Frontier::new();
    let mut roots = vec![frontier.root()];
    for leaf in tree.leaves() {
        frontier.push(*leaf);
        roots.push(frontier.root());
    }
    roots
}

#[test]
fn tlog_tiles_makes_and_accepts_the_same_proofs() {
    let tree = Tree::new(SIZE_MAX);
    let reader = Reader(|node| tree.node(node));
    let roots = roots(&tree);
    let mut proofs = 0;
    for size in 0..=SIZE_MAX {
        let root = roots[size as usize];
        assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), theirs(&root));
        for index in 0..size {
            let leaf = leaf_hash(&leaf_bytes(index));
            let proof = inclusion_proof(index, size, |node| tree.node(node)).unwrap();
            let their_proof = tlog_tiles::prove_record(size, index, &reader).unwrap();
            assert_eq!(all_theirs(&proof), their_proof, "leaf {index} of {size}");
            tlog_tiles::check_record(&their_proof, size, theirs(&root), index, theirs(&leaf)).unwrap();
            verify_inclusion(&leaf, index, size, &proof, &root).unwrap();

            let old = index + 1;
            let old_root = roots[old as usize];
            let proof = consistency_proof(old, size, |node| tree.node(node)).unwrap();
            let their_proof = tlog_tiles::prove_tree(size, old, &reader).unwrap();
            assert_eq!(all_theirs(&proof), their_proof, "{old} in {size}");
            tlog_tiles::check_tree(&their_proof, size, theirs(&root), old, theirs(&old_root)).unwrap();
            verify_consistency(old, size, &proof, &old_root, &root).unwrap();
            proofs += 2;
        }
    }
    assert_eq!(proofs, SIZE_MAX * (SIZE_MAX + 1));
}

#[test]
fn ct_merkle_makes_and_accepts_the_same_proofs() {
    let tree = Tree::new(SIZE_MAX);
    let roots = roots(&tree);
    let mut peer = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    let mut proofs = 0;
    for size in 1..=SIZE_MAX {
        peer.push(leaf_bytes(size - 1));
        let peer_root = peer.root();
        let root = roots[size as usize];
        assert_eq!(peer_root.as_bytes().as_slice(), root.as_bytes());
        for index in 0..size {
            let proof = bytes(&inclusion_proof(index, size, |node| tree.node(node)).unwrap());
            assert_eq!(proof, peer.prove_inclusion(index as usize).as_bytes(), "leaf {index} of {size}");
            peer_root
                .verify_inclusion(&leaf_bytes(index), index, &InclusionProof::from_bytes(proof))
                .unwrap();

            let old = index + 1;
            let proof = bytes(&consistency_proof(old, size, |node| tree.node(node)).unwrap());
            assert_eq!(proof, peer.prove_consistency((size - old) as usize).as_bytes(), "{old} in {size}");
            let old_root = RootHash::new((*roots[old as usize].as_bytes()).into(), old);
            let proof = ConsistencyProof::try_from_bytes(proof).unwrap();
            peer_root.verify_consistency(&old_root, &proof).unwrap();
            proofs += 2;
        }
    }
    assert_eq!(proofs, SIZE_MAX * (SIZE_MAX + 1));
}

/// Proofs of one size and place under another: whatever they are worth, both judge them alike.
#[test]
fn tlog_tiles_judges_misplaced_proofs_alike() {
    const SIZE: u64 = 24;
    let tree = Tree::new(SIZE);
    let roots = roots(&tree);
    let (mut accepted, mut refused) = (0, 0);
    for size in 1..=SIZE {
        for index in 0..size {
            let leaf = tree.leaves()[index as usize];
            let path = inclusion_proof(index, size, |node| tree.node(node)).unwrap();
            let proof = consistency_proof(index + 1, size, |node| tree.node(node)).unwrap();
            let (old_root, root) = (roots[index as usize + 1], roots[size as usize]);
            for other_size in 1..=SIZE {
                for other in 0..SIZE {
                    let ours = verify_inclusion(&leaf, other, other_size, &path, &root).is_ok();
                    let peer = tlog_tiles::check_record(
                        &all_theirs(&path),
                        other_size,
                        theirs(&root),
                        other,
                        theirs(&leaf),
                    );
                    assert_eq!(ours, peer.is_ok(), "leaf {index} of {size} as {other} of {other_size}");
                    let old = other + 1;
                    let also = verify_consistency(old, other_size, &proof, &old_root, &root).is_ok();
                    let peer = tlog_tiles::check_tree(
                        &all_theirs(&proof),
                        other_size,
                        theirs(&root),
                        old,
                        theirs(&old_root),
                    );
                    assert_eq!(also, peer.is_ok(), "{} in {size} as {old} in {other_size}", index + 1);
                    for verdict in [ours, also] {
                        if verdict { accepted += 1 } else { refused += 1 }
                    }
                }
            }
        }
    }
    assert!(accepted > 500 && refused > 300_000, "{accepted} {refused}");
}

#[test]
fn tlog_tiles_makes_the_same_proofs_of_large_trees() {
    let tree = Endless::new();
    let reader = Reader(|node| tree.node(node));
    let mut proofs = 0;
    for power in [16, 24, 32, 40, 48, 56, 61] {
        for offset in [-257i64, -1, 0, 1, 255, 256, 70_000] {
            let size = (1u64 << power).checked_add_signed(offset).unwrap();
            let root = root_at(size, |node| tree.node(node)).unwrap();
            assert_eq!(tlog_tiles::tree_hash(size, &reader).unwrap(), theirs(&root));
            for index in
                [0, 1, 255, 256, size / 3, size / 2, size - 2, size - 1].map(|index| index.min(size - 1))
            {
                let proof = inclusion_proof(index, size, |node| tree.node(node)).unwrap();
                assert_eq!(
                    all_theirs(&proof),
                    tlog_tiles::prove_record(size, index, &reader).unwrap(),
                    "leaf {index} of {size}"
                );
                let old = index + 1;
                let proof = consistency_proof(old, size, |node| tree.node(node)).unwrap();
                assert_eq!(
                    all_theirs(&proof),
                    tlog_tiles::prove_tree(size, old, &reader).unwrap(),
                    "{old} in {size}"
                );
                proofs += 2;
            }
        }
    }
    assert_eq!(proofs, 7 * 7 * 8 * 2);
}

#[test]
fn tlog_tiles_names_the_same_tiles() {
    use annals_tlog::{TileLevel, TilePath};

    let mut paths = 0;
    for level in [0, 1, 7, 63] {
        for index in [0, 1, 999, 1_000, 1_234_067, 999_999_999, 1 << 40, u64::MAX] {
            for width in [1u16, 5, 255, 256] {
                let ours = TilePath::new(TileLevel::Hashes(level), index, width).unwrap().to_string();
                // Theirs has the height of tiles in it, as in Go.
                let peer = tlog_tiles::Tile::new(8, level, index, u32::from(width), false).path();
                assert_eq!(ours.replacen("tile/", "tile/8/", 1), peer);
                paths += 1;
            }
        }
    }
    assert_eq!(paths, 128);
}
