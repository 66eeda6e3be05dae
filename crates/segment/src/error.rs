//! What can go wrong in a segment.

use annals_query::Key;

/// A segment cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The stored bytes are not what was written: bits flipped, or the file was cut off.
    #[error("the segment is damaged: {what}")]
    Damaged {
        /// Which part, and how.
        what: String,
    },
    /// A newer version wrote the segment.
    #[error("the segment has version {found}, this version reads up to {supported}; use a newer Annals")]
    UnknownVersion {
        /// Version in the file.
        found: u32,
        /// Newest version that this one reads.
        supported: u32,
    },
    /// Values of this key are not counted: nearly every event has its own.
    #[error("values of `{}` cannot be counted", .0.name())]
    NotCounted(Key),
    /// More distinct values than are held at once.
    #[error("`{}` has more than {max} distinct values here; narrow the query", .key.name())]
    TooManyValues {
        /// The key.
        key: Key,
        /// Most values that are held.
        max: usize,
    },
    /// The bytes of the segment could not be read.
    #[error("the segment cannot be read: {reason}")]
    Unreadable {
        /// What the object store says.
        reason: String,
    },
}
