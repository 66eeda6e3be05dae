//! `annals import` as scripts use it: the summary, exit codes and standard input.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{annals, binary};

const EVENT: &str = r#"{"id":"0b8b6d4e-0000-4000-8000-000000000001","action":"write","resource_type":"template","resource_target":"docker"}"#;

#[test]
fn the_exit_code_says_whether_records_were_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("good.ndjson"), EVENT).unwrap();
    std::fs::write(path("bad.ndjson"), "{\"action\":\n").unwrap();

    let good = annals(&["import", "--data", &path("log"), "--json", &path("good.ndjson")]);
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    let summary: Value = serde_json::from_slice(&good.stdout).unwrap();
    let expect = json!({"files": 1, "events": 1, "accepted": 1, "duplicates": 0, "rejected": 0, "skipped": 0, "without_id": 0});
    assert_eq!(summary, expect);

    let files = [path("good.ndjson"), path("bad.ndjson")];
    let bad =
        annals(&["import", "--data", &path("log"), "--rejects", &path("rejects"), &files[0], &files[1]]);
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(String::from_utf8(bad.stdout).unwrap(), "2 events: 0 new, 1 duplicates, 1 rejected\n");
    let notes = String::from_utf8(bad.stderr).unwrap();
    assert!(notes.contains("bad.ndjson:1: not JSON"), "{notes}");
    let reject: Value = serde_json::from_str(&std::fs::read_to_string(path("rejects")).unwrap()).unwrap();
    assert_eq!((&reject["line"], &reject["record"]), (&json!(1), &json!("{\"action\":\n")));
}

#[test]
fn reads_standard_input_and_names_a_compressed_file() {
    let dir = tempfile::tempdir().unwrap();
    let import = |input: &[u8]| {
        let mut child = Command::new(binary())
            .args(["import", "--data", dir.path().join("log").to_str().unwrap(), "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = import(EVENT.as_bytes());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 events: 1 new, 0 duplicates, 0 rejected\n");
    let output = import(b"\x1f\x8b\x08\x00");
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("gunzip -c"));
}
