//! Appending: the only way in which the log grows.

use std::collections::HashMap;

use annals_model::id::LogId;
use annals_model::time::Time;
use annals_tlog::{Frontier, Hash, TILE_HASHES, Tile, TileBuilder, perfect_root};

use crate::batch::{RowBuilder, TailRow};
use crate::connection::{Connection, Insert, Kind, Mode, Transaction};
use crate::error::StoreError;
use crate::log::{Head, read_row, read_state, read_tail, read_tile};
use crate::manifest::{LogState, SegmentRow, read_segments};
use crate::sources::{Heard, note_sources};
use crate::store::Database;
use crate::value::{Value, signed};

const INSERT_TAIL: Insert = Insert {
    table: "tail",
    columns: &[("first_seq", Kind::Int), ("event_count", Kind::Int), ("batch", Kind::Bytes)],
    suffix: "",
};
const INSERT_TILES: Insert = Insert {
    table: "tile",
    columns: &[("level", Kind::Int), ("tile_index", Kind::Int), ("hashes", Kind::Bytes)],
    suffix: "",
};
const INSERT_DELETED: Insert = Insert {
    table: "deleted",
    columns: &[
        ("resource_type", Kind::Bytes),
        ("resource_id", Kind::Bytes),
        ("time_us", Kind::Int),
        ("seq", Kind::Int),
    ],
    suffix:
        "ON CONFLICT (resource_type, resource_id) DO UPDATE SET time_us = excluded.time_us, seq = excluded.seq
             WHERE (excluded.time_us, excluded.seq) > (deleted.time_us, deleted.seq)",
};

/// One event to append.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Its stored form, as [`annals_model::record::Record::encode`] writes it.
    pub bytes: Vec<u8>,
    /// Hash of its leaf.
    pub leaf: Hash,
    /// The resource that it deletes.
    pub deletes: Option<Deletion>,
    /// Who numbered it: the source, and the number if it gave one.
    pub source: Option<(String, Option<u64>)>,
    /// When it was received.
    pub received: Time,
}

/// A successful delete.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// Type of the resource.
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// When it happened, microseconds since 1970.
    pub time_us: i64,
}

/// The connection that appends. A lost one is opened again by the next [`LogWriter::begin`].
#[derive(Debug)]
pub struct LogWriter {
    database: Database,
    connection: Connection,
    log_id: LogId,
    /// Frontier and open tiles after our last commit. Valid only while the head still has this size and root; another
    /// process may have appended, then it is read again.
    tree: Option<Tree>,
}

#[derive(Debug, Clone)]
struct Tree {
    frontier: Frontier,
    tiles: TileBuilder,
}

impl LogWriter {
    pub(crate) fn new(database: Database, log_id: LogId) -> Result<LogWriter, StoreError> {
        let connection = database.connect()?;
        Ok(LogWriter { database, connection, log_id, tree: None })
    }

    /// Locks the head. Nobody else appends until the returned value is committed or dropped.
    ///
    /// # Errors
    /// [`StoreError`] if the lock is not had in time, the database is away, or the head cannot be read. Calling again
    /// later is always right.
    pub fn begin(&mut self) -> Result<Append<'_>, StoreError> {
        let state = match lock_head(&mut self.connection) {
            // Nothing is written yet, so a connection that turns out to be lost is replaced without harm.
            Err(error) if error.is_unavailable() => {
                self.connection = self.database.connect()?;
                lock_head(&mut self.connection)?
            }
            result => result?,
        };
        let transaction = self.connection.resume();
        Ok(Append { transaction, state, log_id: self.log_id, tree: &mut self.tree })
    }
}

/// Begins a transaction that holds the head's lock, and leaves it open.
fn lock_head(connection: &mut Connection) -> Result<LogState, StoreError> {
    let mut transaction = connection.begin(Mode::Write)?;
    let lock = transaction.for_update();
    let state = read_state(&mut transaction, lock)?;
    transaction.leave_open();
    Ok(state)
}

/// A locked head. Dropping it changes nothing.
#[derive(Debug)]
pub struct Append<'w> {
    transaction: Transaction<'w>,
    state: LogState,
    log_id: LogId,
    tree: &'w mut Option<Tree>,
}

impl Append<'_> {
    /// The head under the lock: the next event gets seq `head().size`.
    pub fn head(&self) -> &Head {
        &self.state.head
    }

    /// Head, sealed seq and number of the manifest under the lock.
    pub fn state(&self) -> &LogState {
        &self.state
    }

    /// Reads the segments, in order of their seqs.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn segments(&mut self) -> Result<Vec<SegmentRow>, StoreError> {
        read_segments(&mut self.transaction)
    }

    /// Reads the tail rows that hold events from `from_seq` or the sealed seq on, whichever is later; the first row may
    /// begin before it.
    ///
    /// # Errors
    /// [`StoreError`] if a row is damaged or cannot be read.
    pub fn tail_from(&mut self, from_seq: u64, mut each: impl FnMut(TailRow)) -> Result<(), StoreError> {
        read_tail(&mut self.transaction, from_seq.max(self.state.sealed), &mut each)
    }

    /// Returns the tail row that holds `seq`; none if there is no such event, or it is sealed.
    ///
    /// # Errors
    /// [`StoreError`] if the row is damaged or cannot be read.
    pub fn row_of(&mut self, seq: u64) -> Result<Option<TailRow>, StoreError> {
        read_row(&mut self.transaction, seq)
    }

    /// Appends the records under the next seqs and returns the new head.
    ///
    /// Tail rows, full tiles, deletions and the head stand in one transaction. If we stop before COMMIT returns, either
    /// nothing of it is there, or all of it and only the answer is lost: the producer sends again, and the ids show
    /// that it is a repetition. The same holds when the connection is lost at COMMIT.
    ///
    /// # Errors
    /// [`StoreError`] if anything fails; nothing was appended then, unless [`StoreError::is_unavailable`] says that the
    /// answer may be what was lost.
    pub fn commit(self, records: &[&NewRecord]) -> Result<Head, StoreError> {
        let Append { mut transaction, state: LogState { head, .. }, log_id, tree } = self;
        // Taken out, so that a failure below leaves no tree that ran ahead of the head.
        let kept =
            tree.take().filter(|tree| tree.frontier.size() == head.size && tree.frontier.root() == head.root);
        let mut new = match kept {
            Some(tree) => tree,
            None => read_tree(&mut transaction, &head, log_id)?,
        };
        let mut full_tiles = Vec::new();
        let mut rows = Vec::new();
        let mut deletions = HashMap::new();
        let mut heard = Heard::new();
        let mut row = RowBuilder::new(head.size);
        for (record, seq) in records.iter().zip(head.size..) {
            row.push(&record.bytes);
            new.frontier.push(record.leaf);
            new.tiles.push(record.leaf, |tile| full_tiles.push(tile));
            if let Some(deletion) = &record.deletes {
                note_deletion(&mut deletions, deletion, signed(seq)?);
            }
            if let Some((source, source_seq)) = &record.source {
                heard.entry(source).or_default().push((*source_seq, record.received));
            }
            if row.is_full() {
                rows.push(std::mem::replace(&mut row, RowBuilder::new(seq + 1)).finish());
            }
        }
        rows.push(row.finish());
        rows.retain(|(_, count, _)| *count > 0);
        insert_tail(&mut transaction, &rows)?;
        insert_tiles(&mut transaction, &full_tiles)?;
        insert_deletions(&mut transaction, &deletions)?;
        note_sources(&mut transaction, &heard)?;
        let head = Head { size: new.frontier.size(), root: new.frontier.root() };
        transaction.execute(
            "UPDATE head SET size = $1, root = $2, frontier = $3 WHERE id = 1",
            &[
                Value::Int(signed(head.size)?),
                Value::Bytes(head.root.as_bytes()),
                Value::Bytes(&new.frontier.to_bytes()),
            ],
        )?;
        transaction.commit()?;
        *tree = Some(new);
        Ok(head)
    }
}

/// By type and id of the resource: time and seq of its last deletion. Once each, because PostgreSQL does not update a row
/// twice in one statement.
type Deletions<'r> = HashMap<(&'r str, &'r str), (i64, i64)>;

fn note_deletion<'r>(deletions: &mut Deletions<'r>, deletion: &'r Deletion, seq: i64) {
    let last = deletions.entry((&deletion.resource_type, &deletion.resource_id)).or_insert((i64::MIN, 0));
    *last = (*last).max((deletion.time_us, seq));
}

fn insert_deletions(connection: &mut Connection, deletions: &Deletions<'_>) -> Result<(), StoreError> {
    let rows: Vec<Vec<Value<'_>>> = deletions
        .iter()
        .map(|((kind, id), (time_us, seq))| {
            vec![Value::Text(kind), Value::Text(id), Value::Int(*time_us), Value::Int(*seq)]
        })
        .collect();
    connection.insert(&INSERT_DELETED, &rows)
}

fn insert_tail(connection: &mut Connection, rows: &[(u64, u32, Vec<u8>)]) -> Result<(), StoreError> {
    let rows: Vec<Vec<Value<'_>>> = rows
        .iter()
        .map(|(first_seq, count, bytes)| {
            Ok(vec![Value::Int(signed(*first_seq)?), Value::Int(i64::from(*count)), Value::Bytes(bytes)])
        })
        .collect::<Result<_, StoreError>>()?;
    connection.insert(&INSERT_TAIL, &rows)
}

fn insert_tiles(connection: &mut Connection, tiles: &[Tile]) -> Result<(), StoreError> {
    let rows: Vec<Vec<Value<'_>>> = tiles
        .iter()
        .map(|tile| {
            let level = Value::Int(i64::from(tile.level));
            Ok(vec![level, Value::Int(signed(tile.index)?), Value::Bytes(&tile.hashes)])
        })
        .collect::<Result<_, StoreError>>()?;
    connection.insert(&INSERT_TILES, &rows)
}

/// Reads frontier and open tiles for a head that another process, or an earlier run, left.
fn read_tree(connection: &mut Connection, head: &Head, log_id: LogId) -> Result<Tree, StoreError> {
    let sql = "SELECT frontier FROM head WHERE id = 1";
    let bytes = connection.query_one(sql, &[], "the head", |row| row.bytes(0))?;
    let frontier = Frontier::from_bytes(head.size, &bytes)
        .map_err(|error| StoreError::Damaged { what: error.to_string() })?;
    if frontier.root() != head.root {
        return Err(StoreError::Damaged {
            what: "the frontier and the root of the head disagree".to_owned(),
        });
    }
    Ok(Tree { frontier, tiles: read_open_tiles(connection, head.size, log_id)? })
}

/// Reads the open tiles of the tree of the first `size` events.
///
/// Sealed or not, what this needs is never discarded: see [`SealLease::discard_sealed`](crate::SealLease::discard_sealed).
pub(crate) fn read_open_tiles(
    connection: &mut Connection,
    size: u64,
    log_id: LogId,
) -> Result<TileBuilder, StoreError> {
    TileBuilder::resume(size, |level, index, count| {
        let first = index * TILE_HASHES as u64;
        if level == 0 {
            return open_leaves(connection, first, count, log_id);
        }
        (first..first + count as u64)
            .map(|below| {
                let bytes = read_tile(connection, level - 1, below)?;
                let hashes: Vec<Hash> =
                    bytes.as_chunks().0.iter().map(|hash| Hash::from_bytes(*hash)).collect();
                Ok(perfect_root(&hashes))
            })
            .collect()
    })
}

/// Hashes the first `count` leaves of the open level-0 tile at `first` again from the records of the tail.
fn open_leaves(
    connection: &mut Connection,
    first: u64,
    count: usize,
    log_id: LogId,
) -> Result<Vec<Hash>, StoreError> {
    let mut leaves = Vec::with_capacity(count);
    let mut failure = None;
    read_tail(connection, first, &mut |row| {
        for record in row.records() {
            match record {
                Ok((seq, record)) if seq >= first && leaves.len() < count => {
                    leaves.push(Hash::from_bytes(record.leaf_hash(log_id)));
                }
                Ok(_) => {}
                Err(source) => {
                    failure.get_or_insert(StoreError::DamagedTail { first_seq: row.first_seq(), source });
                }
            }
        }
    })?;
    match failure {
        Some(failure) => Err(failure),
        None if leaves.len() == count => Ok(leaves),
        None => {
            Err(StoreError::Damaged { what: format!("{} of {count} events after seq {first}", leaves.len()) })
        }
    }
}
