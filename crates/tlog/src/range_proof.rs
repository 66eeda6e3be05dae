//! Proof of a run of leaves: all of them, in their order, and none left out.

use crate::frontier::Frontier;
use crate::hash::Hash;
use crate::proof::{Node, ProofError, subtrees};

/// What stands left and right of a run of leaves. With the leaves it gives the root of the whole tree, so it proves
/// them all at once, that none between them is missing, and where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangeProof {
    /// The perfect subtrees before the run, left to right: at most 63 hashes.
    pub left: Vec<Hash>,
    /// The perfect subtrees after the run, left to right: at most 126 hashes.
    pub right: Vec<Hash>,
}

/// Why a proof does not belong to these leaves and this tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The leaves reach beyond the tree.
    #[error("a tree of {size} leaves ends before the leaves that begin at {begin} do")]
    BeyondSize {
        /// First leaf, from 0.
        begin: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// The proof has a wrong number of hashes for what stands on one side.
    #[error("the leaves from {begin} to before {end} are {expected} subtrees, not {actual}")]
    WrongLength {
        /// First leaf of the side, from 0.
        begin: u64,
        /// Leaf after the last one of the side.
        end: u64,
        /// Hashes that belong to it.
        expected: usize,
        /// Hashes found.
        actual: usize,
    },
}

/// Returns the proof of the leaves from `begin` to before `end` in the tree of the first `size` leaves. The run may be
/// empty.
///
/// # Errors
/// [`ProofError::RangeBeyondSize`] unless `begin <= end <= size`, or [`ProofError::Node`] with what `node` fails with.
pub fn range_proof<E>(
    begin: u64,
    end: u64,
    size: u64,
    mut node: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<RangeProof, ProofError<E>> {
    if begin > end || end > size {
        return Err(ProofError::RangeBeyondSize { begin, end, size });
    }
    let mut hashes = |begin, end| {
        subtrees(begin, end)
            .into_iter()
            .map(&mut node)
            .collect::<Result<Vec<Hash>, E>>()
            .map_err(ProofError::Node)
    };
    Ok(RangeProof { left: hashes(0, begin)?, right: hashes(end, size)? })
}

impl RangeProof {
    /// Returns the root of the tree of `size` leaves in which `leaves` stand from number `begin`. The caller compares it
    /// with a root that it trusts: only then is anything proven.
    ///
    /// The leaves are taken one by one and are not kept.
    ///
    /// # Errors
    /// [`RangeError`] if the leaves do not fit into the tree, or the proof has too few or too many hashes.
    pub fn root(
        &self,
        begin: u64,
        leaves: impl IntoIterator<Item = Hash>,
        size: u64,
    ) -> Result<Hash, RangeError> {
        let beyond = RangeError::BeyondSize { begin, size };
        if begin > size {
            return Err(beyond);
        }
        let mut frontier = Frontier::new();
        push_all(&mut frontier, begin, &self.left)?;
        for leaf in leaves {
            if frontier.size() == size {
                return Err(beyond);
            }
            frontier.push(leaf);
        }
        push_all(&mut frontier, size, &self.right)?;
        Ok(frontier.root())
    }
}

/// Brings the tree to `end` leaves.
fn push_all(frontier: &mut Frontier, end: u64, hashes: &[Hash]) -> Result<(), RangeError> {
    let begin = frontier.size();
    let nodes = subtrees(begin, end);
    if nodes.len() != hashes.len() {
        return Err(RangeError::WrongLength { begin, end, expected: nodes.len(), actual: hashes.len() });
    }
    for (node, hash) in nodes.iter().zip(hashes) {
        frontier
            .push_subtree(1 << node.level, *hash)
            .expect("each subtree begins where the one before it ends");
    }
    Ok(())
}
