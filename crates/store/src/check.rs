//! Checking the tail against the tree.

use annals_model::id::LogId;
use annals_model::record::Record;
use annals_tlog::{Frontier, Hash, Tile, TileBuilder};

use crate::append::read_open_tiles;
use crate::batch::TailRow;
use crate::connection::{Connection, Mode};
use crate::error::StoreError;
use crate::log::{Head, read_state, read_tail, read_tile};
use crate::store::Store;

impl Store {
    /// Recomputes the tree from the records of the tail and compares it with the head and the tiles; writes nothing.
    ///
    /// `sealed` is the frontier of the sealed events, which the caller made from the segments; [`Frontier::new`] while
    /// nothing is sealed. `each` hears each event of the tail with the tree behind it; twice, if the connection was lost.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names the first difference; [`StoreError::DamagedTail`] a row that cannot be read;
    /// [`StoreError::SealedMeanwhile`] that more was sealed since `sealed` was made.
    pub fn check(
        &self,
        sealed: Frontier,
        mut each: impl FnMut(&Frontier, &Record<'_>),
    ) -> Result<Head, StoreError> {
        self.read(|connection| {
            // One snapshot, so that the log goes on meanwhile.
            let mut snapshot = connection.begin(Mode::Snapshot)?;
            let head = check(&mut snapshot, self.log_id(), sealed.clone(), &mut each)?;
            snapshot.commit()?;
            Ok(head)
        })
    }
}

fn check(
    connection: &mut Connection,
    log_id: LogId,
    sealed: Frontier,
    each: &mut dyn FnMut(&Frontier, &Record<'_>),
) -> Result<Head, StoreError> {
    let state = read_state(connection, "")?;
    let from_seq = sealed.size();
    if state.sealed > state.head.size {
        let what = format!("{} events are sealed, the log has {}", state.sealed, state.head.size);
        return Err(StoreError::Damaged { what });
    }
    if state.sealed != from_seq {
        return Err(StoreError::SealedMeanwhile { from_seq, sealed: state.sealed });
    }
    let tiles = read_open_tiles(connection, from_seq, log_id)?;
    let mut tree = Recomputed { frontier: sealed, tiles, full_tiles: Vec::new() };
    let mut failure = None;
    read_tail(connection, from_seq, &mut |row| {
        if failure.is_none() {
            failure = tree.push_row(&row, from_seq, log_id, each).err();
        }
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let head = state.head;
    if tree.frontier.size() != head.size || tree.frontier.root() != head.root {
        let what = format!(
            "the events up to seq {} have another root than the head of {}",
            tree.frontier.size(),
            head.size
        );
        return Err(StoreError::Damaged { what });
    }
    let sql = "SELECT frontier FROM head WHERE id = 1";
    if connection.query_one(sql, &[], "the head", |row| row.bytes(0))? != tree.frontier.to_bytes() {
        return Err(StoreError::Damaged {
            what: "the frontier of the head differs from the events".to_owned(),
        });
    }
    for tile in tree.full_tiles {
        if read_tile(connection, tile.level, tile.index)? != tile.hashes {
            let what = format!("tile {} of level {} differs from the events", tile.index, tile.level);
            return Err(StoreError::Damaged { what });
        }
    }
    Ok(head)
}

struct Recomputed {
    frontier: Frontier,
    tiles: TileBuilder,
    full_tiles: Vec<Tile>,
}

impl Recomputed {
    /// Adds the events of a row, those before `from_seq` left out.
    fn push_row(
        &mut self,
        row: &TailRow,
        from_seq: u64,
        log_id: LogId,
        each: &mut dyn FnMut(&Frontier, &Record<'_>),
    ) -> Result<(), StoreError> {
        for record in row.records() {
            let first_seq = row.first_seq();
            let (seq, record) = record.map_err(|source| StoreError::DamagedTail { first_seq, source })?;
            if seq < from_seq {
                continue;
            }
            if seq != self.frontier.size() {
                let what = format!("seq {seq} stands where {} is expected", self.frontier.size());
                return Err(StoreError::Damaged { what });
            }
            let leaf = Hash::from_bytes(record.leaf_hash(log_id));
            self.frontier.push(leaf);
            self.tiles.push(leaf, |tile| self.full_tiles.push(tile));
            each(&self.frontier, &record);
        }
        Ok(())
    }
}
