//! What stands after a key: one value, or several between commas.

use crate::errors::{Problem, QueryError};
use crate::{Glob, GlobPart, fold};
use std::ops::Range;

/// Where a value stands, for errors.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) field: &'static str,
    pub(super) span: Range<usize>,
}

impl Place {
    pub(super) fn error(&self, problem: &Problem) -> QueryError {
        QueryError::new(self.field, self.span.clone(), problem)
    }
}

/// One value of a list, as written.
#[derive(Debug)]
pub(super) struct Item<'t> {
    pub(super) raw: &'t str,
    pub(super) span: Range<usize>,
    /// The text, folded, without the quotes around it; inner quotes stay, as in Coder.
    pub(super) text: String,
    /// The pattern, if the value has wildcards outside quotes. Here all quotes only group.
    pub(super) glob: Option<Glob>,
}

impl Item<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.glob.is_none()
    }

    /// Whether it is `*` alone, which asks for the presence of the key.
    pub(super) fn is_any(&self) -> bool {
        self.glob.as_ref().is_some_and(Glob::is_any)
    }

    pub(super) fn place(&self, field: &'static str) -> Place {
        Place { field, span: self.span.clone() }
    }
}

/// Splits at the commas outside quotes. `start` is where the text stands in the query.
pub(super) fn items(text: &str, start: usize) -> Vec<Item<'_>> {
    let mut is_quoted = false;
    let mut at = start;
    text.split(|character| {
        is_quoted ^= character == '"';
        !is_quoted && character == ','
    })
    .map(|raw| {
        let span = at..at + raw.len();
        at = span.end + 1;
        item(raw, span)
    })
    .collect()
}

/// Reads one value, commas included.
pub(super) fn item(raw: &str, span: Range<usize>) -> Item<'_> {
    let text = fold(raw.trim_matches('"')).into_owned();
    Item { raw, span, text, glob: glob(raw) }
}

/// Reads the pattern of a value that has wildcards outside quotes.
fn glob(raw: &str) -> Option<Glob> {
    let mut is_quoted = false;
    let mut has_wildcard = false;
    let mut parts = Vec::new();
    for (index, section) in raw.split('"').enumerate() {
        if index > 0 {
            is_quoted = !is_quoted;
        }
        if is_quoted {
            parts.push(GlobPart::Literal(section.to_owned()));
            continue;
        }
        for literal in section.split_inclusive(['*', '?']) {
            let (text, wildcard) = match literal.as_bytes().last() {
                Some(b'*') => (&literal[..literal.len() - 1], Some(GlobPart::AnyMany)),
                Some(b'?') => (&literal[..literal.len() - 1], Some(GlobPart::AnyOne)),
                _ => (literal, None),
            };
            has_wildcard |= wildcard.is_some();
            parts.push(GlobPart::Literal(text.to_owned()));
            parts.extend(wildcard);
        }
    }
    has_wildcard.then(|| Glob::new(parts))
}
