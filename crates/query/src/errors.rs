//! What is wrong with a query, for people.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

/// Everything that is wrong with a query, in order of place. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryErrors {
    /// The errors, in order of place.
    pub errors: Vec<QueryError>,
}

/// One thing that is wrong with a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
#[non_exhaustive]
pub struct QueryError {
    /// The key it concerns, or `q` for the query as a whole.
    pub field: String,
    /// What is wrong and what was expected.
    pub detail: String,
    /// The bad part, in bytes of the query text. It lies on character boundaries.
    pub span: Range<usize>,
    /// How to go on.
    pub hint: Option<String>,
    /// Text that would fix the bad part if put in its place.
    pub replacement: Option<String>,
}

/// The problems a query can have. The words of all messages are here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("`{0}` is not an address or a network")]
    BadAddress(String),
    #[error("`{0}` is not a whole number or a range of them")]
    BadNumber(String),
    #[error("`{0}` is not a time")]
    BadTime(String),
    #[error("`{0}` is not a UUID")]
    BadUuid(String),
    #[error("`{key}` cannot be tested with `{operator}`")]
    BadOperator { key: &'static str, operator: &'static str },
    #[error("`--` is not an operator")]
    DoubleMinus,
    #[error("query element `{0}` cannot start or end with `:`")]
    EdgeColon(String),
    #[error("the parentheses are empty")]
    EmptyGroup,
    #[error("the list has an empty value")]
    EmptyItem,
    #[error("`)` must be followed by a space")]
    ListTail,
    #[error("`-` stands alone")]
    LoneMinus,
    #[error("`{keyword}` must stand between two terms")]
    MissingSide { keyword: &'static str },
    #[error("`{keyword}` must be followed by a term")]
    MissingOperand { keyword: &'static str },
    #[error("`{key}` lacks a value")]
    MissingValue { key: &'static str },
    #[error("`{key}` takes one value here")]
    OneValue { key: &'static str },
    #[error("no known value of `{key}` matches `{pattern}`")]
    NoMatch { key: &'static str, pattern: String },
    #[error("the list of values of `{key}` can hold only values and `OR`")]
    NotAValue { key: &'static str },
    #[error("`{number}` is not between {at_least} and {at_most}")]
    NumberOutside { number: String, at_least: i64, at_most: i64 },
    #[error("the range ends before it begins")]
    Reversed,
    #[error("`{0}` is outside the years 0000 to 9999")]
    TimeOutside(String),
    #[error("query is nested deeper than the limit of {limit}")]
    TooDeep { limit: usize },
    #[error("query of {bytes} bytes exceeds the limit of {limit}")]
    TooLong { bytes: usize, limit: usize },
    #[error("query has more terms than the limit of {limit}")]
    TooManyTerms { limit: usize },
    #[error("`(` is not closed")]
    Unclosed,
    #[error("`{0}` is not a key")]
    UnknownKey(String),
    #[error("`{value}` is not a known value of `{key}`")]
    UnknownValue { key: &'static str, value: String },
    #[error("`)` closes nothing")]
    Unopened,
    #[error("value of {bytes} bytes exceeds the limit of {limit}")]
    ValueTooLong { bytes: usize, limit: usize },
    #[error("`{key}` cannot be searched with `*` or `?`")]
    Wildcard { key: &'static str },
}

impl QueryError {
    pub(crate) fn new(field: &str, span: Range<usize>, problem: &Problem) -> Self {
        let (field, detail) = (field.to_owned(), problem.to_string());
        Self { field, detail, span, hint: None, replacement: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the text that fixes the span, and says so in the hint unless there is one.
    pub(crate) fn with_replacement(mut self, replacement: impl Into<String>) -> Self {
        let replacement = replacement.into();
        self.hint.get_or_insert_with(|| format!("did you mean `{replacement}`?"));
        self.replacement = Some(replacement);
        self
    }
}

impl QueryErrors {
    /// Renders the errors for a terminal: message, query, a mark under the bad part, hint.
    ///
    /// `text` is the query that was parsed. The rendering ends with a newline, has one column per character and
    /// shows at most about 120 characters of the query.
    ///
    /// # Examples
    /// ```
    /// use annals_query::{Context, Vocabulary, parse};
    /// let vocabulary = Vocabulary::default();
    /// let context = Context { now: jiff::Timestamp::UNIX_EPOCH, me: None, vocabulary: &vocabulary };
    /// let text = "usernme:alice";
    /// let errors = parse(text, &context).unwrap_err();
    /// assert_eq!(errors.render(text), "\
    /// error: `usernme` is not a key
    ///   | usernme:alice
    ///   | ^^^^^^^
    /// hint: did you mean `username`?
    /// ");
    /// ```
    pub fn render(&self, text: &str) -> String {
        let mut rendered = String::new();
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                rendered.push('\n');
            }
            let (line, mark) = excerpt(text, &error.span);
            // Writing to a string cannot fail.
            let _ = write!(rendered, "error: {}\n  | {line}\n  | {mark}\n", error.detail);
            if let Some(hint) = &error.hint {
                let _ = writeln!(rendered, "hint: {hint}");
            }
        }
        rendered
    }
}

impl fmt::Display for QueryErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for QueryErrors {}

/// Returns the part of the text around the span on one line, and a line that marks the span.
fn excerpt(text: &str, span: &Range<usize>) -> (String, String) {
    const BEFORE: usize = 40;
    const MARKED: usize = 40;
    const AFTER: usize = 40;
    let start = text.floor_char_boundary(span.start);
    let end = text.floor_char_boundary(span.end).max(start);
    let (before, marked, after) = (&text[..start], &text[start..end], &text[end..]);

    let skipped = before.chars().count().saturating_sub(BEFORE);
    let mut line: String = if skipped > 0 { "…".to_owned() } else { String::new() };
    line.extend(before.chars().skip(skipped).map(visible));
    let indent = line.chars().count();
    let mark_count = marked.chars().count().clamp(1, MARKED);
    line.extend(marked.chars().take(MARKED).map(visible));
    let is_cut = marked.chars().nth(MARKED).is_some() || after.chars().nth(AFTER).is_some();
    if marked.chars().nth(MARKED).is_none() {
        line.extend(after.chars().take(AFTER).map(visible));
    }
    if is_cut {
        line.push('…');
    }
    (line.trim_end().to_owned(), format!("{}{}", " ".repeat(indent), "^".repeat(mark_count)))
}

fn visible(character: char) -> char {
    if character.is_control() { ' ' } else { character }
}
