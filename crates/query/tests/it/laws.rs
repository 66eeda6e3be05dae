//! Property tests.

use crate::with_context;
use annals_query::strategies::{OwnedDocument, document_parts, filter, vocabulary};
use annals_query::{Context, Filter, Glob, GlobPart, Key, fold, matches, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Pieces of queries, right and wrong, that meet in unexpected ways.
fn query_text() -> impl Strategy<Value = String> {
    let pieces = [
        " ",
        "  ",
        ":",
        "::",
        "\"",
        "(",
        ")",
        ",",
        "*",
        "?",
        "-",
        "--",
        "..",
        ">=",
        "<",
        "=",
        "!=",
        "~",
        "/d",
        "@",
        " OR ",
        " AND ",
        "NOT ",
        "action",
        "action:",
        "create",
        "delete",
        "resource_type:",
        "workspace",
        "template",
        "time:",
        "since:",
        "until:",
        "date_to:",
        "date_from:",
        "now",
        "-7d",
        "2026",
        "2026-01",
        "0001-01-01",
        "9999-12-31",
        "status_code:",
        "404",
        "500",
        "seq",
        "9223372036854775807",
        "ip:",
        "10.0.0.1",
        "/8",
        "2001:db8::",
        "username:",
        "me",
        "resource_id:",
        "resource_target:",
        "123e4567-e89b-12d3-a456-426614174000",
        "text:",
        "changed:",
        "organization:",
        "00000000-0000-0000-0000-000000000000",
        "request_id:",
        "{",
        "}",
        "x",
        "é",
        "İ",
        "Σ",
        "\t",
        "\n",
        "a b",
        "\"a b\"",
        "username:(",
        "action:(",
    ];
    vec(select(pieces.to_vec()), 0..14).prop_map(|pieces| pieces.concat())
}

fn check_query(text: &str) {
    with_context(|context| match parse(text, context) {
        Ok(checked) => {
            let printed = checked.filter().to_string();
            let again = parse(&printed, context).map(annals_query::CheckedQuery::into_filter);
            assert_eq!(again.as_ref(), Ok(checked.filter()), "{text:?} printed as {printed:?}");
            for note in checked.notes() {
                assert!(text.get(note.span.clone()).is_some(), "{text:?}: {note:?}");
            }
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            for error in &errors.errors {
                assert!(text.get(error.span.clone()).is_some(), "{text:?}: {error:?}");
            }
            errors.render(text);
        }
    });
}

/// The obvious glob matcher: one recursive step per character.
fn naive_matches(parts: &[GlobPart], value: &[char]) -> bool {
    match parts {
        [] => value.is_empty(),
        [GlobPart::AnyMany, rest @ ..] => {
            (0..=value.len()).any(|skipped| naive_matches(rest, &value[skipped..]))
        }
        [GlobPart::AnyOne, rest @ ..] => !value.is_empty() && naive_matches(rest, &value[1..]),
        [GlobPart::Literal(text), rest @ ..] => {
            let text: Vec<char> = text.chars().collect();
            value.strip_prefix(text.as_slice()).is_some_and(|value| naive_matches(rest, value))
        }
    }
}

fn is_match(filter: &Filter, document: &OwnedDocument) -> bool {
    matches(filter, &document.as_document())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_parsing_are_inverse(filter in filter()) {
        let vocabulary = vocabulary();
        let context = Context { now: jiff::Timestamp::UNIX_EPOCH, me: None, vocabulary: &vocabulary };
        let printed = filter.to_string();
        let parsed = parse(&printed, &context).map(annals_query::CheckedQuery::into_filter);
        prop_assert_eq!(parsed, Ok(filter), "printed as {}", printed);
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in any::<String>()) {
        check_query(&text);
    }

    #[test]
    fn any_pieces_are_parsed_and_printed(text in query_text()) {
        check_query(&text);
    }

    #[test]
    fn negation_is_complement(filter in filter(), document in document_parts()) {
        prop_assert_eq!(is_match(&filter.clone().negate(), &document), !is_match(&filter, &document));
        let twice = Filter::Not(Box::new(Filter::Not(Box::new(filter.clone()))));
        prop_assert_eq!(is_match(&twice, &document), is_match(&filter, &document));
    }

    #[test]
    fn de_morgan(one in filter(), other in filter(), document in document_parts()) {
        let neither = Filter::And(vec![one.clone().negate(), other.clone().negate()]);
        prop_assert_eq!(is_match(&neither, &document), !is_match(&Filter::Or(vec![one, other]), &document));
    }

    #[test]
    fn joining_is_intersection(one in filter(), other in filter(), document in document_parts()) {
        let both = is_match(&one, &document) && is_match(&other, &document);
        let joined = one.and(other);
        prop_assert_eq!(is_match(&joined, &document), both);
        let vocabulary = vocabulary();
        let context = Context { now: jiff::Timestamp::UNIX_EPOCH, me: None, vocabulary: &vocabulary };
        let parsed = parse(&joined.to_string(), &context);
        // Joined filters may have more terms than a query.
        if let Ok(parsed) = parsed {
            prop_assert_eq!(is_match(parsed.filter(), &document), both, "printed as {}", joined);
        }
    }

    #[test]
    fn globs_agree_with_the_naive_matcher(pattern in "[ab*?é]{0,8}", value in "[abé]{0,8}") {
        let glob = Glob::from_wildcards(&pattern);
        let characters: Vec<char> = value.chars().collect();
        prop_assert_eq!(glob.matches(&value), naive_matches(glob.parts(), &characters));
        prop_assert!(!glob.matches(&value) || value.starts_with(glob.prefix()));
    }

    #[test]
    fn folding_is_idempotent_and_context_free(one in any::<String>(), other in any::<String>()) {
        let joined = format!("{one}{other}");
        prop_assert_eq!(fold(&joined), format!("{}{}", fold(&one), fold(&other)));
        let once = fold(&one);
        prop_assert_eq!(fold(&once), once.as_ref());
    }
}

/// Random filters hit random documents often enough for the laws to say something.
#[test]
fn pools_are_small_enough_for_hits() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut hit_count = 0;
    for _ in 0..1000 {
        let filter = filter().new_tree(&mut runner).unwrap().current();
        let document = document_parts().new_tree(&mut runner).unwrap().current();
        hit_count += usize::from(is_match(&filter, &document));
    }
    assert!((200..800).contains(&hit_count), "{hit_count} of 1000");
}

#[test]
fn every_key_is_generated() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let filters: Vec<Filter> = (0..500).map(|_| filter().new_tree(&mut runner).unwrap().current()).collect();
    for key in Key::ALL {
        assert!(filters.iter().any(|filter| filter.mentions(key)), "{}", key.name());
    }
}
