//! Why a registry document is refused.

use std::fmt;

use super::Policy;
use crate::limits::{FAULTS_MAX, REGISTRY_BYTES_MAX};

/// Everything that is wrong with a document, in the order of its lines. Never empty.
///
/// Displayed as one line each, at most [`FAULTS_MAX`] of them.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryErrors(pub(super) Vec<RegistryError>);

impl RegistryErrors {
    /// Every error.
    pub fn iter(&self) -> std::slice::Iter<'_, RegistryError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a RegistryErrors {
    type Item = &'a RegistryError;
    type IntoIter = std::slice::Iter<'a, RegistryError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for RegistryErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.iter().take(FAULTS_MAX).enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}")?;
        }
        match self.0.len().saturating_sub(FAULTS_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for RegistryErrors {}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryError {
    /// The line of the document, counted from 1, where one is to blame.
    pub line: Option<usize>,
    /// What it is about, such as `` resource `invoice`, field `card` ``; empty for the document as a whole.
    pub place: String,
    /// What is wrong.
    pub fault: RegistryFault,
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        self.fault.fmt(f)
    }
}

impl std::error::Error for RegistryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}

/// What can be wrong with a document.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryFault {
    /// A name of a resource type, action or registry is not of the accepted form.
    #[error(
        "`{name}` is no name for it; expected at most {} bytes of lower-case letters, digits, `_`, `.`, `:` and `-`, \
         beginning with a letter",
        super::KIND_BYTES_MAX
    )]
    BadName {
        /// The refused name.
        name: String,
    },
    /// A link is not a path below the deployment's address.
    #[error("`{link}` is no path; expected `/` and what follows it, without spaces")]
    BadLink {
        /// The refused link.
        link: String,
    },
    /// A template has an unknown placeholder or a single brace.
    #[error("`{template}` has the placeholder `{placeholder}`; expected {expected}")]
    BadPlaceholder {
        /// The refused template.
        template: String,
        /// The placeholder without its braces.
        placeholder: String,
        /// The accepted ones.
        expected: String,
    },
    /// A text has control characters, or braces where they would read as a placeholder.
    #[error("`{key}` must not contain {unwanted}")]
    BadText {
        /// The key of the text.
        key: String,
        /// What it must not contain.
        unwanted: &'static str,
    },
    /// An entry takes away from the same entry of the registry.
    #[error("an application may tighten a policy, never loosen one; it is `{from}` and would become `{to}`")]
    Loosens {
        /// The policy in force.
        from: Policy,
        /// The policy asked for.
        to: Policy,
    },
    /// Only secrets are displayed under a mask.
    #[error("only a field with the policy `secret` has a mask; this one has `{policy}`")]
    MaskWithoutSecret {
        /// The field's policy.
        policy: Policy,
    },
    /// A required key is missing.
    #[error("`{key}` is missing")]
    Missing {
        /// The missing key.
        key: &'static str,
    },
    /// An application asks for what is left to the operator.
    #[error("an application may not set `{key}` here; the operator's file may")]
    OperatorOnly {
        /// The key.
        key: &'static str,
    },
    /// The text is not TOML.
    #[error("{message}")]
    Syntax {
        /// The parser's message.
        message: String,
    },
    /// The document is larger than one may be.
    #[error("{bytes} bytes exceed the limit of {REGISTRY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A text is empty or longer than it may be.
    #[error("`{key}` has {bytes} bytes; expected 1 to {bytes_max}")]
    TextLength {
        /// The key of the text.
        key: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// There are, or would be in the registry, more of something than there may be.
    #[error("{count} {what} exceed the limit of {count_max}")]
    TooMany {
        /// What there are too many of: fields, resource types.
        what: &'static str,
        /// How many there would be.
        count: usize,
        /// The limit.
        count_max: usize,
    },
    /// The document declares the same thing twice.
    #[error("declared twice")]
    Twice,
    /// A word is none of those that may stand there.
    #[error("unknown {what} `{word}`; {}", Expected { nearest, known })]
    Unknown {
        /// What the word should be: a key, a policy, an action, a resource type.
        what: &'static str,
        /// The word.
        word: String,
        /// What was probably meant.
        nearest: Option<String>,
        /// The words that may stand there, if they are few.
        known: &'static [&'static str],
    },
    /// An application takes away the mark `personal`.
    #[error("an application may mark as personal, never unmark")]
    Unmarks,
    /// A value has another TOML type than it should.
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType {
        /// The key of the value.
        key: String,
        /// The expected form.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
}

/// The end of a message about an unknown word: what was meant, else what may stand there.
struct Expected<'a> {
    nearest: &'a Option<String>,
    known: &'a [&'static str],
}

impl fmt::Display for Expected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.nearest, self.known) {
            (Some(nearest), _) => write!(f, "did you mean `{nearest}`?"),
            (None, []) => f.write_str("declare it in this document or an earlier one"),
            (None, known) => {
                f.write_str("expected one of")?;
                for (i, word) in known.iter().enumerate() {
                    let separator = if i == 0 { " " } else { ", " };
                    write!(f, "{separator}`{word}`")?;
                }
                Ok(())
            }
        }
    }
}
