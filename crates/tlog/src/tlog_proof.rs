//! Receipts: files that prove one leaf of a log without a connection to it.

use std::fmt;
use std::str::FromStr;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::hash::Hash;
use crate::note::{NoteError, SignedNote};
use crate::text::{parse_base64, parse_decimal, parse_hash, to_base64};

/// Hashes of a path: a tree of 2^63 leaves has 63 levels of them.
pub const PATH_HASHES_MAX: usize = 63;
/// Bytes of a file: 4 MiB, of which the checkpoint may take one and `extra` the rest.
pub const TLOG_PROOF_BYTES_MAX: usize = 4 << 20;
/// The first line.
const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A leaf's place in a log, the path from it to the root, and a signed checkpoint with that root.
///
/// Nothing in it is to be believed before the signatures of `checkpoint` and then the path have been checked. `extra`
/// is covered by neither.
///
/// # Source
/// C2SP tlog-proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// What else belongs to the leaf, in the caller's format; not empty.
    pub extra: Option<Vec<u8>>,
    /// Number of the leaf, from 0.
    pub index: u64,
    /// From the leaf towards the root, at most [`PATH_HASHES_MAX`] hashes.
    pub path: Vec<Hash>,
    /// The note with its signatures, as the log gave it.
    pub checkpoint: String,
}

/// Why a text is no proof file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlogProofError {
    /// What follows the blank line is no checkpoint.
    #[error("what the note of the proof says is no checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// The second line begins with `extra` and is not base64, or is empty.
    #[error("`extra` is not followed by base64")]
    Extra,
    /// A line of the path is no hash.
    #[error("line {line} of the proof is not 32 bytes in base64")]
    Hash {
        /// Number of the line, from 1.
        line: usize,
    },
    /// The first line is another.
    #[error("the first line of the proof is not `{HEADER}`")]
    Header,
    /// There is no line with the number of the leaf where it belongs.
    #[error("the proof lacks its line `index`, followed by a decimal number without leading zeros")]
    Index,
    /// No blank line ends the path.
    #[error("the proof has no blank line with a checkpoint after it")]
    NoCheckpoint,
    /// What follows the blank line is no signed note.
    #[error("the checkpoint of the proof is no signed note")]
    Note(#[source] NoteError),
    /// The file is larger than [`TLOG_PROOF_BYTES_MAX`].
    #[error("a proof of {bytes} bytes exceeds the limit of {TLOG_PROOF_BYTES_MAX}")]
    TooLong {
        /// Bytes of the file.
        bytes: usize,
    },
    /// The path has more than [`PATH_HASHES_MAX`] hashes.
    #[error("a path has at most {PATH_HASHES_MAX} hashes")]
    TooManyHashes,
}

/// The file. An empty `extra` is left out, as the format has no line for it.
impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = self.extra.as_ref().filter(|extra| !extra.is_empty()) {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", to_base64(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Reads the file, without checking the path or a signature. What follows the blank line must be a signed checkpoint.
impl FromStr for TlogProof {
    type Err = TlogProofError;

    fn from_str(text: &str) -> Result<TlogProof, TlogProofError> {
        if text.len() > TLOG_PROOF_BYTES_MAX {
            return Err(TlogProofError::TooLong { bytes: text.len() });
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError::NoCheckpoint)?;
        let mut lines = head.split('\n').enumerate().map(|(at, line)| (at + 1, line)).peekable();
        lines.next_if(|(_, line)| *line == HEADER).ok_or(TlogProofError::Header)?;
        let extra = match lines.next_if(|(_, line)| line.starts_with("extra ")) {
            Some((_, line)) => Some(parse_extra(line).ok_or(TlogProofError::Extra)?),
            None => None,
        };
        let index = lines.next().and_then(|(_, line)| parse_decimal(line.strip_prefix("index ")?));
        let index = index.ok_or(TlogProofError::Index)?;
        let mut path = Vec::new();
        for (line, hash) in lines {
            if path.len() == PATH_HASHES_MAX {
                return Err(TlogProofError::TooManyHashes);
            }
            path.push(parse_hash(hash).ok_or(TlogProofError::Hash { line })?);
        }
        let note: SignedNote = checkpoint.parse().map_err(TlogProofError::Note)?;
        note.text().parse::<Checkpoint>().map_err(TlogProofError::Checkpoint)?;
        Ok(TlogProof { extra, index, path, checkpoint: checkpoint.to_owned() })
    }
}

fn parse_extra(line: &str) -> Option<Vec<u8>> {
    parse_base64(line.strip_prefix("extra ")?).filter(|extra| !extra.is_empty())
}
