//! Trees that tests take nodes from.

use std::convert::Infallible;

use annals_tlog::{Hash, Node, leaf_hash, node_hash};

/// The bytes of leaf `index`.
pub(crate) fn leaf_bytes(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

/// All nodes of a tree of leaves that differ from each other.
pub(crate) struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    pub(crate) fn new(size: u64) -> Tree {
        Tree::over((0..size).map(|index| leaf_hash(&leaf_bytes(index))).collect())
    }

    pub(crate) fn over(leaves: Vec<Hash>) -> Tree {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            levels.push(below.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect());
        }
        Tree { levels }
    }

    pub(crate) fn leaves(&self) -> &[Hash] {
        &self.levels[0]
    }

    pub(crate) fn node(&self, node: Node) -> Result<Hash, Infallible> {
        Ok(self.levels[usize::from(node.level)][node.index as usize])
    }
}

/// A tree of any size up to 2^64 - 1: its leaves repeat after 1024, so that a table holds all its nodes.
pub(crate) struct Endless {
    period: Tree,
    above: Vec<Hash>,
}

const PERIOD_LEVEL: u8 = 10;

impl Endless {
    pub(crate) fn new() -> Endless {
        let period = Tree::new(1 << PERIOD_LEVEL);
        let mut above = vec![period.node(Node { level: PERIOD_LEVEL, index: 0 }).unwrap()];
        while above.len() < 64 {
            let last = above[above.len() - 1];
            above.push(node_hash(&last, &last));
        }
        Endless { period, above }
    }

    pub(crate) fn node(&self, node: Node) -> Result<Hash, Infallible> {
        // A node may not reach beyond the largest size.
        assert!(node.level < 64 && node.index <= (u64::MAX >> node.level), "{node:?}");
        match node.level.checked_sub(PERIOD_LEVEL) {
            Some(above) => Ok(self.above[usize::from(above)]),
            None => self.period.node(Node { index: node.index % (1 << (PERIOD_LEVEL - node.level)), ..node }),
        }
    }

    pub(crate) fn leaf(&self, index: u64) -> Hash {
        self.period.leaves()[(index % (1 << PERIOD_LEVEL)) as usize]
    }
}
