//! Somebody with the database and the files, but without the key, changes the log: `verify` names what, whatever it is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use annals_engine::{Depth, Engine, Location, Options, SealPolicy, SigningPolicy, VerifyReport};
use annals_model::id::LogId;
use annals_model::record::{Opening, Record};
use annals_query::Document;
use annals_segment::{SealedRow, SegmentWriter, each_event};
use annals_tlog::{Frontier, leaf_hash};
use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::support::{append, fixed_clock, sign, template_event};

const SEALED: usize = 512;
const EVENTS: usize = 700;

/// A log with sealed events, a tail, and checkpoints over both.
fn log() -> TempDir {
    let dir = TempDir::new().unwrap();
    let options = Options {
        clock: fixed_clock(),
        signing: Some(SigningPolicy { interval: Duration::from_secs(3_600), ..SigningPolicy::default() }),
        seal: SealPolicy { in_background: false, ..SealPolicy::default() },
        ..Options::default()
    };
    let engine = Engine::create_or_open(dir.path(), options).unwrap();
    for range in [0..300, 300..SEALED, SEALED..EVENTS] {
        let is_tail = range.start == SEALED;
        if is_tail {
            engine.seal_now().unwrap();
        }
        let event =
            |n| template_event(&format!("thing-{n}"), &format!(r#""user":{{"username":"demo-person-{n}"}}"#));
        append(&engine, &range.map(event).collect::<Vec<_>>().join("\n")).unwrap();
        sign(&engine);
    }
    engine.stop();
    drop(engine);
    // One plain file, so that what is changed in it is what is read.
    let database = Connection::open(dir.path().join("annals.db")).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    dir
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn verify(dir: &Path) -> VerifyReport {
    annals_engine::verify(&Location::from(dir), Depth::Indexes, &mut |_, _| {}).unwrap()
}

fn sql(dir: &Path, text: &str) {
    let changed = Connection::open(dir.join("annals.db")).unwrap().execute(text, []).unwrap();
    assert!(changed > 0, "{text}");
}

/// The last tail row: its first seq and its bytes.
fn last_row(dir: &Path) -> (i64, Vec<u8>) {
    let database = Connection::open(dir.join("annals.db")).unwrap();
    let sql = "SELECT first_seq, batch FROM tail ORDER BY first_seq DESC LIMIT 1";
    database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

/// Writes a tail row back with the checksum that belongs to it.
fn put_row(dir: &Path, first_seq: i64, mut batch: Vec<u8>) {
    let end = batch.len() - 4;
    let checksum = crc32fast::hash(&batch[..end]);
    batch[end..].copy_from_slice(&checksum.to_be_bytes());
    let database = Connection::open(dir.join("annals.db")).unwrap();
    database.execute("UPDATE tail SET batch = ? WHERE first_seq = ?", params![batch, first_seq]).unwrap();
}

/// Changes one byte of the last tail row, at a text in it, and mends the checksum.
fn edit_row(dir: &Path, at: &str, offset: isize) {
    let (first_seq, mut batch) = last_row(dir);
    let found = batch.windows(at.len()).position(|window| window == at.as_bytes()).unwrap();
    let place = found.checked_add_signed(offset).unwrap();
    batch[place] ^= 1;
    put_row(dir, first_seq, batch);
}

/// The records of a tail row, as bytes.
fn records(batch: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut records) = (&batch[16..batch.len() - 4], Vec::new());
    while !rest.is_empty() {
        let (_, after) = Record::decode(rest).unwrap();
        records.push(&rest[..rest.len() - after.len()]);
        rest = after;
    }
    records
}

fn with_records(batch: &[u8], records: &[&[u8]]) -> Vec<u8> {
    let count = u32::try_from(records.len()).unwrap().to_be_bytes();
    [&batch[..12], &count, &records.concat(), &[0; 4]].concat()
}

/// Makes the head fit what stands in the tail: what a careful forger without the key would do. Returns the events of the log.
fn mend_head(dir: &Path) -> u64 {
    let database = Connection::open(dir.join("annals.db")).unwrap();
    let log_id: [u8; 16] = database.query_row("SELECT log_id FROM head", [], |row| row.get(0)).unwrap();
    let log_id = LogId::from_bytes(log_id);
    let sealed: i64 = database.query_row("SELECT sealed FROM head", [], |row| row.get(0)).unwrap();
    let mut frontier = Frontier::new();
    let mut segments = database.prepare("SELECT event_count, root FROM segment ORDER BY first_seq").unwrap();
    let mut rows = segments.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (count, root): (i64, [u8; 32]) = (row.get(0).unwrap(), row.get(1).unwrap());
        frontier.push_subtree(count.unsigned_abs(), annals_tlog::Hash::from_bytes(root)).unwrap();
    }
    let mut tail = database.prepare("SELECT first_seq, batch FROM tail ORDER BY first_seq").unwrap();
    let mut rows = tail.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (first_seq, batch): (i64, Vec<u8>) = (row.get(0).unwrap(), row.get(1).unwrap());
        for (seq, record) in (first_seq..).zip(records(&batch)) {
            if seq >= sealed {
                frontier.push(leaf_hash(&Record::decode(record).unwrap().0.leaf_bytes(log_id)));
            }
        }
    }
    let size = i64::try_from(frontier.size()).unwrap();
    let update = "UPDATE head SET size = ?, root = ?, frontier = ?";
    database.execute(update, params![size, frontier.root().as_bytes(), frontier.to_bytes()]).unwrap();
    frontier.size()
}

fn flip_in_file(path: &Path, place: impl Fn(&[u8]) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = place(&bytes);
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn segment_file(dir: &Path) -> std::path::PathBuf {
    fs::read_dir(dir.join("segments")).unwrap().next().unwrap().unwrap().path()
}

/// A change, and the part that must be named.
type Change = (&'static str, fn(&Path), &'static str);

const CHANGES: &[Change] = &[
    ("a letter of a body", |dir| edit_row(dir, "\"action\":\"write\"", 11), "database"),
    ("a letter of a personal value", |dir| edit_row(dir, "demo-person-", 0), "database"),
    ("a byte of a salt", |dir| edit_row(dir, "{\"user\":{\"username\":\"demo-person-", -10), "database"),
    ("a byte of a nonce", |dir| edit_row(dir, "{\"action\":\"write\"", -10), "database"),
    (
        "a byte of an id",
        |dir| {
            let (first_seq, mut batch) = last_row(dir);
            batch[20] ^= 1;
            put_row(dir, first_seq, batch);
        },
        "database",
    ),
    (
        "a byte of a time",
        |dir| {
            let (first_seq, mut batch) = last_row(dir);
            batch[16 + 17 + 7] ^= 1;
            put_row(dir, first_seq, batch);
        },
        "database",
    ),
    (
        "a byte without its checksum",
        |dir| {
            let (first_seq, mut batch) = last_row(dir);
            batch[40] ^= 1;
            let database = Connection::open(dir.join("annals.db")).unwrap();
            database
                .execute("UPDATE tail SET batch = ? WHERE first_seq = ?", params![batch, first_seq])
                .unwrap();
        },
        "database",
    ),
    (
        "a tail row deleted",
        |dir| {
            sql(dir, "DELETE FROM tail WHERE first_seq = (SELECT max(first_seq) FROM tail)");
        },
        "database",
    ),
    (
        "an event deleted",
        |dir| {
            let (first_seq, batch) = last_row(dir);
            let kept = records(&batch);
            put_row(dir, first_seq, with_records(&batch, &kept[1..]));
        },
        "database",
    ),
    (
        "an event doubled",
        |dir| {
            let (first_seq, batch) = last_row(dir);
            let mut more = records(&batch);
            more.push(more[0]);
            put_row(dir, first_seq, with_records(&batch, &more));
        },
        "database",
    ),
    (
        "two events exchanged",
        |dir| {
            let (first_seq, batch) = last_row(dir);
            let mut other = records(&batch);
            other.swap(0, 1);
            put_row(dir, first_seq, with_records(&batch, &other));
        },
        "database",
    ),
    (
        "an event changed and the head with it",
        |dir| {
            edit_row(dir, "\"action\":\"write\"", 11);
            mend_head(dir);
        },
        "checkpoint #3",
    ),
    (
        "events cut off and the head with them",
        |dir| {
            let (first_seq, batch) = last_row(dir);
            let kept = records(&batch);
            put_row(dir, first_seq, with_records(&batch, &kept[..kept.len() - 5]));
            let count = i64::try_from(kept.len() - 5).unwrap();
            sql(dir, &format!("UPDATE tail SET event_count = {count} WHERE first_seq = {first_seq}"));
            assert_eq!(mend_head(dir), EVENTS as u64 - 5);
        },
        "checkpoint #3",
    ),
    (
        "a tile",
        |dir| {
            sql(
                dir,
                "UPDATE tile SET hashes = CAST(x'00' || substr(hashes, 2) AS BLOB) WHERE tile_index = (SELECT max(tile_index) FROM tile WHERE level = 0) AND level = 0",
            );
        },
        "database",
    ),
    (
        "the root of the head",
        |dir| {
            sql(dir, "UPDATE head SET root = CAST(x'00' || substr(root, 2) AS BLOB)");
        },
        "database",
    ),
    (
        "the frontier of the head",
        |dir| {
            sql(dir, "UPDATE head SET frontier = CAST(x'00' || substr(frontier, 2) AS BLOB)");
        },
        "database",
    ),
    ("the size of the head", |dir| sql(dir, "UPDATE head SET size = size - 1"), "database"),
    (
        "the signature of a checkpoint",
        |dir| {
            sql(
                dir,
                "UPDATE checkpoint SET note = substr(note, 1, length(note) - 20) || CASE substr(note, length(note) - 19, 1) WHEN 'A' THEN 'B' ELSE 'A' END || substr(note, length(note) - 18) WHERE number = 2",
            );
        },
        "checkpoint #2",
    ),
    (
        "the size in a checkpoint",
        |dir| {
            sql(
                dir,
                "UPDATE checkpoint SET note = replace(note, char(10) || '512' || char(10), char(10) || '511' || char(10)) WHERE number = 2",
            );
        },
        "checkpoint #2",
    ),
    (
        "the size of a checkpoint's row",
        |dir| sql(dir, "UPDATE checkpoint SET size = 300 WHERE number = 2"),
        "checkpoint #2",
    ),
    (
        "a checkpoint in place of another",
        |dir| {
            sql(
                dir,
                "UPDATE checkpoint SET note = (SELECT note FROM checkpoint WHERE number = 1) WHERE number = 2",
            );
        },
        "checkpoint #2",
    ),
    (
        "the key in the database",
        |dir| {
            sql(dir, "UPDATE epoch SET verifier = replace(verifier, '+A', '+B')");
        },
        "checkpoint #1",
    ),
    (
        "the body column of a segment",
        |dir| flip_in_file(&segment_file(dir), |bytes| bytes.len() / 3),
        "segment",
    ),
    (
        "the index of a segment",
        |dir| {
            flip_in_file(&segment_file(dir), |bytes| {
                bytes.windows(4).position(|window| window == b"ANI1").unwrap() + 500
            });
        },
        "segment",
    ),
    ("the footer of a segment", |dir| flip_in_file(&segment_file(dir), |bytes| bytes.len() - 60), "segment"),
    ("the first bytes of a segment", |dir| flip_in_file(&segment_file(dir), |_| 8), "segment"),
    ("a segment gone", |dir| fs::remove_file(segment_file(dir)).unwrap(), "segment"),
    (
        "the hash in the manifest",
        |dir| {
            sql(dir, "UPDATE segment SET sha256 = CAST(x'00' || substr(sha256, 2) AS BLOB)");
        },
        "segment",
    ),
    (
        "the place of the index in the manifest",
        |dir| sql(dir, "UPDATE segment SET index_at = index_at + 8"),
        "segment",
    ),
    (
        "the times in the manifest",
        |dir| sql(dir, "UPDATE segment SET max_time_us = max_time_us + 1"),
        "segment",
    ),
    ("the ids in the manifest", |dir| sql(dir, "UPDATE segment SET min_id_ms = min_id_ms + 1"), "segment"),
    (
        "the other ids in the manifest",
        |dir| sql(dir, "UPDATE segment SET has_other_ids = 1 - has_other_ids"),
        "segment",
    ),
    (
        "the root in the manifest",
        |dir| {
            sql(dir, "UPDATE segment SET root = CAST(x'00' || substr(root, 2) AS BLOB)");
        },
        "segment",
    ),
    ("a row of the manifest", |dir| sql(dir, "DELETE FROM segment"), "database"),
    ("the sealed bound", |dir| sql(dir, "UPDATE head SET sealed = sealed - 256"), "database"),
];

#[test]
fn whatever_is_changed_is_found_and_named() {
    let whole = log();
    let report = verify(whole.path());
    assert_eq!(report.findings, []);
    // The one beside the key counts as well.
    assert_eq!((report.events, report.sealed, report.checkpoints), (EVENTS as u64, SEALED as u64, 4));
    let object = segment_file(whole.path()).file_name().unwrap().to_str().unwrap().to_owned();
    for (what, change, part) in CHANGES {
        let dir = TempDir::new().unwrap();
        copy(whole.path(), dir.path());
        change(dir.path());
        let report = verify(dir.path());
        let part = if *part == "segment" { object.as_str() } else { part };
        let named: Vec<&str> = report.findings.iter().map(|finding| finding.part.as_str()).collect();
        assert!(named.contains(&part), "{what}: {part} is not in {:?}", report.findings);
        assert_eq!(report.root, None, "{what}");
    }
}

#[test]
fn a_forged_log_that_fits_itself_is_refused_by_the_one_beside_the_key() {
    let whole = log();
    let dir = TempDir::new().unwrap();
    copy(whole.path(), dir.path());
    // Everything in the database fits: the last checkpoint is gone with the events that it covered.
    let (first_seq, batch) = last_row(dir.path());
    let kept = records(&batch);
    put_row(dir.path(), first_seq, with_records(&batch, &kept[..kept.len() - 5]));
    let count = i64::try_from(kept.len() - 5).unwrap();
    sql(dir.path(), &format!("UPDATE tail SET event_count = {count} WHERE first_seq = {first_seq}"));
    mend_head(dir.path());
    sql(dir.path(), "DELETE FROM checkpoint WHERE number = 3");
    let report = verify(dir.path());
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert_eq!(report.findings[0].part, "the last checkpoint beside the key");
    assert!(report.findings[0].what.contains("events are missing"), "{:?}", report.findings);
}

#[test]
fn an_index_that_lies_under_right_checksums_is_found() {
    let whole = log();
    let file = segment_file(whole.path());
    let bytes = fs::read(&file).unwrap();
    let mut rows = Vec::new();
    each_event(bytes.into(), &mut |event| {
        rows.push((event.seq, event.time_us, event.id, event.body.to_owned(), event.envelope.to_vec()));
    })
    .unwrap();
    rows.sort();
    // The same events under an index that hides the type, the target and the person of each.
    let (first_seq, .., first_envelope) = &rows[0];
    let mut key = Sha256::new();
    let database = Connection::open(whole.path().join("annals.db")).unwrap();
    let log_id: [u8; 16] = database.query_row("SELECT log_id FROM head", [], |row| row.get(0)).unwrap();
    key.update(b"annals/fingerprint/1\0");
    key.update(log_id);
    key.update(&first_envelope[13..29]);
    let key: [u8; 32] = key.finalize().into();
    let mut writer = SegmentWriter::new(*first_seq, key[..16].try_into().unwrap());
    for (seq, time_us, id, body, envelope) in &rows {
        let id = uuid::Uuid::from_bytes(*id);
        let document = Document { seq: *seq, time_us: *time_us, id, action: "write", ..Document::default() };
        let received_us = i64::from_be_bytes(envelope[1..9].try_into().unwrap());
        writer.push(&SealedRow { document: &document, received_us, body, envelope }).unwrap();
    }
    let forged = writer.finish().unwrap();
    fs::write(&file, &forged.bytes).unwrap();
    let sha256: [u8; 32] = Sha256::digest(&forged.bytes).into();
    let row = "UPDATE segment SET bytes = ?, sha256 = ?, index_at = ?, index_bytes = ?";
    let number = |number: u64| i64::try_from(number).unwrap();
    let length = number(forged.bytes.len() as u64);
    database
        .execute(row, params![length, sha256, number(forged.index_at), number(forged.index_bytes)])
        .unwrap();
    let check = |depth| annals_engine::verify(&Location::from(whole.path()), depth, &mut |_, _| {}).unwrap();
    assert_eq!(check(Depth::Events).findings, [], "every checksum and every leaf is right");
    let report = check(Depth::Indexes);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    assert!(report.findings[0].what.contains("its index lies"), "{:?}", report.findings);
}

#[test]
fn what_is_erased_or_dropped_by_hand_is_withheld() {
    let whole = log();
    // Without a record of it, but with every hash and checksum right: the commitment stands where the value was.
    let dir = TempDir::new().unwrap();
    copy(whole.path(), dir.path());
    let rewrite = |change: &dyn Fn(&mut Record<'_>)| {
        let (first_seq, batch) = last_row(dir.path());
        let kept = records(&batch);
        let mut first = Record::decode(kept[0]).unwrap().0;
        change(&mut first);
        let mut bytes = Vec::new();
        first.encode(&mut bytes);
        let mut all = kept.clone();
        all[0] = &bytes;
        put_row(dir.path(), first_seq, with_records(&batch, &all));
    };
    rewrite(&|record| {
        let opening = &mut record.openings[0];
        *opening = Opening::Erased { path: opening.path(), commitment: opening.commitment() };
    });
    let report = verify(dir.path());
    assert_eq!((report.findings.len(), report.gone, report.withheld.len()), (0, 1, 1), "{report:?}");
    assert!(
        report.withheld[0].what.contains("`/who` is gone, and no record of an erasure says so"),
        "{report:?}"
    );

    let database = Connection::open(dir.path().join("annals.db")).unwrap();
    let log_id: [u8; 16] = database.query_row("SELECT log_id FROM head", [], |row| row.get(0)).unwrap();
    rewrite(&|record| {
        let left = record.without_content(LogId::from_bytes(log_id));
        *record = left;
    });
    let report = verify(dir.path());
    assert_eq!((report.findings.len(), report.gone, report.withheld.len()), (0, 1, 1), "{report:?}");
    assert!(report.withheld[0].what.contains("1 events are dropped"), "{report:?}");
}
