//! The neighbours of an event, and the history of a resource, over HTTP as a browser asks for them.

use annals_engine::Role;
use serde_json::{Value, json};

use crate::hostile::naughty_strings;
use crate::signed_in::Browser;
use crate::support::TestServer;

/// The text that an attribute stands for.
fn unescaped(text: &str) -> String {
    let mut text = text.to_owned();
    for (escape, character) in
        [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")]
    {
        text = text.replace(escape, character);
    }
    text
}

/// Every value of an attribute that begins with a text.
fn values(page: &str, attribute: &str, begin: &str) -> Vec<String> {
    let start = format!("{attribute}=\"");
    let all = page.split(start.as_str()).skip(1).map(|rest| unescaped(rest.split('"').next().unwrap()));
    all.filter(|value| value.starts_with(begin)).collect()
}

/// An event with a value under every key.
fn full_event(id: &str, text: &str) -> Value {
    let who = |name: &str| {
        json!({"id": format!("{name}-id {text}"), "username": format!("{name} {text}"),
               "email": format!("{name}@example.com {text}"), "name": format!("{name} full {text}")})
    };
    json!({
        "id": id, "action": "write", "resource_type": "template", "resource_target": format!("target {text}"),
        "resource_id": format!("r {text}"), "user": who("user"), "impersonator": who("boss"), "on_behalf_of": who("client"),
        "organization": {"id": format!("o {text}"), "name": format!("on {text}"), "display_name": format!("od {text}")},
        "ip": "192.0.2.7", "user_agent": format!("agent {text}"), "source": format!("source {text}"), "source_seq": 7,
        "build_reason": "autostart", "request_id": "6f1c7a52-8e0b-4c55-a3b9-90d1e2f4bb07", "time": "2026-01-02T03:04:05.678901Z",
        "after": {"name": text, "description": [text], "user_acl": {"key": text}},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_of_an_event_finds_it() {
    let server = TestServer::start().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    for (number, text) in
        ["plain", "a \"b\" & <c>", "x..y", "* ? ~ , ( )", "ünï-\u{1F600}"].into_iter().enumerate()
    {
        let id = format!("0198aaaa-5d0c-7c3e-9b1f-00000000000{number}");
        assert_eq!(server.post_events(full_event(&id, text).to_string()).await.status(), 201);
        let (status, page) = auditor.page(&format!("/audit/events/{id}")).await;
        assert_eq!(status, 200);
        let detail = &page[page.find("class=\"detail\"").unwrap()..];
        let links = values(detail, "href", "/audit?");
        // Same resource, request, person, address, around; then each line of the context but one, type and status with two.
        assert_eq!(links.len(), 5 + 23, "{links:#?}");
        for link in &links {
            let (status, found) = auditor.page(link).await;
            assert_eq!(status, 200, "{link}");
            assert!(found.contains(&format!("/audit/events/{id}")), "{link}");
        }
        let [history] = &values(detail, "href", "/audit/history?")[..] else {
            panic!("one history: {detail}")
        };
        let (status, found) = auditor.page(history).await;
        assert!(
            status == 200 && found.contains("<b class=\"num\">1</b> events of template"),
            "{history}: {found}"
        );

        let json_href = format!("/api/v2/audit/{id}");
        assert_eq!(values(detail, "href", "/api/"), std::slice::from_ref(&json_href));
        let (status, by_api) = auditor.page(&json_href).await;
        assert_eq!(status, 200);
        let copied = values(detail, "data-copy", "{");
        let copied: Value = serde_json::from_str(&copied[0]).unwrap();
        assert_eq!(copied, serde_json::from_str::<Value>(&by_api).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_most_of_it_has_fewer_neighbours() {
    let server = TestServer::start().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    let id = "0198aaaa-5d0c-7c3e-9b1f-000000000009";
    // The longest target there is, and too long for a query with its key.
    let long = "x".repeat(4_096);
    let event = json!({"id": id, "action": "write", "resource_type": "template", "resource_target": long});
    assert_eq!(server.post_events(event.to_string()).await.status(), 201);
    let (_, page) = auditor.page(&format!("/audit/events/{id}")).await;
    for absent in ["Same person", "Same request", "Same address", "Same resource"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("Around this time (5 minutes)") && !page.contains("History of this resource"));
    for link in values(&page[page.find("class=\"detail\"").unwrap()..], "href", "/audit?") {
        assert_eq!(auditor.page(&link).await.0, 200, "{link}");
    }
}

/// An event of the template `t-1`.
fn template(
    second: u32,
    action: &str,
    status: u16,
    before: &Value,
    after: &Value,
    organization: &str,
) -> String {
    json!({
        "action": action, "resource_type": "template", "resource_target": "web", "resource_id": "t-1", "status_code": status,
        "time": format!("2026-01-02T03:04:{second:02}Z"), "before": before, "after": after, "organization": {"id": organization},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_shows_the_state_after_any_event() {
    let server = TestServer::start().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    let none = Value::Null;
    let events = [
        template(
            1,
            "create",
            201,
            &none,
            &json!({"name": "one", "default_ttl": 28_800_000_000_000_u64}),
            "o",
        ),
        template(2, "write", 500, &json!({"name": "one"}), &json!({"name": "not-taken"}), "o"),
        template(
            3,
            "write",
            200,
            &json!({"name": "one", "unknown_field": "S3CRET-1"}),
            &json!({"name": "two", "unknown_field": "S3CRET-2"}),
            "o",
        ),
        template(4, "delete", 200, &json!({"name": "two"}), &none, "o"),
    ];
    let before = server.count("").await;
    assert_eq!(server.post_events(format!("[{}]", events.join(","))).await.status(), 201);
    let found = server.search("resource_id:t-1").await;
    let mut seqs: Vec<u64> =
        found["audit_logs"].as_array().unwrap().iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    seqs.reverse();
    assert!(seqs[0] >= before);
    let href = "/audit/history?type=template&id=t-1";
    let state = |page: &str| {
        let from = page.find("id=\"state\"").unwrap();
        page[from..from + page[from..].find("</section>").unwrap()].to_owned()
    };

    let (status, page) = auditor.page(href).await;
    assert_eq!(status, 200);
    assert!(
        page.contains("<h1>History of web</h1>") && page.contains("<b class=\"num\">4</b> events"),
        "{page}"
    );
    assert!(state(&page).contains("State after the last event") && state(&page).contains("Deleted: nothing"));
    assert_eq!(page.matches("<article").count(), 4);
    let order: Vec<_> = seqs.iter().map(|seq| page.find(&format!("Event {seq}<")).unwrap()).collect();
    assert!(order.is_sorted(), "the oldest event first: {order:?}");
    assert!(!page.contains("S3CRET"));

    let (_, page) = auditor.page(&format!("{href}&at={}", seqs[1])).await;
    let then = state(&page);
    assert!(then.contains(&format!("State after event {}", seqs[1])), "{then}");
    assert!(then.contains(">one<") && !then.contains("not-taken") && !then.contains("<ins>"), "{then}");
    assert!(then.contains("28800000000000 <small>8 h</small>"), "{then}");
    assert!(then.contains("changed since recording began"), "{then}");
    assert!(page.contains("the state above"));
    let (_, page) = auditor.page(&format!("{href}&at={}", seqs[2])).await;
    assert!(state(&page).contains(">two<") && state(&page).contains("set, value withheld"), "{page}");

    for (path, status) in [
        ("/audit/history", 404),
        ("/audit/history?type=template", 404),
        ("/audit/history?type=template&id=", 404),
        ("/audit/history?type=template&id=t-1&at=99999", 404),
        ("/audit/history?type=template&id=t-1&at=x", 404),
        ("/audit/history?type=template&id=t-1&page=x", 200),
        ("/audit/history?type=template&id=t-1&page=18446744073709551615", 200),
        ("/audit/history?type=template&id=nothing", 200),
    ] {
        assert_eq!(auditor.page(path).await.0, status, "{path}");
    }
    let (_, page) = auditor.page("/audit/history?type=template&id=nothing").await;
    assert!(page.contains("No event of this resource is in your sight"));
    // What is sent after the read is in the log after it.
    assert_eq!(server.post_events(events[0].clone()).await.status(), 201);
    assert!(
        server.count("resource_type:audit_log username:demo-auditor resource_target~t-1").await > 0,
        "it was a read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_auditor_sees_the_history_of_their_organization() {
    let server = TestServer::start().await;
    let reader = Browser::new(&server, "demo-reader", Role::Member).await;
    let organization = reader.made_auditor_of("red");
    let events = [
        template(1, "write", 200, &json!({"name": "old"}), &json!({"name": "in-red"}), &organization),
        template(2, "write", 200, &json!({"name": "in-red"}), &json!({"name": "in-blue"}), "blue"),
    ];
    assert_eq!(server.post_events(format!("[{}]", events.join(","))).await.status(), 201);
    let blue = server.search("resource_id:t-1").await["audit_logs"][0]["seq"].as_u64().unwrap();
    let (status, page) = reader.page("/audit/history?type=template&id=t-1").await;
    assert_eq!(status, 200);
    assert!(page.contains("<b class=\"num\">1</b> events") && page.contains("in-red"), "{page}");
    assert!(!page.contains("in-blue"));
    let (status, page) = reader.page(&format!("/audit/history?type=template&id=t-1&at={blue}")).await;
    assert!(status == 404 && !page.contains("in-blue"));
}

#[tokio::test(flavor = "multi_thread")]
async fn naughty_strings_in_a_history_become_no_markup() {
    let Some(mut strings) = naughty_strings("naughty_strings_in_a_history_become_no_markup") else { return };
    // Longer ones are no ids.
    strings.retain(|text| text.len() <= 180);
    assert!(strings.len() > 450, "{}", strings.len());
    let server = TestServer::start().await;
    let auditor = Browser::new(&server, "demo-auditor", Role::Auditor).await;
    let event = |(number, text): (usize, &String)| {
        let mut event = full_event(&format!("0198cccc-5d0c-7c3e-9b1f-{number:012}"), text);
        event["resource_id"] = json!("naughty");
        event["after"][text] = json!(text);
        event
    };
    let events: Vec<Value> = strings.iter().enumerate().map(event).collect();
    let response = server.post_events(json!(events).to_string()).await;
    assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
    let checked = |what: &str, page: &str| {
        for script in page.match_indices("<script") {
            assert!(
                page[script.0..].starts_with("<script src=\"/assets/"),
                "{what}: {}",
                &page[script.0..][..60]
            );
        }
        for forbidden in ["<img", "<iframe", "onerror=\"", " style=\"", "<style", "href=\"javascript:"] {
            assert!(!page.contains(forbidden), "{what}: {forbidden}");
        }
    };
    for page in 1..=strings.len().div_ceil(100) {
        let path = format!("/audit/history?type=template&id=naughty&page={page}");
        let (status, html) = auditor.page(&path).await;
        assert_eq!(status, 200, "{path}");
        checked(&path, &html);
    }
    for (number, text) in strings.iter().enumerate() {
        let (status, html) =
            auditor.page(&format!("/audit/events/0198cccc-5d0c-7c3e-9b1f-{number:012}")).await;
        assert_eq!(status, 200, "{text}");
        checked(text, &html);
    }
    for text in &strings {
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/audit/history?type={query}&id={query}");
        let (status, html) = auditor.page(&path).await;
        assert!(matches!(status, 200 | 404), "{status} {text}");
        checked(text, &html);
    }
}
