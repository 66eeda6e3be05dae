//! Other programs read what Annals writes: DuckDB the segments, promtool the metrics.

use std::fmt::Write as _;
use std::time::Duration;

use annals_engine::{Engine, Key, Location, Options, PartialBatch, Principal, SealPolicy, SearchRequest};
use annals_testparts::{check_metrics, duckdb};

use crate::support::{Server, create_token};

const EVENTS: u64 = 2_048;

fn fill(engine: &Engine) {
    let mut body = String::new();
    for n in 0..EVENTS {
        let (action, status) =
            (["create", "write", "delete"][n as usize % 3], [200, 403, 500][n as usize / 3 % 3]);
        let kind = ["workspace", "template"][n as usize / 2 % 2];
        writeln!(
            body,
            r#"{{"id":"00000000-0000-4000-8000-{n:012}","time":"2026-03-{:02}T10:00:00.{n:06}Z","action":"{action}","resource_type":"{kind}","resource_id":"r-{}","resource_target":"Größe {}","user":{{"id":"u-{}","username":"Demo-{}"}},"status_code":{status},"diff":{{"name":{{"old":"a","new":"b {n}"}}}}}}"#,
            1 + n % 28,
            n % 100,
            n % 100,
            n % 7,
            n % 7
        )
        .unwrap();
    }
    engine
        .append(&Principal::operator(), body.as_bytes(), PartialBatch::Refuse)
        .unwrap()
        .wait_blocking()
        .unwrap();
}

#[test]
fn duckdb_counts_what_annals_counts() {
    let dir = tempfile::tempdir().unwrap();
    let seal = SealPolicy { events: 512, aged_events: 512, in_background: false, ..SealPolicy::default() };
    let options = Options { seal, ..Options::default() };
    let engine = Engine::create_or_open(dir.path(), options).unwrap();
    fill(&engine);
    assert_eq!(engine.seal_due().unwrap(), 4);
    let count = |query: &str| {
        let request = SearchRequest { query, limit: 1, offset: 0, after: None };
        engine.search(&Principal::operator(), &request, |_| Ok(())).unwrap().count.to_string()
    };
    let table = format!("read_parquet('{}/segments/*.parquet')", dir.path().display());
    for (query, condition) in [
        ("", "true"),
        ("resource_type:workspace action:delete", "resource_type = 'workspace' and action = 'delete'"),
        ("-action:create", "action <> 'create'"),
        ("username:demo-3", "username = 'Demo-3'"),
        ("resource_target:\"größe 17\"", "resource_target = 'Größe 17'"),
        ("status_code:>=400", "status_code >= 400"),
        ("outcome:denied", "outcome = 'denied'"),
        ("date_from:2026-03-05 date_to:2026-03-06", "time >= '2026-03-05' and time < '2026-03-07'"),
        ("id:00000000-0000-4000-8000-000000000777", "id = '00000000-0000-4000-8000-000000000777'"),
        ("build_reason:initiator", "build_reason is not null"),
    ] {
        let sql = format!("set timezone = 'UTC'; select count(*) from {table} where {condition}");
        assert_eq!(duckdb(&sql), count(query), "{query} / {condition}");
    }
    // The body is JSON to other engines, too.
    let sql =
        format!("select count(*) from {table} where json_extract_string(body, '$.diff.name.new') = 'b 1234'");
    assert_eq!(duckdb(&sql), "1");
    let (facets, _) = engine.facets(&Principal::operator(), "", Key::Action, 3).unwrap();
    let expect: Vec<String> = facets.top.iter().map(|(value, count)| format!("{value}|{count}")).collect();
    let sql = format!("select action, count(*) n from {table} group by action order by n desc, action");
    assert_eq!(duckdb(&sql), expect.join("\n"));
    // Seqs are dense over all files, and no event is in two of them.
    let sql = format!("select min(seq), max(seq), count(distinct seq), count(distinct id) from {table}");
    assert_eq!(duckdb(&sql), format!("0|{}|{EVENTS}|{EVENTS}", EVENTS - 1));
}

#[test]
fn promtool_has_no_complaint_about_the_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("log");
    let token = create_token(&dir, "metrics");
    {
        let engine = Engine::open(Location::embedded(&dir), Options::default()).unwrap();
        fill(&engine);
    }
    let server = Server::start(&dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let get = |path: &str, token: &str, accept: &str| {
        let request = http.get(format!("{}{path}", server.url)).bearer_auth(token).header("accept", accept);
        runtime.block_on(async {
            let reply = request.send().await.unwrap();
            let kind = reply.headers()["content-type"].to_str().unwrap().to_owned();
            (reply.status().as_u16(), kind, reply.text().await.unwrap())
        })
    };
    let (status, kind, text) = get("/metrics", &token, "text/plain");
    assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
    check_metrics(&text);
    assert!(text.lines().any(|line| line == format!("annals_log_events {}", EVENTS + 1)), "{text}");
    let (_, kind, text) = get("/metrics", &token, "application/openmetrics-text;version=1.0.0");
    assert!(kind.starts_with("application/openmetrics-text") && text.ends_with("# EOF\n"));
    // Least sight, both ways.
    assert_eq!(get("/api/v2/audit", &token, "*/*").0, 403);
    assert_eq!(get("/metrics", &create_token(&dir, "read"), "*/*").0, 403);
    assert_eq!(get("/metrics", "nonsense", "*/*").0, 401);
}
