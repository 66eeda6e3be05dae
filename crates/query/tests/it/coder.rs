//! The compatibility law: what Coder accepts means the same here.
//!
//! `coders_reading` follows Coder's algorithm step by step, as an oracle that shares nothing with the parser.

use crate::with_context;
use annals_query::{Filter, Key, Pattern, Term, Test, fold, parse};
use jiff::civil::Date;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

const RESOURCE_TYPES: [&str; 5] = ["workspace", "workspace_build", "template", "user", "audit_log"];
const ACTIONS: [&str; 7] = ["create", "delete", "write", "start", "stop", "login", "logout"];
const BUILD_REASONS: [&str; 3] = ["initiator", "autostart", "autostop"];
const KEYS: [&str; 11] = [
    "request_id",
    "resource_id",
    "resource_target",
    "username",
    "email",
    "date_from",
    "date_to",
    "organization",
    "resource_type",
    "action",
    "build_reason",
];

/// Returns the terms that Coder reads, or `None` if it rejects the query.
fn coders_reading(text: &str) -> Option<Vec<Term>> {
    let text = fold(text).into_owned();
    let mut values: Vec<(String, String)> = Vec::new();
    for element in elements(&text) {
        if element.starts_with(':') || element.ends_with(':') {
            return None;
        }
        let pieces = split_outside_quotes(&element, ':');
        let pieces: Vec<&str> = pieces.iter().map(|piece| piece.trim_matches('"')).collect();
        match pieces.as_slice() {
            [_] => values.push(("resource_type".to_owned(), element)),
            [key, value] => values.push(((*key).to_owned(), (*value).to_owned())),
            _ => return None,
        }
    }
    // Beside an empty resource type Coder ignores all words without a colon, even what is an operator here; that
    // much is a documented exception.
    let is_operator = |word: &str| matches!(word, "or" | ")") || word.contains('=');
    if split_outside_quotes(&text, ' ').iter().any(|word| !word.contains(':') && is_operator(word)) {
        return None;
    }
    if values.iter().any(|(key, _)| !KEYS.contains(&key.as_str())) {
        return None;
    }
    let mut terms = Vec::new();
    for key in KEYS {
        let mut occurrences =
            values.iter().filter(|(given, _)| given == key).map(|(_, value)| value.as_str());
        match occurrences.next() {
            None | Some("") => {}
            Some(_) if occurrences.next().is_some() => return None,
            Some(value) => terms.extend(coders_term(key, value)?),
        }
    }
    Some(terms)
}

/// Splits at spaces; words without a colon become one element, the last.
fn elements(text: &str) -> Vec<String> {
    let (mut elements, words): (Vec<String>, Vec<String>) =
        split_outside_quotes(text, ' ').into_iter().partition(|word| word.contains(':'));
    if !words.is_empty() {
        elements.push(words.join(" "));
    }
    elements
}

/// Splits at a delimiter outside quotes; empty pieces vanish.
fn split_outside_quotes(text: &str, delimiter: char) -> Vec<String> {
    let mut is_quoted = false;
    text.split(|character| {
        is_quoted ^= character == '"';
        !is_quoted && character == delimiter
    })
    .filter(|piece| !piece.is_empty())
    .map(str::to_owned)
    .collect()
}

/// Returns what a value means: an error, no filter, or a term.
fn coders_term(key: &str, value: &str) -> Option<Option<Term>> {
    let exact = |value: &str| Some(Some(Term::exact(Key::from_name(key).unwrap(), value)));
    let member = |known: &[&str]| if known.contains(&value) { exact(value) } else { None };
    match key {
        "request_id" => {
            let id = Uuid::try_parse(value).ok()?;
            Some((!id.is_nil()).then(|| Term::new(Key::RequestId, Test::Uuid(vec![id]))))
        }
        "resource_id" | "organization" => match Uuid::try_parse(value) {
            Ok(id) if id.is_nil() => Some(None),
            Ok(id) => exact(&id.to_string()),
            Err(_) if key == "organization" => exact(value),
            Err(_) => None,
        },
        "date_from" | "date_to" => {
            let is_strict =
                value.len() == 10 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
            let date: Date = if is_strict { value.parse().ok()? } else { return None };
            let midnight = date.at(0, 0, 0, 0).duration_since(Date::constant(1970, 1, 1).at(0, 0, 0, 0));
            let start_us = i64::try_from(midnight.as_micros()).unwrap();
            let test = match key {
                "date_from" => Test::Time { from_us: Some(start_us), before_us: None },
                _ => Test::Time { from_us: None, before_us: Some(start_us + 86_400_000_000) },
            };
            Some((date != Date::constant(1, 1, 1)).then_some(Term::new(Key::Time, test)))
        }
        "username" if value == "me" => exact("alice"),
        "resource_type" => member(&RESOURCE_TYPES),
        "action" => member(&ACTIONS),
        "build_reason" => member(&BUILD_REASONS),
        _ => exact(value),
    }
}

/// Generates queries that Coder often accepts, without the characters that have gained a meaning.
fn query_text() -> impl Strategy<Value = String> {
    let id = "123e4567-e89b-12d3-a456-426614174000";
    let nil = "00000000-0000-0000-0000-000000000000";
    let keys = KEYS.into_iter().chain([
        "Action",
        "\"username\"",
        "\"\"email\"\"",
        "user",
        "-action",
        "RESOURCE_TARGET",
    ]);
    let values = [
        "create",
        "Workspace",
        "autostart",
        "alice",
        "me",
        "\"ME\"",
        "\"\"",
        "a\"b c\"d",
        "\"a b\"",
        "\"a:b\"",
        "a..b",
        "2026-01-31",
        "2026-02-30",
        "0001-01-01",
        "0000-01-01",
        "9999-12-31",
        "\"2026-01-01\"",
        id,
        nil,
        "{123e4567-e89b-12d3-a456-426614174000}",
        "\"urn:uuid:123e4567-e89b-12d3-a456-426614174000\"",
        "a\tb",
        ")",
        "-x",
        ">=1",
        "=x",
        "or",
        "NOT",
        "\\",
        "a\"",
        "É",
    ];
    let keyed =
        (select(keys.collect::<Vec<_>>()), select(vec![":", ":", ":", "::", "="]), select(values.to_vec()))
            .prop_map(|(key, colon, value)| format!("{key}{colon}{value}"));
    let bare =
        select(vec!["workspace", "Template", "foo", "\"workspace\"", "OR", "\"a:b\"", ":", "user", ")"]);
    let element = prop_oneof![6 => keyed, 1 => bare.prop_map(str::to_owned)];
    vec((element, select(vec![" ", " ", "  "])), 0..4)
        .prop_map(|elements| elements.into_iter().map(|(element, space)| element + space).collect())
}

#[test]
fn every_query_of_coders_means_the_same() {
    let mut runner = TestRunner::deterministic();
    let strategy = query_text();
    let mut accepted_count = 0;
    for _ in 0..20_000 {
        let text = strategy.new_tree(&mut runner).unwrap().current();
        let Some(mut expected) = coders_reading(&text) else { continue };
        accepted_count += 1;
        let filter = match with_context(|context| parse(&text, context)) {
            Ok(query) => query.into_filter(),
            Err(errors) => panic!("Coder reads {expected:?}\n{}", errors.render(&text)),
        };
        let filters = if let Filter::And(filters) = filter { filters } else { vec![filter] };
        for filter in filters {
            let place = expected.iter().position(|term| Filter::Term(term.clone()) == filter);
            match place {
                Some(place) => drop(expected.remove(place)),
                None => panic!("{text:?} is read as {filter}, where Coder reads {expected:?}"),
            }
        }
        assert!(expected.is_empty(), "{text:?} lacks {expected:?}");
    }
    assert!(accepted_count > 4000, "only {accepted_count} queries say something");
}

#[test]
fn the_oracle_knows_coders_corners() {
    let exact = |key, value: &str| Term::new(key, Test::AnyOf(vec![Pattern::Exact(value.to_owned())]));
    assert_eq!(coders_reading("workspace resource_type:\"\""), Some(vec![]));
    assert_eq!(coders_reading("foo resource_type:\"\""), Some(vec![]));
    assert_eq!(coders_reading("action::create"), Some(vec![exact(Key::Action, "create")]));
    assert_eq!(coders_reading("email:a\"b c\"d"), Some(vec![exact(Key::Email, "a\"b c\"d")]));
    for rejected in
        ["\"workspace\"", "workspace template", "action:create action:\"\"", "a:b", ":", "email:a:b"]
    {
        assert_eq!(coders_reading(rejected), None, "{rejected}");
    }
}
