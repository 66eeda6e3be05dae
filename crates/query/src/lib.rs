//! The query language of Annals: text in, checked [`Filter`] out, and a plain evaluator for it.
//!
//! Every query that Coder's audit log accepts means the same here; much that it rejects has a meaning. The language
//! is described in [`REFERENCE`].
//!
//! The crate does no I/O and reads no clock; the present, the caller and the known values come in as a [`Context`].
//! It knows nothing about access, indexes or how events are stored: an access scope is a [`Filter`] joined with
//! [`Filter::and`], an index is right if it agrees with [`matches()`]. Regular expressions, aggregation and sorting
//! are deliberately not part of the language.
//!
//! Read [`Filter`] first.
//!
//! ```
//! use annals_query::{Context, Document, Vocabulary, matches, parse};
//!
//! let vocabulary = Vocabulary { actions: vec!["create".into(), "delete".into()], ..Vocabulary::default() };
//! let now = "2026-01-31T12:00:00Z".parse()?;
//! let context = Context { now, me: Some("alice"), vocabulary: &vocabulary };
//!
//! let query = parse("action:create,delete -username:me since:24h", &context)?;
//! assert_eq!(
//!     query.filter().to_string(),
//!     "action:create,delete -username:alice time:>=2026-01-30T12:00:00Z",
//! );
//! let event = Document { action: "delete", time_us: 1_769_860_800_000_000, ..Document::default() };
//! assert!(matches(query.filter(), &event));
//!
//! let errors = parse("action:craete", &context).unwrap_err();
//! assert_eq!(errors.errors[0].replacement.as_deref(), Some("create"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod context;
mod display;
mod document;
mod errors;
mod evaluate;
mod explain;
mod filter;
mod fold;
mod glob;
mod key;
mod limits;
mod parse;
#[cfg(any(test, feature = "proptest-strategies"))]
pub mod strategies;
mod suggest;

pub use context::{Context, Vocabulary};
pub use document::{Actor, Document};
pub use errors::{QueryError, QueryErrors};
pub use evaluate::matches;
pub use explain::explain_json;
pub use filter::{Filter, Pattern, Term, Test};
pub use fold::fold;
pub use glob::{Glob, GlobPart};
pub use key::Key;
pub use limits::{QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_TERMS_MAX, RESOURCE_ID_BYTES_MAX};
pub use parse::{CheckedQuery, Note, parse};

/// The reference of the language for its users, in Markdown. The CLI prints it, and the page shows it.
pub const REFERENCE: &str = include_str!("../../../docs/QUERY.md");
