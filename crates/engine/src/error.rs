//! Failures that any use case may meet.

use annals_store::StoreError;

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
    /// A password cannot be hashed.
    #[error("cannot hash a password: {0}")]
    Password(String),
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
