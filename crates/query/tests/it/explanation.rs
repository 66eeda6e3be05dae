//! The published JSON form.

use crate::with_context;
use annals_query::{explain_json, parse};

fn check(query: &str, expected: &str) {
    let checked = with_context(|context| parse(query, context)).unwrap();
    assert_eq!(explain_json(checked.filter()).to_string(), expected, "{query}");
}

#[test]
fn nodes_have_their_published_form() {
    check("", r#"{"and":[]}"#);
    check("action:create", r#"{"term":{"key":"action","op":"=","values":["create"]}}"#);
    check("action:create,delete", r#"{"term":{"key":"action","op":"=","values":["create","delete"]}}"#);
    check(
        "resource_target:web-*,\"a b\"",
        r#"{"term":{"key":"resource_target","op":"~","values":["web-*","\"a b\""]}}"#,
    );
    check("Foo", r#"{"term":{"key":"text","op":"~","values":["foo"]}}"#);
    check("email:*", r#"{"term":{"key":"email","op":"exists","values":[]}}"#);
    check("-action:create", r#"{"not":{"term":{"key":"action","op":"=","values":["create"]}}}"#);
    check("ip:10.0.0.1,10.0.0.0/8", r#"{"term":{"key":"ip","op":"=","values":["10.0.0.1","10.0.0.0/8"]}}"#);
    check("status_code:404", r#"{"term":{"key":"status_code","op":"=","values":["404"]}}"#);
    check("status_code<500", r#"{"term":{"key":"status_code","op":"<=","values":["499"]}}"#);
}

#[test]
fn ranges_with_two_ends_join_the_conjunction_around_them() {
    check(
        "time:2026-01 status_code:404",
        r#"{"and":[{"term":{"key":"time","op":">=","values":["2026-01-01T00:00:00Z"]}},{"term":{"key":"time","op":"<","values":["2026-02-01T00:00:00Z"]}},{"term":{"key":"status_code","op":"=","values":["404"]}}]}"#,
    );
    check(
        "status_code:400..499,500",
        r#"{"or":[{"and":[{"term":{"key":"status_code","op":">=","values":["400"]}},{"term":{"key":"status_code","op":"<=","values":["499"]}}]},{"term":{"key":"status_code","op":"=","values":["500"]}}]}"#,
    );
}
