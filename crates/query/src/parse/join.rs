//! What a repeated key means.

use super::Note;
use super::field::Field;
use crate::errors::QueryError;
use crate::{Filter, Key, Pattern, Term, Test};
use std::ops::Range;

/// One part of a conjunction.
#[derive(Debug)]
pub(super) enum Part {
    /// An error, or a negated element that filters nothing.
    Nothing,
    /// A negated element with bad values.
    Wrong(Vec<QueryError>),
    /// A group or a negation, which joins as it is.
    Whole(Filter),
    /// A plain element, to which the rules on repeated keys apply.
    Element(Element),
}

/// A key with its values, not negated and not in parentheses of its own.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) field: Field,
    pub(super) span: Range<usize>,
    /// Whether it has no colon. Coder takes all such words for one resource type, which it looks at last.
    pub(super) is_bare: bool,
    /// Whether it asks for a value, not for a range or for the presence of the key.
    pub(super) is_equality: bool,
    /// What it means; `None` if its value is empty, so that it filters nothing, or if it is wrong.
    pub(super) filter: Option<Filter>,
    /// What is wrong with its values. It does not matter where the field filters nothing.
    pub(super) errors: Vec<QueryError>,
}

impl Part {
    pub(super) fn negate(self) -> Self {
        match self {
            Self::Whole(filter) | Self::Element(Element { filter: Some(filter), .. }) => {
                Self::Whole(filter.negate())
            }
            Self::Element(Element { errors, .. }) | Self::Wrong(errors) if !errors.is_empty() => {
                Self::Wrong(errors)
            }
            Self::Nothing | Self::Wrong(_) | Self::Element(Element { filter: None, .. }) => Self::Nothing,
        }
    }
}

/// Joins the parts of one conjunction; `None` if nothing filters.
///
/// Two rules apply to plain elements. If the first of a field has an empty value, the field filters nothing (Coder
/// looks at the first only). Equalities of the same single-valued key mean any of their values, because no event
/// could have all of them.
pub(super) fn join(parts: Vec<Part>, notes: &mut Vec<Note>, errors: &mut Vec<QueryError>) -> Option<Filter> {
    let unfiltered = unfiltered_fields(&parts);
    let is_unfiltered = |element: &Element| {
        let is_type = element.is_bare && unfiltered.contains(&Field::Key(Key::ResourceType));
        is_type || unfiltered.contains(&element.field)
    };
    let mut joined: Vec<(Option<Key>, Filter)> = Vec::new();
    for part in parts {
        let (key, span, filter) = match part {
            Part::Nothing => continue,
            Part::Wrong(wrong) => {
                errors.extend(wrong);
                continue;
            }
            Part::Element(Element { filter: None, errors: wrong, .. }) if wrong.is_empty() => continue,
            Part::Element(element) if is_unfiltered(&element) => {
                let is_by_key = unfiltered.contains(&element.field);
                let name = if is_by_key { element.field.name() } else { Key::ResourceType.name() };
                let text = format!("`{name}` filters nothing, because its first value is empty");
                notes.push(Note { text, span: element.span });
                continue;
            }
            Part::Element(Element { filter: None, errors: wrong, .. }) => {
                errors.extend(wrong);
                continue;
            }
            Part::Whole(filter) => (None, 0..0, filter),
            Part::Element(Element { field, span, is_equality, filter: Some(filter), .. }) => {
                let key = field.key();
                ((is_equality && !key.is_multi_valued()).then_some(key), span, filter)
            }
        };
        let earlier = joined.iter_mut().find(|(earlier_key, _)| key.is_some() && *earlier_key == key);
        match (earlier, key) {
            (Some((_, earlier)), Some(key)) => {
                *earlier = either(std::mem::take(earlier), filter);
                let text =
                    format!("`{}` is given more than once, which was read as any of its values", key.name());
                notes.push(Note { text, span });
            }
            _ => joined.push((key, filter)),
        }
    }
    if joined.is_empty() { None } else { Some(Filter::all_of(joined.into_iter().map(|(_, filter)| filter))) }
}

/// Returns the fields whose first element has an empty value.
fn unfiltered_fields(parts: &[Part]) -> Vec<Field> {
    let mut seen = Vec::new();
    let mut unfiltered = Vec::new();
    for part in parts {
        if let Part::Element(element) = part
            && !element.is_bare
            && !seen.contains(&element.field)
        {
            seen.push(element.field);
            if element.filter.is_none() && element.errors.is_empty() {
                unfiltered.push(element.field);
            }
        }
    }
    unfiltered
}

/// Joins two equalities of the same key with OR, in one term where possible.
fn either(first: Filter, second: Filter) -> Filter {
    match (first, second) {
        (
            Filter::Term(Term { key, test: Test::AnyOf(first) }),
            Filter::Term(Term { test: Test::AnyOf(second), .. }),
        ) => Term::new(key, Test::AnyOf(distinct::<Pattern>(first.into_iter().chain(second)))).into(),
        (
            Filter::Term(Term { key, test: Test::Net(first) }),
            Filter::Term(Term { test: Test::Net(second), .. }),
        ) => Term::new(key, Test::Net(distinct(first.into_iter().chain(second)))).into(),
        (
            Filter::Term(Term { key, test: Test::Uuid(first) }),
            Filter::Term(Term { test: Test::Uuid(second), .. }),
        ) => Term::new(key, Test::Uuid(distinct(first.into_iter().chain(second)))).into(),
        (first, second) => {
            let branches = [first, second].into_iter().flat_map(|filter| match filter {
                Filter::Or(inner) => inner,
                other => vec![other],
            });
            Filter::any_of(distinct(branches))
        }
    }
}

/// Drops repetitions and keeps the order. At most [`QUERY_TERMS_MAX`](crate::QUERY_TERMS_MAX) values.
pub(super) fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}
