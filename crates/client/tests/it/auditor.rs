//! Events that are given away: all arrive, once, in order, whatever the server does.

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_client::{Auditor, AuditorOptions, Client, EmitError, Event};
use annals_engine::{Engine, NewToken, Options, Principal, SearchRequest, TokenKind};
use annals_server::Config;
use serde_json::Value;

pub(crate) const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(200);

pub(crate) struct Log {
    engine: Arc<Engine>,
    pub(crate) token: String,
    dir: tempfile::TempDir,
}

impl Log {
    pub(crate) fn new() -> Log {
        tokio::task::block_in_place(Log::created)
    }

    fn created() -> Log {
        let dir = tempfile::tempdir().unwrap();
        let engine = Arc::new(Engine::create_or_open(&dir.path().join("log"), Options::default()).unwrap());
        let token = NewToken { kind: TokenKind::Ingest, name: "test", owner: None, expires: None };
        let token = engine.create_token(&Principal::operator(), &token).unwrap().reveal().to_owned();
        Log { engine, token, dir }
    }

    pub(crate) async fn serve(&self, listen: &str) -> std::net::SocketAddr {
        let config = Config { listen: listen.parse().unwrap(), ..Config::default() };
        let server = annals_server::bind(Arc::clone(&self.engine), config).await.unwrap();
        let address = server.address();
        tokio::spawn(server.run(std::future::pending()));
        address
    }

    fn auditor(&self, address: impl std::fmt::Display) -> Auditor {
        let client = Client::new(&format!("http://{address}"), &self.token).unwrap();
        let options = AuditorOptions { retry_max: SHORT, ..AuditorOptions::new("app-1") };
        Auditor::open(client, self.spool(), options).unwrap()
    }

    pub(crate) fn spool(&self) -> std::path::PathBuf {
        self.dir.path().join("spool")
    }

    /// Every event of the source, the first one first.
    pub(crate) fn recorded(&self) -> Vec<Value> {
        let request = SearchRequest { query: "source:app-1", limit: 1_000, offset: 0, after: None };
        let to_json =
            |found: annals_engine::FoundEvent<'_>| Ok(serde_json::to_value(found.into_audit_log()?).unwrap());
        let mut events = tokio::task::block_in_place(|| {
            self.engine.search(&Principal::operator(), &request, to_json).unwrap().events
        });
        events.sort_by_key(|event| event["seq"].as_u64());
        events
    }
}

fn event(n: usize) -> Event {
    Event::new("write", "template", &format!("t-{n}")).user("u-7", "demo-dev-1")
}

fn targets(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| event["resource_target"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_emitted_arrives_once_and_in_order() {
    let log = Log::new();
    let auditor = log.auditor(log.serve("127.0.0.1:0").await);
    assert!(auditor.flush(SHORT).await, "nothing was taken, and nothing waits");
    assert_eq!(auditor.stats().waiting, 0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let auditor = auditor.clone();
            scope.spawn(move || (0..100).for_each(|n| auditor.emit(&event(thread * 100 + n)).unwrap()));
        }
    });
    assert!(auditor.flush(LONG).await);
    let recorded = log.recorded();
    assert_eq!(recorded.len(), 400);
    let numbers: Vec<u64> = recorded.iter().map(|event| event["source_seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=400).collect::<Vec<_>>(), "in the order in which they were taken");
    for thread in 0..4 {
        let numbers =
            recorded.iter().map(|event| event["resource_target"].as_str().unwrap()[2..].parse().unwrap());
        let own: Vec<usize> = numbers.filter(|number: &usize| *number / 100 == thread).collect();
        assert!(own.is_sorted(), "each thread's events stay in their order");
    }
    let stats = auditor.stats();
    assert_eq!((stats.emitted, stats.delivered, stats.waiting, stats.duplicates), (400, 400, 0, 0));
    assert_eq!(
        (stats.refused, stats.rejected, stats.lost_files, stats.last_error.as_deref()),
        (0, 0, 0, None)
    );
    assert!(stats.to_prometheus().contains("\naudit_delivered_total 400\n"));
    // The time is that of the application.
    let late = recorded.iter().all(|event| event["time"].as_str() <= event["received"].as_str());
    assert!(late, "{recorded:#?}");
    let sources = tokio::task::block_in_place(|| log.engine.sources(&Principal::operator()).unwrap());
    assert_eq!(sources.iter().find(|source| source.state.name == "app-1").unwrap().state.missing, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_gets_everything_when_it_is_back() {
    let log = Log::new();
    // An address where nobody listens yet.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let auditor = log.auditor(address);
    (0..10).for_each(|n| auditor.emit(&event(n)).unwrap());
    assert!(!auditor.flush(SHORT).await);
    let durable = auditor.emit_durable(&event(10), SHORT).await.unwrap_err();
    assert!(matches!(durable, EmitError::NotConfirmed { .. }), "{durable}");
    let stats = auditor.stats();
    assert!(stats.retries > 0 && stats.waiting == 11 && stats.last_error.is_some(), "{stats:?}");
    // The application ends, and another one goes on with its spool.
    auditor.close(LONG);
    let auditor = log.auditor(address);
    auditor.emit(&event(11)).unwrap();
    log.serve(&address.to_string()).await;
    assert!(auditor.flush(LONG).await);
    let expected: Vec<String> = (0..12).map(|n| format!("t-{n}")).collect();
    assert_eq!(targets(&log.recorded()), expected);
    assert_eq!(auditor.stats().last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_kept_and_holds_nothing_up() {
    let log = Log::new();
    let auditor = log.auditor(log.serve("127.0.0.1:0").await);
    auditor.emit(&event(0)).unwrap();
    auditor.emit(&Event::new("write", "unheard_of", "bad-1")).unwrap();
    auditor.emit(&event(1)).unwrap();
    assert_eq!(auditor.emit_durable(&event(2), LONG).await.unwrap(), log.recorded()[2]["seq"]);
    let refused = auditor.emit_durable(&Event::new("write", "unheard_of", "bad-2"), LONG).await.unwrap_err();
    assert!(matches!(&refused, EmitError::Rejected { reason } if reason.contains("unheard_of")), "{refused}");
    assert!(auditor.flush(LONG).await);
    assert_eq!(targets(&log.recorded()), ["t-0", "t-1", "t-2"]);
    let stats = auditor.stats();
    assert_eq!((stats.delivered, stats.rejected, stats.waiting), (3, 2, 0));
    let kept = std::fs::read_to_string(auditor.rejected_file()).unwrap();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept.len(), 2);
    for (line, target) in kept.iter().zip(["bad-1", "bad-2"]) {
        assert_eq!(line["event"]["resource_target"], target);
        assert!(line["reason"].as_str().unwrap().contains("unheard_of"), "{line}");
    }
    // More than the server ever takes is refused at once.
    let large = Event::new("write", "template", "t")
        .with("additional_fields", serde_json::json!({"x": "x".repeat(300_000)}));
    assert!(matches!(auditor.emit(&large), Err(EmitError::TooLarge { .. })));
    assert_eq!(auditor.stats().refused, 1);
}

/// Something in front of a server: it finds bodies of over 2,000 bytes too large, and answers once with a 422 of its own.
fn proxy(taken: &Arc<Mutex<Vec<String>>>) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, taken) = (listener.local_addr().unwrap(), Arc::clone(taken));
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line).unwrap();
                length = line
                    .strip_prefix("content-length: ")
                    .map_or(length, |value| value.trim().parse().unwrap());
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let events: Vec<Value> = String::from_utf8(body)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let (status, reply) = match (number, length) {
                (0, _) => (422, "<html>not this</html>".to_owned()),
                (_, 0..2_000) => {
                    let ids = events.iter().map(|event| event["id"].as_str().unwrap().to_owned());
                    let placed: Vec<Value> =
                        ids.clone().map(|id| serde_json::json!({"id": id, "seq": 0})).collect();
                    taken.lock().unwrap().extend(ids);
                    (
                        201,
                        serde_json::json!({"accepted": placed.len(), "duplicates": 0, "events": placed})
                            .to_string(),
                    )
                }
                _ => (413, "<html>too large</html>".to_owned()),
            };
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                reply.len()
            );
            (&stream).write_all((head + &reply).as_bytes()).unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_has_no_last_word_on_an_event() {
    let log = Log::new();
    let taken = Arc::default();
    let auditor = log.auditor(proxy(&taken));
    (0..100).for_each(|n| auditor.emit(&event(n)).unwrap());
    assert!(auditor.flush(LONG).await, "{:?}", auditor.stats());
    let stats = auditor.stats();
    assert_eq!((stats.delivered, stats.rejected, taken.lock().unwrap().len()), (100, 0, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_registered_before_the_first_event() {
    let log = Log::new();
    let address = log.serve("127.0.0.1:0").await;
    let client = Client::new(&format!("http://{address}"), &log.token).unwrap();
    let document =
        "[[resource]]\ntype = \"invoice\"\nactions = [\"write\"]\n[resource.fields]\namount = \"track\"\n";
    let options = AuditorOptions { documents: vec![document.to_owned()], ..AuditorOptions::new("app-1") };
    let auditor = Auditor::open(client, log.spool(), options).unwrap();
    auditor.emit(&Event::new("write", "invoice", "i-1")).unwrap();
    assert!(auditor.flush(LONG).await);
    assert_eq!(targets(&log.recorded()), ["i-1"]);
    assert!(!Path::new(&auditor.rejected_file()).exists());
}
