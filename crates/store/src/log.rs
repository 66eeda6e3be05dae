//! Head, tail and tiles: appending and reading the log.

use annals_model::id::LogId;
use annals_tlog::{Frontier, Hash, TILE_HASHES, Tile, TileBuilder, leaf_hash, perfect_root};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::batch::{RowBuilder, TailRow};
use crate::error::StoreError;
use crate::sqlite::Store;

/// The log's one mutable row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Events in the log; also the next seq.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// One event to append.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Its stored form, as [`annals_model::record::Record::encode`] writes it.
    pub bytes: Vec<u8>,
    /// Hash of its leaf.
    pub leaf: Hash,
    /// The resource that it deletes.
    pub deletes: Option<Deletion>,
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

/// The connection that appends.
#[derive(Debug)]
pub struct LogWriter {
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
    pub(crate) fn new(connection: Connection, log_id: LogId) -> LogWriter {
        LogWriter { connection, log_id, tree: None }
    }

    /// Locks the head. Nobody else appends until the returned value is committed or dropped.
    ///
    /// # Errors
    /// [`StoreError`] if the lock is not had in time or the head cannot be read.
    pub fn begin(&mut self) -> Result<Append<'_>, StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head = read_head(&transaction)?;
        Ok(Append { transaction, head, log_id: self.log_id, tree: &mut self.tree })
    }
}

/// A locked head. Dropping it changes nothing.
#[derive(Debug)]
pub struct Append<'w> {
    transaction: Transaction<'w>,
    head: Head,
    log_id: LogId,
    tree: &'w mut Option<Tree>,
}

impl Append<'_> {
    /// The head under the lock: the next event gets seq `head().size`.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Reads the tail rows that hold events from `from_seq` on; a row may begin before it.
    ///
    /// # Errors
    /// [`StoreError`] if a row is damaged.
    pub fn tail_from(&self, from_seq: u64, row: impl FnMut(TailRow)) -> Result<(), StoreError> {
        read_tail(&self.transaction, from_seq, row)
    }

    /// Returns the record at `seq` in the tail.
    ///
    /// # Errors
    /// [`StoreError`] if its row is damaged.
    pub fn row_of(&self, seq: u64) -> Result<Option<TailRow>, StoreError> {
        read_row(&self.transaction, seq)
    }

    /// Appends the records under the next seqs and returns the new head.
    ///
    /// Tail rows, full tiles, deletions and the head stand in one transaction. If we stop before COMMIT returns, either
    /// nothing of it is there, or all of it and only the answer is lost: the producer sends again, and the ids show
    /// that it is a repetition.
    ///
    /// # Errors
    /// [`StoreError`] if anything fails; nothing was appended then.
    pub fn commit(self, records: &[&NewRecord]) -> Result<Head, StoreError> {
        let Append { transaction, head, log_id, tree } = self;
        // Taken out, so that a failure below leaves no tree that ran ahead of the head.
        let kept =
            tree.take().filter(|tree| tree.frontier.size() == head.size && tree.frontier.root() == head.root);
        let mut new = match kept {
            Some(tree) => tree,
            None => read_tree(&transaction, &head, log_id)?,
        };
        let mut full_tiles = Vec::new();
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO tail (first_seq, event_count, batch) VALUES (?, ?, ?)")?;
            let mut delete = transaction.prepare_cached(
                "INSERT INTO deleted (resource_type, resource_id, time_us, seq) VALUES (?, ?, ?, ?)
                 ON CONFLICT DO UPDATE SET time_us = excluded.time_us, seq = excluded.seq
                 WHERE (excluded.time_us, excluded.seq) > (time_us, seq)",
            )?;
            let mut row = RowBuilder::new(head.size);
            for (record, seq) in records.iter().zip(head.size..) {
                row.push(&record.bytes);
                new.frontier.push(record.leaf);
                new.tiles.push(record.leaf, |tile| full_tiles.push(tile));
                if let Some(Deletion { resource_type, resource_id, time_us }) = &record.deletes {
                    delete.execute(params![resource_type, resource_id, time_us, signed(seq)?])?;
                }
                if row.is_full() {
                    let (first_seq, count, bytes) =
                        std::mem::replace(&mut row, RowBuilder::new(seq + 1)).finish();
                    insert.execute(params![signed(first_seq)?, count, bytes])?;
                }
            }
            let (first_seq, count, bytes) = row.finish();
            if count > 0 {
                insert.execute(params![signed(first_seq)?, count, bytes])?;
            }
        }
        insert_tiles(&transaction, &full_tiles)?;
        let head = Head { size: new.frontier.size(), root: new.frontier.root() };
        transaction.execute(
            "UPDATE head SET size = ?, root = ?, frontier = ? WHERE id = 1",
            params![signed(head.size)?, head.root.as_bytes(), new.frontier.to_bytes()],
        )?;
        transaction.commit()?;
        *tree = Some(new);
        Ok(head)
    }
}

fn insert_tiles(transaction: &Transaction<'_>, tiles: &[Tile]) -> Result<(), StoreError> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO tile (level, tile_index, hashes) VALUES (?, ?, ?)")?;
    for tile in tiles {
        insert.execute(params![tile.level, signed(tile.index)?, tile.hashes])?;
    }
    Ok(())
}

impl Store {
    /// Reads the head.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn head(&self) -> Result<Head, StoreError> {
        self.with(|connection| read_head(connection))
    }

    /// Reads the tail rows that hold events from `from_seq` on; the first row may begin before it.
    ///
    /// # Errors
    /// [`StoreError`] if a row is damaged.
    pub fn tail_from(&self, from_seq: u64, row: impl FnMut(TailRow)) -> Result<(), StoreError> {
        self.with(|connection| read_tail(connection, from_seq, row))
    }

    /// Returns the tail row that holds `seq`.
    ///
    /// # Errors
    /// [`StoreError`] if the row is damaged.
    pub fn row_of(&self, seq: u64) -> Result<Option<TailRow>, StoreError> {
        self.with(|connection| read_row(connection, seq))
    }

    /// Returns time and seq of the last successful delete of a resource, by time.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn deleted_at(
        &self,
        resource_type: &str,
        resource_id: &str,
    ) -> Result<Option<(i64, u64)>, StoreError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT time_us, seq FROM deleted WHERE resource_type = ? AND resource_id = ?",
            )?;
            let found: Option<(i64, i64)> = select
                .query_row([resource_type, resource_id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            found.map(|(time_us, seq)| Ok((time_us, unsigned(seq, "deleted.seq")?))).transpose()
        })
    }

    /// Recomputes the tree from every stored record and compares it with the head and the tiles; writes nothing.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first difference; [`StoreError::DamagedTail`] a row that cannot be read.
    pub fn check(&self) -> Result<Head, StoreError> {
        self.with(|connection| {
            let snapshot = connection.transaction()?;
            check(&snapshot, self.log_id())
        })
    }
}

/// Works on one snapshot of the database, so that the log goes on meanwhile.
fn check(connection: &Connection, log_id: LogId) -> Result<Head, StoreError> {
    let head = read_head(connection)?;
    let mut frontier = Frontier::new();
    let mut builder = TileBuilder::default();
    let mut tiles = Vec::new();
    let mut failure = None;
    read_tail(connection, 0, |row| {
        for record in row.records() {
            match record {
                Ok((seq, record)) if seq == frontier.size() => {
                    let leaf = leaf_hash(&record.leaf_bytes(log_id));
                    frontier.push(leaf);
                    builder.push(leaf, |tile| tiles.push(tile));
                }
                Ok((seq, _)) => {
                    let what = format!("seq {seq} stands where {} is expected", frontier.size());
                    failure.get_or_insert(StoreError::Damaged { what });
                    return;
                }
                Err(source) => {
                    failure.get_or_insert(StoreError::DamagedTail { first_seq: row.first_seq(), source });
                    return;
                }
            }
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if frontier.size() != head.size || frontier.root() != head.root {
        let what = format!(
            "the tail has {} events and another root than the head of {}",
            frontier.size(),
            head.size
        );
        return Err(StoreError::Damaged { what });
    }
    for tile in tiles {
        if read_tile(connection, tile.level, tile.index)? != tile.hashes {
            let what = format!("tile {} of level {} differs from the events", tile.index, tile.level);
            return Err(StoreError::Damaged { what });
        }
    }
    Ok(head)
}

fn read_head(connection: &Connection) -> Result<Head, StoreError> {
    let mut select = connection.prepare_cached("SELECT size, root FROM head WHERE id = 1")?;
    let (size, root): (i64, Vec<u8>) = select.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let root =
        root.try_into().map_err(|_| StoreError::Damaged { what: "the root has not 32 bytes".to_owned() })?;
    Ok(Head { size: unsigned(size, "head.size")?, root: Hash::from_bytes(root) })
}

fn read_row(connection: &Connection, seq: u64) -> Result<Option<TailRow>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT first_seq, batch FROM tail WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1",
    )?;
    let found: Option<(i64, Vec<u8>)> =
        select.query_row([signed(seq)?], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((first_seq, batch)) = found else { return Ok(None) };
    let row = open_row(first_seq, batch)?;
    Ok(Some(row).filter(|row| seq < row.first_seq() + u64::from(row.count())))
}

fn read_tail(
    connection: &Connection,
    from_seq: u64,
    mut each: impl FnMut(TailRow),
) -> Result<(), StoreError> {
    let mut select = connection
        .prepare_cached("SELECT first_seq, batch FROM tail WHERE first_seq + event_count > ?1 AND first_seq >= ?2 ORDER BY first_seq")?;
    // Rows never cross a multiple of ROW_EVENTS, so the row of `from_seq` begins at most that far before it: this lets
    // the primary key find the start.
    let earliest = from_seq - from_seq % crate::batch::ROW_EVENTS;
    let mut rows = select.query(params![signed(from_seq)?, signed(earliest)?])?;
    while let Some(row) = rows.next()? {
        each(open_row(row.get(0)?, row.get(1)?)?);
    }
    Ok(())
}

fn open_row(first_seq: i64, batch: Vec<u8>) -> Result<TailRow, StoreError> {
    let first_seq = unsigned(first_seq, "tail.first_seq")?;
    let row = TailRow::open(batch).map_err(|source| StoreError::DamagedTail { first_seq, source })?;
    if row.first_seq() != first_seq {
        let what = format!("tail row {first_seq} holds the events of row {}", row.first_seq());
        return Err(StoreError::Damaged { what });
    }
    Ok(row)
}

/// Reads frontier and open tiles for a head that another process, or an earlier run, left.
fn read_tree(connection: &Connection, head: &Head, log_id: LogId) -> Result<Tree, StoreError> {
    let bytes: Vec<u8> =
        connection.query_row("SELECT frontier FROM head WHERE id = 1", [], |row| row.get(0))?;
    let frontier = Frontier::from_bytes(head.size, &bytes)
        .map_err(|error| StoreError::Damaged { what: error.to_string() })?;
    if frontier.root() != head.root {
        return Err(StoreError::Damaged {
            what: "the frontier and the root of the head disagree".to_owned(),
        });
    }
    let tiles = TileBuilder::resume(head.size, |level, index, count| {
        if level == 0 {
            return open_leaves(connection, index * TILE_HASHES as u64, count, log_id);
        }
        let first = index * TILE_HASHES as u64;
        (first..first + count as u64)
            .map(|below| {
                let bytes = read_tile(connection, level - 1, below)?;
                let hashes: Vec<Hash> =
                    bytes.as_chunks().0.iter().map(|hash| Hash::from_bytes(*hash)).collect();
                Ok(perfect_root(&hashes))
            })
            .collect()
    })?;
    Ok(Tree { frontier, tiles })
}

/// Hashes the leaves of the open level-0 tile again from the records of the tail.
fn open_leaves(
    connection: &Connection,
    first: u64,
    count: usize,
    log_id: LogId,
) -> Result<Vec<Hash>, StoreError> {
    let mut leaves = Vec::with_capacity(count);
    let mut failure = None;
    read_tail(connection, first, |row| {
        for record in row.records() {
            match record {
                Ok((seq, record)) if seq >= first => leaves.push(leaf_hash(&record.leaf_bytes(log_id))),
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

fn read_tile(connection: &Connection, level: u8, index: u64) -> Result<Vec<u8>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT hashes FROM tile WHERE level = ? AND tile_index = ?")?;
    let hashes: Option<Vec<u8>> =
        select.query_row(params![level, signed(index)?], |row| row.get(0)).optional()?;
    let length = TILE_HASHES * annals_tlog::HASH_BYTES;
    hashes.filter(|hashes| hashes.len() == length).ok_or_else(|| StoreError::Damaged {
        what: format!("tile {index} of level {level} is missing or has not {length} bytes"),
    })
}

/// SQLite counts in signed numbers; a log of 2^63 events is out of reach.
pub(crate) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Damaged { what: format!("{number} is beyond any log") })
}

fn unsigned(number: i64, column: &str) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged { what: format!("{column} is {number}") })
}
