//! Checkpoints: which tree a log has, in three lines.

use std::fmt;
use std::str::FromStr;

use crate::hash::Hash;
use crate::text::{NAME_BYTES_MAX, is_known_name, parse_decimal, parse_hash, to_base64};

/// The size and the root of a log's tree. Its text is that of a signed note: origin, size, root in base64.
///
/// # Source
/// C2SP tlog-checkpoint.
///
/// # Examples
/// ```
/// use annals_tlog::{Checkpoint, empty_root};
///
/// let checkpoint = Checkpoint::new("example.com/log", 0, empty_root())?;
/// let text = "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
/// assert_eq!(checkpoint.to_string(), text);
/// assert!(text.replace("\n0", "\n00").parse::<Checkpoint>().is_err(), "a number has one spelling");
/// # Ok::<(), annals_tlog::CheckpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
}

/// Why a text is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A line after the third is empty.
    #[error("a line after the third of a checkpoint is not empty")]
    Extension,
    /// The lines are fewer than three, or the last one does not end.
    #[error("a checkpoint has at least three lines, each ended by a line feed")]
    Lines,
    /// The first line cannot name a log.
    #[error("an origin has 1 to {NAME_BYTES_MAX} bytes, none of them a space, `+` or control character")]
    Origin,
    /// The third line is not a hash.
    #[error("the root of a checkpoint is 32 bytes in base64")]
    Root,
    /// The second line is not a number.
    #[error("the size of a checkpoint is a decimal number under 2^64 without leading zeros")]
    Size,
}

impl Checkpoint {
    /// Makes the checkpoint of a log whose origin is fit for a new log: without spaces and plus signs.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] if the origin is not.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Checkpoint, CheckpointError> {
        if !is_known_name(origin) {
            return Err(CheckpointError::Origin);
        }
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }

    /// The name of the log.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves of the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of the tree.
    pub fn root(&self) -> Hash {
        self.root
    }
}

/// The three lines, each with its line feed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, to_base64(self.root.as_bytes()))
    }
}

/// Reads the text of a note. An origin of another log may have spaces, and further lines are passed over if they are not
/// empty: both as the specification has it. So the text of a foreign checkpoint may differ from [`Display`](fmt::Display).
impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Checkpoint, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() || origin.len() > NAME_BYTES_MAX || origin.contains(char::is_control) {
            return Err(CheckpointError::Origin);
        }
        let size = parse_decimal(size).ok_or(CheckpointError::Size)?;
        let root = parse_hash(root).ok_or(CheckpointError::Root)?;
        if lines.any(str::is_empty) {
            return Err(CheckpointError::Extension);
        }
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }
}
