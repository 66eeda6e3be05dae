//! Imports into a real log in a temporary directory.

use std::sync::Arc;

use annals_engine::{Engine, Options, Principal, SearchRequest};

use super::*;
use crate::target::Target;

struct Log {
    target: Target,
    dir: tempfile::TempDir,
}

impl Log {
    fn new() -> Log {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::create_or_open(&dir.path().join("log"), Options::default()).unwrap();
        Log { target: Target::Local(Arc::new(engine)), dir }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn import(&self, format: Format, files: Vec<PathBuf>) -> Summary {
        let rejects = Some(self.dir.path().join("rejects.ndjson"));
        let args = ImportArgs {
            format,
            files,
            rejects,
            batch: 7,
            mapping: None,
            print_mapping: None,
            dry_run: false,
            default_time: None,
        };
        let converter = args.converter().unwrap();
        let mut importer = Importer::new(&args, converter, Destination::Log(&self.target)).unwrap();
        importer.import_files(&args.files).unwrap();
        importer.summary
    }

    fn rejects(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.dir.path().join("rejects.ndjson")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn search(&self, query: &str) -> (u64, Vec<serde_json::Value>) {
        let engine = match &self.target {
            Target::Local(engine) => engine,
            Target::Remote(..) => panic!("the log is here"),
        };
        let request = SearchRequest { query, limit: 100, offset: 0, after: None };
        let each =
            |found: annals_engine::FoundEvent<'_>| Ok(serde_json::to_value(found.into_audit_log()?).unwrap());
        let results = engine.search(&Principal::operator(), &request, each).unwrap();
        (results.count, results.events)
    }
}

const ID: &str = "0b8b6d4e-0000-4000-8000-0000000000";

fn native(number: u64, action: &str) -> String {
    format!(
        r#"{{"id":"{ID}{number:02}","action":"{action}","resource_type":"template","resource_target":"docker"}}"#
    )
}

#[test]
fn bad_records_are_reported_by_file_and_line_and_the_rest_is_taken() {
    let log = Log::new();
    let good: Vec<String> = (10..40).map(|number| native(number, "write")).collect();
    let text = format!(
        "{}\noops\n{}\n\n{}\n{{\"cut\":",
        good[..10].join("\n"),
        native(50, "wrte"),
        good[10..].join("\n")
    );
    let file = log.file("events.ndjson", &text);
    let summary = log.import(Format::Auto, vec![file.clone()]);
    assert_eq!((summary.events, summary.accepted, summary.duplicates, summary.rejected), (33, 30, 0, 3));
    let mut rejects: Vec<_> =
        log.rejects().iter().map(|reject| (reject["line"].as_u64(), reject["record"].clone())).collect();
    rejects.sort_by_key(|(line, _)| *line);
    let record: serde_json::Value = serde_json::from_str(&native(50, "wrte")).unwrap();
    assert_eq!(rejects, [(Some(11), "oops\n".into()), (Some(12), record), (Some(34), "{\"cut\":".into())]);
    let reasons: Vec<String> =
        log.rejects().iter().map(|reject| reject["reason"].as_str().unwrap().to_owned()).collect();
    assert!(reasons.iter().any(|reason| reason.starts_with("/action: unknown action `wrte`")), "{reasons:?}");
    assert!(log.rejects().iter().all(|reject| reject["file"] == file.display().to_string()));

    let again = log.import(Format::Auto, vec![file]);
    assert_eq!((again.accepted, again.duplicates, again.rejected), (0, 30, 3));
}

#[test]
fn events_without_an_id_are_recorded_once_however_often_they_are_imported() {
    let log = Log::new();
    let event = r#"{"action":"write","resource_type":"template","resource_target":"a"}"#;
    let other = r#"{"id": null, "action":"write","resource_type":"template","resource_target":"b"}"#;
    let file = log.file("events.ndjson", &[event, other, event].join("\n"));
    assert_eq!(log.import(Format::Native, vec![file.clone()]).accepted, 3);
    // A file that overlaps, and has one more of the same.
    let longer = log.file("longer.ndjson", &[event, event, event].join("\n"));
    let again = log.import(Format::Native, vec![file, longer]);
    assert_eq!((again.accepted, again.duplicates), (1, 5));
}

#[test]
fn an_id_with_other_content_is_rejected() {
    let log = Log::new();
    let file = log.file("a.ndjson", &native(10, "write"));
    log.import(Format::Auto, vec![file]);
    let file = log.file("b.ndjson", &native(10, "delete"));
    let summary = log.import(Format::Auto, vec![file]);
    assert_eq!((summary.accepted, summary.rejected), (0, 1));
    assert!(log.rejects()[0]["reason"].as_str().unwrap().contains("other content"));
}

#[test]
fn coder_lines_and_pages_are_imported_and_other_lines_skipped() {
    let log = Log::new();
    let line = format!(
        r#"{{"msg":"audit_log","fields":{{"ID":"{ID}01","Time":"2026-01-01T00:00:00Z","Ip":"<nil>","ResourceType":"template",
        "ResourceID":"{ID}ff","ResourceTarget":"docker","Action":"write","StatusCode":200,
        "Diff":{{"name":{{"Old":"a","New":"docker","Secret":false}}}},"AdditionalFields":{{}}}}}}"#
    );
    let line = line.replace('\n', "");
    let file =
        log.file("coder.log", &format!("{{\"msg\":\"started\"}}\n{line}\n{{\"msg\":\"connection_log\"}}\n"));
    let summary = log.import(Format::Auto, vec![file.clone()]);
    assert_eq!((summary.events, summary.accepted, summary.skipped), (1, 1, 2));
    assert_eq!(log.import(Format::Auto, vec![file]).duplicates, 1);
    let (_, events) = log.search("resource_type:template");
    assert_eq!(
        events[0]["diff"],
        serde_json::json!({"name": {"old": "a", "new": "docker", "secret": false}})
    );

    // What a log exports comes back into another one.
    let other = Log::new();
    let page = serde_json::json!({"audit_logs": events, "count": 1, "count_cap": 0});
    let file = other.file("page.json", &serde_json::to_string_pretty(&page).unwrap());
    assert_eq!(other.import(Format::Auto, vec![file.clone()]).accepted, 1);
    assert_eq!(other.import(Format::Auto, vec![file]).duplicates, 1);
    let (_, copies) = other.search("resource_type:template");
    for member in [
        "id",
        "time",
        "action",
        "resource_id",
        "resource_target",
        "diff",
        "status_code",
        "user",
        "description",
    ] {
        assert_eq!(copies[0][member], events[0][member], "{member}");
    }
}

#[test]
fn every_record_of_the_cloudtrail_files_is_imported_once() {
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/cloudtrail-invictus"));
    let Ok(entries) = data.read_dir() else {
        println!("skipped every_record_of_the_cloudtrail_files_is_imported_once: ../shared/data is absent");
        return;
    };
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(is_json).collect();
    files.sort();
    let log = Log::new();
    let first = log.import(Format::Auto, files.clone());
    assert_eq!(
        (first.files, first.events, first.accepted, first.duplicates, first.rejected),
        (20, 1448, 1448, 0, 0)
    );
    let again = log.import(Format::Cloudtrail, files);
    assert_eq!((again.accepted, again.duplicates, again.rejected), (0, 1448, 0));
    for (query, count) in [
        ("action:DeleteBucket", 4),
        ("resource_type:aws.kms", 217),
        ("username:benjamin", 90),
        ("actor_type:service -resource_type:registry", 18),
        ("status_code:429", 62),
        ("status_code:403", 56),
    ] {
        assert_eq!(log.search(query).0, count, "{query}");
    }
    let (_, events) = log.search("action:DeleteBucket outcome:success");
    assert_eq!(events[0]["description"], "{user} called DeleteBucket on {target}");
}

#[test]
fn failed_calls_read_as_attempts() {
    let log = Log::new();
    let record = |number: u64, call: &str| {
        serde_json::json!({
            "eventID": format!("{ID}{number:02}"), "eventTime": "2026-01-02T03:04:05Z", "errorCode": "AccessDenied",
            "eventSource": "ssm.amazonaws.com", "eventName": call, "requestParameters": {"name": "/demo/secret"},
        })
        .to_string()
    };
    let lines = [record(1, "DeleteParameter"), record(2, "AssumeRole"), record(3, "ConsoleLogin")];
    let file = log.file("failed.ndjson", &lines.join("\n"));
    assert_eq!(log.import(Format::Cloudtrail, vec![file]).accepted, 3);
    for (call, attempt) in [
        ("DeleteParameter", "call DeleteParameter on"),
        ("AssumeRole", "assume the role"),
        ("ConsoleLogin", "sign in to"),
    ] {
        let (_, events) = log.search(&format!("action:{call}"));
        let expect = format!("{{user}} unsuccessfully attempted to {attempt} {{target}}");
        assert_eq!(events[0]["description"], expect);
    }
}

#[test]
fn calls_beyond_the_room_of_the_registry_are_recorded_under_general_actions() {
    let log = Log::new();
    let record = |number: u64| {
        serde_json::json!({
            "eventID": format!("{ID}{:02}", number % 100).replacen("0000", &format!("{number:04}"), 1),
            "eventTime": "2026-01-02T03:04:05Z", "eventSource": "ec2.amazonaws.com",
            "eventName": format!("DescribeThing{number}"),
        })
        .to_string()
    };
    let lines: Vec<String> = (0..600).map(record).collect();
    let file = log.file("many.ndjson", &lines.join("\n"));
    let summary = log.import(Format::Auto, vec![file.clone()]);
    assert_eq!((summary.accepted, summary.rejected), (600, 0));
    assert_eq!(log.import(Format::Auto, vec![file]).duplicates, 600);
    let own = log.search("action:DescribeThing0").0;
    let general = log.search("action:read resource_type:aws.ec2").0;
    assert_eq!((own, general > 80), (1, true), "{general}");
}
