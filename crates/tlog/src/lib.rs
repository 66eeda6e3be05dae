//! The Merkle tree of the log: RFC 6962 hashing, the frontier, tiles, proofs, and the C2SP texts around them.
//!
//! `tlog` knows nothing about events, databases or the network: it takes bytes and returns hashes and texts. It reads no
//! clock and draws no randomness. Odd nodes are promoted, never duplicated. Read [`Frontier`] first, then
//! [`inclusion_proof`] and [`verify_inclusion`], then [`SignedNote`].
//!
//! ```
//! use annals_tlog::{
//!     Checkpoint, Frontier, SignedNote, SigningKey, inclusion_proof, leaf_hash, verify_inclusion,
//! };
//!
//! let leaves = [leaf_hash(b"first"), leaf_hash(b"second"), leaf_hash(b"third")];
//! let mut frontier = Frontier::new();
//! assert_eq!(frontier.root(), annals_tlog::empty_root());
//! leaves.iter().for_each(|leaf| frontier.push(*leaf));
//!
//! // The third leaf of three is alone on its side, so the only hash of its proof is the node over the other two.
//! let proof = inclusion_proof(2, 3, |node| {
//!     let first = (node.index << node.level) as usize;
//!     Ok::<_, std::convert::Infallible>(annals_tlog::perfect_root(&leaves[first..first + (1 << node.level)]))
//! })?;
//! assert_eq!(proof, [annals_tlog::node_hash(&leaves[0], &leaves[1])]);
//!
//! let key = SigningKey::from_seed("example.com/log", &[7; 32])?;
//! let note = SignedNote::sign(&Checkpoint::new("example.com/log", 3, frontier.root())?.to_string(), &[&key])?;
//!
//! // Whoever has the note, the leaf and the proof needs the public key and nothing else.
//! note.verify(&[key.verifier_key()])?;
//! let checkpoint: Checkpoint = note.text().parse()?;
//! verify_inclusion(&leaf_hash(b"third"), 2, checkpoint.size(), &proof, &checkpoint.root())?;
//! assert!(verify_inclusion(&leaf_hash(b"forged"), 2, 3, &proof, &checkpoint.root()).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoint;
mod cosignature;
mod frontier;
mod hash;
mod note;
mod note_key;
mod proof;
mod range_proof;
mod text;
mod tile;
mod tile_path;
mod tlog_proof;
mod verify;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use frontier::{Frontier, FrontierError};
pub use hash::{HASH_BYTES, Hash, empty_root, leaf_hash, node_hash};
pub use note::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, NoteError, NoteSignature, SignedNote, Verified};
pub use note_key::{KeyError, KeyId, SignatureType, SigningKey, VerifierKey};
pub use proof::{Node, ProofError, TILE_HEIGHT, consistency_proof, inclusion_proof, root_at, subtrees};
pub use range_proof::{RangeError, RangeProof, range_proof};
pub use text::NAME_BYTES_MAX;
pub use tile::{TILE_BYTES, TILE_HASHES, Tile, TileBuilder, perfect_root};
pub use tile_path::{TileLevel, TilePath, TilePathError};
pub use tlog_proof::{PATH_HASHES_MAX, TLOG_PROOF_BYTES_MAX, TlogProof, TlogProofError};
pub use verify::{VerifyError, verify_consistency, verify_inclusion};
