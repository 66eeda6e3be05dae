//! Exports as Parquet: DuckDB reads the same events that NDJSON has, column by column, and no part of a file is taken for the whole.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use annals_engine::{
    Clock, Credential, Engine, Erase, ExportFormat, ExportRequest, NewOrganization, NewPerson, NewToken,
    Options, OrganizationRole, PartialBatch, Principal, Role, SealPolicy, TokenKind,
};
use annals_model::time::Time;
use annals_testparts::duckdb;

use crate::support::{Server, annals, annals_ok, create_token};

/// Whether each column says what the event says, where a column may be NULL: no value there, an empty one, and Coder's "no UUID" are the same.
const TEXTS: [(&str, &str); 17] = [
    ("action", "action"),
    ("resource_type", "resource_type"),
    ("resource_id", "resource_id"),
    ("resource_target", "resource_target"),
    ("outcome", "outcome"),
    ("actor_type", "actor_type"),
    ("user_id", "user.id"),
    ("username", "user.username"),
    ("email", "user.email"),
    ("organization_id", "organization_id"),
    ("organization", "organization.name"),
    ("ip", "ip"),
    ("user_agent", "user_agent"),
    ("build_reason", "build_reason"),
    ("request_id", "request_id"),
    ("source", "source"),
    ("description", "description"),
];

/// Asks DuckDB, which would draw a bar among the rows when it takes long.
fn ask(sql: &str) -> String {
    duckdb(&format!("set enable_progress_bar = false; set timezone = 'UTC'; {sql}"))
}

/// Rows of a file whose columns differ from their event.
fn differing_rows(table: &str) -> String {
    let mut differ = String::from(
        "seq <> (event->>'$.seq')::bigint or time <> (event->>'$.time')::timestamptz
         or received <> (event->>'$.received')::timestamptz or id::varchar <> (event->>'$.id')
         or status_code is distinct from nullif((event->>'$.status_code')::int, 0)
         or source_seq is distinct from (event->>'$.source_seq')::bigint
         or is_deleted <> (event->>'$.is_deleted')::boolean
         or diff::json <> (event->'$.diff') or additional_fields::json <> (event->'$.additional_fields')",
    );
    for (column, path) in TEXTS {
        write!(
            differ,
            " or {column} is distinct from
              nullif(nullif(event->>'$.{path}', ''), '00000000-0000-0000-0000-000000000000')"
        )
        .unwrap();
    }
    ask(&format!("select count(*) from {table} where {differ}"))
}

fn append(engine: &Engine, lines: &str) {
    let pending = engine.append(&Principal::operator(), lines.as_bytes(), PartialBatch::Refuse).unwrap();
    pending.wait_blocking().unwrap();
}

fn event(n: usize) -> String {
    let kind = ["workspace", "template", "user"][n / 3 % 3];
    let action = ["create", "write", "delete"][n % 3];
    let (user, organization) = (n % 7, n % 2);
    let mut more = String::new();
    if !n.is_multiple_of(5) {
        let agent =
            ["say \\\"hi\\\"", "two\\r\\nlines", "emoji 🦀 and \\u202ertl", "nul \\u0000 byte"][n % 4];
        write!(
            more,
            r#","user":{{"id":"u-{user}","username":"Demo-{user}","email":"demo-{user}@example.test"}},"ip":"192.0.2.{user}","user_agent":"{agent}","request_id":"01000000-0000-4000-8000-{n:012}","organization":{{"id":"org-{organization}","name":"Größe {organization}"}},"source":"app-1","source_seq":{n},"build_reason":"initiator""#
        )
        .unwrap();
    }
    let (day, status) = (1 + n % 28, [200, 403, 500][n / 9 % 3]);
    format!(
        r#"{{"time":"2026-03-{day:02}T10:00:00.{n:06}Z","action":"{action}","resource_type":"{kind}","resource_id":"r-{}","resource_target":"Ziel 目標 {}","status_code":{status},"diff":{{"name":{{"old":"a","new":"b {n}"}}}},"additional_fields":{{"n":{n}}}{more}}}"#,
        n % 90,
        n % 90,
    )
}

fn export(engine: &Engine, principal: &Principal, query: &str, format: ExportFormat) -> (u64, Vec<u8>) {
    let mut export = engine.export(principal, &ExportRequest { query, after_seq: None, format }).unwrap();
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    loop {
        batch.clear();
        let more = engine.export_batch(&mut export, &mut batch).unwrap();
        assert!(batch.len() <= 300_000, "a batch of {} bytes", batch.len());
        all.extend_from_slice(&batch);
        if !more {
            return (export.count(), all);
        }
    }
}

/// The same events in both forms, and columns that say what the events say.
fn check(engine: &Engine, dir: &Path, principal: &Principal, query: &str) -> u64 {
    // Exports of their own type are in a search that names none: what the first records is asked away.
    let query = format!("{query} -resource_type:audit_log");
    let (count, lines) = export(engine, principal, &query, ExportFormat::NDJSON);
    let (parquet_count, file) = export(engine, principal, &query, ExportFormat::Parquet);
    assert_eq!(count, parquet_count, "{query}");
    let path = dir.join("check.parquet");
    std::fs::write(&path, file).unwrap();
    let table = format!("read_parquet('{}', file_row_number = true)", path.display());
    let events = ask(&format!("select event from {table} order by file_row_number"));
    assert!(events == String::from_utf8(lines).unwrap().trim_end(), "{query}: other events");
    assert_eq!(ask(&format!("select count(*) from {table}")), count.to_string(), "{query}");
    assert_eq!(differing_rows(&table), "0", "{query}");
    count
}

#[test]
fn duckdb_reads_what_ndjson_has() {
    let dir = tempfile::tempdir().unwrap();
    let seal = SealPolicy { events: 512, aged_events: 256, in_background: false, ..SealPolicy::default() };
    let now = Arc::new(AtomicI64::new(Time::parse("2026-04-01T00:00:00Z").unwrap().as_micros()));
    let clock = Clock::Fixed(Arc::clone(&now));
    let engine = Engine::create_or_open(dir.path(), Options { seal, clock, ..Options::default() }).unwrap();
    let operator = Principal::operator();
    append(&engine, &(0..1_500).map(event).collect::<Vec<_>>().join("\n"));
    engine.seal_now().unwrap();
    append(&engine, &(1_500..1_700).map(event).collect::<Vec<_>>().join("\n"));
    let queries =
        ["", "resource_type:workspace action:delete", "username:demo-3", "resource_target:\"ziel 目標 17\""];
    for query in queries {
        assert!(check(&engine, dir.path(), &operator, query) > 0, "{query}");
    }
    assert_eq!(check(&engine, dir.path(), &operator, "resource_target:nothing"), 0);

    // What was erased is NULL, and what was dropped is no row.
    let plan = engine.plan_erasure(&operator, Erase::Subject("u-3".to_owned()), &mut |_, _| {}).unwrap();
    engine.erase(&operator, plan, "request", &mut |_, _| {}).unwrap();
    now.fetch_add(10 * 86_400_000_000, Ordering::Relaxed);
    engine.add_retention_rule(&operator, "resource_type:user", 1).unwrap();
    assert!(engine.run_retention(&operator, &mut |_, _| {}).unwrap().events > 100);
    assert_eq!(check(&engine, dir.path(), &operator, "username:demo-3"), 0);
    assert_eq!(check(&engine, dir.path(), &operator, "resource_type:user resource_target:ziel*"), 0);
    assert!(check(&engine, dir.path(), &operator, "") > 1_000);
    let erased = "username is null and user_id = 'u-3' and (event->>'$.erased[0]') is not null";
    let sql = format!("select count(*) > 100 from '{}/check.parquet' where {erased}", dir.path().display());
    assert_eq!(ask(&sql), "True");

    // Whoever sees one organization gets no event of another.
    let new = NewOrganization { id: Some("org-1"), name: "northwind", ..NewOrganization::default() };
    let organization = engine.create_organization(&operator, &new).unwrap();
    let password = "only-made-up-for-tests";
    let anna = NewPerson { username: "anna", email: "", name: "", password, role: Role::Member };
    let anna = engine.add_person(&operator, &anna).unwrap();
    engine.add_member(&operator, &organization.id, &anna, OrganizationRole::Auditor).unwrap();
    let token = NewToken { kind: TokenKind::Read, name: "reader", owner: Some("anna"), expires: None };
    let secret = engine.create_token(&operator, &token).unwrap();
    let auditor = engine.authenticate(Credential::Token(secret.reveal())).unwrap().unwrap();
    assert!(check(&engine, dir.path(), &auditor, "resource_target:ziel*") > 100);
    let sql = format!("select distinct organization_id from '{}/check.parquet'", dir.path().display());
    assert_eq!(ask(&sql), "org-1");
    assert_eq!(check(&engine, dir.path(), &auditor, "organization:org-0"), 0);
}

fn import(data: &Path, numbers: std::ops::Range<usize>) {
    let file = data.with_extension("lines");
    std::fs::write(&file, numbers.map(event).collect::<Vec<_>>().join("\n")).unwrap();
    annals_ok(&["import", "--format", "native", "--data", data.to_str().unwrap(), file.to_str().unwrap()]);
}

#[test]
fn a_parquet_file_is_made_in_place_and_over_a_server_and_never_written_over() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let token = create_token(&data, "read");
    import(&data, 0..60);
    let place = data.to_str().unwrap();
    let server = Server::start(&data);
    let query = "resource_target:ziel*";
    let command = ["export", query, "--format", "parquet"];
    let here = annals(&[&command[..], &["--data", place]].concat()).stdout;
    let there = annals(&[&command[..], &["--server", &server.url, "--token", &token]].concat()).stdout;
    assert!(here == there && here.starts_with(b"PAR1") && here.ends_with(b"PAR1"), "{} bytes", here.len());

    let file = root.path().join("audit-1.parquet");
    let out = ["--data", place, "--out", file.to_str().unwrap()];
    let said = annals_ok(&[&command[..], &out[..], &["--json"]].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["count"], 60);
    assert!(std::fs::read(&file).unwrap() == here);
    for more in [&[][..], &["--resume"]] {
        let again = annals(&[&command[..], &out[..], more].concat());
        assert_eq!(again.status.code(), Some(1));
        let hint = if more.is_empty() { "name another file" } else { "--after-seq" };
        assert!(String::from_utf8_lossy(&again.stderr).contains(hint), "{again:?}");
    }
    assert!(std::fs::read(&file).unwrap() == here, "no file is written over, or to");

    // What came later goes into a second file, and both are read as one.
    import(&data, 60..100);
    let second = root.path().join("audit-2.parquet");
    let last_seq = said["last_seq"].to_string();
    let more = ["--after-seq", &last_seq, "--out", second.to_str().unwrap(), "--data", place];
    annals_ok(&[&command[..], &more[..]].concat());
    let both = format!("read_parquet('{}/audit-*.parquet')", root.path().display());
    let sql = format!("select count(*), count(distinct seq), count(distinct resource_target) from {both}");
    assert_eq!(ask(&sql), "100|100|90");

    let empty = root.path().join("empty.parquet");
    let bad = annals(&[
        "export",
        "nokey:1",
        "--format",
        "parquet",
        "--out",
        empty.to_str().unwrap(),
        "--data",
        place,
    ]);
    assert_eq!(bad.status.code(), Some(2));
    assert!(!empty.exists());
    let nothing = ["export", "resource_target:nothing", "--format", "parquet", "--data", place, "--out"];
    annals_ok(&[&nothing[..], &[empty.to_str().unwrap()]].concat());
    assert_eq!(ask(&format!("select count(*), count(seq) from '{}'", empty.display())), "0|0");
    let left = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")), "a part was left");
}

#[test]
fn a_parquet_file_that_was_cut_off_gets_no_name() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let token = create_token(&data, "read");
    // Texts that do not get smaller: more than one row group, and more than all buffers on the way hold.
    let mut state = 1_u64;
    let mut lines = String::new();
    for n in 0..600 {
        let mut note = String::new();
        while note.len() < 60_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(note, "{state:016x}").unwrap();
        }
        let event = event(n).replace("\"n\":", &format!("\"note\":\"{note}\",\"n\":"));
        writeln!(lines, "{event}").unwrap();
    }
    let file = root.path().join("lines");
    std::fs::write(&file, lines).unwrap();
    annals_ok(&["import", "--format", "native", "--data", data.to_str().unwrap(), file.to_str().unwrap()]);
    let mut server = Server::start(&data);
    let path = root.path().join("audit.parquet");
    let args = ["export", "resource_target:ziel*", "--format", "parquet", "--out", path.to_str().unwrap()];
    let url = server.url.clone();
    let exporting = std::thread::spawn({
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let token = token.clone();
        move || {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            annals(&[&args[..], &["--server", &url, "--token", &token]].concat())
        }
    });
    let part = || {
        let names = std::fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().find(|path| path.to_string_lossy().ends_with(".part"))
    };
    let until = Instant::now() + Duration::from_secs(60);
    while part().is_none_or(|part| std::fs::metadata(part).map_or(0, |meta| meta.len()) < 100_000) {
        assert!(Instant::now() < until && !path.exists(), "the export does not begin");
        std::thread::sleep(Duration::from_millis(1));
    }
    server.kill();
    let ended = exporting.join().unwrap();
    assert_eq!(ended.status.code(), Some(1), "a part is not taken for the whole");
    assert!(String::from_utf8_lossy(&ended.stderr).contains("was not made"), "{ended:?}");
    assert!(!path.exists() && part().is_none(), "nothing is left");

    let server = Server::start(&data);
    annals_ok(&[&args[..], &["--server", &server.url, "--token", &token]].concat());
    let sql = format!("select count(*), count(distinct seq) from '{}'", path.display());
    assert_eq!(ask(&sql), "600|600");
    let groups =
        format!("select count(distinct row_group_id) > 1 from parquet_metadata('{}')", path.display());
    assert_eq!(ask(&groups), "True");
}
