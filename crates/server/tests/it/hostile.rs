//! Hostile input over real HTTP: every bad body is refused with a 4xx, nothing is stored, and the server goes on.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::support::{TestServer, template_event};

fn data(path: &str, test: &str) -> Option<PathBuf> {
    let full = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if !full.exists() {
        eprintln!("skipped {test}: ../shared/data is absent");
        return None;
    }
    Some(full)
}

fn files(dir: &Path, prefix: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_body_of_the_json_test_suite_is_refused() {
    let Some(dir) = data("json-test-suite", "every_bad_body_of_the_json_test_suite_is_refused") else {
        return;
    };
    let server = TestServer::start().await;
    let before = server.count("").await;
    let bodies = files(&dir, "n_");
    assert!(bodies.len() > 180);
    for (name, body) in bodies {
        let status = server.post_events(body.clone()).await.status();
        assert!(status.is_client_error(), "{name}: {status}");
        // The same bytes inside an otherwise good event, where they do not happen to become good.
        let start = br#"{"action":"write","resource_type":"template","resource_target":"x","additional_fields":{"value":"#;
        let inside = [&start[..], &body, b"}}"].concat();
        if serde_json::from_slice::<Value>(&inside).is_err() {
            let status = server.post_events(inside).await.status();
            assert!(status.is_client_error(), "{name} inside an event: {status}");
        }
    }
    assert_eq!(server.count("").await, before, "nothing was stored");
}

#[derive(serde::Deserialize)]
struct RawPage<'a> {
    #[serde(borrow)]
    audit_logs: Vec<RawEvent<'a>>,
}

#[derive(serde::Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow)]
    additional_fields: &'a RawValue,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_good_value_of_the_json_test_suite_comes_back_unchanged() {
    let test = "every_good_value_of_the_json_test_suite_comes_back_unchanged";
    let Some(dir) = data("json-test-suite", test) else { return };
    let server = TestServer::start().await;
    let (mut kept, mut refused) = (0, Vec::new());
    for (name, body) in files(&dir, "y_") {
        let fields = format!(r#"{{"value":{}}}"#, String::from_utf8(body).unwrap());
        let event = template_event(&name, &format!("\"additional_fields\":{fields}"));
        if server.post_events(event).await.status() != 201 {
            refused.push(name);
            continue;
        }
        let query = [("q", format!("resource_target:\"{name}\""))];
        let text = server.get("/api/v2/audit").query(&query).send().await.unwrap().text().await.unwrap();
        let page: RawPage<'_> = serde_json::from_str(&text).unwrap();
        let mut expect = Vec::new();
        let raw: Box<RawValue> = serde_json::from_str(&fields).unwrap();
        annals_model::json::push_compact(&mut expect, &raw);
        assert_eq!(page.audit_logs[0].additional_fields.get().as_bytes(), expect, "{name}");
        kept += 1;
    }
    assert_eq!(refused, ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]);
    assert_eq!(kept, 93);
}

/// The Big List of Naughty Strings, or nothing where it is absent.
pub(crate) fn naughty_strings(test: &str) -> Option<Vec<String>> {
    let file = data("blns/blns.json", test)?;
    Some(serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn naughty_strings_are_kept_and_found_again() {
    let Some(strings) = naughty_strings("naughty_strings_are_kept_and_found_again") else { return };
    let server = TestServer::start().await;
    let event = |text: &String| {
        let quoted = serde_json::to_string(text).unwrap();
        let more = r#""resource_id":"x","user":{"username":TEXT},"user_agent":TEXT,"after":{"name":TEXT}"#;
        template_event(text, &more.replace("TEXT", &quoted))
    };
    let events: Vec<String> = strings.iter().map(event).collect();
    assert_eq!(server.post_events(format!("[{}]", events.join(","))).await.status(), 201);
    let found = server.search("resource_type:template").await;
    let found = found["audit_logs"].as_array().unwrap();
    assert_eq!(found.len(), strings.len());
    for (event, text) in found.iter().rev().zip(&strings) {
        assert_eq!(event["resource_target"], text.as_str());
        assert_eq!(event["user_agent"], text.as_str());
        assert_eq!(event["diff"]["name"]["new"].as_str().unwrap_or_default(), text.as_str());
    }
    // As a query each is answered or refused, never a failure.
    for text in &strings {
        let status = server.get("/api/v2/audit").query(&[("q", text)]).send().await.unwrap().status();
        assert!(status == 200 || status == 400, "{text}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_and_floods_are_refused() {
    let server = TestServer::start().await;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        gzip.write_all(&vec![b' '; 1024 * 1024]).unwrap();
    }
    assert_eq!(
        server.post_encoded("gzip", gzip.finish().unwrap()).await,
        413,
        "256 MiB in a few hundred KiB"
    );
    let bomb = zstd::encode_all(&vec![b' '; 64 * 1024 * 1024][..], 3).unwrap();
    assert_eq!(server.post_encoded("zstd", bomb).await, 413);
    assert_eq!(server.post_encoded("identity", vec![b' '; 8 * 1024 * 1024 + 1]).await, 413);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        deep.clone(),
        template_event("x", &format!(r#""additional_fields":{{"d":{deep}}}"#)),
        template_event("x", &format!(r#""before":{{"name":{deep}}}"#)),
        template_event("x", r#""additional_fields":{"n":1e999}"#),
        template_event("x", r#""time":"10000-01-01T00:00:00Z""#),
        template_event("x", r#""additional_fields":{"s":"\ud800"}"#),
        template_event("x", r#""user":{"username":"\ud800"}"#),
        template_event("x", r#""action":"write""#),
        template_event(&"x".repeat(5_000), ""),
    ] {
        let status = server.post_events(body.clone()).await.status();
        assert!(status.is_client_error(), "{status}: {}", &body[..body.len().min(100)]);
    }
    for query in ["x".repeat(5_000), "action:create ".repeat(100), "(".repeat(3_000), "-".repeat(4_000)] {
        assert_eq!(server.get("/api/v2/audit").query(&[("q", &query)]).send().await.unwrap().status(), 400);
    }
    assert_eq!(server.count("resource_type:template").await, 0);
    assert_eq!(server.post_events(template_event("still alive", "")).await.status(), 201);
    assert_eq!(server.count("resource_type:template").await, 1);
}
