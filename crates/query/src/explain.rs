//! The published JSON form of a filter.

use crate::display::{instant, network, pattern};
use crate::{Filter, Key, Pattern, Term, Test};
use serde_json::{Value, json};

/// Returns how a query was read, as JSON.
///
/// A node is `{"and": [..]}`, `{"or": [..]}`, `{"not": node}` or
/// `{"term": {"key": "action", "op": "=", "values": ["create"]}}`. The operators are `=` (any of the values), `~`
/// (matches any of the patterns; a free word under the key `text`), `>=`, `<=`, `<` and `exists` (no values). Values
/// are always text: times are RFC 3339 in UTC, numbers are digits. The filter that every event matches is
/// `{"and": []}`; a range with two ends is an `and` of two terms; nested `and` in `and` and `or` in `or` are
/// flattened, and those of one node are that node.
///
/// # Examples
/// ```
/// use annals_query::{Filter, Key, Term, explain_json};
/// let filter = Filter::from(Term::exact(Key::Action, "Create")).negate();
/// assert_eq!(explain_json(&filter).to_string(), r#"{"not":{"term":{"key":"action","op":"=","values":["create"]}}}"#);
/// assert_eq!(explain_json(&Filter::all()).to_string(), r#"{"and":[]}"#);
/// ```
pub fn explain_json(filter: &Filter) -> Value {
    match filter {
        Filter::And(filters) => combine("and", filters.iter().map(explain_json)),
        Filter::Or(filters) => combine("or", filters.iter().map(explain_json)),
        Filter::Not(inner) => json!({ "not": explain_json(inner) }),
        Filter::Term(term) => explain_term(term),
    }
}

fn combine(word: &str, nodes: impl Iterator<Item = Value>) -> Value {
    let mut flat = Vec::new();
    for mut node in nodes {
        match node.get_mut(word).map(Value::take) {
            Some(Value::Array(inner)) => flat.extend(inner),
            _ => flat.push(node),
        }
    }
    if flat.len() == 1 { flat.remove(0) } else { json!({ word: flat }) }
}

fn explain_term(term: &Term) -> Value {
    let key = term.key;
    let one = |op: &str, value: String| node(key, op, vec![value]);
    match &term.test {
        Test::AnyOf(patterns) => explain_patterns(key, patterns),
        Test::Net(networks) => node(key, "=", networks.iter().map(network).collect()),
        Test::Uuid(ids) => node(key, "=", ids.iter().map(ToString::to_string).collect()),
        Test::Int { at_least: Some(least), at_most: Some(most) } if least == most => {
            one("=", least.to_string())
        }
        Test::Int { at_least: None, at_most: None } | Test::Time { from_us: None, before_us: None } => {
            node(key, "exists", Vec::new())
        }
        Test::Int { at_least, at_most } => {
            let ends = [(">=", at_least), ("<=", at_most)];
            let ends = ends.into_iter().filter_map(|(op, end)| end.map(|end| one(op, end.to_string())));
            combine("and", ends)
        }
        Test::Time { from_us, before_us } => {
            let ends = [(">=", from_us), ("<", before_us)];
            let ends = ends.into_iter().filter_map(|(op, end)| end.map(|end| one(op, instant(end))));
            combine("and", ends)
        }
        Test::Exists => node(key, "exists", Vec::new()),
    }
}

fn explain_patterns(key: Key, patterns: &[Pattern]) -> Value {
    let exact = patterns.iter().map(|pattern| match pattern {
        Pattern::Exact(text) => Some(text.clone()),
        Pattern::Glob(_) | Pattern::Contains(_) => None,
    });
    if let Some(values) = exact.collect::<Option<Vec<_>>>() {
        return node(key, "=", values);
    }
    let values = patterns.iter().map(|it| match it {
        Pattern::Contains(word) if key == Key::Text => word.clone(),
        Pattern::Contains(_) | Pattern::Exact(_) | Pattern::Glob(_) => pattern(key, it),
    });
    node(key, "~", values.collect())
}

fn node(key: Key, op: &str, values: Vec<String>) -> Value {
    json!({ "term": { "key": key.name(), "op": op, "values": values } })
}
