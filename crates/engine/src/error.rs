//! Failures that any use case may meet.

use annals_segment::{ExportFileError, SegmentError, SegmentWriteError};
use annals_store::{ObjectError, StoreError};

/// The log itself failed, or was set up wrongly; not the caller's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored event cannot be read.
    #[error(transparent)]
    Event(#[from] annals_model::audit_log::StoredEventError),
    /// A tail row cannot be read.
    #[error(transparent)]
    Batch(#[from] annals_store::BatchError),
    /// The object store failed.
    #[error(transparent)]
    Object(Box<ObjectError>),
    /// A sealed segment cannot be used.
    #[error("segment `{object}`: {source}; `annals verify` checks the whole log")]
    Segment {
        /// Its object.
        object: String,
        /// What is wrong.
        #[source]
        source: SegmentError,
    },
    /// A search met a damaged segment.
    #[error("{0}; `annals verify` names the segment")]
    Search(#[from] SegmentError),
    /// A segment could not be made.
    #[error("a segment could not be made: {0}")]
    SegmentWrite(#[from] SegmentWriteError),
    /// A Parquet file of an export cannot go on.
    #[error(transparent)]
    ExportFile(Box<ExportFileError>),
    /// An event was sealed by another process, and its segment cannot be opened here yet.
    #[error("the segment of seq {seq} cannot be opened yet; try again in a moment")]
    NotOpenYet {
        /// Its seq.
        seq: u64,
    },
    /// What was asked for needs events that the log keeps no more.
    #[error(
        "the events before seq {before} are gone, as their time was over, and this cannot be answered without them"
    )]
    Pruned {
        /// The first seq that is kept.
        before: u64,
    },
    /// The manifest's segments are no subtrees of one tree.
    #[error("the manifest is damaged: {0}; `annals verify` checks the whole log")]
    Tree(#[from] annals_tlog::FrontierError),
    /// The object store returned other bytes than were written; nothing was sealed.
    #[error("the object store returned other bytes of `{object}` than were written")]
    NotReadBack {
        /// Its object.
        object: String,
    },
    /// Another process, or the background thread of this one, is sealing.
    #[error("another process is sealing; try again later")]
    SealingElsewhere,
    /// A registry document of the operator, or a stored one, does not fit the registry.
    #[error("registry document {name}: {message}")]
    Registry {
        /// Which one.
        name: String,
        /// Every fault of it.
        message: String,
    },
    /// The thread that appends could not be started.
    #[error("cannot start the thread that appends")]
    Thread(#[source] std::io::Error),
    /// The thread that appends has ended; the server must be started again.
    #[error("the thread that appends has ended")]
    NotAppending,
    /// The log was put back or cut, or its key is missing.
    #[error(transparent)]
    Refused(#[from] crate::signing::Refusal),
    /// No checkpoint can be signed.
    #[error("checkpoints cannot be signed: {0}")]
    Signing(#[source] Box<crate::signing::SigningError>),
    /// A password cannot be hashed.
    #[error("cannot hash a password: {0}")]
    Password(String),
}

impl From<ObjectError> for EngineError {
    fn from(error: ObjectError) -> EngineError {
        EngineError::Object(Box::new(error))
    }
}

impl From<crate::signing::SigningError> for EngineError {
    fn from(error: crate::signing::SigningError) -> EngineError {
        match error {
            crate::signing::SigningError::Engine(error) => error,
            crate::signing::SigningError::Refused(refusal) => EngineError::Refused(refusal),
            error => EngineError::Signing(Box::new(error)),
        }
    }
}

impl EngineError {
    /// The database or the object store does not answer now; trying again helps.
    pub fn is_unavailable(&self) -> bool {
        match self {
            EngineError::Store(error) => error.is_busy() || error.is_unavailable(),
            EngineError::Object(error) => error.is_unavailable(),
            EngineError::Segment { source, .. } | EngineError::Search(source) => {
                matches!(source, SegmentError::Unreadable { .. })
            }
            EngineError::NotOpenYet { .. } => true,
            _ => false,
        }
    }

    /// An object is not there: it was replaced and deleted, or lost.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, EngineError::Object(error) if matches!(**error, ObjectError::Missing { .. }))
    }

    /// Stored bytes are not what was written, or are gone; other errors say nothing about them.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            EngineError::Segment { .. } => !self.is_unavailable(),
            EngineError::Object(error) => {
                matches!(**error, ObjectError::Missing { .. } | ObjectError::WrongSize { .. })
            }
            EngineError::Event(_) | EngineError::Batch(_) | EngineError::Tree(_) => true,
            _ => false,
        }
    }
}

/// The caller is known but may not do this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who} may not {what}; {hint}")]
pub struct ForbiddenError {
    /// Who asked.
    pub who: String,
    /// What they wanted.
    pub what: &'static str,
    /// What would help.
    pub hint: &'static str,
}
