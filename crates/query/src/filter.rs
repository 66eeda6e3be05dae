//! The checked filter: what a query means.

use crate::{Glob, Key, fold};
use ipnet::IpNet;
use uuid::Uuid;

/// A condition on events, as a tree.
///
/// One tree serves search, live tail, exports, streams, access scopes and retention. It is complete in itself: every
/// name is resolved, every time is absolute, every value is folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// All of these; every event if there are none.
    And(Vec<Filter>),
    /// Any of these; no event if there are none.
    Or(Vec<Filter>),
    /// Every event that the inner filter does not match, also those that lack the key.
    Not(Box<Filter>),
    /// One test of one key.
    Term(Term),
}

/// One test of one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// What is tested.
    pub key: Key,
    /// How.
    pub test: Test,
}

/// How a term tests its key.
///
/// An event that lacks the key passes no test.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Test {
    /// Any value of the event matches any of these patterns.
    AnyOf(Vec<Pattern>),
    /// The address is in any of these networks. A single address is a /32 or a /128; host bits are zero, and IPv4
    /// addresses mapped into IPv6 are IPv4 addresses.
    Net(Vec<IpNet>),
    /// The identifier is any of these (`request_id`, `id`).
    Uuid(Vec<Uuid>),
    /// The number is between these, both included (`status_code`, `seq`).
    Int {
        /// The smallest, if bounded.
        at_least: Option<i64>,
        /// The largest, if bounded.
        at_most: Option<i64>,
    },
    /// The time is in `[from, before)`, in microseconds since 1970-01-01T00:00:00Z.
    Time {
        /// The first microsecond, if bounded.
        from_us: Option<i64>,
        /// The first microsecond after, if bounded.
        before_us: Option<i64>,
    },
    /// The event has the key.
    Exists,
}

/// A test of one text value. Patterns and the values they are given are folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// The whole value.
    Exact(String),
    /// The whole value, with wildcards.
    Glob(Glob),
    /// A part of the value; what a free word means.
    Contains(String),
}

impl Pattern {
    /// Tells whether a value, folded by [`fold`], matches.
    pub fn matches(&self, folded_value: &str) -> bool {
        match self {
            Self::Exact(text) => text == folded_value,
            Self::Glob(glob) => glob.matches(folded_value),
            Self::Contains(text) => folded_value.contains(text.as_str()),
        }
    }
}

impl Filter {
    /// The filter that every event matches.
    pub const fn all() -> Self {
        Self::And(Vec::new())
    }

    /// Whether this is [`Filter::all`].
    pub fn is_all(&self) -> bool {
        matches!(self, Self::And(filters) if filters.is_empty())
    }

    /// Joins filters with AND, flattening nested ones; a single filter stays itself.
    pub fn all_of(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut flat = Vec::new();
        for filter in filters {
            match filter {
                Self::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::And(flat) }
    }

    /// Joins filters with OR, flattening nested ones; a single filter stays itself.
    pub fn any_of(filters: impl IntoIterator<Item = Filter>) -> Self {
        let mut flat = Vec::new();
        for filter in filters {
            match filter {
                Self::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::Or(flat) }
    }

    /// Returns the events that match both. This is how an access scope is joined to a query.
    #[must_use]
    pub fn and(self, other: Filter) -> Self {
        Self::all_of([self, other])
    }

    /// Returns the events that do not match; negating twice gives the filter itself.
    #[must_use]
    pub fn negate(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Whether any term, negated or not, tests this key.
    pub fn mentions(&self, key: Key) -> bool {
        self.any_term(&mut |term| term.key == key)
    }

    /// Whether any term, negated or not, names exactly this value of this key. Case does not matter.
    pub fn has_exact_value(&self, key: Key, value: &str) -> bool {
        let folded = fold(value);
        self.any_term(&mut |term| {
            term.key == key
                && matches!(&term.test, Test::AnyOf(patterns) if patterns
                    .iter()
                    .any(|pattern| matches!(pattern, Pattern::Exact(text) if *text == *folded)))
        })
    }

    fn any_term(&self, is_wanted: &mut dyn FnMut(&Term) -> bool) -> bool {
        match self {
            Self::And(filters) | Self::Or(filters) => filters.iter().any(|filter| filter.any_term(is_wanted)),
            Self::Not(inner) => inner.any_term(is_wanted),
            Self::Term(term) => is_wanted(term),
        }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl From<Term> for Filter {
    fn from(term: Term) -> Self {
        Self::Term(term)
    }
}

impl Term {
    /// Makes a term.
    pub const fn new(key: Key, test: Test) -> Self {
        Self { key, test }
    }

    /// Makes the term "the value is exactly this", ignoring case.
    pub fn exact(key: Key, value: &str) -> Self {
        Self::new(key, Test::AnyOf(vec![Pattern::Exact(fold(value).into_owned())]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_flattens_and_drops_all() {
        let create = Filter::from(Term::exact(Key::Action, "Create"));
        assert_eq!(Filter::all().and(create.clone()), create);
        assert_eq!(
            create.clone().and(create.clone()).and(create.clone()),
            Filter::And(vec![create.clone(); 3])
        );
        assert_eq!(create.clone().negate().negate(), create);
    }

    #[test]
    fn looks_through_negation() {
        let filter = Filter::from(Term::exact(Key::ResourceType, "audit_log")).negate();
        assert!(filter.mentions(Key::ResourceType));
        assert!(filter.has_exact_value(Key::ResourceType, "Audit_Log"));
        assert!(!filter.has_exact_value(Key::Action, "audit_log"));
    }
}
