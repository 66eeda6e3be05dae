//! Exports: exactly what a search finds, by seq, whatever happens to the log meanwhile, and never unrecorded.

use std::fmt::Write as _;

use annals_engine::{
    Credential, Cursor, Engine, Export, ExportError, ExportFormat, ExportRequest, NewOrganization, NewToken,
    Options, OrganizationRole, Principal, Role, SealPolicy, SearchError, SearchRequest, TokenKind,
};
use serde_json::Value;

use crate::support::{TestLog, add_person, append, event_of, fixed_clock, log_in, options, template_event};

/// Small segments, made when a test says so.
fn small_options() -> Options {
    let seal = SealPolicy { events: 1_024, aged_events: 256, ..SealPolicy::default() };
    Options { seal, deployment_url: Some("https://coder.example".to_owned()), ..options() }
}

/// Events of many kinds, one in seven late by half a day.
fn fill(engine: &Engine, from: u64, to: u64) {
    for from in (from..to).step_by(5_000) {
        let mut body = String::new();
        for n in from..to.min(from + 5_000) {
            let second = 100_000 + n - if n % 7 == 0 { 40_000 } else { 0 };
            let (day, hour, minute) = (1 + second / 86_400, second / 3_600 % 24, second / 60 % 60);
            let action = ["create", "write", "delete"][n as usize % 3];
            let kind = ["workspace", "template", "user"][n as usize / 3 % 3];
            writeln!(
                body,
                r#"{{"time":"2026-01-{day:02}T{hour:02}:{minute:02}:{:02}Z","action":"{action}","resource_type":"{kind}","resource_id":"r-{}","resource_target":"Target-{}","user":{{"id":"u-{}","username":"Demo-{}"}},"organization":{{"id":"org-{}","name":"org"}},"status_code":{},"diff":{{"name":{{"old":"a{n}","new":"b{n}"}}}},"additional_fields":{{"n":{n}}}}}"#,
                second % 60,
                n % 400,
                n % 400,
                n % 50,
                n % 50,
                n % 2,
                [200, 201, 403, 500][n as usize % 4],
            )
            .unwrap();
        }
        append(engine, &body).unwrap();
    }
}

const QUERIES: [&str; 8] = [
    "",
    "resource_type:workspace action:delete",
    "-action:create",
    "username:demo-7",
    "seq:100..1999 changed:name",
    "date_from:2026-01-02 date_to:2026-01-02 outcome:denied",
    "resource_id:r-1*",
    "resource_target:nothing",
];

/// What a search finds, by seq, as lines.
fn by_seq(engine: &Engine, principal: &Principal, query: &str, until: u64) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None::<Cursor>);
    loop {
        let request = SearchRequest { query, limit: 1_000, offset: 0, after };
        let results = engine.search(principal, &request, |found| {
            let event = found.into_audit_log()?;
            Ok((event.seq, serde_json::to_string(&event).unwrap()))
        });
        let results = results.unwrap();
        found.extend(results.events);
        after = results.next;
        if after.is_none() {
            break;
        }
    }
    found.retain(|(seq, _)| *seq <= until);
    found.sort_by_key(|(seq, _)| *seq);
    found.into_iter().map(|(_, line)| line).collect()
}

fn begin(engine: &Engine, principal: &Principal, query: &str, after_seq: Option<u64>) -> Export {
    engine.export(principal, &ExportRequest { query, after_seq, format: ExportFormat::NDJSON }).unwrap()
}

/// The rest of an export; `between` happens after each batch.
fn lines(engine: &Engine, export: &mut Export, mut between: impl FnMut()) -> Vec<String> {
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    loop {
        batch.clear();
        let more = engine.export_batch(export, &mut batch).unwrap();
        assert!(batch.len() < 300_000, "a batch of {} bytes", batch.len());
        let text = std::str::from_utf8(&batch).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'), "whole lines");
        all.extend(text.lines().map(str::to_owned));
        if !more {
            return all;
        }
        between();
    }
}

/// Exports and compares with the search, which is asked first: an export is an event of its own.
fn check(engine: &Engine, principal: &Principal, query: &str) {
    let expected = by_seq(engine, principal, query, u64::MAX);
    let mut export = begin(engine, principal, query, None);
    assert_eq!(export.count(), expected.len() as u64, "{query}");
    let exported = lines(engine, &mut export, || {});
    assert!(exported == expected, "{query}: {} lines for {}", exported.len(), expected.len());
}

#[test]
fn an_export_is_what_a_search_finds_by_seq() {
    let log = TestLog::with(small_options());
    let operator = Principal::operator();
    let check_all = || QUERIES.iter().for_each(|query| check(&log.engine, &operator, query));
    check_all();
    fill(&log.engine, 0, 700);
    check_all();
    // Small segments, then what is to be merged, then a tail with a beginning that is no segment.
    assert!(log.engine.seal_now().unwrap() > 0);
    check_all();
    fill(&log.engine, 700, 2_500);
    check_all();
    assert!(log.engine.seal_now().unwrap() > 0);
    fill(&log.engine, 2_500, 3_000);
    check_all();
}

#[test]
fn the_log_is_sealed_and_merged_under_an_export() {
    let dir = tempfile::tempdir().unwrap();
    let seal = SealPolicy {
        events: 1_024,
        aged_events: 256,
        age: std::time::Duration::ZERO,
        ..SealPolicy::default()
    };
    let engine = Engine::create_or_open(dir.path(), Options { seal, ..options() }).unwrap();
    let operator = Principal::operator();
    fill(&engine, 0, 900);
    let mut sealed = 0;
    let expected = by_seq(&engine, &operator, "", u64::MAX);
    let mut export = begin(&engine, &operator, "", None);
    let last_seq = export.last_seq().unwrap();
    let mut next = 900;
    let exported = lines(&engine, &mut export, || {
        // New events come too, and are none of this export.
        fill(&engine, next, next + 300);
        next += 300;
        sealed += engine.seal_due().unwrap();
    });
    assert!(sealed >= 3, "{sealed} segments");
    assert!(exported == expected, "{} lines for {}", exported.len(), expected.len());
    assert_eq!(expected.len() as u64, last_seq + 1);
}

#[test]
fn every_line_is_a_place_to_go_on_from() {
    let log = TestLog::with(small_options());
    let operator = Principal::operator();
    fill(&log.engine, 0, 1_500);
    log.engine.seal_now().unwrap();
    fill(&log.engine, 1_500, 1_700);
    let query = "resource_type:workspace";
    let whole = lines(&log.engine, &mut begin(&log.engine, &operator, query, None), || {});
    for at in [0, 1, 17, whole.len() / 2, whole.len() - 2, whole.len() - 1] {
        let seq = serde_json::from_str::<Value>(&whole[at]).unwrap()["seq"].as_u64().unwrap();
        let mut export = begin(&log.engine, &operator, query, Some(seq));
        assert_eq!(export.count(), (whole.len() - at - 1) as u64);
        assert!(lines(&log.engine, &mut export, || {}) == whole[at + 1..], "behind line {at}");
        // A later export goes on where an earlier one ended, without a gap.
        let mut rest = begin(&log.engine, &operator, query, export.last_seq());
        assert_eq!(rest.count(), 0);
        assert!(lines(&log.engine, &mut rest, || {}).is_empty());
    }
    let beyond = ExportRequest { query, after_seq: Some(1_000_000), format: ExportFormat::Csv };
    let refused = log.engine.export(&operator, &beyond);
    assert!(matches!(refused, Err(ExportError::Search(SearchError::BehindTheEnd { .. }))), "{refused:?}");
}

/// Pages of half a megabyte, and an order of seqs that has nothing to do with that of times: more pages are wanted at once than
/// are kept.
#[test]
fn large_events_in_no_order_come_out_in_order() {
    let log = TestLog::with(small_options());
    let note = "x".repeat(30_000);
    for batch in 0..8_u64 {
        let mut body = String::new();
        for n in batch * 128..(batch + 1) * 128 {
            let second = n * 389 % 1_024;
            let more = format!(
                r#""time":"2026-01-01T{:02}:{:02}:{:02}Z","additional_fields":{{"n":{n},"note":"{note}"}}"#,
                second / 3_600,
                second / 60 % 60,
                second % 60
            );
            writeln!(body, "{}", template_event("t", &more)).unwrap();
        }
        append(&log.engine, &body).unwrap();
    }
    assert_eq!(log.engine.seal_now().unwrap(), 1);
    let exported = lines(&log.engine, &mut begin(&log.engine, &Principal::operator(), "", None), || {});
    let numbers: Vec<u64> = exported
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["additional_fields"]["n"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..1_024).collect::<Vec<_>>());
}

#[test]
fn a_large_export_knows_what_was_deleted() {
    let log = TestLog::with(small_options());
    fill(&log.engine, 0, 20_001);
    let operator = Principal::operator();
    let export = |query| lines(&log.engine, &mut begin(&log.engine, &operator, query, None), || {});
    // One way of asking as the other: of all at once, and of each.
    let mut large = export("");
    let small = export("username:demo-7");
    large.retain(|line| line.contains("\"username\":\"Demo-7\""));
    assert!(large == small, "{} and {} lines", large.len(), small.len());
    let deleted = small.iter().filter(|line| line.contains("\"is_deleted\":true")).count();
    assert!(deleted > 20 && deleted < small.len(), "{deleted} of {}", small.len());
}

#[test]
fn an_organizations_auditor_exports_its_events_and_no_others() {
    let log = TestLog::with(small_options());
    let operator = Principal::operator();
    fill(&log.engine, 0, 1_100);
    let new = NewOrganization { id: Some("org-1"), name: "northwind", ..NewOrganization::default() };
    let organization = log.engine.create_organization(&operator, &new).unwrap();
    let anna = add_person(&log, "anna", Role::Member);
    log.engine.add_member(&operator, &organization.id, &anna, OrganizationRole::Auditor).unwrap();
    log.engine.seal_now().unwrap();
    fill(&log.engine, 1_100, 1_300);
    let auditor = log_in(&log, "anna");
    for query in QUERIES {
        check(&log.engine, &auditor, query);
    }
    let exported = lines(&log.engine, &mut begin(&log.engine, &auditor, "-organization:org-1", None), || {});
    assert_eq!(exported, Vec::<String>::new());
    let exported =
        lines(&log.engine, &mut begin(&log.engine, &auditor, "resource_type:workspace", None), || {});
    assert!(
        exported.len() > 100 && exported.iter().all(|line| line.contains("\"organization_id\":\"org-1\""))
    );
}

#[test]
fn every_export_is_recorded_before_it_begins() {
    let log = TestLog::with(Options { clock: fixed_clock(), ..small_options() });
    let operator = Principal::operator();
    fill(&log.engine, 0, 10);
    let export = begin(&log.engine, &operator, " resource_type:workspace ", Some(2));
    // Nothing was read of it, and it stands in the log; also what works on the data directory itself.
    let event = event_of(&log, "resource_type:audit_log action:export");
    assert_eq!(event["resource_target"], "resource_type:workspace");
    assert_eq!(event["user"]["username"], "operator");
    assert_eq!(event["diff"]["event_count"]["new"], export.count());
    assert_eq!(event["diff"]["format"]["new"], "ndjson");
    assert_eq!(event["additional_fields"]["after_seq"], 2);
    assert_eq!(event["description"], "{user} exported the audit log");
    // Again within a minute is again an event.
    begin(&log.engine, &operator, "resource_type:workspace", None);
    assert_eq!(log.search("action:export").0, 2, "an export is found without naming its type");

    let token = NewToken { kind: TokenKind::Ingest, name: "producer", owner: None, expires: None };
    let secret = log.engine.create_token(&operator, &token).unwrap();
    let producer = log.engine.authenticate(Credential::Token(secret.reveal())).unwrap().unwrap();
    add_person(&log, "mia", Role::Member);
    let request = ExportRequest { query: "", after_seq: None, format: ExportFormat::Csv };
    for nobody in [producer, log_in(&log, "mia")] {
        let refused = log.engine.export(&nobody, &request);
        assert!(matches!(refused, Err(ExportError::Search(SearchError::Forbidden(_)))), "{refused:?}");
    }
    assert_eq!(log.search("action:export").0, 2);
    log.engine.stop();
    let refused = log.engine.export(&operator, &request);
    assert!(matches!(refused, Err(ExportError::Record(_))), "no export without its event: {refused:?}");
}
