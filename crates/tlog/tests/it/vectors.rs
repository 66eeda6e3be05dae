//! Published vectors (RFC 6962 hashing, a reference tree, a log's roots by size). They are not part of the project;
//! where they are absent these tests say so by name and pass.

use annals_tlog::{Frontier, Hash, empty_root, leaf_hash, node_hash};
use serde_json::Value;

pub(crate) fn vectors(test: &str) -> Option<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/merkle.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped {test}: ../shared/vectors/merkle.json is absent");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

pub(crate) fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect()
}

fn hash_of_three(hex: &Value) -> String {
    hex.as_str().unwrap().to_owned()
}

#[test]
fn hashes_as_published() {
    let Some(vectors) = vectors("hashes_as_published") else { return };
    let mut seen = 0;
    for case in vectors["hasher"].as_array().unwrap() {
        let got = match case["op"].as_str().unwrap() {
            "empty_root" => empty_root(),
            "leaf" => leaf_hash(&bytes(&case["in"])),
            // The published node case hashes two texts of four bytes, which our typed function does not take.
            _ => continue,
        };
        assert_eq!(got.to_string(), hash_of_three(&case["out"]), "{case}");
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn a_reference_tree_has_its_published_nodes() {
    let Some(vectors) = vectors("a_reference_tree_has_its_published_nodes") else { return };
    let tree = &vectors["reference_tree"];
    let mut row: Vec<Hash> =
        tree["leaf_inputs"].as_array().unwrap().iter().map(|leaf| leaf_hash(&bytes(leaf))).collect();
    for level in tree["node_hashes_by_level"].as_array().unwrap() {
        let published: Vec<String> = level.as_array().unwrap().iter().map(hash_of_three).collect();
        assert_eq!(row.iter().map(Hash::to_string).collect::<Vec<_>>(), published);
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
}

#[test]
fn a_published_log_has_its_roots_at_every_size() {
    let Some(vectors) = vectors("a_published_log_has_its_roots_at_every_size") else { return };
    for log in vectors["logs"].as_array().unwrap() {
        let (Some(leaves), Some(roots)) = (log["leaves_utf8"].as_array(), log["roots_by_size"].as_array())
        else {
            continue;
        };
        let mut frontier = Frontier::new();
        for (size, root) in roots.iter().enumerate() {
            assert_eq!(frontier.root().to_string(), hash_of_three(root), "size {size}");
            if let Some(leaf) = leaves.get(size) {
                frontier.push(leaf_hash(leaf.as_str().unwrap().as_bytes()));
            }
        }
    }
}
