//! The frontier: what one must keep of a tree to append to it and to know its root.

use crate::hash::{HASH_BYTES, Hash, empty_root, node_hash};

/// The roots of the perfect subtrees that a tree of `size` leaves consists of, largest first: one for each set bit of
/// `size`, so at most 64 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

/// Why bytes are not the frontier of a tree of that size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// A frontier has one hash for each set bit of the size.
    #[error("a tree of {size} leaves has a frontier of {expected} bytes, not {actual}")]
    WrongLength {
        /// Leaves.
        size: u64,
        /// Bytes that belong to it.
        expected: usize,
        /// Bytes found.
        actual: usize,
    },
    /// A perfect subtree begins at a multiple of its size.
    #[error("a subtree of {leaves} leaves cannot begin at leaf {size}")]
    Unaligned {
        /// Leaves of the tree so far.
        size: u64,
        /// Leaves of the subtree.
        leaves: u64,
    },
}

impl Frontier {
    /// The frontier of the empty tree.
    pub fn new() -> Frontier {
        Frontier::default()
    }

    /// Reads the hashes, 32 bytes each, largest subtree first.
    ///
    /// # Errors
    /// [`FrontierError::WrongLength`] if there is not one hash for each set bit of `size`.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Frontier, FrontierError> {
        let expected = size.count_ones() as usize * HASH_BYTES;
        if bytes.len() != expected {
            return Err(FrontierError::WrongLength { size, expected, actual: bytes.len() });
        }
        let (chunks, _) = bytes.as_chunks::<HASH_BYTES>();
        Ok(Frontier { size, hashes: chunks.iter().map(|chunk| Hash::from_bytes(*chunk)).collect() })
    }

    /// Returns the hashes, 32 bytes each, largest subtree first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    /// Leaves of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends one leaf hash; one node hash on average.
    pub fn push(&mut self, leaf: Hash) {
        self.push_perfect(0, leaf);
    }

    /// Appends the root of a perfect subtree of `leaves` leaves at once.
    ///
    /// # Errors
    /// [`FrontierError::Unaligned`] if a subtree of that size cannot begin at the size of this tree.
    pub fn push_subtree(&mut self, leaves: u64, root: Hash) -> Result<(), FrontierError> {
        if !leaves.is_power_of_two() || !self.size.is_multiple_of(leaves) {
            return Err(FrontierError::Unaligned { size: self.size, leaves });
        }
        self.push_perfect(leaves.trailing_zeros(), root);
        Ok(())
    }

    fn push_perfect(&mut self, height: u32, root: Hash) {
        let mut subtree = root;
        // Each further set bit of the old size is a perfect subtree that the new one completes.
        for _ in 0..(self.size >> height).trailing_ones() {
            let left = self.hashes.pop().expect("one hash for each set bit of the size");
            subtree = node_hash(&left, &subtree);
        }
        self.hashes.push(subtree);
        self.size += 1 << height;
    }

    /// Returns the root of the tree.
    ///
    /// # Source
    /// RFC 6962, section 2.1: a tree splits at the largest power of two below its size, so subtrees join from the right.
    pub fn root(&self) -> Hash {
        let mut from_right = self.hashes.iter().rev();
        let Some(smallest) = from_right.next() else { return empty_root() };
        from_right.fold(*smallest, |right, left| node_hash(left, &right))
    }
}
