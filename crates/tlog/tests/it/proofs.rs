//! Proofs as they are made against proofs as they are checked, and against every small change.

use std::convert::Infallible;

use annals_tlog::{
    Frontier, Hash, Node, ProofError, RangeError, RangeProof, VerifyError, consistency_proof, empty_root,
    inclusion_proof, leaf_hash, perfect_root, range_proof, root_at, subtrees, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;

use crate::trees::{Endless, Tree};

fn flipped(hash: &Hash, bit: usize) -> Hash {
    let mut bytes = *hash.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Hash::from_bytes(bytes)
}

/// The proof with one bit of one hash flipped, with one hash dropped, with one added, with two swapped.
fn changes(proof: &[Hash], bit: usize) -> Vec<Vec<Hash>> {
    let mut changed = Vec::new();
    for at in 0..proof.len() {
        let mut flip = proof.to_vec();
        flip[at] = flipped(&flip[at], bit);
        let mut drop = proof.to_vec();
        drop.remove(at);
        changed.extend([flip, drop]);
        if at > 0 && proof[at] != proof[at - 1] {
            let mut swap = proof.to_vec();
            swap.swap(at - 1, at);
            changed.push(swap);
        }
    }
    for at in 0..=proof.len() {
        let mut more = proof.to_vec();
        more.insert(at, leaf_hash(b"one too many"));
        changed.push(more);
    }
    changed
}

fn root_of(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

fn roots_by_size(tree: &Tree) -> Vec<Hash> {
    (0..=tree.leaves().len()).map(|size| root_of(&tree.leaves()[..size])).collect()
}

#[test]
fn the_frontier_has_the_root_of_the_stored_nodes() {
    let tree = Tree::new(2_100);
    let mut frontier = Frontier::new();
    for size in 0..=2_100u64 {
        assert_eq!(root_at(size, |node| tree.node(node)).unwrap(), frontier.root(), "size {size}");
        if let Some(leaf) = tree.leaves().get(size as usize) {
            frontier.push(*leaf);
        }
    }
}

#[test]
fn subtrees_are_aligned_and_cover_their_range() {
    let ends =
        [0, 1, 2, 3, 7, 8, 255, 256, 257, 70_000, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];
    for begin in ends {
        for end in ends {
            let nodes = subtrees(begin, end);
            let mut at = u128::from(begin);
            for node in &nodes {
                assert_eq!(u128::from(node.index) << node.level, at, "{begin}..{end}: {node:?}");
                at += 1 << node.level;
            }
            assert_eq!(at, u128::from(begin.max(end)), "{begin}..{end}");
            assert!(nodes.len() <= 126);
            // The fewest: no two of them are the halves of one.
            let halves = |pair: &[Node]| pair[0].level == pair[1].level && pair[0].index.is_multiple_of(2);
            assert!(!nodes.windows(2).any(halves), "{begin}..{end}");
        }
    }
}

#[test]
fn a_node_is_the_root_of_a_part_of_one_tile() {
    let tree = Tree::new(1 << 17);
    let mut nodes = 0;
    for level in 0..=17u8 {
        for index in (0..(1u64 << (17 - level))).step_by(7) {
            let node = Node { level, index };
            let (tile_level, tile, range) = node.in_tile();
            assert!(range.end <= 256, "{node:?}");
            let hashes: Vec<Hash> = range
                .map(|at| Node { level: tile_level * 8, index: tile * 256 + at as u64 })
                .map(|hash| tree.node(hash).unwrap())
                .collect();
            assert_eq!(perfect_root(&hashes), tree.node(node).unwrap(), "{node:?}");
            nodes += 1;
        }
    }
    assert!(nodes > 37_000, "{nodes}");
    assert_eq!(Node { level: 0, index: u64::MAX }.in_tile(), (0, u64::MAX / 256, 255..256));
    assert_eq!(Node { level: 63, index: 1 }.in_tile(), (7, 0, 128..256));
}

#[test]
fn what_is_not_in_the_tree_has_no_proof() {
    let none = |_: Node| Err("not asked for");
    assert_eq!(inclusion_proof(5, 5, none), Err(ProofError::IndexBeyondSize { index: 5, size: 5 }));
    assert_eq!(inclusion_proof(0, 0, none), Err(ProofError::IndexBeyondSize { index: 0, size: 0 }));
    assert_eq!(consistency_proof(6, 5, none), Err(ProofError::OldBeyondNew { old: 6, new: 5 }));
    for (begin, end) in [(0, 6), (4, 3), (6, 6)] {
        assert_eq!(
            range_proof(begin, end, 5, none),
            Err(ProofError::RangeBeyondSize { begin, end, size: 5 })
        );
    }
    assert_eq!(inclusion_proof(1, 5, none), Err(ProofError::Node("not asked for")));
    assert_eq!(consistency_proof(1, 5, none), Err(ProofError::Node("not asked for")));
    assert_eq!(range_proof(1, 5, 5, none), Err(ProofError::Node("not asked for")));
    // These ask for nothing.
    assert_eq!(consistency_proof(0, 5, none), Ok(Vec::new()));
    assert_eq!(consistency_proof(5, 5, none), Ok(Vec::new()));
    assert_eq!(inclusion_proof(0, 1, none), Ok(Vec::new()));
    assert_eq!(root_at(0, none), Ok(empty_root()));
}

#[test]
fn the_empty_tree_begins_every_tree() {
    let root = leaf_hash(b"any");
    assert_eq!(verify_consistency(0, 9, &[], &empty_root(), &root), Ok(()));
    assert_eq!(verify_consistency(0, 0, &[], &empty_root(), &empty_root()), Ok(()));
    assert_eq!(verify_consistency(0, 0, &[], &empty_root(), &root), Err(VerifyError::WrongRoot));
    assert_eq!(verify_consistency(0, 9, &[], &root, &root), Err(VerifyError::WrongOldRoot));
    let long = VerifyError::WrongLength { actual: 1 };
    assert_eq!(verify_consistency(0, 9, &[root], &empty_root(), &root), Err(long));
    assert_eq!(verify_consistency(9, 9, &[root], &root, &root), Err(long));
}

#[test]
fn hostile_sizes_and_lengths_are_answered() {
    let hash = leaf_hash(b"x");
    let sizes =
        [0, 1, 2, 3, 255, 256, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    for a in sizes {
        for b in sizes {
            for length in [0, 1, 2, 62, 63, 64, 65, 66, 1_000] {
                let proof = vec![hash; length];
                let inclusion = verify_inclusion(&hash, a, b, &proof, &empty_root());
                assert!(inclusion.is_err(), "{a} {b} {length}");
                let consistency = verify_consistency(a, b, &proof, &hash, &empty_root());
                assert!(consistency.is_err(), "{a} {b} {length}");
            }
            let sides = RangeProof { left: vec![hash; 3], right: vec![hash; 2] };
            let _ = sides.root(a, [hash, hash], b);
        }
    }
}

#[test]
fn every_leaf_and_every_older_tree_of_small_trees_is_proven_and_no_other() {
    let tree = Tree::new(70);
    let roots = roots_by_size(&tree);
    let mut proofs = 0;
    for size in 1..=70u64 {
        let root = roots[size as usize];
        for index in 0..size {
            let proof = inclusion_proof(index, size, |node| tree.node(node)).unwrap();
            for leaf in 0..size + 2 {
                let checked =
                    verify_inclusion(&tree.leaves()[index as usize], leaf, size, &proof, &root).is_ok();
                assert_eq!(checked, leaf == index, "leaf {index} as {leaf} of {size}");
                proofs += 1;
            }
        }
        for old in 0..=size {
            let proof = consistency_proof(old, size, |node| tree.node(node)).unwrap();
            verify_consistency(old, size, &proof, &roots[old as usize], &root).unwrap();
            for other in (0..=size).filter(|other| *other != old) {
                let other_root = roots[other as usize];
                let accepted = verify_consistency(old, size, &proof, &other_root, &root).is_ok();
                assert!(!accepted, "the root of {other} for that of {old} in {size}");
                proofs += 1;
            }
        }
    }
    assert!(proofs > 200_000, "{proofs}");
}

#[test]
fn every_range_of_small_trees_gives_the_root() {
    let tree = Tree::new(40);
    let mut ranges = 0;
    for size in 0..=40u64 {
        let root = root_of(&tree.leaves()[..size as usize]);
        for begin in 0..=size {
            for end in begin..=size {
                let proof = range_proof(begin, end, size, |node| tree.node(node)).unwrap();
                let leaves = tree.leaves()[begin as usize..end as usize].iter().copied();
                assert_eq!(proof.root(begin, leaves, size), Ok(root), "{begin}..{end} of {size}");
                let one_too_many = vec![leaf_hash(b"more"); (size - begin + 1) as usize];
                let beyond = Err(RangeError::BeyondSize { begin, size });
                assert_eq!(proof.root(begin, one_too_many, size), beyond, "{begin} of {size}");
                ranges += 1;
            }
        }
    }
    assert!(ranges > 11_000, "{ranges}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn changed_inclusion_proofs_are_refused(size in 1u64..3_000, at in any::<prop::sample::Index>(), bit in 0usize..256) {
        let tree = Tree::new(size);
        let index = at.index(size as usize) as u64;
        let leaf = tree.leaves()[index as usize];
        let root = root_of(tree.leaves());
        let proof = inclusion_proof(index, size, |node| tree.node(node)).unwrap();
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
        for changed in changes(&proof, bit) {
            prop_assert!(verify_inclusion(&leaf, index, size, &changed, &root).is_err());
        }
        prop_assert!(verify_inclusion(&flipped(&leaf, bit), index, size, &proof, &root).is_err());
        prop_assert!(verify_inclusion(&leaf, index, size, &proof, &flipped(&root, bit)).is_err());
        for other in [index ^ 1, index + 1, index.wrapping_sub(1), index + size, index ^ (1 << 63)] {
            prop_assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err());
        }
        // A root says nothing of its size, but the root of another size is another root.
        for other in [size + 1, size - 1, size * 2] {
            let other_root = root_of(Tree::new(other).leaves());
            prop_assert!(verify_inclusion(&leaf, index, other, &proof, &other_root).is_err());
        }
    }

    #[test]
    fn changed_consistency_proofs_are_refused(new in 1u64..3_000, at in any::<prop::sample::Index>(), bit in 0usize..256) {
        let tree = Tree::new(new);
        let old = at.index(new as usize) as u64 + 1;
        let (old_root, new_root) = (root_of(&tree.leaves()[..old as usize]), root_of(tree.leaves()));
        let proof = consistency_proof(old, new, |node| tree.node(node)).unwrap();
        prop_assert_eq!(verify_consistency(old, new, &proof, &old_root, &new_root), Ok(()));
        for changed in changes(&proof, bit) {
            prop_assert!(verify_consistency(old, new, &changed, &old_root, &new_root).is_err());
        }
        prop_assert!(verify_consistency(old, new, &proof, &flipped(&old_root, bit), &new_root).is_err());
        prop_assert!(verify_consistency(old, new, &proof, &old_root, &flipped(&new_root, bit)).is_err());
        prop_assert!(verify_consistency(new + 1, new, &proof, &old_root, &new_root).is_err());
        prop_assert!(verify_consistency(0, new, &proof, &old_root, &new_root).is_err());
        // A rewritten leaf below `old` makes another tree, and its proof does not lead back to the old root.
        let mut leaves = tree.leaves().to_vec();
        leaves[(old - 1) as usize] = leaf_hash(b"rewritten");
        let forged = Tree::over(leaves);
        let forged_proof = consistency_proof(old, new, |node| forged.node(node)).unwrap();
        let forged_root = root_of(forged.leaves());
        prop_assert!(verify_consistency(old, new, &forged_proof, &old_root, &forged_root).is_err());
        prop_assert!(verify_consistency(old, new, &proof, &old_root, &forged_root).is_err());
    }

    #[test]
    fn changed_ranges_give_another_root(size in 1u64..600, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), bit in 0usize..256) {
        let tree = Tree::new(size);
        let (a, b) = (a.index(size as usize + 1) as u64, b.index(size as usize + 1) as u64);
        let (begin, end) = (a.min(b), a.max(b));
        let proof = range_proof(begin, end, size, |node| tree.node(node)).unwrap();
        let leaves = tree.leaves()[begin as usize..end as usize].to_vec();
        let root = root_of(tree.leaves());
        let of = |proof: &RangeProof, leaves: &[Hash]| proof.root(begin, leaves.iter().copied(), size);
        prop_assert_eq!(of(&proof, &leaves), Ok(root));
        for left in changes(&proof.left, bit) {
            prop_assert_ne!(of(&RangeProof { left, ..proof.clone() }, &leaves), Ok(root));
        }
        for right in changes(&proof.right, bit) {
            prop_assert_ne!(of(&RangeProof { right, ..proof.clone() }, &leaves), Ok(root));
        }
        for leaves in changes(&leaves[..leaves.len().min(20)], bit) {
            let rest = tree.leaves()[begin as usize..end as usize].iter().skip(20);
            let changed: Vec<Hash> = leaves.into_iter().chain(rest.copied()).collect();
            prop_assert_ne!(of(&proof, &changed), Ok(root));
        }
        prop_assert_eq!(
            proof.root(size + 1, leaves.iter().copied(), size),
            Err(RangeError::BeyondSize { begin: size + 1, size })
        );
        prop_assert_eq!(
            proof.root(begin, std::iter::repeat(leaf_hash(b"endless")), size),
            Err(RangeError::BeyondSize { begin, size })
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn proofs_hold_at_any_size(size in 1u64..=u64::MAX, shift in 0u32..64, at in any::<u64>(), bit in 0usize..256) {
        let tree = Endless::new();
        let size = (size >> shift).max(1);
        let (index, old) = (at % size, at % size + 1);
        let node = |node: Node| -> Result<Hash, Infallible> { tree.node(node) };
        let (old_root, root) = (root_at(old, node).unwrap(), root_at(size, node).unwrap());
        let path = inclusion_proof(index, size, node).unwrap();
        let leaf = tree.leaf(index);
        prop_assert!(path.len() <= 64);
        prop_assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()));
        let proof = consistency_proof(old, size, node).unwrap();
        prop_assert!(proof.len() <= 65);
        prop_assert_eq!(verify_consistency(old, size, &proof, &old_root, &root), Ok(()));
        for changed in changes(&path, bit) {
            prop_assert!(verify_inclusion(&leaf, index, size, &changed, &root).is_err());
        }
        for changed in changes(&proof, bit) {
            prop_assert!(verify_consistency(old, size, &changed, &old_root, &root).is_err());
        }
        let end = index.saturating_add(700).min(size);
        let range = range_proof(index, end, size, node).unwrap();
        prop_assert!(range.left.len() <= 63 && range.right.len() <= 126);
        prop_assert_eq!(range.root(index, (index..end).map(|index| tree.leaf(index)), size), Ok(root));
    }
}
