//! What can go wrong with objects.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use object_store::Error as CauseError;

/// A failure of the place where objects are kept. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// A name that no object can have.
    #[error("`{name}` is no name for an object")]
    BadName {
        /// The name.
        name: String,
    },
    /// The place refuses us.
    #[error("`{location}` refuses access to `{name}`; check the keys and what they may do")]
    Denied {
        /// The object.
        name: String,
        /// The place.
        location: String,
        /// What it says.
        #[source]
        source: CauseError,
    },
    /// A local file or directory cannot be used.
    #[error("cannot use `{}`", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// There is no such object.
    #[error("`{name}` is not in `{location}`")]
    Missing {
        /// The object.
        name: String,
        /// The place.
        location: String,
    },
    /// The place does not answer, or answers with a failure of its own: trying again later helps.
    #[error("`{location}` fails for `{name}`; it works again when the place does")]
    Unavailable {
        /// The object.
        name: String,
        /// The place.
        location: String,
        /// What it says.
        #[source]
        source: CauseError,
    },
    /// The place is not set up so that objects can be kept there.
    #[error("`{location}` cannot keep objects; check that it exists, and the AWS_* variables")]
    Unusable {
        /// The place.
        location: String,
        /// What is wrong.
        #[source]
        source: CauseError,
    },
    /// An object has another size than its manifest says.
    #[error("`{name}` in `{location}` has {actual} bytes where {expected} are expected")]
    WrongSize {
        /// The object.
        name: String,
        /// The place.
        location: String,
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        actual: u64,
    },
}

impl ObjectError {
    /// The place does not answer now: trying again later helps.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, ObjectError::Unavailable { .. })
    }

    /// The local disk is full: retrying helps only after room was made.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    /// Sorts a cause by what helps against it.
    pub(super) fn new(name: &str, location: &str, source: CauseError) -> ObjectError {
        let (name, location) = (name.to_owned(), location.to_owned());
        match source {
            CauseError::NotFound { .. } => ObjectError::Missing { name, location },
            CauseError::PermissionDenied { .. } | CauseError::Unauthenticated { .. } => {
                ObjectError::Denied { name, location, source }
            }
            CauseError::InvalidPath { .. } => ObjectError::BadName { name },
            CauseError::NotSupported { .. }
            | CauseError::NotImplemented { .. }
            | CauseError::UnknownConfigurationKey { .. } => ObjectError::Unusable { location, source },
            CauseError::Generic { .. } => match refusal(&source) {
                Some(Refusal::Denied) => ObjectError::Denied { name, location, source },
                Some(Refusal::NoBucket) => ObjectError::Unusable { location, source },
                None => ObjectError::Unavailable { name, location, source },
            },
            _ => ObjectError::Unavailable { name, location, source },
        }
    }
}

enum Refusal {
    Denied,
    NoBucket,
}

/// Finds the refusal of a bucket in a cause that the library leaves unsorted, as it does for lists and the begin of
/// uploads. Its type for the status is private, so the words are all there is.
fn refusal(source: &CauseError) -> Option<Refusal> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(source);
    while let Some(error) = cause {
        let words = error.to_string();
        let has_status = |status: &str| words.contains(&format!("status code: {status}"));
        if has_status("401") || has_status("403") {
            return Some(Refusal::Denied);
        }
        if has_status("404") {
            return Some(Refusal::NoBucket);
        }
        cause = error.source();
    }
    None
}

pub(super) fn in_file(path: &Path, source: io::Error) -> ObjectError {
    ObjectError::File { path: path.to_owned(), source }
}
