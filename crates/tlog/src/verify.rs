//! Checking proofs: the iterative algorithms of RFC 9162, written without a look at how proofs are made.
//!
//! Any input is answered, with sizes up to `u64::MAX` and proofs of any length; nothing here panics.

use crate::hash::{Hash, empty_root, node_hash};

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
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
    /// The proof has too few or too many hashes for these sizes.
    #[error("a proof of {actual} hashes does not fit these sizes")]
    WrongLength {
        /// Hashes found.
        actual: usize,
    },
    /// The proof leads to another root than the given one of the older tree.
    #[error("the proof does not lead to the root of the older tree")]
    WrongOldRoot,
    /// The proof leads to another root than the given one.
    #[error("the proof does not lead to the root of the tree")]
    WrongRoot,
}

/// Checks that the leaf with the hash `leaf` is number `index` in the tree of `size` leaves with the root `root`.
///
/// `index` counts from 0. The proof is ordered from the leaf towards the root.
///
/// # Errors
/// [`VerifyError`] if it is not proven.
///
/// # Source
/// RFC 9162, section 2.1.3.2.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), VerifyError> {
    if index >= size {
        return Err(VerifyError::IndexBeyondSize { index, size });
    }
    let wrong_length = VerifyError::WrongLength { actual: proof.len() };
    let mut place = Place { first: index, last: size - 1 };
    let mut hash = *leaf;
    for sibling in proof {
        if place.last == 0 {
            return Err(wrong_length);
        }
        hash = if place.is_right_child() { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
        place.ascend();
    }
    if place.last != 0 {
        return Err(wrong_length);
    }
    if hash == *root { Ok(()) } else { Err(VerifyError::WrongRoot) }
}

/// Checks that the tree of `new` leaves with the root `new_root` begins with the tree of `old` leaves with the root
/// `old_root`.
///
/// Every tree begins with the empty one, so for `old == 0` the proof must be empty and the old root that of the empty
/// tree. For `old == new` the proof must be empty and the roots equal.
///
/// # Errors
/// [`VerifyError`] if it is not proven.
///
/// # Source
/// RFC 9162, section 2.1.4.2.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), VerifyError> {
    if old > new {
        return Err(VerifyError::OldBeyondNew { old, new });
    }
    let wrong_length = VerifyError::WrongLength { actual: proof.len() };
    if old == 0 && *old_root != empty_root() {
        return Err(VerifyError::WrongOldRoot);
    }
    if old == new {
        let roots = if old_root == new_root { Ok(()) } else { Err(VerifyError::WrongRoot) };
        return if proof.is_empty() { roots } else { Err(wrong_length) };
    }
    if old == 0 {
        return if proof.is_empty() { Ok(()) } else { Err(wrong_length) };
    }
    // Where the old tree is perfect its root is itself a node of the new tree, and the proof leaves it out.
    let (start, rest) =
        if old.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(wrong_length)? };
    let mut place = Place { first: old - 1, last: new - 1 };
    while place.first & 1 == 1 {
        place.shift();
    }
    let (mut old_hash, mut new_hash) = (*start, *start);
    for sibling in rest {
        if place.last == 0 {
            return Err(wrong_length);
        }
        if place.is_right_child() {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        place.ascend();
    }
    if place.last != 0 {
        return Err(wrong_length);
    }
    if old_hash != *old_root {
        return Err(VerifyError::WrongOldRoot);
    }
    if new_hash == *new_root { Ok(()) } else { Err(VerifyError::WrongRoot) }
}

/// The two counters of the RFC, `fn` and `sn`: numbers of the node at hand and of the last node of its level.
struct Place {
    first: u64,
    last: u64,
}

impl Place {
    /// Whether the next hash of the proof stands left of the node at hand.
    fn is_right_child(&self) -> bool {
        self.first & 1 == 1 || self.first == self.last
    }

    fn shift(&mut self) {
        self.first >>= 1;
        self.last >>= 1;
    }

    /// Goes up past the levels at which the node at hand has no sibling, and one more.
    fn ascend(&mut self) {
        if self.is_right_child() {
            while self.first & 1 == 0 && self.first != 0 {
                self.shift();
            }
        }
        self.shift();
    }
}
