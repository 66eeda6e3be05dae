//! The plain evaluator.

use crate::{Document, Filter, Key, Term, Test, fold};
use ipnet::IpNet;
use std::net::IpAddr;
use uuid::Uuid;

/// Tells whether an event matches: the oracle that every index must agree with.
///
/// # Examples
/// ```
/// use annals_query::{Document, Filter, Key, Term, matches};
/// let filter = Filter::from(Term::exact(Key::Action, "create"));
/// assert!(matches(&filter, &Document { action: "Create", ..Document::default() }));
/// // A negation matches what lacks the key.
/// assert!(matches(&filter.negate(), &Document::default()));
/// ```
pub fn matches(filter: &Filter, document: &Document<'_>) -> bool {
    match filter {
        Filter::And(filters) => filters.iter().all(|filter| matches(filter, document)),
        Filter::Or(filters) => filters.iter().any(|filter| matches(filter, document)),
        Filter::Not(inner) => !matches(inner, document),
        Filter::Term(term) => term_matches(term, document),
    }
}

fn term_matches(term: &Term, document: &Document<'_>) -> bool {
    match &term.test {
        Test::AnyOf(patterns) => document.texts(term.key).any(|value| {
            let folded = fold(&value);
            patterns.iter().any(|pattern| pattern.matches(&folded))
        }),
        Test::Net(networks) => {
            term.key == Key::Ip && document.address().is_some_and(|ip| is_in(ip, networks))
        }
        Test::Uuid(wanted) => uuid_of(term.key, document).is_some_and(|id| wanted.contains(&id)),
        Test::Int { at_least, at_most } => int_of(term.key, document).is_some_and(|number| {
            at_least.is_none_or(|least| i128::from(least) <= number)
                && at_most.is_none_or(|most| number <= i128::from(most))
        }),
        Test::Time { from_us, before_us } => {
            term.key == Key::Time
                && from_us.is_none_or(|from_us| from_us <= document.time_us)
                && before_us.is_none_or(|before_us| document.time_us < before_us)
        }
        Test::Exists => has(term.key, document),
    }
}

fn is_in(address: IpAddr, networks: &[IpNet]) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

fn uuid_of(key: Key, document: &Document<'_>) -> Option<Uuid> {
    let id = match key {
        Key::Id => Some(document.id),
        Key::RequestId => document.request_id,
        _ => None,
    };
    id.filter(|id| !id.is_nil())
}

fn int_of(key: Key, document: &Document<'_>) -> Option<i128> {
    match key {
        Key::Seq => Some(i128::from(document.seq)),
        Key::StatusCode if document.status_code != 0 => Some(i128::from(document.status_code)),
        _ => None,
    }
}

fn has(key: Key, document: &Document<'_>) -> bool {
    match key {
        Key::Ip => document.ip.is_some(),
        Key::Id | Key::RequestId => uuid_of(key, document).is_some(),
        Key::StatusCode | Key::Seq => int_of(key, document).is_some(),
        Key::Time => true,
        _ => document.texts(key).next().is_some(),
    }
}
