//! Streams as the engine keeps them: what may not be set up, what the key signs, what a changed query and an erasure do.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use annals_engine::{
    Engine, Erase, NewStream, Options, Principal, Received, SealPolicy, SigningPolicy, SinkSettings, Stream,
    StreamChange, StreamError, StreamPolicy, StreamService, StreamStart, StreamState,
};
use annals_model::formats::EventFormat;
use tempfile::TempDir;

use crate::support::append;

fn open(dir: &Path) -> Arc<Engine> {
    let options = Options {
        signing: Some(SigningPolicy::default()),
        seal: SealPolicy { in_background: false, ..SealPolicy::default() },
        ..Options::default()
    };
    Arc::new(Engine::create_or_open(dir, options).unwrap())
}

fn policy() -> StreamPolicy {
    StreamPolicy { manifest_every: Duration::from_secs(1), ..StreamPolicy::default() }
}

/// A stream of files below the directory of the log.
fn files<'s>(root: &TempDir, name: &'s str, query: &'s str) -> NewStream<'s> {
    let mut settings = SinkSettings::default();
    settings.set("directory", root.path().join(name).to_str().unwrap());
    settings.set("linger", "0");
    NewStream {
        name,
        kind: "files",
        query,
        format: EventFormat::Native,
        parallel: 1,
        silence_seconds: 0,
        settings,
        start: StreamStart::Beginning,
        is_paused: false,
    }
}

fn create(engine: &Engine, new: &NewStream<'_>) -> Stream {
    engine.create_stream(&Principal::operator(), new).unwrap().0
}

fn event(number: usize, action: &str) -> String {
    let user = r#"{"username":"demo-zebra","email":"zebra@example.test"}"#;
    format!(
        r#"{{"action":"{action}","resource_type":"template","resource_target":"t{number}","user":{user}}}"#
    )
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} never comes");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_idle(engine: &Engine, stream: &Stream) -> bool {
    engine.stream_status(&Principal::operator(), &stream.id).unwrap().state == StreamState::Idle
}

#[test]
fn queries_that_move_with_the_clock_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let engine = open(&root.path().join("log"));
    for query in ["since:24h", "action:delete since:7d", "date_from:-30d"] {
        let made = engine.create_stream(&Principal::operator(), &files(&root, "a", query));
        assert!(matches!(made, Err(StreamError::MovingTime | StreamError::Query(_))), "{query}: {made:?}");
    }
    let stream = create(&engine, &files(&root, "a", "date_from:2026-01-01 action:delete"));
    let change = StreamChange { query: Some("since:1h"), ..StreamChange::default() };
    let changed = engine.change_stream(&Principal::operator(), &stream.id, &change);
    assert!(matches!(changed, Err(StreamError::MovingTime)), "{changed:?}");
}

#[test]
fn one_file_has_one_writer() {
    let root = tempfile::tempdir().unwrap();
    let engine = open(&root.path().join("log"));
    let mut settings = SinkSettings::default();
    settings.set("to", root.path().join("lines").to_str().unwrap());
    let new = NewStream { kind: "log", settings, ..files(&root, "first", "") };
    let twice = engine.create_stream(&Principal::operator(), &NewStream { parallel: 2, ..new.clone() });
    assert!(matches!(twice, Err(StreamError::SingleFile { .. })), "{twice:?}");
    create(&engine, &new);
    let second = engine.create_stream(&Principal::operator(), &NewStream { name: "second", ..new });
    assert!(matches!(second, Err(StreamError::PlaceTaken { .. })), "{second:?}");
}

#[test]
fn a_changed_query_holds_from_where_it_was_changed() {
    let root = tempfile::tempdir().unwrap();
    let engine = open(&root.path().join("log"));
    let service = StreamService::start(Arc::clone(&engine), policy()).unwrap();
    let stream = create(&engine, &files(&root, "a", "resource_type:template action:create"));
    for number in 0..10 {
        append(&engine, &event(number, if number < 3 { "create" } else { "write" })).unwrap();
    }
    wait("the first events", || is_idle(&engine, &stream));
    let operator = Principal::operator();
    let change = StreamChange { query: Some("resource_type:template"), ..StreamChange::default() };
    engine.change_stream(&operator, &stream.id, &change).unwrap();
    wait("the new sender", || {
        engine.stream(&operator, &stream.id).unwrap().sent_query == "resource_type:template"
    });
    for number in 10..15 {
        append(&engine, &event(number, "write")).unwrap();
    }
    wait("the later events", || engine.stream(&operator, &stream.id).unwrap().progress.delivered == 8);
    wait("both windows", || {
        let manifests = engine.stream_manifests(&operator, &stream.id, 9).unwrap();
        manifests.iter().map(|manifest| manifest.event_count).sum::<u64>() == 8
            && manifests.iter().all(|manifest| !manifest.note.is_empty())
    });
    let manifests = engine.stream_manifests(&operator, &stream.id, 9).unwrap();
    let before: u64 = manifests
        .iter()
        .filter(|manifest| manifest.body.contains("\nquery resource_type:template action:create\n"))
        .map(|manifest| manifest.event_count)
        .sum();
    assert_eq!(before, 3, "{manifests:?}");
    // What the new query would have taken of the older events is not missing.
    let found = engine.reconcile_stream(&operator, &stream.id, None, None, &Received::Count(5)).unwrap();
    assert_eq!((found.expected, found.is_complete()), (5, true));
    let older =
        engine.reconcile_stream(&operator, &stream.id, Some(stream.first_seq), None, &Received::Count(8));
    assert!(matches!(older, Err(StreamError::OtherQuery { .. })), "{older:?}");
    drop(service);
}

#[test]
fn the_key_signs_no_text_that_somebody_put_into_the_database() {
    let root = tempfile::tempdir().unwrap();
    let engine = open(&root.path().join("log"));
    append(&engine, &event(1, "write")).unwrap();
    let stream = create(&engine, &files(&root, "a", ""));
    let database = rusqlite::Connection::open(root.path().join("log/annals.db")).unwrap();
    let forge = |number: i64, body: &str| {
        database
            .execute(
                "INSERT INTO stream_manifest VALUES (?1, ?2, 0, 0, 1, ?3, '', 0, 0)",
                rusqlite::params![stream.id.0, number, body],
            )
            .unwrap();
    };
    forge(901, "annals/log\n7\nqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=\n");
    forge(902, "annals stream manifest v1\nlog another/log\nstream x\n");
    let service = StreamService::start(Arc::clone(&engine), policy()).unwrap();
    let operator = Principal::operator();
    // One of its own is signed, those are not.
    wait("a manifest", || {
        let manifests = engine.stream_manifests(&operator, &stream.id, 9).unwrap();
        manifests.iter().any(|manifest| manifest.number == 903 && !manifest.note.is_empty())
    });
    for number in [901, 902] {
        assert_eq!(engine.stream_manifest(&operator, &stream.id, number).unwrap().unwrap().note, "");
    }
    drop(service);
}

#[test]
fn a_secret_goes_nowhere_else_because_somebody_wrote_another_address_into_the_database() {
    let root = tempfile::tempdir().unwrap();
    let engine = open(&root.path().join("log"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut settings = SinkSettings::default();
    settings.set("url", "https://127.0.0.1:1/");
    settings.set("token", "very-secret");
    let new = NewStream { kind: "splunk", settings, ..files(&root, "siem", "") };
    let stream = create(&engine, &new);
    let status = engine.stream_status(&Principal::operator(), &stream.id).unwrap();
    assert_eq!(status.secret_names, ["token"], "only those that are kept");
    let database = rusqlite::Connection::open(root.path().join("log/annals.db")).unwrap();
    let moved = stream
        .settings
        .replace("https://127.0.0.1:1/", &format!("http://{}/", listener.local_addr().unwrap()));
    assert_ne!(moved, stream.settings);
    database
        .execute("UPDATE stream SET settings = ?1, revision = revision + 1", rusqlite::params![moved])
        .unwrap();
    let service = StreamService::start(Arc::clone(&engine), policy()).unwrap();
    let failure = || engine.stream(&Principal::operator(), &stream.id).unwrap().progress.failure;
    wait("the refusal", || failure().contains("damaged"));
    assert!(listener.accept().is_err(), "somebody else was connected to");
    drop(service);
}

#[test]
fn an_erasure_reaches_queries_and_what_receivers_said() {
    let root = tempfile::tempdir().unwrap();
    let engine = open(&root.path().join("log"));
    append(&engine, &event(1, "write")).unwrap();
    let stream = create(&engine, &files(&root, "a", "username:demo-zebra"));
    let database = rusqlite::Connection::open(root.path().join("log/annals.db")).unwrap();
    database
        .execute("INSERT INTO dead_letter VALUES (?1, 0, 'no demo-zebra here', 1, 0, 0)", [&stream.id.0])
        .unwrap();
    let operator = Principal::operator();
    let plan =
        engine.plan_erasure(&operator, Erase::Subject("demo-zebra".to_owned()), &mut |_, _| {}).unwrap();
    engine.erase(&operator, plan, "on request", &mut |_, _| {}).unwrap();
    let letters = engine.dead_letters(&operator, &stream.id, 0, 9).unwrap();
    assert_eq!(letters[0].reason, "forgotten with an erasure");
    let (_, events) = crate::support::search(&engine, "resource_type:stream action:create");
    assert!(!events[0].to_string().contains("zebra"), "{}", events[0]);
}
