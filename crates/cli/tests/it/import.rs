//! `annals import` as scripts use it: the summary, exit codes and standard input.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{annals, annals_ok, binary};

mod mappings;

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
    let expect =
        json!({"files": 1, "events": 1, "accepted": 1, "duplicates": 0, "rejected": 0, "skipped": 0});
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
fn reads_standard_input_packed_or_not() {
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
    // Two packed files in one, as `cat a.gz b.gz` makes them.
    let packed = [packed(&format!("{EVENT}\n")), packed(&EVENT.replace("0001", "0002"))].concat();
    let output = import(&packed);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "2 events: 1 new, 1 duplicates, 0 rejected\n");
    // One that is cut off.
    let output = import(&packed[..packed.len() - 20]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("the import stopped"));
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A directory with a log and files beside it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn import(&self, args: &[&str]) -> Output {
        let (log, rejects) = (self.path("log"), self.path("rejects"));
        annals(&[&["import", "--data", &log, "--rejects", &rejects], args].concat())
    }

    /// Accepted, duplicates, rejected and skipped.
    fn counts(&self, args: &[&str]) -> [u64; 4] {
        let output = self.import(&[&["--json"], args].concat());
        let summary: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        ["accepted", "duplicates", "rejected", "skipped"].map(|name| summary[name].as_u64().unwrap())
    }

    /// Events, without those about the log itself.
    fn events(&self, query: &str) -> Vec<Value> {
        let log = self.path("log");
        let query = format!("-resource_type:registry {query}");
        let reply = annals_ok(&["search", "--data", &log, "--json", "--limit", "1000", &query]);
        let reply: Value = serde_json::from_str(&reply).unwrap();
        reply["audit_logs"].as_array().unwrap().clone()
    }

    fn rejects(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("rejects")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How often each reason stands in the file of rejected records, ids left out.
    fn reasons(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for reject in self.rejects() {
            let reason = reject["reason"].as_str().unwrap();
            let reason = match reason.split_once(" is in the log with other content") {
                Some(_) => "in the log with other content",
                None => reason,
            };
            *reasons.entry(reason.to_owned()).or_default() += 1;
        }
        reasons
    }
}

/// The sentence with its names put in.
fn sentence(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let sentence = text(&event["description"]);
    sentence
        .replace("{user}", &text(&event["user"]["username"]))
        .replace("{target}", &text(&event["resource_target"]))
}

/// A record of each format, and the sentence, address, outcome and diff that it comes to.
fn samples() -> Vec<(&'static str, Value, &'static str, &'static str, &'static str, Value)> {
    let plain = |old: Value, new: Value| json!({"old": old, "new": new, "secret": false});
    vec![
        (
            "github",
            json!({"@timestamp": 1_767_323_045_123_u64, "_document_id": "x1", "action": "repo.access", "actor": "demo-lead",
                "actor_ip": "192.0.2.7", "org": "octo-demo", "repo": "octo-demo/hello", "visibility": "public",
                "previous_visibility": "private"}),
            "demo-lead changed the visibility of repository octo-demo/hello",
            "192.0.2.7",
            "success",
            json!({"visibility": plain(json!("private"), json!("public"))}),
        ),
        (
            "github-webhook",
            json!({"id": 1, "guid": "0b8b6d4e-0000-4000-8000-000000000021", "delivered_at": "2026-01-02T03:04:05Z",
                "event": "label", "request": {"payload": {"action": "edited", "changes": {"color": {"from": "00ff00"}},
                    "label": {"id": 5, "name": "bug", "color": "0000ff"}, "repository": {"full_name": "octo-demo/hello"},
                    "sender": {"id": 7, "login": "demo-lead", "type": "User"}}}}),
            "demo-lead updated label octo-demo/hello: bug",
            "",
            "success",
            json!({"color": plain(json!("00ff00"), json!("0000ff"))}),
        ),
        (
            "kubernetes",
            json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "0b8b6d4e-0000-4000-8000-000000000022",
                "stage": "ResponseComplete", "stageTimestamp": "2026-01-02T03:04:06Z", "verb": "delete",
                "requestReceivedTimestamp": "2026-01-02T03:04:05.5Z", "user": {"username": "demo-lead"},
                "sourceIPs": ["10.0.0.1", "192.0.2.7"], "responseStatus": {"code": 403},
                "objectRef": {"resource": "secrets", "namespace": "shop", "name": "db"}}),
            "demo-lead unsuccessfully attempted to delete secret shop/db",
            "192.0.2.7",
            "denied",
            json!({}),
        ),
        (
            "google-workspace",
            json!({"kind": "admin#reports#activity", "id": {"time": "2026-01-02T03:04:05Z", "uniqueQualifier": "1",
                "applicationName": "admin"}, "actor": {"email": "demo-lead@example.org"}, "ipAddress": "192.0.2.7",
                "events": [{"name": "CHANGE_CALENDAR_SETTING", "parameters": [{"name": "SETTING_NAME", "value": "SHARING"},
                    {"name": "OLD_VALUE", "value": "NO"}, {"name": "NEW_VALUE", "value": "YES"}]}]}),
            "demo-lead@example.org changed calendar setting: SHARING",
            "192.0.2.7",
            "success",
            json!({"SHARING": plain(json!("NO"), json!("YES"))}),
        ),
        (
            "okta",
            json!({"uuid": "0b8b6d4e-0000-4000-8000-000000000023", "published": "2026-01-02T03:04:05Z",
                "eventType": "user.account.privilege.grant", "outcome": {"result": "SUCCESS"},
                "actor": {"id": "1", "type": "User", "alternateId": "demo-lead@example.org"},
                "client": {"ipAddress": "192.0.2.7"}, "target": [{"id": "2", "type": "User",
                    "alternateId": "demo-dev@example.org", "changeDetails": {"from": {"role": "none"}, "to": {"role": "admin"}}}]}),
            "demo-lead@example.org granted privilege of user demo-dev@example.org",
            "192.0.2.7",
            "success",
            json!({"role": plain(json!("none"), json!("admin"))}),
        ),
    ]
}

#[test]
fn each_format_is_found_out_and_imported_once() {
    let place = Place::new();
    for (name, record, expect, ip, outcome, diff) in samples() {
        let file = place.file(&format!("{name}.json"), &format!("{record:#}"));
        assert_eq!(place.counts(&[&file]), [1, 0, 0, 0], "{name}: {:?}", place.reasons());
        assert_eq!(place.counts(&["--format", name, &file]), [0, 1, 0, 0], "{name}");
        let events = place.events(&format!("source:{name}"));
        assert_eq!(events.len(), 1, "{name}");
        let event = &events[0];
        assert_eq!(sentence(event), expect);
        assert_eq!(event["ip"].as_str().unwrap_or_default(), ip, "{name}");
        assert_eq!((&event["outcome"], &event["diff"]), (&json!(outcome), &diff), "{name}");
        assert_eq!(event["additional_fields"][name], record, "{name}");
    }
}

#[test]
fn a_printed_mapping_makes_the_same_events() {
    let place = Place::new();
    for (name, record, ..) in samples() {
        let mapping = place.file("mapping.toml", &annals_ok(&["import", "--print-mapping", name]));
        let file = place.file("records.ndjson", &record.to_string());
        let events = |how: [&str; 2]| annals_ok(&["import", how[0], how[1], "--dry-run", &file]);
        let own = events(["--mapping", &mapping]);
        assert_eq!(own, events(["--format", name]), "{name}");
        let event: Value = serde_json::from_str(&own).unwrap();
        assert_eq!(event["source"], name);
    }
}

#[test]
fn a_trial_appends_nothing_and_makes_no_log() {
    let place = Place::new();
    let (_, record, ..) = samples().remove(0);
    let file = place.file("records.ndjson", &format!("{record}\n{{\"action\":\"repo.x\"}}\n"));
    let output = place.import(&["--format", "github", "--dry-run", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(notes.contains("2 events: 1 would be sent, 1 rejected"), "{notes}");
    assert!(!std::path::Path::new(&place.path("log")).exists());
}

const DOORS: &str = r#"name = "doors"
version = 1
records = "csv"
delimiter = ";"
[event]
identity = "{Nr}"
time = "{When}"
time_format = "%d.%m.%Y %H:%M"
action = { from = "{What}", map = { auf = "open", zu = "close" } }
resource_type = "door"
resource_target = "{Door}"
user.username = "{Who}"
ip = "{From}"
"#;

#[test]
fn rows_of_csv_and_what_is_bad_among_them() {
    let place = Place::new();
    let mapping = place.file("doors.toml", DOORS);
    let rows = "Nr;When;Who;What;Door;From\n1;24.12.2025 18:30;anna;auf;North;192.0.2.7\n2;gestern;ben;zu;North;\n\
                3;24.12.2025 18:40;ben;tritt;North;\n4;24.12.2025;anna\n5;24.12.2025 19:00;\"kim; b\";zu;South;lobby\n";
    let file = place.file("doors.csv", rows);
    assert_eq!(place.counts(&["--mapping", &mapping, &file]), [2, 0, 3, 0]);
    let mut lines: Vec<String> = place
        .rejects()
        .iter()
        .map(|reject| format!("{}: {}", reject["line"], reject["reason"].as_str().unwrap()))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "3: `gestern` is no time; expected RFC 3339 or a number since 1970, or a form that the mapping's \
             `time_format` gives",
            "4: no record of doors: nothing says the `action` (looked for `What`)",
            "5: 3 values, but the first row names 6 columns",
        ]
    );
    let shown: Vec<String> = place.events("").iter().map(sentence).collect();
    assert_eq!(shown, ["kim; b closed door South", "anna opened door North"]);
    let event = &place.events("username:anna")[0];
    assert_eq!((&event["time"], &event["ip"]), (&json!("2025-12-24T18:30:00Z"), &json!("192.0.2.7")));
    assert_eq!(event["additional_fields"]["doors"]["What"], "auf");
    // A later export that begins earlier, packed.
    let longer = format!("{rows}6;25.12.2025 08:00;anna;auf;South;\n");
    std::fs::write(place.path("later.csv.gz"), packed(&longer)).unwrap();
    assert_eq!(place.counts(&["--mapping", &mapping, &place.path("later.csv.gz")]), [1, 2, 3, 0]);

    let output = place.import(&[&file]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("CSV needs a mapping"));
}

#[test]
fn records_without_an_identity_are_told_apart_by_their_text() {
    let place = Place::new();
    let mapping = place.file("doors.toml", &DOORS.replace("identity = \"{Nr}\"\n", ""));
    let head = "Nr;When;Who;What;Door;From\n";
    let row = "1;24.12.2025 18:30;anna;auf;North;\n";
    let file = place.file("doors.csv", &format!("{head}{row}{row}2;24.12.2025 18:30;ben;auf;North;\n"));
    assert_eq!(place.counts(&["--mapping", &mapping, &file]), [3, 0, 0, 0]);
    let overlap = place.file("more.csv", &format!("{head}{row}3;24.12.2025 18:30;kim;auf;North;\n"));
    assert_eq!(place.counts(&["--mapping", &mapping, &file, &overlap]), [1, 4, 0, 0]);
}

#[test]
fn a_wrong_mapping_is_refused_with_every_error() {
    let place = Place::new();
    let wrong = DOORS
        .replace("time_format", "time_from")
        .replace("{Door}", "{Door|lowr}")
        .replace("delimiter", "delimter");
    let mapping = place.file("doors.toml", &wrong);
    let output = place.import(&["--mapping", &mapping, "doors.csv"]);
    assert_eq!(output.status.code(), Some(1));
    let notes = String::from_utf8(output.stderr).unwrap();
    for expect in [
        "line 4: unknown key `delimter`; did you mean `delimiter`?",
        "line 8: unknown member of an event `time_from`; did you mean `time_format`?",
        "line 11: unknown filter `lowr`; did you mean `lower`?",
    ] {
        assert!(notes.contains(expect), "{notes}");
    }
    assert!(!std::path::Path::new(&place.path("log")).exists());
}

#[test]
fn the_example_of_the_documentation_works_as_it_stands() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/IMPORTERS.md")).unwrap();
    let block = |after: &str| {
        let rest = text.split_once(after).unwrap_or_else(|| panic!("{after}")).1;
        let rest = rest.split_once("```").unwrap().1.split_once('\n').unwrap().1;
        rest.split_once("```").unwrap().0.to_owned()
    };
    let place = Place::new();
    let file = place.file("badges.csv", &block("<!-- example: badges.csv -->"));
    let mapping = place.file("badges.toml", &block("<!-- example: badges.toml -->"));
    assert_eq!(place.counts(&["--mapping", &mapping, &file]), [4, 0, 0, 1], "{:?}", place.reasons());
    let shown: Vec<String> = place
        .events("")
        .iter()
        .rev()
        .map(|event| {
            format!("{} ({}) {}", sentence(event), event["outcome"].as_str().unwrap(), event["diff"])
        })
        .collect();
    let expect = block("<!-- example: events -->");
    assert_eq!(shown, expect.lines().collect::<Vec<_>>());
    assert_eq!(place.counts(&["--mapping", &mapping, &file]), [0, 4, 0, 1]);
}

/// The records of a vendor's published rule tests, unwrapped; nothing where the data is absent.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn published(test: &str, name: &str) -> Option<Vec<Value>> {
    let path = format!("{}/../../../shared/data/panther/{name}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped {test}: ../shared/data is absent");
        return None;
    };
    let unwrap = |line: &str| serde_json::from_str::<Value>(line).unwrap()["log"].take();
    Some(text.lines().map(unwrap).collect())
}

/// Imports published records, and checks that what went in is kept to the letter. Returns the events.
fn import_published(place: &Place, name: &str, records: &[Value], counts: [u64; 4]) -> Vec<Value> {
    let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
    let file = place.file("records.ndjson", &lines.join("\n"));
    let args = ["--format", name, "--default-time", "2026-01-01T00:00:00Z", &file];
    assert_eq!(place.counts(&args), counts, "{:?}", place.reasons());
    let reasons = place.reasons();
    let again = place.counts(&args);
    assert_eq!((again[0], again[1] + again[2]), (0, counts.iter().take(3).sum()));
    assert_eq!(place.reasons(), reasons);
    let events = place.events("");
    assert_eq!(events.len() as u64, counts[0]);
    for event in &events {
        let kept = &event["additional_fields"][name];
        assert!(records.contains(kept), "{kept}");
    }
    events
}

fn with_diff(events: &[Value]) -> usize {
    events.iter().filter(|event| event["diff"].as_object().is_some_and(|diff| !diff.is_empty())).count()
}

fn reasons(expect: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expect.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
}

const NO_TIME: &str =
    "is no time; expected RFC 3339 or a number since 1970, or a form that the mapping's `time_format` gives";

#[test]
fn every_published_github_record_goes_in_or_says_why_not() {
    let test = "every_published_github_record_goes_in_or_says_why_not";
    let Some(records) = published(test, "GitHub.Audit.jsonl") else { return };
    let place = Place::new();
    let events = import_published(&place, "github", &records, [90, 2, 9, 0]);
    // The publisher gave several records the same `_document_id`.
    let expect =
        [(&*format!("`2024-12-17 00:00:00000000` {NO_TIME}"), 4), ("in the log with other content", 5)];
    assert_eq!(place.reasons(), reasons(&expect));
    assert_eq!(with_diff(&events), 0);
}

#[test]
fn every_published_google_record_goes_in_or_says_why_not() {
    let test = "every_published_google_record_goes_in_or_says_why_not";
    let Some(records) = published(test, "GSuite.ActivityEvent.jsonl") else { return };
    let place = Place::new();
    let events = import_published(&place, "google-workspace", &records, [152, 0, 5, 0]);
    let expect = "no record of Google Workspace: nothing says the `action` (looked for `name`, `type`)";
    assert_eq!(place.reasons(), reasons(&[(expect, 5)]));
    let names = ["OLD_VALUE", "NEW_VALUE", "old_value", "new_value"];
    let has_values = |record: &&Value| names.iter().any(|name| record["parameters"].get(name).is_some());
    assert_eq!(records.iter().filter(has_values).count(), 48);
    let kept = |event: &Value| event["additional_fields"]["google-workspace"].clone();
    let with_values: Vec<Value> = events.iter().filter(|event| has_values(&&kept(event))).cloned().collect();
    // Three more have a former visibility or owner.
    assert_eq!((with_values.len(), with_diff(&with_values), with_diff(&events)), (48, 48, 51));
    let diffs = |action: &str| {
        let mut diffs: Vec<String> = events
            .iter()
            .filter(|event| event["action"] == action)
            .map(|event| event["diff"].to_string())
            .collect();
        diffs.sort();
        diffs.dedup();
        diffs
    };
    assert_eq!(
        diffs("rename"),
        [r#"{"title":{"new":"Document Title- Found Here","old":"Document Title- Old","secret":false}}"#]
    );
    assert_eq!(
        diffs("change_email_setting"),
        [
            r#"{"ENABLE_G_SUITE_MARKETPLACE":{"new":"1","old":"DEFAULT","secret":false}}"#,
            r#"{"ENABLE_G_SUITE_MARKETPLACE":{"new":"3","old":"2","secret":false}}"#,
        ]
    );
}

#[test]
fn every_published_okta_record_goes_in_or_says_why_not() {
    let test = "every_published_okta_record_goes_in_or_says_why_not";
    let Some(records) = published(test, "Okta.SystemLog.jsonl") else { return };
    let place = Place::new();
    import_published(&place, "okta", &records, [21, 2, 43, 0]);
    // The publisher gave many records the same `uuid`.
    assert_eq!(
        place.reasons(),
        reasons(&[(&format!("`redacted` {NO_TIME}"), 4), ("in the log with other content", 39)])
    );
}

#[test]
fn every_published_kubernetes_record_goes_in_or_says_why_not() {
    let test = "every_published_kubernetes_record_goes_in_or_says_why_not";
    let Some(mut records) = published(test, "Amazon.EKS.Audit.jsonl") else { return };
    // What is said of a secret is left out.
    for record in records.iter_mut().filter(|record| record["objectRef"]["resource"] == "secrets") {
        if let Some(message) = record.pointer_mut("/responseStatus/message") {
            *message = "******".into();
        }
    }
    let place = Place::new();
    let events = import_published(&place, "kubernetes", &records, [170, 0, 97, 3]);
    let other_system =
        "no record of Kubernetes: nothing says the `action` (looked for `objectRef.subresource`, `verb`)";
    assert_eq!(place.reasons(), reasons(&[(other_system, 93), ("in the log with other content", 4)]));
    assert_eq!(with_diff(&events), 57);
}

#[test]
fn every_webhook_goes_in_or_has_no_time() {
    let data =
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/github-webhooks"));
    if !data.exists() {
        println!("skipped every_webhook_goes_in_or_has_no_time: ../shared/data is absent");
        return;
    };
    let mut files: Vec<String> = Vec::new();
    for dir in data.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        files.extend(dir.read_dir().unwrap().map(|entry| entry.unwrap().path().to_str().unwrap().to_owned()));
    }
    files.sort();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let place = Place::new();
    assert_eq!(place.counts(&files), [85, 0, 29, 0]);
    let no_time = "the record has no time (looked for ";
    assert!(place.reasons().keys().all(|reason| reason.starts_with(no_time)), "{:?}", place.reasons());
    let args = [&["--default-time", "2026-01-01T00:00:00Z"], files.as_slice()].concat();
    assert_eq!(place.counts(&args), [29, 85, 0, 0]);
    assert_eq!(place.counts(&args), [0, 114, 0, 0]);

    let events = place.events("");
    let records: Vec<Value> = files
        .iter()
        .map(|file| serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap())
        .collect();
    let mask = |mut record: Value| {
        if let Some(secret) = record.pointer_mut("/hook/config/secret") {
            *secret = "******".into();
        }
        record
    };
    let records: Vec<Value> = records.into_iter().map(mask).collect();
    assert_eq!(records.iter().filter(|record| record.get("changes").is_some()).count(), 15);
    for event in &events {
        assert!(records.contains(&event["additional_fields"]["github-webhook"]), "{event}");
    }
    let mut diffs: Vec<String> = events
        .iter()
        .filter(|event| event["diff"].as_object().is_some_and(|diff| !diff.is_empty()))
        .map(|event| {
            let fields: Vec<String> = event["diff"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(field, change)| format!("{field}: {} > {}", change["old"], change["new"]))
                .collect();
            format!(
                "{} {} {}",
                event["resource_type"].as_str().unwrap(),
                event["action"].as_str().unwrap(),
                fields.join(", ")
            )
        })
        .collect();
    diffs.sort();
    insta::assert_snapshot!(diffs.join("\n"), @r#"
    github.branch_protection_rule write allow_force_pushes_enforcement_level: "everyone" > "off", authorized_actor_names: [] > ["Codertocat"], authorized_actors_only: false > true, dismiss_stale_reviews_on_push: true > false, linear_history_requirement_enforcement_level: "everyone" > "off", require_code_owner_review: true > false, required_approving_review_count: 2 > 1, required_status_checks_enforcement_level: "off" > "non_admins", signature_requirement_enforcement_level: "non_admins" > "off"
    github.label write color: "cb1f00" > "cceeaa"
    github.pull_request synchronize head: "f95f852bd8fca8fcc58a9a2d6c842781e32a215e" > "ec26c3e57ca3a959ca5aad62de7213c562f8c821"
    github.release write name: "FOO" > ""
    github.release write name: "FOO" > ""
    github.repo transferred owner: "octocat" > "Octocoders"
    github.repo transferred owner: "octocat" > "Octocoders"
    github.repo write default_branch: "main" > "master"
    github.repo write description: "My Repo" > null
    "#);
}
