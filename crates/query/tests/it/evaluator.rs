//! Which events a query matches.

use crate::with_context;
use annals_query::{Actor, Document, matches, parse};
use uuid::Uuid;

fn event() -> Document<'static> {
    Document {
        seq: 1000,
        time_us: 1_768_478_400_000_000, // 2026-01-15T12:00:00Z
        id: Uuid::from_u128(1),
        resource_type: "workspace",
        resource_id: "123e4567-e89b-12d3-a456-426614174000",
        resource_target: "Web-01",
        action: "write",
        actor_type: "user",
        user: Actor { id: "u1", username: "Alice", email: "alice@example.com", name: "Alice Ärgerlich" },
        organization_id: "o1",
        organization_name: "acme",
        organization_display_name: "The Company",
        ip: Some("::ffff:10.1.2.3".parse().unwrap()),
        user_agent: "Mozilla/5.0 (X11; Linux)",
        status_code: 403,
        changed: vec!["name", "ttl_ms"],
        ..Document::default()
    }
}

#[test]
fn matches_what_the_query_says() {
    let yes = [
        "",
        "workspace",
        "username:me",
        "USERNAME:ALICE",
        "resource_target:web-01",
        "web-0?",
        "ärger",
        "10.1.2",
        "ttl",
        "acme",
        "organization:o1",
        "organization:ACME",
        "ip:10.0.0.0/8",
        "ip:10.1.2.3",
        "status_code:403",
        "status_code:400..499",
        "outcome:denied",
        "changed:name changed:ttl_ms",
        "-changed:size",
        "seq:1000",
        "seq>999",
        "id:*",
        "-request_id:*",
        "-impersonator:*",
        "time:2026-01-15",
        "date_from:2026-01-15",
        "date_to:2026-01-15",
        "until:2026-01",
        "since:2026",
        "user_agent:*linux*",
        "-build_reason:autostart",
        "action:create OR outcome:denied",
        "action:(create write)",
        "resource_id:123E4567E89B12D3A456426614174000",
        "time:2026-01-15T12:00:00Z",
        "-(action:create username:me)",
        "actor_type:user",
        "\"alice ä\"",
        "*",
    ];
    let no = [
        "template",
        "-workspace",
        "username:bob",
        "resource_target:web",
        "company",
        "mozilla",
        "ip:10.1.2.4",
        "ip:2001:db8::/32",
        "-ip:*",
        "outcome:success",
        "outcome:failure",
        "changed:size",
        "seq<1000",
        "id:00000000-0000-0000-0000-000000000002",
        "request_id:*",
        "build_reason:*",
        "time:2026-01-14",
        "date_to:2026-01-14",
        "date_from:2026-01-16",
        "until:2026-01-15T12:00:00Z",
        "source:*",
        "on_behalf_of:*",
        "time>2026-01-15T12:00:00Z",
        "-*",
        "action:create (action:write)",
    ];
    for (queries, expected) in [(&yes[..], true), (&no[..], false)] {
        for query in queries {
            let checked = with_context(|context| parse(query, context)).unwrap();
            assert_eq!(matches(checked.filter(), &event()), expected, "{query}");
        }
    }
}

#[test]
fn an_event_without_a_key_passes_only_negations() {
    let keys = [
        "resource_type:workspace",
        "resource_id:42",
        "resource_target:*",
        "action:create",
        "username:me",
        "email:*",
        "user_id:?",
        "organization:a",
        "request_id:*",
        "id:*",
        "build_reason:autostart",
        "ip:0.0.0.0/0",
        "user_agent:*",
        "status_code:<400",
        "status_code:*",
        "actor_type:user",
        "changed:*",
        "source:*",
        "impersonator:*",
        "on_behalf_of:*",
        "word",
    ];
    let empty = Document::default();
    for query in keys {
        let filter = with_context(|context| parse(query, context)).unwrap().into_filter();
        assert!(!matches(&filter, &empty), "{query}");
        assert!(matches(&filter.negate(), &empty), "{query}");
    }
}
