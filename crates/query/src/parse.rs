//! From text to a checked filter.
//!
//! One pass over the text by recursive descent: [`scan`] finds words, [`grammar`] combines them, [`element`] reads
//! one word, [`value`] splits what stands after the key, [`check`], [`number`] and [`time`] say what it means, and
//! [`join`] gives repeated keys their meaning.

mod check;
mod element;
mod field;
mod grammar;
mod join;
mod number;
mod scan;
mod time;
mod value;

use crate::errors::{Problem, QueryError};
use crate::limits::{QUERY_BYTES_MAX, QUERY_TERMS_MAX};
use crate::{Context, Filter, QueryErrors};
use std::fmt;
use std::ops::Range;

pub(crate) use time::{DAY_US, TIME_US_MAX, date_time};

/// A query that has been parsed and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedQuery {
    filter: Filter,
    notes: Vec<Note>,
}

/// Something about a query that its author may want to know: how an ambiguous part was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The remark.
    pub text: String,
    /// The part it concerns, in bytes of the query text.
    pub span: Range<usize>,
}

impl CheckedQuery {
    /// Returns what the query means.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Returns what the query means.
    pub fn into_filter(self) -> Filter {
        self.filter
    }

    /// Returns how ambiguous parts were read, in order of place.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses and checks a query.
///
/// # Errors
/// Everything that is wrong with the query, not only the first thing. Past a limit nothing more is looked at.
///
/// # Examples
/// ```
/// use annals_query::{Context, Vocabulary, parse};
/// let vocabulary = Vocabulary {
///     resource_types: vec!["workspace".into(), "template".into()],
///     actions: vec!["create".into(), "delete".into()],
///     ..Vocabulary::default()
/// };
/// let context = Context { now: jiff::Timestamp::UNIX_EPOCH, me: Some("alice"), vocabulary: &vocabulary };
///
/// let query = parse("workspace username:me -action:Delete", &context)?;
/// assert_eq!(query.filter().to_string(), "resource_type:workspace username:alice -action:delete");
/// assert_eq!(query.notes()[0].text, "`workspace` was read as `resource_type:workspace`");
/// # Ok::<(), annals_query::QueryErrors>(())
/// ```
pub fn parse(text: &str, context: &Context<'_>) -> Result<CheckedQuery, QueryErrors> {
    if text.len() > QUERY_BYTES_MAX {
        let problem = Problem::TooLong { bytes: text.len(), limit: QUERY_BYTES_MAX };
        let span = text.floor_char_boundary(QUERY_BYTES_MAX)..text.len();
        return Err(QueryErrors { errors: vec![QueryError::new("q", span, &problem)] });
    }
    let mut parser = Parser::new(text, context);
    let filter = parser.query();
    let Parser { mut errors, mut notes, .. } = parser;
    if errors.is_empty() {
        notes.sort_by_key(|note| note.span.start);
        Ok(CheckedQuery { filter: filter.unwrap_or_default(), notes })
    } else {
        errors.sort_by_key(|error| error.span.start);
        errors.dedup();
        Err(QueryErrors { errors })
    }
}

/// The state of one parse.
struct Parser<'t> {
    text: &'t str,
    context: &'t Context<'t>,
    /// Where the next token is looked for, in bytes; the end of the text once a limit is passed.
    at: usize,
    term_count: usize,
    /// Whether a limit is passed, so that what is missing at the end is no error.
    is_stopped: bool,
    errors: Vec<QueryError>,
    notes: Vec<Note>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, context: &'t Context<'t>) -> Self {
        Self { text, context, at: 0, term_count: 0, is_stopped: false, errors: Vec::new(), notes: Vec::new() }
    }

    fn report(&mut self, error: QueryError) {
        self.errors.push(error);
    }

    fn note(&mut self, span: Range<usize>, text: String) {
        self.notes.push(Note { text, span });
    }

    /// Reports that a limit is passed and ends the parse.
    fn stop(&mut self, span: Range<usize>, problem: &Problem) {
        self.report(QueryError::new("q", span, problem));
        self.at = self.text.len();
        self.is_stopped = true;
    }

    /// Counts terms; returns whether they are within the limit.
    fn count_terms(&mut self, count: usize, span: Range<usize>) -> bool {
        let was_within = self.term_count <= QUERY_TERMS_MAX;
        self.term_count += count;
        let is_within = self.term_count <= QUERY_TERMS_MAX;
        if was_within && !is_within {
            self.stop(span, &Problem::TooManyTerms { limit: QUERY_TERMS_MAX });
        }
        is_within
    }
}
