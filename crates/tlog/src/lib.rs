//! The Merkle tree of the log: RFC 6962 hashing, the frontier, full tiles.
//!
//! `tlog` knows nothing about events, databases or the network: it takes bytes and returns hashes. Odd nodes are
//! promoted, never duplicated. Read [`Frontier`] first.
//!
//! ```
//! use annals_tlog::{Frontier, leaf_hash, node_hash};
//!
//! let mut frontier = Frontier::new();
//! assert_eq!(frontier.root(), annals_tlog::empty_root());
//! let (first, second) = (leaf_hash(b"first"), leaf_hash(b"second"));
//! frontier.push(first);
//! frontier.push(second);
//! assert_eq!(frontier.root(), node_hash(&first, &second));
//! ```

mod frontier;
mod hash;
mod tile;

pub use frontier::{Frontier, FrontierError};
pub use hash::{HASH_BYTES, Hash, empty_root, leaf_hash, node_hash};
pub use tile::{TILE_BYTES, TILE_HASHES, Tile, TileBuilder, perfect_root};
