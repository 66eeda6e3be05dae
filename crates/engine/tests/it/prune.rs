//! The oldest segments go whole when nothing in them is kept, and every proof of what is left stays.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use annals_engine::{
    Clock, Depth, Engine, EngineError, EvidenceError, ExportFormat, ExportRequest, Location, Options,
    Principal, SealPolicy, SearchError, SigningPolicy, VerifyReport,
};
use annals_model::id::EventId;
use annals_model::time::Time;
use annals_tlog::{Checkpoint, verify_consistency};
use tempfile::TempDir;

use crate::support::{append, search, sign, template_event};

const DAY_US: i64 = 86_400_000_000;
/// What is pruned at once.
const STEP: usize = 65_536;
const BATCH: usize = 5_000;

struct Log {
    dir: TempDir,
    engine: Engine,
    now: Arc<AtomicI64>,
}

fn options(now: &Arc<AtomicI64>) -> Options {
    Options {
        clock: Clock::Fixed(Arc::clone(now)),
        signing: Some(SigningPolicy { interval: Duration::from_secs(3_600), ..SigningPolicy::default() }),
        seal: SealPolicy { events: 32_768, in_background: false, ..SealPolicy::default() },
        ..Options::default()
    }
}

fn lot(engine: &Engine, name: &str, events: usize) {
    let event = |n: usize| template_event(&format!("{name}-{n}"), "");
    for first in (0..events).step_by(BATCH) {
        let batch: Vec<String> = (first..events.min(first + BATCH)).map(event).collect();
        append(engine, &batch.join("\n")).unwrap();
    }
}

impl Log {
    /// A log whose first 65,836 events are forty days old: two segments of 32,768, and smaller ones. A signed checkpoint of 300 events is the first.
    fn new() -> (Log, Checkpoint) {
        let dir = TempDir::new().unwrap();
        let now = Arc::new(AtomicI64::new(Time::parse("2026-01-01T00:00:00Z").unwrap().as_micros()));
        let engine = Engine::create_or_open(dir.path(), options(&now)).unwrap();
        let log = Log { dir, engine, now };
        lot(&log.engine, "first", 300);
        let first = log.sign();
        lot(&log.engine, "old", STEP);
        log.now.fetch_add(40 * DAY_US, Ordering::Relaxed);
        lot(&log.engine, "new", 500);
        log.engine.seal_now().unwrap();
        log.sign();
        (log, first)
    }

    fn sign(&self) -> Checkpoint {
        sign(&self.engine)
    }

    fn count(&self, query: &str) -> u64 {
        search(&self.engine, query).0
    }

    fn run(&self) -> annals_engine::RetentionReport {
        self.engine.run_retention(&Principal::operator(), &mut |_, _| {}).unwrap()
    }

    fn segments(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.dir.path().join("segments")).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Stops the engine, gives out the directory, and starts another one on it.
    fn restarted(self, between: impl FnOnce(&Path)) -> Log {
        let Log { dir, engine, now } = self;
        engine.stop();
        drop(engine);
        between(dir.path());
        let engine = Engine::open(dir.path(), options(&now)).unwrap();
        Log { dir, engine, now }
    }
}

fn checked(dir: &Path) -> VerifyReport {
    annals_engine::verify(&Location::from(dir), Depth::Indexes, &mut |_, _| {}).unwrap()
}

#[test]
fn whole_segments_go_and_every_proof_of_the_rest_stays() {
    let (log, first) = Log::new();
    let operator = Principal::operator();
    let before = log.sign();
    let (_, kept) = search(&log.engine, "resource_target:new-7");
    let kept = EventId::new(kept[0]["id"].as_str().unwrap().parse().unwrap());
    let leaf = log.engine.standing(&operator, kept).unwrap().unwrap().leaf;
    log.engine.add_retention_rule(&operator, "", 30).unwrap();
    let left_behind = log.segments()[0].clone();
    let bytes = std::fs::read(log.dir.path().join("segments").join(&left_behind)).unwrap();

    // A hold may speak of times that pass, while nothing else changes.
    log.engine.add_hold(&operator, "since:5d resource_target:new-7", "case 9").unwrap();
    let is_done = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = Instant::now();
            while !is_done.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(120) {
                log.now.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        let report = log.run();
        is_done.store(true, Ordering::Relaxed);
        report
    });
    assert_eq!((report.pruned, report.segments_pruned), (STEP as u64, 2));
    assert_eq!(report.events, 65_836, "and of the segment behind them 300, one by one");
    assert_eq!((log.count("resource_target:old-*"), log.count("resource_target:new-*")), (0, 500));
    assert!(log.segments()[0].starts_with("0000000000065536-"), "{:?}", log.segments());
    assert_eq!(log.run(), annals_engine::RetentionReport::default(), "nothing is left to go");
    // A stop behind the manifest leaves the objects; the next run finds them.
    std::fs::write(log.dir.path().join("segments").join(&left_behind), bytes).unwrap();
    log.run();
    assert!(!log.segments().contains(&left_behind));

    // What is left proves itself, against old checkpoints and new ones.
    let after = log.sign();
    assert_eq!(log.engine.standing(&operator, kept).unwrap().unwrap().leaf, leaf);
    assert!(log.engine.receipt(&operator, kept, true).unwrap().unwrap().is_ok());
    let proof = log.engine.consistency(&operator, before.size(), after.size()).unwrap().unwrap();
    verify_consistency(before.size(), after.size(), &proof, &before.root(), &after.root()).unwrap();
    // Also from a published checkpoint of events that are gone.
    let proof = log.engine.consistency(&operator, first.size(), after.size()).unwrap().unwrap();
    verify_consistency(first.size(), after.size(), &proof, &first.root(), &after.root()).unwrap();
    // What needs other leaves that are gone says so.
    let gone = log.engine.consistency(&operator, 301, after.size()).unwrap_err();
    assert!(
        matches!(gone, SearchError::Engine(EngineError::Pruned { before: 65_536 })),
        "{gone}: no tree of 301 events can be made"
    );
    let refused = log.engine.write_evidence(&operator, "seq:65000..66000", std::io::sink(), &mut |_, _| {});
    assert!(matches!(refused, Err(EvidenceError::Dropped { count: 836, first: 65_536 })), "{refused:?}");
    let whole = log.engine.write_evidence(&operator, "seq:65836..66300", std::io::sink(), &mut |_, _| {});
    assert!(whole.unwrap().complete);
    // Whoever goes through the log from its beginning, or from a place that is gone, begins where it does.
    for after_seq in [None, Some(9)] {
        let request =
            ExportRequest { query: "resource_target:new-*", after_seq, format: ExportFormat::NDJSON };
        assert_eq!(log.engine.export(&operator, &request).unwrap().count(), 500);
    }

    let log = log.restarted(|dir| {
        let report = checked(dir);
        assert_eq!((report.findings, report.withheld, report.pruned), (vec![], vec![], STEP as u64));
    });
    assert_eq!(log.count("resource_target:new-*"), 500);
    lot(&log.engine, "later", 10);
    log.sign();
    // A key directory that was put back knows an older checkpoint, whose events are gone.
    let log = log.restarted(|dir| {
        let database = rusqlite::Connection::open(dir.join("annals.db")).unwrap();
        let note: String =
            database.query_row("SELECT note FROM checkpoint WHERE size = 300", [], |row| row.get(0)).unwrap();
        std::fs::write(dir.join("key/last-checkpoint"), note).unwrap();
    });
    assert_eq!(log.engine.refusal(), None);
    // What was kept for that checkpoint cannot be changed unnoticed either.
    log.restarted(|dir| {
        let database = rusqlite::Connection::open(dir.join("annals.db")).unwrap();
        assert!(database.execute("UPDATE node SET hash = zeroblob(32)", []).unwrap() > 3);
        let report = checked(dir);
        assert!(report.findings.iter().any(|finding| finding.part == "checkpoint #1"), "{report:?}");
    });
}

#[test]
fn a_hold_or_a_younger_control_record_keeps_a_segment() {
    let (log, _) = Log::new();
    let operator = Principal::operator();
    log.engine.add_retention_rule(&operator, "", 30).unwrap();
    let hold = log.engine.add_hold(&operator, "resource_target:old-5", "case 7").unwrap();
    assert_eq!(log.run().pruned, 0, "the first segment has an event that is held");
    assert_eq!(log.count("resource_target:old-*"), 1);
    log.engine.release_hold(&operator, &hold.id).unwrap();
    let report = log.run();
    assert_eq!((report.pruned, report.events), (STEP as u64, 1), "those dropped before go with it");

    // The records of this run are younger than the rule keeps events.
    lot(&log.engine, "more", STEP);
    log.now.fetch_add(29 * DAY_US, Ordering::Relaxed);
    lot(&log.engine, "last", 2_000);
    log.engine.seal_now().unwrap();
    log.sign();
    assert_eq!(log.run().segments_pruned, 0);
    log.now.fetch_add(2 * DAY_US, Ordering::Relaxed);
    // A hold and an earlier rule keep records of the log itself, too.
    let hold = log.engine.add_hold(&operator, "resource_type:retention", "case 8").unwrap();
    assert_eq!(log.run().segments_pruned, 0);
    log.engine.release_hold(&operator, &hold.id).unwrap();
    let longer = log.engine.add_retention_rule(&operator, "resource_type:retention", 3_650).unwrap();
    assert_eq!(log.run().segments_pruned, 0);
    log.engine.remove_retention_rule(&operator, &longer.id).unwrap();
    let report = log.run();
    assert_eq!((report.pruned, log.count("resource_target:more-*")), (2 * STEP as u64, 0), "{report:?}");
    let log = log.restarted(|dir| {
        let report = checked(dir);
        assert_eq!((report.findings, report.withheld), (vec![], vec![]));
    });
    assert_eq!(log.count("resource_target:last-*"), 2_000);
}

#[test]
fn nothing_goes_whose_tiles_would_not_stand_for_it() {
    let (log, _) = Log::new();
    let operator = Principal::operator();
    let database = rusqlite::Connection::open(log.dir.path().join("annals.db")).unwrap();
    let change = "UPDATE tile SET hashes = ?1 WHERE level = 1 AND tile_index = 0";
    let tile = "SELECT hashes FROM tile WHERE level = 1 AND tile_index = 0";
    let hashes: Vec<u8> = database.query_row(tile, [], |row| row.get(0)).unwrap();
    let mut wrong = hashes.clone();
    wrong[100] ^= 1;
    database.execute(change, [wrong]).unwrap();
    log.engine.add_retention_rule(&operator, "", 30).unwrap();
    // Whichever notices first: the run, or the signer, with which the log takes no records of what goes.
    log.engine.run_retention(&operator, &mut |_, _| {}).unwrap_err();
    assert!(log.segments()[0].starts_with("0000000000000000-"), "{:?}", log.segments());
    database.execute(change, [hashes]).unwrap();
    let log = log.restarted(|_| {});
    assert_eq!(log.run().pruned, STEP as u64);
}

#[test]
fn what_is_pruned_by_hand_is_withheld_or_found() {
    let (log, _) = Log::new();
    log.engine.add_retention_rule(&Principal::operator(), "resource_target:old-1", 30).unwrap();
    log.run();
    log.sign();
    let Log { dir, engine, .. } = log;
    engine.stop();
    drop(engine);
    let database = rusqlite::Connection::open(dir.path().join("annals.db")).unwrap();
    database.execute("DELETE FROM segment WHERE first_seq < 65536", []).unwrap();
    assert!(!checked(dir.path()).findings.is_empty(), "segments are missing");
    database.execute("UPDATE head SET pruned = 65536", []).unwrap();
    let report = checked(dir.path());
    assert_eq!(report.findings, vec![], "the tree is whole");
    let withheld: Vec<&str> = report.withheld.iter().map(|finding| finding.part.as_str()).collect();
    assert_eq!(withheld[..2], ["the events before seq 65536", "checkpoint #1"], "{withheld:?}");
    // A tile that stands for them and lies leads to another root.
    let tile = "SELECT hashes FROM tile WHERE level = 1 AND tile_index = 0";
    let mut hashes: Vec<u8> = database.query_row(tile, [], |row| row.get(0)).unwrap();
    hashes[100] ^= 1;
    database.execute("UPDATE tile SET hashes = ?1 WHERE level = 1 AND tile_index = 0", [hashes]).unwrap();
    assert!(!checked(dir.path()).findings.is_empty());
}
