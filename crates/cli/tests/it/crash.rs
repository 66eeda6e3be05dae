//! Kill -9 in the middle of ingest, fifty times: every acknowledged event is there once, and seqs are dense. Then the same on
//! a disk that forgets every write that was not synced.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_client::Client;
use annals_engine::{Engine, Options, Principal, SealPolicy, SearchRequest};
use annals_model::id::EventId;

use crate::support::{Server, binary, create_token};

const ROUNDS: u64 = 50;
const PRODUCERS: u64 = 4;

/// What the producers know: the events they sent, and the seqs of those that were acknowledged.
#[derive(Default)]
struct Ledger {
    acknowledged: HashMap<String, u64>,
    /// Batches whose answer never came; they are sent again.
    unanswered: Vec<Vec<String>>,
    next_id: u128,
}

impl Ledger {
    fn next_batch(&mut self) -> Vec<String> {
        if let Some(batch) = self.unanswered.pop() {
            return batch;
        }
        let count = 1 + self.next_id % 17;
        // Now and then an event is large, so that the database copies its log back in the midst of it all.
        let padding = if self.next_id.is_multiple_of(40) { 100_000 } else { 100 };
        (0..count)
            .map(|_| {
                self.next_id += 1;
                let id = uuid::Uuid::from_u128(self.next_id);
                let note = "x".repeat(padding);
                format!(
                    r#"{{"id":"{id}","action":"write","resource_type":"template","resource_target":"t","additional_fields":{{"note":"{note}"}}}}"#
                )
            })
            .collect()
    }
}

async fn produce(client: Client, ledger: Arc<Mutex<Ledger>>) {
    loop {
        let batch = ledger.lock().unwrap().next_batch();
        match client.append_ndjson(batch.join("\n"), false).await {
            Ok(reply) => {
                let mut ledger = ledger.lock().unwrap();
                for event in reply["events"].as_array().unwrap() {
                    let id = event["id"].as_str().unwrap().to_owned();
                    ledger.acknowledged.insert(id, event["seq"].as_u64().unwrap());
                }
            }
            Err(_) => {
                ledger.lock().unwrap().unanswered.push(batch);
                return;
            }
        }
    }
}

/// Opens a copy of the log in this process and compares it with what was acknowledged. A copy, because opening and closing
/// the log tidies it up, and the server shall meet it as it was left.
fn check(dir: &Path, ledger: &Ledger, round: u64) {
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir, copy.path());
    let engine = Engine::open(copy.path(), Options::default()).unwrap();
    let report = engine.verify().unwrap();
    assert_eq!(report.findings, [], "round {round}");
    let size = report.events;
    let operator = Principal::operator();
    for (id, seq) in &ledger.acknowledged {
        let id = EventId::new(id.parse().unwrap());
        let found = engine.event(&operator, id, |found| Ok(found.added.seq)).unwrap();
        assert_eq!(found, Some(*seq), "round {round}: event {id} was acknowledged");
    }
    let (mut ids, mut seqs, mut offset) = (HashSet::new(), HashSet::new(), 0);
    loop {
        let request = SearchRequest { query: "", limit: 1_000, offset, after: None };
        let page = engine.search(&operator, &request, |found| Ok((found.event.id, found.added.seq))).unwrap();
        assert_eq!(page.count, size);
        for (id, seq) in &page.events {
            assert!(ids.insert(*id), "round {round}: {id} is there twice");
            assert!(seqs.insert(*seq), "round {round}: seq {seq} is used twice");
        }
        offset += 1_000;
        if page.events.len() < 1_000 {
            break;
        }
    }
    assert_eq!(seqs.len() as u64, size);
    assert!(seqs.iter().all(|seq| *seq < size), "round {round}: seqs are dense");
}

/// A small generator of the moments at which to kill, so that a failure can be repeated.
fn moment_ms(round: u64) -> u64 {
    20 + (round.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33) % 110
}

fn crash_rounds(dir: &Path, token: &str, prepare: impl Fn(&mut Command), after_kill: impl Fn()) {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for round in 0..ROUNDS {
        let mut command = Command::new(binary());
        prepare(&mut command);
        let mut server = Server::start_with(command, dir);
        let client = Client::new(&server.url, token).unwrap();
        runtime.block_on(async {
            let producers: Vec<_> =
                (0..PRODUCERS).map(|_| tokio::spawn(produce(client.clone(), Arc::clone(&ledger)))).collect();
            tokio::time::sleep(Duration::from_millis(moment_ms(round))).await;
            server.kill();
            for producer in producers {
                producer.await.unwrap();
            }
        });
        after_kill();
        check(dir, &ledger.lock().unwrap(), round);
    }
    let acknowledged = ledger.lock().unwrap().acknowledged.len();
    assert!(acknowledged > 500, "only {acknowledged} events were acknowledged: the test tested little");
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("log");
    let token = create_token(&dir, "ingest");
    // Small segments: some kills hit the sealing.
    let small = |command: &mut Command| {
        command.env("ANNALS_SEGMENT_EVENTS", "256");
    };
    crash_rounds(&dir, &token, small, || {});
    let sealed = std::fs::read_dir(dir.join("segments")).unwrap().count();
    assert!(sealed > 0, "nothing was sealed: the test tested little");
}

/// Every durable write of sealing and merging: the process ends just before it, or just after it with nobody told.
#[test]
fn sealing_may_stop_at_every_step() {
    let points = [
        "seal: before the object",
        "seal: object written",
        "seal: published",
        "seal: rows discarded",
        "merge: object written",
        "merge: published",
    ];
    for point in points {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("log");
        let token = create_token(&dir, "ingest");
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let run = |segment_events: &str, crash_at: &str| {
            let mut command = Command::new(binary());
            command.env("ANNALS_SEGMENT_EVENTS", segment_events).env("ANNALS_CRASH_AT", crash_at);
            let is_crash = !crash_at.is_empty();
            // It seals as soon as it has opened the log, and may stop there before it listens.
            let Some(mut server) = Server::try_start_with(command, &dir) else {
                assert!(is_crash, "{point}: the server did not start");
                return check(&dir, &ledger.lock().unwrap(), 0);
            };
            let client = Client::new(&server.url, &token).unwrap();
            runtime.block_on(async {
                let producer = tokio::spawn(produce(client, Arc::clone(&ledger)));
                if is_crash {
                    producer.await.unwrap();
                } else {
                    tokio::time::sleep(Duration::from_millis(1_200)).await;
                    server.kill();
                    producer.await.unwrap();
                }
            });
            assert!(!is_crash || !server.ended_well(), "{point}: it did not stop there");
            check(&dir, &ledger.lock().unwrap(), 0);
        };
        // Segments of 256 first, so that there is something to merge once they may be larger.
        run("256", "");
        run(if point.starts_with("merge") { "1024" } else { "256" }, point);
        run("1024", "");
        // Whatever was left undone is done by the next who looks.
        let seal = SealPolicy { events: 1_024, aged_events: 256, ..SealPolicy::default() };
        let engine = Engine::open(dir.as_path(), Options { seal, ..Options::default() }).unwrap();
        engine.seal_due().unwrap();
        let report = engine.verify().unwrap();
        assert!(report.sealed + 1_024 > report.events && report.findings.is_empty(), "{point}: {report:?}");
        assert!(report.sealed >= 512, "{point}: the test tested little: {report:?}");
    }
}

#[test]
fn a_disk_that_drops_unsynced_writes_loses_nothing_that_was_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let (dir, shadow, library) =
        (root.path().join("log"), root.path().join("shadow"), root.path().join("lossy.so"));
    let key_dir = root.path().join("key");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lossy_disk.c");
    let compiled = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status();
    assert!(compiled.unwrap().success(), "the lossy disk needs the C compiler that SQLite needs too");

    // The log is made before the disk turns bad; from then on the shadow is the disk.
    let token = create_token(&dir, "ingest");
    std::fs::create_dir(&shadow).unwrap();
    copy_files(&dir, &shadow);
    crash_rounds(
        &dir,
        &token,
        |command| {
            command.env("LD_PRELOAD", &library).env("LOSSY_DIR", &dir).env("LOSSY_SHADOW", &shadow);
            // Beside the disk that forgets: whatever was signed must still be in what it remembers.
            command.env("ANNALS_KEY_DIR", &key_dir);
        },
        || {
            for file in std::fs::read_dir(&dir).unwrap() {
                let file = file.unwrap();
                if file.file_type().unwrap().is_file() {
                    std::fs::remove_file(file.path()).unwrap();
                }
            }
            copy_files(&shadow, &dir);
        },
    );
    let location = annals_engine::Location { key_dir: key_dir.clone(), ..dir.as_path().into() };
    let engine = Engine::open(location, Options::default()).unwrap();
    assert_eq!(engine.refusal(), None);
    let signed = engine.checkpoint(&Principal::operator()).unwrap().unwrap();
    assert!(signed.number > 5, "the test tested little: {signed:?}");
    drop(engine);
    assert!(shadow.join("annals.db-wal").exists(), "the shim saw no sync of the log: it did not work");
}

fn copy_files(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let name = file.file_name();
        // The shared index of the WAL is memory, not disk; a half-made copy never counted.
        if name.to_str().is_some_and(|name| name.ends_with("-shm") || name.starts_with('.')) {
            continue;
        }
        if file.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(to.join(&name)).unwrap();
            copy_files(&file.path(), &to.join(&name));
        } else {
            std::fs::copy(file.path(), to.join(name)).unwrap();
        }
    }
}
