//! Published vectors of proofs, trees and tiles. Where they are absent these tests say so by name and pass.

use annals_tlog::{
    Checkpoint, Hash, TileLevel, TilePath, leaf_hash, root_at, subtrees, verify_consistency, verify_inclusion,
};
use serde_json::Value;

use crate::trees::Tree;
use crate::vectors::{bytes, vectors};

/// A hash, unless the vector holds other bytes: those are refused by the type.
fn hash(hex: &Value) -> Option<Hash> {
    <[u8; 32]>::try_from(bytes(hex)).ok().map(Hash::from_bytes)
}

fn proof(case: &Value) -> Option<Vec<Hash>> {
    case["proof"].as_array().unwrap().iter().map(hash).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn is_expected(case: &Value) -> bool {
    match case["expect"].as_str() {
        Some("ok") => true,
        Some("error") => false,
        other => panic!("unknown verdict {other:?} in {case}"),
    }
}

/// Marked good upstream though a root of theirs has 12 bytes.
const GOOD_WITHOUT_HASHES: [&str; 3] = [
    "consistency/additional/sizes-are-equal-one-and-proof-is-empty",
    "subtreeconsistency/additional/sizes-are-equal-one-and-proof-is-empty",
    "subtreeconsistency/additional/subtree-is-empty-sizes-are-equal-zero-subtree-root-valid-tree-root-random-proof-is-empty",
];

#[derive(Default)]
struct Counts {
    accepted: usize,
    refused: usize,
    not_hashes: usize,
}

impl Counts {
    /// `verdict` is none where the vector holds something other than hashes.
    fn add(&mut self, case: &Value, verdict: Option<bool>) {
        let id = case["id"].as_str().unwrap();
        match verdict {
            None => {
                assert!(
                    case["untyped"] == true && (!is_expected(case) || GOOD_WITHOUT_HASHES.contains(&id)),
                    "{case}"
                );
                self.not_hashes += 1;
            }
            Some(verdict) => {
                assert_eq!(verdict, is_expected(case), "{case}");
                if verdict { self.accepted += 1 } else { self.refused += 1 }
            }
        }
    }

    fn total(&self) -> usize {
        self.accepted + self.refused + self.not_hashes
    }
}

/// New kinds of vectors must find their test, or be named here.
#[test]
fn every_kind_of_vector_is_known() {
    let Some(vectors) = vectors("every_kind_of_vector_is_known") else { return };
    let tested = [
        "checkpoints",
        "consistency",
        "hasher",
        "inclusion",
        "logs",
        "offline_bundles",
        "reference_tree",
        "signed_notes",
        "signed_notes_malformed",
        "subtree_consistency",
        "subtree_inclusion",
        "tlog_proof_malformed",
        "tlog_tiles_shape",
    ];
    // RFC 8785 is not used here; `subtree_rolling` is about trees inside a tree, which this crate does not prove.
    let not_ours = ["_about", "_notes", "_paths", "_sources", "jcs_rfc8785", "subtree_rolling"];
    for kind in vectors.as_object().unwrap().keys() {
        assert!(
            tested.contains(&kind.as_str()) || not_ours.contains(&kind.as_str()),
            "unknown kind `{kind}`"
        );
    }
}

#[test]
fn inclusion_proofs_as_published() {
    let Some(vectors) = vectors("inclusion_proofs_as_published") else { return };
    let mut counts = Counts::default();
    for case in vectors["inclusion"].as_array().unwrap() {
        let typed = hash(&case["leaf_hash"]).zip(hash(&case["root"])).zip(proof(case));
        let verdict = typed.map(|((leaf, root), proof)| {
            verify_inclusion(&leaf, number(&case["leaf_index"]), number(&case["tree_size"]), &proof, &root)
                .is_ok()
        });
        counts.add(case, verdict);
    }
    assert_eq!(counts.total(), 107);
    assert!(counts.accepted >= 11 && counts.refused >= 70, "{} {}", counts.accepted, counts.refused);
}

#[test]
fn consistency_proofs_as_published() {
    let Some(vectors) = vectors("consistency_proofs_as_published") else { return };
    let mut counts = Counts::default();
    for case in vectors["consistency"].as_array().unwrap() {
        let typed = hash(&case["root1"]).zip(hash(&case["root2"])).zip(proof(case));
        let verdict = typed.map(|((old, new), proof)| {
            verify_consistency(number(&case["size1"]), number(&case["size2"]), &proof, &old, &new).is_ok()
        });
        counts.add(case, verdict);
    }
    assert_eq!(counts.total(), 99);
    assert!(counts.accepted >= 6 && counts.refused >= 65, "{} {}", counts.accepted, counts.refused);
}

/// A subtree that begins at a multiple of its size is a tree of its own, so its leaves are proven in the same way.
#[test]
fn leaves_of_subtrees_as_published() {
    let Some(vectors) = vectors("leaves_of_subtrees_as_published") else { return };
    let mut counts = Counts::default();
    for case in vectors["subtree_inclusion"].as_array().unwrap() {
        let (start, end) = (number(&case["start"]), number(&case["end"]));
        let typed = hash(&case["leaf_hash"]).zip(hash(&case["root"])).zip(proof(case));
        let verdict = typed.map(|((leaf, root), proof)| {
            let size = end.checked_sub(start).filter(|size| {
                *size > 0 && size.checked_next_power_of_two().is_some_and(|whole| start.is_multiple_of(whole))
            });
            let index = number(&case["leaf_index"]).checked_sub(start);
            let (Some(size), Some(index)) = (size, index) else { return false };
            verify_inclusion(&leaf, index, size, &proof, &root).is_ok()
        });
        counts.add(case, verdict);
    }
    assert_eq!(counts.total(), 204);
    assert!(counts.accepted >= 12 && counts.refused >= 130, "{} {}", counts.accepted, counts.refused);
}

/// Subtrees that begin at the first leaf are older trees; the others are left out.
#[test]
fn subtrees_at_the_start_as_published() {
    let Some(vectors) = vectors("subtrees_at_the_start_as_published") else { return };
    let mut counts = Counts::default();
    for case in vectors["subtree_consistency"].as_array().unwrap() {
        if number(&case["start"]) != 0 {
            continue;
        }
        let typed = hash(&case["root1"]).zip(hash(&case["root2"])).zip(proof(case));
        let verdict = typed.map(|((old, new), proof)| {
            verify_consistency(number(&case["end"]), number(&case["size"]), &proof, &old, &new).is_ok()
        });
        counts.add(case, verdict);
    }
    assert_eq!(counts.total(), 102);
    assert!(counts.accepted >= 6 && counts.refused >= 65, "{} {}", counts.accepted, counts.refused);
}

#[test]
fn the_reference_tree_has_its_published_roots_and_ranges() {
    let Some(vectors) = vectors("the_reference_tree_has_its_published_roots_and_ranges") else { return };
    let published = &vectors["reference_tree"];
    let leaves = published["leaf_inputs"].as_array().unwrap().iter().map(|leaf| leaf_hash(&bytes(leaf)));
    let tree = Tree::over(leaves.collect());
    let roots = published["roots_by_size"].as_array().unwrap();
    let ranges = published["compact_range_by_size"].as_array().unwrap();
    assert_eq!((roots.len(), ranges.len()), (9, 9));
    for (size, (root, range)) in (0u64..).zip(roots.iter().zip(ranges)) {
        assert_eq!(Some(root_at(size, |node| tree.node(node)).unwrap()), hash(root), "size {size}");
        let ours: Vec<Hash> = subtrees(0, size).into_iter().map(|node| tree.node(node).unwrap()).collect();
        let published: Option<Vec<Hash>> = range.as_array().unwrap().iter().map(hash).collect();
        assert_eq!(Some(ours), published, "size {size}");
    }
}

#[test]
fn a_published_log_has_its_tile_and_its_entries() {
    let Some(vectors) = vectors("a_published_log_has_its_tile_and_its_entries") else { return };
    let mut logs = 0;
    for log in vectors["logs"].as_array().unwrap() {
        let leaves: Vec<&str> =
            log["leaves_utf8"].as_array().unwrap().iter().map(|leaf| leaf.as_str().unwrap()).collect();
        let hashes: Vec<u8> = leaves.iter().flat_map(|leaf| *leaf_hash(leaf.as_bytes()).as_bytes()).collect();
        assert_eq!(hashes, bytes(&log["tile_0_000_p15"]));
        let entries: Vec<u8> = leaves
            .iter()
            .flat_map(|leaf| [(leaf.len() as u16).to_be_bytes().as_slice(), leaf.as_bytes()].concat())
            .collect();
        assert_eq!(entries, bytes(&log["entry_bundle_p15"]));
        for (size, note) in (0u64..).zip(log["checkpoints_by_size"].as_array().unwrap()) {
            let (text, _) = note.as_str().unwrap().split_once("\n\n").unwrap();
            let checkpoint: Checkpoint = format!("{text}\n").parse().unwrap();
            let tree = Tree::over(leaves.iter().map(|leaf| leaf_hash(leaf.as_bytes())).collect());
            let root = root_at(size, |node| tree.node(node)).unwrap();
            assert_eq!(checkpoint, Checkpoint::new("example.com/log/testdata", size, root).unwrap());
        }
        logs += 1;
    }
    assert_eq!(logs, 1);
}

#[test]
fn tiles_as_the_specification_counts_them() {
    let Some(vectors) = vectors("tiles_as_the_specification_counts_them") else { return };
    let (mut paths, mut shapes) = (0, 0);
    for case in vectors["tlog_tiles_shape"].as_array().unwrap() {
        if let Some(path) = case["path"].as_str() {
            let index = number(&case["index"]);
            let ours = TilePath::new(TileLevel::Entries, index, 256).unwrap();
            assert_eq!(ours.to_string(), format!("tile/entries/{path}"));
            assert_eq!(format!("tile/5/{path}").parse::<TilePath>().unwrap().index(), index);
            paths += 1;
            continue;
        }
        let size = number(&case["tree_size"]);
        // Every node of the tree is to be found in the tiles that the specification lists, and the last ones are used.
        let tiles = case["tiles"].as_object().unwrap();
        let mut hashes_used = vec![0; tiles.len()];
        for node in subtrees(0, size) {
            let (level, tile, range) = node.in_tile();
            let used = &mut hashes_used[usize::from(level)];
            *used = (*used).max(tile * 256 + range.end as u64);
        }
        for (level, shape) in tiles {
            let level: usize = level.parse().unwrap();
            let listed = number(&shape["full"]) * 256 + number(&shape["partial"]);
            assert_eq!(size >> (8 * level), listed, "size {size}, level {level}");
            assert!(hashes_used[level] == 0 || hashes_used[level] == listed, "size {size}, level {level}");
        }
        shapes += 1;
    }
    assert_eq!((paths, shapes), (1, 2));
}
