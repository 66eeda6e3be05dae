//! Making proofs from stored nodes: which nodes a proof needs, and in which order.
//!
//! The verifier in [`crate::verify_inclusion`] and [`crate::verify_consistency`] shares no code with this file, so that
//! one mistake cannot pass both.

use std::ops::Range;

use crate::hash::{Hash, empty_root, node_hash};
use crate::tile::TILE_HASHES;

/// Levels of the tree that a tile spans: 2^8 hashes.
pub const TILE_HEIGHT: u8 = 8;

/// A perfect subtree: the 2^`level` leaves from leaf `index * 2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Height above the leaves, which have level 0; at most 63.
    pub level: u8,
    /// Number of the subtree among those of its level, from 0.
    pub index: u64,
}

impl Node {
    /// Returns the level and the index of a tile, and the hashes of that tile whose [`crate::perfect_root`] is this
    /// node: 1 to 128 of them.
    ///
    /// The tile need not be full; it needs the hashes of the range.
    ///
    /// # Source
    /// C2SP tlog-tiles, "Merkle tree".
    ///
    /// # Examples
    /// ```
    /// use annals_tlog::Node;
    ///
    /// // Leaves 1024 to 1535: two hashes of tile 0 of level 1.
    /// assert_eq!(Node { level: 9, index: 2 }.in_tile(), (1, 0, 4..6));
    /// ```
    pub fn in_tile(self) -> (u8, u64, Range<usize>) {
        let height = self.level % TILE_HEIGHT;
        let nodes_of_tile = TILE_HASHES as u64 >> height;
        let number = usize::try_from(self.index % nodes_of_tile).expect("a remainder of at most 256");
        (self.level / TILE_HEIGHT, self.index / nodes_of_tile, number << height..(number + 1) << height)
    }
}

/// Why there is no such proof, or why it could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError<E> {
    /// The tree has no such leaf.
    #[error("a tree of {size} leaves has no leaf {index}")]
    IndexBeyondSize {
        /// The leaf, from 0.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// A tree does not shrink.
    #[error("the older tree of {old} leaves is larger than the newer one of {new}")]
    OldBeyondNew {
        /// Leaves of the older tree.
        old: u64,
        /// Leaves of the newer tree.
        new: u64,
    },
    /// The tree has no such leaves.
    #[error("a tree of {size} leaves has no range from {begin} to before {end}")]
    RangeBeyondSize {
        /// First leaf, from 0.
        begin: u64,
        /// Leaf after the last one.
        end: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// A stored node could not be had.
    #[error("a node of the tree could not be read")]
    Node(#[source] E),
}

/// Returns the perfect subtrees that the leaves from `begin` to before `end` consist of, left to right: the fewest, at
/// most 126. None if `begin >= end`.
///
/// # Examples
/// ```
/// use annals_tlog::{Node, subtrees};
///
/// // Leaf 3, leaves 4 to 7, leaf 8.
/// let expected = [(0, 3), (2, 1), (0, 8)].map(|(level, index)| Node { level, index });
/// assert_eq!(subtrees(3, 9), expected);
/// ```
pub fn subtrees(begin: u64, end: u64) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut at = begin;
    while at < end {
        // A subtree begins at a multiple of its size, and it ends before the range does.
        let level = at.trailing_zeros().min((end - at).ilog2());
        nodes.push(Node { level: u8::try_from(level).expect("at most 63"), index: at >> level });
        at += 1 << level;
    }
    nodes
}

/// Returns the root of the tree of the first `size` leaves; asks `node` for one node for each set bit of `size`.
///
/// # Errors
/// Whatever `node` fails with.
///
/// # Source
/// RFC 6962, section 2.1.
pub fn root_at<E>(size: u64, node: impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    range_root(0, size, node)
}

/// The root over leaves that begin at a multiple of the largest power of two among them, as a right child does.
fn range_root<E>(begin: u64, end: u64, node: impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
    let hashes = subtrees(begin, end).into_iter().map(node).collect::<Result<Vec<Hash>, E>>()?;
    let joined = hashes.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    Ok(joined.unwrap_or_else(empty_root))
}

/// Where a tree or subtree of at least two leaves splits: the largest power of two below its size.
fn split(begin: u64, end: u64) -> u64 {
    begin + (1 << (end - begin - 1).ilog2())
}

/// Returns the proof that leaf `index` is in the tree of the first `size` leaves: at most 64 hashes, from the leaf
/// towards the root.
///
/// `index` counts from 0 and `size` counts leaves, so `index < size`.
///
/// # Errors
/// [`ProofError::IndexBeyondSize`], or [`ProofError::Node`] with what `node` fails with.
///
/// # Source
/// RFC 9162, section 2.1.3.1 (RFC 6962, section 2.1.1).
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    mut node: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProofError<E>> {
    if index >= size {
        return Err(ProofError::IndexBeyondSize { index, size });
    }
    let mut from_root = Vec::new();
    let (mut begin, mut end) = (0, size);
    while end - begin > 1 {
        let middle = split(begin, end);
        let sibling = if index < middle { (middle, end) } else { (begin, middle) };
        (begin, end) = if index < middle { (begin, middle) } else { (middle, end) };
        from_root.push(range_root(sibling.0, sibling.1, &mut node).map_err(ProofError::Node)?);
    }
    from_root.reverse();
    Ok(from_root)
}

/// Returns the proof that the tree of `new` leaves begins with the tree of `old` leaves: at most 65 hashes in the order
/// of the RFC. It is empty if `old` is 0 or `new`.
///
/// # Errors
/// [`ProofError::OldBeyondNew`], or [`ProofError::Node`] with what `node` fails with.
///
/// # Source
/// RFC 9162, section 2.1.4.1 (RFC 6962, section 2.1.2).
pub fn consistency_proof<E>(
    old: u64,
    new: u64,
    mut node: impl FnMut(Node) -> Result<Hash, E>,
) -> Result<Vec<Hash>, ProofError<E>> {
    if old > new {
        return Err(ProofError::OldBeyondNew { old, new });
    }
    if old == 0 {
        return Ok(Vec::new());
    }
    let mut from_root = Vec::new();
    let (mut begin, mut end) = (0, new);
    while old < end {
        let middle = split(begin, end);
        let sibling = if old <= middle { (middle, end) } else { (begin, middle) };
        (begin, end) = if old <= middle { (begin, middle) } else { (middle, end) };
        from_root.push(range_root(sibling.0, sibling.1, &mut node).map_err(ProofError::Node)?);
    }
    // The verifier knows the old root, and with it the subtree that is the whole old tree.
    if begin > 0 {
        from_root.push(range_root(begin, end, &mut node).map_err(ProofError::Node)?);
    }
    from_root.reverse();
    Ok(from_root)
}
