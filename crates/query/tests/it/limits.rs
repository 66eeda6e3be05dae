//! How large a query may be, and that hostile ones are cheap.

use crate::with_context;
use annals_query::{QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_TERMS_MAX, RESOURCE_ID_BYTES_MAX, parse};
use std::time::{Duration, Instant};

fn errors_of(query: &str) -> Vec<String> {
    match with_context(|context| parse(query, context)) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.errors.into_iter().map(|error| error.detail).collect(),
    }
}

#[test]
fn the_limit_itself_is_accepted() {
    let longest = format!("resource_target:{}", "a".repeat(QUERY_BYTES_MAX - "resource_target:".len()));
    assert_eq!(errors_of(&longest), [""; 0]);
    assert_eq!(errors_of(&"a ".repeat(QUERY_TERMS_MAX)), [""; 0]);
    assert_eq!(errors_of(&format!("email:{}a", "a,".repeat(QUERY_TERMS_MAX - 1))), [""; 0]);
    let (open, close) = ("(".repeat(QUERY_DEPTH_MAX), ")".repeat(QUERY_DEPTH_MAX));
    assert_eq!(errors_of(&format!("{open}a{close}")), [""; 0]);
    assert_eq!(errors_of(&format!("resource_id:{}", "a".repeat(RESOURCE_ID_BYTES_MAX))), [""; 0]);
}

#[test]
fn one_more_is_one_error() {
    let long = "ä".repeat(QUERY_BYTES_MAX / 2) + "a";
    assert_eq!(errors_of(&long), ["query of 4097 bytes exceeds the limit of 4096"]);
    let terms = "query has more terms than the limit of 64";
    assert_eq!(errors_of(&"a ".repeat(QUERY_TERMS_MAX + 1)), [terms]);
    assert_eq!(errors_of(&format!("(email:{}a", "a,".repeat(QUERY_TERMS_MAX))), [terms]);
    let open = "-(".repeat(QUERY_DEPTH_MAX + 1);
    assert_eq!(errors_of(&open), ["query is nested deeper than the limit of 16"]);
    let id = format!("resource_id:{}", "a".repeat(RESOURCE_ID_BYTES_MAX + 1));
    assert_eq!(errors_of(&id), ["value of 201 bytes exceeds the limit of 200"]);
}

#[test]
fn hostile_queries_are_cheap() {
    let pieces = [
        "(",
        "-(",
        "NOT ",
        "a:(",
        "action:(",
        "\"",
        "a:",
        ":",
        "::(",
        "a=",
        "*a",
        "?*",
        ",",
        "a,",
        "email:",
        "OR ",
        "AND ",
        "-",
        "- ",
        ") ",
        "x\"y:",
        "é=",
        "😀",
        "action:zz ",
        "id:(((",
        "time:now-",
    ];
    let start = Instant::now();
    for piece in pieces {
        let query = piece.repeat(QUERY_BYTES_MAX / piece.len());
        if let Err(errors) = with_context(|context| parse(&query, context)) {
            let rendered = errors.render(&query);
            assert!(rendered.len() < 1_000_000, "{piece:?} gives {} bytes of errors", rendered.len());
        }
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
