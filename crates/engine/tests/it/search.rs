//! Finding: the seed's queries, cursors, deletion, links.

use annals_engine::{Cursor, Options, Principal, SearchError, SearchRequest};
use serde_json::Value;

use crate::support::{TestLog, options, template_event, try_search};

fn filled() -> TestLog {
    let log = TestLog::new();
    let lines = [
        r#"{"time":"2026-11-01T10:00:00Z","action":"create","resource_type":"workspace","resource_id":"11111111-1111-4111-8111-111111111111","resource_target":"web-1","user":{"id":"22222222-2222-4222-8222-222222222222","username":"Demo-Dev-1","email":"demo-dev-1@example.test"},"organization":{"id":"1","name":"northwind"}}"#,
        r#"{"time":"2026-11-02T10:00:00Z","action":"create","resource_type":"template","resource_target":"docker","user":{"username":"demo-admin","email":"demo-admin@example.test"},"status_code":201}"#,
        r#"{"time":"2026-11-03T23:59:59.5Z","action":"start","resource_type":"workspace_build","resource_target":"web-1","user":{"username":"demo-dev-1"},"additional_fields":{"workspace_name":"web-1","build_number":"1","build_reason":"initiator","workspace_owner":"demo-dev-1","workspace_id":"11111111-1111-4111-8111-111111111111"}}"#,
        r#"{"time":"2026-11-04T00:00:00Z","action":"delete","resource_type":"workspace","resource_id":"11111111111141118111111111111111","resource_target":"web-1","user":{"username":"demo-dev-1"}}"#,
        r#"{"time":"2026-11-05T10:00:00Z","action":"login","resource_type":"api_key","resource_target":"","resource_id":"33333333-3333-4333-8333-333333333333","status_code":401,"ip":"198.51.100.7"}"#,
    ];
    log.append(&lines.join("\n")).unwrap();
    log
}

#[test]
fn the_queries_of_the_seed_find_what_they_say() {
    let log = filled();
    let cases = [
        ("resource_type:workspace action:delete", 1),
        ("resource_type:template action:create", 1),
        ("resource_id:11111111-1111-4111-8111-111111111111", 2),
        ("resource_target:web-1", 3),
        ("username:demo-dev-1", 3),
        ("email:demo-admin@example.test", 1),
        ("date_from:2026-11-03", 3),
        ("date_to:2026-11-03", 3),
        ("date_from:2026-11-03 date_to:2026-11-03", 1),
        ("resource_type:workspace_build build_reason:initiator", 1),
        ("organization:northwind", 1),
        ("-username:demo-dev-1", 2),
        ("outcome:denied", 1),
        ("ip:198.51.100.0/24", 1),
        ("web-1 OR docker", 4),
        ("", 5),
    ];
    for (query, count) in cases {
        assert_eq!(log.search(query).0, count, "{query}");
    }
    assert!(matches!(try_search(&log.engine, "resource_tpye:x"), Err(SearchError::Query(_))));
}

#[test]
fn cursors_walk_the_log_while_it_grows() {
    let log = TestLog::new();
    let page = |after: Option<Cursor>| {
        let request = SearchRequest { query: "resource_type:template", limit: 7, offset: 0, after };
        log.engine.search(&Principal::operator(), &request, |found| Ok(found.added.seq)).unwrap()
    };
    for n in 0..40 {
        // Every fourth event is late.
        let day = if n % 4 == 0 { "01" } else { "02" };
        log.append(&template_event("t", &format!("\"time\":\"2026-11-{day}T10:00:{n:02}Z\""))).unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let results = page(after);
        seen.extend(results.events);
        log.append(&template_event("new", "")).unwrap();
        after = results.next;
        if after.is_none() {
            break;
        }
    }
    let mut expect: Vec<u64> = (0..40).collect();
    expect.sort_by_key(|n| std::cmp::Reverse((n % 4 != 0, *n)));
    assert_eq!(seen, expect);
}

#[test]
fn what_was_deleted_later_says_so_and_has_no_link() {
    let log =
        TestLog::with(Options { deployment_url: Some("https://coder.example/".to_owned()), ..options() });
    let create = r#"{"action":"create","resource_type":"template","resource_id":"t-1","resource_target":"a b/c","user":{"username":"x"}}"#;
    log.append(create).unwrap();
    let of = |query: &str| log.search(query).1.remove(0);
    let event = of("resource_id:t-1");
    assert_eq!(
        (&event["is_deleted"], &event["resource_link"]),
        (&Value::from(false), &Value::from("https://coder.example/templates/a%20b%2Fc"))
    );
    log.append(r#"{"action":"delete","resource_type":"template","resource_id":"t-1","status_code":500}"#)
        .unwrap();
    assert_eq!(of("resource_id:t-1 action:create")["is_deleted"], false, "a failed delete deletes nothing");
    log.append(r#"{"action":"delete","resource_type":"template","resource_id":"t-1"}"#).unwrap();
    let event = of("resource_id:t-1 action:create");
    assert_eq!((&event["is_deleted"], &event["resource_link"]), (&Value::from(true), &Value::from("")));
    log.append(create).unwrap();
    assert_eq!(
        log.search("resource_id:t-1 action:create").1[0]["is_deleted"],
        false,
        "made anew after the delete"
    );
}

#[test]
fn a_build_is_deleted_with_its_workspace() {
    let log = filled();
    let (_, builds) = log.search("resource_type:workspace_build");
    assert_eq!(builds[0]["is_deleted"], true);
}

#[test]
fn one_event_is_found_by_its_id() {
    let log = filled();
    let (_, events) = log.search("");
    let id: uuid::Uuid = events[0]["id"].as_str().unwrap().parse().unwrap();
    let of = |id| {
        let id = annals_model::id::EventId::new(id);
        log.engine.event(&Principal::operator(), id, |found| Ok(found.added.seq)).unwrap()
    };
    assert_eq!(of(id), Some(4));
    assert_eq!(of(uuid::Uuid::from_u128(1)), None);
}
