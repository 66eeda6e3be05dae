//! A new log in either database, and what to put into it.

use std::ops::Range;
use std::sync::LazyLock;

use annals_model::id::{EventId, LogId};
use annals_model::record::{LeafKind, Record};
use annals_model::time::Time;
use annals_store::{DatabaseLocation, NewRecord, SegmentRow, Store, StoreError};
use annals_testparts::Postgres;
use annals_tlog::{Frontier, leaf_hash};
use tempfile::TempDir;

pub(crate) const LOG: LogId = LogId::from_bytes([9; 16]);

/// One server for all tests; each has a database of its own.
pub(crate) static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);

/// A new, empty log.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) location: DatabaseLocation,
    pub(crate) is_postgres: bool,
    /// The data directory of SQLite.
    pub(crate) dir: TempDir,
    url: String,
}

impl Fixture {
    pub(crate) fn sqlite() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::Directory(dir.path().to_owned());
        let store = Store::create_or_open(&location, LOG, Time::EPOCH).unwrap();
        Fixture { store, location, is_postgres: false, dir, url: String::new() }
    }

    pub(crate) fn postgres(test: &str) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let url = POSTGRES.url(test);
        let location: DatabaseLocation = url.parse().unwrap();
        let store = Store::create_or_open(&location, LOG, Time::EPOCH).unwrap();
        Fixture { store, location, is_postgres: true, dir, url }
    }

    /// Opens the same log as another process would.
    pub(crate) fn open_again(&self) -> Store {
        Store::open(&self.location).unwrap()
    }

    /// Changes stored values behind the store's back.
    pub(crate) fn tamper(&self, sql: &str) {
        if self.is_postgres {
            POSTGRES.sql(&self.url, sql);
        } else {
            let database = rusqlite::Connection::open(self.dir.path().join("annals.db")).unwrap();
            assert_eq!(database.execute(sql, []).unwrap(), 1, "{sql}");
        }
    }

    /// SQL of that many zero bytes.
    pub(crate) fn zeros(&self, count: usize) -> String {
        if self.is_postgres {
            format!("decode(repeat('00', {count}), 'hex')")
        } else {
            format!("zeroblob({count})")
        }
    }

    /// Counts the rows of a table.
    pub(crate) fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        if self.is_postgres {
            return POSTGRES.sql(&self.url, &sql).trim().parse().unwrap();
        }
        let database = rusqlite::Connection::open(self.dir.path().join("annals.db")).unwrap();
        let count: i64 = database.query_row(&sql, [], |row| row.get(0)).unwrap();
        count.try_into().unwrap()
    }
}

pub(crate) fn record(number: u64, body: &str) -> NewRecord {
    let record = Record {
        id: EventId::from_bytes(u128::from(number + 1).to_be_bytes()),
        kind: LeafKind::Event,
        time: Time::EPOCH,
        received: Time::EPOCH,
        registry_version: 0,
        nonce: [1; 16],
        body,
        openings: Vec::new(),
        dropped: None,
    };
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    NewRecord {
        bytes,
        leaf: leaf_hash(&record.leaf_bytes(LOG)),
        deletes: None,
        source: None,
        received: Time::EPOCH,
    }
}

/// Appends events whose ids and seqs are the numbers plus one, and the numbers.
pub(crate) fn append(store: &Store, numbers: Range<u64>) {
    let records: Vec<NewRecord> = numbers.map(|number| record(number, "{}")).collect();
    let mut writer = store.log_writer().unwrap();
    writer.begin().unwrap().commit(&records.iter().collect::<Vec<_>>()).unwrap();
}

/// Reads the seqs of the tail from one on.
pub(crate) fn seqs(store: &Store, from: u64) -> Vec<u64> {
    let mut seqs = Vec::new();
    store.tail_from(from, |row| seqs.extend(row.records().map(|record| record.unwrap().0))).unwrap();
    seqs
}

/// The frontier of the first `size` events that [`append`] writes.
pub(crate) fn frontier(size: u64) -> Frontier {
    let mut frontier = Frontier::new();
    (0..size).for_each(|number| frontier.push(record(number, "{}").leaf));
    frontier
}

/// A segment over events that [`append`] wrote.
pub(crate) fn segment(seqs: Range<u64>) -> SegmentRow {
    let mut tree = Frontier::new();
    seqs.clone().for_each(|number| tree.push(record(number, "{}").leaf));
    SegmentRow {
        first_seq: seqs.start,
        event_count: u32::try_from(seqs.end - seqs.start).unwrap(),
        object: format!("events-{}-{}.parquet", seqs.start, seqs.end),
        bytes: 1_000_000,
        sha256: [3; 32],
        index_at: 900_000,
        index_bytes: 90_000,
        root: tree.root(),
        min_time_us: -5,
        max_time_us: 1_700_000_000_000_000,
        id_times_ms: seqs.start.is_multiple_of(512).then_some((1, 1_700_000_000_000)),
        has_other_ids: !seqs.start.is_multiple_of(512),
        sealed: Time::EPOCH,
    }
}

/// Recomputes the tree over the tail; what is sealed is taken to be what [`append`] wrote.
pub(crate) fn check(store: &Store) -> Result<annals_store::Head, StoreError> {
    store.check(frontier(store.state()?.sealed), |_, _| {})
}
