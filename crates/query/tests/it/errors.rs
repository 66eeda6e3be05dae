//! What users read when a query is wrong.

use crate::with_context;
use annals_query::parse;
use std::fmt::Write;

const CORPUS: &str = include_str!("../corpus/errors.txt");

#[test]
fn messages_name_the_place_and_the_way_out() {
    let mut rendered = String::new();
    for query in CORPUS.lines() {
        match with_context(|context| parse(query, context)) {
            Ok(checked) => panic!("{query:?} means {}", checked.filter()),
            Err(errors) => writeln!(rendered, "{}", errors.render(query)).unwrap(),
        }
    }
    insta::assert_snapshot!("errors", rendered);
}

#[test]
fn every_error_has_a_field_a_place_and_a_way_out() {
    for query in CORPUS.lines() {
        let errors = with_context(|context| parse(query, context)).unwrap_err();
        for pair in errors.errors.windows(2) {
            assert!(pair[0].span.start <= pair[1].span.start, "{query}: errors are in order of place");
        }
        for error in errors.errors {
            assert!(query.get(error.span.clone()).is_some(), "{query}: {error:?}");
            assert!(!error.field.is_empty(), "{query}: {error:?}");
            assert!(
                error.hint.is_some()
                    || error.detail.contains("is not between")
                    || error.detail.contains("is outside"),
                "{query}: {error:?}"
            );
        }
    }
}

#[test]
fn replacements_fix_what_they_replace() {
    let mut replaced_count = 0;
    for query in CORPUS.lines() {
        let errors = with_context(|context| parse(query, context)).unwrap_err().errors;
        let error_count = errors.len();
        let Some(error) = errors.into_iter().find(|error| error.replacement.is_some()) else { continue };
        let mut fixed = query.to_owned();
        fixed.replace_range(error.span, &error.replacement.unwrap());
        let left =
            with_context(|context| parse(&fixed, context)).map_or_else(|errors| errors.errors.len(), |_| 0);
        assert!(left < error_count, "{query} became {fixed}");
        replaced_count += 1;
    }
    assert!(replaced_count > 10);
}

#[test]
fn errors_print_on_one_line() {
    let errors = with_context(|context| parse("usr:a time:soon", context)).unwrap_err();
    assert_eq!(errors.to_string(), "`usr` is not a key; `soon` is not a time");
}

#[test]
fn unknown_values_are_accepted_by_an_open_vocabulary() {
    with_context(|context| {
        let vocabulary = annals_query::Vocabulary { open: true, ..context.vocabulary.clone() };
        let open = annals_query::Context { vocabulary: &vocabulary, ..*context };
        let query = parse("resource_type:invoice action:pay* outcome:success", &open).unwrap();
        assert_eq!(query.filter().to_string(), "resource_type:invoice action:pay* outcome:success");
        assert!(parse("build_reason:x", &open).is_err(), "only types and actions are open");
    });
}

#[test]
fn an_unknown_caller_is_noted() {
    with_context(|context| {
        let query = parse("username:me", &annals_query::Context { me: None, ..*context }).unwrap();
        assert_eq!(query.filter().to_string(), "username:me");
        assert_eq!(query.notes()[0].span, 9..11);
    });
}
