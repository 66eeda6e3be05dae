//! RFC 6962 hashing over SHA-256.

use std::fmt;

use sha2::{Digest, Sha256};

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// A SHA-256 hash: of a leaf, of a node, or a root.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; HASH_BYTES]);

impl Hash {
    /// Takes 32 bytes as a hash.
    pub const fn from_bytes(bytes: [u8; HASH_BYTES]) -> Hash {
        Hash(bytes)
    }

    /// Returns the 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Returns `SHA-256(0x00 || leaf)`.
///
/// # Source
/// RFC 6962, section 2.1.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0x00]);
    hash.update(leaf);
    Hash(hash.finalize().into())
}

/// Returns `SHA-256(0x01 || left || right)`.
///
/// # Source
/// RFC 6962, section 2.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [0x01; 1 + 2 * HASH_BYTES];
    bytes[1..=HASH_BYTES].copy_from_slice(&left.0);
    bytes[1 + HASH_BYTES..].copy_from_slice(&right.0);
    Hash(Sha256::digest(bytes).into())
}

/// Returns the root of the tree without leaves: `SHA-256("")`.
///
/// # Source
/// RFC 6962, section 2.1.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest(b"").into())
}
