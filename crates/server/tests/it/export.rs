//! `GET /api/v2/audit/export` over real HTTP: exact, resumable, safe in a spreadsheet, and over when its reader has gone.

use std::time::{Duration, Instant};

use annals_engine::{CSV_COLUMNS, ExportFormat};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{TestServer, json, template_event};

/// What a spreadsheet, a shell or a parser may stumble over.
const HOSTILE: [&str; 16] = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "=HYPERLINK(\"http://evil.example/\",\"click\")",
    "a,b;c",
    "say \"hi\"",
    "two\r\nlines",
    "\"",
    "\"\"",
    ",",
    "\u{feff}bom",
    "emoji 🦀 and \u{202e}rtl",
    "nul \u{0} byte",
];

/// Reads RFC 4180, strictly.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                assert!(cell.is_empty(), "a quote inside a plain cell: {cell}");
                loop {
                    match characters.next().expect("a quoted cell ends") {
                        '"' if characters.peek() == Some(&'"') => cell.push(characters.next().unwrap()),
                        '"' => break,
                        other => cell.push(other),
                    }
                }
                assert!(matches!(characters.peek(), Some(',' | '\r')), "after a quoted cell: {cell}");
            }
            ',' => row.push(std::mem::take(&mut cell)),
            '\r' => {
                assert_eq!(characters.next(), Some('\n'), "lines end with CR LF");
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(row.is_empty() && cell.is_empty(), "the last line is whole");
    rows
}

/// What the export should say of an event, made from the event as the search shows it.
fn expected_row(event: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let cell = |column: &str| match column {
        "user_id" => text(&event["user"]["id"]),
        "username" | "email" => text(&event["user"][column]),
        "organization" => text(&event["organization"]["name"]),
        column => text(&event[column]),
    };
    CSV_COLUMNS
        .iter()
        .map(|column| match cell(column) {
            formula if formula.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{formula}"),
            plain => plain,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_texts_come_out_as_they_went_in() {
    let server = TestServer::start().await;
    let lines: Vec<String> = HOSTILE
        .iter()
        .map(|text| {
            let quoted = json!(text).to_string();
            // White space between tokens must not break a line.
            let more = format!(
                "\"user\":{{\"username\":{quoted},\"email\":{quoted},\"id\":\"u\"}},\"user_agent\":{quoted},\
                 \"diff\":{{\"name\":{{\"old\":\"a\",\r\"new\":\t{quoted}}}}},\
                 \"additional_fields\":{{ \"note\" :\r [ {quoted} ] }}"
            );
            template_event(text, &more)
        })
        .collect();
    let reply = server.post_events(lines.join("\n")).await;
    assert_eq!(reply.status(), 201, "{}", reply.text().await.unwrap());

    let mut events = server.search("resource_type:template").await["audit_logs"].take();
    let events = events.as_array_mut().unwrap();
    events.sort_by_key(|event| event["seq"].as_u64());
    assert_eq!(events.len(), HOSTILE.len());

    let path = "/api/v2/audit/export?q=resource_type:template&format=";
    let reply = server.get(&format!("{path}ndjson")).send().await.unwrap();
    assert_eq!(reply.headers()[CONTENT_TYPE], "application/x-ndjson");
    assert_eq!(reply.headers()["annals-count"], "16");
    let text = reply.text().await.unwrap();
    assert!(text.ends_with('\n'));
    let exported: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(&exported, events);

    let reply = server.get(&format!("{path}csv")).send().await.unwrap();
    assert_eq!(reply.headers()[CONTENT_TYPE], "text/csv; charset=utf-8; header=present");
    let rows = parse_csv(&reply.text().await.unwrap());
    assert_eq!(rows[0], CSV_COLUMNS);
    for (row, event) in rows[1..].iter().zip(events.iter()) {
        let (cells, json_cells) = row.split_at(CSV_COLUMNS.len() - 2);
        assert_eq!(cells, &expected_row(event)[..cells.len()]);
        assert_eq!(serde_json::from_str::<Value>(&json_cells[0]).unwrap(), event["diff"]);
        assert_eq!(serde_json::from_str::<Value>(&json_cells[1]).unwrap(), event["additional_fields"]);
    }
    assert_eq!(rows.len(), 1 + HOSTILE.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_says_what_comes_and_is_recorded_before_it() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.post_events(template_event(&format!("t-{n}"), "")).await;
    }
    let path = "/api/v2/audit/export?q=resource_type:template";
    let whole = server.get(path).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    let header = |name: &str| whole.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("annals-count").unwrap(), "5");
    assert_eq!(header(CONTENT_ENCODING.as_str()), None, "what goes through a compressor is held back");
    let name = header(CONTENT_DISPOSITION.as_str()).unwrap();
    assert!(name.starts_with("attachment; filename=\"audit-20") && name.ends_with("Z.ndjson\""), "{name}");
    assert_eq!(name.len(), "attachment; filename=\"audit-20261122T120000Z.ndjson\"".len(), "{name}");
    let last_seq: u64 = header("annals-last-seq").unwrap().parse().unwrap();
    let whole = whole.text().await.unwrap();
    let seqs: Vec<u64> = whole
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.is_sorted() && *seqs.last().unwrap() == last_seq);

    // Any line is a place to go on from.
    for (at, seq) in seqs.iter().enumerate() {
        let rest = server.get(&format!("{path}&after_seq={seq}")).send().await.unwrap();
        assert_eq!(rest.headers()["annals-count"], (4 - at).to_string());
        let begin = whole.lines().take(at + 1).map(|line| line.len() + 1).sum::<usize>();
        assert_eq!(rest.text().await.unwrap(), whole[begin..]);
    }
    let csv = async |more: &str| {
        server.get(&format!("{path}&format=csv{more}")).send().await.unwrap().text().await.unwrap()
    };
    let rest = csv(&format!("&after_seq={}", seqs[1])).await;
    assert!(csv("").await.ends_with(&rest) && parse_csv(&rest).len() == 3, "no column names in the middle");

    let recorded = server.search("resource_type:audit_log action:export").await;
    assert_eq!(recorded["count"], 8);
    let first = &recorded["audit_logs"][7];
    assert_eq!(first["resource_target"], "resource_type:template");
    assert_eq!(first["diff"]["event_count"]["new"], 5);
    assert_eq!(first["diff"]["format"]["new"], "ndjson");
    assert_eq!(first["diff"]["query"]["new"], "resource_type:template");
    assert!(server.count("").await >= 13, "exports are among what is found without naming them");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_not_recorded() {
    let server = TestServer::start().await;
    for (more, field) in [
        ("format=xml", "format"),
        ("after_seq=-1", "after_seq"),
        ("after_seq=999999", "after_seq"),
        ("q=nokey:1", "nokey"),
    ] {
        let reply = server.get(&format!("/api/v2/audit/export?{more}")).send().await.unwrap();
        assert_eq!(reply.status(), 400, "{more}");
        assert_eq!(json(reply).await["validations"][0]["field"], field, "{more}");
    }
    assert_eq!(server.count("resource_type:audit_log action:export").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parquet_file_is_named_whole_and_not_compressed_again() {
    let server = TestServer::start().await;
    for n in 0..5 {
        server.post_events(template_event(&format!("t-{n}"), "")).await;
    }
    let path = "/api/v2/audit/export?format=parquet&q=";
    for (query, count) in [("resource_type:template", "5"), ("resource_target:nothing", "0")] {
        let reply =
            server.get(&format!("{path}{query}")).header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
        let header = |name: &str| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header(CONTENT_TYPE.as_str()).unwrap(), "application/vnd.apache.parquet");
        assert_eq!(header("annals-count").unwrap(), count);
        assert_eq!(header(CONTENT_ENCODING.as_str()), None);
        assert!(header(CONTENT_DISPOSITION.as_str()).unwrap().ends_with("Z.parquet\""));
        let file = reply.bytes().await.unwrap();
        assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"), "{query}: {} bytes", file.len());
    }
    let recorded = server.search("resource_type:audit_log action:export").await;
    assert_eq!(recorded["audit_logs"][1]["diff"]["format"]["new"], "parquet");

    // What is refused names every form, and so does the description.
    let reply = server.get("/api/v2/audit/export?format=xml").send().await.unwrap();
    let refused = json(reply).await["validations"][0]["detail"].to_string();
    let description = json(server.get("/api/openapi.json").send().await.unwrap()).await;
    let described = description["paths"]["/api/v2/audit/export"].to_string();
    for format in ExportFormat::all() {
        assert!(refused.contains(&format!("`{format}`")), "{format}: {refused}");
        assert!(described.contains(&format!("`{format}`")), "{format}");
    }
}

/// Each large enough that no buffer on the way holds all of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_gives_the_turn_back() {
    let server = TestServer::start().await;
    let note = "x".repeat(250_000);
    let more = format!("\"additional_fields\":{{\"note\":\"{note}\"}}");
    for _ in 0..4 {
        let lines: Vec<String> = (0..30).map(|n| template_event(&format!("t-{n}"), &more)).collect();
        assert_eq!(server.post_events(lines.join("\n")).await.status(), 201);
    }
    let export = async || server.get("/api/v2/audit/export").send().await.unwrap();
    let mut open = Vec::new();
    for _ in 0..4 {
        let reply = export().await;
        assert_eq!(reply.status(), 200);
        open.push(reply);
    }
    let refused = export().await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(json(refused).await["type"], "/problems/busy");
    drop(open.pop());
    let until = Instant::now() + Duration::from_secs(10);
    let again = loop {
        let reply = export().await;
        if reply.status() == 200 {
            break reply;
        }
        assert!(Instant::now() < until, "the turn of a reader who left is still taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // Whoever stays gets all of it.
    let count: usize = again.headers()["annals-count"].to_str().unwrap().parse().unwrap();
    assert_eq!(again.text().await.unwrap().lines().count(), count);
    let first = open.remove(0);
    let count: usize = first.headers()["annals-count"].to_str().unwrap().parse().unwrap();
    assert_eq!(first.text().await.unwrap().lines().count(), count);
}
