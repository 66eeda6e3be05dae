//! Queries and their meaning. A `?` line is a query, the `=` line below it the canonical text of its filter, and
//! `!` lines the notes. A text says which filter because printing and parsing are inverse, which `laws` checks.

use crate::with_context;
use annals_query::parse;
use std::fmt::Write;

fn check_corpus(name: &str, corpus: &str) {
    let mut actual = String::new();
    let mut query_count = 0;
    for line in corpus.lines() {
        if let Some(query) = line.strip_prefix("? ") {
            query_count += 1;
            writeln!(actual, "{line}").unwrap();
            with_context(|context| match parse(query, context) {
                Ok(checked) => {
                    writeln!(actual, "{}", format!("= {}", checked.filter()).trim_end()).unwrap();
                    for note in checked.notes() {
                        writeln!(actual, "! {note}").unwrap();
                    }
                    let printed = checked.filter().to_string();
                    let again = parse(&printed, context).map(annals_query::CheckedQuery::into_filter);
                    assert_eq!(again.as_ref(), Ok(checked.filter()), "{query:?} printed as {printed:?}");
                }
                Err(errors) => writeln!(actual, "{}", errors.render(query)).unwrap(),
            });
        } else if !line.starts_with(['=', '!']) {
            writeln!(actual, "{line}").unwrap();
        }
    }
    assert!(query_count > 0, "{name} is empty");
    if actual != corpus {
        let at = actual.lines().zip(corpus.lines()).position(|(actual, expected)| actual != expected);
        let from = at.unwrap_or(0).saturating_sub(2);
        let part = |text: &str| text.lines().skip(from).take(8).collect::<Vec<_>>().join("\n");
        panic!("{name}, line {}\nexpected:\n{}\n\nactual:\n{}", from + 1, part(corpus), part(&actual));
    }
}

#[test]
fn what_coder_accepts_means_the_same() {
    check_corpus("coder.txt", include_str!("../corpus/coder.txt"));
}

#[test]
fn what_coder_rejects_gains_a_meaning() {
    check_corpus("superset.txt", include_str!("../corpus/superset.txt"));
}
