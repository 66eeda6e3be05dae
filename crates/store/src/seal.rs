//! Sealing: the lease that one process holds, publishing segments, and discarding what they replace.
//!
//! The order is: the object is durable, then [`SealLease::publish`] makes it part of the log in one transaction, then
//! [`SealLease::discard_sealed`] drops the tail rows that it replaces. Stopping between any two leaves a whole log: at
//! worst an object that nothing names, or tail rows that nobody reads any more, and the next holder goes on.

use std::collections::BTreeMap;

use annals_model::record::Record;
use annals_tlog::{Hash, Node};

use crate::batch::RowBuilder;
use crate::connection::{Connection, Mode, Transaction};
use crate::error::StoreError;
use crate::lease::{Lease, LeaseKind};
use crate::log::{open_row, read_state};
use crate::manifest::{LogState, SegmentRow, insert_segment, read_manifest, read_segments};
use crate::store::Store;
use crate::value::{Value, signed};

/// Events under one full tile of level 1.
const LEVEL_1_EVENTS: u64 = 65_536;
/// Events that are pruned at once, or a multiple of it: what is left of them is full tiles of level 1.
pub const PRUNED_STEP: u64 = LEVEL_1_EVENTS;
/// Events under one full tile of level 0.
const LEVEL_0_EVENTS: u64 = 256;

/// The right to seal, which one process has at a time; dropping it gives it back. See [`Lease`]; it publishes on the connection
/// that holds the lock.
#[derive(Debug)]
pub struct SealLease {
    lease: Lease,
}

impl Store {
    /// Takes the right to seal; none if another process, or another part of this one, has it.
    ///
    /// # Errors
    /// [`StoreError`] if the lock cannot be asked for.
    pub fn try_seal_lease(&self) -> Result<Option<SealLease>, StoreError> {
        Ok(self.try_lease(LeaseKind::Seal)?.map(|lease| SealLease { lease }))
    }
}

impl SealLease {
    /// Asks whether the right to seal is still had, as [`Lease::holds`] does.
    ///
    /// # Errors
    /// As there.
    pub fn holds(&mut self) -> Result<bool, StoreError> {
        self.lease.holds()
    }

    /// As [`Store::segments`], on the connection that publishes.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn segments(&mut self) -> Result<(LogState, Vec<SegmentRow>), StoreError> {
        read_manifest(&mut self.lease.connection)
    }

    /// Makes a segment part of the log. Its object must be durable.
    ///
    /// One transaction, under the head's lock: afterwards its events are sealed, and readers take them from the segment.
    /// If we stop before it returns, the segment is published or not; [`Store::state`] tells.
    ///
    /// # Errors
    /// [`StoreError::ManifestConflict`] if it does not begin where the sealed part ends, or goes beyond the log.
    pub fn publish(&mut self, new: &SegmentRow) -> Result<(), StoreError> {
        let (mut transaction, state) = self.lock_head()?;
        if new.event_count == 0 || new.first_seq != state.sealed || new.end_seq() > state.head.size {
            let what = format!(
                "seqs {} to {} do not follow the sealed {} of {} events",
                new.first_seq,
                new.end_seq(),
                state.sealed,
                state.head.size
            );
            return Err(StoreError::ManifestConflict { what });
        }
        insert_segment(&mut transaction, new)?;
        transaction.execute(
            "UPDATE head SET sealed = $1, manifest = manifest + 1 WHERE id = 1",
            &[Value::Int(signed(new.end_seq())?)],
        )?;
        transaction.commit()
    }

    /// Puts one segment in place of others: a merge, or a rewrite of one. Its object must be durable; the objects of the
    /// others may be deleted when no reader uses them any more.
    ///
    /// # Errors
    /// [`StoreError::ManifestConflict`] if the named segments are not there or do not hold exactly the seqs of `new`.
    pub fn replace(&mut self, new: &SegmentRow, first_seqs: &[u64]) -> Result<(), StoreError> {
        let (mut transaction, _) = self.lock_head()?;
        let old: Vec<SegmentRow> = read_segments(&mut transaction)?
            .into_iter()
            .filter(|segment| first_seqs.contains(&segment.first_seq))
            .collect();
        let mut next_seq = new.first_seq;
        for segment in &old {
            if segment.first_seq == next_seq {
                next_seq = segment.end_seq();
            }
        }
        if old.is_empty() || old.len() != first_seqs.len() || next_seq != new.end_seq() {
            let what = format!(
                "segments at {first_seqs:?} do not hold seqs {} to {} exactly",
                new.first_seq,
                new.end_seq()
            );
            return Err(StoreError::ManifestConflict { what });
        }
        for segment in &old {
            let first_seq = Value::Int(signed(segment.first_seq)?);
            transaction.execute("DELETE FROM segment WHERE first_seq = $1", &[first_seq])?;
        }
        insert_segment(&mut transaction, new)?;
        transaction.execute("UPDATE head SET manifest = manifest + 1 WHERE id = 1", &[])?;
        transaction.commit()
    }

    /// Deletes at most `rows_max` tail rows of sealed events, and as many level-0 tiles, which segments can give again.
    /// Returns whether there is more. A short transaction: 16 rows of 256 events of 1 KB take 8 ms in SQLite, most of them
    /// because `secure_delete` overwrites the freed pages with zeros (2 ms without). It is kept on: otherwise personal data
    /// would linger in free pages, where no later erasure looks for it.
    ///
    /// What an append needs to take up the tree stays: the rows of the level-0 tile and the tiles of the level-1 tile that
    /// the sealed part ends in.
    ///
    /// # Errors
    /// [`StoreError`] if the database fails.
    pub fn discard_sealed(&mut self, rows_max: usize) -> Result<bool, StoreError> {
        let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let mut transaction = self.lease.connection.begin(Mode::Write)?;
        // Without the head's lock in PostgreSQL, so that no append waits: the sealed seq only grows.
        let sealed = read_state(&mut transaction, "")?.sealed;
        let rows = transaction.execute(
            "DELETE FROM tail WHERE first_seq IN
             (SELECT first_seq FROM tail WHERE first_seq < $1 ORDER BY first_seq LIMIT $2)",
            &[Value::Int(signed(sealed - sealed % LEVEL_0_EVENTS)?), Value::Int(rows_max)],
        )?;
        let tiles = transaction.execute(
            "DELETE FROM tile WHERE level = 0 AND tile_index IN
             (SELECT tile_index FROM tile WHERE level = 0 AND tile_index < $1 ORDER BY tile_index LIMIT $2)",
            &[Value::Int(signed(sealed / LEVEL_1_EVENTS * LEVEL_0_EVENTS)?), Value::Int(rows_max)],
        )?;
        transaction.commit()?;
        let rows_max = rows_max.unsigned_abs();
        Ok(rows >= rows_max || tiles >= rows_max)
    }

    /// Writes the tail rows of these seqs, which rise, again: each of their records as `rewrite` returns it, sealed or not. The tree must stay
    /// as it is, which the caller sees to. Returns the rows that were written; readers learn of it by the head.
    ///
    /// # Errors
    /// [`StoreError`] if a row is damaged or the database fails; nothing was written then.
    pub fn rewrite_tail(
        &mut self,
        seqs: &[u64],
        mut rewrite: impl FnMut(u64, &Record<'_>) -> Vec<u8>,
    ) -> Result<usize, StoreError> {
        let (mut transaction, _) = self.lock_head()?;
        // The rows of most sealed events are gone: nothing is asked for those.
        let first = transaction
            .query_optional("SELECT first_seq FROM tail ORDER BY first_seq LIMIT 1", &[], |row| {
                row.unsigned(0, "tail.first_seq")
            })?
            .unwrap_or(u64::MAX);
        let (mut written, mut behind) = (0, 0);
        for seq in &seqs[seqs.partition_point(|seq| *seq < first)..] {
            if *seq < behind {
                continue;
            }
            let found = transaction.query_optional(
                "SELECT first_seq, batch FROM tail WHERE first_seq <= $1 ORDER BY first_seq DESC LIMIT 1",
                &[Value::Int(signed(*seq)?)],
                |row| open_row(row.unsigned(0, "tail.first_seq")?, row.bytes(1)?),
            )?;
            let Some(row) = found else { continue };
            behind = row.first_seq() + u64::from(row.count());
            if *seq >= behind {
                continue;
            }
            let mut new = RowBuilder::new(row.first_seq());
            for record in row.records() {
                let first_seq = row.first_seq();
                let (at, record) = record.map_err(|source| StoreError::DamagedTail { first_seq, source })?;
                if seqs.binary_search(&at).is_ok() {
                    new.push(&rewrite(at, &record));
                } else {
                    let mut bytes = Vec::new();
                    record.encode(&mut bytes);
                    new.push(&bytes);
                }
            }
            let (first_seq, _, batch) = new.finish();
            let values = [Value::Bytes(&batch), Value::Int(signed(first_seq)?)];
            transaction.execute("UPDATE tail SET batch = $1 WHERE first_seq = $2", &values)?;
            written += 1;
        }
        if written > 0 {
            transaction.execute("UPDATE head SET rewritten = rewritten + 1 WHERE id = 1", &[])?;
        }
        transaction.commit()?;
        Ok(written)
    }

    /// Keeps roots of small perfect subtrees, which nothing gives again once their events are pruned. A repetition is fine.
    ///
    /// # Errors
    /// [`StoreError`] if the database fails.
    pub fn keep_nodes(&mut self, nodes: &BTreeMap<Node, Hash>) -> Result<(), StoreError> {
        let mut transaction = self.lease.connection.begin(Mode::Write)?;
        for (node, hash) in nodes {
            transaction.execute(
                "INSERT INTO node (level, node_index, hash) VALUES ($1, $2, $3)
                 ON CONFLICT (level, node_index) DO UPDATE SET hash = excluded.hash",
                &[
                    Value::Int(i64::from(node.level)),
                    Value::Int(signed(node.index)?),
                    Value::Bytes(hash.as_bytes()),
                ],
            )?;
        }
        transaction.commit()
    }

    /// Takes the oldest segments out of the log, those before a seq; their objects may be deleted then. One transaction, under the head's lock.
    ///
    /// # Errors
    /// [`StoreError::ManifestConflict`] if segments do not hold exactly what is before the seq, none would be left, or the seq is no multiple of
    /// [`PRUNED_STEP`].
    pub fn prune(&mut self, before: u64) -> Result<(), StoreError> {
        let (mut transaction, state) = self.lock_head()?;
        let rows = read_segments(&mut transaction)?;
        let mut next_seq = state.pruned;
        for row in rows.iter().take_while(|row| row.end_seq() <= before) {
            if row.first_seq == next_seq {
                next_seq = row.end_seq();
            }
        }
        if next_seq != before || before >= state.sealed || !before.is_multiple_of(PRUNED_STEP) {
            let what = format!(
                "no segments hold seqs {} to {before} exactly, or nothing would be left of {}",
                state.pruned, state.sealed
            );
            return Err(StoreError::ManifestConflict { what });
        }
        let before = [Value::Int(signed(before)?)];
        transaction.execute("DELETE FROM segment WHERE first_seq < $1", &before)?;
        transaction.execute("UPDATE head SET pruned = $1, manifest = manifest + 1 WHERE id = 1", &before)?;
        transaction.commit()
    }

    /// Notes that events are about to be dropped: from then on searches pass over what is left of them.
    ///
    /// # Errors
    /// [`StoreError`] if the database fails.
    pub fn note_dropped(&mut self, events: u64) -> Result<(), StoreError> {
        let (mut transaction, _) = self.lock_head()?;
        transaction
            .execute("UPDATE head SET dropped = dropped + $1 WHERE id = 1", &[Value::Int(signed(events)?)])?;
        transaction.commit()
    }

    /// Brings everything out of the database's log into its file and empties that log, so that no older copy of a page is left in it. Says
    /// whether it could: a reader may still need it. PostgreSQL forgets rows by `VACUUM`, which this does to the tail; its log is its own affair.
    ///
    /// # Errors
    /// [`StoreError`] if the database fails.
    pub fn forget_old_pages(&mut self) -> Result<bool, StoreError> {
        match &mut self.lease.connection {
            Connection::Sqlite(sqlite) => {
                Ok(sqlite.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))? == 0)
            }
            Connection::Postgres(postgres) => {
                // It waits for everybody who reads the table, and everybody waits for it: so not for long.
                postgres.batch("SET lock_timeout = '3s'; SET statement_timeout = 0")?;
                Ok(postgres.batch("VACUUM (FULL) tail").is_ok())
            }
        }
    }

    fn lock_head(&mut self) -> Result<(Transaction<'_>, LogState), StoreError> {
        let mut transaction = self.lease.connection.begin(Mode::Write)?;
        let lock = transaction.for_update();
        let state = read_state(&mut transaction, lock)?;
        Ok((transaction, state))
    }
}
