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
        let mut subtree = leaf;
        // Each trailing set bit of the old size is a perfect subtree that the new one completes.
        for _ in 0..self.size.trailing_ones() {
            let left = self.hashes.pop().expect("one hash for each set bit of the size");
            subtree = node_hash(&left, &subtree);
        }
        self.hashes.push(subtree);
        self.size += 1;
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
