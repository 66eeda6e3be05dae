//! Appending and reading back: rows, tiles, head, and what happens when a row is damaged.

use annals_model::id::{EventId, LogId};
use annals_model::record::{LeafKind, Record};
use annals_model::time::Time;
use annals_store::{NewRecord, Store, StoreError};
use annals_tlog::{Frontier, leaf_hash};
use tempfile::TempDir;

const LOG: LogId = LogId::from_bytes([9; 16]);

fn new_store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::create_or_open(dir.path(), LOG, Time::EPOCH).unwrap();
    (dir, store)
}

fn record(number: u64, body: &str) -> NewRecord {
    let record = Record {
        id: EventId::from_bytes(u128::from(number + 1).to_be_bytes()),
        kind: LeafKind::Event,
        time: Time::EPOCH,
        received: Time::EPOCH,
        registry_version: 0,
        nonce: [1; 16],
        body,
        openings: Vec::new(),
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    NewRecord { bytes, leaf: leaf_hash(&record.leaf_bytes(LOG)), deletes: None }
}

fn append(store: &Store, numbers: std::ops::Range<u64>) {
    let records: Vec<NewRecord> = numbers.map(|number| record(number, "{}")).collect();
    let mut writer = store.log_writer().unwrap();
    writer.begin().unwrap().commit(&records.iter().collect::<Vec<_>>()).unwrap();
}

fn seqs(store: &Store, from: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    store.tail_from(from, |row| seqs.extend(row.records().map(|record| record.unwrap().0))).unwrap();
    seqs
}

#[test]
fn batches_of_any_size_read_back_in_order_under_the_root_of_a_plain_tree() {
    let (_dir, store) = new_store();
    let mut size = 0;
    for count in [1, 2, 253, 1, 600, 255, 1_000] {
        append(&store, size..size + count);
        size += count;
    }
    assert_eq!(seqs(&store, 0), (0..size).collect::<Vec<_>>());
    let mut frontier = Frontier::new();
    (0..size).for_each(|number| frontier.push(record(number, "{}").leaf));
    let head = store.head().unwrap();
    assert_eq!((head.size, head.root), (size, frontier.root()));
    assert_eq!(store.check().unwrap(), head);
    for from in [0, 1, 255, 256, 257, 1_000, size - 1] {
        let read = seqs(&store, from);
        assert!(read.contains(&from) && read[0] + 256 > from, "reading from {from} begins in its row");
    }
    assert!(seqs(&store, size).is_empty());
    let row = store.row_of(700).unwrap().unwrap();
    assert!(row.first_seq() <= 700 && 700 < row.first_seq() + u64::from(row.count()));
    assert!(store.row_of(size).unwrap().is_none());
}

#[test]
fn large_events_close_a_row_early() {
    let (_dir, store) = new_store();
    let body = format!("\"{}\"", "x".repeat(200 * 1024));
    let records: Vec<NewRecord> = (0..20).map(|number| record(number, &body)).collect();
    let mut writer = store.log_writer().unwrap();
    writer.begin().unwrap().commit(&records.iter().collect::<Vec<_>>()).unwrap();
    let mut counts = Vec::new();
    store.tail_from(0, |row| counts.push(row.count())).unwrap();
    assert!(counts.len() >= 3 && counts.iter().sum::<u32>() == 20, "{counts:?}");
    store.check().unwrap();
}

#[test]
fn an_append_that_is_dropped_changes_nothing() {
    let (_dir, store) = new_store();
    append(&store, 0..10);
    let before = store.head().unwrap();
    let mut writer = store.log_writer().unwrap();
    let append_it = writer.begin().unwrap();
    assert_eq!(append_it.head().size, 10);
    drop(append_it);
    assert_eq!(store.head().unwrap(), before);
    append(&store, 10..20);
    assert_eq!(store.check().unwrap().size, 20);
}

#[test]
fn two_writers_take_turns() {
    let (_dir, store) = new_store();
    let (mut first, mut second) = (store.log_writer().unwrap(), store.log_writer().unwrap());
    for number in 0..600 {
        let writer = if number % 3 == 0 { &mut first } else { &mut second };
        writer.begin().unwrap().commit(&[&record(number, "{}")]).unwrap();
    }
    assert_eq!(store.check().unwrap().size, 600);
}

/// Changes one stored value behind the store's back.
fn tamper(dir: &TempDir, sql: &str) {
    let database = rusqlite::Connection::open(dir.path().join("annals.db")).unwrap();
    assert_eq!(database.execute(sql, []).unwrap(), 1, "{sql}");
}

#[test]
fn damage_is_found_and_named() {
    let cases: [(&str, &str); 6] = [
        (
            "UPDATE tail SET batch = CAST(substr(batch, 1, 40) || x'FF' || substr(batch, 42) AS BLOB) WHERE first_seq = 256",
            "tail row at seq 256",
        ),
        (
            "UPDATE tail SET batch = CAST(substr(batch, 1, 100) AS BLOB) WHERE first_seq = 0",
            "tail row at seq 0",
        ),
        ("DELETE FROM tail WHERE first_seq = 256", "seq 512 stands where 256 is expected"),
        ("DELETE FROM tail WHERE first_seq = 768", "another root than the head"),
        ("UPDATE tile SET hashes = zeroblob(8192) WHERE tile_index = 1", "tile 1 of level 0"),
        ("UPDATE head SET root = zeroblob(32)", "another root than the head"),
    ];
    for (sql, name) in cases {
        let (dir, store) = new_store();
        append(&store, 0..900);
        tamper(&dir, sql);
        let error = store.check().unwrap_err();
        assert!(error.to_string().contains(name), "{sql}: {error}");
    }
}

#[test]
fn a_head_that_contradicts_its_frontier_takes_no_event() {
    let (dir, store) = new_store();
    append(&store, 0..5);
    tamper(&dir, "UPDATE head SET root = zeroblob(32)");
    let mut writer = store.log_writer().unwrap();
    let result = writer.begin().unwrap().commit(&[&record(5, "{}")]);
    assert!(matches!(result, Err(StoreError::Damaged { .. })));
}

#[test]
fn other_files_and_newer_formats_are_refused() {
    let (dir, store) = new_store();
    drop(store);
    let database = rusqlite::Connection::open(dir.path().join("annals.db")).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::TooNew { found: 99, .. })));
    database.pragma_update(None, "application_id", 1).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Foreign { .. })));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Store::open(empty.path()), Err(StoreError::NoLog { .. })));
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("a/b");
    let store = Store::create_or_open(&dir, LOG, Time::EPOCH).unwrap();
    append(&store, 0..1);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for file in std::fs::read_dir(&dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}
